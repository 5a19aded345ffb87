#ifndef AE_CLI_PLOT_CALIBRATION_H
#define AE_CLI_PLOT_CALIBRATION_H
#include "core/status.h"
#include "train/calibration.h"

#include <stdio.h>

/* RUN/calibration.json of a reward model (train/calibration.h) as a picture: of the held-out pairs that it
 * was about so sure of, the share in which it was right. On the diagonal it knows what it does not know. */

typedef struct {
    double probability, right; /* means over the pairs of a bin */
    double low, high;          /* in which the true share lies with a chance of 95 % */
    int64_t pairs;
} ae_calibration_point;

typedef struct {
    ae_calibration_point points[AE_CALIBRATION_BINS]; /* bins without pairs are left out */
    size_t n;                                         /* 0: the run has none */
    int64_t step;
} ae_calibration_curve;

/* No file is no fault; a malformed one is AE_ERR_INPUT. */
ae_status ae_calibration_curve_read(ae_calibration_curve *c, const char *run);

/* For gnuplot: the data block $calibration_RUN, and the axes. */
void ae_calibration_write_data(FILE *f, const ae_calibration_curve *c, size_t run);
void ae_calibration_write_axes(FILE *f); /* of the part that is drawn next, the last one */

#endif
