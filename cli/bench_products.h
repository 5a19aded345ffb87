#ifndef AE_CLI_BENCH_PRODUCTS_H
#define AE_CLI_BENCH_PRODUCTS_H
#include "core/status.h"

#include <stddef.h>

/* Matrix products of the libraries: yardsticks of bench. */
typedef enum { AE_SGEMM_OPENBLAS, AE_SGEMM_ONEDNN } ae_sgemm_library;

/* Seconds of each of `rounds` products of two n x n float32 matrices after one to warm up. AE_ERR_RESOURCE
 * when there is no memory, or no OpenBLAS (cli/openblas.h). */
ae_status ae_measure_sgemm(ae_sgemm_library library, ptrdiff_t n, ptrdiff_t rounds, double *seconds);
/* The same of two bfloat16 matrices by oneDNN, the result bfloat16 too; AERIE_ISA does not cap it. */
ae_status ae_measure_bf16_product(ptrdiff_t n, ptrdiff_t rounds, double *seconds);
/* Name, version and kernels of a library, as it tells them; loads it. */
ae_status ae_sgemm_name(ae_sgemm_library library, char *text, size_t n);

#endif
