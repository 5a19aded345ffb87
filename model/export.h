#ifndef AE_MODEL_EXPORT_H
#define AE_MODEL_EXPORT_H
#include "model/config.h"

/* Writes the weights of a model as a Hugging Face folder has them (docs/model.md), piece by piece. */
typedef struct {
    const ae_model_config *config;
    ae_weight_type type; /* F32: the same bits; BF16: each rounded to the nearest, ties to even */
    const char *tensors; /* for ae_tensors_open */
    int64_t shard_bytes; /* of a file's tensors, at most, where it holds more than one; 0: one file */
    ae_status (*step)(void *context, int64_t done_bytes); /* behind each piece; may be NULL */
    void *context;
} ae_export_request;

ae_status ae_model_export(const char *folder, const ae_export_request *r);

#endif
