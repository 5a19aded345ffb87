#ifndef AE_OPS_CPU_ATTENTION_H
#define AE_OPS_CPU_ATTENTION_H
#include "ops/attention.h"
#include "ops/cpu/act.h"

#include <math.h>

/* What the files of attention share. Queries are taken in blocks, keys in tiles, so that a tile of scores [rows, KEYS] stays in the
 * second-level cache. With one key head the heads of a query lie next to each other as rows of one product; with several each head is
 * a product of its own. */
enum {
    AE_ATTN_KEYS = 256,
    AE_ATTN_ROWS = 512,
    AE_ATTN_QUERIES = 64,
    AE_ATTN_SUPER = 256, /* queries that share a buffer of dk, dv */
    AE_ATTN_WAVE_MIN = 8
};

/* Keys of one sequence: token t of the call is row past + t. The rows before lie in a ring: the first `turn` of them from slot `slot` on,
 * the others from slot 0. */
typedef struct {
    const ae_elem *k, *v;
    const ae_elem *k_ring, *v_ring;
    ptrdiff_t past, turn, slot;
} ae_attn_keys;

/* Those of sequence b, with its ring (NULL: none) where the row begins inside a document. */
static inline ae_attn_keys ae_attn_keys_of(const ae_elem *k, const ae_elem *v, const ae_elem *k_ring,
                                           const ae_elem *v_ring, const int32_t *positions, ptrdiff_t b,
                                           ae_attention_dims n) {
    const ptrdiff_t ld = n.G * n.H, p = positions[b * n.T];
    ae_attn_keys keys = {.k = k + b * n.T * ld, .v = v + b * n.T * ld};
    if (!k_ring || p == 0) return keys;
    keys.k_ring = k_ring + b * n.W * ld;
    keys.v_ring = v_ring + b * n.W * ld;
    keys.past = ae_min(p, n.W);
    keys.slot = (p - keys.past) % n.W;
    keys.turn = ae_min(keys.past, n.W - keys.slot);
    return keys;
}
/* How many rows from `s` on lie behind each other in memory, at most AE_ATTN_KEYS and none from `last` on. */
static inline ptrdiff_t ae_attn_run(const ae_attn_keys *keys, ptrdiff_t s, ptrdiff_t last) {
    const ptrdiff_t end = s < keys->turn ? keys->turn : s < keys->past ? keys->past : last;
    return ae_min(AE_ATTN_KEYS, ae_min(end, last) - s);
}
/* Row `s` of the keys (own = k, ring = k_ring) or of the values, at a group of heads. */
static inline const ae_elem *ae_attn_key(const ae_attn_keys *keys, const ae_elem *own, const ae_elem *ring,
                                         ptrdiff_t s, ptrdiff_t group, ae_attention_dims n) {
    const ptrdiff_t ld = n.G * n.H, slot = s < keys->turn ? keys->slot + s : s - keys->turn;
    return (s < keys->past ? ring + slot * ld : own + (s - keys->past) * ld) + group * n.H;
}

/* A block of queries as rows of one product: row r is token t0 + r / heads, head head0 + r % heads. */
typedef struct {
    ptrdiff_t t0, tokens, heads, head0, group;
    ptrdiff_t rows, ldq; /* rows of the product; distance between them */
    ptrdiff_t at;        /* first row among [B, T, N] */
} ae_attn_block;

/* One thread's own, in float32. */
typedef struct {
    float *s, *dp;    /* [rows, KEYS] */
    float *out;       /* [rows, H]: o or dq */
    float *max, *sum; /* [rows] */
} ae_attn_room;

static inline ptrdiff_t ae_attn_queries(ptrdiff_t N) {
    ptrdiff_t q = AE_ATTN_QUERIES;
    while (q > 1 && q * N > AE_ATTN_ROWS) q /= 2;
    return q;
}
static inline ptrdiff_t ae_attn_rows(ae_attention_dims n) {
    return ae_max(AE_ATTN_ROWS, n.N);
}
static inline size_t ae_attn_room_floats(ae_attention_dims n) {
    return (size_t)(ae_attn_rows(n) * (2 * AE_ATTN_KEYS + n.H + 2) + 15) / 16 * 16;
}
static inline ae_attn_room ae_attn_room_of(void *scratch, ae_attention_dims n) {
    const ptrdiff_t rows = ae_attn_rows(n);
    ae_attn_room w;
    w.s = (float *)scratch + (size_t)omp_get_thread_num() * ae_attn_room_floats(n);
    w.dp = w.s + rows * AE_ATTN_KEYS;
    w.out = w.dp + rows * AE_ATTN_KEYS;
    w.max = w.out + rows * n.H;
    w.sum = w.max + rows;
    return w;
}
/* What lies behind the rooms of all threads. */
static inline void *ae_attn_behind_rooms(void *scratch, ae_attention_dims n) {
    return (float *)scratch + (size_t)omp_get_max_threads() * ae_attn_room_floats(n);
}

/* Superblocks at work at once. Their parts are added in order, so this changes no bits. */
static inline ptrdiff_t ae_attn_wave(void) {
    return ae_max(AE_ATTN_WAVE_MIN, omp_get_max_threads());
}
/* Rows of keys that the queries of a superblock can see, at most. */
static inline ptrdiff_t ae_attn_span(ae_attention_dims n) {
    return AE_ATTN_SUPER + (n.W < 0 ? n.T : ae_min(n.W, n.T));
}
/* Decoding: the scores of one head, one set a thread. */
static inline size_t ae_attn_scores_floats(ae_attention_dims n) {
    return (size_t)n.W + 16;
}

/* First key that token t sees, as a row of the keys. */
static inline ptrdiff_t ae_attn_first_key(ptrdiff_t past, ptrdiff_t t, int32_t position, ptrdiff_t W) {
    const ptrdiff_t back = W < 0 ? position : ae_min(position, W);
    return ae_max(0, past + t - back);
}

static inline ptrdiff_t ae_attn_lanes(ae_attention_dims n) {
    return n.G == 1 ? 1 : n.N;
}
static inline ae_attn_block ae_attn_block_of(ae_attention_dims n, ptrdiff_t b, ptrdiff_t t0, ptrdiff_t tokens,
                                             ptrdiff_t lane) {
    const ptrdiff_t heads = n.G == 1 ? n.N : 1;
    return (ae_attn_block){.t0 = t0,
                           .tokens = tokens,
                           .heads = heads,
                           .head0 = lane,
                           .group = lane / (n.N / n.G),
                           .rows = tokens * heads,
                           .ldq = n.G == 1 ? n.H : n.N * n.H,
                           .at = (b * n.T + t0) * n.N + lane};
}
/* Row r of a block among [B, T, N]. */
static inline ptrdiff_t ae_attn_row_at(const ae_attn_block *q, ptrdiff_t r, ptrdiff_t N) {
    return q->heads == 1 ? q->at + r * N : q->at + r;
}

/* Keys [lo, hi) of a tile that a row sees. */
typedef struct {
    ptrdiff_t lo, hi;
} ae_attn_visible;

static inline ae_attn_visible ae_attn_visible_of(const ae_attn_block *q, ptrdiff_t r, ptrdiff_t past,
                                                 const int32_t *positions, ptrdiff_t W, ptrdiff_t s0,
                                                 ptrdiff_t count) {
    const ptrdiff_t t = q->t0 + r / q->heads;
    const ptrdiff_t lo = ae_attn_first_key(past, t, positions[t], W) - s0, hi = past + t + 1 - s0;
    return (ae_attn_visible){ae_min(count, ae_max(0, lo)), ae_max(0, ae_min(count, hi))};
}

/* scores = q k^T / sqrt(H) for keys [s0, s0 + count). */
static inline void ae_attn_scores(float *scores, const ae_attn_block *q, const ae_elem *queries,
                                  const ae_attn_keys *keys, ptrdiff_t s0, ptrdiff_t count,
                                  ae_attention_dims n) {
    ae_gemm_serial(&(ae_gemm_args){
        .m = q->rows,
        .n = count,
        .k = n.H,
        .alpha = 1.0f / sqrtf((float)n.H),
        .a = ae_act_operand(queries + q->at * n.H, q->ldq, false),
        .b = ae_act_operand(ae_attn_key(keys, keys->k, keys->k_ring, s0, q->group, n), n.G * n.H, true),
        .c = scores,
        .ldc = AE_ATTN_KEYS});
}

/* One token a sequence over rings of keys. */
void AE_ROW_NAME(ae_cpu_attention_decode)(ae_elem *o, float *lse, const ae_elem *k_ring,
                                          const ae_elem *v_ring, const ae_elem *q, const ae_elem *k,
                                          const ae_elem *v, const int32_t *positions, float *scratch,
                                          ae_attention_dims n);

#endif
