#ifndef AE_CLI_PLOT_H
#define AE_CLI_PLOT_H
#include "cli/gnuplot.h"
#include "cli/plot_calibration.h"
#include "cli/plot_tradeoff.h"
#include "cli/run_stage.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Pictures of training runs: metrics.jsonl -> curves -> gnuplot, and the report around them. */

typedef struct {
    double x, y;
} ae_point;
typedef struct {
    ae_point *points;
    size_t n, capacity;
} ae_curve;

/* A number of the metrics over the steps, and all of them in the order in which they came. */
typedef struct {
    char *name; /* "loss" */
    ae_curve curve;
} ae_named_curve;
typedef struct {
    ae_named_curve *items;
    size_t n;
} ae_curve_list;
const ae_curve *ae_curve_list_find(const ae_curve_list *l, const char *name); /* NULL: not there */

/* Keys that the engine writes; what else a step's line has are numbers of its objective. */
bool ae_plot_is_engine_key(const char *name);

/* What metrics.jsonl of a run says. NaN and 0 where it says nothing. */
typedef struct {
    const char *folder; /* borrowed */
    char *name;         /* the last part of the folder's name, fit for a label */
    ae_curve_list
        steps; /* of the lines of steps: loss, grad_norm, lr, tokens_per_s and what an objective adds */
    ae_curve_list evaluations; /* eval_loss, ...: the first one decides */
    ae_run_stage stage;
    ae_tradeoff tradeoff;             /* of folders that are no run: best_of_n, WARP */
    ae_calibration_curve calibration; /* of a reward model's last evaluation */
    int64_t step, tokens, skipped, best_step, peak_rss_bytes;
    double best_score, best_bits; /* of the best evaluation */
    double flops_fraction;        /* of the last step */
} ae_run_curves;

/* A folder of best_of_n or WARP has its tradeoff alone.
 * The line that a run is just writing may be incomplete; any other fault is AE_ERR_INPUT with its number. */
ae_status ae_run_curves_read(ae_run_curves *r, const char *folder);
void ae_run_curves_free(ae_run_curves *r);
/* The first number of the objective in the first run that has one, "loss"; "" where none has. */
const char *ae_plot_main_name(const ae_run_curves *runs, size_t n);
/* y averaged over about `span` points back, exponentially; over less at the start, where curves are steep. */
ae_status ae_curve_smooth(ae_curve *out, const ae_curve *in, double span);
/* At most `n` points, each the mean of its neighbours. */
void ae_curve_thin(ae_curve *c, size_t n);
ae_status ae_curve_add(ae_curve *c, double x, double y);
void ae_curve_free(ae_curve *c);

/* The numbers of the objective with their evaluations, gradient norm, learning rate and speed of the runs, and
 * the calibration of reward models, drawn by gnuplot; *bytes is the picture, the caller frees it. */
ae_status ae_plot_draw(const ae_run_curves *runs, size_t n, ae_picture_kind kind, char **bytes,
                       size_t *n_bytes);

/* What a number of the metrics is, with its unit: "loss, nats per token"; NULL: it has its name alone. Words differ
 * with the stage of runs[0]. */
const char *ae_plot_words(const char *name, const ae_run_curves *runs);
/* Of run or row k: "#1f5fa8". */
const char *ae_plot_colour(size_t k);
const char *ae_plot_faint_colour(size_t k); /* a pale tint of it */

/* A page that needs no other file and no script. Runs of one stage, and of one method of rlhf, make a section, in the
 * order given: pictures, a table of figures, configuration and last samples of each run. Runs of rlhf that were
 * evaluated are compared (cli/method_table.h, cli/plot_frontier.h). */
ae_status ae_plot_report(const ae_run_curves *runs, size_t n, char **html, size_t *n_bytes);

/* The table of figures in it. */
void ae_plot_figures_html(FILE *f, const ae_run_curves *runs, size_t n);

/* Where the time of profiles goes (files of `aerie bench ... --profile --json`), side by side: a bar an op,
 * as long as its time, and dark as far as the machine's limits alone would take. One file of `aerie bench throughput
 * --json`: cli/plot_throughput.h. */
ae_status ae_plot_bench(const char *const *paths, size_t n, ae_picture_kind kind, char **bytes,
                        size_t *n_bytes);

#endif
