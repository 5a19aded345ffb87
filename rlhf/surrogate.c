#include "rlhf/surrogate.h"

#include <math.h>

double ae_clipped_surrogate(double log_ratio, double advantage, double low, double high, double *dlog_ratio,
                            ae_ratios *seen) {
    const double w = exp(log_ratio), clipped = fmin(fmax(w, 1 - low), 1 + high);
    const bool is_clipped = clipped * advantage < w * advantage;
    ae_tally_add(&seen->ratio, w);
    ae_tally_add(&seen->clipped, is_clipped);
    *dlog_ratio = is_clipped ? 0 : -w * advantage;
    return is_clipped ? -clipped * advantage : -w * advantage;
}
