#ifndef AE_CORE_DIMS_H
#define AE_CORE_DIMS_H
#include <stddef.h>
#include <stdint.h>

/* The letters used for sizes everywhere in the code.
 *
 *   B sequences (rows) of a batch     D model width              H head size, D / N unless configured
 *   T tokens of a sequence            C recurrent width          W window: a query sees W keys before itself
 *   M = B T, all tokens of a batch    E width of the MLP         K taps of the convolution
 *   V vocabulary                      N query heads and gate blocks      G key and value heads, dividing N
 *
 * Matrices of weights are [out, in], activations [M, features], both row-major. */

/* Counts of elements and tokens are ptrdiff_t, bytes are size_t. BLAS-like libraries take int: one checked
 * cast. */
int ae_int(ptrdiff_t n); /* aborts when n does not fit */

static inline ptrdiff_t ae_min(ptrdiff_t a, ptrdiff_t b) {
    return a < b ? a : b;
}
static inline ptrdiff_t ae_max(ptrdiff_t a, ptrdiff_t b) {
    return a > b ? a : b;
}
static inline ptrdiff_t ae_ceil_div(ptrdiff_t a, ptrdiff_t b) {
    return (a + b - 1) / b;
}

#endif
