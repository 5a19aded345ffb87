#include "cli/eval_flags.h"

#include <stdlib.h>

ae_arg ae_arg_num_fewshot(ae_eval_flags *f) {
    return (ae_arg){.name = "num-fewshot",
                    .type = AE_ARG_INT,
                    .to = &f->shots,
                    .min = 0,
                    .max = 1000,
                    .help = "few-shot examples, in place of the task's"};
}

ae_arg ae_arg_fewshot_seed(ae_eval_flags *f) {
    return (ae_arg){.name = "seed",
                    .type = AE_ARG_INT,
                    .to = &f->seed,
                    .min = 0,
                    .max = 4294967295.0,
                    .fallback = "1234",
                    .help = "of few-shot examples that are drawn"};
}

ae_arg ae_arg_limit(ae_eval_flags *f) {
    return (ae_arg){.name = "limit",
                    .type = AE_ARG_INT,
                    .to = &f->limit,
                    .min = 1,
                    .max = 1e12,
                    .help = "the first N documents of each part only"};
}

ae_status ae_eval_target_open(ae_eval_target *t, const ae_arg_list *words, const ae_eval_flags *f,
                              const char *verb) {
    if (words->n != 2)
        return AE_FAIL(AE_ERR_USAGE, "%s: expected TASK and DATA, found %zu word%s", verb, words->n,
                       words->n == 1 ? "" : "s");
    ae_status st = ae_task_load(&t->task, words->items[0]);
    if (st != AE_OK) return st;
    t->data = words->items[1];
    t->options =
        (ae_task_options){.shots = (int)f->shots, .seed = (uint32_t)f->seed, .limit = (ptrdiff_t)f->limit};
    t->n = ae_task_n_leaves(t->task);
    t->leaves = calloc(t->n, sizeof *t->leaves);
    if (t->leaves == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", verb);
    ae_task_leaves(t->task, t->leaves);
    return AE_OK;
}

void ae_eval_target_close(ae_eval_target *t) {
    free(t->leaves);
    ae_task_free(t->task);
}
