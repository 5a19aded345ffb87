#ifndef AE_CLI_PLOT_TRADEOFF_H
#define AE_CLI_PLOT_TRADEOFF_H
#include "core/status.h"

#include <stddef.h>
#include <stdio.h>

/* Reward against divergence where no run measures it step by step: the table of best_of_n (RUN/best_of_n.json) and the
 * frontier of WARP (RUN/warp.json). */

typedef struct {
    double at;                            /* n; e: how far from the start to the last merge */
    double kl;                            /* nats an answer; of best_of_n at most this */
    double reward, low, high;             /* NaN: no interval */
    double reward_std, length, truncated; /* NaN: not known */
} ae_tradeoff_point;

typedef struct {
    ae_tradeoff_point *points;
    size_t n, answered; /* prompts or answers behind each point */
    const char *method; /* "best_of_n", "warp"; NULL: the folder has neither file */
} ae_tradeoff;

/* A malformed file is AE_ERR_INPUT. */
ae_status ae_tradeoff_read(ae_tradeoff *t, const char *run);
void ae_tradeoff_free(ae_tradeoff *t);
void ae_tradeoff_html(FILE *f, const ae_tradeoff *t);

#endif
