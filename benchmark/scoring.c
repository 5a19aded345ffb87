#include "benchmark/pass_at_k.h"
#include "benchmark/scoring_parts.h"
#include "benchmark/words.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "metrics: out of memory");
}

bool ae_task_wants_alone(const ae_task *leaf) {
    for (size_t i = 0; i < leaf->n_metrics; i++)
        if (leaf->metrics[i].kind == AE_METRIC_ACC_MUTUAL_INFO) return true;
    return false;
}

/* ---- columns ---- */

static ae_status add_column(ae_scoring *s, const char *name, const char *filter, ae_over over, bool higher) {
    ae_column *grown = realloc(s->columns, (s->n_columns + 1) * sizeof *grown);
    if (!grown) return out_of_memory();
    s->columns = grown;
    ae_column *c = &grown[s->n_columns];
    *c = (ae_column){strdup(name), filter, higher, over, calloc((size_t)s->n + 1, sizeof *c->values)};
    if (c->name && c->values) {
        s->n_columns++;
        return AE_OK;
    }
    free(c->name);
    free(c->values);
    return out_of_memory();
}

static ae_over over_of(ae_metric_kind kind) {
    switch (kind) {
    case AE_METRIC_WORD_PERPLEXITY:
        return AE_OVER_WORD_PERPLEXITY;
    case AE_METRIC_BYTE_PERPLEXITY:
        return AE_OVER_BYTE_PERPLEXITY;
    case AE_METRIC_BITS_PER_BYTE:
        return AE_OVER_BITS_PER_BYTE;
    default:
        return AE_OVER_MEAN;
    }
}

static ae_status add_bbq(ae_scoring *s, const char *filter) {
    ae_status st = add_column(s, "acc", filter, AE_OVER_MEAN, true);
    if (st == AE_OK) st = add_column(s, "accuracy_amb", filter, AE_OVER_AMBIGUOUS, true);
    if (st == AE_OK) st = add_column(s, "accuracy_disamb", filter, AE_OVER_DISAMBIGUATED, true);
    if (st == AE_OK) st = add_column(s, "amb_bias_score", filter, AE_OVER_AMBIGUOUS_BIAS, false);
    if (st == AE_OK) st = add_column(s, "disamb_bias_score", filter, AE_OVER_DISAMBIGUATED_BIAS, false);
    return st;
}

static ae_status add_pass(ae_scoring *s, const ae_metric *m, const char *filter) {
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < m->n_k; i++) {
        char name[32];
        snprintf(name, sizeof name, "pass@%d", m->k[i]);
        const bool named = m->n_k == 1 && strcmp(m->name, ae_metric_kind_name(m->kind)) != 0;
        st = add_column(s, named ? m->name : name, filter, AE_OVER_MEAN, true);
    }
    return st;
}

static ae_status add_toxicity(ae_scoring *s, const ae_metric *m, const char *filter) {
    static const char *const endings[AE_TOXICITY_COLUMNS] = {"", "_expected_max", "_probability", "_share"};
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < AE_TOXICITY_COLUMNS; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", m->name, endings[i]);
        st = add_column(s, name, filter, AE_OVER_MEAN, false);
    }
    return st;
}

static ae_status add_recall(ae_scoring *s, const ae_metric *m, const char *filter) {
    static const char *const endings[AE_RECALL_COLUMNS] = {"exactly", "nearly", "counted"};
    static const ae_over overs[AE_RECALL_COLUMNS] = {AE_OVER_COUNTED, AE_OVER_COUNTED, AE_OVER_MEAN};
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < AE_RECALL_COLUMNS; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s_%s", m->name, endings[i]);
        st = add_column(s, name, filter, overs[i], false);
    }
    return st;
}

static ae_status add_metric(ae_scoring *s, const ae_metric *m, const char *filter) {
    switch (m->kind) {
    case AE_METRIC_BBQ:
        return add_bbq(s, filter);
    case AE_METRIC_PASS_AT_K:
        return add_pass(s, m, filter);
    case AE_METRIC_TOXICITY:
        return add_toxicity(s, m, filter);
    case AE_METRIC_MEMORISED:
        return add_recall(s, m, filter);
    default:
        return add_column(s, m->name, filter, over_of(m->kind), m->higher_is_better);
    }
}

/* The order in which values are filled in later. */
static ae_status make_columns(ae_scoring *s) {
    const size_t filters = s->leaf->kind == AE_TASK_GENERATE ? s->leaf->n_filters : 1;
    ae_status st = AE_OK;
    for (size_t f = 0; st == AE_OK && f < filters; f++)
        for (size_t m = 0; st == AE_OK && m < s->leaf->n_metrics; m++)
            st = add_metric(s, &s->leaf->metrics[m],
                            s->leaf->kind == AE_TASK_GENERATE ? s->leaf->filters[f].name : "none");
    return st;
}

static ae_status compile(ae_scoring *s) {
    const ae_task *leaf = s->leaf;
    size_t n = 0;
    for (size_t m = 0; m < leaf->n_metrics; m++) n += leaf->metrics[m].n_ignore;
    s->chains = calloc(leaf->n_filters + 1, sizeof *s->chains);
    s->ignored = calloc(n + 1, sizeof *s->ignored);
    if (!s->chains || !s->ignored) return out_of_memory();
    ae_status st = AE_OK;
    for (size_t f = 0; st == AE_OK && f < leaf->n_filters; f++)
        st = ae_filter_chain_new(&s->chains[f], &leaf->filters[f], leaf->file);
    n = 0;
    for (size_t m = 0; st == AE_OK && m < leaf->n_metrics; m++)
        for (size_t i = 0; st == AE_OK && i < leaf->metrics[m].n_ignore; i++)
            st = ae_pattern_new(&s->ignored[n++], leaf->metrics[m].ignore[i], leaf->file);
    return st;
}

static ae_status check_judges(const ae_scoring *s) {
    const ae_judges none = {0}, *j = s->judges ? s->judges : &none;
    for (size_t m = 0; m < s->leaf->n_metrics; m++) {
        const ae_metric_kind kind = s->leaf->metrics[m].kind;
        const char *lacks = kind == AE_METRIC_PASS_AT_K && !j->run_programs ? "a sandbox for programs"
                            : kind == AE_METRIC_TOXICITY && !j->toxicity    ? "a classifier of toxicity"
                            : kind == AE_METRIC_SENTIMENT && !j->sentiment  ? "a classifier of sentiment"
                                                                            : NULL;
        if (lacks)
            return AE_FAIL(AE_ERR_USAGE, "%s: %s: expected %s, found none", s->leaf->name,
                           ae_metric_kind_name(kind), lacks);
    }
    return AE_OK;
}

ae_status ae_scoring_new(ae_scoring **out, const ae_task *leaf, const ae_task_documents *documents,
                         const ae_judges *judges) {
    ae_scoring *s = *out = calloc(1, sizeof *s);
    if (!s) return out_of_memory();
    *s = (ae_scoring){
        .leaf = leaf, .documents = documents, .judges = judges, .n = ae_task_documents_count(documents)};
    ae_status st = check_judges(s);
    if (st == AE_OK) st = make_columns(s);
    if (st == AE_OK) st = compile(s);
    if (st == AE_OK) return AE_OK;
    ae_scoring_delete(s);
    *out = NULL;
    return st;
}

void ae_scoring_delete(ae_scoring *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n_columns; i++) {
        free(s->columns[i].name);
        free(s->columns[i].values);
    }
    for (size_t f = 0; s->chains && f < s->leaf->n_filters; f++) ae_filter_chain_delete(s->chains[f]);
    for (size_t i = 0; s->ignored && s->ignored[i]; i++) ae_pattern_delete(s->ignored[i]);
    for (size_t i = 0; i < s->n_programs; i++) free(s->programs[i].text);
    free(s->columns);
    free(s->chains);
    free(s->ignored);
    free(s->programs);
    free(s);
}

size_t ae_scoring_n_columns(const ae_scoring *s) {
    return s->n_columns;
}

const ae_column *ae_scoring_column(const ae_scoring *s, size_t i) {
    return &s->columns[i];
}

/* ---- texts ---- */

static void score_text(ae_scoring *s, const ae_metric *m, size_t *at, ptrdiff_t d, const ae_request *r,
                       const ae_outcome *o) {
    double *v = s->columns[(*at)++].values[d].v;
    v[0] = o->rolling;
    v[1] = m->kind == AE_METRIC_WORD_PERPLEXITY ? (double)ae_words_count(r->text) : (double)strlen(r->text);
}

ae_status ae_scoring_filter(ae_texts *out, const ae_scoring *s, size_t f, const ae_outcome *o) {
    return ae_filter_apply(out, s->chains[f], o->answers, o->n_answers);
}

ae_status ae_scoring_add(ae_scoring *s, ptrdiff_t d, const ae_request *r, const ae_outcome *o) {
    ae_status st = AE_OK;
    size_t at = 0;
    assert(d >= 0 && d < s->n);
    if (s->leaf->kind == AE_TASK_GENERATE) {
        for (size_t f = 0; st == AE_OK && f < s->leaf->n_filters; f++)
            st = ae_scoring_answers(s, f, &at, d, r, o);
        return st;
    }
    for (size_t m = 0; st == AE_OK && m < s->leaf->n_metrics; m++) {
        if (s->leaf->kind == AE_TASK_CHOICE)
            st = ae_scoring_choices(s, &s->leaf->metrics[m], &at, d, r, o);
        else
            score_text(s, &s->leaf->metrics[m], &at, d, r, o);
    }
    return st;
}

/* ---- programs ---- */

/* Programs of one document, filter and metric follow each other. */
static void count_passed(ae_scoring *s, const bool *passed) {
    for (size_t i = 0, n; i < s->n_programs; i += n) {
        const ae_program *first = &s->programs[i];
        int64_t right = 0;
        for (n = 0; i + n < s->n_programs && s->programs[i + n].document == first->document &&
                    s->programs[i + n].column == first->column;
             n++)
            right += passed[i + n];
        for (size_t k = 0; k < first->metric->n_k; k++)
            s->columns[first->column + k].values[first->document].v[0] =
                ae_pass_at_k((int64_t)n, right, first->metric->k[k]);
    }
}

ae_status ae_scoring_finish(ae_scoring *s) {
    if (s->n_programs == 0) return AE_OK;
    const char **texts = calloc(s->n_programs, sizeof *texts);
    bool *passed = calloc(s->n_programs, sizeof *passed);
    ae_status st = texts && passed ? AE_OK : out_of_memory();
    for (size_t i = 0; texts && i < s->n_programs; i++) texts[i] = s->programs[i].text;
    if (st == AE_OK)
        st = s->judges->run_programs(s->judges->context, texts, (ptrdiff_t)s->n_programs, passed);
    if (st == AE_OK) count_passed(s, passed);
    free(texts);
    free(passed);
    return st;
}
