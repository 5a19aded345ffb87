#include "benchmark/compare.h"
#include "cli/args.h"
#include "cli/eval_verbs.h"

#include <math.h>
#include <string.h>

static const char usage[] =
    "aerie eval compare A B [--task TASK] [--json]\n\n"
    "Two models on the same rows: for each metric of each task that both folders of results have, how far B "
    "is from "
    "A, with its 95 % interval by the paired bootstrap over rows and p, the chance of a difference as far "
    "from 0 if "
    "there were none. Both evaluations need --log-samples. Folders of lm-eval (--log_samples) do too.";

static json_t *row_json(const ae_comparison_row *r) {
    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "task", r->task,
                     "metric", r->metric, "filter", r->filter, "group", (int)r->is_group, "higher_is_better",
                     (int)r->higher_is_better, "rows", (json_int_t)r->rows, "a", ae_json_number(r->a), "b",
                     ae_json_number(r->b), "difference", ae_json_number(r->difference.value), "low",
                     ae_json_number(r->difference.low), "high", ae_json_number(r->difference.high), "p",
                     ae_json_number(r->p));
}

static bool is_wanted(const ae_comparison_row *r, const char *task) {
    return !task || strcmp(r->task, task) == 0;
}

static ae_status print_json(const ae_comparison *c, const ae_result_folder f[2], const char *task) {
    json_t *rows = json_array();
    for (size_t i = 0; i < c->n; i++)
        if (is_wanted(&c->items[i], task)) json_array_append_new(rows, row_json(&c->items[i]));
    json_t *all = json_pack("{s:s, s:s, s:o, s:i, s:f}", "a", f[0].folder, "b", f[1].folder, "rows", rows,
                            "resamples", AE_BOOTSTRAP_RESAMPLES, "interval", 0.95);
    const ae_status st = all ? ae_json_write_line(all, stdout, "standard output")
                             : AE_FAIL(AE_ERR_RESOURCE, "eval compare: out of memory");
    json_decref(all);
    return st;
}

static void print_table(const ae_comparison *c, const ae_result_folder f[2], const char *task) {
    int width = 4;
    for (size_t i = 0; i < c->n; i++)
        if (is_wanted(&c->items[i], task)) width = (int)fmax(width, (double)strlen(c->items[i].task));
    printf("%-*s %-18s %-16s %6s %9s %9s %10s  %-21s %6s\n", width, "task", "metric", "filter", "rows", "A",
           "B", "B - A", "95 % interval", "p");
    for (size_t i = 0; i < c->n; i++) {
        const ae_comparison_row *r = &c->items[i];
        char interval[64];
        if (!is_wanted(r, task)) continue;
        snprintf(interval, sizeof interval, "[%+.4f, %+.4f]", r->difference.low, r->difference.high);
        printf("%-*s %-18s %-16s %6td %9.4f %9.4f %+10.4f  %-21s %6.3f\n", width, r->task, r->metric,
               r->filter, r->rows, r->a, r->b, r->difference.value, interval, r->p);
    }
    printf("\nA: %s\nB: %s\nPaired bootstrap over rows, %d resamples; a difference above 0 means that B has "
           "the higher "
           "number.\n",
           f[0].folder, f[1].folder, AE_BOOTSTRAP_RESAMPLES);
}

static ae_status check_task(const ae_comparison *c, const char *task) {
    for (size_t i = 0; i < c->n; i++)
        if (is_wanted(&c->items[i], task)) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "--task: expected a task of both folders, found '%s'", task);
}

static ae_status compare(const ae_arg_list *folders, const char *task, bool json) {
    ae_result_folder f[2] = {0};
    ae_comparison c = {0};
    ae_status st;
    if (folders->n != 2)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "eval compare: expected two folders of results, found %zu", folders->n));
    for (int i = 0; i < 2; i++) AE_TRY(ae_result_folder_open(&f[i], folders->items[i]));
    AE_TRY(ae_compare(&c, &f[0], &f[1]));
    if (task) AE_TRY(check_task(&c, task));
    if (json)
        AE_TRY(print_json(&c, f, task));
    else
        print_table(&c, f, task);
out:
    ae_comparison_free(&c);
    for (int i = 0; i < 2; i++) ae_result_folder_close(&f[i]);
    return st;
}

ae_status ae_verb_eval_compare(int argc, char **argv) {
    ae_arg_list folders = {0};
    const char *task = NULL;
    bool json = false, help = false;
    const ae_arg table[] = {
        {.name = "task",
         .type = AE_ARG_TEXT,
         .to = &task,
         .value = "TASK",
         .help = "this task or group only"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &json, .help = "one JSON object"},
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &folders, &help);
    if (st == AE_OK && help)
        ae_args_help(usage, table, n, stdout);
    else if (st == AE_OK)
        st = compare(&folders, task, json);
    ae_arg_list_free(&folders);
    return st;
}
