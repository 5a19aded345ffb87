#ifndef AE_BENCHMARK_RESULTS_PARTS_H
#define AE_BENCHMARK_RESULTS_PARTS_H
#include "benchmark/results.h"

/* Between the files of results only. */

typedef struct {
    const char *name, *filter; /* of a column */
    double value, stderr_;     /* NaN: none */
    bool higher_is_better;
    ptrdiff_t documents;
} ae_result;

/* A leaf or a group. */
typedef struct {
    const ae_task *task;
    int depth;   /* of groups above it */
    size_t leaf; /* of a leaf: its number in the evaluation */
    ptrdiff_t documents;
    int shots;        /* -1: parts differ */
    ae_result *items; /* [n] */
    size_t n;
} ae_result_entry;

struct ae_eval_results {
    const ae_evaluation *evaluation;
    ae_scoring **scorings; /* [n_leaves] */
    char ***groups;        /* [n_leaves][documents]: the group of each */
    ae_result_entry *entries;
    size_t n_entries, room;
};

/* `name,filter` or `name_stderr,filter`. */
void ae_result_key(char *out, size_t n, const char *name, const char *filter, bool of_stderr);
enum { AE_RESULT_KEY = 256 };

/* Distinct groups of a leaf in order of appearance; the caller frees the list. */
ae_status ae_result_groups(const char ***names, size_t *n, const ae_eval_results *r, size_t leaf);
/* Its documents of one of them; the caller frees the list. */
ae_status ae_result_documents(ptrdiff_t **which, ptrdiff_t *n, const ae_eval_results *r, size_t leaf,
                              const char *group);

/* How a task's answers are written, as lm-eval calls it: "until", "max_gen_toks", .. */
json_t *ae_result_generation(const ae_task *t);

/* FOLDER/samples_TASK.jsonl of one leaf; *hash is what lm-eval calls the hash of the task. */
ae_status ae_result_samples(const ae_eval_results *r, size_t leaf, const char *folder, char hash[65]);

/* SHA-256 of a text, in hexadecimal digits. */
void ae_sha256(char out[65], const char *text);

#endif
