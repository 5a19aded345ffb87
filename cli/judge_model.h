#ifndef AE_CLI_JUDGE_MODEL_H
#define AE_CLI_JUDGE_MODEL_H
#include "cli/loaded.h"
#include "judge/study.h"

#include <stdbool.h>

/* A model that judges the answers of a study: one that rewards them, or one that is asked which is better. */
typedef struct ae_judge_model ae_judge_model;

/* `l` was opened as a reward model with `rewards`, else as one that answers, with `adapter` (NULL: none). Both are
 * borrowed. AE_ERR_INPUT for a model
 * without a tokenizer, or without turns of a dialogue. */
ae_status ae_judge_model_new(ae_judge_model **out, const ae_study *s, ae_loaded *l, const char *path,
                             const char *adapter, bool rewards);
void ae_judge_model_delete(ae_judge_model *j);

/* How much the model prefers answer a to answer b, as the logarithm of the odds. A reward model: r_a - r_b, as it was
 * trained (Bradley and Terry). A model that is asked: log p("A") - log p("B") for the letter of a, less the same for b,
 * halved, over both orders, so that the place of an answer does not count. */
ae_status ae_judge_model_odds(ae_judge_model *j, const ae_comparison *c, double *log_odds);

/* Which model it is: how it judges, its fingerprint, and its adapter where it has one. Lives as long as the model. */
const char *ae_judge_model_name(const ae_judge_model *j);

/* Of a model that is asked, over all it was asked so far: the mean of log p("A") - log p("B"), what it prefers the first
 * answer by, whichever it is. 0 of a reward model. */
double ae_judge_model_first(const ae_judge_model *j);

#endif
