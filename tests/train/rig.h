#ifndef AE_TESTS_TRAIN_RIG_H
#define AE_TESTS_TRAIN_RIG_H
#include "data/token_set.h"
#include "model/config.h"
#include "train/config.h"
#include "train/step.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdint.h>

/* A folder of the test's own with small token sets, and runs of a small model on them. */

enum { RIG_VOCAB = 40 };

/* Two recurrent blocks and one of attention over that vocabulary. */
extern const ae_model_config train_rig_shape;

typedef struct {
    char folder[256];
    char train[300], heldout[300]; /* token sets */
} train_rig;

void train_rig_open(train_rig *r);
void train_rig_close(train_rig *r); /* removes the folder */
/* FOLDER/name; good until eight more were asked for. */
const char *train_rig_path(const train_rig *r, const char *name);

/* A token set of short documents with something to learn in them; `seed` decides which. */
void train_rig_set(const char *path, int64_t documents, uint64_t seed);

/* The keys of a small run into FOLDER/name: rows of 24 tokens, 6 rows a step, 12 steps, checkpoints every 4 and all of them kept, evaluations
 * every 3; then `more`, "section.key=value" separated by spaces. */
void train_rig_config(const train_rig *r, ae_train_config *c, const char *name, const char *more);
/* Trains with that. */
ae_status train_rig_run(const train_rig *r, const char *name, const char *more);

/* The end of a step whose gradients come from `loss`. */
ae_step_result train_rig_update(ae_optimizer *o, double loss, double lr);

/* Fails unless both runs hold the same weights and optimiser at `step`, bit for bit. */
void train_rig_same_checkpoint(const train_rig *r, const char *a, const char *b, int64_t step);
/* Of the gradients of two runs' first steps, which optimisers hold as first moments (step-000001 is kept): the norm of the difference over the norm
 * of those of `a`. Weights after Adam's first steps tell less: each moves by the sign of its gradient, so that rounding turns small ones around. */
double train_rig_gradient_difference(const train_rig *r, const char *a, const char *b);
/* Fails unless both metrics.jsonl tell the same: line by line, all but times and memory. */
void train_rig_same_metrics(const train_rig *r, const char *a, const char *b);
/* Line `i` of a run's metrics (the caller releases it), or NULL. */
json_t *train_rig_metric(const train_rig *r, const char *run, size_t i);
size_t train_rig_metric_count(const train_rig *r, const char *run);
/* The step of the lowest eval_loss in a run's metrics. */
int64_t train_rig_best_step(const train_rig *r, const char *run);

#define ASSERT_OK(expr) cr_assert_eq((expr), AE_OK, "%s", ae_error_message())
#define ASSERT_SAYS(part)                                                                                    \
    cr_assert_not_null(strstr(ae_error_message(), part), "found: %s", ae_error_message())
#define ASSERT_FAILS(code, expr) cr_assert_eq((expr), (code), "found: %s", ae_error_message())

#endif
