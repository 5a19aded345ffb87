#include "eval/bootstrap.h"

#include "core/rng.h"

#include <math.h>
#include <stdlib.h>

static const uint64_t SEED = 1;

typedef struct {
    ptrdiff_t *units, *runs;
    double *found; /* [statistics, resamples] */
    double *one;   /* [statistics] */
} memory;

static ae_status memory_init(memory *m, const ae_bootstrap_job *job) {
    *m = (memory){.units = calloc((size_t)job->units, sizeof *m->units),
                  .runs = calloc((size_t)job->runs, sizeof *m->runs),
                  .found = calloc(job->statistics * AE_BOOTSTRAP_RESAMPLES, sizeof *m->found),
                  .one = calloc(job->statistics, sizeof *m->one)};
    if (m->units && m->runs && m->found && m->one) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "bootstrap: out of memory");
}

static void memory_free(memory *m) {
    free(m->units);
    free(m->runs);
    free(m->found);
    free(m->one);
}

static void draw(ae_rng *r, ptrdiff_t *numbers, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) numbers[i] = (ptrdiff_t)ae_rng_below(r, (uint64_t)n);
}

static int rising(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of n rising values, between neighbours in a straight line. */
static double percentile(const double *values, size_t n, double share) {
    const double at = share * (double)(n - 1);
    const size_t below = (size_t)at, above = below + 1 < n ? below + 1 : below;
    return values[below] + (at - (double)below) * (values[above] - values[below]);
}

static void settle(ae_estimate *out, double *values) {
    size_t n = 0;
    for (size_t i = 0; i < AE_BOOTSTRAP_RESAMPLES; i++)
        if (isfinite(values[i])) values[n++] = values[i];
    qsort(values, n, sizeof *values, rising);
    out->low = n ? percentile(values, n, 0.025) : (double)NAN;
    out->high = n ? percentile(values, n, 0.975) : (double)NAN;
}

/* NaN where no resample is finite. */
static double share_below(const double *values) {
    double below = 0, n = 0;
    for (size_t i = 0; i < AE_BOOTSTRAP_RESAMPLES; i++) {
        if (!isfinite(values[i])) continue;
        below += values[i] < 0 ? 1 : values[i] > 0 ? 0 : 0.5;
        n++;
    }
    return below / n;
}

ae_status ae_bootstrap(ae_estimate *out, const ae_bootstrap_job *job) {
    memory m;
    ae_rng r = ae_rng_make(SEED, ae_rng_hash(SEED, "bootstrap"));
    const ae_status st = memory_init(&m, job);
    const ae_resample drawn = {m.units, m.runs, job->units, job->runs};
    for (ptrdiff_t i = 0; st == AE_OK && i < job->units; i++) m.units[i] = i;
    for (ptrdiff_t i = 0; st == AE_OK && i < job->runs; i++) m.runs[i] = i;
    if (st == AE_OK) job->of(m.one, &drawn, job->data);
    for (size_t k = 0; st == AE_OK && k < job->statistics; k++) out[k].value = m.one[k];
    for (size_t i = 0; st == AE_OK && i < AE_BOOTSTRAP_RESAMPLES; i++) {
        draw(&r, m.units, job->units);
        draw(&r, m.runs, job->runs);
        job->of(m.one, &drawn, job->data);
        for (size_t k = 0; k < job->statistics; k++) m.found[k * AE_BOOTSTRAP_RESAMPLES + i] = m.one[k];
    }
    for (size_t k = 0; st == AE_OK && k < job->statistics; k++) {
        double *found = m.found + k * AE_BOOTSTRAP_RESAMPLES;
        if (job->below) job->below[k] = share_below(found);
        settle(&out[k], found);
    }
    memory_free(&m);
    return st;
}
