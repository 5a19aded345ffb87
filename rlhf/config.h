#ifndef AE_RLHF_CONFIG_H
#define AE_RLHF_CONFIG_H
#include "rlhf/keys.h"
#include "train/tune_config.h"

/* The keys of `aerie rlhf`: those of tuning, and sections rl, reinforce, grpo, ppo, bond, jbond, warp, distill,
 * dpo and kto (docs/interfaces.md, "RLHF"). */

typedef struct {
    ae_tune_config tune; /* its table holds all of these */
    ae_rl_keys keys;
    const char *rendered; /* borrowed: a folder for what is rendered; NULL: the run's own */
} ae_rlhf_config;         /* do not move it */

ae_status ae_rlhf_config_init(ae_rlhf_config *c);
/* The sections of all methods alone, beside others. */
ae_status ae_rl_add_keys(ae_config *table, ae_rl_keys *keys);
void ae_rlhf_config_free(ae_rlhf_config *c);

/* What holds where no key says otherwise and the method decides: rl.beta, rl.kl, rl.samples, rl.temperature;
 * then those of tuning, 1 epoch and the rate. Reads the shape of model.init. To be called before
 * ae_rlhf_config_check. */
ae_status ae_rlhf_config_defaults(ae_rlhf_config *c);
/* As ae_tune_config_check, and what the keys of all methods ask for. A method's own check comes after it
 * (rlhf/method.h). */
ae_status ae_rlhf_config_check(const ae_rlhf_config *c);

/* What of that belongs to the method alone, of section rl and of its own. */
void ae_rl_method_defaults(ae_rlhf_config *c);

/* As in rl.method. */
const char *ae_rl_method_text(int method);
/* Whether it learns from pairs that are given, and writes no answers. */
bool ae_rl_is_offline(int method);

#endif
