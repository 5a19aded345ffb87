#ifndef AE_OPS_CPU_PANELS_ROUND_H
#define AE_OPS_CPU_PANELS_ROUND_H
#include "core/simd.h"

/* Inputs as integers of 16 bits, for products with integer weights. */
enum {
    AE_ROUND_GROUP_MAX = 256,
    AE_ROUND_LARGEST = 127 << 8 /* either byte has a sign of its own */
};

/* The largest size, not a number where any is not. */
static inline float ae_largest(const float *x, ptrdiff_t n) {
    vf most = vf_set(0), spoilt = vf_set(0);
    for (ptrdiff_t i = 0; i < n; i += VF) {
        const vf v = vf_load_n(x + i, n - i);
        most = vf_max(vf_abs(v), most);
        spoilt = vf_fma(v, vf_set(0), spoilt);
    }
    return vf_max_of(most) + vf_sum(spoilt);
}

#ifdef __AVX512F__
static inline void ae_store_int16(int16_t *q, vf x) {
    _mm256_storeu_si256((__m256i *)(void *)q, _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(x)));
}
#else
static inline void ae_store_int16(int16_t *q, vf x) {
    const vi v = _mm256_cvtps_epi32(x);
    _mm_storeu_si128((__m128i *)(void *)q,
                     _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}
#endif

/* q[i] ~ x[i] / scale for the n inputs of a group, written up to a multiple of VF; the scale, which is no number where an input is
 * none. */
static inline float ae_round_group(int16_t *q, const float *x, ptrdiff_t n) {
    const float most = ae_largest(x, n), inverse = most > 0 ? (float)AE_ROUND_LARGEST / most : 0.0f;
    for (ptrdiff_t i = 0; i < n; i += VF) ae_store_int16(q + i, vf_load_n(x + i, n - i) * vf_set(inverse));
    return most / (float)AE_ROUND_LARGEST;
}

#endif
