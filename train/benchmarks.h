#ifndef AE_TRAIN_BENCHMARKS_H
#define AE_TRAIN_BENCHMARKS_H
#include "data/tokenizer.h"
#include "model/model.h"
#include "train/config.h"
#include "train/numbers.h"
#include "train/plan.h"

#include <stdatomic.h>

/* Benchmarks that a run asks its model at each evaluation: section `eval` of its keys (docs/interfaces.md). Documents,
 * prompts and metrics are those of `aerie eval`. */
typedef struct ae_benchmarks ae_benchmarks;

/* Loads the tasks and reads every row, so that what is wrong is known before the first step; *b is NULL without
 * eval.tasks. `keys` and `tokenizer` are borrowed. AE_ERR_USAGE: no such task; AE_ERR_INPUT: bad rows, no tokenizer. */
ae_status ae_benchmarks_open(ae_benchmarks **b, const ae_eval_keys *keys, const ae_tokenizer *tokenizer,
                             int64_t vocab);
/* Asks the model, which it says, and adds a number for each metric, eval_TASK_METRIC or eval_TASK_METRIC_FILTER, good until
 * ae_benchmarks_close; `told` [n] gets the first metric of each task behind what it says already. Once *stop is not 0:
 * AE_ERR_INTERRUPTED. */
ae_status ae_benchmarks_ask(ae_benchmarks *b, const ae_model *model, int64_t step, const atomic_int *stop,
                            ae_numbers *numbers, char *told, size_t n);
void ae_benchmarks_close(ae_benchmarks *b);

/* Room for the states that asking takes, in a plan of memory. */
void ae_benchmarks_plan(const ae_eval_keys *keys, ae_plan_request *plan);

#endif
