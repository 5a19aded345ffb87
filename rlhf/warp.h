#ifndef AE_RLHF_WARP_H
#define AE_RLHF_WARP_H
#include "rlhf/config.h"

#include <jansson.h>

/* Weights that are averaged in three ways (WARP, Ramé et al., arXiv 2406.16768, algorithm 1). theta_sft = model.init,
 * theta_0 = theta_sft; a round is
 *
 *   members   theta_1 ... theta_M: runs of REINFORCE from theta_0, which differ in their order of prompts, each held to
 *             its own moving average, a <- (1 - mu) a + mu theta, from theta_0: R = r - beta (s - s_a)
 *   merge     theta_slerp: theta_0 and the spherical average of the members' task vectors, for each tensor by itself
 *             (exchange/merge.h)
 *   step      theta_0 <- theta_0 + eta (theta_slerp - theta_0)
 *
 * and at the end theta_sft + e (theta_slerp - theta_sft), e = 0 ... 1, is the frontier of reward and divergence.
 *
 *   RUN/round-R/member-M   runs like any other; their seeds are run.seed, run.seed + 1, ... through all rounds
 *   RUN/round-R/merged     theta_slerp of their last checkpoints: a checkpoint without an optimiser
 *   RUN/round-R/next       theta_0 after the round
 *   RUN/final              theta_slerp of the last round
 *   RUN/rendered           JSON lines as token sets, for all of them
 *   RUN/warp.json          the rounds, and reward and exact KL along the frontier
 *
 * Each run goes on where it stopped, and so the same command again goes on with all of it, and with further rounds
 * where warp.rounds was raised. The frontier is measured anew each time. */

/* `config` asks for rl.method=warp. AE_ERR_USAGE with lora.rank: the merge of adapters is not that of what they make of
 * the weights; and where keys that a merged round was made with have changed. `dry_run`: checks everything and tells
 * the plan of a run. *table (NULL after a dry run; the caller releases it) is what warp.json holds; its "frontier" is
 * empty where nothing is held out. */
ae_status ae_warp(ae_rlhf_config *config, bool dry_run, json_t **table);

#endif
