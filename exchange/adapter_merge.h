#ifndef AE_EXCHANGE_ADAPTER_MERGE_H
#define AE_EXCHANGE_ADAPTER_MERGE_H
#include "exchange/adapter.h"

/* Base and adapter as one, in float32 and piece by piece: what trained whole replaces the base's values, and
 * weights with an adapter become W + scale B A. */
typedef struct ae_adapter_merger ae_adapter_merger;

/* Of an adapter that was verified against a base of shape `c`. */
ae_status ae_adapter_merger_new(ae_adapter_merger **out, const ae_adapter_source *a,
                                const ae_model_config *c);
void ae_adapter_merger_delete(ae_adapter_merger *m);
/* For ae_model_load_tensors and ae_model_export; borrows the merger. Pieces of one parameter come one after
 * another. */
ae_model_amendment ae_adapter_merger_amendment(ae_adapter_merger *m);

/* A base with its adapter, both verified. Weights in float32 and bfloat16 are those of the two merged,
 * before they are rounded. Beside weights in integers adapters stay as they are, and what trained whole is
 * rounded to the form that the options ask for. A head that the adapter has is there. AE_ERR_USAGE where the
 * options ask for adapters of their own beside such integers. */
ae_status ae_adapter_open_model(ae_model *m, const ae_backend *be, const ae_model_source *base,
                                const ae_adapter_source *a, const ae_model_options *options);
/* The options that the model gets: those of ae_adapter_open_model with what the adapter adds. */
ae_model_options ae_adapter_model_options(const ae_adapter_source *a, const ae_model_options *options);

#endif
