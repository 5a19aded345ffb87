#ifndef AE_RLHF_STRAY_KEYS_H
#define AE_RLHF_STRAY_KEYS_H
#include "rlhf/config.h"

/* Keys that rl.method does not read: those in the sections of other methods, and of section rl those of a divergence
 * that it does not have. AE_ERR_USAGE names the first one that is not as it is by default, since it would be ignored
 * in silence. Keys with their default are fine: a run's own configuration has all of them. */
ae_status ae_rl_stray_keys_check(const ae_rlhf_config *c);

/* The same with rl.method=best_of_n, which keeps no configuration of its own: a key that is given and not read,
 * whatever its value. */
ae_status ae_best_of_n_stray_keys_check(const ae_rlhf_config *c);

#endif
