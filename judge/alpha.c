#include "judge/alpha.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    const int32_t *counts; /* [units, levels], each unit with two ratings or more */
    int levels;
} ratings;

typedef double square[AE_ALPHA_LEVELS_MAX][AE_ALPHA_LEVELS_MAX];

static void add_coincidences(square o, const int32_t *unit, int levels) {
    double m = 0;
    for (int c = 0; c < levels; c++) m += unit[c];
    for (int c = 0; c < levels; c++)
        for (int k = 0; k < levels; k++) o[c][k] += unit[c] * (unit[k] - (c == k)) / (m - 1);
}

static double alpha_of(square o, int levels) {
    double n_of[AE_ALPHA_LEVELS_MAX] = {0}, n = 0, observed = 0, expected = 0;
    for (int c = 0; c < levels; c++)
        for (int k = 0; k < levels; k++) n_of[c] += o[c][k];
    for (int c = 0; c < levels; c++) n += n_of[c];
    for (int c = 0; c < levels; c++) {
        double between = n_of[c]; /* sum of n_g, g = c..k */
        for (int k = c + 1; k < levels; k++) {
            between += n_of[k];
            const double d = between - (n_of[c] + n_of[k]) / 2;
            observed += o[c][k] * d * d;
            expected += n_of[c] * n_of[k] * d * d;
        }
    }
    return expected > 0 ? 1 - (n - 1) * observed / expected : (double)NAN;
}

static void alpha_of_drawn(double *out, const ae_resample *drawn, const void *data) {
    const ratings *r = data;
    square o = {{0}};
    for (ptrdiff_t i = 0; i < drawn->n_units; i++)
        add_coincidences(o, r->counts + drawn->units[i] * r->levels, r->levels);
    out[0] = alpha_of(o, r->levels);
}

static ptrdiff_t keep_rated(int32_t *kept, const int32_t *counts, ptrdiff_t units, int levels) {
    ptrdiff_t n = 0;
    for (ptrdiff_t u = 0; u < units; u++) {
        int32_t m = 0;
        for (int c = 0; c < levels; c++) m += kept[n * levels + c] = counts[u * levels + c];
        n += m >= 2;
    }
    return n;
}

ae_status ae_alpha_ordinal(ae_estimate *out, const int32_t *counts, ptrdiff_t units, int levels) {
    *out = (ae_estimate){(double)NAN, (double)NAN, (double)NAN};
    int32_t *kept = calloc((size_t)(units + 1) * (size_t)levels, sizeof *kept);
    if (!kept) return AE_FAIL(AE_ERR_RESOURCE, "agreement: out of memory");
    const ratings r = {kept, levels};
    const ae_bootstrap_job job = {.units = keep_rated(kept, counts, units, levels),
                                  .runs = 1,
                                  .statistics = 1,
                                  .of = alpha_of_drawn,
                                  .data = &r};
    const ae_status st = job.units > 0 ? ae_bootstrap(out, &job) : AE_OK;
    free(kept);
    return st;
}
