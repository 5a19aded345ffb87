#ifndef AE_RLHF_SURROGATE_H
#define AE_RLHF_SURROGATE_H
#include "rlhf/estimates.h"

/* The clipped surrogate of PPO (1707.06347, equation 7), with bounds of its own on either side (DAPO,
 * 2503.14476): for a ratio w = exp(log_ratio) and an advantage A
 *
 *   loss = -min(w A, clip(w, 1 - low, 1 + high) A)
 *
 * Returns the loss and its gradient with respect to log_ratio: -w A, 0 where the clipped side is the lower.
 * Counts the ratio, and whether it was clipped. */
double ae_clipped_surrogate(double log_ratio, double advantage, double low, double high, double *dlog_ratio,
                            ae_ratios *seen);

#endif
