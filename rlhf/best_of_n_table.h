#ifndef AE_RLHF_BEST_OF_N_TABLE_H
#define AE_RLHF_BEST_OF_N_TABLE_H
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* What the best of n answers is worth, n = 1, 2, 4, ... N, from N answers to each prompt. */

typedef struct {
    int64_t n;
    double reward;    /* mean over prompts of the expected best of n (rlhf/best_of_n.h) */
    double low, high; /* 95 %, bootstrap over prompts (eval/bootstrap.h) */
    double kl;        /* the divergence from the reference is at most this, nats */
} ae_best_of_n_row;

enum { AE_BEST_OF_N_ROWS = 64 };

/* `sorted`: [prompts, N] rewards, those of a prompt upwards; prompts and N at least 1. AE_ERR_RESOURCE. */
ae_status ae_best_of_n_table(ae_best_of_n_row rows[AE_BEST_OF_N_ROWS], size_t *n_rows, const double *sorted,
                             ptrdiff_t prompts, int64_t N);

#endif
