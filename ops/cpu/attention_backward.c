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
    float *sums;  /* dk and dv of the row at work, [T, G, H] each */
    float *parts; /* of dk and dv, a pair for each superblock at work */
    ptrdiff_t part;
    void *scratch;
} backward;

/* Queries [t0, t0 + tokens) of sequence b, all of one stretch; they see, of what takes gradients, the keys of the
 * rows [base, base + keys). */
typedef struct {
    ptrdiff_t b, t0, tokens, base, keys;
    ae_attn_keys rows;
} super_block;

static super_block super_at(const backward *io, ptrdiff_t b, ptrdiff_t t0, const ae_attn_keys *rows) {
    const ptrdiff_t tokens = ae_min(AE_ATTN_SUPER, rows->last - t0),
                    seen = ae_attn_first_key(rows, t0, io->positions[b * io->n.T + t0], io->n.W),
                    base = rows->trunk >= 0 ? seen : ae_max(seen, rows->past); /* rings take none */
    return (super_block){b, t0, tokens, base, ae_attn_row_of(rows, t0 + tokens) - base, *rows};
}

/* The first one of a stretch; b is B after the last. */
static super_block super_of_stretch(const backward *io, ptrdiff_t b, ptrdiff_t first) {
    if (b == io->n.B) return (super_block){.b = b};
    const ae_attn_keys rows =
        ae_attn_keys_of(io->k, io->v, io->k_ring, io->v_ring, io->positions, b, first, io->n);
    return super_at(io, b, first, &rows);
}

static super_block super_after(const backward *io, const super_block *s) {
    const ptrdiff_t t = s->t0 + s->tokens;
    if (s->b == io->n.B) return *s;
    if (t < s->rows.last) return super_at(io, s->b, t, &s->rows);
    return t < io->n.T ? super_of_stretch(io, s->b, t) : super_of_stretch(io, s->b + 1, 0);
}

/* Parts of dk and of dv, for one of the superblocks at work. */
static float *part_of(const backward *io, ptrdiff_t slot, int which) {
    return io->parts + (2 * slot + which) * io->part;
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
static void backward_tile(const backward *io, const super_block *s, ptrdiff_t slot, const ae_attn_block *q,
                          const ae_attn_room *w, const ae_attn_tile *tile) {
    const ae_attention_dims n = io->n;
    const ae_attn_keys *keys = &s->rows;
    const ae_elem *k = ae_attn_key(keys, keys->k, keys->k_past, tile->s0, q->group, n),
                  *v = ae_attn_key(keys, keys->v, keys->v_past, tile->s0, q->group, n);
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
    if (tile->s0 >= s->base) {
        const ptrdiff_t at = ((tile->s0 - s->base) * n.G + q->group) * n.H;
        float *dk = part_of(io, slot, 0), *dv = part_of(io, slot, 1);
        AE_ROW_NAME(ae_cpu_attention_keys)(dv + at, w, q, tile, w->s, io->d_o, w->d_o, n);
        AE_ROW_NAME(ae_cpu_attention_keys)(dk + at, w, q, tile, w->dp, io->q, w->q, n);
    }
    AE_ROW_NAME(ae_cpu_attention_out)(w, q, tile, w->dp, k, wide, ld, n);
}

static void backward_block(const backward *io, const super_block *s, ptrdiff_t slot, const ae_attn_block *q,
                           const ae_attn_room *w) {
    const ae_attention_dims n = io->n;
    const int32_t *positions = io->positions + s->b * n.T;
    const ptrdiff_t last = ae_attn_row_of(&s->rows, q->t0 + q->tokens),
                    start = ae_attn_first_key(&s->rows, q->t0, positions[q->t0], n.W);
    row_deltas(w->sum, io, q);
    if (!w->narrow) {
        AE_ROW_NAME(ae_cpu_attention_rows)(w->q, io->q, q, n.H);
        AE_ROW_NAME(ae_cpu_attention_rows)(w->d_o, io->d_o, q, n.H);
    }
    for (ptrdiff_t s0 = start, count; s0 < last; s0 += count) {
        const ae_attn_tile tile = ae_attn_tile_of(q, &s->rows, positions, n.W, s0, s0 == start);
        backward_tile(io, s, slot, q, w, &tile);
        count = tile.count;
    }
    for (ptrdiff_t r = 0; r < q->rows; r++)
        ae_attn_row_finish(io->dq + q->at * n.H + r * q->ldq, w->out + r * n.H, io->scale, n.H);
}

static void backward_super(const backward *io, const super_block *s, ptrdiff_t slot) {
    const ae_attn_room w = ae_attn_room_of(io->be, io->scratch, io->narrow, io->n);
    const ptrdiff_t step = ae_attn_queries(io->n.N, io->narrow), lanes = ae_attn_lanes(io->n);
    const size_t bytes = (size_t)(s->keys * io->n.G * io->n.H) * sizeof(float);
    for (int which = 0; which < 2; which++) memset(part_of(io, slot, which), 0, bytes);
    for (ptrdiff_t t = 0; t < s->tokens; t += step)
        for (ptrdiff_t lane = 0; lane < lanes; lane++) {
            const ae_attn_block q =
                ae_attn_block_of(io->n, s->b, s->t0 + t, ae_min(step, s->tokens - t), lane);
            backward_block(io, s, slot, &q, &w);
        }
}

/* What follows runs in all threads of a region together. */
enum { CHUNK = 4096 };

static void add(float *to, const float *from, ptrdiff_t n) {
#pragma omp for nowait
    for (ptrdiff_t at = 0; at < n; at += CHUNK)
        for (ptrdiff_t i = at; i < ae_min(at + CHUNK, n); i += VF) {
            const ptrdiff_t left = ae_min(at + CHUNK, n) - i;
            vf_store_n(to + i, vf_load_n(from + i, left) + vf_load_n(to + i, left), left);
        }
}

static void clear(float *x, ptrdiff_t n) {
#pragma omp for nowait
    for (ptrdiff_t i = 0; i < n; i += CHUNK) memset(x + i, 0, (size_t)ae_min(CHUNK, n - i) * sizeof *x);
}

static void finish(ae_elem *out, const float *sums, float scale, ptrdiff_t n) {
#pragma omp for nowait
    for (ptrdiff_t i = 0; i < n; i += CHUNK)
        ae_attn_row_finish(out + i, sums + i, scale, ae_min(CHUNK, n - i));
}

/* A part joins the sums of its row: rows of the trunk where that lies, the others in the stretch. */
static void add_part(const backward *io, const super_block *s, float *sums, const float *part) {
    const ptrdiff_t ld = io->n.G * io->n.H, past = ae_max(0, s->rows.past - s->base), own = s->keys - past;
    if (past > 0) add(sums + (s->rows.trunk + 1 - past) * ld, part, past * ld);
    add(sums + (s->rows.first + s->base + past - s->rows.past) * ld, part + past * ld, own * ld);
}

/* The sums of a row begin with its first superblock and are finished after its last one. */
static void add_super(const backward *io, const super_block *s, ptrdiff_t slot) {
    const ptrdiff_t n = io->n.T * io->n.G * io->n.H;
    float *dk = io->sums, *dv = io->sums + n;
    if (s->t0 == 0) {
        clear(io->sums, 2 * n);
#pragma omp barrier
    }
    add_part(io, s, dk, part_of(io, slot, 0));
    add_part(io, s, dv, part_of(io, slot, 1));
#pragma omp barrier
    if (s->t0 + s->tokens < io->n.T) return;
    finish(io->dk + s->b * n, dk, io->scale, n);
    finish(io->dv + s->b * n, dv, 1.0f, n);
#pragma omp barrier
}

/* Each superblock makes its parts; then these are added, in order. */
static void backward_wave(const backward *io, super_block *s, ptrdiff_t wave) {
    const super_block first = *s;
#pragma omp for schedule(dynamic)
    for (ptrdiff_t i = 0; i < wave; i++) {
        super_block own = first;
        for (ptrdiff_t k = 0; k < i; k++) own = super_after(io, &own);
        if (own.b < io->n.B) backward_super(io, &own, i);
    }
    for (ptrdiff_t i = 0; i < wave && s->b < io->n.B; i++) {
        add_super(io, s, i);
        *s = super_after(io, s);
    }
}

void AE_ROW_NAME(ae_cpu_attention_backward)(const ae_backend *be, ae_act *dq, ae_act *dk, ae_act *dv,
                                            const ae_act *d_o, const ae_act *q, const ae_act *k,
                                            const ae_act *v, const ae_act *k_ring, const ae_act *v_ring,
                                            const ae_act *o, const ae_f32 *lse, const ae_i32 *positions,
                                            ae_attention_dims n, ae_room scratch) {
    assert(scratch.bytes >= AE_ROW_NAME(ae_cpu_attention_scratch_bytes)(be, n, 0));
    float *sums = ae_attn_behind_rooms(scratch.at, n);
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
                         .sums = sums,
                         .parts = sums + 2 * n.T * n.G * n.H,
                         .part = ae_attn_span(n) * n.G * n.H,
                         .scratch = scratch.at};
#pragma omp parallel num_threads(ae_attn_team(be, n))
    for (super_block s = super_of_stretch(&io, 0, 0); s.b < n.B;) backward_wave(&io, &s, ae_attn_wave(n));
}
