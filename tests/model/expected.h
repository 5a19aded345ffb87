#ifndef AE_TESTS_MODEL_EXPECTED_H
#define AE_TESTS_MODEL_EXPECTED_H
#include "core/h5.h"
#include "tests/model/rig.h"

/* What an independent implementation computed in float64 for a checkpoint of tests/fixtures. */
typedef struct {
    hid_t file;
    char path[512];
    rig_batch batch;
    double *logits, loss, weight_sum;
} rig_expected;

rig_expected rig_expected_read(const char *fixture, ptrdiff_t V);
void rig_expected_free(rig_expected *e);
void rig_expected_gradient(const rig_expected *e, const ae_param *p, float *out);
/* log sum exp of a row of logits */
double rig_log_denominator(const double *x, ptrdiff_t V);

#endif
