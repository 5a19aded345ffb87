#ifndef AE_TRAIN_CALIBRATION_H
#define AE_TRAIN_CALIBRATION_H
#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

/* How often a reward model is right when it is so sure: pairs by the probability that it gives to the answer
 * which it prefers, sigmoid(|r_c - r_r|), in equal bins of [0.5, 1]. */
enum { AE_CALIBRATION_BINS = 10 };

typedef struct {
    int64_t pairs[AE_CALIBRATION_BINS];
    double right[AE_CALIBRATION_BINS]; /* pairs whose chosen answer is preferred; a tie is half a pair */
    double probability[AE_CALIBRATION_BINS]; /* sum over the pairs */
} ae_calibration;

void ae_calibration_add(ae_calibration *c, double chosen, double rejected);
/* Mean over the pairs of |right - probability| of their bin. */
double ae_calibration_error(const ae_calibration *c);
/* {"step", "bins": [{"low", "high", "pairs", "probability", "right"}, ...]}, with shares, null in empty
 * bins. */
ae_status ae_calibration_write(const ae_calibration *c, int64_t step, const char *path);

/* The interval of a share of n trials in which the true one lies with a chance of 95 % (Wilson 1927). */
void ae_share_interval(double share, double n, double *low, double *high);

#endif
