#ifndef AE_CLI_DTYPE_H
#define AE_CLI_DTYPE_H
#include "ops/backend.h"

/* The value of --dtype: f32, bf16, or auto (bf16 where the processor has instructions for it). */
#define AE_DTYPE_CHOICES "f32|bf16|auto"
ae_status ae_dtype_parse(const char *text, ae_backend_options *options);

#endif
