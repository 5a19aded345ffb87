#ifndef AE_EXCHANGE_EXPORT_H
#define AE_EXCHANGE_EXPORT_H
#include "exchange/param_writer.h"
#include "model/model.h"

/* Writes the weights of a model as a Hugging Face folder has them (docs/model.md), piece by piece. */
typedef struct {
    const ae_model_config *config;
    bool score_head;     /* score.weight too */
    bool bf16, f16;      /* each number rounded to the nearest, ties to even; else float32, the same bits; a
                          * head is always float32. f16: AE_ERR_INPUT for a number beyond 65504 */
    const char *tensors; /* for ae_tensors_open */
    const ae_model_amendment *amendment; /* of what is read, before it is rounded; NULL: none */
    int64_t shard_bytes; /* of a file's tensors, at most, where it holds more than one; 0: one file */
    ae_watch watch;
} ae_export_request;

ae_status ae_model_export(const char *folder, const ae_export_request *r);

#endif
