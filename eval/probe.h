#ifndef AE_EVAL_PROBE_H
#define AE_EVAL_PROBE_H
#include "model/model.h"

/* By which results of a model are known to be of that model: the bits of its log-probability of some tokens, as 16
 * hexadecimal digits. All matrices take part, merged adapters and the type of the weights too; the table with the rows
 * of those tokens. Kernels of another kind give other bits. */
enum { AE_PROBE_BYTES = 17 };

ae_status ae_model_probe(const ae_model *m, char out[AE_PROBE_BYTES]);

#endif
