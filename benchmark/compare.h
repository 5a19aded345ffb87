#ifndef AE_BENCHMARK_COMPARE_H
#define AE_BENCHMARK_COMPARE_H
#include "benchmark/result_folder.h"
#include "eval/bootstrap.h"

/* Two evaluations of the same rows, pair by pair. For each metric of each task that both have,
 *
 *   difference = metric(B) - metric(A)
 *
 * over all rows, its 95 % interval by the paired bootstrap over rows (eval/bootstrap.h), and p, the chance of a
 * difference as far from 0 if there were none: twice the smaller share of resamples on one side of 0. Rows that are
 * hard for both models move both metrics, so the interval is narrower than two standard errors suggest. A group's rows
 * are those of its leaves; one whose number they do not make is left out, with a warning. */
typedef struct {
    char *task, *metric, *filter;
    bool is_group;
    bool higher_is_better;
    ptrdiff_t rows;
    double a, b;
    ae_estimate difference;
    double p;
} ae_comparison_row;

typedef struct {
    ae_comparison_row *items; /* [n], in the order of A's results */
    size_t n, room;
} ae_comparison;

/* AE_ERR_INPUT: no task that both have, no samples (--log-samples), samples of other rows. */
ae_status ae_compare(ae_comparison *c, const ae_result_folder *a, const ae_result_folder *b);
void ae_comparison_free(ae_comparison *c);

#endif
