#ifndef AE_OPS_CPU_BLOCKED_H
#define AE_OPS_CPU_BLOCKED_H
#include "core/dims.h"
#include "ops/cpu/operand.h"

#include <stdint.h>

/* The right factor B [k, n] in bfloat16 as the library's kernels read it (its BA16a64b2a): panels of 64
 * columns one after the other, in a panel [k / 2][64 columns][2 of k]; k padded to 32 and n to 64 with zeros.
 * A panel is addressed by itself, so a product can be cut at any multiple of 64 columns. */
enum { AE_BLOCKED_COLS = 64, AE_BLOCKED_DEPTH = 32 };

static inline ptrdiff_t ae_blocked_depth(ptrdiff_t k) {
    return ae_ceil_div(k, AE_BLOCKED_DEPTH) * AE_BLOCKED_DEPTH;
}
static inline ptrdiff_t ae_blocked_cols(ptrdiff_t n) {
    return ae_ceil_div(n, AE_BLOCKED_COLS) * AE_BLOCKED_COLS;
}
/* Elements of B [k, n]. */
static inline ptrdiff_t ae_blocked_elements(ptrdiff_t k, ptrdiff_t n) {
    return ae_blocked_depth(k) * ae_blocked_cols(n);
}
static inline ae_gemm_operand ae_blocked_operand(const uint16_t *at, ptrdiff_t k) {
    return (ae_gemm_operand){.type = AE_ELEM_BF16, .blocked = true, .at = at, .ld = ae_blocked_depth(k)};
}
/* Both need AVX-512 and its bfloat16 instructions, as do products in bfloat16. */
/* The panel of columns [col, col + n), n <= 64, of B [k, ...] as `b` has it, of either type; rounded to the
 * nearest even. */
void ae_blocked_pack(uint16_t *panel, const ae_gemm_operand *b, ptrdiff_t k, ptrdiff_t col, ptrdiff_t n);
/* to[i * ld + p] = from[p * ld_from + i] for p < k, i < n <= 32; rows of `to` are written up to 32, and up to
 * a multiple of 32 elements. */
void ae_turn_bf16(uint16_t *to, ptrdiff_t ld, const uint16_t *from, ptrdiff_t ld_from, ptrdiff_t k,
                  ptrdiff_t n);

#endif
