#ifndef AE_MODEL_CONFIG_JSON_H
#define AE_MODEL_CONFIG_JSON_H
#include "core/json.h"
#include "model/config.h"

/* What ends an answer, each id once, as a list: the `n` ids of `first` (those below 0 left out), then the
 * model's own. NULL: no memory. */
json_t *ae_model_ends_json(const ae_model_config *c, const int32_t *first, size_t n);

#endif
