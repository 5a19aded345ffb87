#include "cli/args.h"
#include "cli/judge_verbs.h"
#include "cli/verbs.h"

ae_status ae_verb_judge(int argc, char **argv) {
    static const ae_subverb parts[] = {
        {"make", ae_judge_make, "answers of two or more models to the same prompts, as a study to be judged"},
        {"serve", ae_judge_serve, "a page on this machine where people say which answer is better"},
        {"add", ae_judge_add, "the votes of a model: one that rewards, or one that is asked"},
        {"report", ae_judge_report_verb, "win rates, agreement and strengths, with intervals"},
    };
    return ae_args_subverb(argc, argv, parts, sizeof parts / sizeof *parts);
}
