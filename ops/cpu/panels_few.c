#include "core/simd.h"
#include "ops/cpu/memory.h"
#include "ops/cpu/panels_put.h"
#include "ops/cpu/panels_round.h"
#include "ops/cpu/team.h"
#include "ops/cpu/turn.h"

#include <assert.h>
#include <omp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Products of a few rows with panels (ops/cpu/panels.h). A unit is one vector of lanes of one panel; U units x R rows are summed in
 * registers over one group of inputs, then scaled and added to the float32 totals in memory. */
enum {
    LANES = AE_PANEL_LANES,
    UNITS_OF_PANEL = LANES / VF,
    UNITS_MAX = 4,
    ROWS_MAX = 64,
    GROUP_MAX = AE_ROUND_GROUP_MAX,
    AHEAD = 4096, /* bytes of a panel, of prefetches into the second-level cache */
    OFFSET = 8    /* of nibbles, where they are multiplied as bytes without a sign */
};
#ifdef __AVX512F__
enum { TILE_ROWS = 8 }; /* 32 registers: 16 hold sums */
#else
enum { TILE_ROWS = 4 }; /* 16: 8 hold sums */
#endif
enum { SUMS = 2 * TILE_ROWS };
#define AE_INLINE static inline __attribute__((always_inline))
/* Variants: with AVX512-VNNI for integers, and beside it with bfloat16 dot products. */
#ifdef __AVX512BF16__
#define NAME(f) AE_JOIN(AE_ISA_NAME(f), bf16)
#elif defined __AVX512VNNI__
#define NAME(f) AE_JOIN(AE_ISA_NAME(f), vnni)
#else
#define NAME(f) AE_ISA_NAME(f)
#endif

/* ---- x as the kernels want it: [inputs][rows] floats, or [pairs of inputs][rows] of two bfloat16 or two int16 and scales
 * [groups][rows] ---- */

typedef struct {
    int32_t *x;
    float *scales;
    int32_t *offsets; /* what OFFSET adds to a group's sum, to be taken off */
    ptrdiff_t rows;   /* M padded to what the tiles take */
} prepared;

#ifdef __AVX512BF16__
enum { PAIRED_REALS = 1 };
#else
enum { PAIRED_REALS = 0 };
#endif

/* Entries of a row of x for so many inputs. */
static ptrdiff_t entries(const ae_cpu_weight *w, ptrdiff_t cols) {
    return w->type == AE_WEIGHT_BF16 && !PAIRED_REALS ? cols : cols / 2;
}

static ptrdiff_t padded_rows(ptrdiff_t M) {
    return M <= 2 ? M : M <= 4 ? 4 : ae_ceil_div(M, TILE_ROWS) * TILE_ROWS;
}

static void put_pairs(int32_t *to, ptrdiff_t rows, const int16_t *q, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += 2) memcpy(&to[i / 2 * rows], &q[i], sizeof *to);
}

#ifdef __AVX512VNNI__
/* Eight inputs as four times four bytes: the upper bytes and the lower ones of inputs 0 4 1 5, then of 2 6 3 7, which is how nibbles
 * lie in a lane. */
static void put_bytes(int32_t *to, ptrdiff_t rows, const int16_t *q, ptrdiff_t n) {
    const __m128i low = _mm_setr_epi8(0, 8, 2, 10, 4, 12, 6, 14, -1, -1, -1, -1, -1, -1, -1, -1),
                  high = _mm_setr_epi8(1, 9, 3, 11, 5, 13, 7, 15, -1, -1, -1, -1, -1, -1, -1, -1);
    for (ptrdiff_t i = 0; i < n; i += 8) {
        const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(q + i)),
                      up = _mm_add_epi16(v, _mm_set1_epi16(128));
        int32_t four[4];
        _mm_storeu_si128((__m128i *)(void *)four,
                         _mm_unpacklo_epi32(_mm_shuffle_epi8(up, high), _mm_shuffle_epi8(v, low)));
        for (ptrdiff_t j = 0; j < 4; j++) to[(i / 2 + j) * rows] = four[j];
    }
}
static void put_integers(int32_t *to, ptrdiff_t rows, const int16_t *q, ptrdiff_t n, ae_weight_type type) {
    (type == AE_WEIGHT_INT4 ? put_bytes : put_pairs)(to, rows, q, n);
}
#else
static void put_integers(int32_t *to, ptrdiff_t rows, const int16_t *q, ptrdiff_t n, ae_weight_type type) {
    (void)type;
    put_pairs(to, rows, q, n);
}
#endif

/* n inputs of a row as integers, to[0], to[rows], ...; the scale is no number where an input is none. */
static void prepare_group(int32_t *to, float *scale, int32_t *offset, ptrdiff_t rows,
                          const ae_panel_product *of, ptrdiff_t at, ptrdiff_t n, ae_weight_type type) {
    float x[GROUP_MAX + VF];
    int16_t q[GROUP_MAX + 16] = {0};
    int32_t sum = 0;
    ae_panel_load_row(x, of, at, n);
    *scale = ae_round_group(q, x, n);
    for (ptrdiff_t i = 0; i < n; i++) sum += q[i];
    *offset = OFFSET * sum;
    put_integers(to, rows, q, ae_ceil_div(n, AE_PANEL_PAD) * AE_PANEL_PAD, type);
}

static void prepare_integers(const prepared *p, const ae_panel_product *of, const ae_cpu_weight *w) {
    const ptrdiff_t parts = ae_panel_parts(w), groups = ae_panel_groups(w), pairs = ae_panel_cols(w) / 2;
#pragma omp for collapse(2)
    for (ptrdiff_t k = 0; k < parts * groups; k++)
        for (ptrdiff_t m = 0; m < p->rows; m++) {
            const ptrdiff_t part = k / groups, first = k % groups * w->group,
                            n = m < of->M ? ae_min(w->group, w->cols - first) : 0;
            prepare_group(p->x + (part * pairs + first / 2) * p->rows + m, p->scales + k * p->rows + m,
                          p->offsets + k * p->rows + m, p->rows, of, (m * parts + part) * w->cols + first, n,
                          w->type);
        }
}

#ifdef __AVX512BF16__
static void prepare_reals(const prepared *p, const ae_panel_product *of, const ae_cpu_weight *w) {
    enum { COLS = 256 };
    const ptrdiff_t parts = ae_panel_parts(w), cols = ae_panel_cols(w), pieces = ae_ceil_div(cols, COLS);
#pragma omp for collapse(2)
    for (ptrdiff_t k = 0; k < parts * pieces; k++)
        for (ptrdiff_t m = 0; m < p->rows; m++) {
            const ptrdiff_t part = k / pieces, first = k % pieces * COLS, n = ae_min(COLS, cols - first),
                            there = m < of->M ? ae_min(n, w->cols - first) : 0,
                            from = (m * parts + part) * w->cols + first;
            uint16_t q[COLS] = {0};
            for (ptrdiff_t i = 0; i < there; i += VF)
                vf_store_bf16_n(q + i, ae_panel_load(of, from + i, there - i), there - i);
            put_pairs(p->x + (part * cols + first) / 2 * p->rows + m, p->rows, (const int16_t *)q, n);
        }
}
#else
/* n inputs, at most VF, of rows [m, rows): to[i * rows + m]. */
static void turn_rest(float *to, const ae_panel_product *of, ptrdiff_t from, ptrdiff_t ldx, ptrdiff_t m,
                      ptrdiff_t rows, ptrdiff_t n, ptrdiff_t there) {
    for (; m < rows; m++) {
        float x[VF] = {0};
        if (m < of->M) vf_store(x, ae_panel_load(of, from + m * ldx, there));
        for (ptrdiff_t i = 0; i < n; i++) to[i * rows + m] = x[i];
    }
}

static void prepare_reals(const prepared *p, const ae_panel_product *of, const ae_cpu_weight *w) {
    const ptrdiff_t parts = ae_panel_parts(w), cols = ae_panel_cols(w), steps = ae_ceil_div(cols, VF),
                    rows = p->rows, ldx = parts * w->cols;
#pragma omp for
    for (ptrdiff_t k = 0; k < parts * steps; k++) {
        const ptrdiff_t part = k / steps, first = k % steps * VF, n = ae_min(VF, cols - first),
                        from = part * w->cols + first;
        float *to = (float *)(void *)p->x + (part * cols + first) * rows;
        ptrdiff_t m = 0;
        for (; n == VF && m + VF <= rows; m += VF) {
            vf r[VF];
            for (ptrdiff_t j = 0; j < VF; j++)
                r[j] = m + j < of->M ? ae_panel_load(of, from + (m + j) * ldx, w->cols - first) : vf_set(0);
            ae_turn_block(to + m, rows, r);
        }
        turn_rest(to, of, from, ldx, m, rows, n, w->cols - first);
    }
}
#endif

static prepared room_for(const ae_backend *be, const ae_cpu_weight *w, ptrdiff_t M) {
    const ptrdiff_t rows = padded_rows(M), parts = ae_panel_parts(w),
                    elements = parts * rows * entries(w, ae_panel_cols(w)),
                    scales = parts * rows * ae_panel_groups(w);
    int32_t *x = ae_cpu_room(be, _Alignof(int32_t), (size_t)(elements + 2 * scales) * sizeof *x);
    if (!x) return (prepared){0};
    return (prepared){
        .x = x, .scales = (float *)(void *)(x + elements), .offsets = x + elements + scales, .rows = rows};
}

/* ---- one group of inputs ---- */

typedef struct {
    const char *data;
    const uint16_t *scales;
    ptrdiff_t data_step, scales_step; /* from panel to panel: bytes, elements */
    ptrdiff_t ahead;                  /* of prefetches */
} panel_at;

AE_INLINE const char *unit_data(const panel_at *p, int u, int line_bytes) {
    return p->data + u / UNITS_OF_PANEL * p->data_step + u % UNITS_OF_PANEL * (line_bytes / UNITS_OF_PANEL);
}

#ifdef __AVX512F__
AE_INLINE vi load_line(const char *p) {
    return _mm512_loadu_si512(p);
}
AE_INLINE vf even_bf16(vi v) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
}
AE_INLINE vf odd_bf16(vi v) {
    return _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32((int)0xffff0000)));
}
AE_INLINE vi pairs_int8(const char *p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
AE_INLINE vi nibble_values(void) {
    static const int16_t values[32] = {0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1,
                                       0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1};
    return _mm512_loadu_si512(values);
}
/* The index takes the low 5 bits of a word: the table holds the 16 values twice. */
AE_INLINE vi pairs_int4(vi v, int j, vi values) {
    return _mm512_permutexvar_epi16(_mm512_srli_epi16(v, 4 * j), values);
}
AE_INLINE vi vi_zero(void) {
    return _mm512_setzero_si512();
}
AE_INLINE vi vi_set(int32_t x) {
    return _mm512_set1_epi32(x);
}
AE_INLINE vi add_pairs(vi sum, vi a, vi b) {
#ifdef __AVX512VNNI__
    return _mm512_dpwssd_epi32(sum, a, b);
#else
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
#endif
}
AE_INLINE vf to_real(vi x) {
    return _mm512_cvtepi32_ps(x);
}
#else
AE_INLINE vi load_line(const char *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
AE_INLINE vf even_bf16(vi v) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16));
}
AE_INLINE vf odd_bf16(vi v) {
    return _mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32((int)0xffff0000)));
}
AE_INLINE vi pairs_int8(const char *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
AE_INLINE vi nibble_values(void) {
    return _mm256_setzero_si256();
}
AE_INLINE vi pairs_int4(vi v, int j, vi values) {
    (void)values;
    return _mm256_srai_epi16(_mm256_slli_epi16(v, 12 - 4 * j), 12);
}
AE_INLINE vi vi_zero(void) {
    return _mm256_setzero_si256();
}
AE_INLINE vi vi_set(int32_t x) {
    return _mm256_set1_epi32(x);
}
AE_INLINE vi add_pairs(vi sum, vi a, vi b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
AE_INLINE vf to_real(vi x) {
    return _mm256_cvtepi32_ps(x);
}
#endif

AE_INLINE vf real_of(int32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return vf_set(x);
}

#define AE_UNROLL _Pragma("GCC unroll 16")

/* sum += the products of a line of each unit, two inputs, with R rows. */
#ifdef __AVX512BF16__
AE_INLINE void add_line(vf sum[UNITS_MAX][TILE_ROWS], const vi *line, const int32_t *x, ptrdiff_t ldx,
                        const int R, const int U) {
    (void)ldx;
    AE_UNROLL for (int r = 0; r < R; r++) {
        const __m512bh a = (__m512bh)vi_set(x[r]);
        AE_UNROLL for (int u = 0; u < U; u++) sum[u][r] = _mm512_dpbf16_ps(sum[u][r], (__m512bh)line[u], a);
    }
}
#else
AE_INLINE void add_line(vf sum[UNITS_MAX][TILE_ROWS], const vi *line, const int32_t *x, ptrdiff_t ldx,
                        const int R, const int U) {
    AE_UNROLL for (int r = 0; r < R; r++) {
        const vf a = real_of(x[r]);
        AE_UNROLL for (int u = 0; u < U; u++) sum[u][r] = vf_fma(even_bf16(line[u]), a, sum[u][r]);
    }
    AE_UNROLL for (int r = 0; r < R; r++) {
        const vf a = real_of(x[ldx + r]);
        AE_UNROLL for (int u = 0; u < U; u++) sum[u][r] = vf_fma(odd_bf16(line[u]), a, sum[u][r]);
    }
}
#endif

AE_INLINE void group_bf16(float *totals, const int32_t *x, ptrdiff_t ldx, panel_at p, ptrdiff_t cols,
                          const int R, const int U) {
    enum { LINE = 64, ENTRIES = PAIRED_REALS ? 1 : 2 };
    vf sum[UNITS_MAX][TILE_ROWS];
    AE_UNROLL for (int u = 0; u < U; u++) AE_UNROLL for (int r = 0; r < R; r++) sum[u][r] = vf_set(0);
    for (ptrdiff_t i = 0; i < cols; i += 2, p.data += LINE, x += ENTRIES * ldx) {
        vi line[UNITS_MAX];
        AE_UNROLL for (int u = 0; u < U; u++) {
            line[u] = load_line(unit_data(&p, u, LINE));
            if (u % UNITS_OF_PANEL == 0) _mm_prefetch(unit_data(&p, u, LINE) + p.ahead, _MM_HINT_T1);
        }
        add_line(sum, line, x, ldx, R, U);
    }
    AE_UNROLL for (int u = 0; u < U; u++) AE_UNROLL for (int r = 0; r < R; r++) {
        float *at = totals + (r * UNITS_MAX + u) * VF;
        vf_store(at, vf_load(at) + sum[u][r]);
    }
}

/* Sums of integers, as float32 with their scales, onto the totals. */
AE_INLINE void add_scaled(float *totals, vi sum[UNITS_MAX][TILE_ROWS], const float *x_scales,
                          const panel_at *p, const int R, const int U) {
    AE_UNROLL for (int u = 0; u < U; u++) {
        const vf scale =
            vf_load_bf16(p->scales + u / UNITS_OF_PANEL * p->scales_step + u % UNITS_OF_PANEL * VF);
        AE_UNROLL for (int r = 0; r < R; r++) {
            float *at = totals + (r * UNITS_MAX + u) * VF;
            vf_store(at, vf_fma(to_real(sum[u][r]), scale * vf_set(x_scales[r]), vf_load(at)));
        }
    }
}

AE_INLINE void group_int8(float *totals, const int32_t *x, ptrdiff_t ldx, const float *x_scales, panel_at p,
                          ptrdiff_t cols, const int R, const int U) {
    enum { LINE = 32 };
    vi sum[UNITS_MAX][TILE_ROWS];
    AE_UNROLL for (int u = 0; u < U; u++) AE_UNROLL for (int r = 0; r < R; r++) sum[u][r] = vi_zero();
    for (ptrdiff_t i = 0; i < cols; i += 2, p.data += LINE, x += ldx) {
        vi w[UNITS_MAX];
        AE_UNROLL for (int u = 0; u < U; u++) {
            w[u] = pairs_int8(unit_data(&p, u, LINE));
            if (u % UNITS_OF_PANEL == 0) _mm_prefetch(unit_data(&p, u, LINE) + p.ahead, _MM_HINT_T1);
        }
        AE_UNROLL for (int r = 0; r < R; r++) {
            const vi a = vi_set(x[r]);
            AE_UNROLL for (int u = 0; u < U; u++) sum[u][r] = add_pairs(sum[u][r], w[u], a);
        }
    }
    add_scaled(totals, sum, x_scales, &p, R, U);
}

#ifdef __AVX512VNNI__
/* Bytes of weights, OFFSET too large, times bytes of inputs: the upper ones in sum[0] and the lower in sum[1], `planes` of them from
 * `first` on at once. */
AE_INLINE void add_nibbles(vi sum[2][UNITS_MAX][TILE_ROWS], const int32_t *x, ptrdiff_t ldx, panel_at p,
                           ptrdiff_t cols, const int first, const int planes, const int R, const int U) {
    enum { LINE = 64, A_XOR_B_AND_C = 0x28 };
    const vi offset = _mm512_set1_epi8(OFFSET), kept = _mm512_set1_epi8(15);
    for (ptrdiff_t i = 0; i < cols; i += 8, p.data += LINE, x += 4 * ldx) {
        vi line[UNITS_MAX], w[UNITS_MAX];
        AE_UNROLL for (int u = 0; u < U; u++) {
            line[u] = load_line(unit_data(&p, u, LINE));
            if (first == 0) _mm_prefetch(unit_data(&p, u, LINE) + p.ahead, _MM_HINT_T1);
        }
        AE_UNROLL for (int h = 0; h < 2; h++) {
            AE_UNROLL for (int u = 0; u < U; u++) {
                w[u] = h ? _mm512_srli_epi32(line[u], 4) : line[u];
                w[u] = _mm512_ternarylogic_epi32(w[u], offset, kept, A_XOR_B_AND_C);
            }
            AE_UNROLL for (int k = first; k < first + planes; k++) AE_UNROLL for (int r = 0; r < R; r++) {
                const vi a = vi_set(x[(2 * h + k) * ldx + r]);
                AE_UNROLL for (int u = 0; u < U; u++) sum[k][u][r] =
                    _mm512_dpbusd_epi32(sum[k][u][r], w[u], a);
            }
        }
    }
}

/* Both bytes of the inputs together where registers suffice, else one after the other. */
AE_INLINE void group_int4(float *totals, const int32_t *x, ptrdiff_t ldx, const float *x_scales,
                          const int32_t *offsets, panel_at p, ptrdiff_t cols, const int R, const int U) {
    enum { BOTH = 8 };
    vi sum[2][UNITS_MAX][TILE_ROWS];
    AE_UNROLL for (int u = 0; u < U; u++) AE_UNROLL for (int r = 0; r < R; r++) {
        sum[0][u][r] = vi_zero();
        if (R * U <= BOTH) sum[1][u][r] = _mm512_sub_epi32(vi_zero(), vi_set(offsets[r]));
    }
    add_nibbles(sum, x, ldx, p, cols, 0, R * U <= BOTH ? 2 : 1, R, U);
    AE_UNROLL for (int u = 0; u < U; u++) AE_UNROLL for (int r = 0; r < R; r++) {
        const vi upper = _mm512_slli_epi32(sum[0][u][r], 8);
        sum[1][u][r] = R * U <= BOTH ? _mm512_add_epi32(upper, sum[1][u][r])
                                     : _mm512_sub_epi32(upper, vi_set(offsets[r]));
    }
    if (R * U > BOTH) add_nibbles(sum, x, ldx, p, cols, 1, 1, R, U);
    add_scaled(totals, sum[1], x_scales, &p, R, U);
}
#else
AE_INLINE void group_int4(float *totals, const int32_t *x, ptrdiff_t ldx, const float *x_scales,
                          const int32_t *offsets, panel_at p, ptrdiff_t cols, const int R, const int U) {
    enum { LINE = 64, PAIRS = 4 };
    (void)offsets;
    const vi values = nibble_values();
    vi sum[UNITS_MAX][TILE_ROWS];
    AE_UNROLL for (int u = 0; u < U; u++) AE_UNROLL for (int r = 0; r < R; r++) sum[u][r] = vi_zero();
    for (ptrdiff_t i = 0; i < cols; i += 2 * PAIRS, p.data += LINE, x += PAIRS * ldx) {
        vi line[UNITS_MAX];
        AE_UNROLL for (int u = 0; u < U; u++) {
            line[u] = load_line(unit_data(&p, u, LINE));
            if (u % UNITS_OF_PANEL == 0) _mm_prefetch(unit_data(&p, u, LINE) + p.ahead, _MM_HINT_T1);
        }
        AE_UNROLL for (int j = 0; j < PAIRS; j++) {
            vi w[UNITS_MAX];
            AE_UNROLL for (int u = 0; u < U; u++) w[u] = pairs_int4(line[u], j, values);
            AE_UNROLL for (int r = 0; r < R; r++) {
                const vi a = vi_set(x[j * ldx + r]);
                AE_UNROLL for (int u = 0; u < U; u++) sum[u][r] = add_pairs(sum[u][r], w[u], a);
            }
        }
    }
    add_scaled(totals, sum, x_scales, &p, R, U);
}
#endif

/* ---- U units of panels that read the same inputs, from the first input to the last ---- */

typedef struct {
    const ae_cpu_weight *w;
    const prepared *x;
    ptrdiff_t part, panel; /* panel: of all */
    ptrdiff_t next;        /* panels from the first to that which the thread probably takes next */
} place;

/* R rows at a time: a group's weights come from memory for the first of these tiles and from the first-level cache for the others. */
AE_INLINE void sweep(float *totals, const place *at, const int R, const int U) {
    const ae_cpu_weight *w = at->w;
    const ptrdiff_t cols = ae_panel_cols(w), groups = ae_panel_groups(w), ldx = at->x->rows;
    const int32_t *x = at->x->x + at->part * ldx * entries(w, cols);
    panel_at p = {.data_step = ae_panel_bytes(w->type, cols), .scales_step = groups * LANES};
    for (ptrdiff_t g = 0; g < groups; g++) {
        const ptrdiff_t first = g * w->group, n = ae_min(w->group, cols - first);
        const ptrdiff_t x_group = (at->part * groups + g) * ldx;
        const float *x_scales = at->x->scales + x_group;
        p.data = (const char *)w->data + at->panel * p.data_step + ae_panel_bytes(w->type, first);
        p.scales = w->scales + (at->panel * groups + g) * LANES;
        /* what follows the end of a panel is read with it or by another thread: ask for the one that comes next */
        const bool beyond = ae_panel_bytes(w->type, first) + AHEAD >= p.data_step;
        p.ahead = AHEAD + (beyond ? (at->next - 1) * p.data_step : 0);
        for (ptrdiff_t r = 0; r < ldx; r += R) {
            float *to = totals + r * UNITS_MAX * VF;
            const int32_t *from = x + entries(w, first) * ldx + r;
            if (w->type == AE_WEIGHT_BF16)
                group_bf16(to, from, ldx, p, n, R, U);
            else if (w->type == AE_WEIGHT_INT8)
                group_int8(to, from, ldx, x_scales + r, p, n, R, U);
            else
                group_int4(to, from, ldx, x_scales + r, at->x->offsets + x_group + r, p, n, R, U);
        }
    }
}

/* How many vectors of sums a tile of rows leaves room for. */
static ptrdiff_t panels_at_once(ptrdiff_t rows) {
    return (rows <= 2 ? UNITS_MAX : SUMS / ae_min(rows, TILE_ROWS)) / UNITS_OF_PANEL;
}

static void sweep_all(float *totals, const place *at) {
    const ptrdiff_t rows = at->x->rows;
    if (rows == 1)
        sweep(totals, at, 1, UNITS_MAX);
    else if (rows == 2)
        sweep(totals, at, 2, UNITS_MAX);
    else if (rows == 4)
        sweep(totals, at, 4, SUMS / 4);
    else
        sweep(totals, at, TILE_ROWS, SUMS / TILE_ROWS);
}

static void sweep_one(float *totals, const place *at) {
    const ptrdiff_t rows = at->x->rows;
    if (rows == 1)
        sweep(totals, at, 1, UNITS_OF_PANEL);
    else if (rows == 2)
        sweep(totals, at, 2, UNITS_OF_PANEL);
    else if (rows == 4)
        sweep(totals, at, 4, UNITS_OF_PANEL);
    else
        sweep(totals, at, TILE_ROWS, UNITS_OF_PANEL);
}

/* ---- all panels ---- */

/* Panels [first, last), several at a time where they read the same inputs; then those `skipped` further. */
static void share_of_panels(const ae_panel_product *t, const ae_cpu_weight *w, const prepared *x,
                            ptrdiff_t first, ptrdiff_t last, ptrdiff_t skipped) {
    const ptrdiff_t most = panels_at_once(x->rows), each = ae_panels_of_part(w);
    for (ptrdiff_t panel = first, n; panel < last; panel += n) {
        float totals[ROWS_MAX * UNITS_MAX * VF];
        place at = {w, x, panel / each, panel, 0};
        n = ae_min(last, (at.part + 1) * each) - panel >= most ? most : 1;
        at.next = n + (panel + n < last ? 0 : skipped);
        memset(totals, 0, (size_t)(x->rows * UNITS_MAX * VF) * sizeof *totals);
        if (n == most)
            sweep_all(totals, &at);
        else
            sweep_one(totals, &at);
        for (ptrdiff_t u = 0; u < n * UNITS_OF_PANEL; u++)
            ae_panel_put(t, w, panel + u / UNITS_OF_PANEL, u % UNITS_OF_PANEL * VF, totals + u * VF,
                         UNITS_MAX * VF);
    }
}

/* A thread reads one run of memory where that is what takes the time; with more rows threads take a few panels at a time, so that none
 * waits for one that was held up. */
static void all_panels(const ae_panel_product *t, const ae_cpu_weight *w, const prepared *x) {
    const ptrdiff_t panels = ae_panel_parts(w) * ae_panels_of_part(w), threads = omp_get_num_threads(),
                    rank = omp_get_thread_num(), some = panels_at_once(x->rows);
    if (x->rows <= 4) {
        share_of_panels(t, w, x, panels * rank / threads, panels * (rank + 1) / threads, 0);
        return;
    }
#pragma omp for schedule(dynamic)
    for (ptrdiff_t panel = 0; panel < panels; panel += some)
        share_of_panels(t, w, x, panel, ae_min(panels, panel + some), (threads - 1) * some);
}

void NAME(ae_cpu_panels_few)(const ae_backend *be, const ae_panel_product *p, const ae_cpu_weight *w) {
    assert(p->M <= ROWS_MAX && w->panels);
    if (p->M <= 0) return;
    const prepared x = room_for(be, w, p->M);
    if (!x.x) return;
#pragma omp parallel num_threads(ae_team(be))
    {
        if (w->type == AE_WEIGHT_BF16)
            prepare_reals(&x, p, w);
        else
            prepare_integers(&x, p, w);
        all_panels(p, w, &x);
    }
    free(x.x);
}
