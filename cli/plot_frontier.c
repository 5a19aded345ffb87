#include "cli/plot_frontier.h"

#include "rlhf/best_of_n.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const ae_run_curves *runs;
    size_t n;
    const ae_method_table *table;
} frontier;

static bool is_best_of_n(const ae_run_curves *run) {
    return strcmp(run->stage.method, "best_of_n") == 0;
}

/* y at x; NaN: there is none. */
static double at(const ae_curve *c, double x) {
    for (size_t i = 0; c && i < c->n; i++)
        if (c->points[i].x == x) return c->points[i].y;
    return (double)NAN;
}

static double divergence(const ae_run_curves *run, double step) {
    const double kl = at(ae_curve_list_find(&run->evaluations, "eval_kl"), step);
    return isfinite(kl) || !is_best_of_n(run) || step < 1 ? kl : ae_best_of_n_kl_bound((int64_t)step);
}

/* How many points a run has; written to f where it is not NULL. */
static size_t points(FILE *f, const ae_run_curves *run) {
    const ae_curve *reward = ae_curve_list_find(&run->evaluations, "eval_reward");
    size_t n = 0;
    if (run->stage.kind != AE_STAGE_RLHF) return 0;
    for (size_t i = 0; reward && i < reward->n; i++) {
        const double kl = divergence(run, reward->points[i].x);
        if (!isfinite(kl)) continue;
        if (f) fprintf(f, "%.9g %.9g\n", kl, reward->points[i].y);
        n++;
    }
    return n;
}

bool ae_plot_has_frontier(const ae_run_curves *runs, size_t n) {
    for (size_t r = 0; r < n; r++)
        if (points(NULL, &runs[r]) > 0) return true;
    return false;
}

/* Runs of one row share a colour, and its label stands at the first. */
static void write_line(FILE *f, const frontier *c, size_t r) {
    const ae_method_row *row = ae_method_table_row_of(c->table, r);
    const size_t number = row ? (size_t)(row - c->table->rows) : 0;
    const bool best = is_best_of_n(&c->runs[r]);
    fprintf(f, ", $run_%zu with linespoints lw 2 pt %d ps 0.7%s lc rgb \"%s\" ", r, best ? 5 : 7,
            best ? " dt 2" : "", ae_plot_colour(number));
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
