#ifndef AE_CLI_PLOT_EVAL_H
#define AE_CLI_PLOT_EVAL_H
#include "cli/eval_table.h"
#include "cli/gnuplot.h"

#include <stdio.h>

/* Pictures of folders of results (aerie eval), and a page around them. */

/* The main metric of each task for each folder with its interval, and what authors of models published. Tasks whose
 * metric is no share between 0 and 1 are left out; AE_ERR_USAGE where none is left. */
ae_status ae_plot_eval_draw(const ae_eval_table *t, ae_picture_kind kind, char **bytes, size_t *n_bytes);
/* Whether there is anything to draw. */
bool ae_plot_eval_has_picture(const ae_eval_table *t);

/* A page that needs no other file and no script: how each folder was evaluated, the picture, tasks by model with
 * intervals, paired differences from the first folder, samples that unfold. */
ae_status ae_plot_eval_page(const ae_eval_table *t, char **html, size_t *n_bytes);

/* Parts of the page. Samples of a leaf: up to `most` rows, those first on which the folders differ. */
ae_status ae_plot_eval_samples(FILE *f, const ae_eval_table *t, const char *task, size_t most, bool *any);

#endif
