#ifndef AE_FORMATS_INTEGERS_H
#define AE_FORMATS_INTEGERS_H
#include "formats/safetensors.h"

/* A matrix [rows, cols] kept in integers in safetensors files (docs/interfaces.md, "Quantised folders"):
 * `name` as I8 [rows, cols], or as U8 [rows, cols / 2 rounded up] with two 4-bit integers in two's complement
 * to a byte, the lower one first; and `name`_scale as BF16 [rows, groups]. A value is integer * scale; each
 * scale serves `group` columns, a power of two from 8 to 256. */
typedef struct {
    const ae_safetensors *file, *scale_file;
    const ae_safetensor *integers, *scales;
    int64_t rows, cols, groups, group;
    int bits; /* 8 or 4 */
} ae_integers;

/* 8 or 4 for a tensor of integers, else 0. */
int ae_integers_bits(const ae_safetensor *t);
/* Fills the sizes from the four pointers and checks them. */
ae_status ae_integers_open(ae_integers *c, int rank, const int64_t *shape);
/* Rows [first, first + n) as float32. */
ae_status ae_integers_read(const ae_integers *c, int64_t first, int64_t n, float *out);
/* Their scales, [n, groups]. */
ae_status ae_integers_read_scales(const ae_integers *c, int64_t first, int64_t n, uint16_t *out);

#endif
