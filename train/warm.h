#ifndef AE_TRAIN_WARM_H
#define AE_TRAIN_WARM_H
#include "train/reward.h"

#include <jansson.h>

/* Several reward models and the average of their weights (WARM, Ramé et al., arXiv 2401.12187), which is
 * steadier against noise in the pairs and harder to deceive than each of them:
 *
 *   RUN/head          the head that all share, trained alone for reward.head_steps on model.init
 *   RUN/members/1..M  reward.members runs from that head, which differ in
 *                       their rate     optim.lr times 1, 4, 10, 1, 4, 10, ...
 *                       their seed     run.seed, run.seed + 1, ...: the order of the pairs
 *                       their start    reward.member_inits in turn
 *   RUN/average       theta = sum_m theta_m / M, as aerie merge makes it: a checkpoint without an optimiser. m are the
 *                     members that are right in more than half of data.heldout, of these the reward.average most
 *                     accurate ones; theta_m is the checkpoint of member m with the best evaluation, or the newest
 *                     where nothing is held out
 *   RUN/rendered      JSON lines as token sets, for all of them
 *   RUN/members.json  what each of them and the average make of data.heldout
 *
 * Head and members are runs of their own: each goes on where it stopped, and so the same command again goes
 * on with all of it. The average and the table are made anew each time.
 *
 * Agreement of a member: the share of held-out pairs of which it prefers the same answer as another member,
 * mean over the others; of the average, mean over the members. */

/* `config` asks for two members or more. AE_ERR_USAGE with lora.rank: the average of adapters is not that of
 * what they make of the weights. `dry_run`: checks everything and tells the plans. *table (NULL after a dry
 * run; the caller releases it) is what members.json holds. */
/* AE_ERR_GUARD: no member is right in more than half of the held-out pairs. An average from before stays. */
ae_status ae_warm(ae_reward_config *config, bool dry_run, json_t **table);

/* Which of n models are averaged: those whose accuracy is above one half, and at most the `most` best; the lower
 * loss decides between equal accuracies, then the order. Their number is returned. */
size_t ae_warm_choose(bool *chosen, const ae_reward_figures *figures, size_t n, size_t most);

#endif
