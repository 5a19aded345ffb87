#include "model/logits.h"

#include "core/dims.h"
#include "core/machine.h"
#include "core/simd.h"
#include "model/sweep.h"

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef __m256d vd;
enum { VD = 4 };
#define EACH(j, n) _Pragma("GCC unroll 8") for (int j = 0; j < (n); j++)

static inline vf usable(vf x) {
    return vf_min(vf_max(x, vf_set(-FLT_MAX)), vf_set(FLT_MAX)); /* either takes the bound for a NaN */
}

/* Asked once: the environment is read for it. */
static bool is_wide(void) {
    static atomic_int known; /* 0: not yet, 1: no, 2: yes */
    int wide = atomic_load_explicit(&known, memory_order_relaxed);
    if (wide == 0) {
        wide = ae_isa_pick() >= AE_ISA_AVX512 ? 2 : 1;
        atomic_store_explicit(&known, wide, memory_order_relaxed);
    }
    return wide == 2;
}

/* ---- the largest ---- */

float ae_logit_top(const float *x, ptrdiff_t n) {
    return is_wide() ? ae_sweep_top_avx512(x, n) : ae_sweep_top_avx2(x, n);
}

void ae_logit_tops(const ae_logit_groups *of, int threads) {
    enum { PIECE = 128 };
    const bool wide = is_wide();
    const ptrdiff_t groups = ae_ceil_div(of->n, AE_LOGIT_GROUP);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (ptrdiff_t g = 0; g < groups; g += PIECE) {
        if (wide)
            ae_sweep_tops_avx512(of, g, ae_min(g + PIECE, groups));
        else
            ae_sweep_tops_avx2(of, g, ae_min(g + PIECE, groups));
    }
}

/* ---- exp ---- */

/* 2^r through its values at the zeros of the Chebyshev polynomial: right to 2^-34. */
static const double of_exp2[AE_LOGIT_DEGREE + 1] = {
    0x1.00c0e4e15189cp-16, 0x1.446c79efd4834p-13, 0x1.5d877598350dep-10, 0x1.3b29d8bb0b97ep-7,
    0x1.c6b08da70cce3p-5,  0x1.ebfbe0aa03df0p-3,  0x1.62e42fef9cc69p-1,  0x1.ffffffffa7135p-1};

ae_logit_law ae_logit_law_of(double top, double scale) {
    enum { BIAS = 1023, DOWN = 1000 };
    const double powers = scale * 0x1.71547652b82fep+0, whole = rint(top * powers);
    const double factor = exp2(whole - top * powers);
    ae_logit_law w = {(whole - DOWN) / powers, powers, 0x1.8p52 + BIAS - whole, {0}};
    for (int i = 0; i <= AE_LOGIT_DEGREE; i++) w.coefficients[i] = of_exp2[i] * factor;
    return w;
}

double ae_logit_exp_sum(double *each, const float *x, ptrdiff_t n, const ae_logit_law *by) {
    return is_wide() ? ae_sweep_exp_sum_avx512(each, x, n, by) : ae_sweep_exp_sum_avx2(each, x, n, by);
}

ae_logit_split ae_logit_split_at(float *between, const float *x, ptrdiff_t n, const ae_logit_law *by,
                                 float low, float high) {
    return is_wide() ? ae_sweep_split_avx512(between, x, n, by, low, high)
                     : ae_sweep_split_avx2(between, x, n, by, low, high);
}

void ae_logit_exp_sums(double *sums, const float *x, ptrdiff_t n, const ae_logit_law *by, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (ptrdiff_t b = 0; b < ae_ceil_div(n, AE_LOGIT_BLOCK); b++) {
        const ptrdiff_t first = b * AE_LOGIT_BLOCK;
        sums[b] = ae_logit_exp_sum(NULL, x + first, ae_min(AE_LOGIT_BLOCK, n - first), by);
    }
}

/* ---- exp in single precision ---- */

/* Right to 2^-28 before roundings, and exactly 1 at 0. */
const float ae_logit_rough_exp2[AE_LOGIT_ROUGH_DEGREE + 1] = {
    0x1.416eccp-13f, 0x1.5f0b1ap-10f, 0x1.3b2de0p-7f, 0x1.c6af78p-5f, 0x1.ebfbdcp-3f, 0x1.62e430p-1f, 1};

ae_logit_rough_law ae_logit_rough_law_of(double top, double scale) {
    enum { BIAS = 127, DOWN = 100 };
    const double powers = scale * 0x1.71547652b82fep+0, whole = rint(top * powers);
    const float high = (float)powers;
    return (ae_logit_rough_law){.least = (float)((whole - DOWN) / powers),
                                .scale = high,
                                .rest = (float)(powers - (double)high),
                                .shift = (float)(0x1.8p23 + BIAS - whole),
                                .factor = exp2(whole - top * powers)};
}

ae_logit_split ae_logit_rough_split_at(float *between, const float *x, ptrdiff_t n,
                                       const ae_logit_rough_law *by, float low, float high,
                                       const ae_logit_groups *also, ptrdiff_t group) {
    return is_wide() ? ae_sweep_rough_split_avx512(between, x, n, by, low, high, also, group)
                     : ae_sweep_rough_split_avx2(between, x, n, by, low, high, also, group);
}

/* ---- parts ---- */

void ae_logit_parts(int32_t *parts, const float *x, ptrdiff_t n, float top, float scale, int most) {
    const vf last = vf_set((float)most);
    for (ptrdiff_t v = 0; v < n; v += VF) {
        const vf down = (vf_set(top) - usable(vf_load_n(x + v, n - v))) * vf_set(scale);
        const vi part = _mm256_cvttps_epi32(vf_min(down, last));
        if (n - v >= VF)
            _mm256_storeu_si256((__m256i *)(void *)(parts + v), part);
        else
            _mm256_maskstore_epi32(parts + v, vf_first(n - v), part);
    }
}

ptrdiff_t ae_logit_pick(float *out, const float *x, ptrdiff_t n, float low, float high) {
    return is_wide() ? ae_sweep_pick_avx512(out, x, n, low, high) : ae_sweep_pick_avx2(out, x, n, low, high);
}

/* ---- sums ---- */

static double sum_of(vd x) {
    double parts[VD];
    _mm256_storeu_pd(parts, x);
    return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

/* Adds those of 8 terms whose logits are above the bound, and counts the logits that equal it. */
static inline ptrdiff_t add_above(vd *sum, const vd *terms, vf x, vf bound) {
    const vf above = _mm256_cmp_ps(x, bound, _CMP_GT_OQ), equal = _mm256_cmp_ps(x, bound, _CMP_EQ_OQ);
    const __m128i halves[2] = {_mm_castps_si128(_mm256_castps256_ps128(above)),
                               _mm_castps_si128(_mm256_extractf128_ps(above, 1))};
    EACH(j, 2) {
        const vd mask = _mm256_castsi256_pd(_mm256_cvtepi32_epi64(halves[j]));
        sum[j] = _mm256_add_pd(sum[j], _mm256_and_pd(mask, terms[j]));
    }
    return __builtin_popcount((unsigned)_mm256_movemask_ps(equal));
}

double ae_logit_sum_above(ptrdiff_t *equal, const double *each, const float *x, ptrdiff_t n, float least) {
    const vf bound = vf_set(least);
    vd sum[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
    ptrdiff_t v = 0, ties = 0;
    for (; v + VF <= n; v += VF) {
        const vd terms[2] = {_mm256_loadu_pd(each + v), _mm256_loadu_pd(each + v + VD)};
        ties += add_above(sum, terms, usable(vf_load(x + v)), bound);
    }
    if (v < n) {
        const vi lanes = vf_first(n - v), low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(lanes)),
                 high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(lanes, 1));
        const vd terms[2] = {_mm256_maskload_pd(each + v, low), _mm256_maskload_pd(each + v + VD, high)};
        const vf none = vf_set(-INFINITY), some = usable(vf_load_n(x + v, n - v));
        ties += add_above(sum, terms, _mm256_blendv_ps(none, some, _mm256_castsi256_ps(lanes)), bound);
    }
    *equal = ties;
    return sum_of(_mm256_add_pd(sum[0], sum[1]));
}
