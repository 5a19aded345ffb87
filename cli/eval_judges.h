#ifndef AE_CLI_EVAL_JUDGES_H
#define AE_CLI_EVAL_JUDGES_H
#include "benchmark/scoring.h"
#include "cli/args.h"

/* What judges the answers of `aerie eval` where that takes more than comparing texts: the sandbox for programs, and
 * classifiers (docs/answers.md). */
typedef struct {
    bool unsafe_no_sandbox;
    int64_t workers; /* programs side by side; 0: as many as threads */
    /* Of toxicity and sentiment: a file of `aerie eval classifier train`, or program:COMMAND, which rewards texts
     * (rlhf/program_reward.h). The probability that a text is positive, whose sentiment is 2 p - 1; a program gives the
     * sentiment itself. */
    const char *toxicity, *sentiment;
} ae_judge_flags;

ae_arg ae_arg_unsafe_no_sandbox(ae_judge_flags *f);
ae_arg ae_arg_workers(ae_judge_flags *f);
ae_arg ae_arg_toxicity(ae_judge_flags *f);
ae_arg ae_arg_sentiment(ae_judge_flags *f);

typedef struct ae_eval_judges ae_eval_judges;

/* Opens what the metrics of the tasks need and nothing else; borrows the flags. AE_ERR_INPUT where no sandbox can be
 * had, or a classifier cannot be read; AE_ERR_USAGE where one is needed and none was given. */
ae_status ae_eval_judges_open(ae_eval_judges **j, const ae_task *const *tasks, size_t n,
                              const ae_judge_flags *f);
void ae_eval_judges_close(ae_eval_judges *j);

const ae_judges *ae_eval_judges_of(const ae_eval_judges *j);
/* Who judged, for results.json; NULL: no memory. */
json_t *ae_eval_judges_facts(const ae_eval_judges *j);
/* The same in a line for each; nothing where answers were only compared. */
void ae_eval_judges_print(const ae_eval_judges *j, FILE *out);

#endif
