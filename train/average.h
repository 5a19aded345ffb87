#ifndef AE_TRAIN_AVERAGE_H
#define AE_TRAIN_AVERAGE_H
#include "core/status.h"

#include <stddef.h>

enum { AE_AVERAGE_MAX = 64 };

/* Reward models, all of one shape, that become one: theta = sum_m theta_m / M, number for number as aerie merge
 * computes it. `to` is a checkpoint without an optimiser, written aside in TO.part; an older one stays until the
 * new one is whole. `models` are what ae_run_source_open takes. Memory: the largest tensor, and that of merging.
 * AE_ERR_INPUT for a model that is not whole or lacks the head. */
ae_status ae_average_write(const char *to, const char *const *models, size_t n);

/* Mean and standard deviation of what the head of that checkpoint gives to answers, which it keeps from now
 * on (model/config.h); a deviation that is not above 0 says nothing. Between the two the checkpoint is incomplete. */
ae_status ae_average_scale(const char *folder, double shift, double std);

#endif
