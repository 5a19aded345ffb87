#ifndef AE_TRAIN_PROVENANCE_H
#define AE_TRAIN_PROVENANCE_H
#include "exchange/source.h"

/* What trained a model, as far as the state.json of its checkpoint tells; false of a model without one. */

/* The last run was one of `aerie pretrain`. */
bool ae_source_is_pretrained(const ae_model_source *s);
/* And it began with random weights: no run of tuning came before it. */
bool ae_source_is_fresh(const ae_model_source *s);

#endif
