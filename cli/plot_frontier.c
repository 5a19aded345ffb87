#include "cli/plot_frontier.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const ae_run_curves *runs;
    size_t n;
    const ae_method_table *table;
} frontier;

/* y at x; NaN: there is none. */
static double at(const ae_curve *c, double x) {
    for (size_t i = 0; c && i < c->n; i++)
        if (c->points[i].x == x) return c->points[i].y;
    return (double)NAN;
}

/* Those that have both, written to f where it is not NULL. */
static size_t add_point(FILE *f, double kl, double reward) {
    if (!isfinite(kl) || !isfinite(reward)) return 0;
    if (f) fprintf(f, "%.9g %.9g\n", kl, reward);
    return 1;
}

/* How many points a run has. */
static size_t points(FILE *f, const ae_run_curves *run) {
    const ae_curve *reward = ae_curve_list_find(&run->evaluations, "eval_reward"),
                   *kl = ae_curve_list_find(&run->evaluations, "eval_kl");
    size_t n = 0;
    if (run->stage.kind != AE_STAGE_RLHF) return 0;
    for (size_t i = 0; i < run->tradeoff.n; i++)
        n += add_point(f, run->tradeoff.points[i].kl, run->tradeoff.points[i].reward);
    for (size_t i = 0; reward && i < reward->n; i++)
        n += add_point(f, at(kl, reward->points[i].x), reward->points[i].y);
    return n;
}

bool ae_plot_has_frontier(const ae_run_curves *runs, size_t n) {
    for (size_t r = 0; r < n; r++)
        if (points(NULL, &runs[r]) > 0) return true;
    return false;
}

/* Runs of one row share a colour, also with the runs in its folder, and its label stands at the first. */
static void write_line(FILE *f, const frontier *c, size_t r) {
    const ae_method_row *row = ae_method_table_row_of(c->table, ae_method_table_owner(c->runs, c->n, r));
    const size_t number = row ? (size_t)(row - c->table->rows) : 0;
    const bool no_run = c->runs[r].tradeoff.n > 0;
    fprintf(f, ", $run_%zu with linespoints lw 2 pt %d ps 0.7%s lc rgb \"%s\" ", r, no_run ? 5 : 7,
            no_run ? " dt 2" : "", ae_plot_colour(number));
    if (row && row->runs[0] == r)
        fprintf(f, "title \"%s\"", row->label);
    else
        fputs("notitle", f);
}

static ae_status write_script(FILE *f, const void *what) {
    const frontier *c = what;
    for (size_t r = 0; r < c->n; r++) {
        if (points(NULL, &c->runs[r]) == 0) continue;
        fprintf(f, "$run_%zu << EOD\n", r);
        points(f, &c->runs[r]);
        fputs("EOD\n", f);
    }
    fputs(
        "set border 3 lc rgb \"#777777\"\nset tics nomirror textcolor rgb \"#333333\"\n"
        "set grid lc rgb \"#e4e4e4\" lt 1 lw 0.7\nset key noenhanced bottom right samplen 2\n"
        "set title \"held-out reward against divergence\"\n"
        "set xlabel \"KL from the reference, nats an answer\"\nset ylabel \"mean reward\"\nset xrange [0:*]\n"
        "plot NaN notitle",
        f);
    for (size_t r = 0; r < c->n; r++)
        if (points(NULL, &c->runs[r]) > 0) write_line(f, c, r);
    fputc('\n', f);
    return AE_OK;
}

ae_status ae_plot_frontier(const ae_run_curves *runs, size_t n, const ae_method_table *t,
                           ae_picture_kind kind, char **bytes, size_t *n_bytes) {
    static const ae_gnuplot_size size = {900, 620};
    const frontier c = {runs, n, t};
    return ae_gnuplot_draw(write_script, &c, &size, kind, bytes, n_bytes);
}
