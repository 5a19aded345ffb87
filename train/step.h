#ifndef AE_TRAIN_STEP_H
#define AE_TRAIN_STEP_H
#include "data/batch.h"
#include "model/pass.h"
#include "optim/optimizer.h"

#include <stdbool.h>

/* One step: micro-batches -> gradients -> norm -> clip -> update. The loss is the sum over the global
 * batch over all its counted targets, known before the first micro-batch, so any split gives the same
 * mean; never a mean of means. */

/* Every trainable parameter of a model that has its values, as the optimiser wants it; the caller frees. */
ae_status ae_step_optim_params(const ae_model *m, ae_optim_param **params, ptrdiff_t *n);

/* The micro-batches of a batch, one after the other: `micro_rows` rows each, the last maybe fewer. Those
 * without targets are left out, unless rows go on from `carried` states (of all rows of the batch; else
 * NULL). An objective runs its passes over them:
 *
 *     ae_micro_batches micro = ae_micro_batches_of(batch, micro_rows, NULL);
 *     while (ae_micro_batches_next(&micro)) { ae_pass_forward(pass, m, &micro.batch); ... } */
typedef struct {
    ae_micro_batch batch; /* the one at work */
    ptrdiff_t row, at;    /* its first row, and that row's first place in arrays [B, T] of the batch */
    const ae_batch *whole;
    ptrdiff_t micro_rows;
    const ae_carried_rows *carried;
    ae_carried_rows rows; /* of the one at work, which points here: not to be copied in between */
} ae_micro_batches;
ae_micro_batches ae_micro_batches_of(const ae_batch *batch, ptrdiff_t micro_rows,
                                     const ae_carried_rows *carried);
bool ae_micro_batches_next(ae_micro_batches *s); /* false: there are no more */

/* Adds the gradients of the batch's mean loss to those of the model, `micro_rows` rows at a time (those
 * without targets cost nothing), and returns that loss: NaN for a batch without targets, which leaves the
 * gradients alone. nll ([B, T], 0 where masked) may be NULL. */
double ae_step_gradients(ae_model *m, ae_pass *pass, const ae_batch *batch, ptrdiff_t micro_rows, float *nll);
/* The same for rows that go on from `carried`, of all rows of the batch; every row runs, whether it has
 * targets or not. */
double ae_step_gradients_on(ae_model *m, ae_pass *pass, const ae_batch *batch, ptrdiff_t micro_rows,
                            const ae_carried_rows *carried, float *nll);

typedef struct {
    double grad_norm; /* before clipping */
    double lr;
    bool skipped; /* something was not finite: nothing is changed */
} ae_step_result;

/* What the gradients come to, when all of them are there. `finite`: whether what they were made from was. */
ae_step_result ae_step_judge(const ae_optimizer *o, bool finite, double lr);
/* Updates the model, or drops the gradients of a skipped step. Gradients are 0 afterwards. */
void ae_step_finish(ae_optimizer *o, const ae_step_result *r);

#endif
