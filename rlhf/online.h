#ifndef AE_RLHF_ONLINE_H
#define AE_RLHF_ONLINE_H
#include "rlhf/config.h"

#include <jansson.h>

/* Reinforcement learning from answers that the policy writes (rlhf/method.h): an objective for the engine. A step is
 * one update. Its first pass draws prompts, has them answered (rlhf/rollouts.h) and rewarded (rlhf/rewards.h), reads
 * the answers (rlhf/scores.h), and learns; rl.passes - 1 further steps learn from the same answers. */

/* Trains as the configuration says: checks it, resolves what is not given (train.steps from train.epochs, the rate),
 * plans, then starts or goes on with run.dir. `dry_run`: tells the plan and writes nothing. AE_ERR_USAGE for a method
 * that writes no answers. rl.method=warp: one of the runs of rlhf/warp.h. */
ae_status ae_online_train(ae_rlhf_config *config, bool dry_run);
/* What ae_online_train would refuse to go on with in run.dir, and nothing more; resolves the same keys. */
ae_status ae_online_check(ae_rlhf_config *config);
/* One evaluation of model.init on data.heldout, without a run: the numbers that a line of metrics has, and
 * eval_answers. The caller releases *figures. */
ae_status ae_online_judge(ae_rlhf_config *config, json_t **figures);

#endif
