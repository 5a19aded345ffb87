#include "ops/cpu/attention_rows.h"
#include "ops/cpu/turn.h"

/* Some query heads of one group over a stretch of a ring of keys and, behind the last stretch, their own key. A tile of keys stays in the
 * first-level cache while the heads pass. */
#define EACH(j, n) _Pragma("GCC unroll 16") for (int j = 0; j < (n); j++)
enum {
    TILE = 2 * VF,
    AHEAD = 2 * TILE,         /* keys, of prefetches */
    SUMS = VF == 16 ? 16 : 8, /* in registers */
    HEADS = VF == 16 ? 4 : 2  /* at once, of values */
};

typedef struct {
    const ae_elem *q;               /* [heads, H] */
    const ae_elem *k_ring, *v_ring; /* rows of the group, ld apart */
    const ae_elem *k, *v;
    float *scores, *out; /* [heads, scores_ld], [heads, out_ld] */
    ptrdiff_t heads, H, ld, scores_ld, out_ld;
    ptrdiff_t past, own; /* keys of the stretch; 1 with the heads' own key, else 0 */
} work;

/* Keys that will be read soon, to the second-level cache. */
static void fetch(const ae_elem *rows, ptrdiff_t ld, ptrdiff_t n, ptrdiff_t H) {
    const ptrdiff_t line = 64 / (ptrdiff_t)sizeof *rows;
    for (ptrdiff_t s = 0; s < n; s++)
        for (ptrdiff_t i = 0; i < H; i += line) _mm_prefetch((const char *)(rows + s * ld + i), _MM_HINT_T1);
}

/* scores[j] = q . key[j] for VF keys behind each other. */
static void dots(float *scores, const ae_elem *q, const ae_elem *keys, ptrdiff_t ld, ptrdiff_t H) {
    vf sum[VF];
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
    vf_store(scores, ae_sum_block(sum));
}

static float dot(const ae_elem *q, const ae_elem *key, ptrdiff_t H) {
    vf sum = vf_set(0);
    for (ptrdiff_t i = 0; i < H; i += VF)
        sum = vf_fma(va_load_n(q + i, H - i), va_load_n(key + i, H - i), sum);
    return vf_sum(sum);
}

static void scores_of(const work *w) {
    ptrdiff_t s = 0;
    for (; s + VF <= w->past; s += VF) {
        for (ptrdiff_t h = 0; h < w->heads; h++) {
            const ptrdiff_t first = VF * h / w->heads, last = VF * (h + 1) / w->heads;
            fetch(w->k_ring + (s + AHEAD + first) * w->ld, w->ld, last - first, w->H);
            dots(w->scores + h * w->scores_ld + s, w->q + h * w->H, w->k_ring + s * w->ld, w->ld, w->H);
        }
    }
    for (; s < w->past + w->own; s++)
        for (ptrdiff_t h = 0; h < w->heads; h++)
            w->scores[h * w->scores_ld + s] =
                dot(w->q + h * w->H, s < w->past ? w->k_ring + s * w->ld : w->k, w->H);
}

/* out[h] += p[h] . values, of `n` values behind each other, for `heads` heads and `parts` vectors of them at once: so many sums that
 * none waits for itself. */
AE_INLINE void add_values(const work *w, ptrdiff_t h0, ptrdiff_t i, ptrdiff_t s0, const ae_elem *values,
                          ptrdiff_t n, const int heads, const int parts) {
    const float *p = w->scores + h0 * w->scores_ld + s0;
    float *out = w->out + h0 * w->out_ld + i;
    vf sum[SUMS];
    EACH(h, heads) EACH(j, parts) sum[h * parts + j] = vf_load(out + h * w->out_ld + j * VF);
    for (ptrdiff_t s = 0; s < n; s++) {
        vf v[SUMS];
        EACH(j, parts) v[j] = va_load(values + s * w->ld + i + j * VF);
        EACH(j, parts) _mm_prefetch((const char *)(values + (s + AHEAD) * w->ld + i + j * VF), _MM_HINT_T1);
        EACH(h, heads) {
            const vf a = vf_set(p[h * w->scores_ld + s]);
            EACH(j, parts) sum[h * parts + j] = vf_fma(a, v[j], sum[h * parts + j]);
        }
    }
    EACH(h, heads) EACH(j, parts) vf_store(out + h * w->out_ld + j * VF, sum[h * parts + j]);
}

/* What is left of H, less than a vector. */
static void add_rest(const work *w, ptrdiff_t h, ptrdiff_t i, ptrdiff_t s0, const ae_elem *values,
                     ptrdiff_t n) {
    const float *p = w->scores + h * w->scores_ld + s0;
    float *out = w->out + h * w->out_ld + i;
    vf sum = vf_load(out);
    for (ptrdiff_t s = 0; s < n; s++)
        sum = vf_fma(vf_set(p[s]), va_load_n(values + s * w->ld + i, w->H - i), sum);
    vf_store(out, sum);
}

AE_INLINE void add_heads(const work *w, ptrdiff_t h0, ptrdiff_t s0, const ae_elem *values, ptrdiff_t n,
                         const int heads) {
    ptrdiff_t i = 0;
    for (; i + SUMS / heads * VF <= w->H; i += SUMS / heads * VF)
        add_values(w, h0, i, s0, values, n, heads, SUMS / heads);
    for (; i + VF <= w->H; i += VF) add_values(w, h0, i, s0, values, n, heads, 1);
    for (ptrdiff_t h = h0; i < w->H && h < h0 + heads; h++) add_rest(w, h, i, s0, values, n);
}

/* Values [s0, s0 + n), counted as the scores are. */
static void add_tile(const work *w, ptrdiff_t s0, const ae_elem *values, ptrdiff_t n) {
    ptrdiff_t h = 0;
    for (; h + HEADS <= w->heads; h += HEADS) add_heads(w, h, s0, values, n, HEADS);
    for (; h + 2 <= w->heads; h += 2) add_heads(w, h, s0, values, n, 2);
    if (h < w->heads) add_heads(w, h, s0, values, n, 1);
}

static void values_of(const work *w) {
    for (ptrdiff_t s = 0; s < w->past; s += TILE)
        add_tile(w, s, w->v_ring + s * w->ld, ae_min(TILE, w->past - s));
    if (w->own) add_tile(w, w->past, w->v, 1);
}

/* The greatest score of each head so far, and the sum of its weights against it. */
typedef struct {
    float most[AE_ATTN_HEADS_AT_ONCE], total[AE_ATTN_HEADS_AT_ONCE];
} running;

/* As the tiles of a whole pass: earlier sums are brought to the new maximum. */
static void add_stretch(running *r, const work *w) {
    const float scale = 1.0f / sqrtf((float)w->H);
    const ae_attn_visible all = {0, w->past + w->own};
    scores_of(w);
    for (ptrdiff_t h = 0; h < w->heads; h++) {
        float *row = w->scores + h * w->scores_ld;
        const float before = r->most[h], here = scale * ae_attn_row_max(row, all, -INFINITY),
                    now = here > before ? here : before, keep = before < now ? expf(before - now) : 1.0f,
                    sum = ae_attn_row_exp(row, all, scale, now, all.hi, false);
        r->total[h] = r->total[h] * keep + sum;
        r->most[h] = now;
        if (keep < 1.0f) ae_attn_row_scale(w->out + h * w->out_ld, keep, w->H);
    }
    values_of(w);
}

/* `w` with all keys before the heads' own. */
static void decode_heads(ae_elem *o, float *lse, const work *w) {
    running r;
    for (ptrdiff_t h = 0; h < w->heads; h++) {
        r.most[h] = -INFINITY;
        r.total[h] = 0;
    }
    memset(w->out, 0, (size_t)(w->heads * w->out_ld) * sizeof *w->out);
    for (ptrdiff_t s = 0, last = 0; !last; s += AE_ATTN_STRETCH) {
        work part = *w;
        part.k_ring += s * w->ld;
        part.v_ring += s * w->ld;
        part.past = ae_min(AE_ATTN_STRETCH, w->past - s);
        part.own = last = s + part.past == w->past;
        add_stretch(&r, &part);
    }
    for (ptrdiff_t h = 0; h < w->heads; h++) {
        lse[h] = r.most[h] + logf(r.total[h]);
        ae_attn_row_finish(o + h * w->H, w->out + h * w->out_ld, 1.0f / r.total[h], w->H);
    }
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
