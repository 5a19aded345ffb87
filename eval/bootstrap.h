#ifndef AE_EVAL_BOOTSTRAP_H
#define AE_EVAL_BOOTSTRAP_H
#include "core/status.h"

#include <stddef.h>

/* Intervals by the bootstrap (Efron 1979): a statistic is computed again over units that are drawn with replacement,
 * and the middle 95 % of what comes out is its interval. Units are prompts, each answered in one run or in several
 * (seeds). Runs are drawn with replacement too, and every run that is drawn has the same prompts. */

enum { AE_BOOTSTRAP_RESAMPLES = 2000 };

typedef struct {
    double value;     /* of the units as they are */
    double low, high; /* percentiles 2.5 and 97.5 of the resamples in which it is finite; NaN: in none */
} ae_estimate;

typedef struct {
    const ptrdiff_t *units, *runs; /* numbers of those that were drawn, with repetitions */
    ptrdiff_t n_units, n_runs;
} ae_resample;

/* All statistics of a resample. */
typedef void ae_statistics_fn(double *out, const ae_resample *r, const void *data);

typedef struct {
    ptrdiff_t units, runs; /* at least 1 of each */
    size_t statistics;
    ae_statistics_fn *of;
    const void *data;
    double *below; /* [statistics]: share of the resamples below 0, those at 0 count half; NULL: not wanted */
} ae_bootstrap_job;

/* [statistics] estimates, the same at every call. AE_ERR_RESOURCE without memory. */
ae_status ae_bootstrap(ae_estimate *out, const ae_bootstrap_job *job);

#endif
