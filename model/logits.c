#include "model/logits.h"

#include "core/dims.h"
#include "core/simd.h"

/* Four doubles: exp in single precision would leave the drawn token in doubt too often (model/sampler.c). */
typedef __m256d vd;
enum { VD = 4, CHAINS = 4 };
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

/* exp(z) for z <= 0, as 1e-304 at least: z = k ln 2 + r, ln 2 in two parts, a Taylor polynomial of degree 13 on |r| <= ln 2 / 2. */
static inline void exp_each(vd *z, const int n) {
    static const double inverse_factorials[] = {1.0 / 6227020800,
                                                1.0 / 479001600,
                                                1.0 / 39916800,
                                                1.0 / 3628800,
                                                1.0 / 362880,
                                                1.0 / 40320,
                                                1.0 / 5040,
                                                1.0 / 720,
                                                1.0 / 120,
                                                1.0 / 24,
                                                1.0 / 6,
                                                0.5,
                                                1,
                                                1};
    const vd least = _mm256_set1_pd(-700), log2e = _mm256_set1_pd(1.4426950408889634),
             high = _mm256_set1_pd(0.693147180369123816490), low = _mm256_set1_pd(1.90821492927058770002e-10),
             shift = _mm256_set1_pd(0x1.8p52);
    vd k[CHAINS], p[CHAINS];
    EACH(j, n) z[j] = _mm256_max_pd(z[j], least);
    EACH(j, n) k[j] = _mm256_fmadd_pd(z[j], log2e, shift); /* whole, in the low bits */
    EACH(j, n) {
        const vd whole = _mm256_sub_pd(k[j], shift);
        z[j] = _mm256_fnmadd_pd(whole, low, _mm256_fnmadd_pd(whole, high, z[j]));
        p[j] = _mm256_set1_pd(inverse_factorials[0]);
    }
    for (size_t i = 1; i < sizeof inverse_factorials / sizeof *inverse_factorials; i++)
        EACH(j, n) p[j] = _mm256_fmadd_pd(p[j], z[j], _mm256_set1_pd(inverse_factorials[i]));
    EACH(j, n) {
        const __m256i power = _mm256_slli_epi64(_mm256_castpd_si256(k[j]), 52);
        z[j] = _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(p[j]), power));
    }
}

/* VD exponents of usable logits. */
static inline vd exponents(__m128 x, double top, double scale) {
    const vd wide = _mm256_cvtps_pd(x);
    return _mm256_mul_pd(_mm256_sub_pd(wide, _mm256_set1_pd(top)), _mm256_set1_pd(scale));
}

static inline __m128 usable_four(const float *x) {
    return _mm_min_ps(_mm_max_ps(_mm_loadu_ps(x), _mm_set1_ps(-FLT_MAX)), _mm_set1_ps(FLT_MAX));
}

static double sum_of(vd x) {
    double parts[VD];
    _mm256_storeu_pd(parts, x);
    return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

static double exp_sum(double *each, const float *x, ptrdiff_t n, double top, double scale) {
    enum { STEP = CHAINS * VD };
    vd sum[CHAINS], e[CHAINS];
    EACH(j, CHAINS) sum[j] = _mm256_setzero_pd();
    ptrdiff_t v = 0;
    for (; v + STEP <= n; v += STEP) {
        EACH(j, CHAINS) e[j] = exponents(usable_four(x + v + j * VD), top, scale);
        exp_each(e, CHAINS);
        EACH(j, CHAINS) sum[j] = _mm256_add_pd(sum[j], e[j]);
        if (each) EACH(j, CHAINS) _mm256_storeu_pd(each + v + j * VD, e[j]);
    }
    double total = sum_of(_mm256_add_pd(_mm256_add_pd(sum[0], sum[1]), _mm256_add_pd(sum[2], sum[3])));
    for (; v < n; v++) {
        const float one[VD] = {x[v], x[v], x[v], x[v]};
        e[0] = exponents(usable_four(one), top, scale);
        exp_each(e, 1);
        const double term = _mm256_cvtsd_f64(e[0]);
        if (each) each[v] = term;
        total += term;
    }
    return total;
}

void ae_logit_exp_sums(double *sums, double *each, const float *x, ptrdiff_t n, double top, double scale,
                       int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (ptrdiff_t b = 0; b < ae_ceil_div(n, AE_LOGIT_BLOCK); b++) {
        const ptrdiff_t first = b * AE_LOGIT_BLOCK;
        sums[b] =
            exp_sum(each ? each + first : NULL, x + first, ae_min(AE_LOGIT_BLOCK, n - first), top, scale);
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
