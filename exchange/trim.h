#ifndef AE_EXCHANGE_TRIM_H
#define AE_EXCHANGE_TRIM_H
#include "exchange/param_writer.h"
#include "model/config.h"

#include <stdint.h>

/* A model with a part of its vocabulary: row i of the new table is row old_id[i] of the old one, every other
 * tensor is the same. Logits of the rows that stay are the same, so that differences of their
 * log-probabilities are: log p(a) - log p(b) = logit a - logit b. */
typedef struct {
    const ae_model_config *config; /* of the model that is read */
    bool score_head;               /* score.weight too */
    const char *tensors;           /* for ae_tensors_open; no integers */
    const int32_t *old_id;         /* [n], each below config->V */
    ptrdiff_t n;
    int64_t shard_bytes; /* as in exchange/export.h */
    ae_watch watch;
} ae_model_trim_request;

/* Writes its weights into a folder, piece by piece: what was bfloat16 stays it, all else becomes float32. */
ae_status ae_model_trim(const char *folder, const ae_model_trim_request *r);

#endif
