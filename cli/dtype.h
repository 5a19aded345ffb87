#ifndef AE_CLI_DTYPE_H
#define AE_CLI_DTYPE_H
#include "cli/args.h"
#include "model/model.h"

/* The value of --dtype: f32, bf16, or auto (bf16 where the processor has instructions for it). */
#define AE_DTYPE_CHOICES "f32|bf16|auto"
ae_status ae_dtype_parse(const char *text, ae_backend_options *options);

/* The same of verbs that only use a model: the type that weights are kept in. bf16, int8 and int4 are compact
 * forms; auto keeps what `options` says already. */
#define AE_WEIGHT_CHOICES "f32|bf16|int8|int4|auto"
ae_status ae_weights_parse(const char *text, ae_model_options *options);
ae_arg ae_arg_weights(const char **to); /* --dtype of such a verb */

#endif
