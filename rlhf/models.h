#ifndef AE_RLHF_MODELS_H
#define AE_RLHF_MODELS_H
#include "rlhf/config.h"
#include "rlhf/method.h"
#include "rlhf/reference_scores.h"
#include "rlhf/scores.h"
#include "train/run_model.h"
#include "train/tuned.h"

/* The models beside the policy (train/tuned.h):
 *
 *   reference  frozen; what the divergence is measured from: rl.reference, by default model.init; or the teacher
 *   anchor     starts as the policy and follows it: anchor <- (1 - eta) anchor + eta policy
 *   critic     with a scalar head; trains
 *   copy       of the policy, in the type of rl.rollout_dtype, which writes the answers
 *
 * With adapters the reference is the policy's own base without them, and the anchor has adapters of its own: the
 * frozen weights lie in memory once. */
typedef struct {
    /* set before ae_rl_models_open */
    const ae_rlhf_config *config;
    ae_tuned *policy;
    bool wants_anchor, wants_critic, wants_teacher;
    const char *critic_from; /* a reward model; NULL: model.init */

    ae_run_model reference_source, critic_source;
    const char **critic_trains; /* patterns; NULL: all */
    ae_model reference, anchor, critic, copy;
    ae_pass *reference_pass, *anchor_pass, *critic_pass; /* the first two may be one */
    char **critic_names;                                 /* of its parameters, for the optimiser */
} ae_rl_models;

/* Where the reference and the critic come from, from their small files: AE_ERR_INPUT for one of another vocabulary. */
ae_status ae_rl_models_open(ae_rl_models *m);
/* What they add to the plan of the policy, which is made next. AE_ERR_INPUT for a reference or a critic that does
 * not hold what its own files say. */
ae_status ae_rl_models_count(ae_rl_models *m, ae_plan_beside *b);
/* Memory, weights and passes; the policy has its own. Anchor and critic go on from `checkpoint` (NULL: they
 * begin). */
ae_status ae_rl_models_start(ae_rl_models *m, const char *checkpoint);
void ae_rl_models_close(ae_rl_models *m); /* before the policy is closed */

/* Who reads the answers. */
ae_scorer ae_rl_models_scorer(const ae_rl_models *m);
/* The copy gets the policy's values as they are now: once for each round of answers, after the update before it. */
ae_status ae_rl_models_update_copy(ae_rl_models *m);
/* Who writes them; the copy as it is. */
void ae_rl_models_writers(const ae_rl_models *m, const ae_model *writers[AE_RL_WRITERS]);
/* The anchor follows the policy. */
ae_status ae_rl_models_follow(ae_rl_models *m, double eta);

/* anchor.h5 and critic.h5, at once: they change between steps. Files of checkpoints, all of them optional. */
ae_status ae_rl_models_save(const ae_rl_models *m, ae_checkpoint_job *job);
/* The critic's parameters after those of the policy; the caller frees the list. */
ae_status ae_rl_models_parameters(ae_rl_models *m, ae_optim_param **params, ptrdiff_t *n);

/* By which the reference is known again when a run goes on, its adapters too. */
ae_status ae_rl_models_identity(const ae_rl_models *m, char out[AE_REFERENCE_IDENTITY_BYTES]);

/* to <- (1 - eta) to + eta from, of every parameter that trains in `from`; packed forms are made again. */
ae_status ae_model_move(ae_model *to, const ae_model *from, double eta);

#endif
