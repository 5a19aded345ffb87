#include "ops/cpu/attention_rows.h"

/* One query head over a ring of keys and its own key, which comes last. */
static void decode_head(ae_elem *o, float *lse, const ae_elem *q, const ae_elem *k_ring,
                        const ae_elem *v_ring, const ae_elem *k, const ae_elem *v, int32_t position,
                        float *scores, ptrdiff_t ld, ae_attention_dims n) {
    const ptrdiff_t past = ae_min(position, n.W);
    const vf scale = vf_set(1.0f / sqrtf((float)n.H));
    for (ptrdiff_t s = 0; s <= past; s++) {
        const ae_elem *key = s < past ? k_ring + s * ld : k;
        vf sum = vf_set(0);
        for (ptrdiff_t i = 0; i < n.H; i += VF)
            sum = vf_fma(va_load_n(q + i, n.H - i), va_load_n(key + i, n.H - i), sum);
        scores[s] = vf_sum(sum * scale);
    }
    const ae_attn_visible all = {0, past + 1};
    const float most = ae_attn_row_max(scores, all, -INFINITY),
                total = ae_attn_row_exp(scores, all, 1.0f, most, past + 1, false);
    for (ptrdiff_t i = 0; i < n.H; i += VF) {
        vf sum = vf_set(scores[past]) * va_load_n(v + i, n.H - i);
        for (ptrdiff_t s = 0; s < past; s++)
            sum = vf_fma(vf_set(scores[s]), va_load_n(v_ring + s * ld + i, n.H - i), sum);
        va_store_n(o + i, sum * vf_set(1.0f / total), n.H - i);
    }
    *lse = most + logf(total);
}

void AE_ROW_NAME(ae_cpu_attention_decode)(ae_elem *o, float *lse, const ae_elem *k_ring,
                                          const ae_elem *v_ring, const ae_elem *q, const ae_elem *k,
                                          const ae_elem *v, const int32_t *positions, float *scratch,
                                          ae_attention_dims n) {
    const ptrdiff_t ld = n.G * n.H;
#pragma omp parallel for collapse(2)
    for (ptrdiff_t b = 0; b < n.B; b++) {
        for (ptrdiff_t head = 0; head < n.N; head++) {
            float *scores = scratch + (size_t)omp_get_thread_num() * ae_attn_scores_floats(n);
            const ptrdiff_t row = b * n.N + head, g = head / (n.N / n.G) * n.H;
            decode_head(o + row * n.H, lse + row, q + row * n.H, k_ring + b * n.W * ld + g,
                        v_ring + b * n.W * ld + g, k + b * ld + g, v + b * ld + g, positions[b], scores, ld,
                        n);
        }
    }
}
