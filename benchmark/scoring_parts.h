#ifndef AE_BENCHMARK_SCORING_PARTS_H
#define AE_BENCHMARK_SCORING_PARTS_H
#include "benchmark/scoring.h"

/* Between the files of scoring only. */

enum { AE_TOXICITY_COLUMNS = 4, AE_RECALL_COLUMNS = 3 };

/* An answer as a program that waits to be run, and the first of the columns of `metric` that it counts for. */
typedef struct {
    char *text;
    ptrdiff_t document;
    const ae_metric *metric;
    size_t column;
} ae_program;

struct ae_scoring {
    const ae_task *leaf;
    const ae_task_documents *documents;
    const ae_judges *judges;
    ptrdiff_t n; /* documents */
    ae_column *columns;
    size_t n_columns;
    ae_filter_chain **chains; /* [n_filters] */
    ae_pattern **ignored;     /* of all metrics, one after the other */
    ae_program *programs;
    size_t n_programs, room;
};

/* The values of document d for a metric, in the columns from *at on, which moves behind them. */
ae_status ae_scoring_choices(ae_scoring *s, const ae_metric *m, size_t *at, ptrdiff_t d, const ae_request *r,
                             const ae_outcome *o);
/* Of all metrics after filter f. Programs wait for ae_scoring_finish. */
ae_status ae_scoring_answers(ae_scoring *s, size_t f, size_t *at, ptrdiff_t d, const ae_request *r,
                             const ae_outcome *o);

#endif
