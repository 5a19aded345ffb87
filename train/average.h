#ifndef AE_TRAIN_AVERAGE_H
#define AE_TRAIN_AVERAGE_H
#include "exchange/merge.h"

enum { AE_AVERAGE_MAX = 64 };

/* Models of one shape that become one, number for number as aerie merge computes it (exchange/merge.h). Models and
 * base are what ae_run_source_open takes. */
typedef struct {
    ae_merge_method method; /* mean, lerp or slerp */
    const char *const *models;
    size_t n;
    const char *base;    /* of lerp and slerp; else NULL */
    double amount;       /* of lerp; slerp: below 0, all count alike */
    bool score_head;     /* all have one */
    const char *made_by; /* "aerie reward" */
} ae_merged;

/* Writes a checkpoint without an optimiser aside in TO.part; an older one stays until the new one is whole. Memory: the
 * largest tensor, and that of merging. AE_ERR_INPUT for a model that is not whole, of another shape or without the
 * head. */
ae_status ae_merged_write(const char *to, const ae_merged *m);

/* The mean of reward models, theta = sum_m theta_m / M. */
ae_status ae_average_write(const char *to, const char *const *models, size_t n);

/* Mean and standard deviation of what the head of that checkpoint gives to answers, which it keeps from now
 * on (model/config.h); a deviation that is not above 0 says nothing. Between the two the checkpoint is incomplete. */
ae_status ae_average_scale(const char *folder, double shift, double std);

#endif
