#ifndef AE_BENCHMARK_RESULTS_H
#define AE_BENCHMARK_RESULTS_H
#include "benchmark/run.h"

#include <stdio.h>

/* What an evaluation came to: metrics of leaves and groups, a table of them, and files in the layout of lm-eval 0.4.13
 * (`results.json`, `samples_TASK.jsonl`), whose readers open them. */
typedef struct ae_eval_results ae_eval_results;

/* From an evaluation that has been run; `tasks` [n] as it was opened with. Borrows all of it. */
ae_status ae_eval_results_make(ae_eval_results **r, const ae_evaluation *e, const ae_task *const *tasks,
                               size_t n, const ae_judges *judges);
void ae_eval_results_free(ae_eval_results *r);

/* What results.json says beside the numbers. */
typedef struct {
    const char *model;         /* path, as it was given */
    const char *dtype;         /* of the weights */
    const char *chat_template; /* NULL: none */
    int64_t parameters;
    bool bos;                           /* contexts begin with <bos> */
    ptrdiff_t max_length, batch, limit; /* 0, 0, -1: none was given */
    uint32_t seed;
    double date, seconds; /* when it began (Unix time), how long it took */
    const json_t *more;   /* members of "aerie", beside what stands there */
} ae_eval_facts;

/* FOLDER/results.json; with `samples` FOLDER/samples_TASK.jsonl too. */
ae_status ae_eval_results_write(const ae_eval_results *r, const ae_eval_facts *facts, const char *folder,
                                bool samples);

/* A line for each metric: task, version, filter, shots, metric, value, standard error; groups before their parts. */
ae_status ae_eval_results_table(const ae_eval_results *r, FILE *out);

/* A number of a task that was asked for; its parts have none here. */
typedef struct {
    const char *task, *metric, *filter; /* filter "none": there is none */
    double value, stderr_;              /* NaN: none */
} ae_eval_number;

/* Calls `take` for each, in order, until it returns another status than AE_OK, which ends it. */
ae_status ae_eval_results_numbers(const ae_eval_results *r,
                                  ae_status (*take)(void *context, const ae_eval_number *number),
                                  void *context);

#endif
