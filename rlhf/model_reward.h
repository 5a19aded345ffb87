#ifndef AE_RLHF_MODEL_REWARD_H
#define AE_RLHF_MODEL_REWARD_H
#include "rlhf/reward_kind.h"

/* Rewards by a reward model, {kind: model, path, adapter, dtype}: its scalar head at the <end_of_turn> of the
 * answer, less its reward_shift (train/reward.h). `path` and `adapter` are as train/run_model.h takes them; `dtype` is
 * the form of its weights, auto (the default) integers that are stored, else float32. Activations are of the run's
 * backend.
 *
 * The head was trained at <end_of_turn>. An answer that was truncated gets one, and so does one that ended with
 * another token; <eos> is replaced by it. Without a tokenizer the reward is read at the last token as it stands.
 *
 * Many answers share a pass: a row of P places, P the longest answer that the run expects or 2048 if that is more,
 * which ends behind the last of them. Best fit, longest first; each answer begins at a multiple of 64 places with
 * positions from 0, and sees no other. So a reward has the same bits alone and among others, with one exception: the
 * AVX2 kernels of float32 products give a row other bits at another place. With them each answer has a pass of its
 * own, and so has an answer of more than P tokens anywhere.
 *
 * AE_ERR_INPUT for a model without the head score.weight, one of another tokenizer (by the hash of its bytes; where
 * one of both has none, by the size of the vocabulary), and a reward that is not finite; AE_ERR_RESOURCE where it does
 * not fit in memory. */

/* The path that was given. */
const char *ae_model_reward_path(const void *self);

#endif
