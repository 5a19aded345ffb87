#ifndef AE_OPS_CPU_FEW_TURNED_H
#define AE_OPS_CPU_FEW_TURNED_H
#include "ops/cpu/act.h"

#include <stdbool.h>

/* Products of up to AE_LINEAR_EACH rows with a float32 weight, a row of x to a lane. Every output has the bits of
 * the dot products of ops/cpu/few.c: VF partial sums, one for all inputs of one remainder, then their tree. */
typedef struct {
    const ae_elem *x;             /* [M, I] */
    const float *w;               /* [O, I] */
    const float *bias, *residual; /* [O], [M, O]; may be NULL */
    ptrdiff_t M, I, O;
    float *out;    /* [M, O], may be residual; or NULL: */
    ae_elem *acts; /* [M, O] */
} ae_few_product;

/* From so many rows on it is the faster way. */
bool AE_ROW_NAME(ae_cpu_few_turned_pays)(ptrdiff_t M);
void AE_ROW_NAME(ae_cpu_few_turned)(const ae_backend *be, const ae_few_product *p);

#endif
