#ifndef AE_EXCHANGE_QUANTIZE_H
#define AE_EXCHANGE_QUANTIZE_H
#include "exchange/param_writer.h"
#include "model/config.h"
#include "ops/types.h"

/* Writes the weights of a model to one safetensors file, tensor by tensor: matrices in bfloat16 or in
 * integers by group, gates in bfloat16, vectors and the convolution in float32 (docs/interfaces.md,
 * "Quantised folders"). */
typedef struct {
    const ae_model_config *config;
    bool score_head;     /* score.weight too, in float32 */
    ae_weight_type type; /* not F32 */
    ptrdiff_t group;     /* of integers; 0: 128 of INT8, 64 of INT4 */
    const char *tensors; /* for ae_tensors_open; NULL: initial values of `seed` */
    uint64_t seed;
    ae_watch watch;
} ae_quantize_request;

ae_status ae_model_quantize(const char *path, const ae_quantize_request *r);

#endif
