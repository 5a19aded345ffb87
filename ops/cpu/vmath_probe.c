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
        default:
            out = vf_tanh(v);
            break;
        }
        vf_store_n(y + i, out, n - i);
    }
}
