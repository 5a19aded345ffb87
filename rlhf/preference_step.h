#ifndef AE_RLHF_PREFERENCE_STEP_H
#define AE_RLHF_PREFERENCE_STEP_H
#include "data/pairs.h"
#include "model/pass.h"
#include "rlhf/keys.h"
#include "rlhf/preference_loss.h"

#include <stdint.h>

/* A step of learning from pairs that are given: rl.method dpo, ipo or kto. s is the sum of an answer's token
 * log-probabilities, its end among them, at rl.temperature; rho = s - s_ref. The loss is the mean over the
 * pairs of the global batch of
 *
 *   dpo   ae_dpo_loss at q = dpo.smoothing, and dpo.nll times the chosen answer's nll
 *   ipo   ae_ipo_loss, and the same
 *   kto   the mean of ae_kto_loss of both answers, the chosen one good; z of the answers in the batch to other
 *         prompts */

/* s of both answers. */
typedef struct {
    double chosen, rejected;
} ae_pair_scores;

/* A pair of a batch. */
typedef struct {
    ae_pair_scores now, reference;
    ptrdiff_t chosen_tokens, rejected_tokens; /* of the answers */
    uint64_t prompt;                          /* hash; pairs of one prompt have the same */
    double z;                                 /* kto */
} ae_scored_pair;

/* What pairs add up to. */
typedef struct {
    double loss, right, margin, chosen, rejected; /* sums over the pairs */
    ptrdiff_t pairs;
} ae_preference_sums;

/* Fills pairs [b->n_pairs] from forward passes over the batch, `micro_rows` rows at a time, but for `reference` and
 * `z`. `room`: micro_rows x T entries, T of the batch. Both answers of every pair have tokens that count. */
void ae_preference_score(const ae_rl_keys *keys, const ae_model *m, ae_pass *pass, const ae_pair_batch *b,
                         ptrdiff_t micro_rows, float *room, ae_scored_pair *pairs);

/* Sets z of each pair; 0 where the method is not kto. */
void ae_preference_set_divergences(const ae_rl_keys *keys, ae_scored_pair *pairs, ptrdiff_t n);
/* Loss of a pair and its gradient with respect to both s; counts it. The margin is beta (rho_c - rho_r), of ipo
 * beta (rho_c / |y_c| - rho_r / |y_r|). A pair is right where that is above 0, half right at 0. `chosen` and
 * `rejected` add up rho. */
ae_preference ae_preference_judge(const ae_rl_keys *keys, const ae_scored_pair *pair, ae_preference_sums *s);

/* Adds the gradients of the loss of a batch. Fills pairs, whose `reference` is set. `room`: 2 x micro_rows x T
 * entries. Blocks run forward once; of kto, where the batch has several micro-batches, twice, since z needs them
 * all. */
ae_preference_sums ae_preference_gradients(const ae_rl_keys *keys, ae_model *m, ae_pass *pass,
                                           const ae_pair_batch *b, ptrdiff_t micro_rows, float *room,
                                           ae_scored_pair *pairs);

#endif
