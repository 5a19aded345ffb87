#include "benchmark/task.h"
#include "cli/args.h"
#include "cli/eval_verbs.h"
#include "core/json.h"
#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char usage[] = "aerie eval ls [TASK...] [--parts] [--json]\n\n"
                            "The tasks that are part of this program, a line each: few-shot examples, parts, "
                            "metrics, title. Of tasks that are\n"
                            "named (a .yaml file too) more: where their releases are, and which files below "
                            "DATA they read.";

/* A task with the leaves of its tree. */
typedef struct {
    ae_task *task;
    const ae_task **leaves;
    size_t n;
} listed;

static void listed_free(listed *l) {
    free(l->leaves);
    ae_task_free(l->task);
    *l = (listed){0};
}

static ae_status load(listed *l, const char *name) {
    ae_status st = ae_task_load(&l->task, name);
    if (st != AE_OK) return st;
    l->n = ae_task_n_leaves(l->task);
    l->leaves = calloc(l->n, sizeof *l->leaves);
    if (l->leaves == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", name);
    ae_task_leaves(l->task, l->leaves);
    return AE_OK;
}

static void metric_names(char *names, size_t n, const ae_task *leaf) {
    names[0] = '\0';
    for (size_t i = 0, used = 0; i < leaf->n_metrics && used < n; i++)
        used += (size_t)snprintf(names + used, n - used, "%s%s", i == 0 ? "" : ", ", leaf->metrics[i].name);
}

/* ---- a line each ---- */

static size_t max(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Columns of standard output; 0: it is no terminal. */
static size_t screen_columns(void) {
    struct winsize size = {0};
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

typedef struct {
    size_t name, metrics, screen;
} widths;

/* A line, cut where the screen ends. */
static void print_line(const listed *l, const widths *w) {
    char metrics[256], parts[32] = "", line[1024];
    metric_names(metrics, sizeof metrics, l->leaves[0]);
    if (l->task->n_parts > 0) snprintf(parts, sizeof parts, "%zu parts", l->n);
    snprintf(line, sizeof line, "  %-*s  %2d-shot  %8s  %-*s  %s", (int)w->name, l->task->name,
             l->leaves[0]->shots, parts, (int)w->metrics, metrics, l->task->title);
    printf("%.*s\n", w->screen > 0 ? (int)w->screen : -1, line);
}

static void print_groups(const listed *all, size_t n, bool parts) {
    widths w = {.screen = screen_columns()};
    for (size_t i = 0; i < n; i++) {
        char metrics[256];
        metric_names(metrics, sizeof metrics, all[i].leaves[0]);
        w.name = max(w.name, strlen(all[i].task->name));
        w.metrics = max(w.metrics, strlen(metrics));
    }
    for (int topic = 0; topic < AE_N_TOPICS; topic++) {
        bool any = false;
        for (size_t i = 0; i < n; i++) {
            if ((int)all[i].task->topic != topic) continue;
            if (!any) printf("%s\n", ae_task_topic_name((ae_task_topic)topic));
            any = true;
            print_line(&all[i], &w);
            for (size_t k = 0; parts && all[i].task->n_parts > 0 && k < all[i].n; k++)
                printf("    %s\n", all[i].leaves[k]->name);
        }
    }
    printf("\n`aerie eval ls TASK` says where its data are; `aerie eval validate TASK DATA` checks them.\n");
}

/* ---- all about one ---- */

static void print_names(const char *what, const json_t *names) {
    if (json_array_size(names) == 0) return;
    printf("  %-9s ", what);
    for (size_t i = 0; i < json_array_size(names); i++)
        printf("%s%s", i == 0 ? "" : ", or ", json_string_value(json_array_get(names, i)));
    printf("\n");
}

static void print_answers(const ae_task *leaf) {
    if (leaf->kind != AE_TASK_GENERATE) return;
    printf("  answers   ");
    if (leaf->temperature > 0)
        printf("%d of up to %d tokens, temperature %g, top-p %g", leaf->repeats, leaf->max_new,
               leaf->temperature, leaf->top_p);
    else
        printf("greedy, up to %d tokens", leaf->max_new);
    printf("; filters");
    for (size_t i = 0; i < leaf->n_filters; i++) printf("%s %s", i == 0 ? "" : ",", leaf->filters[i].name);
    printf("\n");
}

static ae_status print_whole(const listed *l, bool parts) {
    const ae_task *leaf = l->leaves[0];
    char metrics[256];
    json_t *rows = NULL, *examples = NULL;
    const ae_status st = ae_task_files(&rows, &examples, leaf);
    if (st != AE_OK) return st;
    metric_names(metrics, sizeof metrics, leaf);
    printf("%s, version %s%s%s\n", l->task->name, l->task->version, l->task->title[0] != '\0' ? ": " : "",
           l->task->title);
    if (l->task->source[0] != '\0') printf("  source    %s\n", l->task->source);
    printf("  kind      %s, %d-shot\n  metrics   %s\n", ae_task_kind_name(leaf->kind), leaf->shots, metrics);
    print_answers(leaf);
    if (l->task->n_parts > 0) printf("  parts     %zu, of which %s reads:\n", l->n, leaf->name);
    print_names("rows", rows);
    print_names("examples", examples);
    for (size_t i = 0; i < l->n && parts && l->task->n_parts > 0; i++) printf("    %s\n", l->leaves[i]->name);
    json_decref(rows);
    json_decref(examples);
    return AE_OK;
}

static json_t *metrics_json(const ae_task *leaf) {
    json_t *list = json_array();
    for (size_t i = 0; i < leaf->n_metrics; i++)
        json_array_append_new(list, json_string(leaf->metrics[i].name));
    return list;
}

static json_t *filters_json(const ae_task *leaf) {
    json_t *list = json_array();
    for (size_t i = 0; i < leaf->n_filters; i++)
        json_array_append_new(list, json_string(leaf->filters[i].name));
    return list;
}

static json_t *parts_json(const listed *l) {
    json_t *list = json_array();
    for (size_t i = 0; i < l->n && l->task->n_parts > 0; i++)
        json_array_append_new(list, json_string(l->leaves[i]->name));
    return list;
}

static ae_status write_json(const listed *l) {
    const ae_task *t = l->task, *leaf = l->leaves[0];
    json_t *rows = NULL, *examples = NULL;
    ae_status st = ae_task_files(&rows, &examples, leaf);
    if (st != AE_OK) return st;
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o}", "task", t->name, "topic",
                  ae_task_topic_name(t->topic), "title", t->title, "source", t->source, "version", t->version,
                  "kind", ae_task_kind_name(leaf->kind), "shots", leaf->shots, "metrics", metrics_json(leaf),
                  "filters", filters_json(leaf), "rows", rows, "examples", examples, "parts", parts_json(l));
    st = o != NULL ? ae_json_write_line(o, stdout, "standard output")
                   : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", t->name);
    json_decref(o);
    return st;
}

/* ---- the verb ---- */

static ae_status list_named(const ae_arg_list *names, bool parts, bool json) {
    ae_status st = AE_OK;
    for (size_t i = 0; i < names->n && st == AE_OK; i++) {
        listed l = {0};
        st = load(&l, names->items[i]);
        if (st == AE_OK) st = json ? write_json(&l) : print_whole(&l, parts);
        listed_free(&l);
    }
    return st;
}

static ae_status list_all(bool parts, bool json) {
    size_t n = 0;
    while (ae_task_name(n) != NULL) n++;
    listed *all = calloc(n + 1, sizeof *all);
    ae_status st = all != NULL ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "eval ls: out of memory");
    for (size_t i = 0; i < n && st == AE_OK; i++) {
        st = load(&all[i], ae_task_name(i));
        if (st == AE_OK && json) st = write_json(&all[i]);
    }
    if (st == AE_OK && !json) print_groups(all, n, parts);
    for (size_t i = 0; i < n && all != NULL; i++) listed_free(&all[i]);
    free(all);
    return st;
}

ae_status ae_verb_eval_ls(int argc, char **argv) {
    ae_arg_list names = {0};
    bool parts = false, json = false, help = false;
    const ae_arg table[] = {
        {.name = "parts", .type = AE_ARG_FLAG, .to = &parts, .help = "the parts of each task too"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &json, .help = "one JSON object for each task"},
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &names, &help);
    if (st == AE_OK && help)
        ae_args_help(usage, table, n, stdout);
    else if (st == AE_OK)
        st = names.n > 0 ? list_named(&names, parts, json) : list_all(parts, json);
    ae_arg_list_free(&names);
    return st;
}
