#include "core/rng.h"
#include "eval/bootstrap.h"

#include <criterion/criterion.h>
#include <math.h>

/* Values of units in runs; statistics: their mean and, over all pairs, that of twice the value less itself. */
typedef struct {
    const double *values; /* [runs, units] */
    ptrdiff_t units;
} table;

static void mean_and_difference(double *out, const ae_resample *r, const void *data) {
    const table *t = data;
    out[0] = out[1] = 0;
    for (ptrdiff_t i = 0; i < r->n_runs; i++)
        for (ptrdiff_t j = 0; j < r->n_units; j++) {
            const double x = t->values[r->runs[i] * t->units + r->units[j]];
            out[0] += x / (double)(r->n_runs * r->n_units);
            out[1] += (x + 3 - x) / (double)(r->n_runs * r->n_units);
        }
}

static ae_estimate of(const double *values, ptrdiff_t runs, ptrdiff_t units, size_t which) {
    const table t = {values, units};
    ae_estimate e[2];
    const ae_bootstrap_job job = {units, runs, 2, mean_and_difference, &t, NULL};
    cr_assert_eq(ae_bootstrap(e, &job), AE_OK);
    return e[which];
}

/* The mean of n values has the error sd / sqrt(n). */
Test(bootstrap, the_mean_of_many) {
    enum { N = 900 };
    double values[N], mean = 0, square = 0;
    ae_rng r = ae_rng_make(3, 4);
    for (int i = 0; i < N; i++) {
        values[i] = ae_rng_normal(&r);
        mean += values[i] / N;
        square += values[i] * values[i] / N;
    }
    const double half = 1.96 * sqrt((square - mean * mean) / N);
    const ae_estimate e = of(values, 1, N, 0);
    cr_assert_float_eq(e.value, mean, 1e-12);
    cr_assert_float_eq(e.low, mean - half, 0.1 * half);
    cr_assert_float_eq(e.high, mean + half, 0.1 * half);
}

/* Two draws of {0, 1} have the means 0, 1/2, 1 with chances of 1/4, 1/2, 1/4; of one unit there is nothing to draw. */
Test(bootstrap, few) {
    const double two[] = {0, 1}, one[] = {7};
    ae_estimate e = of(two, 1, 2, 0);
    cr_assert(e.value == 0.5 && e.low == 0 && e.high == 1);
    e = of(one, 1, 1, 0);
    cr_assert(e.value == 7 && e.low == 7 && e.high == 7);
}

/* What is the same in all pairs has no width, however much the values waver. */
Test(bootstrap, pairs_stay_together) {
    const double values[] = {0, 100, -50, 3, 1e3, 8, 9, 2};
    const ae_estimate e = of(values, 1, 8, 1);
    cr_assert_float_eq(e.low, 3, 1e-9);
    cr_assert_float_eq(e.high, 3, 1e-9);
}

/* Runs that differ, whose units do not. */
Test(bootstrap, runs_are_drawn_too) {
    const double values[] = {0, 0, 0, 1, 1, 1};
    const ae_estimate e = of(values, 2, 3, 0);
    cr_assert_float_eq(e.value, 0.5, 1e-12);
    cr_assert_float_eq(e.low, 0, 1e-12);
    cr_assert_float_eq(e.high, 1, 1e-12);
}

static void none(double *out, const ae_resample *r, const void *data) {
    (void)r;
    (void)data;
    *out = (double)NAN;
}

Test(bootstrap, what_is_not_known) {
    ae_estimate e;
    const ae_bootstrap_job job = {3, 1, 1, none, NULL, NULL};
    cr_assert_eq(ae_bootstrap(&e, &job), AE_OK);
    cr_assert(isnan(e.value) && isnan(e.low) && isnan(e.high));
}

/* Of {-1, 0, 1} with the mean as statistic as many resamples lie below 0 as above it; all of {2, 3} lie above. */
Test(bootstrap, share_below) {
    const double even[] = {-1, 0, 1}, above[] = {2, 3};
    const table t = {even, 3}, u = {above, 2};
    ae_estimate e[2];
    double below[2];
    ae_bootstrap_job job = {3, 1, 2, mean_and_difference, &t, below};
    cr_assert_eq(ae_bootstrap(e, &job), AE_OK);
    cr_assert_float_eq(below[0], 0.5, 0.04);
    cr_assert(below[1] == 0);
    job.units = 2;
    job.data = &u;
    cr_assert_eq(ae_bootstrap(e, &job), AE_OK);
    cr_assert(below[0] == 0);
}
