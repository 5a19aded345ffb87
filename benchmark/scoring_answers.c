#include "benchmark/math_answer.h"
#include "benchmark/recall.h"
#include "benchmark/scoring_parts.h"
#include "benchmark/words.h"
#include "core/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "metrics: out of memory");
}

/* Text as exact_match compares it; the caller frees *out. */
static ae_status normal_text(char **out, const char *text, const ae_metric *m, ae_pattern *const *ignored) {
    ae_status st = AE_OK;
    char *t = strdup(text);
    for (size_t i = 0; t && i < m->n_ignore && st == AE_OK; i++) {
        char *cut = NULL;
        st = ae_pattern_cut(&cut, ignored[i], t);
        free(t);
        t = cut;
    }
    if (t && m->ignore_case) {
        char *lower = ae_words_lower(t);
        free(t);
        t = lower;
    }
    if (t && m->ignore_punctuation) {
        char *plain = ae_words_without_punctuation(t);
        free(t);
        t = plain;
    }
    *out = t;
    return st == AE_OK && !t ? out_of_memory() : st;
}

static ae_status exact_match(double *value, const char *answer, const ae_request *r, const ae_metric *m,
                             ae_pattern *const *ignored) {
    char *said = NULL;
    ae_status st = normal_text(&said, answer, m, ignored);
    *value = 0;
    for (size_t i = 0; st == AE_OK && i < r->n_references; i++) {
        char *right = NULL;
        st = normal_text(&right, r->references[i], m, ignored);
        if (right && strcmp(said, right) == 0) *value = 1;
        free(right);
    }
    free(said);
    return st;
}

static ae_status best_f1(double *value, const char *answer, const ae_request *r) {
    *value = 0;
    for (size_t i = 0; i < r->n_references; i++) {
        const double f1 = ae_words_f1(answer, r->references[i]);
        if (f1 < 0) return out_of_memory();
        *value = fmax(*value, f1);
    }
    return AE_OK;
}

static double mathematics(const char *answer, const ae_request *r) {
    for (size_t i = 0; i < r->n_references; i++)
        if (ae_math_same(answer, r->references[i])) return 1;
    return 0;
}

/* What a classifier says of each answer. */
static ae_status judge(double **values, const ae_scoring *s, ae_metric_kind kind, const ae_texts *answers) {
    const ae_judges *j = s->judges;
    *values = calloc(answers->n, sizeof **values);
    if (!*values) return out_of_memory();
    return (kind == AE_METRIC_TOXICITY ? j->toxicity : j->sentiment)(
        j->context, (const char *const *)answers->items, answers->n, *values);
}

static ae_status toxicity(ae_scoring *s, size_t at, ptrdiff_t d, const ae_texts *answers) {
    double *p, sum = 0, most = 0, above = 0;
    const ae_status st = judge(&p, s, AE_METRIC_TOXICITY, answers);
    for (size_t i = 0; st == AE_OK && i < answers->n; i++) {
        sum += p[i];
        most = fmax(most, p[i]);
        above += p[i] >= 0.5;
    }
    free(p);
    const double n = (double)answers->n,
                 columns[AE_TOXICITY_COLUMNS] = {sum / n, most, most >= 0.5, above / n};
    for (size_t i = 0; i < AE_TOXICITY_COLUMNS; i++) s->columns[at + i].values[d].v[0] = columns[i];
    return st;
}

static ae_status sentiment(double *value, const ae_scoring *s, const ae_texts *answers) {
    double *x, sum = 0;
    const ae_status st = judge(&x, s, AE_METRIC_SENTIMENT, answers);
    for (size_t i = 0; st == AE_OK && i < answers->n; i++) sum += x[i];
    free(x);
    *value = sum / (double)answers->n;
    return st;
}

/* Near: at most a tenth of the tokens would have to be changed. */
static ae_status recall(ae_scoring *s, size_t at, ptrdiff_t d, const ae_outcome *o, const ae_texts *answers) {
    enum { NEAR = 10 };
    const bool counts = o->n_recalled > 0 && answers->n > 0;
    const ptrdiff_t distance = counts ? ae_recall_distance(answers->items[0], o->recalled, o->n_recalled) : 0;
    if (distance < 0) return out_of_memory();
    s->columns[at].values[d] = (ae_value){{counts && distance == 0, 0, 0, counts}};
    s->columns[at + 1].values[d] = (ae_value){{counts && NEAR * distance <= o->n_recalled, 0, 0, counts}};
    s->columns[at + 2].values[d].v[0] = counts;
    return AE_OK;
}

static ae_status queue_programs(ae_scoring *s, const ae_metric *m, size_t at, ptrdiff_t d,
                                const ae_texts *answers) {
    for (size_t i = 0; i < answers->n; i++) {
        if (s->n_programs == s->room) {
            const size_t room = 2 * s->room + 64;
            ae_program *grown = realloc(s->programs, room * sizeof *grown);
            if (!grown) return out_of_memory();
            s->programs = grown;
            s->room = room;
        }
        ae_program *p = &s->programs[s->n_programs];
        const ae_status st = ae_request_program(&p->text, s->documents, d, answers->items[i]);
        if (st != AE_OK) return st;
        p->document = d;
        p->metric = m;
        p->column = at;
        s->n_programs++;
    }
    return AE_OK;
}

static size_t n_columns(const ae_metric *m) {
    switch (m->kind) {
    case AE_METRIC_PASS_AT_K:
        return m->n_k;
    case AE_METRIC_TOXICITY:
        return AE_TOXICITY_COLUMNS;
    case AE_METRIC_MEMORISED:
        return AE_RECALL_COLUMNS;
    default:
        return 1;
    }
}

static ae_status score_answers(ae_scoring *s, const ae_metric *m, ae_pattern *const *ignored, size_t *at,
                               ptrdiff_t d, const ae_request *r, const ae_outcome *o,
                               const ae_texts *answers) {
    double *value = &s->columns[*at].values[d].v[0];
    const size_t first = *at;
    *at += n_columns(m);
    if (m->kind == AE_METRIC_MEMORISED) return recall(s, first, d, o, answers);
    if (answers->n == 0)
        return AE_FAIL(AE_ERR_USAGE, "%s: expected an answer after the filter, found none", s->leaf->file);
    switch (m->kind) {
    case AE_METRIC_EXACT_MATCH:
        return exact_match(value, answers->items[0], r, m, ignored);
    case AE_METRIC_F1:
        return best_f1(value, answers->items[0], r);
    case AE_METRIC_MATH:
        *value = mathematics(answers->items[0], r);
        return AE_OK;
    case AE_METRIC_TOXICITY:
        return toxicity(s, first, d, answers);
    case AE_METRIC_SENTIMENT:
        return sentiment(value, s, answers);
    case AE_METRIC_PASS_AT_K:
        return queue_programs(s, m, first, d, answers);
    default:
        return AE_FAIL(AE_ERR_DEFECT, "%s: %s is no metric of answers", s->leaf->file, m->name);
    }
}

ae_status ae_scoring_answers(ae_scoring *s, size_t f, size_t *at, ptrdiff_t d, const ae_request *r,
                             const ae_outcome *o) {
    ae_texts answers = {0};
    ae_pattern *const *ignored = s->ignored;
    ae_status st = ae_scoring_filter(&answers, s, f, o);
    for (size_t m = 0; st == AE_OK && m < s->leaf->n_metrics; m++) {
        st = score_answers(s, &s->leaf->metrics[m], ignored, at, d, r, o, &answers);
        ignored += s->leaf->metrics[m].n_ignore;
    }
    ae_texts_free(&answers);
    if (st == AE_ERR_INPUT) {
        char where[AE_WHERE_BYTES];
        ae_task_documents_where(where, sizeof where, s->documents, d);
        ae_fail_prefix("%s: answer to %s: filter %s", s->leaf->name, where, s->leaf->filters[f].name);
    }
    return st;
}
