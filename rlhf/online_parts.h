#ifndef AE_RLHF_ONLINE_PARTS_H
#define AE_RLHF_ONLINE_PARTS_H
#include "data/order.h"
#include "rlhf/guards.h"
#include "rlhf/models.h"
#include "rlhf/prompts.h"
#include "rlhf/rewards.h"
#include "rlhf/rollouts.h"

/* What the files of the objective share. */

/* What the steps so far have led to, beside weights and the data's position: keys of state.json. */
typedef struct {
    int64_t rounds;       /* of answers that were begun */
    int64_t pass;         /* the next one, over the answers of the last round; 0: a new round */
    ae_guard_state guard; /* beta as it is, and the factor of the rate */
    double memory[AE_RL_MEMORY];
    char reference[AE_REFERENCE_IDENTITY_BYTES];
} ae_online_state;

/* The answers of a round, packed and rewarded. */
typedef struct {
    ae_written_set answers;
    double *parts;  /* [answers, sources + 1] rewards by source, then the sum, NaN where there is none */
    ae_batch batch; /* B 0: not packed yet */
} ae_online_round;

/* What the files of an evaluation hold: text of a few answers, and a line for each prompt. */
typedef struct {
    char *samples, *lines; /* NULL: none */
    size_t samples_bytes, lines_bytes;
} ae_online_told;

typedef struct {
    ae_tuned tuned; /* first: ae_tuned_objective */
    ae_objective common;
    ae_rlhf_config *config;
    const ae_rl_method *method;
    unsigned reads;
    int64_t counts[AE_RL_WRITERS]; /* answers to a prompt */

    ae_rewards *rewards;
    size_t sources;
    char **reward_names, **eval_names; /* "reward_NAME", "eval_reward_NAME" */
    ae_prompt_set sets[AE_MIXTURE_SETS_MAX], heldout;
    ae_order order;
    int64_t made_pass; /* of the work that is made next */
    ptrdiff_t longest, capacity;

    ae_rl_models models;
    ae_online_state state, next; /* after the last step; after the one at work */
    int64_t done;                /* steps of the run */
    ae_online_round round;
    ae_online_told told; /* of the last evaluation */
    ae_status failed;    /* of what a step that is done could not tell */
    char why[AE_MESSAGE_BYTES];
} ae_online;

/* One piece of work: the prompts of a round, or none in its later passes. */
typedef struct {
    ae_rollout_prompt *prompts;
    const char **meta; /* JSON of each, or NULL */
    size_t *meta_bytes;
    ptrdiff_t n;
    char *position; /* of the prompts after it, JSON */
} ae_online_work;

/* rlhf/online_work.c */
ae_status ae_online_new_work(void *self, void **work);
ae_status ae_online_next(void *self, void *work);
void ae_online_free_work(void *self, void *work);
/* The first n prompts of a set. */
ae_status ae_online_take_prompts(ae_online_work *w, const ae_prompt_set *s, ptrdiff_t n);

/* rlhf/online_round.c */
typedef struct {
    const char *name;
    int64_t round;
    const int64_t *counts; /* answers of each writer to a prompt */
    bool evaluates;        /* the policy itself writes, and what it writes stays as it is */
} ae_online_asking;
/* Writes, rewards and packs. The round is empty before; the caller frees it, after a failure too. */
ae_status ae_online_round_make(ae_online *o, ae_online_round *r, const ae_online_work *w,
                               const ae_online_asking *asking);
ae_status ae_online_round_pack(const ae_online *o, ae_online_round *r);
void ae_online_round_free(ae_online_round *r);
/* The arrays that the method sees. */
unsigned ae_online_arrays(const ae_online *o);

/* rlhf/online_step.c */
ae_status ae_online_gradients(void *self, void *work, ae_gradients *g);

/* Whether rl.beta means something to the method. */
bool ae_online_uses_beta(const ae_online *o);

/* Means over the policy's answers: `reward` and `parts` over those that have one, NaN where none has. */
typedef struct {
    double reward, reward_std, kl, entropy, length, truncated;
} ae_online_means;
ae_online_means ae_online_means_of(const ae_online *o, const ae_online_round *r);
double ae_online_part_mean(const ae_online *o, const ae_online_round *r, size_t source);

/* rlhf/online_state.c: files and keys of checkpoints */
ae_status ae_online_save(void *self, ae_checkpoint_job *job);
ae_status ae_online_keys(void *self, json_t *state);
ae_status ae_online_resume(void *self, const json_t *state, ae_overrides *o);
/* The round that a run stopped in, and whether the reference is the one that it began with. */
ae_status ae_online_load(ae_online *o);

/* rlhf/online_eval.c */
ae_status ae_online_evaluate(void *self, ae_evaluation *e);

/* rlhf/online_tell.c */
/* Takes down what the files of an evaluation will hold. */
ae_status ae_online_tell(ae_online *o, const ae_online_round *r);
/* Writes RUN/samples/step-000123.txt, and RUN/evaluations/step-000123.jsonl: of each held-out prompt, in their order,
 *   {"prompt": TEXT, "answer": TEXT, "reward": x, "rewards": {SOURCE: x}, "kl": nats, "tokens": n, "truncated": bool}
 * null: there is no tokenizer, no reward. */
ae_status ae_online_sample(void *self, int64_t step);
void ae_online_tell_free(ae_online_told *t);

#endif
