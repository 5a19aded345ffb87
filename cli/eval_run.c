#include "benchmark/bar.h"
#include "benchmark/results.h"
#include "cli/args.h"
#include "cli/dtype.h"
#include "cli/eval_flags.h"
#include "cli/eval_judges.h"
#include "cli/eval_verbs.h"
#include "cli/interrupt.h"
#include "cli/loaded.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "data/render.h"
#include "eval/probe.h"
#include "ops/linear.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] = "aerie eval --model M --tasks TASK,.. --output DIR [--data DIR] [--flags]\n\n"
                            "Asks a model what the tasks ask and writes DIR/results.json and, with "
                            "--log-samples, DIR/samples_TASK.jsonl, as\n"
                            "lm-eval does; a table goes to standard output. Finished requests are kept in "
                            "DIR: the same command goes on after\n"
                            "a stop, with the same results. A task is a name of `aerie eval ls`, a part of "
                            "one such as mmlu_anatomy, or a .yaml\n"
                            "file (docs/tasks.md). docs/evaluation.md says what the numbers mean.";

static const char CHAT_TEMPLATE[] = "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if "
                                    "m.role == 'assistant' else 'user' }}\n"
                                    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}<start_of_turn>model\n";

typedef struct {
    const char *model, *adapter, *tasks, *data, *output, *dtype;
    int64_t batch, threads, max_length;
    ae_eval_flags which;
    ae_judge_flags judges;
    bool chat, no_bos, alone, samples, quiet;
} options;

typedef struct {
    const options *o;
    ae_loaded loaded;
    ae_task **tasks;
    size_t n_tasks;
    ae_evaluation *evaluation;
    ae_eval_results *results;
    ae_eval_judges *judges;
    json_t *settings, *more;
    ae_evaluation_bar bar;
    double started_s, date;
} desk;

/* Before the model is read, so that what is missing is told at once. */
static ae_status open_judges(desk *d) {
    const ae_status st =
        ae_eval_judges_open(&d->judges, (const ae_task *const *)d->tasks, d->n_tasks, &d->o->judges);
    if (st != AE_OK) return st;
    d->more = json_pack("{s:o}", "judges", ae_eval_judges_facts(d->judges));
    return d->more ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "judges: out of memory");
}

/* ---- the model ---- */

static ae_status check_model(const desk *d) {
    const ae_tokenizer *t = d->loaded.tokenizer;
    if (!t) return AE_FAIL(AE_ERR_INPUT, "%s: has no tokenizer, which an evaluation needs", d->o->model);
    if (ae_tokenizer_special(t).bos < 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a tokenizer with <bos>, found one without", d->o->model);
    return d->o->chat ? ae_render_check(t, d->o->model) : AE_OK;
}

static json_t *optional_number(int64_t x) {
    return x < 0 ? json_null() : json_integer(x);
}

static ae_status make_settings(desk *d) {
    const options *o = d->o;
    char probe[AE_PROBE_BYTES];
    const ae_status st = ae_model_probe(&d->loaded.model, probe);
    if (st != AE_OK) return st;
    d->settings =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:b, s:b, s:I}", "probe", probe, "dtype", o->dtype, "tasks",
                  ae_json_label(o->tasks), "num_fewshot", optional_number(o->which.shots), "limit",
                  optional_number(o->which.limit), "seed", (json_int_t)o->which.seed, "bos", !o->no_bos,
                  "apply_chat_template", (int)o->chat, "max_length", (json_int_t)o->max_length);
    return d->settings ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "settings: out of memory");
}

/* ---- the run ---- */

static ae_status check(void *context) {
    (void)context;
    return ae_interrupt_check();
}

static void show(void *context, const ae_evaluation_progress *p) {
    desk *d = context;
    ae_evaluation_bar_show(&d->bar, p);
}

static ae_task_options documents_of(const options *o) {
    return (ae_task_options){(int)o->which.shots, (uint32_t)o->which.seed, (ptrdiff_t)o->which.limit};
}

/* Before the model is read, which may take minutes. */
static ae_status check_rows(desk *d) {
    const ae_evaluation_options how = {
        .data = d->o->data, .documents = documents_of(d->o), .check = check, .context = d};
    return ae_evaluation_check_rows((const ae_task *const *)d->tasks, d->n_tasks, &how);
}

static ae_status open_evaluation(desk *d) {
    const options *o = d->o;
    const ae_evaluation_options how = {.model = &d->loaded.model,
                                       .encoding = {d->loaded.tokenizer, d->loaded.model.config.V, !o->no_bos,
                                                    o->chat, (ptrdiff_t)o->max_length},
                                       .data = o->data,
                                       .documents = documents_of(o),
                                       .batch = (ptrdiff_t)o->batch,
                                       .alone = o->alone,
                                       .folder = o->output,
                                       .settings = d->settings,
                                       .check = check,
                                       .progress = show,
                                       .context = d};
    return ae_evaluation_new(&d->evaluation, (const ae_task *const *)d->tasks, d->n_tasks, &how);
}

static ae_status run_evaluation(desk *d) {
    const ae_status st = ae_evaluation_run(d->evaluation);
    ae_evaluation_bar_end(&d->bar);
    if (st == AE_ERR_INTERRUPTED) ae_log("%s: keeps what is done; the same command goes on", d->o->output);
    if (st != AE_OK) return st;
    const ae_evaluation_counts n = ae_evaluation_count(d->evaluation);
    if (n.cost.read > 0)
        ae_log("likelihoods: %lld tokens read for %lld asked about", (long long)n.cost.read,
               (long long)n.cost.asked);
    if (n.new_tokens > 0) ae_log("answers: %lld new tokens", (long long)n.new_tokens);
    return AE_OK;
}

/* ---- results ---- */

static ae_status write_results(desk *d) {
    const options *o = d->o;
    const ae_model *m = &d->loaded.model;
    int64_t parameters = 0;
    for (ptrdiff_t i = 0; i < m->params.n; i++) parameters += m->params.items[i].n;
    if (o->adapter) json_object_set_new(d->more, "adapter", ae_json_label(o->adapter));
    const ae_eval_facts facts = {.model = o->model,
                                 .dtype = ae_weight_type_name(m->options.weights),
                                 .chat_template = o->chat ? CHAT_TEMPLATE : NULL,
                                 .parameters = parameters,
                                 .bos = !o->no_bos,
                                 .max_length = (ptrdiff_t)o->max_length,
                                 .batch = (ptrdiff_t)o->batch,
                                 .limit = (ptrdiff_t)o->which.limit,
                                 .seed = (uint32_t)o->which.seed,
                                 .more = d->more,
                                 .date = d->date,
                                 .seconds = ae_now_s() - d->started_s};
    ae_status st = ae_eval_results_write(d->results, &facts, o->output, o->samples);
    if (st == AE_OK) st = ae_eval_results_table(d->results, stdout);
    if (st != AE_OK) return st;
    const ae_evaluation_counts n = ae_evaluation_count(d->evaluation);
    printf("\n<bos>: %s; chat template: %s; prompts cut: %lld of %lld requests\n", o->no_bos ? "no" : "yes",
           o->chat ? "turns" : "none", (long long)n.cut, (long long)n.requests);
    ae_eval_judges_print(d->judges, stdout);
    return AE_OK;
}

static void close_desk(desk *d) {
    ae_eval_results_free(d->results);
    ae_evaluation_delete(d->evaluation);
    ae_eval_judges_close(d->judges);
    ae_task_free_all(d->tasks, d->n_tasks);
    json_decref(d->settings);
    json_decref(d->more);
    ae_loaded_close(&d->loaded);
}

static ae_status run(const options *o) {
    desk d = {.o = o, .started_s = ae_now_s(), .date = (double)time(NULL)};
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    AE_TRY(ae_task_load_all(&d.tasks, &d.n_tasks, o->tasks, "--tasks"));
    AE_TRY(ae_folder_check(o->output));
    AE_TRY(open_judges(&d));
    AE_TRY(check_rows(&d));
    AE_TRY(ae_loaded_open(&d.loaded, o->model, o->adapter, o->dtype, o->threads));
    AE_TRY(check_model(&d));
    AE_TRY(make_settings(&d));
    AE_TRY(open_evaluation(&d));
    AE_TRY(run_evaluation(&d));
    AE_TRY(ae_eval_results_make(&d.results, d.evaluation, (const ae_task *const *)d.tasks, d.n_tasks,
                                ae_eval_judges_of(d.judges)));
    AE_TRY(write_results(&d));
out:
    close_desk(&d);
    return st;
}

ae_status ae_verb_eval_run(int argc, char **argv) {
    options o = {.data = ".", .dtype = "auto", .which = AE_EVAL_FLAGS, .batch = AE_LINEAR_EACH};
    bool help = false;
    const ae_arg table[] = {
        ae_arg_model(&o.model),
        ae_arg_adapter(&o.adapter),
        {.name = "tasks",
         .type = AE_ARG_TEXT,
         .to = &o.tasks,
         .value = "TASK,..",
         .help = "what to ask; `aerie eval ls`"},
        {.name = "data",
         .type = AE_ARG_TEXT,
         .to = &o.data,
         .value = "DIR",
         .fallback = ".",
         .help = "folder with the files of the benchmarks"},
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "DIR",
         .help = "folder of the results"},
        ae_arg_num_fewshot(&o.which),
        ae_arg_limit(&o.which),
        {.name = "batch",
         .type = AE_ARG_INT,
         .to = &o.batch,
         .min = 1,
         .max = 1024,
         .fallback = "64",
         .help = "requests side by side; changes the speed only"},
        ae_arg_fewshot_seed(&o.which),
        {.name = "apply-chat-template",
         .type = AE_ARG_FLAG,
         .to = &o.chat,
         .help = "prompts as a dialogue in turns, examples as earlier turns"},
        {.name = "no-bos",
         .type = AE_ARG_FLAG,
         .to = &o.no_bos,
         .help = "contexts without <bos>, but for empty ones"},
        {.name = "max-length",
         .type = AE_ARG_INT,
         .to = &o.max_length,
         .min = 1,
         .max = 1e9,
         .value = "N",
         .help = "cut what is longer off the left, as lm-eval does; default: nothing is cut"},
        {.name = "log-samples", .type = AE_ARG_FLAG, .to = &o.samples, .help = "write samples_TASK.jsonl"},
        {.name = "no-sharing",
         .type = AE_ARG_FLAG,
         .to = &o.alone,
         .help = "read every context whole, for measurements; changes the speed only"},
        ae_arg_unsafe_no_sandbox(&o.judges),
        ae_arg_workers(&o.judges),
        ae_arg_toxicity(&o.judges),
        ae_arg_sentiment(&o.judges),
        ae_arg_weights(&o.dtype),
        ae_arg_threads(&o.threads),
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, NULL, &help);
    if (st != AE_OK) return st;
    if (help) {
        ae_args_help(usage, table, n, stdout);
        return AE_OK;
    }
    st = ae_args_require(table, n, "model", !o.model);
    if (st == AE_OK) st = ae_args_require(table, n, "tasks", !o.tasks);
    if (st == AE_OK) st = ae_args_require(table, n, "output", !o.output);
    return st == AE_OK ? run(&o) : st;
}
