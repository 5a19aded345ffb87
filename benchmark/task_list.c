#include "benchmark/task.h"

#include <stdlib.h>
#include <string.h>

/* Whether the last of n tasks has a name of its own, since results are called after it. */
static ae_status check_new(ae_task *const *tasks, size_t n, const char *flag) {
    for (size_t i = 0; i + 1 < n; i++)
        if (strcmp(tasks[i]->name, tasks[n - 1]->name) == 0)
            return AE_FAIL(AE_ERR_USAGE, "%s: expected each task once, found %s twice", flag, tasks[i]->name);
    return AE_OK;
}

ae_status ae_task_load_all(ae_task ***tasks, size_t *n, const char *names, const char *flag) {
    char *copy = strdup(names), *rest = copy, *name;
    size_t room = 1;
    for (const char *c = names; *c; c++) room += *c == ',';
    *n = 0;
    *tasks = calloc(room, sizeof **tasks);
    ae_status st = copy && *tasks ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", flag);
    while (st == AE_OK && (name = strsep(&rest, ",")) != NULL) {
        if (!*name) continue;
        st = ae_task_load(*tasks + *n, name);
        if (st == AE_OK) (*n)++;
        if (st == AE_OK) st = check_new(*tasks, *n, flag);
    }
    free(copy);
    if (st == AE_OK && *n == 0)
        return AE_FAIL(AE_ERR_USAGE, "%s: expected names, found none; `aerie eval ls` lists them", flag);
    return st;
}

void ae_task_free_all(ae_task **tasks, size_t n) {
    for (size_t i = 0; i < n; i++) ae_task_free(tasks[i]);
    free(tasks);
}
