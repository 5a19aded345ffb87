#ifndef AE_OPS_CPU_VMATH_H
#define AE_OPS_CPU_VMATH_H
#include "core/simd.h"

/* Vector functions of float32, inlined into the kernels. Error bounds (held over the whole range by
 * tests/ops/test_vmath.c): exp 1.1 ulp, expm1 for x <= 0 2 ulp, sigmoid 2.5 ulp above -87, tanh 3 ulp. NaN
 * stays NaN. Degrees and coefficients: Taylor on
 * |r| <= ln 2 / 2, whose remainder lies below half an ulp at degree 7. */

/* The _each forms take n vectors at once, stage by stage: one chain of dependent steps does not fill the
 * machine, and the scheduler sees too few instructions ahead to overlap it with the next. n is a constant
 * where they are inlined. */
#define AE_EACH(j, n) for (int j = 0; j < (n); j++)
#define AE_INLINE     static inline __attribute__((always_inline))

/* x[j] = 2^k[j] (1 + p[j]) with k whole: ln2 in two parts (Cody and Waite), p = exp(r) - 1 on |r| <= ln2/2.
 * Leaves p in x. */
AE_INLINE void vf_exp_parts(vf *x, vf *k, const int n) {
    vf p[4];
    AE_EACH(j, n) k[j] = vf_round(x[j] * vf_set(1.44269504088896341f));
    AE_EACH(j, n) x[j] = vf_fnma(k[j], vf_set(0.693359375f), x[j]);
    AE_EACH(j, n) x[j] = vf_fnma(k[j], vf_set(-2.12194440e-4f), x[j]);
    AE_EACH(j, n) p[j] = vf_fma(vf_set(1.0f / 5040.0f), x[j], vf_set(1.0f / 720.0f));
    AE_EACH(j, n) p[j] = vf_fma(p[j], x[j], vf_set(1.0f / 120.0f));
    AE_EACH(j, n) p[j] = vf_fma(p[j], x[j], vf_set(1.0f / 24.0f));
    AE_EACH(j, n) p[j] = vf_fma(p[j], x[j], vf_set(1.0f / 6.0f));
    AE_EACH(j, n) p[j] = vf_fma(p[j], x[j], vf_set(0.5f));
    AE_EACH(j, n) x[j] = vf_fma(x[j] * x[j], p[j], x[j]);
}

AE_INLINE void vf_exp_each(vf *x, const int n) {
    vf k[4];
    AE_EACH(j, n) x[j] = vf_max(vf_set(-105.0f), vf_min(vf_set(89.0f), x[j]));
    vf_exp_parts(x, k, n);
    AE_EACH(j, n) x[j] = vf_scale2(x[j] + vf_set(1.0f), k[j]);
}

/* exp(x) - 1 for x <= 0, exact near 0. */
AE_INLINE void vf_expm1_neg_each(vf *x, const int n) {
    vf k[4];
    AE_EACH(j, n) x[j] = vf_max(vf_set(-30.0f), x[j]);
    vf_exp_parts(x, k, n);
    AE_EACH(j, n) k[j] = vf_scale2(vf_set(1.0f), k[j]);
    AE_EACH(j, n) x[j] = vf_fma(k[j], x[j], k[j] - vf_set(1.0f));
}

/* 0 below -87, where the result would lose digits. */
AE_INLINE void vf_sigmoid_each(vf *x, const int n) {
    vf y[4];
    AE_EACH(j, n) y[j] = vf_min(vf_set(87.0f), vf_set(0.0f) - x[j]);
    vf_exp_each(y, n);
    AE_EACH(j, n) y[j] = vf_recip(vf_set(1.0f) + y[j]);
    AE_EACH(j, n) x[j] = vf_pick(vf_less(x[j], vf_set(-87.0f)), vf_set(0.0f), y[j]);
}

/* tanh |x| = -e / (2 + e) with e = exp(-2|x|) - 1. */
AE_INLINE void vf_tanh_each(vf *x, const int n) {
    vf e[4];
    AE_EACH(j, n) e[j] = vf_set(-2.0f) * vf_abs(x[j]);
    vf_expm1_neg_each(e, n);
    AE_EACH(j, n) x[j] = vf_copysign(e[j] * vf_recip(vf_set(2.0f) + e[j]), x[j]);
}

/* Short forms for results that are rounded to bfloat16 (whose own rounding is 2^-8): relative error exp
 * 2^-16, sigmoid 2^-13.8 above -87. 2^t with t cut at floor(t): a polynomial of least relative error on [0,
 * 1], exact at its ends. Overflow gives infinity. */
AE_INLINE void vf_exp2_short_each(vf *t, const int n) {
    vf f[4], p[4];
    AE_EACH(j, n) t[j] = vf_scale2_bound(t[j]);
    AE_EACH(j, n) f[j] = vf_fraction(t[j]);
    AE_EACH(j, n) p[j] = vf_fma(vf_set(0.0135557473f), f[j], vf_set(0.0520323690f));
    AE_EACH(j, n) p[j] = vf_fma(p[j], f[j], vf_set(0.241379763f));
    AE_EACH(j, n) p[j] = vf_fma(p[j], f[j], vf_set(0.693032121f));
    AE_EACH(j, n) p[j] = vf_fma(p[j], f[j], vf_set(1.0f));
    AE_EACH(j, n) t[j] = vf_scale2_floor(p[j], t[j]);
}

AE_INLINE void vf_exp_short_each(vf *x, const int n) {
    AE_EACH(j, n) x[j] = x[j] * vf_set(1.44269504088896341f);
    vf_exp2_short_each(x, n);
}

/* 1 / (1 + 2^t). */
AE_INLINE void vf_logistic2_short_each(vf *t, const int n) {
    vf_exp2_short_each(t, n);
    AE_EACH(j, n) t[j] = vf_recip_short(vf_set(1.0f) + t[j]);
}

AE_INLINE void vf_sigmoid_short_each(vf *x, const int n) {
    AE_EACH(j, n) x[j] = x[j] * vf_set(-1.44269504088896341f);
    vf_logistic2_short_each(x, n);
}

AE_INLINE vf vf_exp(vf x) {
    vf_exp_each(&x, 1);
    return x;
}
AE_INLINE vf vf_expm1_neg(vf x) {
    vf_expm1_neg_each(&x, 1);
    return x;
}
AE_INLINE vf vf_sigmoid(vf x) {
    vf_sigmoid_each(&x, 1);
    return x;
}
AE_INLINE vf vf_tanh(vf x) {
    vf_tanh_each(&x, 1);
    return x;
}

#endif
