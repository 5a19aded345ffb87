#ifndef AE_RLHF_KEYS_H
#define AE_RLHF_KEYS_H
#include <stdbool.h>
#include <stdint.h>

/* The keys of reinforcement learning and of learning from preferences: section rl, and one section for each
 * method that has keys of its own. */

typedef enum {
    AE_RL_REINFORCE,
    AE_RL_PPO,
    AE_RL_GRPO,
    AE_RL_BOND,
    AE_RL_JBOND,
    AE_RL_WARP,
    AE_RL_ONLINE_DPO,
    AE_RL_DISTILL,
    AE_RL_DPO,
    AE_RL_IPO,
    AE_RL_KTO,
    AE_RL_BEST_OF_N
} ae_rl_method_name;

typedef enum { AE_RL_KEEP, AE_RL_PENALISE, AE_RL_MASK } ae_rl_truncated;

/* How the divergence from the reference enters a method that has a choice. */
typedef enum {
    AE_RL_KL_REWARD, /* k1 in the reward: beta rho is taken from it */
    AE_RL_KL_EXACT,  /* beta times the exact divergence in the loss, with its own gradient */
    AE_RL_KL_K2,     /* beta rho_t^2 / 2 in the loss */
    AE_RL_KL_K3      /* beta (exp(-rho_t) - 1 + rho_t) in the loss */
} ae_rl_kl;

typedef struct {
    int method;               /* ae_rl_method_name */
    char *reference;          /* a model; "": model.init */
    char *rewards;            /* JSON text of a list: rlhf/rewards.h */
    double beta;              /* weight of the divergence, in units of the reward */
    int kl;                   /* ae_rl_kl */
    double kl_target;         /* nats an answer that beta is adapted to; 0: beta stays */
    double kl_horizon;        /* answers over which it is adapted */
    int64_t samples;          /* k answers to a prompt */
    int64_t passes;           /* updates with the same answers */
    bool share_prompts;       /* updates read a prompt once for its answers */
    double temperature;       /* of rollouts, and of all laws */
    int64_t max_new;          /* tokens of an answer, its end among them */
    int rollout_dtype;        /* ae_weight_type of the copy that writes them; F32: the policy itself */
    int truncated;            /* ae_rl_truncated */
    double truncated_penalty; /* taken from the reward of a truncated answer */
    double entropy_bonus;     /* weight of the mean entropy of a token, which is raised */
    int64_t eval_prompts;     /* held-out prompts that are answered at each evaluation */
    double guard_kl, guard_entropy, guard_length; /* 0: no guard (rlhf/guards.h) */
    int guard_action;                             /* stop, slow */
} ae_rl_common_keys;

typedef enum { AE_BASELINE_RLOO, AE_BASELINE_BATCH, AE_BASELINE_RUNNING } ae_rl_baseline;

typedef struct {
    int baseline;         /* ae_rl_baseline */
    double running_decay; /* of the running mean */
    bool by_token;        /* returns to go with -beta rho_t at each token */
} ae_reinforce_keys;

typedef enum { AE_GRPO_ANSWER, AE_GRPO_TOKENS, AE_GRPO_FIXED } ae_grpo_length;

typedef struct {
    double clip_low, clip_high; /* e, e' */
    bool std;                   /* rewards are divided by the deviation of their group */
    int length;    /* divided by: the answer's length, tokens of the batch, answers x rl.max_new (Dr. GRPO) */
    bool sequence; /* one ratio an answer (GSPO) */
    bool resample; /* groups of equal reward are drawn anew (DAPO) */
    int64_t overlong; /* c: the reward falls by up to 1 within the last so many tokens (DAPO); 0: off */
} ae_grpo_keys;

typedef struct {
    double clip, value_clip, lambda, value_weight; /* 0.2, 0.2, 0.95, 0.05 */
    char *critic; /* a reward model that it begins as; "": that of rl.rewards, else the policy */
} ae_ppo_keys;

typedef struct {
    double b;           /* share of the backward divergence */
    int64_t n;          /* N of best-of-N */
    int64_t references; /* k answers of the reference to a prompt */
} ae_bond_keys;

typedef struct {
    double b, g, eta;
} ae_jbond_keys;

typedef struct {
    int64_t members, rounds;
    double mu, eta; /* of the moving average; towards the merge */
} ae_warp_keys;

typedef struct {
    char *teacher; /* a model of the same vocabulary */
    bool sequence; /* the gradient through later tokens too */
} ae_distill_keys;

typedef struct {
    double smoothing; /* q of cDPO */
    double nll;       /* weight of the chosen answer's nll, mean over its tokens */
} ae_dpo_keys;

typedef struct {
    double good, bad; /* w+, w- */
} ae_kto_keys;

typedef struct {
    ae_rl_common_keys rl;
    ae_reinforce_keys reinforce;
    ae_grpo_keys grpo;
    ae_ppo_keys ppo;
    ae_bond_keys bond;
    ae_jbond_keys jbond;
    ae_warp_keys warp;
    ae_distill_keys distill;
    ae_dpo_keys dpo;
    ae_kto_keys kto;
} ae_rl_keys;

#endif
