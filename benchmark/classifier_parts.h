#ifndef AE_BENCHMARK_CLASSIFIER_PARTS_H
#define AE_BENCHMARK_CLASSIFIER_PARTS_H
#include "benchmark/classifier.h"

/* Between the files of classifier.h. */

enum { AE_CLASSIFIER_BITS_MIN = 8, AE_CLASSIFIER_BITS_MAX = 24 };

/* The features of one text. */
typedef struct {
    int bits;
    float *counts;    /* [2^bits], 0 between two texts */
    uint32_t *places; /* [n], each once */
    float *x;         /* [n], of length 1 */
    size_t n, room;
} ae_features;
ae_status ae_features_init(ae_features *f, int bits);
void ae_features_free(ae_features *f);
ae_status ae_features_of(ae_features *f, const char *text);

struct ae_classifier {
    int bits;
    float *weights; /* [2^bits + 1] */
    ae_features features;
    ae_classifier_figures heldout; /* n is 0: not known */
    json_t *about;
};
/* With weights of 0 and no words about it. */
ae_status ae_classifier_new(ae_classifier **c, int bits);
/* b + sum_i w_i x_i of the features that are there. */
double ae_classifier_margin(const ae_classifier *c);

#endif
