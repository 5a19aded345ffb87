#ifndef AE_OPS_CPU_GEMM_F32_H
#define AE_OPS_CPU_GEMM_F32_H
#include "ops/cpu/operand.h"

/* The library's product of float32 on the calling thread: both operands and C of that type. False, and C as
 * it was, where memory is short. */
bool ae_gemm_f32(const ae_backend *be, const ae_gemm_args *g);

#endif
