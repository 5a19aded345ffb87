#include "benchmark/task.h"
#include "cli/args.h"
#include "cli/eval_verbs.h"
#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "aerie eval ls [TASK...] [--parts] [--json]\n\n"
                            "The tasks that are part of this program, or those that are named: kind, "
                            "few-shot examples, parts, metrics.\n"
                            "Their data are not part of it: docs/tasks.md says where the releases are and "
                            "what their files are called.";

/* Metrics of a leaf, with commas. */
static void metric_names(char *names, size_t n, const ae_task *leaf) {
    names[0] = '\0';
    for (size_t i = 0, used = 0; i < leaf->n_metrics && used < n; i++)
        used += (size_t)snprintf(names + used, n - used, "%s%s", i == 0 ? "" : ",", leaf->metrics[i].name);
}

static json_t *names_json(const ae_task *leaf) {
    json_t *list = json_array();
    for (size_t i = 0; i < leaf->n_metrics; i++)
        json_array_append_new(list, json_string(leaf->metrics[i].name));
    return list;
}

static ae_status print_json(const ae_task *task, const ae_task **leaves, size_t n) {
    json_t *parts = json_array();
    for (size_t i = 0; i < n && task->n_parts > 0; i++)
        json_array_append_new(parts, json_string(leaves[i]->name));
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:o}", "task", task->name, "title",
                          task->title, "source", task->source, "version", task->version, "kind",
                          ae_task_kind_name(leaves[0]->kind), "shots", leaves[0]->shots, "metrics",
                          names_json(leaves[0]), "parts", parts);
    const ae_status st = o != NULL ? ae_json_write_line(o, stdout, "standard output")
                                   : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", task->name);
    json_decref(o);
    return st;
}

static void print_line(const ae_task *task, const ae_task **leaves, size_t n, bool all) {
    char metrics[256], parts[32] = "";
    metric_names(metrics, sizeof metrics, leaves[0]);
    if (task->n_parts > 0) snprintf(parts, sizeof parts, "%zu", n);
    printf("%-24s %-8s %5d %5s  %-28s %s\n", task->name, ae_task_kind_name(leaves[0]->kind), leaves[0]->shots,
           parts, metrics, task->title);
    for (size_t i = 0; i < n && all && task->n_parts > 0; i++) printf("  %s\n", leaves[i]->name);
}

static ae_status list_task(const char *name, bool all, bool json) {
    ae_task *task = NULL;
    ae_status st = ae_task_load(&task, name);
    if (st != AE_OK) return st;
    const size_t n = ae_task_n_leaves(task);
    const ae_task **leaves = calloc(n, sizeof *leaves);
    if (leaves == NULL) {
        st = AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", name);
    } else {
        ae_task_leaves(task, leaves);
        if (json)
            st = print_json(task, leaves, n);
        else
            print_line(task, leaves, n, all);
    }
    free(leaves);
    ae_task_free(task);
    return st;
}

static ae_status list(const ae_arg_list *names, bool all, bool json) {
    ae_status st = AE_OK;
    if (!json) printf("%-24s %-8s %5s %5s  %-28s %s\n", "task", "kind", "shots", "parts", "metrics", "title");
    for (size_t i = 0; i < names->n && st == AE_OK; i++) st = list_task(names->items[i], all, json);
    for (size_t i = 0; names->n == 0 && ae_task_name(i) != NULL && st == AE_OK; i++)
        st = list_task(ae_task_name(i), all, json);
    return st;
}

ae_status ae_verb_eval_ls(int argc, char **argv) {
    ae_arg_list names = {0};
    bool all = false, json = false, help = false;
    const ae_arg table[] = {
        {.name = "parts", .type = AE_ARG_FLAG, .to = &all, .help = "the parts of each task too"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &json, .help = "one JSON object for each task"},
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &names, &help);
    if (st == AE_OK && help)
        ae_args_help(usage, table, n, stdout);
    else if (st == AE_OK)
        st = list(&names, all, json);
    ae_arg_list_free(&names);
    return st;
}
