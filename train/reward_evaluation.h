#ifndef AE_TRAIN_REWARD_EVALUATION_H
#define AE_TRAIN_REWARD_EVALUATION_H
#include "train/calibration.h"
#include "train/reward.h"

#include <stdatomic.h>

/* What a model says of pairs: in file order, as many at a time as fill `rows` rows. */
typedef struct {
    const ae_reward_keys *keys;
    const ae_model *model; /* with a scalar head */
    const ae_pair_set *set;
    int64_t pairs; /* the first so many of it, at least one */
    ptrdiff_t rows;
    const atomic_int *stop; /* once it is not 0: AE_ERR_INTERRUPTED */
    int8_t
        *preferred; /* [pairs] 1: the chosen answer, -1: the rejected one, 0: neither; NULL: not asked for */
} ae_reward_evaluation;

/* Adds to *s and *c. */
ae_status ae_reward_evaluate(const ae_reward_evaluation *e, ae_reward_sums *s, ae_calibration *c);

#endif
