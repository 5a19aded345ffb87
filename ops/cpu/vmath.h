#ifndef AE_OPS_CPU_VMATH_H
#define AE_OPS_CPU_VMATH_H
#include "core/simd.h"

/* Vector functions of float32, inlined into the kernels. Error bounds (held over the whole range by tests/ops/test_vmath.c):
 * exp 1.1 ulp, expm1 for x <= 0 2 ulp, sigmoid 2.5 ulp above -87, tanh 3 ulp. NaN stays NaN. Degrees and coefficients: Taylor on
 * |r| <= ln 2 / 2, whose remainder lies below half an ulp at degree 7. */

/* (exp(r) - 1 - r) / r^2 on |r| <= ln2/2. */
static inline vf vf_expm1_tail(vf r) {
    vf p = vf_set(1.0f / 5040.0f);
    p = vf_fma(p, r, vf_set(1.0f / 720.0f));
    p = vf_fma(p, r, vf_set(1.0f / 120.0f));
    p = vf_fma(p, r, vf_set(1.0f / 24.0f));
    p = vf_fma(p, r, vf_set(1.0f / 6.0f));
    return vf_fma(p, r, vf_set(0.5f));
}

/* x = n ln2 + r with n whole; ln2 in two parts (Cody and Waite). */
static inline vf vf_exp_reduce(vf x, vf *n) {
    *n = vf_round(x * vf_set(1.44269504088896341f));
    const vf r = vf_fnma(*n, vf_set(0.693359375f), x);
    return vf_fnma(*n, vf_set(-2.12194440e-4f), r);
}

static inline vf vf_exp(vf x) {
    vf n;
    x = vf_max(vf_set(-105.0f), vf_min(vf_set(89.0f), x));
    const vf r = vf_exp_reduce(x, &n);
    const vf p = vf_fma(r * r, vf_expm1_tail(r), r);
    return vf_scale2(p + vf_set(1.0f), n);
}

/* exp(x) - 1 for x <= 0, exact near 0. */
static inline vf vf_expm1_neg(vf x) {
    vf n;
    x = vf_max(vf_set(-30.0f), x);
    const vf r = vf_exp_reduce(x, &n);
    const vf p = vf_fma(r * r, vf_expm1_tail(r), r);
    const vf s = vf_scale2(vf_set(1.0f), n);
    return vf_fma(s, p, s - vf_set(1.0f));
}

/* 0 below -87, where the result would lose digits. */
static inline vf vf_sigmoid(vf x) {
    const vf down = vf_min(vf_set(87.0f), vf_set(0.0f) - x);
    return vf_pick(vf_less(x, vf_set(-87.0f)), vf_set(0.0f), vf_recip(vf_set(1.0f) + vf_exp(down)));
}

/* tanh |x| = -e / (2 + e) with e = exp(-2|x|) - 1. */
static inline vf vf_tanh(vf x) {
    const vf e = vf_expm1_neg(vf_set(-2.0f) * vf_abs(x));
    return vf_copysign(e * vf_recip(vf_set(2.0f) + e), x);
}

#endif
