#ifndef AE_OPS_CPU_ATTENTION_H
#define AE_OPS_CPU_ATTENTION_H
#include "ops/attention.h"
#include "ops/cpu/act.h"
#include "ops/cpu/forks.h"
#include "ops/cpu/object.h"

#include <math.h>
#include <stdbool.h>

/* What the files of attention share. Queries are taken in blocks, keys in tiles, so that a tile of scores
 * [rows, KEYS] stays in the second-level cache. With one key head the heads of a query lie next to each other
 * as rows of one product; with several each head is a product of its own. */
enum {
    AE_ATTN_KEYS = 256,
    AE_ATTN_LD = AE_ATTN_KEYS +
                 16, /* of tiles of scores: rows a power of two apart would share a few sets of the cache */
    AE_ATTN_ROWS = 512,     /* a call for a product of bfloat16 wants many */
    AE_ATTN_ROWS_F32 = 256, /* here all tiles of a block fit into the cache */
    AE_ATTN_QUERIES = 64,
    AE_ATTN_SUPER = 256, /* queries that share a buffer of dk, dv */
    AE_ATTN_WAVE_MIN = 8,
    AE_ATTN_HEADS_AT_ONCE = 8, /* in decoding */
    AE_ATTN_STRETCH = 8192     /* keys whose scores are kept at once there */
};

/* Keys that the queries of a stretch of a sequence see: token t is row past + t - first. The rows before lie in
 * a ring, the first `turn` of them from slot `slot` on, the others from slot 0; or, of a continuation, one after
 * the other at the end of its trunk. */
typedef struct {
    const ae_elem *k, *v; /* of the stretch */
    const ae_elem *k_past, *v_past;
    ptrdiff_t past, turn, slot;
    ptrdiff_t first, last; /* places of the stretch */
    ptrdiff_t trunk;       /* place of row past - 1; -1: there is no trunk */
} ae_attn_keys;

/* Those of the stretch of sequence b that begins at `first`, with its ring (NULL: none) where the row begins
 * inside a document. */
static inline ae_attn_keys ae_attn_keys_of(const ae_elem *k, const ae_elem *v, const ae_elem *k_ring,
                                           const ae_elem *v_ring, const int32_t *positions, ptrdiff_t b,
                                           ptrdiff_t first, ae_attention_dims n) {
    const ptrdiff_t ld = n.G * n.H, row = b * n.T, p = positions[row + first];
    const ae_stretch s = ae_stretch_from(positions + row, n.T, first);
    ae_attn_keys keys = {.k = k + (row + first) * ld,
                         .v = v + (row + first) * ld,
                         .first = first,
                         .last = s.last,
                         .trunk = s.before};
    if (s.before >= 0) {
        keys.past = keys.turn = n.W < 0 ? p : ae_min(p, n.W);
        keys.k_past = k + (row + s.before + 1 - keys.past) * ld;
        keys.v_past = v + (row + s.before + 1 - keys.past) * ld;
    } else if (k_ring && p > 0) {
        keys.k_past = k_ring + b * n.W * ld;
        keys.v_past = v_ring + b * n.W * ld;
        keys.past = ae_min(p, n.W);
        keys.slot = (p - keys.past) % n.W;
        keys.turn = ae_min(keys.past, n.W - keys.slot);
    }
    return keys;
}
/* The row of token t. */
static inline ptrdiff_t ae_attn_row_of(const ae_attn_keys *keys, ptrdiff_t t) {
    return keys->past + t - keys->first;
}
/* How many rows from `s` on lie behind each other in memory, at most AE_ATTN_KEYS and none from `last` on. */
static inline ptrdiff_t ae_attn_run(const ae_attn_keys *keys, ptrdiff_t s, ptrdiff_t last) {
    const ptrdiff_t end = s < keys->turn ? keys->turn : s < keys->past ? keys->past : last;
    return ae_min(AE_ATTN_KEYS, ae_min(end, last) - s);
}
/* Row `s` of the keys (own = k, past = k_past) or of the values, at a group of heads. */
static inline const ae_elem *ae_attn_key(const ae_attn_keys *keys, const ae_elem *own, const ae_elem *past,
                                         ptrdiff_t s, ptrdiff_t group, ae_attention_dims n) {
    const ptrdiff_t ld = n.G * n.H, slot = s < keys->turn ? keys->slot + s : s - keys->turn;
    return (s < keys->past ? past + slot * ld : own + (s - keys->past) * ld) + group * n.H;
}

/* A block of queries as rows of one product: row r is token t0 + r / heads, head head0 + r % heads. */
typedef struct {
    ptrdiff_t t0, tokens, heads, head0, group;
    ptrdiff_t rows, ldq; /* rows of the product; distance between them */
    ptrdiff_t at;        /* first row among [B, T, N] */
} ae_attn_block;

/* Threads of a region: each has a room. */
static inline int ae_attn_team(const ae_backend *be, ae_attention_dims n) {
    return (int)ae_min(n.rooms, ae_team(be));
}

/* One thread's own. Tiles for products of float32 are that, made of activations once a block or once a tile.
 * Products of bfloat16 take the activations themselves, and P and dS in that type, in the first half of each
 * row of s and dp. */
typedef struct {
    const ae_backend *be;
    bool narrow;      /* products of bfloat16 */
    float *s, *dp;    /* [rows, LD] */
    float *out;       /* [rows, H]: o or dq */
    float *q, *d_o;   /* [rows, H] */
    float *x;         /* [KEYS, H]: k or v */
    float *turned;    /* [H, LD]: its transpose */
    float *max, *sum; /* [rows] */
} ae_attn_room;

static inline ptrdiff_t ae_attn_queries(ptrdiff_t N, bool narrow) {
    ptrdiff_t q = AE_ATTN_QUERIES;
    while (q > 1 && q * N > (narrow ? AE_ATTN_ROWS : AE_ATTN_ROWS_F32)) q /= 2;
    return q;
}
static inline ptrdiff_t ae_attn_rows(ae_attention_dims n) {
    return ae_max(AE_ATTN_ROWS, n.N);
}
static inline bool ae_attn_narrow(const ae_backend *be) {
    return AE_ELEM_TYPE == AE_ELEM_BF16 && ae_cpu_of(be)->products == AE_PRODUCTS_BF16;
}
/* Sizes do not depend on the products, which tests choose. */
static inline size_t ae_attn_room_floats(ae_attention_dims n) {
    const ptrdiff_t tiles = 2 * AE_ATTN_LD + 3 * n.H + 2, keys = AE_ATTN_KEYS * n.H + n.H * AE_ATTN_LD;
    return (size_t)(ae_attn_rows(n) * tiles + keys + 15) / 16 * 16;
}
static inline ae_attn_room ae_attn_room_of(const ae_backend *be, void *scratch, bool narrow,
                                           ae_attention_dims n) {
    const ptrdiff_t rows = ae_attn_rows(n);
    ae_attn_room w = {.be = be, .narrow = narrow};
    w.s = (float *)scratch + (size_t)omp_get_thread_num() * ae_attn_room_floats(n);
    w.dp = w.s + rows * AE_ATTN_LD;
    w.turned = w.dp + rows * AE_ATTN_LD;
    w.x = w.turned + n.H * AE_ATTN_LD;
    w.out = w.x + AE_ATTN_KEYS * n.H;
    w.q = w.out + rows * n.H;
    w.d_o = w.q + rows * n.H;
    w.max = w.d_o + rows * n.H;
    w.sum = w.max + rows;
    return w;
}
/* What lies behind the rooms of all threads. */
static inline void *ae_attn_behind_rooms(void *scratch, ae_attention_dims n) {
    return (float *)scratch + (size_t)n.rooms * ae_attn_room_floats(n);
}

/* Superblocks at work at once. Their parts are added to the sums in order, so this changes no bits. */
static inline ptrdiff_t ae_attn_wave(ae_attention_dims n) {
    return ae_max(AE_ATTN_WAVE_MIN, n.rooms);
}
/* Rows of keys that the queries of a superblock can see, at most. */
static inline ptrdiff_t ae_attn_span(ae_attention_dims n) {
    return AE_ATTN_SUPER + (n.W < 0 ? n.T : ae_min(n.W, n.T));
}
/* Decoding: scores and sums of values of some heads, one set a thread; rows in whole vectors. */
static inline ptrdiff_t ae_attn_scores_ld(ae_attention_dims n) {
    return ae_ceil_div((n.W < 0 ? AE_ATTN_STRETCH : ae_min(n.W, AE_ATTN_STRETCH)) + 1, 16) * 16;
}
static inline ptrdiff_t ae_attn_out_ld(ae_attention_dims n) {
    return ae_ceil_div(n.H, 16) * 16;
}
static inline size_t ae_attn_decode_floats(ae_attention_dims n) {
    return (size_t)(AE_ATTN_HEADS_AT_ONCE * (ae_attn_scores_ld(n) + ae_attn_out_ld(n)));
}

/* The row of the first key that token t sees. */
static inline ptrdiff_t ae_attn_first_key(const ae_attn_keys *keys, ptrdiff_t t, int32_t position,
                                          ptrdiff_t W) {
    const ptrdiff_t back = W < 0 ? position : ae_min(position, W);
    return ae_max(0, ae_attn_row_of(keys, t) - back);
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

/* Keys [lo, hi) of a tile that a token sees; both ends grow with the token. */
typedef struct {
    ptrdiff_t lo, hi;
} ae_attn_visible;

/* Keys [s0, s0 + count), and what each token of the block sees of them. */
typedef struct {
    ptrdiff_t s0, count;
    bool first;
    ae_attn_visible seen[AE_ATTN_QUERIES];
} ae_attn_tile;

static inline ae_attn_tile ae_attn_tile_of(const ae_attn_block *q, const ae_attn_keys *keys,
                                           const int32_t *positions, ptrdiff_t W, ptrdiff_t s0, bool first) {
    const ptrdiff_t last = ae_attn_row_of(keys, q->t0 + q->tokens);
    ae_attn_tile tile = {.s0 = s0, .count = ae_attn_run(keys, s0, last), .first = first};
    for (ptrdiff_t i = 0; i < q->tokens; i++) {
        const ptrdiff_t t = q->t0 + i, lo = ae_attn_first_key(keys, t, positions[t], W) - s0,
                        hi = ae_attn_row_of(keys, t) + 1 - s0;
        tile.seen[i].hi = ae_max(0, ae_min(tile.count, hi));
        tile.seen[i].lo = ae_min(tile.seen[i].hi, ae_max(0, lo));
    }
    return tile;
}

/* The three kinds of products of a tile. `rows` [rows of the block, H] are q or d_o, as activations with
 * distance ldq or as the float32 tile made of them; `x` are k or v from the tile's first key on. */

/* w->x and w->turned from x. The rows of x in float32. */
const float *AE_ROW_NAME(ae_cpu_attention_widen)(const ae_attn_room *w, ptrdiff_t *ld, const ae_elem *x,
                                                 const ae_attn_tile *tile, ae_attention_dims n);
void AE_ROW_NAME(ae_cpu_attention_turn)(const ae_attn_room *w, const float *x, ptrdiff_t ld,
                                        const ae_attn_tile *tile, ae_attention_dims n);
/* A block's rows of q or d_o in float32. */
void AE_ROW_NAME(ae_cpu_attention_rows)(float *to, const ae_elem *from, const ae_attn_block *q, ptrdiff_t H);
/* scores [rows, count] = rows x^T */
void AE_ROW_NAME(ae_cpu_attention_scores)(float *scores, const ae_attn_room *w, const ae_attn_block *q,
                                          const ae_attn_tile *tile, const ae_elem *acts, const float *rows,
                                          const ae_elem *x, ae_attention_dims n);
/* w->out = or += p x */
void AE_ROW_NAME(ae_cpu_attention_out)(const ae_attn_room *w, const ae_attn_block *q,
                                       const ae_attn_tile *tile, const float *p, const ae_elem *x,
                                       const float *wide, ptrdiff_t ld, ae_attention_dims n);
/* out [count, H] += p^T rows */
void AE_ROW_NAME(ae_cpu_attention_keys)(float *out, const ae_attn_room *w, const ae_attn_block *q,
                                        const ae_attn_tile *tile, const float *p, const ae_elem *acts,
                                        const float *rows, ae_attention_dims n);

/* One token a sequence over rings of keys. */
void AE_ROW_NAME(ae_cpu_attention_decode)(const ae_backend *be, ae_elem *o, float *lse, const ae_elem *k_ring,
                                          const ae_elem *v_ring, const ae_elem *q, const ae_elem *k,
                                          const ae_elem *v, const int32_t *positions, float *scratch,
                                          ae_attention_dims n);

#endif
