#include "model/decode.h"

#include "core/arena.h"
#include "model/views.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- buffers ---- */

struct ae_decoder {
    const ae_model *model;
    ptrdiff_t adapter_rank;
    ptrdiff_t group, chunk; /* rows of a step at once, tokens of a prefill at once */
    void *memory;
    size_t memory_bytes;

    ae_i32 *tokens, *positions, *targets;
    ae_f32 *weights, *nll, *rstd, *cosines, *sines;
    ae_f32 *x, *mid, *logits;
    ae_block_room room;
    ae_act *z;
    ae_room head_scratch;

    int32_t *host_ids; /* [M] positions or targets on their way to the device */
    float *host_reals; /* [M] weights and nll */
};

static size_t more(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Sequences that go through the blocks together with n tokens each; of one token those of a step. */
static ptrdiff_t together(const ae_decoder *d, ptrdiff_t n) {
    const ptrdiff_t rows = ae_min(AE_LINEAR_EACH, ae_max(d->group, d->chunk));
    return ae_max(1, ae_min(d->group, rows / n));
}

/* What serves a chunk of one sequence and a few tokens of several. */
static ae_model_block_bytes most_bytes(const ae_decoder *d, const ae_backend *be, const ae_model_config *c) {
    const ae_block_dims fill = ae_model_block_dims(c, d->adapter_rank, 1, d->chunk, true);
    ae_model_block_bytes most = ae_model_most_block_bytes(be, c, &fill);
    for (ptrdiff_t n = 1; n <= AE_LINEAR_EACH && (n == 1 || n <= d->chunk); n++) {
        const ae_block_dims few = ae_model_block_dims(c, d->adapter_rank, together(d, n), n, true);
        const ae_model_block_bytes f = ae_model_most_block_bytes(be, c, &few);
        most.temporal_saved = more(most.temporal_saved, f.temporal_saved);
        most.mlp_saved = more(most.mlp_saved, f.mlp_saved);
        most.scratch = more(most.scratch, f.scratch);
    }
    return most;
}

static ae_head_dims head_dims(const ae_model_config *c, ptrdiff_t M) {
    return (ae_head_dims){.M = M, .D = c->D, .V = c->V, .cap = (float)c->soft_cap};
}

static void *take_f32(ae_arena *a, ptrdiff_t n) {
    return ae_arena_take(a, (size_t)n * sizeof(float));
}

static void take_memory(ae_decoder *d, ae_arena *a, const ae_backend *be, const ae_model_config *c) {
    const ptrdiff_t M = ae_max(d->group, d->chunk), angles = M * ae_model_rope_elements(c) / 2;
    const ae_model_block_bytes most = most_bytes(d, be, c);
    const bool attends = ae_model_attends(c);
    d->tokens = take_f32(a, M);
    d->positions = take_f32(a, M);
    d->targets = take_f32(a, M);
    d->weights = take_f32(a, M);
    d->nll = take_f32(a, M);
    d->rstd = take_f32(a, M);
    d->cosines = attends ? take_f32(a, angles) : NULL;
    d->sines = attends ? take_f32(a, angles) : NULL;
    d->x = take_f32(a, M * c->D);
    d->mid = take_f32(a, M * c->D);
    d->logits = take_f32(a, d->group * c->V);
    d->room = (ae_block_room){ae_arena_room(a, most.temporal_saved), ae_arena_room(a, most.mlp_saved),
                              ae_arena_room(a, most.scratch)};
    d->z = ae_arena_take(a, (size_t)(M * c->D) * be->act_bytes);
    d->head_scratch = ae_arena_room(a, be->head_scratch_bytes(be, head_dims(c, M)));
}

static ptrdiff_t group_of(ptrdiff_t B) {
    return ae_max(1, ae_min(B, AE_LINEAR_EACH));
}

static size_t host_bytes(const ae_decoder *d) {
    return (size_t)ae_max(d->group, d->chunk) * sizeof(float);
}

size_t ae_decoder_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t adapter_rank, ptrdiff_t B,
                        ptrdiff_t chunk) {
    ae_decoder d = {.adapter_rank = adapter_rank, .group = group_of(B), .chunk = ae_max(chunk, 1)};
    ae_arena counting = {0};
    take_memory(&d, &counting, be, c);
    return counting.high + 2 * host_bytes(&d);
}

ae_status ae_decoder_new(ae_decoder **out, const ae_model *m, ptrdiff_t B, ptrdiff_t chunk) {
    ae_decoder *d = calloc(1, sizeof *d);
    *out = NULL;
    if (d == NULL) return AE_FAIL(AE_ERR_RESOURCE, "decoder: out of memory");
    d->model = m;
    d->adapter_rank = m->params.adapter_rank;
    d->group = group_of(B);
    d->chunk = ae_max(chunk, 1);
    ae_arena a = {0};
    take_memory(d, &a, m->be, &m->config);
    d->memory_bytes = a.high;
    d->host_ids = malloc(host_bytes(d));
    d->host_reals = malloc(host_bytes(d));
    ae_status st = d->host_ids != NULL && d->host_reals != NULL
                       ? m->be->alloc(m->be, &d->memory, d->memory_bytes)
                       : AE_FAIL(AE_ERR_RESOURCE, "decoder: out of memory");
    if (st != AE_OK) {
        ae_decoder_delete(d);
        return st;
    }
    a = (ae_arena){.base = d->memory, .capacity = d->memory_bytes};
    take_memory(d, &a, m->be, &m->config);
    *out = d;
    return AE_OK;
}

void ae_decoder_delete(ae_decoder *d) {
    if (d == NULL) return;
    d->model->be->release(d->model->be, d->memory, d->memory_bytes);
    free(d->host_ids);
    free(d->host_reals);
    free(d);
}

/* ---- one call through the blocks ---- */

static void forward_block(ae_decoder *d, ae_decode_state *s, ptrdiff_t i, ptrdiff_t b,
                          const ae_block_dims *n) {
    const ae_block_batch batch = {d->positions, d->cosines, d->sines};
    const ae_decode_part part = ae_decode_state_part(s, i, b);
    ae_recurrent_state recurrent = {.h = part.first, .conv = part.second};
    ae_attention_state rings = {.k = part.first, .v = part.second};
    ae_block_dims own = *n;
    own.W = part.places;
    ae_model_block_forward(d->model, i, d->x, d->mid, d->x, &recurrent, &rings, &batch, &own, &d->room);
}

/* B rows of T tokens into the sequences from b on; z holds the normed last stream. Positions are in host_ids. */
static void forward(ae_decoder *d, ae_decode_state *s, ptrdiff_t b, const int32_t *tokens, ptrdiff_t B,
                    ptrdiff_t T) {
    const ae_model *m = d->model;
    const ae_backend *be = m->be;
    const ae_model_config *c = &m->config;
    const ptrdiff_t M = B * T;
    ae_block_dims n = ae_model_block_dims(c, d->adapter_rank, B, T, true);
    n.each = M <= AE_LINEAR_EACH;
    be->upload(be, d->tokens, tokens, (size_t)M * sizeof *tokens);
    be->upload(be, d->positions, d->host_ids, (size_t)M * sizeof *d->host_ids);
    if (d->cosines != NULL)
        be->rope_table(be, d->cosines, d->sines, d->positions, c->rope_theta, M, ae_model_rope_elements(c));
    be->embedding_forward(be, d->x, m->views->table->packed, d->tokens, ae_model_embedding_scale(c), M, c->D);
    for (ptrdiff_t i = 0; i < c->blocks; i++) forward_block(d, s, i, b, &n);
    be->rmsnorm_forward(be, d->z, NULL, d->rstd, d->x, m->views->final_norm->value, (float)c->norm_eps, M,
                        c->D);
}

static void fetch_logits(ae_decoder *d, ptrdiff_t first, ptrdiff_t rows, float *logits) {
    const ae_model *m = d->model;
    m->be->head_logits(m->be, d->logits, ae_act_at(m->be, d->z, first * m->config.D), m->views->table->packed,
                       head_dims(&m->config, rows));
    m->be->download(m->be, logits, d->logits, (size_t)(rows * m->config.V) * sizeof *logits);
}

/* Room for n tokens more of the B sequences from b on. */
static ae_status reserve(ae_decode_state *s, ptrdiff_t b, ptrdiff_t B, ptrdiff_t n) {
    ptrdiff_t furthest = 0;
    for (ptrdiff_t i = b; i < b + B; i++) furthest = ae_max(furthest, (ptrdiff_t)s->positions[i]);
    return ae_decode_state_reserve(s, furthest + n);
}

ae_status ae_decoder_step(ae_decoder *d, ae_decode_state *s, const int32_t *tokens, ptrdiff_t B,
                          float *logits) {
    assert(B >= 1 && B <= s->B && s->model == d->model);
    const ae_status st = reserve(s, 0, B, 1);
    if (st != AE_OK) return st;
    for (ptrdiff_t at = 0; at < B; at += d->group) {
        const ptrdiff_t rows = ae_min(d->group, B - at);
        memcpy(d->host_ids, s->positions + at, (size_t)rows * sizeof *s->positions);
        forward(d, s, at, tokens + at, rows, 1);
        for (ptrdiff_t b = 0; b < rows; b++) s->positions[at + b]++;
        if (logits != NULL) fetch_logits(d, 0, rows, logits + at * d->model->config.V);
    }
    return AE_OK;
}

/* Log-probabilities of the next `n` tokens, of which `next` is the first: row t of z predicts next[t]. */
static void fetch_logprobs(ae_decoder *d, const int32_t *next, ptrdiff_t n, float *logprobs) {
    const ae_backend *be = d->model->be;
    const size_t bytes = (size_t)n * sizeof(float);
    for (ptrdiff_t t = 0; t < n; t++) d->host_reals[t] = 1.0f;
    be->upload(be, d->targets, next, (size_t)n * sizeof *next);
    be->upload(be, d->weights, d->host_reals, bytes);
    be->head_score(be, d->nll, NULL, NULL, 0, d->z, d->model->views->table->packed, d->targets, d->weights,
                   head_dims(&d->model->config, n), d->head_scratch);
    be->download(be, d->host_reals, d->nll, bytes);
    for (ptrdiff_t t = 0; t < n; t++) logprobs[t] = -d->host_reals[t];
}

ae_status ae_decoder_prefill(ae_decoder *d, ae_decode_state *s, ptrdiff_t b, const int32_t *tokens,
                             ptrdiff_t n, float *logits, float *logprobs) {
    assert(b >= 0 && b < s->B && s->model == d->model && n >= 0);
    const ae_status st = reserve(s, b, 1, n);
    if (st != AE_OK) return st;
    if (logprobs != NULL && n > 0) logprobs[0] = NAN;
    for (ptrdiff_t at = 0; at < n; at += d->chunk) {
        const ptrdiff_t T = ae_min(d->chunk, n - at), known = ae_min(T, n - at - 1);
        for (ptrdiff_t t = 0; t < T; t++) d->host_ids[t] = s->positions[b] + (int32_t)t;
        forward(d, s, b, tokens + at, 1, T);
        s->positions[b] += (int32_t)T;
        if (logprobs != NULL && known > 0) fetch_logprobs(d, tokens + at + 1, known, logprobs + at + 1);
        if (logits != NULL && at + T == n) fetch_logits(d, T - 1, 1, logits);
    }
    return AE_OK;
}

/* The last row of each sequence moves to the front: row i from one that is not before it. */
static void gather_last(ae_decoder *d, ptrdiff_t B, ptrdiff_t T) {
    const ae_backend *be = d->model->be;
    const ptrdiff_t D = d->model->config.D;
    for (ptrdiff_t i = 0; i < B && T > 1; i++)
        be->copy(be, ae_act_at(be, d->z, i * D), ae_act_at(be, d->z, (i * T + T - 1) * D),
                 (size_t)D * be->act_bytes);
}

ptrdiff_t ae_decoder_together(const ae_decoder *d, ptrdiff_t n) {
    return together(d, n);
}

ae_status ae_decoder_read(ae_decoder *d, ae_decode_state *s, ptrdiff_t b, ptrdiff_t B, const int32_t *tokens,
                          ptrdiff_t n) {
    assert(b >= 0 && B >= 1 && b + B <= s->B && s->model == d->model);
    assert(n >= 1 && n <= d->chunk && B <= together(d, n));
    const ae_status st = reserve(s, b, B, n);
    if (st != AE_OK) return st;
    for (ptrdiff_t i = 0; i < B; i++)
        for (ptrdiff_t t = 0; t < n; t++) d->host_ids[i * n + t] = s->positions[b + i] + (int32_t)t;
    forward(d, s, b, tokens, B, n);
    for (ptrdiff_t i = 0; i < B; i++) s->positions[b + i] += (int32_t)n;
    return AE_OK;
}

void ae_decoder_place_logits(ae_decoder *d, ptrdiff_t first, ptrdiff_t rows, float *logits) {
    const ptrdiff_t V = d->model->config.V;
    for (ptrdiff_t r = 0; r < rows; r += d->group)
        fetch_logits(d, first + r, ae_min(d->group, rows - r), logits + r * V);
}

static ae_status prefill_few(ae_decoder *d, ae_decode_state *s, ptrdiff_t b, ptrdiff_t B,
                             const int32_t *tokens, ptrdiff_t n, float *logits) {
    const ae_status st = ae_decoder_read(d, s, b, B, tokens, n);
    if (st != AE_OK) return st;
    gather_last(d, B, n);
    fetch_logits(d, 0, B, logits);
    return AE_OK;
}

ae_status ae_decoder_prefill_each(ae_decoder *d, ae_decode_state *s, ptrdiff_t b, ptrdiff_t B,
                                  const int32_t *tokens, ptrdiff_t n, float *logits) {
    const ptrdiff_t V = d->model->config.V;
    assert(b >= 0 && b + B <= s->B && s->model == d->model && n >= 1);
    ae_status st = AE_OK;
    for (ptrdiff_t i = 0, each; st == AE_OK && i < B; i += each) {
        each = n <= d->chunk ? ae_min(together(d, n), B - i) : 1;
        if (each == 1)
            st = ae_decoder_prefill(d, s, b + i, tokens + i * n, n, logits + i * V, NULL);
        else
            st = prefill_few(d, s, b + i, each, tokens + i * n, n, logits + i * V);
    }
    return st;
}
