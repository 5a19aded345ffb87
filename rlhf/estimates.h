#ifndef AE_RLHF_ESTIMATES_H
#define AE_RLHF_ESTIMATES_H
#include "rlhf/method.h"

/* What the methods share: sums over answers, means of the others, and the divergence from the reference.
 * Every sum is taken in double. Notation as in rlhf/method.h; M is the number of answers that learn. */

/* sum_t x_t, and sum_t (x_t - y_t). */
double ae_answer_sum(const float *x, ptrdiff_t n);
double ae_answer_log_ratio(const float *x, const float *y, ptrdiff_t n);

/* Whether it is the policy's own answer and counts; how many there are, and their tokens. */
bool ae_answer_learns(const ae_rl_answer *a);
ptrdiff_t ae_answers_learning(const ae_rl_batch *b);
int64_t ae_tokens_learning(const ae_rl_batch *b);

/* One past the last answer to the prompt of answer `first`. */
ptrdiff_t ae_group_end(const ae_rl_batch *b, ptrdiff_t first);
/* Whether two answers or more in [first, end) count and all of them have the same reward. */
bool ae_group_is_dead(const ae_rl_batch *b, ptrdiff_t first, ptrdiff_t end);

/* The counted answers of one writer in [first, end), at most the first `limit` that were drawn. */
typedef struct {
    ptrdiff_t n;
    ptrdiff_t best; /* the first drawn of those with the highest reward; -1: none */
    double lowest;  /* reward */
} ae_contest;
ae_contest ae_contest_of(const ae_rl_batch *b, ptrdiff_t first, ptrdiff_t end, ae_rl_writer writer,
                         int64_t limit);

/* Adds -weight s, the gradient too: maximum likelihood of one answer. Returns the loss. */
double ae_imitate(const ae_rl_answer *a, double weight, float *dlogprob);
/* Adds the policy gradient -weight advantage grad s of an answer of the policy, and returns the surrogate
 * -weight advantage s. */
double ae_reinforce_answer(const ae_rl_answer *a, double weight, double advantage, float *dlogprob);

/* Numbers added up. Zeroed: none. */
typedef struct {
    double sum;
    ptrdiff_t n;
} ae_tally;

void ae_tally_add(ae_tally *t, double x);
double ae_tally_mean(const ae_tally *t); /* 0 of none */
/* The mean of the others, x being one of them: the baseline of x, which does not depend on it. 0 of none. */
double ae_tally_rest(const ae_tally *t, double x);

/* min(exp(before_t - sampled_t), 2): what a token weighs that was drawn from a copy of the policy in another
 * type. 1 where it was drawn from the policy itself. */
double ae_rollout_weight(const ae_rl_answer *a, ptrdiff_t t);

/* The log-probabilities that the policy is held to by rl.beta: those of the reference, with rl.method=warp those of
 * the anchor. */
const float *ae_kl_origin(const ae_rl_keys *k, const ae_rl_answer *a);
/* KL in the reward (k1): sum over t >= from of before_t - origin_t, which is a constant of the update.
 * 0 unless rl.kl is AE_RL_KL_REWARD. */
double ae_kl_in_reward(const ae_rl_keys *k, const ae_rl_answer *a, ptrdiff_t from);

/* KL in the loss of one answer, times `weight`, with rho_t = now_t - reference_t:
 *   exact  sum_t K_t          gradient  sum_t (grad K_t + grad s_t sum_{u>t} K_u)
 *   k2     sum_t rho_t^2 / 2            sum_t rho_t grad s_t
 *   k3     sum_t exp(-rho_t) - 1 + rho_t      sum_t (1 - exp(-rho_t)) grad s_t
 * Exact is the gradient of KL(pi || pi_ref) of whole answers (2504.10637). k2 is that of each token's
 * KL(pi || pi_ref), k3 that of each token's KL(pi_ref || pi) (2512.21852), both with the law of the tokens
 * before held constant. Adds to the gradients and returns the loss; nothing when the KL is in the reward. */
double ae_kl_in_loss(const ae_rl_keys *k, const ae_rl_answer *a, double weight, float *dlogprob, float *dkl);
/* What the KL in either place reads: AE_RL_READS_*. */
unsigned ae_kl_reads(const ae_rl_keys *k);

/* rl.kl_target: beta (1 + clip(kl / target - 1, -0.2, 0.2) answers / horizon) (1909.08593). */
double ae_beta_adapted(double beta, double kl, double target, double answers, double horizon);

/* Ratios of a step's tokens or answers, and which of them were clipped (1) or not (0). */
typedef struct {
    ae_tally ratio, clipped;
} ae_ratios;

/* Adds ratio_mean, clip_fraction and dead_groups. Without `ratios`: the mean over all tokens that learn, and
 * nothing is clipped. */
void ae_add_numbers(const ae_rl_batch *b, ae_rl_gradient *g, const ae_ratios *ratios);

/* For a method whose gradient holds for the policy that wrote the answers alone. */
ae_status ae_expect_one_pass(const ae_rl_keys *k, const char *method);

#endif
