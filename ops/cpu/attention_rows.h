#ifndef AE_OPS_CPU_ATTENTION_ROWS_H
#define AE_OPS_CPU_ATTENTION_ROWS_H
#include "ops/cpu/attention.h"
#include "ops/cpu/vmath.h"

#include <string.h>

/* One row of a tile of scores, over what is visible of it. */

static inline float ae_attn_row_max(const float *x, ae_attn_visible v, float start) {
    const vf none = vf_set(-INFINITY);
    vf best[4] = {vf_set(start), none, none, none};
    ptrdiff_t i = v.lo;
    for (; i + 4 * VF <= v.hi; i += 4 * VF) AE_EACH(j, 4) best[j] = vf_max(vf_load(x + i + j * VF), best[j]);
    for (; i + VF <= v.hi; i += VF) best[0] = vf_max(vf_load(x + i), best[0]);
    for (; i < v.hi; i++) best[0] = vf_max(vf_set(x[i]), best[0]);
    return vf_max_of(vf_max(vf_max(best[0], best[1]), vf_max(best[2], best[3])));
}

/* Value i of a row whose values are kept in float32 or, for products of that type, in bfloat16 in the first
 * half of the row. */
AE_INLINE void ae_attn_put(float *x, ptrdiff_t i, vf value, ptrdiff_t left, bool narrow) {
    uint16_t *half = (uint16_t *)(void *)x;
    if (narrow)
        vf_store_bf16_n(half + i, value, left);
    else
        vf_store_n(x + i, value, left);
}
static inline void ae_attn_clear(float *x, ptrdiff_t from, ptrdiff_t to, bool narrow) {
    const size_t each = narrow ? sizeof(uint16_t) : sizeof(float);
    if (to > from) memset((char *)x + (size_t)from * each, 0, (size_t)(to - from) * each);
}

/* x = exp(x scale - shift) over what is visible, 0 elsewhere; the sum of the row. */
AE_INLINE float ae_attn_row_exp(float *x, ae_attn_visible v, float scale, float shift, ptrdiff_t count,
                                bool narrow) {
    static const float ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const vf by = vf_set(scale), minus = vf_set(-shift);
    vf sum = vf_set(0);
    ptrdiff_t i = v.lo;
    ae_attn_clear(x, 0, v.lo, narrow);
    for (; i + 4 * VF <= v.hi; i += 4 * VF) {
        vf e[4];
        AE_EACH(j, 4) e[j] = vf_fma(vf_load(x + i + j * VF), by, minus);
        vf_exp_each(e, 4);
        AE_EACH(j, 4) ae_attn_put(x, i + j * VF, e[j], VF, narrow);
        sum = sum + ((e[0] + e[1]) + (e[2] + e[3]));
    }
    for (; i < v.hi; i += VF) {
        const ptrdiff_t left = v.hi - i;
        const vf e = vf_exp(vf_min(vf_set(1), vf_fma(vf_load_n(x + i, left), by, minus)));
        ae_attn_put(x, i, e, left, narrow);
        sum = vf_fma(e, vf_load_n(ones, left), sum);
    }
    ae_attn_clear(x, v.hi, count, narrow);
    return vf_sum(sum);
}

/* s becomes P = exp(s scale - lse), dp becomes dS / scale = P (dp - delta); 0 where nothing is visible. */
AE_INLINE void ae_attn_row_gradient(float *s, float *dp, ae_attn_visible v, float scale, float lse,
                                    float delta, ptrdiff_t count, bool narrow) {
    const vf by = vf_set(scale), minus = vf_set(-lse), d = vf_set(delta);
    ptrdiff_t i = v.lo;
    ae_attn_clear(s, 0, v.lo, narrow);
    ae_attn_clear(dp, 0, v.lo, narrow);
    for (; i + 4 * VF <= v.hi; i += 4 * VF) {
        vf e[4], g[4];
        AE_EACH(j, 4) e[j] = vf_fma(vf_load(s + i + j * VF), by, minus);
        AE_EACH(j, 4) g[j] = vf_load(dp + i + j * VF) - d;
        vf_exp_each(e, 4);
        AE_EACH(j, 4) ae_attn_put(s, i + j * VF, e[j], VF, narrow);
        AE_EACH(j, 4) ae_attn_put(dp, i + j * VF, e[j] * g[j], VF, narrow);
    }
    for (; i < v.hi; i += VF) {
        const ptrdiff_t left = v.hi - i;
        const vf e = vf_exp(vf_fma(vf_load_n(s + i, left), by, minus)), g = vf_load_n(dp + i, left) - d;
        ae_attn_put(s, i, e, left, narrow);
        ae_attn_put(dp, i, e * g, left, narrow);
    }
    ae_attn_clear(s, v.hi, count, narrow);
    ae_attn_clear(dp, v.hi, count, narrow);
}

static inline void ae_attn_row_scale(float *x, float by, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) vf_store_n(x + i, vf_set(by) * vf_load_n(x + i, n - i), n - i);
}

/* A finished row, rounded once. */
static inline void ae_attn_row_finish(ae_elem *out, const float *x, float by, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) va_store_n(out + i, vf_set(by) * vf_load_n(x + i, n - i), n - i);
}

#endif
