#ifndef AE_CORE_SIMD_H
#define AE_CORE_SIMD_H
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* One vector of float32, as wide as the instruction set this file is compiled for: kernels are written once
 * with these and compiled for AVX2 and for AVX-512. AE_ISA_NAME(f) gives a function the suffix of its
 * instruction set. */

#define AE_JOIN_(a, b) a##_##b
#define AE_JOIN(a, b)  AE_JOIN_(a, b)

#ifdef __AVX512F__
#define AE_ISA_SUFFIX avx512
enum { VF = 16 };
typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vmask;

static inline vf vf_set(float x) {
    return _mm512_set1_ps(x);
}
static inline vf vf_load(const float *p) {
    return _mm512_loadu_ps(p);
}
static inline void vf_store(float *p, vf x) {
    _mm512_storeu_ps(p, x);
}
static inline vmask vf_first(ptrdiff_t n) {
    return (vmask)(n >= VF ? 0xffffu : (1u << n) - 1u);
}
static inline vf vf_load_n(const float *p, ptrdiff_t n) {
    return _mm512_maskz_loadu_ps(vf_first(n), p);
}
static inline void vf_store_n(float *p, vf x, ptrdiff_t n) {
    _mm512_mask_storeu_ps(p, vf_first(n), x);
}
static inline vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
} /* a b + c */
static inline vf vf_fnma(vf a, vf b, vf c) {
    return _mm512_fnmadd_ps(a, b, c);
} /* c - a b */
static inline vf vf_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
} /* b where a or b is NaN */
static inline vf vf_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
static inline vf vf_sqrt(vf a) {
    return _mm512_sqrt_ps(a);
}
/* 1/a and 1/sqrt(a) for normal a > 0, to 1 ulp or so: an estimate and one step of Newton, several times as
 * fast as the divider. */
static inline vf vf_recip(vf a) {
    const vf r = _mm512_rcp14_ps(a);
    return _mm512_fmadd_ps(r, _mm512_fnmadd_ps(a, r, _mm512_set1_ps(1.0f)), r);
}
/* 1/a to 2^-14 on AVX-512 and exact on AVX2, for results that are rounded to bfloat16. */
static inline vf vf_recip_short(vf a) {
    return _mm512_rcp14_ps(a);
}
static inline vf vf_rsqrt(vf a) {
    const vf r = _mm512_rsqrt14_ps(a), half = _mm512_mul_ps(_mm512_set1_ps(0.5f), r);
    return _mm512_fmadd_ps(half, _mm512_fnmadd_ps(_mm512_mul_ps(a, r), r, _mm512_set1_ps(1.0f)), r);
}
static inline vf vf_abs(vf a) {
    return _mm512_abs_ps(a);
}
static inline vf vf_round(vf a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf vf_scale2(vf x, vf n) {
    return _mm512_scalef_ps(x, n);
} /* x 2^n, n whole */
/* t - floor(t) in [0, 1); x 2^floor(t). */
static inline vf vf_fraction(vf t) {
    return _mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
static inline vf vf_scale2_floor(vf x, vf t) {
    return _mm512_scalef_ps(x, t);
}
static inline vf vf_scale2_bound(vf t) {
    return t; /* the instructions hold everywhere */
}
static inline vmask vf_less(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline vf vf_pick(vmask m, vf yes, vf no) {
    return _mm512_mask_blend_ps(m, no, yes);
}
static inline vf vf_copysign(vf magnitude, vf sign) {
    const vi bit = _mm512_set1_epi32(INT32_MIN);
    return _mm512_castsi512_ps(
        _mm512_ternarylogic_epi32(bit, _mm512_castps_si512(sign), _mm512_castps_si512(magnitude), 0xca));
}
/* bfloat16: the upper half of a float32; stores round to nearest even. */
static inline vf vf_load_bf16_n(const uint16_t *p, ptrdiff_t n) {
    const __m256i half = _mm256_maskz_loadu_epi16(vf_first(n), p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
static inline vf vf_load_bf16(const uint16_t *p) {
    const __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
static inline __m256i vf_to_bf16(vf x) {
#ifdef __AVX512BF16__
    return (__m256i)_mm512_cvtneps_pbh(x);
#else
    const vi bits = _mm512_castps_si512(x),
             odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const vi rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const vi quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const vi kept = _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), rounded, quiet);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
#endif
}
static inline void vf_store_bf16(uint16_t *p, vf x) {
    _mm256_storeu_si256((__m256i *)(void *)p, vf_to_bf16(x));
}
static inline void vf_store_bf16_n(uint16_t *p, vf x, ptrdiff_t n) {
    _mm256_mask_storeu_epi16(p, vf_first(n), vf_to_bf16(x));
}
static inline float vf_sum(vf x) {
    return _mm512_reduce_add_ps(x);
}
static inline float vf_max_of(vf x) {
    return _mm512_reduce_max_ps(x);
}
#else
#define AE_ISA_SUFFIX avx2
enum { VF = 8 };
typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vmask;

static inline vf vf_set(float x) {
    return _mm256_set1_ps(x);
}
static inline vf vf_load(const float *p) {
    return _mm256_loadu_ps(p);
}
static inline void vf_store(float *p, vf x) {
    _mm256_storeu_ps(p, x);
}
static inline vi vf_first(ptrdiff_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > VF ? VF : (int)n),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
/* Whole vectors plainly: on AMD's processors a load or store under a mask takes several times as long, even
 * when the mask is full. */
static inline vf vf_load_n(const float *p, ptrdiff_t n) {
    return n >= VF ? vf_load(p) : _mm256_maskload_ps(p, vf_first(n));
}
static inline void vf_store_n(float *p, vf x, ptrdiff_t n) {
    if (n >= VF)
        vf_store(p, x);
    else
        _mm256_maskstore_ps(p, vf_first(n), x);
}
static inline vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf vf_fnma(vf a, vf b, vf c) {
    return _mm256_fnmadd_ps(a, b, c);
}
static inline vf vf_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
static inline vf vf_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}
static inline vf vf_sqrt(vf a) {
    return _mm256_sqrt_ps(a);
}
static inline vf vf_recip(vf a) {
    return _mm256_div_ps(_mm256_set1_ps(1.0f), a);
}
static inline vf vf_recip_short(vf a) {
    return vf_recip(a);
}
static inline vf vf_rsqrt(vf a) {
    return _mm256_div_ps(_mm256_set1_ps(1.0f), _mm256_sqrt_ps(a));
}
static inline vf vf_abs(vf a) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
static inline vf vf_round(vf a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* In two factors, so that results below the normal range come out right. */
static inline vf vf_scale2(vf x, vf n) {
    const vi whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1),
             rest = _mm256_sub_epi32(whole, half);
    const vi bias = _mm256_set1_epi32(127);
    const vf a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    const vf b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(x, a), b);
}
static inline vf vf_fraction(vf t) {
    return _mm256_sub_ps(t, _mm256_floor_ps(t));
}
static inline vf vf_scale2_floor(vf x, vf t) {
    return vf_scale2(x, _mm256_floor_ps(t));
}
/* t where vf_scale2_floor holds, else a neighbour that also gives 0 or infinity; NaN stays. */
static inline vf vf_scale2_bound(vf t) {
    return _mm256_max_ps(_mm256_set1_ps(-250.0f), _mm256_min_ps(_mm256_set1_ps(250.0f), t));
}
static inline vmask vf_less(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
static inline vf vf_pick(vmask m, vf yes, vf no) {
    return _mm256_blendv_ps(no, yes, m);
}
static inline vf vf_copysign(vf magnitude, vf sign) {
    const vf bit = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_and_ps(bit, sign), _mm256_andnot_ps(bit, magnitude));
}
/* bfloat16: the upper half of a float32; stores round to nearest even. */
static inline vf vf_load_bf16(const uint16_t *p) {
    const __m128i half = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
static inline vf vf_load_bf16_n(const uint16_t *p, ptrdiff_t n) {
    if (n >= VF) return vf_load_bf16(p);
    uint16_t part[8] = {0};
    for (ptrdiff_t i = 0; i < n; i++) part[i] = p[i];
    return vf_load_bf16(part);
}
static inline __m128i vf_to_bf16(vf x) {
    const vi bits = _mm256_castps_si256(x),
             odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const vi rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const vi quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const vi nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const vi kept = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(kept), _mm256_extracti128_si256(kept, 1));
}
static inline void vf_store_bf16(uint16_t *p, vf x) {
    _mm_storeu_si128((__m128i *)(void *)p, vf_to_bf16(x));
}
static inline void vf_store_bf16_n(uint16_t *p, vf x, ptrdiff_t n) {
    if (n >= VF) {
        vf_store_bf16(p, x);
        return;
    }
    uint16_t part[8];
    vf_store_bf16(part, x);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = part[i];
}
static inline float vf_sum(vf x) {
    __m128 a = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}
static inline float vf_max_of(vf x) {
    __m128 a = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
}
#endif

#define AE_ISA_NAME(f) AE_JOIN(f, AE_ISA_SUFFIX)

/* The vector at column c of n: whole vectors by `step`, one masked at the end. */
static inline ptrdiff_t vf_left(ptrdiff_t c, ptrdiff_t n) {
    return n - c < VF ? n - c : VF;
}

#endif
