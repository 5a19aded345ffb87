#include "cli/args.h"
#include "cli/eval_verbs.h"
#include "cli/verbs.h"

#include <string.h>

ae_status ae_verb_eval(int argc, char **argv) {
    static const ae_subverb subverbs[] = {
        {"ls", ae_verb_eval_ls, "the benchmarks there are"},
        {"validate", ae_verb_eval_validate, "check a task file against its data, row by row"},
        {"show", ae_verb_eval_show, "the exact prompts of a task"},
    };
    if (argc > 1 && strncmp(argv[1], "--", 2) == 0 && strcmp(argv[1], "--help") != 0)
        return AE_FAIL(AE_ERR_USAGE,
                       "eval %s: expected ls, validate or show; this version does not ask a model yet",
                       argv[1]);
    return ae_args_subverb(argc, argv, subverbs, sizeof subverbs / sizeof *subverbs);
}
