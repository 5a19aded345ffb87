#include "cli/args.h"
#include "cli/plot_eval.h"
#include "cli/plot_frontier.h"
#include "cli/results.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

enum { RUNS_MAX = 64 };

static const char usage[] =
    "aerie plot RUN [RUN ...] [--output F.png|F.svg|F.html] [--force]\n"
    "aerie plot RUN [RUN ...] --table|--json\n"
    "aerie plot RESULTS [RESULTS ...] [--output F.png|F.svg|F.html] [--force]\n"
    "aerie plot --bench FILE.json [FILE.json ...] --output F.png|F.svg [--force]\n\n"
    "Loss, gradient norm, learning rate and speed of training runs, drawn by "
    "gnuplot; of a folder of several reward models, of its members. The HTML report "
    "needs no other file and adds\n"
    "the last figures, the configuration and samples; of the runs of a pipeline it has a section "
    "for each stage and compares the methods of rlhf. A picture of several runs of rlhf "
    "is their held-out reward against the divergence. Without --output the report of "
    "one run is RUN/report.html, made anew. --table and --json print the comparison. Folders of "
    "results of aerie eval make a page of their own: tasks by model with intervals, paired differences, "
    "samples. "
    "With --bench: results of aerie bench train|decode --profile --json, side by side, or one of aerie bench "
    "throughput --json.";

typedef enum { REPORT, PNG, SVG } form;

static ae_status form_of(const char *path, form *out) {
    static const char *const ends[] = {[REPORT] = ".html", [PNG] = ".png", [SVG] = ".svg"};
    const char *dot = strrchr(path, '.');
    for (form k = REPORT; dot && k <= SVG; k++)
        if (strcmp(dot, ends[k]) == 0) {
            *out = k;
            return AE_OK;
        }
    return AE_FAIL(AE_ERR_USAGE, "--output: expected a name that ends in .html, .png or .svg, found '%s'",
                   path);
}

/* Several runs, all of rlhf, that were evaluated. */
static bool are_compared(const ae_run_curves *runs, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (runs[i].stage.kind != AE_STAGE_RLHF) return false;
    return n > 1 && ae_plot_has_frontier(runs, n);
}

static ae_status draw_frontier(const ae_run_curves *runs, size_t n, ae_picture_kind kind, char **bytes,
                               size_t *n_bytes) {
    ae_method_table t;
    ae_status st = ae_method_table_make(&t, runs, n);
    if (st != AE_OK) return st;
    st = ae_plot_frontier(runs, n, &t, kind, bytes, n_bytes);
    ae_method_table_free(&t);
    return st;
}

static ae_status draw(const ae_run_curves *runs, size_t n, form kind, char **bytes, size_t *n_bytes) {
    const ae_picture_kind picture = kind == PNG ? AE_PICTURE_PNG : AE_PICTURE_SVG;
    if (kind == REPORT) return ae_plot_report(runs, n, bytes, n_bytes);
    if (are_compared(runs, n)) return draw_frontier(runs, n, picture, bytes, n_bytes);
    return ae_plot_draw(runs, n, picture, bytes, n_bytes);
}

/* The runs that the folders are or, of several reward models and of WARP, have as members; owned. */
typedef struct {
    char *items[RUNS_MAX];
    size_t n, asked; /* asked: more than there is room for where it is above RUNS_MAX */
} run_list;

static void add_run(run_list *l, char *folder) {
    if (l->n < RUNS_MAX)
        l->items[l->n++] = folder;
    else
        free(folder);
    l->asked++;
}

/* FOLDER/members/1, 2, ... as far as there are any. */
static void add_members(run_list *l, const char *folder) {
    char name[32], *member;
    for (int k = 1; snprintf(name, sizeof name, "members/%d", k) > 0 && ae_path_has(folder, name); k++) {
        member = ae_path_join(folder, name);
        if (ae_path_has(member, "metrics.jsonl"))
            add_run(l, member);
        else
            free(member);
    }
}

/* FOLDER/round-1/member-1, ... of WARP, after the folder itself where it has a frontier. */
static void add_rounds(run_list *l, const char *folder) {
    char name[64];
    if (ae_path_has(folder, "warp.json")) add_run(l, ae_path_join("", folder));
    for (int r = 1, m = 1; m > 0; r++) {
        for (m = 1; snprintf(name, sizeof name, "round-%d/member-%d", r, m) > 0 && ae_path_has(folder, name);
             m++) {
            char *member = ae_path_join(folder, name);
            if (ae_path_has(member, "metrics.jsonl"))
                add_run(l, member);
            else
                free(member);
        }
        m--; /* a round without members is the end */
    }
}

static void list_runs(run_list *l, const ae_arg_list *folders) {
    for (size_t i = 0; i < folders->n; i++) {
        const size_t before = l->asked;
        if (!ae_path_has(folders->items[i], "metrics.jsonl")) {
            add_members(l, folders->items[i]);
            add_rounds(l, folders->items[i]);
        }
        if (l->asked == before) add_run(l, ae_path_join("", folders->items[i]));
    }
}

static void free_runs(run_list *l) {
    for (size_t i = 0; i < l->n; i++) free(l->items[i]);
}

static ae_status plot(const run_list *folders, const char *path, bool force) {
    ae_run_curves runs[RUNS_MAX];
    ae_results out = {0};
    form kind = REPORT;
    char *bytes = NULL;
    size_t n = 0, n_bytes = 0;
    ae_status st;
    AE_TRY(form_of(path, &kind));
    for (; n < folders->n; n++) AE_TRY(ae_run_curves_read(&runs[n], folders->items[n]));
    AE_TRY(ae_results_open(&out, path, force));
    AE_TRY(draw(runs, n, kind, &bytes, &n_bytes));
    if (fwrite(bytes, 1, n_bytes, out.file) != n_bytes) st = ae_output_failed(path);
out:
    st = ae_results_close(&out, st);
    while (n > 0) ae_run_curves_free(&runs[--n]);
    free(bytes);
    return st;
}

/* ---- evaluations ---- */

static ae_status draw_eval(const ae_eval_table *t, form kind, char **bytes, size_t *n_bytes) {
    if (kind == REPORT) return ae_plot_eval_page(t, bytes, n_bytes);
    return ae_plot_eval_draw(t, kind == PNG ? AE_PICTURE_PNG : AE_PICTURE_SVG, bytes, n_bytes);
}

static ae_status plot_eval(const run_list *list, const char *path, bool force) {
    ae_result_folder folders[RUNS_MAX] = {0};
    ae_eval_table table = {0};
    ae_results out = {0};
    form kind = REPORT;
    char *bytes = NULL;
    size_t n = 0, n_bytes = 0;
    ae_status st;
    AE_TRY(form_of(path, &kind));
    for (; n < list->n; n++) AE_TRY(ae_result_folder_open(&folders[n], list->items[n]));
    AE_TRY(ae_eval_table_make(&table, folders, n));
    AE_TRY(ae_results_open(&out, path, force));
    AE_TRY(draw_eval(&table, kind, &bytes, &n_bytes));
    if (fwrite(bytes, 1, n_bytes, out.file) != n_bytes) st = ae_output_failed(path);
out:
    st = ae_results_close(&out, st);
    ae_eval_table_free(&table);
    for (size_t i = 0; i < n; i++) ae_result_folder_close(&folders[i]);
    free(bytes);
    return st;
}

/* Whether all are results of aerie eval; AE_ERR_USAGE where some are. */
static ae_status are_evaluations(bool *are, const run_list *list) {
    size_t n = 0, other = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (ae_result_folder_is(list->items[i]))
            n++;
        else
            other = i;
    }
    *are = n == list->n && n > 0;
    if (n == 0 || *are) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "plot: expected folders of one kind, runs or results of aerie eval; '%s' has no "
                   "results, others have",
                   list->items[other]);
}

/* ---- the comparison as text ---- */

static ae_status print_json(const ae_method_table *t, const ae_run_curves *runs) {
    json_t *table = ae_method_table_json(t, runs);
    const ae_status st = table ? ae_json_write_line(table, stdout, "standard output")
                               : AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory");
    json_decref(table);
    return st;
}

static ae_status compare(const run_list *folders, bool as_json) {
    ae_run_curves runs[RUNS_MAX] = {0};
    ae_method_table table = {0};
    size_t n = 0;
    ae_status st = AE_OK;
    for (; n < folders->n; n++) AE_TRY(ae_run_curves_read(&runs[n], folders->items[n]));
    AE_TRY(ae_method_table_make(&table, runs, n));
    if (table.n == 0) AE_TRY(AE_FAIL(AE_ERR_USAGE, "plot: expected runs of rlhf to compare, found none"));
    if (as_json)
        AE_TRY(print_json(&table, runs));
    else
        ae_method_table_print(stdout, &table);
out:
    ae_method_table_free(&table);
    while (n > 0) ae_run_curves_free(&runs[--n]);
    return st;
}

/* ---- benchmarks ---- */

static ae_status plot_bench(const ae_arg_list *files, const char *path, bool force) {
    ae_results out = {0};
    form kind = REPORT;
    char *bytes = NULL;
    size_t n_bytes = 0;
    ae_status st;
    if (!path) AE_TRY(AE_FAIL(AE_ERR_USAGE, "--output is missing: a picture of benchmarks needs a name"));
    AE_TRY(form_of(path, &kind));
    if (kind == REPORT)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "--output: expected .png or .svg with --bench, found '%s'", path));
    AE_TRY(ae_results_open(&out, path, force));
    AE_TRY(ae_plot_bench((const char *const *)files->items, files->n,
                         kind == PNG ? AE_PICTURE_PNG : AE_PICTURE_SVG, &bytes, &n_bytes));
    if (fwrite(bytes, 1, n_bytes, out.file) != n_bytes) st = ae_output_failed(path);
out:
    st = ae_results_close(&out, st);
    free(bytes);
    return st;
}

/* ---- the verb ---- */

typedef struct {
    const char *output;
    bool force, bench, table, json;
} flags;

static ae_status check_folders(const ae_arg_list *folders, const run_list *runs, const flags *k) {
    if (runs->asked < 1 || runs->asked > RUNS_MAX)
        return AE_FAIL(AE_ERR_USAGE, "plot: expected 1 to %d folders of runs, found %zu", RUNS_MAX,
                       runs->asked);
    if ((k->table || k->json) && k->output)
        return AE_FAIL(AE_ERR_USAGE, "--output: expected no file with --table or --json, found '%s'",
                       k->output);
    if (folders->n > 1 && !k->output && !k->table && !k->json)
        return AE_FAIL(AE_ERR_USAGE, "--output is missing: a report of several runs needs a name");
    return AE_OK;
}

static ae_status plot_to(const ae_arg_list *folders, const run_list *runs, const flags *k) {
    char *path = k->output ? strdup(k->output) : ae_path_join(folders->items[0], "report.html");
    const bool force = k->force || !k->output;
    bool are_eval = false;
    ae_status st = are_evaluations(&are_eval, runs);
    if (st == AE_OK) st = are_eval ? plot_eval(runs, path, force) : plot(runs, path, force);
    if (st == AE_OK) ae_log("%s", path);
    free(path);
    return st;
}

static ae_status plot_runs(const ae_arg_list *folders, const flags *k) {
    run_list runs = {0};
    list_runs(&runs, folders);
    ae_status st = check_folders(folders, &runs, k);
    if (st == AE_OK) st = k->table || k->json ? compare(&runs, k->json) : plot_to(folders, &runs, k);
    free_runs(&runs);
    return st;
}

ae_status ae_verb_plot(int argc, char **argv) {
    flags k = {0};
    bool help = false;
    ae_arg_list folders = {0};
    const ae_arg table[] = {
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &k.output,
         .value = "F",
         .fallback = "RUN/report.html",
         .help = "a picture (.png, .svg) or the report (.html)"},
        {.name = "table",
         .type = AE_ARG_FLAG,
         .to = &k.table,
         .help = "print the methods of rlhf side by side"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &k.json, .help = "the same as one line of JSON"},
        {.name = "bench", .type = AE_ARG_FLAG, .to = &k.bench, .help = "draw results of benchmarks"},
        {.name = "force", .type = AE_ARG_FLAG, .to = &k.force, .help = "replace an output that exists"},
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &folders, &help);
    if (st == AE_OK && help) {
        ae_args_help(usage, table, n, stdout);
    } else if (st == AE_OK && k.bench) {
        st = plot_bench(&folders, k.output, k.force);
        if (st == AE_OK) ae_log("%s", k.output);
    } else if (st == AE_OK) {
        st = plot_runs(&folders, &k);
    }
    ae_arg_list_free(&folders);
    return st;
}
