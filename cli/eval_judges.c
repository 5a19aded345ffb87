#include "cli/eval_judges.h"

#include "cli/eval_judge.h"
#include "cli/interrupt.h"
#include "core/log.h"
#include "sandbox/run.h"

#include <stdlib.h>

struct ae_eval_judges {
    ae_judges judges;
    ae_run_settings settings;
    /* Each NULL where no task needs it. */
    ae_runner *runner;
    ae_eval_judge *toxicity, *sentiment;
};

ae_arg ae_arg_unsafe_no_sandbox(ae_judge_flags *f) {
    return (ae_arg){.name = "unsafe-no-sandbox",
                    .type = AE_ARG_FLAG,
                    .to = &f->unsafe_no_sandbox,
                    .help =
                        "run programs of HumanEval and MBPP without a sandbox: they may do whatever you may"};
}

ae_arg ae_arg_workers(ae_judge_flags *f) {
    return (ae_arg){.name = "workers",
                    .type = AE_ARG_INT,
                    .to = &f->workers,
                    .min = 1,
                    .max = 256,
                    .help = "programs that run side by side; default: as many as threads"};
}

ae_arg ae_arg_toxicity(ae_judge_flags *f) {
    return (ae_arg){.name = "toxicity",
                    .type = AE_ARG_TEXT,
                    .to = &f->toxicity,
                    .value = "F",
                    .help =
                        "what judges toxicity: a file of `aerie eval classifier train`, or program:COMMAND"};
}

ae_arg ae_arg_sentiment(ae_judge_flags *f) {
    return (ae_arg){.name = "sentiment",
                    .type = AE_ARG_TEXT,
                    .to = &f->sentiment,
                    .value = "F",
                    .help = "what judges sentiment, in the same way"};
}

/* ---- programs ---- */

static void tell_ends(const ae_verdict *verdicts, ptrdiff_t n) {
    ptrdiff_t counts[AE_RUN_SIGNAL + 1] = {0};
    char words[256] = "";
    size_t used = 0;
    for (ptrdiff_t i = 0; i < n; i++) counts[verdicts[i].end]++;
    for (int e = 0; e <= AE_RUN_SIGNAL; e++)
        if (counts[e] > 0)
            used += (size_t)snprintf(words + used, sizeof words - used, "%s%td %s", used ? ", " : "",
                                     counts[e], ae_run_end_name((ae_run_end)e));
    ae_log("programs: %s", words);
}

static ae_status run_programs(void *context, const char *const *texts, ptrdiff_t n, bool *passed) {
    ae_eval_judges *j = context;
    ae_verdict *verdicts = calloc((size_t)n + 1, sizeof *verdicts);
    if (!verdicts) return AE_FAIL(AE_ERR_RESOURCE, "programs: out of memory");
    ae_log("programs: %td run %s", n, j->settings.unsafe_no_sandbox ? "without a sandbox" : "in the sandbox");
    const ae_status st = ae_runner_run(j->runner, texts, n, verdicts);
    for (ptrdiff_t i = 0; st == AE_OK && i < n; i++) passed[i] = verdicts[i].end == AE_RUN_PASSED;
    if (st == AE_OK) tell_ends(verdicts, n);
    free(verdicts);
    return st;
}

static ae_status open_runner(ae_eval_judges *j, const ae_judge_flags *f) {
    j->settings = ae_run_defaults();
    j->settings.unsafe_no_sandbox = f->unsafe_no_sandbox;
    j->settings.workers = (int)f->workers;
    j->settings.check = ae_interrupt_check;
    j->judges.run_programs = run_programs;
    return ae_runner_new(&j->runner, &j->settings);
}

/* ---- classifiers ---- */

static ae_status judge_toxicity(void *context, const char *const *texts, size_t n, double *values) {
    const ae_eval_judges *j = context;
    return ae_eval_judge_give(j->toxicity, texts, n, values);
}

static ae_status judge_sentiment(void *context, const char *const *texts, size_t n, double *values) {
    const ae_eval_judges *j = context;
    return ae_eval_judge_give(j->sentiment, texts, n, values);
}

static ae_status open_judge(ae_eval_judge **j, const char *flag, const char *given, double least) {
    if (given) return ae_eval_judge_open(j, flag, given, least);
    return AE_FAIL(
        AE_ERR_USAGE,
        "--%s: expected a file of `aerie eval classifier train` or program:COMMAND, which the metric %s "
        "needs, found none",
        flag, flag);
}

/* ---- all ---- */

static bool wants(const ae_task *task, ae_metric_kind kind) {
    for (size_t m = 0; m < task->n_metrics; m++)
        if (task->metrics[m].kind == kind) return true;
    for (size_t i = 0; i < task->n_parts; i++)
        if (wants(task->parts[i], kind)) return true;
    return false;
}

static bool any_wants(const ae_task *const *tasks, size_t n, ae_metric_kind kind) {
    for (size_t i = 0; i < n; i++)
        if (wants(tasks[i], kind)) return true;
    return false;
}

ae_status ae_eval_judges_open(ae_eval_judges **out, const ae_task *const *tasks, size_t n,
                              const ae_judge_flags *f) {
    ae_eval_judges *j = *out = calloc(1, sizeof *j);
    if (!j) return AE_FAIL(AE_ERR_RESOURCE, "judges: out of memory");
    j->judges = (ae_judges){.toxicity = judge_toxicity, .sentiment = judge_sentiment, .context = j};
    ae_status st = AE_OK;
    if (any_wants(tasks, n, AE_METRIC_TOXICITY)) st = open_judge(&j->toxicity, "toxicity", f->toxicity, 0);
    if (st == AE_OK && any_wants(tasks, n, AE_METRIC_SENTIMENT))
        st = open_judge(&j->sentiment, "sentiment", f->sentiment, -1);
    if (st == AE_OK && any_wants(tasks, n, AE_METRIC_PASS_AT_K)) st = open_runner(j, f);
    return st;
}

void ae_eval_judges_close(ae_eval_judges *j) {
    if (!j) return;
    ae_runner_delete(j->runner);
    ae_eval_judge_close(j->toxicity);
    ae_eval_judge_close(j->sentiment);
    free(j);
}

const ae_judges *ae_eval_judges_of(const ae_eval_judges *j) {
    return &j->judges;
}

json_t *ae_eval_judges_facts(const ae_eval_judges *j) {
    json_t *facts = json_object();
    if (j->runner)
        json_object_set_new(facts, "programs",
                            json_pack("{s:s, s:f, s:f}", "sandbox",
                                      j->settings.unsafe_no_sandbox ? "none" : "bubblewrap", "wall_s",
                                      j->settings.wall_s, "memory_bytes", j->settings.memory_bytes));
    if (j->toxicity) json_object_set_new(facts, "toxicity", ae_eval_judge_facts(j->toxicity));
    if (j->sentiment) json_object_set_new(facts, "sentiment", ae_eval_judge_facts(j->sentiment));
    return facts;
}

static void print_judge(const ae_eval_judge *j, FILE *out) {
    char *words = j ? ae_eval_judge_words(j) : NULL;
    if (words) fprintf(out, "%s\n", words);
    free(words);
}

void ae_eval_judges_print(const ae_eval_judges *j, FILE *out) {
    if (j->runner)
        fprintf(out, "programs: %s, %g s and %g GiB each\n",
                j->settings.unsafe_no_sandbox ? "without a sandbox" : "in the sandbox", j->settings.wall_s,
                j->settings.memory_bytes / (1 << 30));
    print_judge(j->toxicity, out);
    print_judge(j->sentiment, out);
}
