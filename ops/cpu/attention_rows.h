#ifndef AE_OPS_CPU_ATTENTION_ROWS_H
#define AE_OPS_CPU_ATTENTION_ROWS_H
#include "ops/cpu/attention.h"
#include "ops/cpu/vmath.h"

/* Softmax over the visible part of one row of scores. */

static inline float ae_attn_row_max(const float *x, ae_attn_visible v, float start) {
    vf best = vf_set(start);
    ptrdiff_t i = v.lo;
    for (; i + VF <= v.hi; i += VF) best = vf_max(vf_load(x + i), best);
    for (; i < v.hi; i++) best = vf_max(vf_set(x[i]), best);
    return vf_max_of(best);
}

/* x = exp(x - shift) over what is visible, 0 elsewhere; the sum of the row. */
static inline float ae_attn_row_exp(float *x, ae_attn_visible v, float shift, ptrdiff_t count) {
    const vf s = vf_set(shift);
    vf sum = vf_set(0);
    ptrdiff_t i = v.lo;
    for (ptrdiff_t j = 0; j < v.lo; j++) x[j] = 0;
    for (; i + 4 * VF <= v.hi; i += 4 * VF) {
        vf e[4];
        AE_EACH(j, 4) e[j] = vf_load(x + i + j * VF) - s;
        vf_exp_each(e, 4);
        AE_EACH(j, 4) vf_store(x + i + j * VF, e[j]);
        sum = sum + ((e[0] + e[1]) + (e[2] + e[3]));
    }
    for (; i < v.hi; i += VF) {
        vf_store_n(x + i, vf_exp(vf_load_n(x + i, v.hi - i) - s), v.hi - i);
        sum = sum + vf_load_n(x + i, v.hi - i);
    }
    for (ptrdiff_t j = ae_max(v.hi, v.lo); j < count; j++) x[j] = 0;
    return vf_sum(sum);
}

static inline void ae_attn_row_scale(float *x, float by, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) vf_store_n(x + i, vf_set(by) * vf_load_n(x + i, n - i), n - i);
}

/* A finished row, rounded once. */
static inline void ae_attn_row_finish(ae_elem *out, const float *x, float by, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) va_store_n(out + i, vf_set(by) * vf_load_n(x + i, n - i), n - i);
}

#endif
