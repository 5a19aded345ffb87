#ifndef AE_TESTS_MODEL_RANDOM_LOGITS_H
#define AE_TESTS_MODEL_RANDOM_LOGITS_H
#include "core/rng.h"

#include <stddef.h>

/* x [n] of a kind: 0 normal; 1 steep, one far above all others; 2 with many equal ones; 3 all equal; 4 nearly equal. */
void random_logits(float *x, ptrdiff_t n, int kind, ae_rng *r);

#endif
