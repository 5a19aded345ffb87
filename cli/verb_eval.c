#include "cli/args.h"
#include "cli/eval_verbs.h"
#include "cli/verbs.h"

#include <string.h>

ae_status ae_verb_eval(int argc, char **argv) {
    static const ae_subverb subverbs[] = {
        {"run", ae_verb_eval_run, "ask a model: aerie eval --model M --tasks TASK,.. --output DIR"},
        {"ls", ae_verb_eval_ls, "the benchmarks there are"},
        {"validate", ae_verb_eval_validate, "check a task file against its data, row by row"},
        {"show", ae_verb_eval_show, "the exact prompts of a task"},
        {"compare", ae_verb_eval_compare, "two models on the same rows: differences with intervals"},
        {"classifier", ae_verb_eval_classifier,
         "what judges toxicity and sentiment, trained on labelled texts"},
    };
    const bool has_flags = argc > 1 && strncmp(argv[1], "--", 2) == 0 && strcmp(argv[1], "--help") != 0;
    if (has_flags) return ae_verb_eval_run(argc, argv);
    return ae_args_subverb(argc, argv, subverbs, sizeof subverbs / sizeof *subverbs);
}
