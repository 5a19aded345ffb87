#ifndef AE_BENCHMARK_TASK_PARTS_H
#define AE_BENCHMARK_TASK_PARTS_H
#include "benchmark/rows.h"
#include "benchmark/task.h"
#include "benchmark/template.h"

/* Between the files of this folder only: what a leaf says about its rows and texts. */

/* Where rows are. */
typedef struct {
    ae_template **files; /* one after another is tried; a name may hold * and ? */
    size_t n_files;
    ae_rows_form form;
    char *key;
    json_t *columns, *flatten;
    ae_template
        *labels; /* a file, or a list of names to try; its values become `label_field` of rows that lack it */
    char *label_field;
    ae_template *where; /* rows for which it is true */
} ae_task_source;

typedef enum { AE_SHOTS_FIRST, AE_SHOTS_DRAWN } ae_shots_pick;

struct ae_task_text {
    ae_task_source rows, shots; /* shots.files is NULL where examples are given or taken from the rows */
    ae_let *lets, *facts;
    size_t n_lets, n_facts;
    /* Each NULL where the task has none. */
    ae_template *description, *prompt, *choices, *contexts, *continuation, *gold, *answer, *text, *program,
        *by;
    ae_template *shot_prompt, *shot_answer; /* in place of prompt and answer in examples */
    json_t *examples;                       /* rows in the task file */
    ae_shots_pick pick;
    bool leave_out_self; /* one example more is drawn, and the document itself is left out */
};

/* Typed values of a task file's object `o`; `at` is "FILE: section." and names the key in messages. A missing key leaves
 * *out as it was. AE_ERR_USAGE. */
ae_status ae_task_key_text(char **out, const json_t *o, const char *key, const char *at);
ae_status ae_task_key_int(int *out, const json_t *o, const char *key, int min, int max, const char *at);
ae_status ae_task_key_real(double *out, const json_t *o, const char *key, double min, double max,
                           const char *at);
ae_status ae_task_key_bool(bool *out, const json_t *o, const char *key, const char *at);
ae_status ae_task_key_template(ae_template **out, const json_t *o, const char *key, const char *at);
/* A text or a list of texts. */
ae_status ae_task_key_texts(char ***out, size_t *n, const json_t *o, const char *key, const char *at);
ae_status ae_task_key_list(json_t **out, const json_t *o, const char *key, const char *at);
/* The place in `words` of the word `v`, the value of `key`, or of `at` itself where that is ""; `what` names what it
 * is. */
ae_status ae_task_word(int *out, const json_t *v, const char *const *words, size_t n, const char *key,
                       const char *what, const char *at);
/* Refuses what is no map, and keys that are not among `keys`, which end with NULL. */
ae_status ae_task_keys_check(const json_t *o, const char *const *keys, const char *at);

ae_status ae_task_read_metrics(ae_task *task, const json_t *o, const char *at);
ae_status ae_task_read_filters(ae_task *task, const json_t *o, const char *at);
ae_status ae_task_source_read(ae_task_source *s, const json_t *o, const char *at);
ae_status ae_task_lets_read(ae_let **lets, size_t *n, const json_t *o, const char *key, const char *at);
/* The leaf's texts, and whether it has all that its kind and metrics need. */
ae_status ae_task_text_read(ae_task *task, const json_t *o, const char *at);
void ae_task_text_free(struct ae_task_text *t);

/* The tasks/NAME.yaml that the build put into the program. */
typedef struct {
    const char *name;
    const char *text;
    size_t n;
} ae_builtin_task;
extern const ae_builtin_task ae_builtin_tasks[];
extern const size_t ae_n_builtin_tasks;

#endif
