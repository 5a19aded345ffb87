#ifndef AE_EVAL_LIMITS_H
#define AE_EVAL_LIMITS_H
#include <stddef.h>

/* What this machine can do at most, measured on the spot with all OpenMP threads. Yardsticks of flops_fraction, the plan's estimate
 * and `aerie bench`. Best of several short rounds. */

/* float32 multiply-adds out of registers, in FLOPs per second (2 a multiply-add), on the vectors that ae_isa_pick allows.
 * About 0.1 s. */
double ae_measure_peak_f32_flops(void);

/* Reading `bytes` of memory in four streams a thread, in bytes per second; above the caches from about 1 GB on. 0 when there is
 * not so much memory. */
double ae_measure_read_bandwidth(size_t bytes);

#endif
