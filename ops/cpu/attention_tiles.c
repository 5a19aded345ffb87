#include "ops/cpu/attention.h"
#include "ops/cpu/attention_product.h"

/* Keys of which a transposed product makes the sums at a time. */
enum { KEY_GROUP = 24 };

void AE_ROW_NAME(ae_cpu_attention_rows)(float *to, const ae_elem *from, const ae_attn_block *q, ptrdiff_t H) {
    for (ptrdiff_t r = 0; r < q->rows; r++)
        for (ptrdiff_t i = 0; i < H; i += VF)
            vf_store_n(to + r * H + i, va_load_n(from + q->at * H + r * q->ldq + i, H - i), H - i);
}

const float *AE_ROW_NAME(ae_cpu_attention_widen)(const ae_attn_room *w, ptrdiff_t *ld, const ae_elem *x,
                                                 const ae_attn_tile *tile, ae_attention_dims n) {
#ifdef AE_ACT_BF16
    *ld = n.H;
    if (w->narrow) return NULL;
    for (ptrdiff_t s = 0; s < tile->count; s++)
        for (ptrdiff_t i = 0; i < n.H; i += VF)
            vf_store_n(w->x + s * n.H + i, va_load_n(x + s * n.G * n.H + i, n.H - i), n.H - i);
    return w->x;
#else
    (void)w, (void)tile;
    *ld = n.G * n.H;
    return x;
#endif
}

/* to[j][i] = from[i][j] for an 8 x 8 block: pairs, quads, halves. */
static void turn_block(float *to, ptrdiff_t ld_to, const float *from, ptrdiff_t ld_from) {
    __m256 r[8], p[8];
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(from + i * ld_from);
    for (int i = 0; i < 4; i++) {
        p[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        p[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 2; i++) {
            r[4 * h + 2 * i] = _mm256_shuffle_ps(p[4 * h + i], p[4 * h + 2 + i], 0x44);
            r[4 * h + 2 * i + 1] = _mm256_shuffle_ps(p[4 * h + i], p[4 * h + 2 + i], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * ld_to, _mm256_permute2f128_ps(r[i], r[4 + i], 0x20));
        _mm256_storeu_ps(to + (4 + i) * ld_to, _mm256_permute2f128_ps(r[i], r[4 + i], 0x31));
    }
}

void AE_ROW_NAME(ae_cpu_attention_turn)(const ae_attn_room *w, const float *x, ptrdiff_t ld,
                                        const ae_attn_tile *tile, ae_attention_dims n) {
    if (w->narrow) return;
    const ptrdiff_t whole_s = tile->count / 8 * 8, whole_h = n.H / 8 * 8;
    for (ptrdiff_t s = 0; s < whole_s; s += 8)
        for (ptrdiff_t h = 0; h < whole_h; h += 8)
            turn_block(w->turned + h * AE_ATTN_LD + s, AE_ATTN_LD, x + s * ld + h, ld);
    for (ptrdiff_t s = 0; s < tile->count; s++)
        for (ptrdiff_t h = s < whole_s ? whole_h : 0; h < n.H; h++)
            w->turned[h * AE_ATTN_LD + s] = x[s * ld + h];
}

/* Tokens [first, last) of the block see some of the keys [from, to) of the tile. */
typedef struct {
    ptrdiff_t first, last;
} tokens;

static tokens seeing(const ae_attn_tile *tile, const ae_attn_block *q, ptrdiff_t from, ptrdiff_t to) {
    tokens t = {0, 0};
    while (t.first < q->tokens && tile->seen[t.first].hi <= from) t.first++;
    t.last = t.first;
    while (t.last < q->tokens && tile->seen[t.last].lo < to) t.last++;
    return t;
}

void AE_ROW_NAME(ae_cpu_attention_scores)(float *scores, const ae_attn_room *w, const ae_attn_block *q,
                                          const ae_attn_tile *tile, const ae_elem *acts, const float *rows,
                                          const ae_elem *x, ae_attention_dims n) {
    if (w->narrow) {
        ae_gemm_serial(w->be, &(ae_gemm_args){.m = q->rows,
                                              .n = tile->count,
                                              .k = n.H,
                                              .alpha = 1,
                                              .a = ae_act_operand(acts + q->at * n.H, q->ldq, false),
                                              .b = ae_act_operand(x, n.G * n.H, true),
                                              .c = scores,
                                              .ldc = AE_ATTN_LD});
        return;
    }
    for (ptrdiff_t j = 0; j < tile->count; j += AE_ATTN_NR) {
        const ptrdiff_t width = ae_min(AE_ATTN_NR, tile->count - j);
        const tokens t = seeing(tile, q, j, j + width);
        ae_attn_rows_product(&(ae_attn_product){.m = (t.last - t.first) * q->heads,
                                                .n = width,
                                                .k = n.H,
                                                .a = rows + t.first * q->heads * n.H,
                                                .b = w->turned + j,
                                                .ldb = AE_ATTN_LD,
                                                .c = scores + t.first * q->heads * AE_ATTN_LD + j,
                                                .ldc = AE_ATTN_LD},
                             n.H);
    }
}

/* P or dS as an operand. */
static ae_gemm_operand narrow_tile(const float *p, bool trans) {
    return ae_operand(AE_ELEM_BF16, p, 2 * AE_ATTN_LD, trans);
}

/* Tokens whose rows are whole groups of the product. */
static ptrdiff_t tokens_together(ptrdiff_t heads) {
    ptrdiff_t t = 1;
    while (t * heads % AE_ATTN_MR != 0) t++;
    return t;
}

void AE_ROW_NAME(ae_cpu_attention_out)(const ae_attn_room *w, const ae_attn_block *q,
                                       const ae_attn_tile *tile, const float *p, const ae_elem *x,
                                       const float *wide, ptrdiff_t ld, ae_attention_dims n) {
    if (w->narrow) {
        ae_gemm_serial(w->be, &(ae_gemm_args){.m = q->rows,
                                              .n = n.H,
                                              .k = tile->count,
                                              .alpha = 1,
                                              .a = narrow_tile(p, false),
                                              .b = ae_act_operand(x, n.G * n.H, false),
                                              .beta = tile->first ? 0.0f : 1.0f,
                                              .c = w->out,
                                              .ldc = n.H});
        return;
    }
    const ptrdiff_t step = tokens_together(q->heads);
    for (ptrdiff_t h = 0; h < n.H; h += AE_ATTN_NR)
        for (ptrdiff_t t = 0; t < q->tokens; t += step) {
            const ptrdiff_t end = ae_min(t + step, q->tokens), row = t * q->heads;
            const ptrdiff_t lo = tile->seen[t].lo, hi = tile->seen[end - 1].hi;
            ae_attn_rows_product(&(ae_attn_product){.m = (end - t) * q->heads,
                                                    .n = ae_min(AE_ATTN_NR, n.H - h),
                                                    .k = ae_max(0, hi - lo),
                                                    .a = p + row * AE_ATTN_LD + lo,
                                                    .b = wide + lo * ld + h,
                                                    .ldb = ld,
                                                    .c = w->out + row * n.H + h,
                                                    .ldc = n.H,
                                                    .add = !tile->first},
                                 AE_ATTN_LD);
        }
}

void AE_ROW_NAME(ae_cpu_attention_keys)(float *out, const ae_attn_room *w, const ae_attn_block *q,
                                        const ae_attn_tile *tile, const float *p, const ae_elem *acts,
                                        const float *rows, ae_attention_dims n) {
    if (w->narrow) {
        ae_gemm_serial(w->be, &(ae_gemm_args){.m = tile->count,
                                              .n = n.H,
                                              .k = q->rows,
                                              .alpha = 1,
                                              .a = narrow_tile(p, true),
                                              .b = ae_act_operand(acts + q->at * n.H, q->ldq, false),
                                              .beta = 1,
                                              .c = out,
                                              .ldc = n.G * n.H});
        return;
    }
    for (ptrdiff_t j = 0; j < tile->count; j += KEY_GROUP) {
        const ptrdiff_t keys = ae_min(KEY_GROUP, tile->count - j);
        const tokens t = seeing(tile, q, j, j + keys);
        const ptrdiff_t row = t.first * q->heads;
        ae_attn_columns_product(&(ae_attn_product){.m = keys,
                                                   .n = n.H,
                                                   .k = (t.last - t.first) * q->heads,
                                                   .a = p + row * AE_ATTN_LD + j,
                                                   .b = rows + row * n.H,
                                                   .ldb = n.H,
                                                   .c = out + j * n.G * n.H,
                                                   .ldc = n.G * n.H,
                                                   .add = true},
                                AE_ATTN_LD);
    }
}
