#include "judge/strength.h"

#include <math.h>
#include <stdlib.h>

enum { ROUNDS_MAX = 100000, M = AE_STRENGTH_MODELS_MAX };

/* Whether each model leads to each other one along wins (Ford 1957). */
static bool has_maximum(const double *wins, int n) {
    bool leads[M][M];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) leads[i][j] = i == j || wins[i * n + j] > 0;
    for (int k = 0; k < n; k++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) leads[i][j] = leads[i][j] || (leads[i][k] && leads[k][j]);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (!leads[i][j]) return false;
    return true;
}

/* One round over all models; the largest change of a logarithm. */
static double improve(double *p, const double *wins, int n) {
    double change = 0;
    for (int i = 0; i < n; i++) {
        double won = 0, expected = 0;
        for (int j = 0; j < n; j++) {
            if (j == i) continue;
            won += wins[i * n + j];
            expected += (wins[i * n + j] + wins[j * n + i]) / (p[i] + p[j]);
        }
        change = fmax(change, fabs(log(won / expected / p[i])));
        p[i] = won / expected;
    }
    return change;
}

static void centre(double *strengths, const double *p, int n) {
    double mean = 0;
    for (int i = 0; i < n; i++) mean += log(p[i]) / n;
    for (int i = 0; i < n; i++) strengths[i] = log(p[i]) - mean;
}

bool ae_strengths_fit(double *strengths, const double *wins, int models) {
    double p[M];
    for (int i = 0; i < models; i++) {
        p[i] = 1;
        strengths[i] = (double)NAN;
    }
    if (!has_maximum(wins, models)) return false;
    for (int round = 0; round < ROUNDS_MAX && improve(p, wins, models) > 1e-9; round++) {
    }
    centre(strengths, p, models);
    return true;
}

/* ---- resampled ---- */

typedef struct {
    const ae_duel *duels;
    const ptrdiff_t *begins; /* [units + 1], the duels of a unit */
    int models;
} tournament;

static void strengths_of_drawn(double *out, const ae_resample *drawn, const void *data) {
    const tournament *t = data;
    double wins[M * M] = {0};
    for (ptrdiff_t i = 0; i < drawn->n_units; i++) {
        const ptrdiff_t u = drawn->units[i];
        for (ptrdiff_t k = t->begins[u]; k < t->begins[u + 1]; k++) {
            const ae_duel *d = &t->duels[k];
            wins[d->a * t->models + d->b] += d->score;
            wins[d->b * t->models + d->a] += 1 - d->score;
        }
    }
    ae_strengths_fit(out, wins, t->models);
}

ae_status ae_strengths(ae_estimate *strengths, const ae_duel *duels, ptrdiff_t n, int models) {
    ptrdiff_t units = 0, *begins = calloc((size_t)n + 2, sizeof *begins);
    if (!begins) return AE_FAIL(AE_ERR_RESOURCE, "strengths: out of memory");
    for (int i = 0; i < models; i++) strengths[i] = (ae_estimate){(double)NAN, (double)NAN, (double)NAN};
    for (ptrdiff_t k = 0; k < n; k++)
        if (k == 0 || duels[k].unit != duels[k - 1].unit) begins[units++] = k;
    begins[units] = n;
    const tournament t = {duels, begins, models};
    const ae_bootstrap_job job = {
        .units = units, .runs = 1, .statistics = (size_t)models, .of = strengths_of_drawn, .data = &t};
    const ae_status st = units > 0 ? ae_bootstrap(strengths, &job) : AE_OK;
    free(begins);
    return st;
}
