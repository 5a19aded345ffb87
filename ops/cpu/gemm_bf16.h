#ifndef AE_OPS_CPU_GEMM_BF16_H
#define AE_OPS_CPU_GEMM_BF16_H
#include "ops/cpu/operand.h"

/* The library's product of two bfloat16 operands on the calling thread. False, and C as it was, where it has
 * none for these arguments or memory is short. */
bool ae_gemm_bf16(const ae_backend *be, const ae_gemm_args *g);
/* Whether its kernels read a blocked B as it is, and processor and library both have what packing and reading
 * it needs. */
bool ae_gemm_bf16_takes_blocked(void);

#endif
