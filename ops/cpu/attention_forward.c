#include "ops/cpu/attention_rows.h"
#include "ops/cpu/table.h"

#include <assert.h>
#include <string.h>

size_t AE_ROW_NAME(ae_cpu_attention_scratch_bytes)(const ae_backend *be, ae_attention_dims n, int inference) {
    (void)be;
    assert(n.rooms > 0);
    const size_t rooms = (size_t)n.rooms * ae_attn_room_floats(n) * sizeof(float);
    const size_t key = (size_t)(n.G * n.H);
    /* a call with one token is decoding */
    const size_t scores = n.W != 0 ? (size_t)n.rooms * ae_attn_decode_floats(n) * sizeof(float) : 0;
    const size_t sums = 2 * (size_t)(n.T + ae_attn_wave(n) * ae_attn_span(n)) * key * sizeof(float);
    return rooms + (!inference && sums > scores ? sums : scores);
}

/* Softmax of one tile against the running maximum and sum; earlier output is brought to the new maximum. */
AE_INLINE void softmax_tile(const ae_attn_room *w, const ae_attn_block *q, const ae_attn_tile *tile,
                            ptrdiff_t H, bool narrow) {
    const float scale = 1.0f / sqrtf((float)H);
    for (ptrdiff_t r = 0; r < q->rows; r++) {
        float *scores = w->s + r * AE_ATTN_LD;
        const ae_attn_visible v = tile->seen[r / q->heads];
        const float before = tile->first ? -INFINITY : w->max[r],
                    here = ae_attn_row_max(scores, v, -INFINITY) * scale, now = here > before ? here : before;
        const float sum = ae_attn_row_exp(scores, v, scale, now, tile->count, narrow);
        const float keep = before == now ? 1.0f : expf(before - now);
        w->sum[r] = (before == -INFINITY ? 0.0f : w->sum[r] * keep) + sum;
        w->max[r] = now;
        if (!tile->first && keep != 1.0f)
            ae_attn_row_scale(w->out + r * H, before == -INFINITY ? 0.0f : keep, H);
    }
}

static void forward_tile(const ae_attn_room *w, const ae_attn_block *q, const ae_attn_tile *tile,
                         const ae_elem *queries, const ae_attn_keys *keys, ae_attention_dims n) {
    const ae_elem *k = ae_attn_key(keys, keys->k, keys->k_past, tile->s0, q->group, n),
                  *v = ae_attn_key(keys, keys->v, keys->v_past, tile->s0, q->group, n);
    ptrdiff_t ld = 0;
    const float *wide = AE_ROW_NAME(ae_cpu_attention_widen)(w, &ld, k, tile, n);
    AE_ROW_NAME(ae_cpu_attention_turn)(w, wide, ld, tile, n);
    AE_ROW_NAME(ae_cpu_attention_scores)(w->s, w, q, tile, queries, w->q, k, n);
    if (w->narrow)
        softmax_tile(w, q, tile, n.H, true);
    else
        softmax_tile(w, q, tile, n.H, false);
    wide = AE_ROW_NAME(ae_cpu_attention_widen)(w, &ld, v, tile, n);
    AE_ROW_NAME(ae_cpu_attention_out)(w, q, tile, w->s, v, wide, ld, n);
}

static void forward_block(ae_elem *o, float *lse, const ae_elem *queries, const ae_attn_keys *keys,
                          const int32_t *positions, const ae_attn_block *q, const ae_attn_room *w,
                          ae_attention_dims n) {
    const ptrdiff_t last = ae_attn_row_of(keys, q->t0 + q->tokens);
    const ptrdiff_t start = ae_attn_first_key(keys, q->t0, positions[q->t0], n.W);
    if (!w->narrow) AE_ROW_NAME(ae_cpu_attention_rows)(w->q, queries, q, n.H);
    for (ptrdiff_t s0 = start, count; s0 < last; s0 += count) {
        const ae_attn_tile tile = ae_attn_tile_of(q, keys, positions, n.W, s0, s0 == start);
        forward_tile(w, q, &tile, queries, keys, n);
        count = tile.count;
    }
    for (ptrdiff_t r = 0; r < q->rows; r++) {
        ae_attn_row_finish(o + q->at * n.H + r * q->ldq, w->out + r * n.H, 1.0f / w->sum[r], n.H);
        lse[ae_attn_row_at(q, r, n.N)] = w->max[r] + logf(w->sum[r]);
    }
}

/* By the threads of a region together; none waits for the others. */
static void forward_stretch(const ae_backend *be, ae_elem *o, float *lse, const ae_elem *queries,
                            const ae_attn_keys *keys, const int32_t *positions, ptrdiff_t b, void *scratch,
                            ae_attention_dims n) {
    const bool narrow = ae_attn_narrow(be);
    const ptrdiff_t step = ae_attn_queries(n.N, narrow), lanes = ae_attn_lanes(n);
#pragma omp for collapse(2) schedule(dynamic) nowait
    for (ptrdiff_t t0 = keys->first; t0 < keys->last; t0 += step) {
        for (ptrdiff_t lane = 0; lane < lanes; lane++) {
            const ae_attn_block q = ae_attn_block_of(n, b, t0, ae_min(step, keys->last - t0), lane);
            const ae_attn_room w = ae_attn_room_of(be, scratch, narrow, n);
            forward_block(o, lse, queries, keys, positions, &q, &w, n);
        }
    }
}

static void update_ring(ae_elem *ring, const ae_elem *x, const int32_t *positions, ae_attention_dims n) {
    const ptrdiff_t ld = n.G * n.H;
    for (ptrdiff_t t = ae_max(0, n.T - n.W); t < n.T; t++)
        memcpy(ring + positions[t] % n.W * ld, x + t * ld, (size_t)ld * sizeof(ae_elem));
}

void AE_ROW_NAME(ae_cpu_attention_forward)(const ae_backend *be, ae_act *o_, ae_f32 *lse_, ae_act *k_ring_,
                                           ae_act *v_ring_, const ae_act *q_, const ae_act *k_,
                                           const ae_act *v_, const ae_i32 *positions_, ae_attention_dims n,
                                           ae_room scratch) {
    ae_elem *o = ae_ma(o_), *k_ring = ae_ma(k_ring_), *v_ring = ae_ma(v_ring_);
    float *lse = ae_mf(lse_);
    const ae_elem *q = ae_ca(q_), *k = ae_ca(k_), *v = ae_ca(v_);
    const int32_t *positions = ae_ci(positions_);
    const ptrdiff_t ld = n.G * n.H;
    assert(n.rooms > 0 && n.N % n.G == 0 && (!k_ring || n.W > 0));
    assert(scratch.bytes >= AE_ROW_NAME(ae_cpu_attention_scratch_bytes)(be, n, 1));
    if (k_ring && n.T == 1) {
        AE_ROW_NAME(ae_cpu_attention_decode)
        (be, o, lse, k_ring, v_ring, q, k, v, positions, ae_attn_behind_rooms(scratch.at, n), n);
    } else {
#pragma omp parallel num_threads(ae_attn_team(be, n))
        for (ptrdiff_t b = 0; b < n.B; b++)
            for (ptrdiff_t t = 0; t < n.T;) {
                const ae_attn_keys keys = ae_attn_keys_of(k, v, k_ring, v_ring, positions, b, t, n);
                forward_stretch(be, o, lse, q, &keys, positions + b * n.T, b, scratch.at, n);
                t = keys.last;
            }
    }
    for (ptrdiff_t b = 0; b < n.B && k_ring; b++) {
        const ptrdiff_t row = b * n.T;
        update_ring(k_ring + b * n.W * ld, k + row * ld, positions + row, n);
        update_ring(v_ring + b * n.W * ld, v + row * ld, positions + row, n);
    }
}
