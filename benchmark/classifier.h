#ifndef AE_BENCHMARK_CLASSIFIER_H
#define AE_BENCHMARK_CLASSIFIER_H
#include "core/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A classifier of texts, toxic or not, positive or not: logistic regression over hashed n-grams.
 *
 *     p(text) = sigmoid(b + sum_i w_i x_i)
 *
 * x of a text in lower case: each word, each pair of neighbouring words, and each 3 to 5 bytes of " word " counts in
 * one of 2^bits places that its hash names, with the hash's sign (Weinberger et al. 2009); c counts become
 * sign(c) (1 + ln |c|), and x is scaled to length 1. Trained by AdaGrad on the log loss, row after row in an order drawn
 * from the seed; one thread, so that the same data and settings give the same weights. Rows are held out by the hash of
 * their text: a text that comes twice is never on both sides. The figures are of the held-out rows, which nothing else
 * looks at. */

typedef struct {
    char *text;
    bool positive;
} ae_labelled;

typedef struct {
    double heldout; /* share of the rows, 0.1 */
    int epochs;     /* 5 */
    double rate;    /* of AdaGrad, 0.5 */
    double l2;      /* of the weights of a row's features, 1e-6 */
    int bits;       /* 18 */
    uint64_t seed;
    ae_status (*check)(void);                                   /* asked now and then; may be NULL */
    void (*progress)(void *context, int64_t done, int64_t all); /* rows of all epochs; may be NULL */
    void *context;
} ae_classifier_settings;
ae_classifier_settings ae_classifier_defaults(void);

/* Of n rows of which the probability of one is p and the truth is known. */
typedef struct {
    int64_t n, positive;
    double accuracy, precision, recall, f1; /* at 0.5; NaN where nothing is counted */
    double auc;                             /* ties count half; NaN for rows of one label */
    double log_loss, brier;
    double calibration_error; /* mean |share of positive - mean p| over ten bins of p, by rows */
} ae_classifier_figures;
/* Changes the order of nothing. AE_ERR_RESOURCE. */
ae_status ae_classifier_judge(ae_classifier_figures *f, const double *p, const bool *positive, ptrdiff_t n);
/* An object with the names above; NULL: no memory. */
json_t *ae_classifier_figures_json(const ae_classifier_figures *f);

typedef struct ae_classifier ae_classifier;

/* `data` names where the rows come from. AE_ERR_INPUT where one side has rows of one label only. */
ae_status ae_classifier_train(ae_classifier **c, const ae_labelled *rows, ptrdiff_t n, const char *data,
                              const ae_classifier_settings *s);
void ae_classifier_free(ae_classifier *c);

/* One thread at a time. NaN: no memory. */
double ae_classifier_probability(ae_classifier *c, const char *text);

/* Of the rows that were held out; of one that was trained just now, else NULL. */
const ae_classifier_figures *ae_classifier_heldout(const ae_classifier *c);
/* Data, settings, rows trained on, figures of the held-out ones, hash of the weights. */
const json_t *ae_classifier_about(const ae_classifier *c);

/* HDF5: /weights float32 [2^bits + 1], the last one b; attribute `about`. Written aside, then renamed. Reading checks the
 * hash: AE_ERR_INPUT. */
ae_status ae_classifier_write(const ae_classifier *c, const char *path);
ae_status ae_classifier_read(ae_classifier **c, const char *path);

#endif
