#include "ops/cpu/attention_rows.h"
#include "ops/cpu/turn.h"

/* Some query heads of one group over a ring of keys and their own key, which comes last. A tile of keys stays in the first-level cache
 * while the heads pass. */
#define EACH(j, n) _Pragma("GCC unroll 16") for (int j = 0; j < (n); j++)
enum { TILE = 2 * VF, PARTS_MAX = 16 };

typedef struct {
    const ae_elem *q;               /* [heads, H] */
    const ae_elem *k_ring, *v_ring; /* rows of the group, ld apart */
    const ae_elem *k, *v;
    float *scores, *out; /* [heads, scores_ld], [heads, out_ld] */
    ptrdiff_t heads, H, ld, past, scores_ld, out_ld;
} work;

/* scores[j] = q . key[j] for VF keys behind each other. */
static void dots(float *scores, const ae_elem *q, const ae_elem *keys, ptrdiff_t ld, ptrdiff_t H) {
    vf sum[VF];
    float turned[VF * VF];
    EACH(j, VF) sum[j] = vf_set(0);
    ptrdiff_t i = 0;
    for (; i + VF <= H; i += VF) {
        const vf a = va_load(q + i);
        EACH(j, VF) sum[j] = vf_fma(a, va_load(keys + j * ld + i), sum[j]);
    }
    if (i < H) {
        const vf a = va_load_n(q + i, H - i);
        EACH(j, VF) sum[j] = vf_fma(a, va_load_n(keys + j * ld + i, H - i), sum[j]);
    }
    ae_turn_block(turned, VF, sum);
    EACH(j, VF) sum[j] = vf_load(turned + j * VF);
    for (int half = VF / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++) sum[j] = sum[j] + sum[j + half];
    vf_store(scores, sum[0]);
}

static float dot(const ae_elem *q, const ae_elem *key, ptrdiff_t H) {
    vf sum = vf_set(0);
    for (ptrdiff_t i = 0; i < H; i += VF)
        sum = vf_fma(va_load_n(q + i, H - i), va_load_n(key + i, H - i), sum);
    return vf_sum(sum);
}

static void scores_of(const work *w) {
    ptrdiff_t s = 0;
    for (; s + VF <= w->past; s += VF)
        for (ptrdiff_t h = 0; h < w->heads; h++)
            dots(w->scores + h * w->scores_ld + s, w->q + h * w->H, w->k_ring + s * w->ld, w->ld, w->H);
    for (; s <= w->past; s++)
        for (ptrdiff_t h = 0; h < w->heads; h++)
            w->scores[h * w->scores_ld + s] =
                dot(w->q + h * w->H, s < w->past ? w->k_ring + s * w->ld : w->k, w->H);
}

/* out += p . values, of `n` values behind each other; PARTS vectors of them at once. */
AE_INLINE void add_values(float *out, const float *p, const ae_elem *values, ptrdiff_t ld, ptrdiff_t n,
                          const int parts) {
    vf sum[PARTS_MAX];
    EACH(j, parts) sum[j] = vf_load(out + j * VF);
    for (ptrdiff_t s = 0; s < n; s++) {
        const vf a = vf_set(p[s]);
        EACH(j, parts) sum[j] = vf_fma(a, va_load(values + s * ld + j * VF), sum[j]);
    }
    EACH(j, parts) vf_store(out + j * VF, sum[j]);
}

static void add_tile(float *out, const float *p, const ae_elem *values, ptrdiff_t ld, ptrdiff_t n,
                     ptrdiff_t H) {
    enum { PARTS = VF == 16 ? PARTS_MAX : PARTS_MAX / 2 };
    ptrdiff_t i = 0;
    for (; i + PARTS * VF <= H; i += PARTS * VF) add_values(out + i, p, values + i, ld, n, PARTS);
    for (; i + VF <= H; i += VF) add_values(out + i, p, values + i, ld, n, 1);
    for (; i < H; i += VF) {
        vf sum = vf_load(out + i);
        for (ptrdiff_t s = 0; s < n; s++)
            sum = vf_fma(vf_set(p[s]), va_load_n(values + s * ld + i, H - i), sum);
        vf_store(out + i, sum);
    }
}

static void values_of(const work *w) {
    memset(w->out, 0, (size_t)(w->heads * w->out_ld) * sizeof *w->out);
    for (ptrdiff_t s = 0; s < w->past; s += TILE)
        for (ptrdiff_t h = 0; h < w->heads; h++)
            add_tile(w->out + h * w->out_ld, w->scores + h * w->scores_ld + s, w->v_ring + s * w->ld, w->ld,
                     ae_min(TILE, w->past - s), w->H);
    for (ptrdiff_t h = 0; h < w->heads; h++)
        add_tile(w->out + h * w->out_ld, w->scores + h * w->scores_ld + w->past, w->v, w->ld, 1, w->H);
}

static void decode_heads(ae_elem *o, float *lse, const work *w) {
    const float scale = 1.0f / sqrtf((float)w->H);
    const ae_attn_visible all = {0, w->past + 1};
    float inverse[AE_ATTN_HEADS_AT_ONCE];
    scores_of(w);
    for (ptrdiff_t h = 0; h < w->heads; h++) {
        float *row = w->scores + h * w->scores_ld;
        const float most = scale * ae_attn_row_max(row, all, -INFINITY),
                    total = ae_attn_row_exp(row, all, scale, most, w->past + 1, false);
        lse[h] = most + logf(total);
        inverse[h] = 1.0f / total;
    }
    values_of(w);
    for (ptrdiff_t h = 0; h < w->heads; h++)
        ae_attn_row_finish(o + h * w->H, w->out + h * w->out_ld, inverse[h], w->H);
}

/* Heads that a thread takes together: all of a group where sequences suffice for the threads. The bits do not depend on it. */
static ptrdiff_t heads_at_once(ae_attention_dims n) {
    const ptrdiff_t share = ae_ceil_div(n.B * n.N, n.rooms);
    return ae_min(AE_ATTN_HEADS_AT_ONCE, ae_min(n.N / n.G, share));
}

void AE_ROW_NAME(ae_cpu_attention_decode)(const ae_backend *be, ae_elem *o, float *lse, const ae_elem *k_ring,
                                          const ae_elem *v_ring, const ae_elem *q, const ae_elem *k,
                                          const ae_elem *v, const int32_t *positions, float *scratch,
                                          ae_attention_dims n) {
    const ptrdiff_t ld = n.G * n.H, of_group = n.N / n.G, most = heads_at_once(n),
                    shares = ae_ceil_div(of_group, most);
#pragma omp parallel for num_threads(ae_attn_team(be, n))
    for (ptrdiff_t task = 0; task < n.B * n.G * shares; task++) {
        const ptrdiff_t b = task / (n.G * shares), g = task / shares % n.G, first = task % shares * most,
                        row = b * n.N + g * of_group + first, at = g * n.H;
        float *room = scratch + (size_t)omp_get_thread_num() * ae_attn_decode_floats(n);
        const work w = {.q = q + row * n.H,
                        .k_ring = k_ring + b * n.W * ld + at,
                        .v_ring = v_ring + b * n.W * ld + at,
                        .k = k + b * ld + at,
                        .v = v + b * ld + at,
                        .scores = room,
                        .out = room + AE_ATTN_HEADS_AT_ONCE * ae_attn_scores_ld(n),
                        .heads = ae_min(most, of_group - first),
                        .H = n.H,
                        .ld = ld,
                        .past = ae_min(positions[b], n.W),
                        .scores_ld = ae_attn_scores_ld(n),
                        .out_ld = ae_attn_out_ld(n)};
        decode_heads(o + row * n.H, lse + row, &w);
    }
}
