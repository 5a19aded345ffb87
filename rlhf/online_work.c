#include "rlhf/online_parts.h"

#include <stdlib.h>
#include <string.h>

static void forget_prompts(ae_online_work *w) {
    for (ptrdiff_t i = 0; i < w->n; i++) free((void *)(uintptr_t)w->prompts[i].tokens);
    free(w->prompts);
    free(w->meta);
    free(w->meta_bytes);
    w->prompts = NULL;
    w->meta = NULL;
    w->meta_bytes = NULL;
    w->n = 0;
}

void ae_online_free_work(void *self, void *work) {
    ae_online_work *w = work;
    (void)self;
    if (!w) return;
    forget_prompts(w);
    free(w->position);
    free(w);
}

ae_status ae_online_new_work(void *self, void **work) {
    (void)self;
    *work = calloc(1, sizeof(ae_online_work));
    return *work ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "loader: out of memory");
}

static ae_status make_room(ae_online_work *w, ptrdiff_t n) {
    forget_prompts(w);
    w->prompts = calloc((size_t)n, sizeof *w->prompts);
    w->meta = calloc((size_t)n, sizeof *w->meta);
    w->meta_bytes = calloc((size_t)n, sizeof *w->meta_bytes);
    if (w->prompts && w->meta && w->meta_bytes) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "loader: out of memory");
}

/* The next prompt of the piece. */
static ae_status take(ae_online_work *w, const ae_prompt_set *s, int64_t at) {
    const int64_t document = s->usable[at], *starts = ae_token_set_doc_starts(s->set);
    const int64_t n = starts[document + 1] - starts[document];
    int32_t *ids = malloc((size_t)n * sizeof *ids);
    if (!ids) return AE_FAIL(AE_ERR_RESOURCE, "loader: out of memory");
    w->prompts[w->n] = (ae_rollout_prompt){ids, (ptrdiff_t)n, document, w->n};
    w->meta[w->n] = ae_token_set_meta(s->set, document, &w->meta_bytes[w->n]);
    w->n++;
    return ae_token_set_read(s->set, starts[document], n, ids, NULL);
}

ae_status ae_online_take_prompts(ae_online_work *w, const ae_prompt_set *s, ptrdiff_t n) {
    ae_status st = make_room(w, n);
    for (ptrdiff_t i = 0; i < n && st == AE_OK; i++) st = take(w, s, i);
    return st;
}

ae_status ae_online_next(void *self, void *work) {
    ae_online *o = self;
    ae_online_work *w = work;
    const bool fresh = o->made_pass == 0;
    ae_status st = make_room(w, o->order.per_step);
    for (ptrdiff_t i = 0; fresh && st == AE_OK && i < o->order.per_step; i++) {
        const ae_ordered next = ae_order_next(&o->order, i);
        st = take(w, &o->sets[next.set], next.piece);
    }
    if (fresh) ae_order_end_step(&o->order);
    o->made_pass = (o->made_pass + 1) % o->config->keys.rl.passes;
    free(w->position);
    w->position = NULL;
    return st == AE_OK ? ae_order_position(&o->order, &w->position) : st;
}
