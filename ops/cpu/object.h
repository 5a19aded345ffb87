#ifndef AE_OPS_CPU_OBJECT_H
#define AE_OPS_CPU_OBJECT_H
#include "ops/backend.h"
#include "ops/cpu/gemm.h"
#include "ops/cpu/product.h"

#include <stdatomic.h>

/* What a CPU backend keeps for itself. */
typedef struct {
    ae_products products;              /* of two bfloat16 operands */
    bool tiles;                        /* AMX may be used for them */
    const ae_product_kernels *kernels; /* of our own products */
    atomic_size_t failed_bytes; /* of the first scratch that was not to be had since the last sync; 0: none */
} ae_cpu;

static inline ae_cpu *ae_cpu_of(const ae_backend *be) {
    return be->self;
}

#endif
