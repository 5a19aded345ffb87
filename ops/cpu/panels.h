#ifndef AE_OPS_CPU_PANELS_H
#define AE_OPS_CPU_PANELS_H
#include "ops/cpu/operand.h"
#include "ops/cpu/weight.h"
#include "ops/quantize.h"

/* Compact weights, laid out for decoding. Sixteen outputs (rows of w [rows, cols]) make a panel, one lane
 * each, and a panel is one stream of bytes along the inputs, so that no sum crosses lanes and a panel is read
 * from front to back:
 *   BF16  lines of 64 bytes: [16 lanes][2 inputs]
 *   INT8  lines of 32 bytes: [16 lanes][2 inputs], two's complement
 *   INT4  lines of 64 bytes: [16 lanes][8 inputs]; in the 32 bits of a lane input i has the 4 bits from
 *         4 (i / 2) + 16 (i % 2) on
 * Integers stand for q * scale with a bfloat16 scale for each lane and `group` inputs, [panels][groups][16].
 * Inputs are padded to 8 and rows to 16 with zeros.
 *
 * Gates are `parts` square blocks stored [in, out]: panels of each part's outputs follow each other, and part
 * p reads inputs from p * cols on. Plain matrices have parts = 0. */
enum { AE_PANEL_LANES = 16, AE_PANEL_PAD = 8, AE_PANEL_BF16_GROUP = 128 };

/* parts counted as at least one, and the sizes of one. */
static inline ptrdiff_t ae_panel_parts(const ae_cpu_weight *w) {
    return w->parts > 0 ? w->parts : 1;
}
static inline ptrdiff_t ae_panel_part_rows(const ae_cpu_weight *w) {
    return w->rows / ae_panel_parts(w);
}
static inline ptrdiff_t ae_panels_of_part(const ae_cpu_weight *w) {
    return ae_ceil_div(ae_panel_part_rows(w), AE_PANEL_LANES);
}
static inline ptrdiff_t ae_panel_cols(const ae_cpu_weight *w) {
    return ae_ceil_div(w->cols, AE_PANEL_PAD) * AE_PANEL_PAD;
}
static inline ptrdiff_t ae_panel_groups(const ae_cpu_weight *w) {
    return ae_ceil_div(w->cols, w->group);
}
/* Bytes of `cols` inputs of a panel. */
static inline ptrdiff_t ae_panel_bytes(ae_weight_type type, ptrdiff_t cols) {
    return AE_PANEL_LANES * cols * (type == AE_WEIGHT_BF16 ? 4 : type == AE_WEIGHT_INT8 ? 2 : 1) / 2;
}

size_t ae_cpu_compact_bytes(const ae_backend *be, const ae_weight_shape *s);
/* A header in `room`, and nothing in its panels yet. */
void ae_cpu_compact_init(const ae_backend *be, void *room, const ae_weight_shape *s);
/* Rows [first, first + n) from float32; `first` a multiple of 16, and whole parts at a time where there are
 * parts. Integers are quantised here, or with the scales given ([n, groups] bfloat16) recovered exactly from
 * values that were q * scale. */
void ae_cpu_compact_put(const ae_backend *be, ae_weight *w, ptrdiff_t first, ptrdiff_t n, const float *values,
                        const uint16_t *scales);

/* to[i * ld + j] = w[first_row + j][first_col + i] in float32: the panels as the right factor of a product.
 * first_col a multiple of the group or 8, first_row of 16; of one part. */
void ae_cpu_panels_unpack(float *to, ptrdiff_t ld, const ae_cpu_weight *w, ptrdiff_t first_row,
                          ptrdiff_t rows, ptrdiff_t first_col, ptrdiff_t cols);
/* The other way round, as the gradient of the input takes them: to[j * ld + i] = w[first_row + j][first_col +
 * i]. */
void ae_cpu_panels_unpack_rows(float *to, ptrdiff_t ld, const ae_cpu_weight *w, ptrdiff_t first_row,
                               ptrdiff_t rows, ptrdiff_t first_col, ptrdiff_t cols);
/* Of bfloat16 as it is: to[p * ld + 2 j + i] = w[first_row + j][2 p + i] for all inputs padded to 8, and rows
 * padded to 16; parts = 0. */
void ae_cpu_panels_pairs(uint16_t *to, ptrdiff_t ld, const ae_cpu_weight *w, ptrdiff_t first_row,
                         ptrdiff_t rows);
/* out[i] = scale * w[row][i]. */
void ae_cpu_panels_row(float *out, const ae_cpu_weight *w, ptrdiff_t row, float scale);

/* out[m, o] = residual[m, o] + bias[o] + x[m] . w[o] for M <= 64 rows. */
typedef struct {
    ptrdiff_t M;
    const void *x; /* [M, inputs] */
    void *out;     /* [M, rows], in float32 maybe the residual */
    ae_elem_type x_type, out_type;
    const float *residual, *bias; /* [M, rows], [rows]; may be NULL */
} ae_panel_product;

/* Each weight is read once for all rows, in an order of summation that does not depend on M; sums and what is added to
 * them are float32. With integers x is rounded to 16 bits by group, products are exact in a group and summed in float32
 * across groups. _vnni: where the processor has AVX512-VNNI, the same bits as avx512. _bf16: where it has AVX512-BF16
 * too; bfloat16 weights meet x rounded to bfloat16, two inputs at once, which sums in another order. _amx: bfloat16
 * weights alone, on tiles, with x rounded and an order of its own too. _amx_integers: integers alone, on tiles, the same
 * bits as avx512. */
typedef void ae_panels_few(const ae_backend *be, const ae_panel_product *p, const ae_cpu_weight *w);
ae_panels_few ae_cpu_panels_few_avx2, ae_cpu_panels_few_avx512, ae_cpu_panels_few_avx512_vnni,
    ae_cpu_panels_few_avx512_bf16, ae_cpu_panels_few_amx, ae_cpu_panels_few_amx_integers;

#endif
