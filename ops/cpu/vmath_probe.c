#include "ops/cpu/vmath_probe.h"

#include "ops/cpu/vmath.h"

void AE_ISA_NAME(ae_cpu_vmath_probe)(int which, float *y, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) {
        const vf v = vf_load_n(x + i, n - i);
        vf out = v;
        switch (which) {
        case AE_VMATH_EXP:
            out = vf_exp(v);
            break;
        case AE_VMATH_EXPM1_NEG:
            out = vf_expm1_neg(v);
            break;
        case AE_VMATH_SIGMOID:
            out = vf_sigmoid(v);
            break;
        case AE_VMATH_EXP_SHORT:
            vf_exp_short_each(&out, 1);
            break;
        case AE_VMATH_SIGMOID_SHORT:
            vf_sigmoid_short_each(&out, 1);
            break;
        default:
            out = vf_tanh(v);
            break;
        }
        vf_store_n(y + i, out, n - i);
    }
}

/* As the kernels call them: four vectors at once. The switch stands outside the loop. */
#define SWEEP(function)                                                                                      \
    for (ptrdiff_t i = 0; i + 4 * VF <= n; i += 4 * VF) {                                                    \
        vf v[4];                                                                                             \
        AE_EACH(j, 4) v[j] = vf_load(x + i + j * VF);                                                        \
        function(v, 4);                                                                                      \
        AE_EACH(j, 4) vf_store(y + i + j * VF, v[j]);                                                        \
    }

void AE_ISA_NAME(ae_cpu_vmath_rate)(int which, float *y, const float *x, ptrdiff_t n) {
    if (which == AE_VMATH_EXP) {
        SWEEP(vf_exp_each)
    } else if (which == AE_VMATH_SIGMOID) {
        SWEEP(vf_sigmoid_each)
    } else {
        SWEEP(vf_tanh_each)
    }
}
