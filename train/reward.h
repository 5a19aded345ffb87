#ifndef AE_TRAIN_REWARD_H
#define AE_TRAIN_REWARD_H
#include "data/pairs.h"
#include "train/tuned.h"

/* A reward model (Bradley-Terry): a scalar head on the final hidden states, read at the token that ends an
 * answer. Of a pair with rewards r_c (chosen) and r_r (rejected), m its margin where reward.margin is set,
 * else 0:
 *
 *   loss = -log sigmoid(r_c - r_r - m) + center (r_c + r_r)^2
 *
 * and the mean over the pairs of the global batch, train.batch_rows of them. Gradient of a pair, with s =
 * sigmoid(-(r_c - r_r - m)):
 *
 *   dr_c = -s + 2 center (r_c + r_r),   dr_r = s + 2 center (r_c + r_r)
 *
 * Sources: Bradley and Terry 1952; Ouyang et al., arXiv 2203.02155; centring: Eisenstein et al., arXiv
 * 2312.09244. */

typedef struct {
    double center; /* lambda */
    bool margin;
    char *head; /* a reward model whose head is taken at the start; "": none */
    /* of several runs and their average (train/warm.h) */
    int64_t members;
    char *member_inits; /* paths, separated by commas; "": model.init */
    int64_t head_steps;
    int64_t average; /* 0: all */
} ae_reward_keys;

typedef struct {
    ae_tune_config tune;
    ae_reward_keys reward;
    const char
        *rendered;  /* no key, borrowed: a folder that runs share for JSON lines made token sets; NULL */
} ae_reward_config; /* do not move it */

ae_status ae_reward_config_init(ae_reward_config *c);

/* The section reward alone, beside others. */
ae_status ae_reward_add_keys(ae_config *table, ae_reward_keys *keys);

/* Defaults of keys that were not given, and whether the keys agree. */
ae_status ae_reward_config_check(ae_reward_config *c);

/* Trains one model as the configuration says, as ae_sft does. */
ae_status ae_reward(ae_reward_config *config, bool dry_run);
/* The same, but nothing of the model trains beside its head: a checkpoint is an adapter of rank 0, with the
 * head alone. */
ae_status ae_reward_head(ae_reward_config *config, bool dry_run);

/* What a reward model says of the pairs in data.heldout. */
typedef struct {
    int64_t pairs;
    double loss, accuracy, low, high; /* the interval of the accuracy, 95 % */
    double margin_mean, reward_mean, reward_std, calibration_error;
    int8_t *preferred; /* [pairs] 1: the chosen answer, -1: the rejected one, 0: neither */
} ae_reward_figures;
/* Of model.init; writes nothing. Without data.heldout `pairs` is 0, and only reward_mean and reward_std say
 * something: of the first pairs of data.train. */
ae_status ae_reward_judge(ae_reward_config *config, ae_reward_figures *f);
void ae_reward_figures_free(ae_reward_figures *f);

/* Loss of a pair and its gradients. */
typedef struct {
    double loss, dchosen, drejected;
} ae_pair_loss;
ae_pair_loss ae_reward_pair_loss(double chosen, double rejected, double margin, double center);

/* What pairs add up to. */
typedef struct {
    double loss, right, margin; /* sums over the pairs; a tie is half right */
    double reward, square;      /* of the means of a pair's two rewards, and of their squares */
    ptrdiff_t pairs;
} ae_reward_sums;
/* The standard deviation of the rewards of all answers. */
double ae_reward_std(const ae_reward_sums *s);

/* A pair's rewards, among `values` that begin with place `at` of the batch, and what they cost; adds to *s. */
typedef struct {
    double chosen, rejected;
    ae_pair_loss loss;
} ae_pair_judged;
ae_pair_judged ae_reward_judge_pair(const ae_reward_keys *keys, const ae_pair_place *p, const float *values,
                                    ptrdiff_t at, ae_reward_sums *s);

/* Adds the gradients of the mean loss of a batch of pairs, `micro_rows` rows at a time. The model has a scalar
 * head; `room` has 2 x micro_rows x T entries, T of the batch. */
ae_reward_sums ae_reward_gradients(const ae_reward_keys *keys, ae_model *m, ae_pass *pass,
                                   const ae_pair_batch *b, ptrdiff_t micro_rows, float *room);

#endif
