#ifndef AE_CLI_EVAL_FLAGS_H
#define AE_CLI_EVAL_FLAGS_H
#include "benchmark/task.h"
#include "cli/args.h"

/* TASK DATA and which examples: of the parts of `aerie eval` that look at the documents of a task. */
typedef struct {
    int64_t shots, seed, limit; /* -1: the task's, all */
} ae_eval_flags;
#define AE_EVAL_FLAGS ((ae_eval_flags){-1, AE_FEWSHOT_SEED, -1})

ae_arg ae_arg_num_fewshot(ae_eval_flags *f);
ae_arg ae_arg_fewshot_seed(ae_eval_flags *f);
ae_arg ae_arg_limit(ae_eval_flags *f);

/* A task with the leaves of its tree. */
typedef struct {
    ae_task *task;
    const ae_task **leaves;
    size_t n;
    const char *data;
    ae_task_options options;
} ae_eval_target;

/* Of the words TASK and DATA; `verb` is for messages. AE_ERR_USAGE. */
ae_status ae_eval_target_open(ae_eval_target *t, const ae_arg_list *words, const ae_eval_flags *f,
                              const char *verb);
void ae_eval_target_close(ae_eval_target *t);

#endif
