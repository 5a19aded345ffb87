#include "ops/cpu/product.h"

#include "core/simd.h"
#include "ops/cpu/blocked.h"
#include "ops/cpu/panels.h"
#include "ops/cpu/turn.h"

/* Both operands are packed: A in panels of MR rows, B in panels of NR columns, DEPTH of the inner dimension at a time. The kernel keeps a
 * block of MR x NR sums in registers while a panel of each passes. Pitches leave the power of two, which would map many lines to the
 * same sets of the cache. */
enum {
    MR = VF == 16 ? 14 : 6,
    NR = 2 * VF,
    DEPTH = 384,
    A_PITCH = DEPTH + 16,        /* of a row of a panel */
    A_PANEL = MR * A_PITCH + 16, /* or turned, [DEPTH, MR], and what a vector stores beyond */
    B_PANEL = NR * DEPTH + 16,
    AHEAD = 4, /* rows, of prefetches while packing */
};

/* ---- elements of either type ---- */

static inline ptrdiff_t bytes_of(ae_elem_type type) {
    return type == AE_ELEM_F32 ? (ptrdiff_t)sizeof(float) : (ptrdiff_t)sizeof(uint16_t);
}

static inline const void *at(const ae_gemm_operand *x, ptrdiff_t row, ptrdiff_t col) {
    return (const char *)x->at + (row * x->ld + col) * bytes_of(x->type);
}

static inline vf load(ae_elem_type type, const void *from, ptrdiff_t i, ptrdiff_t n) {
    if (type == AE_ELEM_F32) return vf_load_n((const float *)from + i, n);
    return vf_load_bf16_n((const uint16_t *)from + i, n);
}

/* To the second-level cache; the address may lie outside. */
static inline void prefetch(const void *from, ptrdiff_t bytes) {
    __builtin_prefetch((const void *)((uintptr_t)from + (uintptr_t)bytes), 0, 2);
}

/* ---- kernel ---- */

/* out = alpha sum + bias + beta from; bias and from may be NULL, from may be out. */
typedef struct {
    ae_elem_type type, from_type;
    float alpha, beta;
    ptrdiff_t ld, from_ld;
    void *out;
    const void *from;
    const float *bias;
} target;

static target target_at(const target *t, ptrdiff_t row, ptrdiff_t col) {
    target s = *t;
    s.out = (char *)t->out + (row * t->ld + col) * bytes_of(t->type);
    if (t->from) s.from = (const char *)t->from + (row * t->from_ld + col) * bytes_of(t->from_type);
    if (t->bias) s.bias = t->bias + col;
    return s;
}

#define INLINE      static inline __attribute__((always_inline))
#define EACH_ROW(r) _Pragma("GCC unroll 14") for (int r = 0; r < rows; r++)

INLINE void finish(const target *t, ptrdiff_t row, ptrdiff_t col, ptrdiff_t n, vf sum) {
    vf v = sum * vf_set(t->alpha);
    if (t->bias) v = v + vf_load_n(t->bias + col, n);
    if (t->from) v = vf_fma(vf_set(t->beta), load(t->from_type, t->from, row * t->from_ld + col, n), v);
    if (t->type == AE_ELEM_F32)
        vf_store_n((float *)t->out + row * t->ld + col, v, n);
    else
        vf_store_bf16_n((uint16_t *)t->out + row * t->ld + col, v, n);
}

/* Element [r, p] of the panel of A lies at r * row_step + p * k_step; rows and steps are constants where this is inlined. The lines of C
 * are asked for a few at a time: all at once they would hold up those of A. */
INLINE void kernel(int rows, ptrdiff_t row_step, ptrdiff_t k_step, const float *a, const float *b,
                   ptrdiff_t k, ptrdiff_t n, const target *t) {
    enum { PARTS = 4, PART_ROWS = (MR + PARTS - 1) / PARTS };
    vf left[MR], right[MR];
    EACH_ROW(r) left[r] = right[r] = vf_set(0);
    const ptrdiff_t line = t->ld * bytes_of(t->type), wide = (ae_min(n, NR) - 1) * bytes_of(t->type);
    const char *soon = t->out;
    for (int part = 0; part < PARTS; part++) {
        const ptrdiff_t end = part + 1 < PARTS ? k / PARTS : k - k / PARTS * (PARTS - 1);
        for (int r = part * PART_ROWS; r < ae_min((part + 1) * PART_ROWS, rows); r++, soon += line) {
            __builtin_prefetch(soon, 1);
            __builtin_prefetch(soon + wide, 1);
        }
        for (ptrdiff_t p = 0; p < end; p++, a += k_step, b += NR) {
            const vf b_left = vf_load(b), b_right = vf_load(b + VF);
            EACH_ROW(r) {
                const vf x = vf_set(a[r * row_step]);
                left[r] = vf_fma(x, b_left, left[r]);
                right[r] = vf_fma(x, b_right, right[r]);
            }
        }
    }
    EACH_ROW(r) {
        finish(t, r, 0, n, left[r]);
        if (n > VF) finish(t, r, VF, n - VF, right[r]);
    }
}

#define PLAIN(rows)                                                                                          \
    case rows:                                                                                               \
        kernel(rows, A_PITCH, 1, a, b, k, n, t);                                                             \
        return;
#define TURNED(rows)                                                                                         \
    case rows:                                                                                               \
        kernel(rows, 1, MR, a, b, k, n, t);                                                                  \
        return;
#define UP_TO_6(KERNEL)  KERNEL(1) KERNEL(2) KERNEL(3) KERNEL(4) KERNEL(5) KERNEL(6)
#define UP_TO_14(KERNEL) KERNEL(7) KERNEL(8) KERNEL(9) KERNEL(10) KERNEL(11) KERNEL(12) KERNEL(13) KERNEL(14)
#ifdef __AVX512F__
#define UP_TO_MR(KERNEL) UP_TO_6(KERNEL) UP_TO_14(KERNEL)
#else
#define UP_TO_MR(KERNEL) UP_TO_6(KERNEL)
#endif

typedef void kernel_fn(ptrdiff_t rows, const float *a, const float *b, ptrdiff_t k, ptrdiff_t n,
                       const target *t);

static void plain(ptrdiff_t rows, const float *a, const float *b, ptrdiff_t k, ptrdiff_t n, const target *t) {
    switch (rows) { UP_TO_MR(PLAIN) }
}

static void turned(ptrdiff_t rows, const float *a, const float *b, ptrdiff_t k, ptrdiff_t n,
                   const target *t) {
    switch (rows) { UP_TO_MR(TURNED) }
}

/* ---- packing ---- */

/* Rows as they are. */
static void pack_a_plain(float *to, const ae_gemm_operand *a, ptrdiff_t m, ptrdiff_t first, ptrdiff_t k) {
    for (ptrdiff_t i = 0; i < m; i++) {
        float *row = to + i / MR * A_PANEL + i % MR * A_PITCH;
        const void *from = at(a, i, first);
        for (ptrdiff_t p = 0; p < k; p += VF) {
            prefetch(from, (AHEAD * a->ld + p) * bytes_of(a->type));
            vf_store(row + p, load(a->type, from, p, k - p));
        }
    }
}

/* A is stored [k, m]: MR of its columns side by side, some rows at a time so that lines are written whole. A vector is wider than MR; what
 * it stores too much, the next overwrites. */
static void pack_a_turned(float *to, const ae_gemm_operand *a, ptrdiff_t m, ptrdiff_t first, ptrdiff_t k) {
    enum { ROWS = 16 };
    for (ptrdiff_t p0 = 0; p0 < k; p0 += ROWS) {
        for (ptrdiff_t i = 0; i < m; i += MR) {
            for (ptrdiff_t p = p0; p < ae_min(k, p0 + ROWS); p++) {
                const void *from = at(a, first + p, i);
                prefetch(from, ROWS * a->ld * bytes_of(a->type));
                vf_store(to + i / MR * A_PANEL + p * MR, load(a->type, from, 0, m - i));
            }
        }
    }
}

/* B is stored [n, k]: columns [col, col + n) of op(B), turned block by block. */
static void pack_b_turned(float *to, const ae_gemm_operand *b, ptrdiff_t first, ptrdiff_t k, ptrdiff_t col,
                          ptrdiff_t n) {
    for (ptrdiff_t j = 0; j < n; j += VF) {
        for (ptrdiff_t p = 0; p < k; p += VF) {
            vf r[VF];
            for (ptrdiff_t i = 0; i < VF; i++) {
                const void *from = at(b, col + ae_min(j + i, n - 1), first);
                prefetch(from, (VF * b->ld + p) * bytes_of(b->type));
                r[i] = load(b->type, from, p, k - p);
            }
            ae_turn_block(to + p * NR + j, NR, r);
        }
    }
}

static void pack_b_plain(float *to, const ae_gemm_operand *b, ptrdiff_t first, ptrdiff_t k, ptrdiff_t col,
                         ptrdiff_t n) {
    for (ptrdiff_t p = 0; p < k; p++) {
        const void *from = at(b, first + p, col);
        prefetch(from, AHEAD * b->ld * bytes_of(b->type));
        vf_store(to + p * NR, load(b->type, from, 0, n));
        if (n > VF) vf_store(to + p * NR + VF, load(b->type, from, VF, n - VF));
    }
}

/* The even or odd elements of VF pairs, as float32. */
static inline vf half_of_pairs(const uint16_t *pairs, bool odd) {
#ifdef __AVX512F__
    const __m512i x = _mm512_loadu_si512(pairs);
    return _mm512_castsi512_ps(odd ? _mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000))
                                   : _mm512_slli_epi32(x, 16));
#else
    const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)pairs);
    return _mm256_castsi256_ps(odd ? _mm256_and_si256(x, _mm256_set1_epi32((int)0xffff0000))
                                   : _mm256_slli_epi32(x, 16));
#endif
}

/* B is blocked: pairs come apart into two rows. */
static void pack_b_blocked(float *to, const ae_gemm_operand *b, ptrdiff_t first, ptrdiff_t k, ptrdiff_t col) {
    const ptrdiff_t panel = col / AE_BLOCKED_COLS * b->ld * AE_BLOCKED_COLS;
    const uint16_t *pairs = (const uint16_t *)b->at + panel + 2 * (col % AE_BLOCKED_COLS);
    for (ptrdiff_t p = 0; p < k; p++) {
        const uint16_t *row = pairs + (first + p) / 2 * 2 * AE_BLOCKED_COLS;
        for (ptrdiff_t j = 0; j < NR; j += VF)
            vf_store(to + p * NR + j, half_of_pairs(row + 2 * j, (first + p) % 2));
    }
}

/* One panel of one depth: at most NR columns from `col` on, [first, first + k) of the inner dimension. */
static void pack_b(float *to, const ae_gemm_operand *b, ptrdiff_t first, ptrdiff_t k, ptrdiff_t col,
                   ptrdiff_t n) {
    if (b->weight && b->trans)
        ae_cpu_panels_unpack(to, NR, b->weight, b->first + col, n, b->col + first, k);
    else if (b->weight)
        ae_cpu_panels_unpack_rows(to, NR, b->weight, b->first + first, k, b->col + col, n);
    else if (b->blocked)
        pack_b_blocked(to, b, first, k, col);
    else if (b->trans)
        pack_b_turned(to, b, first, k, col, n);
    else
        pack_b_plain(to, b, first, k, col, n);
}

/* ---- products ---- */

static ptrdiff_t depths(ptrdiff_t k) {
    return ae_ceil_div(k, DEPTH);
}

static ptrdiff_t packed_floats(ptrdiff_t k) {
    return AE_PRODUCT_COLS / NR * depths(k) * B_PANEL;
}

/* NR columns with all their depths, then the next. */
static void pack(float *packed, const ae_gemm_operand *b, ptrdiff_t k, ptrdiff_t col, ptrdiff_t n) {
    for (ptrdiff_t j = 0; j < n; j += NR)
        for (ptrdiff_t p = 0; p < k; p += DEPTH, packed += B_PANEL)
            pack_b(packed, b, p, ae_min(DEPTH, k - p), col + j, ae_min(NR, n - j));
}

static ptrdiff_t room_floats(ptrdiff_t m, ptrdiff_t n) {
    return ae_ceil_div(m, MR) * A_PANEL + ae_ceil_div(n, NR) * B_PANEL + m * n;
}

/* Where the sums of a depth go: a bfloat16 C is made in `sums` until the last. */
static target target_of(const ae_gemm_args *g, float *sums, bool first, bool last) {
    const bool wide = g->c_type == AE_ELEM_F32;
    target t = {.type = g->c_type, .alpha = g->alpha, .beta = 1, .ld = g->ldc, .out = g->c};
    if (first) {
        t.bias = g->bias;
        t.from_ld = g->ldc;
        t.from = g->residual;
        if (!g->residual && !g->bias && g->beta != 0) {
            t.from = g->c;
            t.from_type = g->c_type;
            t.beta = g->beta;
        }
    } else {
        t.from = wide ? g->c : sums;
        t.from_ld = wide ? g->ldc : g->n;
    }
    if (!last && !wide) {
        t.type = AE_ELEM_F32;
        t.out = sums;
        t.ld = g->n;
    }
    return t;
}

/* A panel of B stays in the first-level cache while those of A pass from the second. */
static void depth(const ae_gemm_args *g, const float *a, const float *b, ptrdiff_t b_step, ptrdiff_t k,
                  const target *t) {
    kernel_fn *const run = g->a.trans ? turned : plain;
    for (ptrdiff_t j = 0; j < g->n; j += NR, b += b_step) {
        for (ptrdiff_t i = 0; i < g->m; i += MR) {
            const target s = target_at(t, i, j);
            run(ae_min(MR, g->m - i), a + i / MR * A_PANEL, b, k, ae_min(NR, g->n - j), &s);
        }
    }
}

static void product(const ae_gemm_args *g, const float *packed, float *room) {
    float *a = room, *b = a + ae_ceil_div(g->m, MR) * A_PANEL, *sums = b + ae_ceil_div(g->n, NR) * B_PANEL;
    ptrdiff_t p = 0;
    do {
        const ptrdiff_t k = ae_min(DEPTH, g->k - p);
        const target t = target_of(g, sums, p == 0, p + DEPTH >= g->k);
        (g->a.trans ? pack_a_turned : pack_a_plain)(a, &g->a, g->m, p, k);
        for (ptrdiff_t j = 0; j < g->n && !packed; j += NR)
            pack_b(b + j / NR * B_PANEL, &g->b, p, k, j, ae_min(NR, g->n - j));
        if (packed)
            depth(g, a, packed + p / DEPTH * B_PANEL, depths(g->k) * B_PANEL, k, &t);
        else
            depth(g, a, b, B_PANEL, k, &t);
        p += DEPTH;
    } while (p < g->k);
}

const ae_product_kernels AE_ISA_NAME(ae_product) = {MR,   DEPTH,  VF == 8, room_floats, packed_floats,
                                                    pack, product};
