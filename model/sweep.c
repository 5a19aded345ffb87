#include "model/sweep.h"

#include "core/simd.h"
#include "model/logits.h"

#define EACH(j, n) _Pragma("GCC unroll 8") for (int j = 0; j < (n); j++)

static inline vf usable(vf x) {
    return vf_min(vf_max(x, vf_set(-FLT_MAX)), vf_set(FLT_MAX)); /* either takes the bound for a NaN */
}

/* ---- vectors of doubles: exp in single precision would leave the drawn token in doubt too often (model/sampler.c) ---- */

#ifdef __AVX512F__
typedef __m512d vd;
enum { VD = 8 };
static inline vd vd_set(double x) {
    return _mm512_set1_pd(x);
}
static inline vd vd_max(vd a, vd b) {
    return _mm512_max_pd(a, b);
}
static inline vd vd_fma(vd a, vd b, vd c) {
    return _mm512_fmadd_pd(a, b, c);
}
static inline void vd_store(double *p, vd x) {
    _mm512_storeu_pd(p, x);
}
static inline vd vd_load_usable(const float *x) {
    const __m256 some = _mm256_loadu_ps(x), most = _mm256_set1_ps(FLT_MAX), least = _mm256_set1_ps(-FLT_MAX);
    return _mm512_cvtps_pd(_mm256_min_ps(_mm256_max_ps(some, least), most));
}
/* x 2^k for the k in the low bits of `shifted`. */
static inline vd vd_scale2(vd x, vd shifted) {
    const __m512i power = _mm512_slli_epi64(_mm512_castpd_si512(shifted), 52);
    return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(x), power));
}
/* Of 16 sums, to four. */
static inline __m256d vd_fold(const vd *x) {
    const __m256d a = _mm256_add_pd(_mm512_castpd512_pd256(x[0]), _mm512_extractf64x4_pd(x[0], 1));
    return _mm256_add_pd(a, _mm256_add_pd(_mm512_castpd512_pd256(x[1]), _mm512_extractf64x4_pd(x[1], 1)));
}
#else
typedef __m256d vd;
enum { VD = 4 };
static inline vd vd_set(double x) {
    return _mm256_set1_pd(x);
}
static inline vd vd_max(vd a, vd b) {
    return _mm256_max_pd(a, b);
}
static inline vd vd_fma(vd a, vd b, vd c) {
    return _mm256_fmadd_pd(a, b, c);
}
static inline void vd_store(double *p, vd x) {
    _mm256_storeu_pd(p, x);
}
static inline vd vd_load_usable(const float *x) {
    const __m128 some = _mm_loadu_ps(x), most = _mm_set1_ps(FLT_MAX), least = _mm_set1_ps(-FLT_MAX);
    return _mm256_cvtps_pd(_mm_min_ps(_mm_max_ps(some, least), most));
}
static inline vd vd_scale2(vd x, vd shifted) {
    const __m256i power = _mm256_slli_epi64(_mm256_castpd_si256(shifted), 52);
    return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(x), power));
}
static inline __m256d vd_fold(const vd *x) {
    return _mm256_add_pd(_mm256_add_pd(x[0], x[1]), _mm256_add_pd(x[2], x[3]));
}
#endif

/* ---- exp ---- */

enum { STEP = 16, CHAINS = STEP / VD };

/* 2^t for t <= 0, as 2^-1010 at least: t = k + r, a polynomial of degree 9 on |r| <= 1/2 that is right to 2^-45 (through 2^r at the zeros of
 * the Chebyshev polynomial). */
static inline void exp2_each(vd *t, const int n) {
    static const double coefficients[] = {0x1.b6571de2f2351p-24, 0x1.63ef969a64d3cp-20, 0x1.ffcb76789860fp-17,
                                          0x1.43088e257f341p-13, 0x1.5d87fe908f88ap-10, 0x1.3b2ab72b175eep-7,
                                          0x1.c6b08d7044119p-5,  0x1.ebfbdff8149f2p-3,  0x1.62e42fefa39f7p-1,
                                          0x1.000000000003dp+0};
    const vd shift = vd_set(0x1.8p52);
    vd k[CHAINS], p[CHAINS];
    EACH(j, n) t[j] = vd_max(t[j], vd_set(-1010));
    EACH(j, n) k[j] = t[j] + shift; /* whole, in the low bits */
    EACH(j, n) {
        t[j] -= k[j] - shift;
        p[j] = vd_set(coefficients[0]);
    }
    for (size_t i = 1; i < sizeof coefficients / sizeof *coefficients; i++)
        EACH(j, n) p[j] = vd_fma(p[j], t[j], vd_set(coefficients[i]));
    EACH(j, n) t[j] = vd_scale2(p[j], k[j]);
}

static double sum_of(const vd *x) {
    double parts[4];
    _mm256_storeu_pd(parts, vd_fold(x));
    return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

double AE_ISA_NAME(ae_sweep_exp_sum)(double *each, const float *x, ptrdiff_t n, double top, double scale) {
    const vd highest = vd_set(top), powers = vd_set(scale * 0x1.71547652b82fep+0); /* of two */
    vd sum[CHAINS], e[CHAINS];
    EACH(j, CHAINS) sum[j] = vd_set(0);
    ptrdiff_t v = 0;
    for (; v + STEP <= n; v += STEP) {
        EACH(j, CHAINS) e[j] = (vd_load_usable(x + v + j * VD) - highest) * powers;
        exp2_each(e, CHAINS);
        EACH(j, CHAINS) sum[j] += e[j];
        if (each) EACH(j, CHAINS) vd_store(each + v + j * VD, e[j]);
    }
    double total = sum_of(sum);
    for (; v < n; v++) {
        float one[VD] = {x[v]};
        double term[VD];
        e[0] = (vd_load_usable(one) - highest) * powers;
        exp2_each(e, 1);
        vd_store(term, e[0]);
        if (each) each[v] = term[0];
        total += term[0];
    }
    return total;
}

/* ---- those between two bounds ---- */

/* Writes those of x from low to high to `out`; how many they are. */
static inline ptrdiff_t pick(float *out, vf x, vf low, vf high) {
#ifdef __AVX512F__
    const vmask mask = _mm512_cmp_ps_mask(x, low, _CMP_GE_OQ) & _mm512_cmp_ps_mask(x, high, _CMP_LE_OQ);
    vf_store(out, _mm512_maskz_compress_ps(mask, x));
    return __builtin_popcount(mask);
#else
    const vf within = _mm256_and_ps(_mm256_cmp_ps(x, low, _CMP_GE_OQ), _mm256_cmp_ps(x, high, _CMP_LE_OQ));
    const unsigned mask = (unsigned)_mm256_movemask_ps(within);
    /* the places of the mask's bits, lowest first */
    const uint64_t bytes = _pdep_u64(mask, 0x0101010101010101u) * 0xff;
    const uint64_t places = _pext_u64(0x0706050403020100u, bytes);
    vf_store(out, _mm256_permutevar8x32_ps(x, _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)places))));
    return __builtin_popcount(mask);
#endif
}

ptrdiff_t AE_ISA_NAME(ae_sweep_pick)(float *out, const float *x, ptrdiff_t n, float low, float high) {
    ptrdiff_t picked = 0, v = 0;
    for (; v + VF <= n; v += VF)
        picked += pick(out + picked, usable(vf_load(x + v)), vf_set(low), vf_set(high));
    for (; v < n; v++) {
        const float one = ae_logit_usable(x[v]);
        if (one >= low && one <= high) out[picked++] = one;
    }
    return picked;
}
