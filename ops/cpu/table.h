#ifndef AE_OPS_CPU_TABLE_H
#define AE_OPS_CPU_TABLE_H
#include "ops/backend.h"
#include "ops/cpu/act.h"

/* The rows of one instruction set and one type of activations: every file of ops/cpu with a row is compiled
 * once for each, and the row NAME is AE_ROW_NAME(ae_cpu_NAME). */
#define AE_CPU_ROW(name, parameters, ...)  void AE_ROW_NAME(ae_cpu_##name) parameters;
#define AE_CPU_SIZE(name, parameters, ...) size_t AE_ROW_NAME(ae_cpu_##name) parameters;
AE_OP_ROWS(AE_CPU_ROW)
AE_OP_SIZES(AE_CPU_SIZE)
#undef AE_CPU_ROW
#undef AE_CPU_SIZE

void ae_cpu_fill_avx2_f32(ae_backend *be);
void ae_cpu_fill_avx512_f32(ae_backend *be);
void ae_cpu_fill_avx2_bf16(ae_backend *be);
void ae_cpu_fill_avx512_bf16(ae_backend *be);
void ae_cpu_fill_avx512_bf16_native(ae_backend *be); /* where the processor has AVX512-BF16; the same bits */

#endif
