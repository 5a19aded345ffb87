#include "ops/cpu/attention_rows.h"
#include "ops/cpu/table.h"

#include <assert.h>
#include <string.h>

typedef struct {
    const ae_backend *be;
    ae_attention_dims n;
    const ae_elem *q, *k, *v, *k_ring, *v_ring, *o, *d_o;
    const float *lse;
    float scale; /* 1 / sqrt(H) */
    bool narrow;
    const int32_t *positions;
    ae_elem *dq, *dk, *dv;
    float *parts; /* of dk and dv, a pair for each superblock at work and the one before them */
    ptrdiff_t supers, slots, part;
    void *scratch;
} backward;

/* Queries [t0, t0 + tokens) of sequence b, keys of the tokens [base, base + keys), and their parts of dk, dv. */
typedef struct {
    ptrdiff_t b, t0, tokens, base, keys;
    float *dk, *dv;
    ae_attn_keys rows;
} super_block;

static super_block super_of(const backward *io, ptrdiff_t index) {
    const ae_attention_dims n = io->n;
    const ptrdiff_t each = ae_ceil_div(n.T, AE_ATTN_SUPER), b = index / each,
                    t0 = index % each * AE_ATTN_SUPER, tokens = ae_min(AE_ATTN_SUPER, n.T - t0);
    const ptrdiff_t base = ae_attn_first_key(0, t0, io->positions[b * n.T + t0], n.W);
    float *dk = io->parts + 2 * (index % io->slots) * io->part;
    const ae_attn_keys rows = ae_attn_keys_of(io->k, io->v, io->k_ring, io->v_ring, io->positions, b, n);
    return (super_block){b, t0, tokens, base, t0 + tokens - base, dk, dk + io->part, rows};
}

static void row_deltas(float *delta, const backward *io, const ae_attn_block *q) {
    const ptrdiff_t H = io->n.H;
    for (ptrdiff_t r = 0; r < q->rows; r++) {
        const ptrdiff_t at = q->at * H + r * q->ldq;
        vf sum = vf_set(0);
        for (ptrdiff_t i = 0; i < H; i += VF)
            sum = vf_fma(va_load_n(io->d_o + at + i, H - i), va_load_n(io->o + at + i, H - i), sum);
        delta[r] = vf_sum(sum);
    }
}

AE_INLINE void gradient_tile(const ae_attn_room *w, const backward *io, const ae_attn_block *q,
                             const ae_attn_tile *tile, bool narrow) {
    for (ptrdiff_t r = 0; r < q->rows; r++)
        ae_attn_row_gradient(w->s + r * AE_ATTN_LD, w->dp + r * AE_ATTN_LD, tile->seen[r / q->heads],
                             io->scale, io->lse[ae_attn_row_at(q, r, io->n.N)], w->sum[r], tile->count,
                             narrow);
}

/* The five products of one tile. */
static void backward_tile(const backward *io, const super_block *s, const ae_attn_block *q,
                          const ae_attn_room *w, const ae_attn_tile *tile) {
    const ae_attention_dims n = io->n;
    const ae_attn_keys *keys = &s->rows;
    const ae_elem *k = ae_attn_key(keys, keys->k, keys->k_ring, tile->s0, q->group, n),
                  *v = ae_attn_key(keys, keys->v, keys->v_ring, tile->s0, q->group, n);
    ptrdiff_t ld = 0;
    const float *wide = AE_ROW_NAME(ae_cpu_attention_widen)(w, &ld, v, tile, n);
    AE_ROW_NAME(ae_cpu_attention_turn)(w, wide, ld, tile, n);
    AE_ROW_NAME(ae_cpu_attention_scores)(w->dp, w, q, tile, io->d_o, w->d_o, v, n);
    wide = AE_ROW_NAME(ae_cpu_attention_widen)(w, &ld, k, tile, n);
    AE_ROW_NAME(ae_cpu_attention_turn)(w, wide, ld, tile, n);
    AE_ROW_NAME(ae_cpu_attention_scores)(w->s, w, q, tile, io->q, w->q, k, n);
    if (w->narrow)
        gradient_tile(w, io, q, tile, true);
    else
        gradient_tile(w, io, q, tile, false);
    if (tile->s0 >= keys->past) { /* no gradient flows into the ring */
        const ptrdiff_t own = ((tile->s0 - keys->past - s->base) * n.G + q->group) * n.H;
        AE_ROW_NAME(ae_cpu_attention_keys)(s->dv + own, w, q, tile, w->s, io->d_o, w->d_o, n);
        AE_ROW_NAME(ae_cpu_attention_keys)(s->dk + own, w, q, tile, w->dp, io->q, w->q, n);
    }
    AE_ROW_NAME(ae_cpu_attention_out)(w, q, tile, w->dp, k, wide, ld, n);
}

static void backward_block(const backward *io, const super_block *s, const ae_attn_block *q,
                           const ae_attn_room *w) {
    const ae_attention_dims n = io->n;
    const int32_t *positions = io->positions + s->b * n.T;
    const ptrdiff_t past = s->rows.past, last = past + q->t0 + q->tokens,
                    start = ae_attn_first_key(past, q->t0, positions[q->t0], n.W);
    row_deltas(w->sum, io, q);
    if (!w->narrow) {
        AE_ROW_NAME(ae_cpu_attention_rows)(w->q, io->q, q, n.H);
        AE_ROW_NAME(ae_cpu_attention_rows)(w->d_o, io->d_o, q, n.H);
    }
    for (ptrdiff_t s0 = start, count; s0 < last; s0 += count) {
        const ae_attn_tile tile = ae_attn_tile_of(q, &s->rows, positions, n.W, s0, s0 == start);
        backward_tile(io, s, q, w, &tile);
        count = tile.count;
    }
    for (ptrdiff_t r = 0; r < q->rows; r++)
        ae_attn_row_finish(io->dq + q->at * n.H + r * q->ldq, w->out + r * n.H, io->scale, n.H);
}

static void backward_super(const backward *io, ptrdiff_t index) {
    const super_block s = super_of(io, index);
    const ae_attn_room w = ae_attn_room_of(io->be, io->scratch, io->narrow, io->n);
    const ptrdiff_t step = ae_attn_queries(io->n.N, io->narrow), lanes = ae_attn_lanes(io->n);
    memset(s.dk, 0, 2 * (size_t)io->part * sizeof(float));
    for (ptrdiff_t t = 0; t < s.tokens; t += step)
        for (ptrdiff_t lane = 0; lane < lanes; lane++) {
            const ae_attn_block q = ae_attn_block_of(io->n, s.b, s.t0 + t, ae_min(step, s.tokens - t), lane);
            backward_block(io, &s, &q, &w);
        }
}

static void add(float *to, const float *from, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF)
        vf_store_n(to + i, vf_load_n(from + i, n - i) + vf_load_n(to + i, n - i), n - i);
}

/* The first `done` values of a part are finished, the others added to the next part. */
static void finish_part(ae_elem *out, float *next, const float *part, float scale, ptrdiff_t done,
                        ptrdiff_t n) {
    enum { CHUNK = 4096 };
#pragma omp for nowait
    for (ptrdiff_t i = 0; i < done; i += CHUNK)
        ae_attn_row_finish(out + i, part + i, scale, ae_min(CHUNK, done - i));
#pragma omp for nowait
    for (ptrdiff_t i = done; i < n; i += CHUNK) add(next + i - done, part + i, ae_min(CHUNK, n - i));
}

/* The keys that no later superblock sees are finished; the others go on to the next one's part, which is complete but for them. */
static void hand_on(const backward *io, ptrdiff_t index) {
    const ptrdiff_t ld = io->n.G * io->n.H;
    const super_block s = super_of(io, index);
    const super_block next = super_of(io, ae_min(index + 1, io->supers - 1));
    const bool last = index + 1 == io->supers || next.b != s.b;
    const ptrdiff_t done = (last ? s.keys : ae_min(s.keys, next.base - s.base)) * ld,
                    at = (s.b * io->n.T + s.base) * ld;
    finish_part(io->dk + at, next.dk, s.dk, io->scale, done, s.keys * ld);
    finish_part(io->dv + at, next.dv, s.dv, 1.0f, done, s.keys * ld);
#pragma omp barrier
}

void AE_ROW_NAME(ae_cpu_attention_backward)(const ae_backend *be, ae_act *dq, ae_act *dk, ae_act *dv,
                                            const ae_act *d_o, const ae_act *q, const ae_act *k,
                                            const ae_act *v, const ae_act *k_ring, const ae_act *v_ring,
                                            const ae_act *o, const ae_f32 *lse, const ae_i32 *positions,
                                            ae_attention_dims n, ae_room scratch) {
    assert(scratch.bytes >= AE_ROW_NAME(ae_cpu_attention_scratch_bytes)(be, n, 0));
    const ptrdiff_t wave = ae_attn_wave(n);
    const backward io = {.be = be,
                         .n = n,
                         .q = ae_ca(q),
                         .k = ae_ca(k),
                         .v = ae_ca(v),
                         .k_ring = ae_ca(k_ring),
                         .v_ring = ae_ca(v_ring),
                         .o = ae_ca(o),
                         .d_o = ae_ca(d_o),
                         .lse = ae_cf(lse),
                         .scale = 1.0f / sqrtf((float)n.H),
                         .narrow = ae_attn_narrow(be),
                         .positions = ae_ci(positions),
                         .dq = ae_ma(dq),
                         .dk = ae_ma(dk),
                         .dv = ae_ma(dv),
                         .parts = ae_attn_behind_rooms(scratch.at, n),
                         .supers = n.B * ae_ceil_div(n.T, AE_ATTN_SUPER),
                         .slots = wave + 1,
                         .part = ae_attn_span(n) * n.G * n.H,
                         .scratch = scratch.at};
#pragma omp parallel num_threads(ae_attn_team(be, n))
    for (ptrdiff_t first = 0; first < io.supers; first += wave) {
        const ptrdiff_t end = ae_min(first + wave, io.supers);
#pragma omp for schedule(dynamic)
        for (ptrdiff_t i = first; i < end; i++) backward_super(&io, i);
        for (ptrdiff_t i = ae_max(0, first - 1); i < end - 1; i++) hand_on(&io, i);
        if (end == io.supers) hand_on(&io, end - 1);
    }
}
