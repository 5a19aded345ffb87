#include "ops/geglu.h"

#include "ops/cpu/act.h"
#include "ops/cpu/table.h"
#include "ops/cpu/vmath.h"

static const float TWO_K = 1.5957691216057308f; /* 2 sqrt(2/pi) */
static const float CUBIC = 0.044715f;

enum { CHUNK = 4096 }; /* elements a thread takes at a time */

/* s = sigmoid(2k (x + c x^3)), so that gelu(x) = x s. */
static inline vf gelu_gate(vf x) {
    return vf_sigmoid(vf_set(TWO_K) * x * vf_fma(vf_set(CUBIC), x * x, vf_set(1.0f)));
}

void AE_ROW_NAME(ae_cpu_geglu_forward)(ae_act *y_, const ae_act *gate_, const ae_act *up_, ptrdiff_t n) {
    ae_elem *y = ae_ma(y_);
    const ae_elem *gate = ae_ca(gate_), *up = ae_ca(up_);
#pragma omp parallel for
    for (ptrdiff_t first = 0; first < n; first += CHUNK) {
        const ptrdiff_t last = ae_min(n, first + CHUNK);
        for (ptrdiff_t i = first; i < last; i += VF) {
            const vf x = va_load_n(gate + i, last - i);
            va_store_n(y + i, x * gelu_gate(x) * va_load_n(up + i, last - i), last - i);
        }
    }
}

/* gelu'(x) = s + x s (1 - s) 2k (1 + 3 c x^2). */
void AE_ROW_NAME(ae_cpu_geglu_backward)(ae_act *dgate_, ae_act *dup_, ae_act *y_, const ae_act *dy_,
                                        const ae_act *gate_, const ae_act *up_, ptrdiff_t n) {
    ae_elem *dgate = ae_ma(dgate_), *dup = ae_ma(dup_), *y = ae_ma(y_);
    const ae_elem *dy = ae_ca(dy_), *gate = ae_ca(gate_), *up = ae_ca(up_);
    const vf one = vf_set(1.0f);
#pragma omp parallel for
    for (ptrdiff_t first = 0; first < n; first += CHUNK) {
        const ptrdiff_t last = ae_min(n, first + CHUNK);
        for (ptrdiff_t i = first; i < last; i += VF) {
            const ptrdiff_t left = last - i;
            const vf x = va_load_n(gate + i, left), u = va_load_n(up + i, left), d = va_load_n(dy + i, left);
            const vf s = gelu_gate(x), gelu = x * s;
            const vf inner = vf_set(TWO_K) * vf_fma(vf_set(3.0f * CUBIC), x * x, one);
            const vf slope = vf_fma(gelu * (one - s), inner, s);
            va_store_n(dgate + i, d * u * slope, left);
            va_store_n(dup + i, d * gelu, left);
            va_store_n(y + i, gelu * u, left);
        }
    }
}
