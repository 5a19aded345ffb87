#include "rlhf/answers.h"

#include <stdlib.h>

ae_status ae_written_set_init(ae_written_set *s, ptrdiff_t n, ptrdiff_t prompts) {
    *s = (ae_written_set){.n = n, .prompts = prompts, .items = calloc((size_t)n, sizeof *s->items)};
    return s->items ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%td answers: out of memory", n);
}

float *ae_written_values(const ae_written_set *s, ptrdiff_t i, ae_written_array a) {
    return s->memory + (ptrdiff_t)a * s->tokens + s->items[i].first;
}

static const float *shown(const ae_written_set *s, ptrdiff_t i, ae_written_array a, unsigned has) {
    return has >> a & 1 ? ae_written_values(s, i, a) : NULL;
}

static void show(ae_written_set *s, ptrdiff_t i, unsigned has) {
    ae_rl_answer *seen = &s->items[i].seen;
    seen->now = shown(s, i, AE_WRITTEN_NOW, has);
    seen->before = shown(s, i, AE_WRITTEN_BEFORE, has);
    if (seen->writer == AE_RL_POLICY) seen->sampled = shown(s, i, AE_WRITTEN_SAMPLED, has);
    seen->reference = shown(s, i, AE_WRITTEN_REFERENCE, has);
    seen->anchor = shown(s, i, AE_WRITTEN_ANCHOR, has);
    seen->kl = shown(s, i, AE_WRITTEN_KL, has);
    seen->values = shown(s, i, AE_WRITTEN_VALUES, has);
    seen->values_now = shown(s, i, AE_WRITTEN_VALUES_NOW, has);
}

ae_status ae_written_set_take(ae_written_set *s, unsigned has) {
    s->tokens = 0;
    for (ptrdiff_t i = 0; i < s->n; i++) {
        s->items[i].first = s->tokens;
        s->tokens += s->items[i].seen.n;
    }
    free(s->memory);
    s->memory = calloc((size_t)(s->tokens * AE_WRITTEN_ARRAYS) + 1, sizeof *s->memory);
    if (!s->memory) return AE_FAIL(AE_ERR_RESOURCE, "arrays of %td answers: out of memory", s->n);
    for (ptrdiff_t i = 0; i < s->n; i++) show(s, i, has);
    return AE_OK;
}

void ae_written_free(ae_written *w) {
    free(w->tokens);
    free(w->text);
    free(w->drawn);
    *w = (ae_written){0};
}

void ae_written_set_free(ae_written_set *s) {
    for (ptrdiff_t i = 0; i < s->n && s->items; i++) ae_written_free(&s->items[i]);
    free(s->items);
    free(s->memory);
    *s = (ae_written_set){0};
}
