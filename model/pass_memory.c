#include "model/pass_memory.h"

#include "core/arena.h"

#include <stdlib.h>

/* The same calls count and take. */

static void *take_f32(ae_arena *a, ptrdiff_t n) {
    return ae_arena_take(a, (size_t)n * sizeof(float));
}

static void take_batch(ae_pass *p, ae_arena *a, const ae_model_config *c, ptrdiff_t M) {
    const bool attends = ae_model_attends(c);
    const ptrdiff_t angles = M * ae_model_rope_elements(c) / 2;
    p->tokens = take_f32(a, M);
    p->targets = take_f32(a, M);
    p->positions = take_f32(a, M);
    p->weights = take_f32(a, M);
    p->results = take_f32(a, M);
    p->factors = take_f32(a, M);
    p->entropies = take_f32(a, M);
    p->sum = ae_arena_take(a, sizeof(double));
    p->rstd = take_f32(a, M);
    p->cosines = attends ? take_f32(a, angles) : NULL;
    p->sines = attends ? take_f32(a, angles) : NULL;
}

ae_block_dims ae_pass_block_dims(const ae_pass *p, const ae_block_dims *n, ptrdiff_t i) {
    ae_block_dims d = *n;
    if (!ae_stream_needed(p->be)) d.recompute |= AE_RECOMPUTE_GATES;
    if (i < p->dims.recompute_mlps) d.recompute |= AE_RECOMPUTE_MLP;
    return d;
}

static void take_training_blocks(ae_pass *p, ae_arena *a, const ae_backend *be, const ae_model_config *c,
                                 const ae_block_dims *n) {
    const ae_model_block_bytes most = ae_model_most_block_bytes(be, c, n);
    const ptrdiff_t stream = n->B * n->T * c->D;
    const bool needed = ae_stream_needed(be);
    ae_pass_block shared = {0};
    if (p->dims.recompute_blocks > 0)
        shared = (ae_pass_block){.temporal_saved = ae_arena_room(a, most.temporal_saved),
                                 .mlp_saved = ae_arena_room(a, most.mlp_saved)};
    if (p->dims.recompute_blocks > 0 || !needed) shared.mid = take_f32(a, stream);
    if (!needed) shared.x = take_f32(a, stream);
    for (ptrdiff_t i = 0; i < c->blocks; i++) {
        const bool again = i < p->dims.recompute_blocks;
        ae_pass_block *b = &p->blocks[i];
        *b = shared;
        if (again || needed) b->x = take_f32(a, stream);
        if (again) continue;
        const ae_block_kind kind = c->pattern[i] == AE_ATTENTION ? AE_ATTENTION : AE_RECURRENT;
        const ae_block_dims own = ae_pass_block_dims(p, n, i);
        if (needed) b->mid = take_f32(a, stream);
        b->temporal_saved = ae_arena_room(a, ae_model_temporal_saved_bytes(be, kind, &own));
        b->mlp_saved = ae_arena_room(a, be->mlp_saved_bytes(be, &own));
    }
    p->x_last = needed ? take_f32(a, stream) : shared.x;
    p->kept = needed ? NULL : ae_arena_take(a, (size_t)stream * be->act_bytes);
    /* the stream has passed when its gradient begins, unless blocks run forward again */
    p->d = needed || p->dims.recompute_blocks > 0 ? take_f32(a, stream) : shared.x;
}

static void take_scoring_blocks(ae_pass *p, ae_arena *a, const ae_backend *be, const ae_model_config *c,
                                const ae_block_dims *n) {
    const ae_model_block_bytes most = ae_model_most_block_bytes(be, c, n);
    const ptrdiff_t M = n->B * n->T;
    const ae_pass_block shared = {.x = take_f32(a, M * c->D),
                                  .mid = take_f32(a, M * c->D),
                                  .temporal_saved = ae_arena_room(a, most.temporal_saved),
                                  .mlp_saved = ae_arena_room(a, most.mlp_saved)};
    for (ptrdiff_t i = 0; i < c->blocks; i++) p->blocks[i] = shared;
    p->x_last = shared.x;
}

/* For the largest of the stages. */
static size_t head_scratch_bytes(const ae_pass *p, const ae_backend *be, const ae_model_config *c,
                                 ptrdiff_t M) {
    const size_t head = be->head_scratch_bytes(be, ae_pass_head_dims(c, M));
    const size_t kl =
        p->dims.kl_width > 0 ? be->head_kl_scratch_bytes(be, M, c->V, c->D, p->dims.kl_width) : 0;
    return head > kl ? head : kl;
}

static void take_scratch(ae_pass *p, ae_arena *a, const ae_backend *be, const ae_model_config *c,
                         const ae_block_dims *n) {
    const ptrdiff_t M = n->B * n->T;
    const size_t mark = ae_arena_mark(a), act_bytes = (size_t)(M * c->D) * be->act_bytes;
    const ae_block_dims first = ae_pass_block_dims(p, n, 0); /* recomputes most, which needs most scratch */
    p->scratch = ae_arena_room(a, ae_model_most_block_bytes(be, c, p->training ? &first : n).scratch);
    ae_arena_rewind(a, mark);
    p->z = ae_arena_take(a, act_bytes);
    p->dz = p->training ? ae_arena_take(a, act_bytes) : NULL;
    p->head_scratch = ae_arena_room(a, head_scratch_bytes(p, be, c, M));
    p->top_room = p->training ? 0 : ae_max(M, c->V);
    p->top_ids = take_f32(a, p->top_room);
    p->top_logprobs = take_f32(a, p->top_room);
}

static void take_memory(ae_pass *p, ae_arena *a, const ae_backend *be, const ae_model_config *c) {
    const ae_block_dims n = ae_model_block_dims(c, p->dims.adapter_rank, p->dims.B, p->dims.T, !p->training);
    take_batch(p, a, c, n.B * n.T);
    if (p->training)
        take_training_blocks(p, a, be, c, &n);
    else
        take_scoring_blocks(p, a, be, c, &n);
    take_scratch(p, a, be, c, &n);
}

static ae_pass_dims clamped(ae_pass_dims n, const ae_model_config *c, bool training) {
    n.recompute_blocks = training ? ae_max(0, ae_min(n.recompute_blocks, c->blocks)) : 0;
    n.recompute_mlps = training ? ae_max(0, ae_min(n.recompute_mlps, c->blocks)) : 0;
    return n;
}

size_t ae_pass_bytes(const ae_backend *be, const ae_model_config *c, ae_pass_dims n, bool training) {
    ae_pass p = {.be = be, .dims = clamped(n, c, training), .training = training};
    ae_arena counting = {0};
    take_memory(&p, &counting, be, c);
    return counting.high + sizeof p;
}

ae_status ae_pass_new(ae_pass **out, const ae_model *m, ae_pass_dims n, bool training) {
    const ae_backend *be = m->be;
    ae_pass *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL) return AE_FAIL(AE_ERR_RESOURCE, "memory of a pass: out of memory");
    p->be = be;
    p->dims = clamped(n, &m->config, training);
    p->dims.adapter_rank = m->params.adapter_rank;
    p->training = training;
    ae_arena a = {0};
    take_memory(p, &a, be, &m->config);
    p->memory_bytes = a.high;
    const ae_status st = be->alloc(be, &p->memory, p->memory_bytes);
    if (st != AE_OK) {
        ae_pass_delete(p);
        return st;
    }
    a = (ae_arena){.base = p->memory, .capacity = p->memory_bytes};
    take_memory(p, &a, be, &m->config);
    *out = p;
    return AE_OK;
}

void ae_pass_delete(ae_pass *p) {
    if (p == NULL) return;
    p->be->release(p->be, p->memory, p->memory_bytes);
    free(p);
}
