#ifndef AE_RLHF_PREFERENCES_H
#define AE_RLHF_PREFERENCES_H
#include "rlhf/config.h"

/* Learning from pairs that are given, without answers of the policy: rl.method dpo, ipo and kto
 * (rlhf/preference_step.h has the losses). train.batch_rows pairs make a step. The reference, rl.reference or
 * else the policy as it starts, scores all pairs once, before the first step (rlhf/reference_scores.h); a model
 * of its own is gone again when the policy takes its memory. */

/* Trains as the configuration says, whose defaults it sets; goes on with a run that is in run.dir already.
 * `dry_run`: checks everything, tells the plan, writes nothing. */
ae_status ae_preferences_train(ae_rlhf_config *config, bool dry_run);

#endif
