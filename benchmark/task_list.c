#include "benchmark/task.h"

#include <stdlib.h>
#include <string.h>

/* The task itself or one of its parts; NULL: none of that name. */
static const ae_task *find(const ae_task *t, const char *name) {
    const ae_task *found = strcmp(t->name, name) == 0 ? t : NULL;
    for (size_t i = 0; i < t->n_parts && !found; i++) found = find(t->parts[i], name);
    return found;
}

/* Whether a task and its parts have names of their own, but for a part that is named beside its whole. */
static ae_status check_apart(const ae_task *other, const ae_task *t, const char *flag) {
    const ae_task *same = find(other, t->name);
    if (same && strcmp(same->file, t->file) != 0)
        return AE_FAIL(AE_ERR_USAGE, "%s: expected tasks with names of their own, found %s in %s and in %s",
                       flag, t->name, same->file, t->file);
    for (size_t i = 0; i < t->n_parts; i++) {
        const ae_status st = check_apart(other, t->parts[i], flag);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

/* Results are called after tasks, so the last of n must not be there before. */
static ae_status check_new(ae_task *const *tasks, size_t n, const char *flag) {
    const ae_task *t = tasks[n - 1];
    ae_status st = AE_OK;
    for (size_t i = 0; i + 1 < n && st == AE_OK; i++)
        st = strcmp(tasks[i]->name, t->name) != 0
                 ? check_apart(tasks[i], t, flag)
                 : AE_FAIL(AE_ERR_USAGE, "%s: expected each task once, found %s twice", flag, t->name);
    return st;
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
