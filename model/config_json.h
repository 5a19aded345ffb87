#ifndef AE_MODEL_CONFIG_JSON_H
#define AE_MODEL_CONFIG_JSON_H
#include "core/json.h"
#include "model/config.h"

/* What ends an answer, each id once, as a list: the `n` ids of `first` (those below 0 left out), then the
 * model's own. NULL: no memory. */
json_t *ae_model_ends_json(const ae_model_config *c, const int32_t *first, size_t n);

/* reward_shift and reward_std, where the model has them: adding them to an object (not 0: no memory), and
 * reading them. */
int ae_model_reward_scale_add(const ae_model_config *c, json_t *o);
ae_status ae_model_reward_scale_read(ae_model_config *c, const json_t *o, const char *where);

#endif
