#ifndef AE_OPS_CPU_WEIGHT_H
#define AE_OPS_CPU_WEIGHT_H
#include "core/dims.h"
#include "ops/types.h"

#include <stdint.h>

/* What stands behind ae_weight on the CPU: a matrix [rows, cols], row-major, in one of several types. Training has the float32 master
 * and, where products take bfloat16, a copy in it; inference may have one compact form only. */
typedef struct {
    ae_weight_type type; /* of data */
    ptrdiff_t rows, cols;
    ptrdiff_t group;     /* integers: columns that share a scale */
    const void *data;    /* AE_WEIGHT_F32: the master itself */
    const float *scales; /* integers: [rows, groups] */
    const float *master; /* float32 values, NULL in compact inference */
} ae_cpu_weight;

static inline const ae_cpu_weight *ae_cpu_weight_of(const ae_weight *w) {
    return (const ae_cpu_weight *)(const void *)w;
}

/* Bytes of the header and of what it holds beside the master; `group` 0 for types without. */
size_t ae_cpu_weight_bytes(ae_weight_type type, ptrdiff_t rows, ptrdiff_t cols);
/* Fills `room` from the master: AE_WEIGHT_F32 points at it, BF16 rounds it. */
ae_weight *ae_cpu_weight_pack(void *room, ae_weight_type type, const float *master, ptrdiff_t rows,
                              ptrdiff_t cols);

#endif
