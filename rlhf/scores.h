#ifndef AE_RLHF_SCORES_H
#define AE_RLHF_SCORES_H
#include "model/pass.h"
#include "rlhf/answers.h"

#include <stdatomic.h>

/* What models say of the packed answers of a step (rlhf/packed.h), and the gradient of a loss of that. All laws
 * are softmax(logits / temperature), logits after the cap. */

/* The models and their passes, each over `micro_rows` rows. Models that are NULL are not read. */
typedef struct {
    ae_model *policy;
    ae_pass *pass; /* trains; its kl_width holds the reference */
    const ae_model *anchor, *reference;
    ae_pass *anchor_pass, *reference_pass; /* that score; they may be one */
    ae_model *critic;                      /* with a head, score.weight */
    ae_pass *critic_pass;                  /* trains */
    ptrdiff_t micro_rows;
    float temperature;
    const atomic_int *stop; /* once it is not 0: AE_ERR_INTERRUPTED; may be NULL */
} ae_scorer;

/* Fills the arrays of the answers:
 *
 *   NOW        s_t, log-probabilities under the policy      ENTROPY     of the laws of the policy, nats
 *   KL         K_t = KL(policy || reference), exact         VALUES_NOW  V_t, the critic before y_t
 *   BEFORE, ANCHOR, REFERENCE, VALUES   where `first`: those as the answers were written
 *
 * The arrays of models that are not there keep what they hold. */
ae_status ae_scores_read(const ae_scorer *k, const ae_batch *b, ae_written_set *s, bool first);

/* A loss by its derivatives: arrays of answers[i].n entries; a list that is NULL means zeros. */
typedef struct {
    float *const *dlogprob;
    float *const *dkl;
    float *const *dvalue;
    double
        entropy_bonus; /* the loss falls by this times the mean entropy of the tokens of answers that count */
} ae_scores_loss;

/* Adds the gradient of the loss to those of policy and critic. After ae_scores_read of the same batch, with
 * nothing changed: what its passes still hold, a batch of no more than micro_rows rows, goes on to backward;
 * larger ones run forward again. */
ae_status ae_scores_add_gradients(const ae_scorer *k, const ae_batch *b, const ae_written_set *s,
                                  const ae_scores_loss *loss);

#endif
