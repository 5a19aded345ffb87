#ifndef AE_CLI_PLOT_FRONTIER_H
#define AE_CLI_PLOT_FRONTIER_H
#include "cli/method_table.h"

/* What reward costs: the held-out reward against the divergence from the reference, in nats an answer, a line for each
 * run of rlhf through its evaluations, for best_of_n through n = 1, 2, 4, ... (at ln n - (n - 1) / n), and for WARP through
 * its frontier (cli/plot_tradeoff.h), without the runs in its folder. Seeds of one row are faint beside their mean. */

/* Whether any run has a point. */
bool ae_plot_has_frontier(const ae_run_curves *runs, size_t n);
/* *bytes is the picture, the caller frees it. */
ae_status ae_plot_frontier(const ae_run_curves *runs, size_t n, const ae_method_table *t,
                           ae_picture_kind kind, char **bytes, size_t *n_bytes);

#endif
