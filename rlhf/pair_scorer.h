#ifndef AE_RLHF_PAIR_SCORER_H
#define AE_RLHF_PAIR_SCORER_H
#include "rlhf/preference_step.h"

/* Scores pairs of token sets with a model, a batch at a time. */
typedef struct {
    const ae_rl_keys *keys; /* borrowed, as are model and pass */
    const ae_model *model;
    ae_pass *pass; /* has room for `micro_rows` rows */
    ptrdiff_t micro_rows;
    ptrdiff_t most;          /* pairs of a batch */
    ae_pair_choice *choices; /* [most] of the batch */
    ae_pair_batch pairs;
    ae_scored_pair *scored; /* [most] in the order of pairs.pairs, without reference */
    float *room;
} ae_pair_scorer;

/* `rows` of `T` tokens in a batch. */
ae_status ae_pair_scorer_init(ae_pair_scorer *s, ptrdiff_t most, ptrdiff_t rows, ptrdiff_t T);
void ae_pair_scorer_free(ae_pair_scorer *s);

/* Scores the first n choices, which fit a batch. AE_ERR_INPUT where an answer of a pair has no token that counts,
 * or both are the same. */
ae_status ae_pair_scorer_run(ae_pair_scorer *s, ptrdiff_t n);

#endif
