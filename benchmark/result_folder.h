#ifndef AE_BENCHMARK_RESULT_FOLDER_H
#define AE_BENCHMARK_RESULT_FOLDER_H
#include "core/json.h"

#include <stdbool.h>
#include <stddef.h>

/* A folder of results read back: as `aerie eval` writes it (benchmark/results.h), or lm-eval with --log_samples
 * (results_DATE.json and samples_TASK_DATE.jsonl, of which the last ones count). */
typedef struct {
    char *folder;
    char *path;   /* of the results */
    json_t *root; /* what they hold */
} ae_result_folder;

/* Whether it holds results, or those of an evaluation that is not done. */
bool ae_result_folder_is(const char *folder);

/* AE_ERR_INPUT: no results there, or what is no such file. */
ae_status ae_result_folder_open(ae_result_folder *f, const char *folder);
void ae_result_folder_close(ae_result_folder *f);

/* The last part of its name. */
const char *ae_result_folder_name(const ae_result_folder *f);

/* The samples of a leaf, line by line, with "FILE:LINE". *found is whether there are any: they are written on demand. */
ae_status ae_result_folder_samples(const ae_result_folder *f, const char *task, bool *found,
                                   ae_status (*line)(void *context, const json_t *line, const char *where),
                                   void *context);

/* Leaves that a group has, also below groups of its own: a new list of names, the caller drops it. NULL: no memory. */
json_t *ae_result_folder_leaves(const ae_result_folder *f, const char *group);

#endif
