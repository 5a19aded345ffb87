#include "model/pass.h"

#include "core/arena.h"
#include "model/decode.h"
#include "model/views.h"

#include <assert.h>
#include <stdlib.h>

/* The residual stream of a training pass: x[0] (embedding), mid[0], x[1], ..., x[blocks]. A block keeps x, mid and the `saved` blobs of
 * its two branches; one that recomputes keeps x only and fills mid and the blobs, shared by all of that sort, again in backward.
 * Where backward does not need the stream (ae_stream_needed), and in a scoring pass, it goes to and fro between two buffers. */
typedef struct {
    ae_f32 *x, *mid;
    ae_room temporal_saved, mlp_saved;
} block_memory;

struct ae_pass {
    const ae_backend *be;
    ae_pass_dims dims;
    bool training;
    void *memory;
    size_t memory_bytes;

    ae_i32 *tokens, *targets, *positions;
    ae_f32 *weights, *cosines, *sines, *nll, *rstd;
    block_memory blocks[AE_BLOCKS_MAX];
    ae_f32 *x_last, *d;
    ae_act *kept;    /* x_last as activations, where backward does not read the stream */
    ae_room scratch; /* of blocks and head: never at the same time */
    ae_act *z, *dz;
    ae_room head_scratch;
    ae_i32 *top_ids;
    ae_f32 *top_logprobs;
    ptrdiff_t top_room; /* entries of the two above */
    float *host_nll;
};

/* ---- memory: the same calls count and take ---- */

static ae_head_dims head_dims(const ae_model_config *c, ptrdiff_t M) {
    return (ae_head_dims){.M = M, .D = c->D, .V = c->V, .cap = (float)c->soft_cap};
}

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
    p->nll = take_f32(a, M);
    p->rstd = take_f32(a, M);
    p->cosines = attends ? take_f32(a, angles) : NULL;
    p->sines = attends ? take_f32(a, angles) : NULL;
}

/* The sizes for block i of a training pass, with what backward recomputes. */
static ae_block_dims block_dims(const ae_pass *p, const ae_block_dims *n, ptrdiff_t i) {
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
    block_memory shared = {0};
    if (p->dims.recompute_blocks > 0)
        shared = (block_memory){.temporal_saved = ae_arena_room(a, most.temporal_saved),
                                .mlp_saved = ae_arena_room(a, most.mlp_saved)};
    if (p->dims.recompute_blocks > 0 || !needed) shared.mid = take_f32(a, stream);
    if (!needed) shared.x = take_f32(a, stream);
    for (ptrdiff_t i = 0; i < c->blocks; i++) {
        const bool again = i < p->dims.recompute_blocks;
        block_memory *b = &p->blocks[i];
        *b = shared;
        if (again || needed) b->x = take_f32(a, stream);
        if (again) continue;
        const ae_block_kind kind = c->pattern[i] == AE_ATTENTION ? AE_ATTENTION : AE_RECURRENT;
        const ae_block_dims own = block_dims(p, n, i);
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
    const block_memory shared = {.x = take_f32(a, M * c->D),
                                 .mid = take_f32(a, M * c->D),
                                 .temporal_saved = ae_arena_room(a, most.temporal_saved),
                                 .mlp_saved = ae_arena_room(a, most.mlp_saved)};
    for (ptrdiff_t i = 0; i < c->blocks; i++) p->blocks[i] = shared;
    p->x_last = shared.x;
}

static void take_scratch(ae_pass *p, ae_arena *a, const ae_backend *be, const ae_model_config *c,
                         const ae_block_dims *n) {
    const ptrdiff_t M = n->B * n->T;
    const size_t mark = ae_arena_mark(a), act_bytes = (size_t)(M * c->D) * be->act_bytes;
    const ae_block_dims first = block_dims(p, n, 0); /* recomputes most, which needs most scratch */
    p->scratch = ae_arena_room(a, ae_model_most_block_bytes(be, c, p->training ? &first : n).scratch);
    ae_arena_rewind(a, mark);
    p->z = ae_arena_take(a, act_bytes);
    p->dz = p->training ? ae_arena_take(a, act_bytes) : NULL;
    p->head_scratch = ae_arena_room(a, be->head_scratch_bytes(be, head_dims(c, M)));
    p->top_room = p->training ? 0 : ae_max(M, c->V);
    p->top_ids = take_f32(a, p->top_room);
    p->top_logprobs = take_f32(a, p->top_room);
}

static void take_memory(ae_pass *p, ae_arena *a, const ae_backend *be, const ae_model_config *c) {
    const ae_block_dims n = ae_model_block_dims(c, p->dims.B, p->dims.T, !p->training);
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

static size_t host_bytes(ae_pass_dims n) {
    return (size_t)(n.B * n.T) * sizeof(float);
}

size_t ae_pass_bytes(const ae_backend *be, const ae_model_config *c, ae_pass_dims n, bool training) {
    ae_pass p = {.be = be, .dims = clamped(n, c, training), .training = training};
    ae_arena counting = {0};
    take_memory(&p, &counting, be, c);
    return counting.high + host_bytes(n) + sizeof p;
}

ae_status ae_pass_new(ae_pass **out, const ae_model *m, ae_pass_dims n, bool training) {
    const ae_backend *be = m->be;
    ae_pass *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL) return AE_FAIL(AE_ERR_RESOURCE, "memory of a pass: out of memory");
    p->be = be;
    p->dims = clamped(n, &m->config, training);
    p->training = training;
    ae_arena a = {0};
    take_memory(p, &a, be, &m->config);
    p->memory_bytes = a.high;
    p->host_nll = malloc(host_bytes(n));
    ae_status st = p->host_nll != NULL ? be->alloc(be, &p->memory, p->memory_bytes)
                                       : AE_FAIL(AE_ERR_RESOURCE, "memory of a pass: out of memory");
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
    free(p->host_nll);
    free(p);
}

/* ---- forward ---- */

static void upload_batch(ae_pass *p, const ae_model_config *c, const ae_micro_batch *b) {
    assert(b->B >= 1 && b->T >= 1 && b->B <= p->dims.B && b->T <= p->dims.T);
    const ptrdiff_t M = b->B * b->T, R = ae_model_rope_elements(c);
    const size_t bytes = (size_t)M * sizeof(int32_t);
    p->be->upload(p->be, p->tokens, b->tokens, bytes);
    p->be->upload(p->be, p->positions, b->positions, bytes);
    if (b->targets != NULL) p->be->upload(p->be, p->targets, b->targets, bytes);
    if (b->weights != NULL) p->be->upload(p->be, p->weights, b->weights, bytes);
    if (p->cosines != NULL) p->be->rope_table(p->be, p->cosines, p->sines, p->positions, c->rope_theta, M, R);
}

static ae_f32 *output_of(const ae_pass *p, const ae_model *m, ptrdiff_t block) {
    return block + 1 < m->config.blocks ? p->blocks[block + 1].x : p->x_last;
}

/* One block's part of a state, from the micro-batch's first row on. */
typedef struct {
    ae_recurrent_state recurrent;
    ae_attention_state attention;
} block_state;

static block_state state_of(const ae_decode_state *s, ptrdiff_t block, ptrdiff_t first) {
    const ae_decode_part part = ae_decode_state_part(s, block, first);
    return (block_state){{.h = part.first, .conv = part.second}, {.k = part.first, .v = part.second}};
}

/* The ops replace a state by the next one; `before` stays for backward, and for running forward again. */
static void forward_block(const ae_pass *p, const ae_model *m, ptrdiff_t i, const ae_block_dims *all,
                          const ae_carried_rows *carried) {
    const block_memory *b = &p->blocks[i];
    const ae_block_dims dims = block_dims(p, all, i), *n = &dims;
    const ae_block_batch batch = {p->positions, p->cosines, p->sines};
    const ae_block_room room = {b->temporal_saved, b->mlp_saved, p->scratch};
    block_state s;
    if (carried != NULL) {
        s = state_of(carried->after, i, carried->first);
        if (carried->before != carried->after)
            ae_decode_state_copy_block(carried->after, carried->first, carried->before, carried->first, i,
                                       n->B);
    }
    ae_model_block_forward(m, i, output_of(p, m, i), b->mid, b->x, carried != NULL ? &s.recurrent : NULL,
                           carried != NULL ? &s.attention : NULL, &batch, n, &room);
}

static void advance(const ae_carried_rows *carried, const ae_micro_batch *b) {
    assert(carried->first >= 0 && carried->first + b->B <= carried->after->B);
    for (ptrdiff_t row = 0; row < b->B; row++)
        carried->after->positions[carried->first + row] = b->positions[(row + 1) * b->T - 1] + 1;
}

/* Up to the normed last stream, which the head takes. */
static void forward(ae_pass *p, const ae_model *m, const ae_micro_batch *b) {
    const ae_model_config *c = &m->config;
    const ae_block_dims n = ae_model_block_dims(c, b->B, b->T, !p->training);
    const ptrdiff_t M = b->B * b->T;
    upload_batch(p, c, b);
    p->be->embedding_forward(p->be, p->blocks[0].x, m->views->table->packed, p->tokens,
                             ae_model_embedding_scale(c), M, c->D);
    for (ptrdiff_t i = 0; i < c->blocks; i++) forward_block(p, m, i, &n, b->carried);
    if (b->carried != NULL) advance(b->carried, b);
    p->be->rmsnorm_forward(p->be, p->z, p->kept, p->rstd, p->x_last, m->views->final_norm->value,
                           (float)c->norm_eps, M, c->D);
}

/* ---- backward ---- */

static void backward_block(const ae_pass *p, const ae_model *m, ptrdiff_t i, const ae_block_dims *all,
                           const ae_carried_rows *carried) {
    const ae_backend *be = p->be;
    const block_memory *b = &p->blocks[i];
    const ae_block_view *v = &m->views->blocks[i];
    const ae_block_batch batch = {p->positions, p->cosines, p->sines};
    const ae_block_dims dims = block_dims(p, all, i), *n = &dims;
    /* writes the same bits over the output, which nobody reads any more */
    if (i < p->dims.recompute_blocks) forward_block(p, m, i, all, carried);
    block_state s;
    if (carried != NULL) s = state_of(carried->before, i, carried->first);
    be->mlp_backward(be, p->d, &v->mlp.g, b->mlp_saved, b->mid, &v->mlp.p, n, p->scratch);
    if (v->kind == AE_ATTENTION)
        be->attention_block_backward(be, p->d, &v->attention.g, b->temporal_saved, b->x, &v->attention.p,
                                     carried != NULL ? &s.attention : NULL, &batch, n, p->scratch);
    else
        be->recurrent_backward(be, p->d, &v->recurrent.g, b->temporal_saved, b->x, &v->recurrent.p,
                               carried != NULL ? &s.recurrent : NULL, &batch, n, p->scratch);
}

static void backward(ae_pass *p, const ae_model *m, const ae_micro_batch *b) {
    const ae_model_config *c = &m->config;
    const ae_model_views *v = m->views;
    const ae_block_dims n = ae_model_block_dims(c, b->B, b->T, false);
    const ptrdiff_t M = b->B * b->T;
    const ae_act *kept = p->kept != NULL ? p->kept : ae_act_of(p->be, NULL, p->x_last, 0);
    p->be->zero(p->be, p->d, (size_t)(M * c->D) * sizeof(float));
    p->be->rmsnorm_backward(p->be, p->d, v->final_norm->grad, p->dz, kept, v->final_norm->value, p->rstd, M,
                            c->D);
    for (ptrdiff_t i = c->blocks - 1; i >= 0; i--) backward_block(p, m, i, &n, b->carried);
    if (v->table->grad != NULL)
        p->be->embedding_backward(p->be, v->table->grad, p->d, p->tokens, ae_model_embedding_scale(c), M,
                                  c->D);
}

/* ---- passes ---- */

static double fetch_nll(const ae_pass *p, const ae_micro_batch *b, float *nll) {
    const ptrdiff_t M = b->B * b->T;
    float *values = nll != NULL ? nll : p->host_nll;
    double sum = 0;
    p->be->download(p->be, values, p->nll, (size_t)M * sizeof *values);
    for (ptrdiff_t i = 0; i < M; i++) {
        if (b->weights[i] != 0.0f) sum += (double)b->weights[i] * (double)values[i];
    }
    return sum;
}

void ae_model_train_pass(ae_model *m, ae_pass *p, const ae_micro_batch *b, float grad_scale, double *nll_sum,
                         float *nll) {
    assert(p->training && m->training && (b->carried == NULL || b->carried->before != b->carried->after));
    const ae_model_views *v = m->views;
    forward(p, m, b);
    p->be->head_loss(p->be, p->nll, p->dz, v->table->grad, p->z, v->table->packed, p->targets, p->weights,
                     grad_scale, head_dims(&m->config, b->B * b->T), p->head_scratch);
    *nll_sum = fetch_nll(p, b, nll);
    backward(p, m, b);
}

/* The likeliest ids of rows [first, first + rows) travel through the device's room for them. */
static void score_rows(ae_pass *p, const ae_model *m, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t top,
                       int32_t *ids, float *logprobs) {
    const ae_backend *be = p->be;
    const ae_model_config *c = &m->config;
    const ae_i32 *targets =
        (const ae_i32 *)(const void *)((const char *)p->targets + (size_t)first * sizeof(int32_t));
    be->head_score(be, ae_f32_at(p->nll, first), top > 0 ? p->top_ids : NULL,
                   top > 0 ? p->top_logprobs : NULL, top, ae_act_at(be, p->z, first * c->D),
                   m->views->table->packed, targets, ae_f32_at(p->weights, first), head_dims(c, rows),
                   p->head_scratch);
    if (top == 0) return;
    const size_t n = (size_t)(rows * top);
    be->download(be, ids + first * top, p->top_ids, n * sizeof *ids);
    be->download(be, logprobs + first * top, p->top_logprobs, n * sizeof *logprobs);
}

void ae_model_score_pass(const ae_model *m, ae_pass *p, const ae_micro_batch *b, double *nll_sum, float *nll,
                         ptrdiff_t top, int32_t *top_ids, float *top_logprobs) {
    assert(top >= 0 && top <= m->config.V && (top == 0 || !p->training));
    const ptrdiff_t M = b->B * b->T, most = top > 0 ? ae_min(M, p->top_room / top) : M;
    forward(p, m, b);
    for (ptrdiff_t first = 0; first < M; first += most)
        score_rows(p, m, first, ae_min(most, M - first), top, top_ids, top_logprobs);
    const double sum = fetch_nll(p, b, nll);
    if (nll_sum != NULL) *nll_sum = sum;
}

ae_status ae_model_logits(const ae_model *m, ae_pass *p, const ae_micro_batch *b, float *logits) {
    enum { ROWS = 64 };
    const ae_backend *be = p->be;
    const ptrdiff_t V = m->config.V, D = m->config.D, M = b->B * b->T;
    const size_t bytes = (size_t)(ae_min(M, ROWS) * V) * sizeof(float);
    void *room = NULL;
    const ae_status st = be->alloc(be, &room, bytes);
    if (st != AE_OK) return st;
    forward(p, m, b);
    for (ptrdiff_t at = 0; at < M; at += ROWS) {
        const ptrdiff_t rows = ae_min(ROWS, M - at);
        be->head_logits(be, room, ae_act_at(be, p->z, at * D), m->views->table->packed,
                        head_dims(&m->config, rows));
        be->download(be, logits + at * V, room, (size_t)(rows * V) * sizeof(float));
    }
    be->release(be, room, bytes);
    return AE_OK;
}
