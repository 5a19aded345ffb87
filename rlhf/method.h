#ifndef AE_RLHF_METHOD_H
#define AE_RLHF_METHOD_H
#include "core/rng.h"
#include "rlhf/keys.h"
#include "train/numbers.h"

#include <stddef.h>

/* A method of reinforcement learning as a value: which answers it wants, what it reads of them, and the
 * gradient of its loss with respect to the log-probabilities of their tokens. It sees plain arrays and no
 * model, so each method is a file that reads like its formula, and a test can enumerate all answers. What
 * samples, scores and updates is rlhf/online.h.
 *
 * Notation, in nats and at the temperature of the rollouts: s_t = log pi(y_t), s its sum over an answer y with
 * its end; rho_t = s_t - s_ref_t. Losses are minimised. */

/* Who wrote an answer. */
typedef enum { AE_RL_POLICY, AE_RL_ANCHOR, AE_RL_REFERENCE, AE_RL_WRITERS } ae_rl_writer;

/* One answer, as a method sees it. Arrays have n entries, one a token, the end among them; NULL where the
 * method does not read them. */
typedef struct {
    ptrdiff_t prompt; /* of the step's prompts, from 0: its group */
    ae_rl_writer writer;
    ptrdiff_t n;
    bool truncated; /* it did not end by itself */
    bool counts;    /* false: it has no reward, or is masked; its gradient stays 0 and it enters no mean */
    double reward;
    const float *now;        /* s_t of the policy as it is */
    const float *before;     /* of the policy that wrote the answers: the bits of `now` in the first pass */
    const float *sampled;    /* of the copy that they were drawn from; NULL: `before` is that law */
    const float *reference;  /* s_ref_t */
    const float *anchor;     /* s_a_t */
    const float *kl;         /* K_t = sum_v pi log(pi / pi_ref) of the law that y_t was drawn from */
    const float *values;     /* V_t of the critic before y_t, as the answers were written */
    const float *values_now; /* and as they are */
} ae_rl_answer;

typedef struct {
    const ae_rl_answer *answers; /* those of a prompt stand together, in the order in which they were drawn */
    ptrdiff_t n, prompts;
    int64_t step;   /* of the run, from 1 */
    int64_t pass;   /* over these answers, from 0 */
    double beta;    /* rl.beta, or as it was adapted */
    double *memory; /* [AE_RL_MEMORY] what the method keeps between steps (running means); in checkpoints */
} ae_rl_batch;

enum { AE_RL_MEMORY = 8 };

/* What comes out: for answer i arrays of answers[i].n entries, zeroed before. */
typedef struct {
    float **dlogprob; /* d loss / d s_t */
    float **dkl; /* d loss / d K_t, the gradient of K_t itself; only where the method reads AE_RL_READS_KL */
    float **dvalue;      /* d loss / d V_t; only with a critic */
    double loss;         /* for people */
    ae_numbers *numbers; /* named numbers of its own for the line of metrics; may be NULL */
} ae_rl_gradient;

enum {
    AE_RL_READS_REFERENCE = 1,
    AE_RL_READS_ANCHOR = 2,
    AE_RL_READS_KL = 4, /* K_t, and its gradient may be asked for */
    AE_RL_READS_REWARDS = 8,
    AE_RL_READS_CRITIC = 16,
    AE_RL_READS_TEACHER = 32 /* K_t is against the teacher */
};

typedef struct {
    const char *name; /* as in rl.method */
    /* How many answers each writer gives to a prompt: counts [AE_RL_WRITERS], zeroed before. */
    void (*wants)(const ae_rl_keys *k, int64_t *counts);
    unsigned (*reads)(const ae_rl_keys *k); /* AE_RL_READS_* */
    /* Whether the keys agree: AE_ERR_USAGE "rl.samples: expected ..., found ...". May be NULL. */
    ae_status (*check)(const ae_rl_keys *k);
    void (*gradient)(const ae_rl_keys *k, const ae_rl_batch *b, ae_rl_gradient *g);
    /* Which answers of others than the policy it learns from, by their rewards: wanted [n], all false before. Of the
     * rest it reads rewards alone, and their arrays hold zeros. NULL: it learns from all. */
    void (*imitates)(const ae_rl_keys *k, const ae_rl_batch *b, bool *wanted);
    /* After the update the anchor moves: anchor <- (1 - *eta) anchor + *eta policy. NULL: it stays. */
    double (*anchor_rate)(const ae_rl_keys *k);
} ae_rl_method;

extern const ae_rl_method ae_reinforce, ae_ppo, ae_grpo, ae_bond, ae_jbond, ae_online_dpo, ae_distill;
extern const ae_rl_method ae_warp_member; /* one run of rlhf/warp.h */

#endif
