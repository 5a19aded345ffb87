#include "benchmark/classifier.h"
#include "core/json.h"

#include <math.h>
#include <stdlib.h>

enum { BINS = 10 };

typedef struct {
    double p;
    bool positive;
} judged;

static int by_probability(const void *a, const void *b) {
    const judged *x = a, *y = b;
    return (x->p > y->p) - (x->p < y->p);
}

/* The chance that a positive row has a higher probability than a negative one; `sorted` by probability. */
static double area(const judged *sorted, ptrdiff_t n) {
    double below = 0, wins = 0, positives = 0;
    for (ptrdiff_t i = 0, k; i < n; i = k) {
        double equal_negative = 0, equal_positive = 0;
        for (k = i; k < n && sorted[k].p == sorted[i].p; k++)
            if (sorted[k].positive)
                equal_positive++;
            else
                equal_negative++;
        wins += equal_positive * (below + equal_negative / 2);
        below += equal_negative;
        positives += equal_positive;
    }
    return positives > 0 && below > 0 ? wins / positives / below : (double)NAN;
}

static double calibration_error(const judged *rows, ptrdiff_t n) {
    double sums[BINS] = {0};
    for (ptrdiff_t i = 0; i < n; i++) {
        const int bin = (int)(rows[i].p * BINS);
        sums[bin < BINS ? bin : BINS - 1] += rows[i].positive - rows[i].p;
    }
    double error = 0;
    for (int b = 0; b < BINS; b++) error += fabs(sums[b]);
    return error / (double)n;
}

static void count(ae_classifier_figures *f, const judged *rows, ptrdiff_t n) {
    const double least = 1e-15;
    double right = 0, said = 0, both = 0;
    *f = (ae_classifier_figures){.n = n};
    for (ptrdiff_t i = 0; i < n; i++) {
        const double p = rows[i].p, of_truth = rows[i].positive ? p : 1 - p, miss = rows[i].positive - p;
        const bool says = p >= 0.5;
        f->positive += rows[i].positive;
        right += says == rows[i].positive;
        said += says;
        both += says && rows[i].positive;
        f->log_loss -= log(fmax(of_truth, least)) / (double)n;
        f->brier += miss * miss / (double)n;
    }
    f->accuracy = right / (double)n;
    f->precision = both / said;
    f->recall = both / (double)f->positive;
    f->f1 = 2 * both / (said + (double)f->positive);
}

ae_status ae_classifier_judge(ae_classifier_figures *f, const double *p, const bool *positive, ptrdiff_t n) {
    judged *rows = malloc(((size_t)n + 1) * sizeof *rows);
    if (!rows) return AE_FAIL(AE_ERR_RESOURCE, "classifier: out of memory");
    for (ptrdiff_t i = 0; i < n; i++) rows[i] = (judged){p[i], positive[i]};
    count(f, rows, n);
    f->calibration_error = calibration_error(rows, n);
    qsort(rows, (size_t)n, sizeof *rows, by_probability);
    f->auc = area(rows, n);
    free(rows);
    return AE_OK;
}

json_t *ae_classifier_figures_json(const ae_classifier_figures *f) {
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "n", (json_int_t)f->n, "positive",
                     (json_int_t)f->positive, "accuracy", ae_json_number(f->accuracy), "precision",
                     ae_json_number(f->precision), "recall", ae_json_number(f->recall), "f1",
                     ae_json_number(f->f1), "auc", ae_json_number(f->auc), "log_loss",
                     ae_json_number(f->log_loss), "brier", ae_json_number(f->brier), "calibration_error",
                     ae_json_number(f->calibration_error));
}
