#include "train/benchmarks.h"

#include "benchmark/bar.h"
#include "benchmark/results.h"
#include "core/dims.h"
#include "data/render.h"
#include "eval/prefix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 16 };

struct ae_benchmarks {
    const ae_eval_keys *keys;
    ae_task **tasks;
    size_t n_tasks;
    ae_encoding encoding;
    char **names; /* of numbers, each once */
    size_t n_names;
};

/* An evaluation while it is asked and told. */
typedef struct {
    ae_benchmarks *b;
    const atomic_int *stop;
    ae_numbers *numbers;
    char *told;
    size_t room;
    const char *last_task;
    ae_evaluation_bar bar;
} asking;

static void show(void *context, const ae_evaluation_progress *p) {
    asking *a = context;
    ae_evaluation_bar_show(&a->bar, p);
}

static ae_status check(void *context) {
    const asking *a = context;
    if (!a->stop || !*a->stop) return AE_OK;
    return AE_FAIL(AE_ERR_INTERRUPTED, "eval.tasks: interrupted");
}

static ae_status open_evaluation(ae_evaluation **e, const ae_benchmarks *b, const ae_model *model,
                                 asking *a) {
    const ae_evaluation_options how = {
        .model = model,
        .encoding = b->encoding,
        .data = b->keys->data,
        .documents = {(int)b->keys->num_fewshot, AE_FEWSHOT_SEED, (ptrdiff_t)b->keys->limit},
        .batch = BATCH,
        .check = check,
        .progress = show,
        .context = a};
    return ae_evaluation_new(e, (const ae_task *const *)b->tasks, b->n_tasks, &how);
}

/* ---- opening ---- */

static ae_status check_tokenizer(const ae_benchmarks *b) {
    const ae_tokenizer *t = b->encoding.tokenizer;
    if (!t || ae_tokenizer_special(t).bos < 0)
        return AE_FAIL(AE_ERR_INPUT, "eval.tasks: expected a tokenizer with <bos> beside the model, found %s",
                       t ? "one without" : "none");
    return b->encoding.chat ? ae_render_check(t, "the tokenizer") : AE_OK;
}

static ae_status read_rows(const ae_benchmarks *b) {
    ae_evaluation *e = NULL;
    asking nobody = {0};
    const ae_status st = open_evaluation(&e, b, NULL, &nobody);
    ae_evaluation_delete(e);
    return st;
}

ae_status ae_benchmarks_open(ae_benchmarks **out, const ae_eval_keys *keys, const ae_tokenizer *tokenizer,
                             int64_t vocab) {
    ae_status st;
    ae_benchmarks *b = NULL;
    *out = NULL;
    if (!keys->tasks[0]) return AE_OK;
    b = calloc(1, sizeof *b);
    if (!b) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "eval.tasks: out of memory"));
    b->keys = keys;
    b->encoding =
        (ae_encoding){.tokenizer = tokenizer, .vocab = vocab, .bos = true, .chat = keys->apply_chat_template};
    AE_TRY(ae_task_load_all(&b->tasks, &b->n_tasks, keys->tasks, "eval.tasks"));
    AE_TRY(check_tokenizer(b));
    AE_TRY(read_rows(b));
    *out = b;
    return AE_OK;
out:
    ae_benchmarks_close(b);
    return st;
}

void ae_benchmarks_close(ae_benchmarks *b) {
    if (!b) return;
    ae_task_free_all(b->tasks, b->n_tasks);
    for (size_t i = 0; i < b->n_names; i++) free(b->names[i]);
    free(b->names);
    free(b);
}

/* ---- asking ---- */

/* The same text for the same number each time: numbers only borrow their names. */
static const char *keep_name(ae_benchmarks *b, const char *name) {
    for (size_t i = 0; i < b->n_names; i++)
        if (strcmp(b->names[i], name) == 0) return b->names[i];
    char **grown = realloc(b->names, (b->n_names + 1) * sizeof *grown);
    if (!grown) return NULL;
    b->names = grown;
    b->names[b->n_names] = strdup(name);
    return b->names[b->n_names] ? b->names[b->n_names++] : NULL;
}

static void tell(asking *a, const ae_eval_number *x) {
    const size_t at = strlen(a->told);
    if (a->last_task == x->task) return;
    a->last_task = x->task;
    snprintf(a->told + at, a->room - at, ", %s %s %.3f", x->task, x->metric, x->value);
}

static ae_status take(void *context, const ae_eval_number *x) {
    asking *a = context;
    char name[256];
    const bool filtered = strcmp(x->filter, "none") != 0;
    snprintf(name, sizeof name, "eval_%s_%s%s%s", x->task, x->metric, filtered ? "_" : "",
             filtered ? x->filter : "");
    const char *kept = keep_name(a->b, name);
    if (!kept) return AE_FAIL(AE_ERR_RESOURCE, "eval.tasks: out of memory");
    ae_numbers_add(a->numbers, kept, x->value);
    tell(a, x);
    return AE_OK;
}

ae_status ae_benchmarks_ask(ae_benchmarks *b, const ae_model *model, int64_t step, const atomic_int *stop,
                            ae_numbers *numbers, char *told, size_t n) {
    ae_status st;
    ae_evaluation *e = NULL;
    ae_eval_results *r = NULL;
    asking a = {.b = b, .stop = stop, .numbers = numbers, .told = told, .room = n};
    AE_TRY(open_evaluation(&e, b, model, &a));
    const int64_t requests = ae_evaluation_count(e).requests;
    ae_log("step %lld: asks %s, %lld request%s", (long long)step, b->keys->tasks, (long long)requests,
           ae_plural(requests));
    AE_TRY(ae_evaluation_run(e));
    AE_TRY(ae_eval_results_make(&r, e, (const ae_task *const *)b->tasks, b->n_tasks, NULL));
    AE_TRY(ae_eval_results_numbers(r, take, &a));
out:
    ae_evaluation_bar_end(&a.bar);
    ae_eval_results_free(r);
    ae_evaluation_delete(e);
    return st;
}

void ae_benchmarks_plan(const ae_eval_keys *keys, ae_plan_request *plan) {
    if (!keys->tasks[0]) return;
    plan->sample_answers = ae_max(plan->sample_answers, BATCH + AE_PREFIX_STATES);
    plan->sample_tokens = ae_max(plan->sample_tokens, AE_PAGE_TOKENS);
}
