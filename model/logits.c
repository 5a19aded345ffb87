#include "model/logits.h"

#include "core/dims.h"
#include "core/machine.h"
#include "core/simd.h"
#include "model/sweep.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef __m256d vd;
enum { VD = 4 };
#define EACH(j, n) _Pragma("GCC unroll 8") for (int j = 0; j < (n); j++)

static inline vf usable(vf x) {
    return vf_min(vf_max(x, vf_set(-FLT_MAX)), vf_set(FLT_MAX)); /* either takes the bound for a NaN */
}

/* ---- the largest ---- */

static float top_of(const float *x, ptrdiff_t n) {
    vf top[4];
    EACH(j, 4) top[j] = vf_set(-FLT_MAX);
    ptrdiff_t v = 0;
    for (; v + 4 * VF <= n; v += 4 * VF) EACH(j, 4) top[j] = vf_max(usable(vf_load(x + v + j * VF)), top[j]);
    float most = vf_max_of(vf_max(vf_max(top[0], top[1]), vf_max(top[2], top[3])));
    for (; v < n; v++) most = ae_logit_usable(x[v]) > most ? ae_logit_usable(x[v]) : most;
    return most;
}

void ae_logit_tops(float *tops, const float *x, ptrdiff_t n, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (ptrdiff_t g = 0; g < ae_ceil_div(n, AE_LOGIT_GROUP); g++) {
        const ptrdiff_t first = g * AE_LOGIT_GROUP;
        tops[g] = top_of(x + first, ae_min(AE_LOGIT_GROUP, n - first));
    }
}

/* ---- exp ---- */

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

double ae_logit_exp_sum(double *each, const float *x, ptrdiff_t n, double top, double scale) {
    return is_wide() ? ae_sweep_exp_sum_avx512(each, x, n, top, scale)
                     : ae_sweep_exp_sum_avx2(each, x, n, top, scale);
}

void ae_logit_exp_sums(double *sums, double *each, const float *x, ptrdiff_t n, double top, double scale,
                       int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (ptrdiff_t b = 0; b < ae_ceil_div(n, AE_LOGIT_BLOCK); b++) {
        const ptrdiff_t first = b * AE_LOGIT_BLOCK;
        sums[b] = ae_logit_exp_sum(each ? each + first : NULL, x + first, ae_min(AE_LOGIT_BLOCK, n - first),
                                   top, scale);
    }
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

static inline __m128 usable_four(const float *x) {
    return _mm_min_ps(_mm_max_ps(_mm_loadu_ps(x), _mm_set1_ps(-FLT_MAX)), _mm_set1_ps(FLT_MAX));
}

double ae_logit_sum_above(ptrdiff_t *equal, const double *each, const float *x, ptrdiff_t n, float least) {
    vd sum[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
    ptrdiff_t v = 0, ties = 0;
    for (; v + 2 * VD <= n; v += 2 * VD) {
        EACH(j, 2) {
            const __m128 four = usable_four(x + v + j * VD), bound = _mm_set1_ps(least);
            const __m256i above = _mm256_cvtepi32_epi64(_mm_castps_si128(_mm_cmpgt_ps(four, bound)));
            sum[j] = _mm256_add_pd(
                sum[j], _mm256_and_pd(_mm256_castsi256_pd(above), _mm256_loadu_pd(each + v + j * VD)));
            ties += __builtin_popcount((unsigned)_mm_movemask_ps(_mm_cmpeq_ps(four, bound)));
        }
    }
    double total = sum_of(_mm256_add_pd(sum[0], sum[1]));
    for (; v < n; v++) {
        const float one = ae_logit_usable(x[v]);
        if (one > least)
            total += each[v];
        else
            ties += !(one < least);
    }
    *equal = ties;
    return total;
}
