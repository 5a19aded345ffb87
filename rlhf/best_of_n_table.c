#include "rlhf/best_of_n_table.h"

#include "eval/bootstrap.h"
#include "rlhf/best_of_n.h"

#include <stdlib.h>

/* The expected best of each row's n, by prompt. */
typedef struct {
    double *best; /* [rows, prompts] */
    size_t rows;
    ptrdiff_t prompts;
} table;

static void means(double *out, const ae_resample *r, const void *data) {
    const table *t = data;
    for (size_t row = 0; row < t->rows; row++) {
        const double *best = t->best + (ptrdiff_t)row * t->prompts;
        double sum = 0;
        for (ptrdiff_t i = 0; i < r->n_units; i++) sum += best[r->units[i]];
        out[row] = sum / (double)r->n_units;
    }
}

static size_t list_counts(ae_best_of_n_row *rows, int64_t N) {
    size_t count = 0;
    for (int64_t n = 1; n < N; n *= 2) rows[count++].n = n;
    rows[count++].n = N;
    return count;
}

static void fill_best(const table *t, const ae_best_of_n_row *rows, const double *sorted, int64_t N) {
    for (size_t row = 0; row < t->rows; row++)
        for (ptrdiff_t p = 0; p < t->prompts; p++)
            t->best[(ptrdiff_t)row * t->prompts + p] =
                ae_expected_best(sorted + p * (ptrdiff_t)N, (ptrdiff_t)N, rows[row].n);
}

ae_status ae_best_of_n_table(ae_best_of_n_row rows[AE_BEST_OF_N_ROWS], size_t *n_rows, const double *sorted,
                             ptrdiff_t prompts, int64_t N) {
    ae_estimate estimates[AE_BEST_OF_N_ROWS];
    table t = {.rows = list_counts(rows, N), .prompts = prompts};
    const ae_bootstrap_job job = {.units = prompts, .runs = 1, .statistics = t.rows, .of = means, .data = &t};
    t.best = calloc(t.rows * (size_t)prompts, sizeof *t.best);
    if (!t.best) return AE_FAIL(AE_ERR_RESOURCE, "best of n: out of memory");
    fill_best(&t, rows, sorted, N);
    const ae_status st = ae_bootstrap(estimates, &job);
    for (size_t i = 0; i < t.rows && st == AE_OK; i++) {
        rows[i].reward = estimates[i].value;
        rows[i].low = estimates[i].low;
        rows[i].high = estimates[i].high;
        rows[i].kl = ae_best_of_n_kl_bound(rows[i].n);
    }
    *n_rows = t.rows;
    free(t.best);
    return st;
}
