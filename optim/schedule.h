#ifndef AE_OPTIM_SCHEDULE_H
#define AE_OPTIM_SCHEDULE_H
#include "core/status.h"

#include <stdint.h>

/* The learning rate of a step as a function of the step's number alone, s = 1 .. steps.
 *
 *   s <= warmup              lr s / warmup
 *   constant                 lr
 *   linear, cosine           from lr at s = warmup to ratio lr at s = steps, along x or (1 - cos(pi x)) / 2,
 *                            x = (s - warmup) / (steps - warmup)
 *   wsd                      lr, then in a straight line to ratio lr over the last `decay` steps */
typedef enum {
    AE_SCHEDULE_CONSTANT,
    AE_SCHEDULE_LINEAR,
    AE_SCHEDULE_COSINE,
    AE_SCHEDULE_WSD
} ae_schedule_kind;
#define AE_SCHEDULE_CHOICES "constant|linear|cosine|wsd"

typedef struct {
    ae_schedule_kind kind;
    double lr, final_ratio;
    int64_t warmup_steps, decay_steps, steps;
} ae_schedule;

/* AE_ERR_USAGE, naming the key, when the parts do not fit into the steps. */
ae_status ae_schedule_check(const ae_schedule *s);
double ae_schedule_lr(const ae_schedule *s, int64_t step);

#endif
