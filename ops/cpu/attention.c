#include "ops/attention.h"

#include "ops/cpu/act.h"
#include "ops/cpu/table.h"
#include "ops/cpu/vmath.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Queries are taken in blocks, keys in tiles, so that a tile of scores [rows, KEYS] stays in the second-level cache. With one key head
 * the heads of a query lie next to each other as rows of one product; with several each head is a product of its own. */
enum {
    KEYS = 256,
    ROWS_MAX = 512,
    QUERIES_MAX = 64,
    SUPER = 256, /* queries that share a buffer of dk, dv */
    WAVE_MIN = 8
};

/* Keys of one sequence: token t of the call is row past + t. */
typedef struct {
    const float *k, *v;
    ptrdiff_t past;
} key_rows;

/* A block of queries as rows of one product: row r is token t0 + r / heads, head head0 + r % heads. */
typedef struct {
    ptrdiff_t t0, tokens, heads, head0, group;
    ptrdiff_t rows, ldq; /* rows of the product; distance between them */
    ptrdiff_t at;        /* first row among [B, T, N] */
} query_block;

typedef struct {
    float *s, *dp;    /* [ROWS_MAX, KEYS] */
    float *max, *sum; /* [ROWS_MAX] */
} room;

static ptrdiff_t queries_of(ptrdiff_t N) {
    ptrdiff_t q = QUERIES_MAX;
    while (q > 1 && q * N > ROWS_MAX) q /= 2;
    return q;
}

static ptrdiff_t rows_max(ae_attention_dims n) {
    return ae_max(ROWS_MAX, n.N);
}

static size_t room_floats(ae_attention_dims n) {
    return (size_t)(rows_max(n) * (2 * KEYS + 2));
}

/* What lies behind the rooms of all threads. */
static float *behind_rooms(float *scratch, ae_attention_dims n) {
    return scratch + (size_t)omp_get_max_threads() * room_floats(n);
}

/* Decoding: the scores of one head, one set a thread. */
static size_t scores_floats(ae_attention_dims n) {
    return (size_t)n.W + 16;
}

static room room_of(float *scratch, ae_attention_dims n) {
    float *base = scratch + (size_t)omp_get_thread_num() * room_floats(n);
    const ptrdiff_t rows = rows_max(n);
    return (room){.s = base,
                  .dp = base + rows * KEYS,
                  .max = base + 2 * rows * KEYS,
                  .sum = base + rows * (2 * KEYS + 1)};
}

/* Superblocks at work at once. Their parts are added in order, so this changes no bits. */
static ptrdiff_t wave_of(void) {
    return ae_max(WAVE_MIN, omp_get_max_threads());
}

/* Rows of keys that the queries of a superblock can see, at most. */
static ptrdiff_t span_of(ae_attention_dims n) {
    return SUPER + (n.W < 0 ? n.T : ae_min(n.W, n.T));
}

size_t AE_ROW_NAME(ae_cpu_attention_scratch_bytes)(ae_attention_dims n, int inference) {
    size_t floats = (size_t)omp_get_max_threads() * room_floats(n);
    const size_t key = (size_t)(n.G * n.H);
    if (inference) {
        /* a chunk (the ring and the chunk in a line) may end in a call with one token, which is decoding */
        const size_t line = 2 * (size_t)(n.W + n.T) * key,
                     scores = (size_t)omp_get_max_threads() * scores_floats(n);
        if (n.W > 0) floats += n.T > 1 && line > scores ? line : scores;
    } else {
        floats += (size_t)(n.B * n.T * n.N) + (size_t)wave_of() * 2 * (size_t)span_of(n) * key;
    }
    return floats * sizeof(float);
}

/* First key that token t sees, as a row of key_rows. */
static ptrdiff_t first_key(const key_rows *keys, ptrdiff_t t, int32_t position, ptrdiff_t W) {
    const ptrdiff_t back = W < 0 ? position : ae_min(position, W);
    return ae_max(0, keys->past + t - back);
}

static query_block block_of(ae_attention_dims n, ptrdiff_t b, ptrdiff_t t0, ptrdiff_t tokens,
                            ptrdiff_t lane) {
    const ptrdiff_t heads = n.G == 1 ? n.N : 1;
    return (query_block){.t0 = t0,
                         .tokens = tokens,
                         .heads = heads,
                         .head0 = lane,
                         .group = lane / (n.N / n.G),
                         .rows = tokens * heads,
                         .ldq = n.G == 1 ? n.H : n.N * n.H,
                         .at = (b * n.T + t0) * n.N + lane};
}

static ptrdiff_t lanes_of(ae_attention_dims n) {
    return n.G == 1 ? 1 : n.N;
}

/* Row r of a block among [B, T, N]. */
static ptrdiff_t row_at(const query_block *q, ptrdiff_t r, ptrdiff_t N) {
    return q->heads == 1 ? q->at + r * N : q->at + r;
}

/* scores = q k^T / sqrt(H) for keys [s0, s0 + count). */
static void score_tile(float *scores, const query_block *q, const float *queries, const float *k,
                       ptrdiff_t s0, ptrdiff_t count, ae_attention_dims n) {
    ae_gemm_serial(
        &(ae_gemm_args){.m = q->rows,
                        .n = count,
                        .k = n.H,
                        .alpha = 1.0f / sqrtf((float)n.H),
                        .a = ae_operand(AE_ELEM_F32, queries + q->at * n.H, q->ldq, false),
                        .b = ae_operand(AE_ELEM_F32, k + (s0 * n.G + q->group) * n.H, n.G * n.H, true),
                        .c = scores,
                        .ldc = KEYS});
}

/* Keys [lo, hi) of a tile that a row sees. */
typedef struct {
    ptrdiff_t lo, hi;
} visible;

static visible visible_of(const query_block *q, ptrdiff_t r, const key_rows *keys, const int32_t *positions,
                          ptrdiff_t W, ptrdiff_t s0, ptrdiff_t count) {
    const ptrdiff_t t = q->t0 + r / q->heads;
    const ptrdiff_t lo = first_key(keys, t, positions[t], W) - s0, hi = keys->past + t + 1 - s0;
    return (visible){ae_min(count, ae_max(0, lo)), ae_max(0, ae_min(count, hi))};
}

static float row_max(const float *x, visible v, float start) {
    vf best = vf_set(start);
    for (ptrdiff_t i = v.lo; i < v.hi; i += VF) {
        const ptrdiff_t left = v.hi - i;
        best = left >= VF ? vf_max(vf_load(x + i), best) : best;
        for (ptrdiff_t j = i; left < VF && j < v.hi; j++) best = vf_max(vf_set(x[j]), best);
    }
    return vf_max_of(best);
}

/* x = exp(x - shift) over what is visible, 0 elsewhere; the sum of the row. */
static float row_exp(float *x, visible v, float shift, ptrdiff_t count) {
    const vf s = vf_set(shift);
    vf sum = vf_set(0);
    ptrdiff_t i = v.lo;
    for (ptrdiff_t j = 0; j < v.lo; j++) x[j] = 0;
    for (; i + 4 * VF <= v.hi; i += 4 * VF) {
        vf e[4];
        AE_EACH(j, 4) e[j] = vf_load(x + i + j * VF) - s;
        vf_exp_each(e, 4);
        AE_EACH(j, 4) vf_store(x + i + j * VF, e[j]);
        sum = sum + ((e[0] + e[1]) + (e[2] + e[3]));
    }
    for (; i < v.hi; i += VF) {
        vf_store_n(x + i, vf_exp(vf_load_n(x + i, v.hi - i) - s), v.hi - i);
        sum = sum + vf_load_n(x + i, v.hi - i);
    }
    for (ptrdiff_t j = ae_max(v.hi, v.lo); j < count; j++) x[j] = 0;
    return vf_sum(sum);
}

static void row_scale(float *x, float by, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) vf_store_n(x + i, vf_set(by) * vf_load_n(x + i, n - i), n - i);
}

/* Softmax of one tile against the running maximum and sum; earlier output is brought to the new maximum. */
static void softmax_tile(const room *w, float *o, const query_block *q, const key_rows *keys,
                         const int32_t *positions, ptrdiff_t s0, ptrdiff_t count, bool first,
                         ae_attention_dims n) {
    for (ptrdiff_t r = 0; r < q->rows; r++) {
        float *scores = w->s + r * KEYS, *out = o + q->at * n.H + r * q->ldq;
        const visible v = visible_of(q, r, keys, positions, n.W, s0, count);
        const float before = first ? -INFINITY : w->max[r], now = row_max(scores, v, before);
        const float sum = row_exp(scores, v, now, count);
        const float keep = before == now ? 1.0f : expf(before - now);
        w->sum[r] = (first || before == -INFINITY ? 0.0f : w->sum[r] * keep) + sum;
        w->max[r] = now;
        if (!first && keep != 1.0f) row_scale(out, before == -INFINITY ? 0.0f : keep, n.H);
    }
}

static void forward_block(float *o, float *lse, const float *queries, const key_rows *keys,
                          const int32_t *positions, const query_block *q, const room *w,
                          ae_attention_dims n) {
    const ptrdiff_t last = keys->past + q->t0 + q->tokens;
    const ptrdiff_t start = first_key(keys, q->t0, positions[q->t0], n.W);
    for (ptrdiff_t s0 = start; s0 < last; s0 += KEYS) {
        const ptrdiff_t count = ae_min(KEYS, last - s0);
        score_tile(w->s, q, queries, keys->k, s0, count, n);
        softmax_tile(w, o, q, keys, positions, s0, count, s0 == start, n);
        ae_gemm_serial(&(ae_gemm_args){
            .m = q->rows,
            .n = n.H,
            .k = count,
            .alpha = 1,
            .a = ae_operand(AE_ELEM_F32, w->s, KEYS, false),
            .b = ae_operand(AE_ELEM_F32, keys->v + (s0 * n.G + q->group) * n.H, n.G * n.H, false),
            .beta = s0 == start ? 0.0f : 1.0f,
            .c = o + q->at * n.H,
            .ldc = q->ldq});
    }
    for (ptrdiff_t r = 0; r < q->rows; r++) {
        row_scale(o + q->at * n.H + r * q->ldq, 1.0f / w->sum[r], n.H);
        lse[row_at(q, r, n.N)] = w->max[r] + logf(w->sum[r]);
    }
}

static void forward_sequence(float *o, float *lse, const float *queries, const key_rows *keys,
                             const int32_t *positions, ptrdiff_t b, float *scratch, ae_attention_dims n) {
    const ptrdiff_t step = queries_of(n.N), lanes = lanes_of(n);
#pragma omp parallel for collapse(2) schedule(dynamic)
    for (ptrdiff_t t0 = 0; t0 < n.T; t0 += step) {
        for (ptrdiff_t lane = 0; lane < lanes; lane++) {
            const query_block q = block_of(n, b, t0, ae_min(step, n.T - t0), lane);
            const room w = room_of(scratch, n);
            forward_block(o, lse, queries, keys, positions, &q, &w, n);
        }
    }
}

/* One query head over a ring of keys and its own key, which comes last. */
static void decode_head(float *o, float *lse, const float *q, const float *k_ring, const float *v_ring,
                        const float *k, const float *v, int32_t position, float *scores, ptrdiff_t ld,
                        ae_attention_dims n) {
    const ptrdiff_t past = ae_min(position, n.W);
    const vf scale = vf_set(1.0f / sqrtf((float)n.H));
    for (ptrdiff_t s = 0; s <= past; s++) {
        const float *key = s < past ? k_ring + s * ld : k;
        vf sum = vf_set(0);
        for (ptrdiff_t i = 0; i < n.H; i += VF)
            sum = vf_fma(vf_load_n(q + i, n.H - i), vf_load_n(key + i, n.H - i), sum);
        scores[s] = vf_sum(sum * scale);
    }
    const visible all = {0, past + 1};
    const float most = row_max(scores, all, -INFINITY), total = row_exp(scores, all, most, past + 1);
    for (ptrdiff_t i = 0; i < n.H; i += VF) {
        vf sum = vf_set(scores[past]) * vf_load_n(v + i, n.H - i);
        for (ptrdiff_t s = 0; s < past; s++)
            sum = vf_fma(vf_set(scores[s]), vf_load_n(v_ring + s * ld + i, n.H - i), sum);
        vf_store_n(o + i, sum * vf_set(1.0f / total), n.H - i);
    }
    *lse = most + logf(total);
}

static void decode(float *o, float *lse, const float *k_ring, const float *v_ring, const float *q,
                   const float *k, const float *v, const int32_t *positions, float *scratch,
                   ae_attention_dims n) {
    const ptrdiff_t ld = n.G * n.H;
#pragma omp parallel for collapse(2)
    for (ptrdiff_t b = 0; b < n.B; b++) {
        for (ptrdiff_t head = 0; head < n.N; head++) {
            float *scores = behind_rooms(scratch, n) + (size_t)omp_get_thread_num() * scores_floats(n);
            const ptrdiff_t row = b * n.N + head, g = head / (n.N / n.G) * n.H;
            decode_head(o + row * n.H, lse + row, q + row * n.H, k_ring + b * n.W * ld + g,
                        v_ring + b * n.W * ld + g, k + b * ld + g, v + b * ld + g, positions[b], scores, ld,
                        n);
        }
    }
}

/* The keys before the chunk in order of position, then the chunk's own. */
static key_rows line_up(float *room_k, float *room_v, const float *k_ring, const float *v_ring,
                        const float *k, const float *v, int32_t position, ae_attention_dims n) {
    const ptrdiff_t ld = n.G * n.H, past = ae_min(position, n.W);
    for (ptrdiff_t s = 0; s < past; s++) {
        const ptrdiff_t slot = (position - past + s) % n.W;
        memcpy(room_k + s * ld, k_ring + slot * ld, (size_t)ld * sizeof(float));
        memcpy(room_v + s * ld, v_ring + slot * ld, (size_t)ld * sizeof(float));
    }
    memcpy(room_k + past * ld, k, (size_t)(n.T * ld) * sizeof(float));
    memcpy(room_v + past * ld, v, (size_t)(n.T * ld) * sizeof(float));
    return (key_rows){room_k, room_v, past};
}

static void update_ring(float *ring, const float *x, const int32_t *positions, ae_attention_dims n) {
    const ptrdiff_t ld = n.G * n.H;
    for (ptrdiff_t t = ae_max(0, n.T - n.W); t < n.T; t++)
        memcpy(ring + positions[t] % n.W * ld, x + t * ld, (size_t)ld * sizeof(float));
}

void AE_ROW_NAME(ae_cpu_attention_forward)(ae_act *o_, ae_f32 *lse_, ae_act *k_ring_, ae_act *v_ring_,
                                           const ae_act *q_, const ae_act *k_, const ae_act *v_,
                                           const ae_i32 *positions_, ae_attention_dims n, void *scratch_) {
    float *o = ae_mf(o_), *lse = ae_mf(lse_), *k_ring = ae_mf(k_ring_), *v_ring = ae_mf(v_ring_),
          *scratch = scratch_;
    const float *q = ae_cf(q_), *k = ae_cf(k_), *v = ae_cf(v_);
    const int32_t *positions = ae_ci(positions_);
    const ptrdiff_t ld = n.G * n.H;
    assert(n.N % n.G == 0 && (!k_ring || n.W > 0));
    if (k_ring && n.T == 1) decode(o, lse, k_ring, v_ring, q, k, v, positions, scratch, n);
    for (ptrdiff_t b = 0; b < n.B; b++) {
        const ptrdiff_t row = b * n.T;
        if (!k_ring || n.T > 1) {
            key_rows keys = {k + row * ld, v + row * ld, 0};
            if (k_ring && positions[row] > 0) {
                float *line = behind_rooms(scratch, n);
                keys = line_up(line, line + (n.W + n.T) * ld, k_ring + b * n.W * ld, v_ring + b * n.W * ld,
                               k + row * ld, v + row * ld, positions[row], n);
            }
            forward_sequence(o, lse, q, &keys, positions + row, b, scratch, n);
        }
        if (!k_ring) continue;
        update_ring(k_ring + b * n.W * ld, k + row * ld, positions + row, n);
        update_ring(v_ring + b * n.W * ld, v + row * ld, positions + row, n);
    }
}

/* P and dS of one tile: s becomes P = exp(s - lse), dp becomes dS = P (dp - delta) / sqrt(H). */
static void gradient_tile(const room *w, const float *lse, const float *delta, const query_block *q,
                          const key_rows *keys, const int32_t *positions, ptrdiff_t s0, ptrdiff_t count,
                          ae_attention_dims n) {
    const vf scale = vf_set(1.0f / sqrtf((float)n.H));
    for (ptrdiff_t r = 0; r < q->rows; r++) {
        float *p = w->s + r * KEYS, *ds = w->dp + r * KEYS;
        const ptrdiff_t at = row_at(q, r, n.N);
        const visible v = visible_of(q, r, keys, positions, n.W, s0, count);
        row_exp(p, v, lse[at], count);
        for (ptrdiff_t i = 0; i < count; i += VF) {
            const ptrdiff_t left = count - i;
            vf_store_n(ds + i, vf_load_n(p + i, left) * (vf_load_n(ds + i, left) - vf_set(delta[at])) * scale,
                       left);
        }
    }
}

typedef struct {
    const float *q, *d_o, *lse, *delta;
    const int32_t *positions; /* of the sequence */
    float *dq, *dk, *dv;      /* dk, dv: the superblock's own, row 0 being key `base` */
    ptrdiff_t base;
} backward_io;

static void backward_block(const backward_io *io, const key_rows *keys, const query_block *q, const room *w,
                           ae_attention_dims n) {
    const ptrdiff_t last = q->t0 + q->tokens, start = first_key(keys, q->t0, io->positions[q->t0], n.W),
                    ld = n.G * n.H;
    for (ptrdiff_t s0 = start; s0 < last; s0 += KEYS) {
        const ptrdiff_t count = ae_min(KEYS, last - s0), key = (s0 * n.G + q->group) * n.H;
        const ptrdiff_t own = ((s0 - io->base) * n.G + q->group) * n.H;
        const float *rows = io->q + q->at * n.H, *d_rows = io->d_o + q->at * n.H;
        score_tile(w->s, q, io->q, keys->k, s0, count, n);
        ae_gemm_serial(&(ae_gemm_args){.m = q->rows,
                                       .n = count,
                                       .k = n.H,
                                       .alpha = 1,
                                       .a = ae_operand(AE_ELEM_F32, d_rows, q->ldq, false),
                                       .b = ae_operand(AE_ELEM_F32, keys->v + key, ld, true),
                                       .c = w->dp,
                                       .ldc = KEYS});
        gradient_tile(w, io->lse, io->delta, q, keys, io->positions, s0, count, n);
        ae_gemm_serial(&(ae_gemm_args){.m = count,
                                       .n = n.H,
                                       .k = q->rows,
                                       .alpha = 1,
                                       .a = ae_operand(AE_ELEM_F32, w->s, KEYS, true),
                                       .b = ae_operand(AE_ELEM_F32, d_rows, q->ldq, false),
                                       .beta = 1,
                                       .c = io->dv + own,
                                       .ldc = ld});
        ae_gemm_serial(&(ae_gemm_args){.m = count,
                                       .n = n.H,
                                       .k = q->rows,
                                       .alpha = 1,
                                       .a = ae_operand(AE_ELEM_F32, w->dp, KEYS, true),
                                       .b = ae_operand(AE_ELEM_F32, rows, q->ldq, false),
                                       .beta = 1,
                                       .c = io->dk + own,
                                       .ldc = ld});
        ae_gemm_serial(&(ae_gemm_args){.m = q->rows,
                                       .n = n.H,
                                       .k = count,
                                       .alpha = 1,
                                       .a = ae_operand(AE_ELEM_F32, w->dp, KEYS, false),
                                       .b = ae_operand(AE_ELEM_F32, keys->k + key, ld, false),
                                       .beta = s0 == start ? 0.0f : 1.0f,
                                       .c = io->dq + q->at * n.H,
                                       .ldc = q->ldq});
    }
}

static void row_deltas(float *delta, const float *d_o, const float *o, ae_attention_dims n) {
#pragma omp parallel for
    for (ptrdiff_t row = 0; row < n.B * n.T * n.N; row++) {
        vf sum = vf_set(0);
        for (ptrdiff_t i = 0; i < n.H; i += VF)
            sum = vf_fma(vf_load_n(d_o + row * n.H + i, n.H - i), vf_load_n(o + row * n.H + i, n.H - i), sum);
        delta[row] = vf_sum(sum);
    }
}

/* to += from over a range of rows, threads splitting the range. */
static void add_rows(float *to, const float *from, ptrdiff_t n) {
#pragma omp for
    for (ptrdiff_t i = 0; i < n; i += 4096)
        for (ptrdiff_t j = i; j < ae_min(n, i + 4096); j++) to[j] += from[j];
}

typedef struct {
    ptrdiff_t b, t0, tokens, base, keys; /* queries [t0, t0 + tokens), keys [base, base + keys) */
} super_block;

static super_block super_of(ptrdiff_t index, const int32_t *positions, ae_attention_dims n) {
    const ptrdiff_t each = ae_ceil_div(n.T, SUPER), b = index / each, t0 = index % each * SUPER,
                    tokens = ae_min(SUPER, n.T - t0);
    const key_rows keys = {NULL, NULL, 0};
    const ptrdiff_t base = first_key(&keys, t0, positions[b * n.T + t0], n.W);
    return (super_block){b, t0, tokens, base, t0 + tokens - base};
}

void AE_ROW_NAME(ae_cpu_attention_backward)(ae_act *dq_, ae_act *dk_, ae_act *dv_, const ae_act *d_o_,
                                            const ae_act *q_, const ae_act *k_, const ae_act *v_,
                                            const ae_act *o_, const ae_f32 *lse_, const ae_i32 *positions_,
                                            ae_attention_dims n, void *scratch_) {
    const ptrdiff_t ld = n.G * n.H, part = span_of(n) * ld, step = queries_of(n.N), lanes = lanes_of(n);
    float *scratch = scratch_, *delta = behind_rooms(scratch, n), *parts = delta + n.B * n.T * n.N;
    float *dk = ae_mf(dk_), *dv = ae_mf(dv_);
    const int32_t *positions = ae_ci(positions_);
    const ptrdiff_t supers = n.B * ae_ceil_div(n.T, SUPER);
    row_deltas(delta, ae_cf(d_o_), ae_cf(o_), n);
    memset(dk, 0, (size_t)(n.B * n.T * ld) * sizeof *dk);
    memset(dv, 0, (size_t)(n.B * n.T * ld) * sizeof *dv);
    for (ptrdiff_t wave = 0; wave < supers; wave += wave_of()) {
        const ptrdiff_t count = ae_min(wave_of(), supers - wave);
#pragma omp parallel
        {
#pragma omp for schedule(dynamic)
            for (ptrdiff_t i = 0; i < count; i++) {
                const super_block s = super_of(wave + i, positions, n);
                const key_rows keys = {ae_cf(k_) + s.b * n.T * ld, ae_cf(v_) + s.b * n.T * ld, 0};
                const backward_io io = {.q = ae_cf(q_),
                                        .d_o = ae_cf(d_o_),
                                        .lse = ae_cf(lse_),
                                        .delta = delta,
                                        .dq = ae_mf(dq_),
                                        .positions = positions + s.b * n.T,
                                        .dk = parts + 2 * i * part,
                                        .dv = parts + (2 * i + 1) * part,
                                        .base = s.base};
                const room w = room_of(scratch, n);
                memset(io.dk, 0, 2 * (size_t)part * sizeof(float));
                for (ptrdiff_t t = 0; t < s.tokens; t += step)
                    for (ptrdiff_t lane = 0; lane < lanes; lane++) {
                        const query_block q = block_of(n, s.b, s.t0 + t, ae_min(step, s.tokens - t), lane);
                        backward_block(&io, &keys, &q, &w, n);
                    }
            }
            for (ptrdiff_t i = 0; i < count; i++) {
                const super_block s = super_of(wave + i, positions, n);
                const ptrdiff_t at = (s.b * n.T + s.base) * ld;
                add_rows(dk + at, parts + 2 * i * part, s.keys * ld);
                add_rows(dv + at, parts + (2 * i + 1) * part, s.keys * ld);
            }
        }
    }
}
