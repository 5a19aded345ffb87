#ifndef AE_FORMATS_HALF_H
#define AE_FORMATS_HALF_H
#include <stddef.h>
#include <stdint.h>

/* IEEE 754 half precision (F16). */
#define AE_HALF_MAX 65504.0f

/* To the nearest, ties to even; every |x| is at most AE_HALF_MAX. Below 2^-14 halves are 2^-24 apart. */
void ae_round_to_half(uint16_t *out, const float *x, ptrdiff_t n);
float ae_float_of_half(uint16_t h);

#endif
