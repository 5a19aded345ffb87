#include "benchmark/scoring_parts.h"
#include "benchmark/words.h"
#include "core/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a choice's log-probability is divided by. */
static double length_of(ae_metric_kind kind, const ae_request *r, const ae_outcome *o, ptrdiff_t c) {
    switch (kind) {
    case AE_METRIC_ACC_NORM:
        return (double)ae_words_characters(r->choices[c]);
    case AE_METRIC_ACC_BYTES:
        return (double)strlen(r->choices[c]);
    case AE_METRIC_ACC_TOKENS:
        return (double)o->choices[c].tokens;
    default:
        return 1;
    }
}

static double score_of(ae_metric_kind kind, const ae_request *r, const ae_outcome *o, ptrdiff_t c) {
    const double logprob = o->choices[c].logprob;
    if (kind == AE_METRIC_ACC_MUTUAL_INFO) return logprob - o->alone[c].logprob;
    return logprob / length_of(kind, r, o, c);
}

/* The first one of the best. */
static ptrdiff_t best_choice(ae_metric_kind kind, const ae_request *r, const ae_outcome *o) {
    ptrdiff_t best = 0;
    for (ptrdiff_t c = 1; c < r->n_choices; c++)
        if (score_of(kind, r, o, c) > score_of(kind, r, o, best)) best = c;
    return best;
}

static double gold_mass(const ae_request *r, const ae_outcome *o) {
    const double top = o->choices[best_choice(AE_METRIC_ACC, r, o)].logprob;
    double gold = 0, all = 0;
    for (ptrdiff_t c = 0; c < r->n_choices; c++) {
        const double p = exp(o->choices[c].logprob - top);
        all += p;
        if (r->gold[c]) gold += p;
    }
    return gold / all;
}

static ae_status fact(const char **text, const ae_request *r, const char *name, const char *where) {
    *text = json_string_value(json_object_get(r->facts, name));
    if (*text) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: facts.%s: expected text, found none; the metric bbq needs it", where,
                   name);
}

/* A list of choices. */
static ae_status fact_list(const json_t **list, const ae_request *r, const char *name, const char *where) {
    *list = json_object_get(r->facts, name);
    if (json_is_array(*list)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: facts.%s: expected a list of choices, found none; the metric bbq needs it", where,
                   name);
}

static bool has_choice(const json_t *list, ptrdiff_t c) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (json_is_integer(item) && json_integer_value(item) == c) return true;
    }
    return false;
}

static ae_status bbq(ae_value *v, const ae_request *r, const ae_outcome *o, const char *where) {
    const char *condition;
    const json_t *unknown, *biased;
    ae_status st = fact(&condition, r, "condition", where);
    if (st == AE_OK) st = fact_list(&unknown, r, "unknown", where);
    if (st == AE_OK) st = fact_list(&biased, r, "biased", where);
    if (st != AE_OK) return st;
    const ptrdiff_t said = best_choice(AE_METRIC_ACC, r, o);
    *v = (ae_value){{r->gold[said], has_choice(biased, said), !has_choice(unknown, said),
                     strcmp(condition, "disambig") == 0}};
    return AE_OK;
}

static ae_status need_two(const ae_request *r, const ae_metric *m, const char *where) {
    if (r->n_choices == 2) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected two choices, found %td", where, m->name, r->n_choices);
}

ae_status ae_scoring_choices(ae_scoring *s, const ae_metric *m, size_t *at, ptrdiff_t d, const ae_request *r,
                             const ae_outcome *o) {
    char where[AE_WHERE_BYTES];
    double *v = s->columns[*at].values[d].v;
    ae_status st = AE_OK;
    ae_task_documents_where(where, sizeof where, s->documents, d);
    switch (m->kind) {
    case AE_METRIC_BBQ: {
        ae_value all;
        st = bbq(&all, r, o, where);
        for (size_t k = 0; st == AE_OK && k < 5; k++) s->columns[*at + k].values[d] = all;
        *at += 5;
        return st;
    }
    case AE_METRIC_GOLD_MASS:
        v[0] = gold_mass(r, o);
        break;
    case AE_METRIC_LIKELIHOOD_DIFF:
        st = need_two(r, m, where);
        if (st == AE_OK) v[0] = fabs(o->choices[0].logprob - o->choices[1].logprob);
        break;
    case AE_METRIC_PREFERS_FIRST:
        st = need_two(r, m, where);
        if (st == AE_OK) v[0] = o->choices[0].logprob > o->choices[1].logprob;
        break;
    default:
        v[0] = r->gold[best_choice(m->kind, r, o)];
        break;
    }
    (*at)++;
    return st;
}
