#include "rlhf/pair_scorer.h"

#include "data/row_name.h"

#include <stdlib.h>
#include <string.h>

ae_status ae_pair_scorer_init(ae_pair_scorer *s, ptrdiff_t most, ptrdiff_t rows, ptrdiff_t T) {
    s->most = most;
    s->choices = calloc((size_t)most, sizeof *s->choices);
    s->scored = calloc((size_t)most, sizeof *s->scored);
    s->room = malloc((size_t)(s->micro_rows * T) * sizeof *s->room);
    if (!s->choices || !s->scored || !s->room)
        return AE_FAIL(AE_ERR_RESOURCE, "scores of pairs: out of memory");
    return ae_pair_batch_init(&s->pairs, most, rows, T);
}

void ae_pair_scorer_free(ae_pair_scorer *s) {
    ae_pair_batch_free(&s->pairs);
    free(s->choices);
    free(s->scored);
    free(s->room);
    *s = (ae_pair_scorer){0};
}

/* ---- pairs from elsewhere ---- */

static bool counts(const ae_batch *b, ptrdiff_t begin, ptrdiff_t end) {
    for (ptrdiff_t i = begin; i < end; i++)
        if (b->weights[i] > 0) return true;
    return false;
}

static bool same_answers(const ae_batch *b, const ae_pair_place *p) {
    const ptrdiff_t n = p->chosen_end - p->chosen_begin;
    return n == p->rejected_end - p->rejected_begin &&
           memcmp(b->tokens + p->chosen_begin, b->tokens + p->rejected_begin,
                  (size_t)n * sizeof *b->tokens) == 0;
}

static ae_status check_pair(const ae_pair_scorer *s, const ae_pair_place *p) {
    char name[1024];
    const ae_batch *b = &s->pairs.batch;
    const ae_pair_choice *choice = &s->choices[p->choice];
    const bool learns =
        counts(b, p->chosen_begin, p->chosen_end) && counts(b, p->rejected_begin, p->rejected_end);
    if (learns && !same_answers(b, p)) return AE_OK;
    ae_row_name(name, sizeof name, choice->set->set, choice->set->usable[choice->pair], "pair");
    return learns ? AE_FAIL(AE_ERR_INPUT, "%s: expected chosen and rejected to differ, found the same", name)
                  : AE_FAIL(AE_ERR_INPUT, "%s: expected tokens that count in both answers, found none", name);
}

ae_status ae_pair_scorer_run(ae_pair_scorer *s, ptrdiff_t n) {
    ae_status st = ae_pair_batch_fill(&s->pairs, s->choices, n);
    for (ptrdiff_t i = 0; i < n && st == AE_OK; i++) st = check_pair(s, &s->pairs.pairs[i]);
    if (st == AE_OK)
        ae_preference_score(s->keys, s->model, s->pass, &s->pairs, s->micro_rows, s->room, s->scored);
    return st;
}
