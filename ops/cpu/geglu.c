#include "ops/geglu.h"

#include "ops/cpu/act.h"
#include "ops/cpu/table.h"
#include "ops/cpu/vmath.h"

#define TWO_K 1.5957691216057308f /* 2 sqrt(2/pi) */
#define CUBIC 0.044715f

enum { CHUNK = 4096 }; /* elements a thread takes at a time */

/* s = sigmoid(2k (x + c x^3)), so that gelu(x) = x s. */
AE_INLINE void gelu_gate_each(vf *s, const vf *x, const int n) {
#ifdef AE_ACT_BF16
    const float to_power = -TWO_K * 1.44269504088896341f;
    AE_EACH(j, n) s[j] = x[j] * vf_fma(vf_set(to_power * CUBIC), x[j] * x[j], vf_set(to_power));
    vf_logistic2_short_each(s, n);
#else
    AE_EACH(j, n) s[j] = vf_set(TWO_K) * x[j] * vf_fma(vf_set(CUBIC), x[j] * x[j], vf_set(1.0f));
    vf_sigmoid_each(s, n);
#endif
}

AE_INLINE void forward_vectors(ae_elem *y, const ae_elem *gate, const ae_elem *up, ptrdiff_t left,
                               const int n) {
    vf x[4], s[4];
    AE_EACH(j, n) x[j] = va_load_n(gate + j * VF, left - j * VF);
    gelu_gate_each(s, x, n);
    AE_EACH(j, n) x[j] = x[j] * s[j] * va_load_n(up + j * VF, left - j * VF);
    AE_EACH(j, n) va_store_n(y + j * VF, x[j], left - j * VF);
}

void AE_ROW_NAME(ae_cpu_geglu_forward)(const ae_backend *be, ae_act *y_, const ae_act *gate_,
                                       const ae_act *up_, ptrdiff_t n) {
    enum { WIDE = 4 };
    ae_elem *y = ae_ma(y_);
    const ae_elem *gate = ae_ca(gate_), *up = ae_ca(up_);
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t first = 0; first < n; first += CHUNK) {
        const ptrdiff_t last = ae_min(n, first + CHUNK);
        ptrdiff_t i = first;
        for (; i + WIDE * VF <= last; i += WIDE * VF)
            forward_vectors(y + i, gate + i, up + i, WIDE * VF, WIDE);
        for (; i < last; i += VF) forward_vectors(y + i, gate + i, up + i, last - i, 1);
    }
}

/* gelu'(x) = s + x s (1 - s) 2k (1 + 3 c x^2). */
AE_INLINE void backward_vectors(ae_elem *dgate, ae_elem *dup, ae_elem *y, const ae_elem *dy,
                                const ae_elem *gate, const ae_elem *up, ptrdiff_t left, const int n) {
    vf x[4], s[4], u[4], d[4], gelu[4], slope[4];
    AE_EACH(j, n) x[j] = va_load_n(gate + j * VF, left - j * VF);
    gelu_gate_each(s, x, n);
    AE_EACH(j, n) gelu[j] = x[j] * s[j];
    AE_EACH(j, n) slope[j] = vf_fma(vf_set(3.0f * CUBIC * TWO_K), x[j] * x[j], vf_set(TWO_K));
    AE_EACH(j, n) slope[j] = vf_fma(vf_fnma(gelu[j], s[j], gelu[j]), slope[j], s[j]);
    AE_EACH(j, n) u[j] = va_load_n(up + j * VF, left - j * VF);
    AE_EACH(j, n) d[j] = va_load_n(dy + j * VF, left - j * VF);
    AE_EACH(j, n) va_store_n(dgate + j * VF, d[j] * u[j] * slope[j], left - j * VF);
    AE_EACH(j, n) va_store_n(dup + j * VF, d[j] * gelu[j], left - j * VF);
    AE_EACH(j, n) va_store_n(y + j * VF, gelu[j] * u[j], left - j * VF);
}

void AE_ROW_NAME(ae_cpu_geglu_backward)(const ae_backend *be, ae_act *dgate_, ae_act *dup_, ae_act *y_,
                                        const ae_act *dy_, const ae_act *gate_, const ae_act *up_,
                                        ptrdiff_t n) {
    enum { WIDE = 2 };
    ae_elem *dgate = ae_ma(dgate_), *dup = ae_ma(dup_), *y = ae_ma(y_);
    const ae_elem *dy = ae_ca(dy_), *gate = ae_ca(gate_), *up = ae_ca(up_);
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t first = 0; first < n; first += CHUNK) {
        const ptrdiff_t last = ae_min(n, first + CHUNK);
        ptrdiff_t i = first;
        for (; i + WIDE * VF <= last; i += WIDE * VF)
            backward_vectors(dgate + i, dup + i, y + i, dy + i, gate + i, up + i, WIDE * VF, WIDE);
        for (; i < last; i += VF)
            backward_vectors(dgate + i, dup + i, y + i, dy + i, gate + i, up + i, last - i, 1);
    }
}
