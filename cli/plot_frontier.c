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

/* Where a run was at one of its evaluations. */
typedef struct {
    double kl, reward;
} place;

static size_t add_place(place *out, size_t n, double kl, double reward) {
    if (!isfinite(kl) || !isfinite(reward)) return n;
    if (out) out[n] = (place){kl, reward};
    return n + 1;
}

/* The places of a run, in order; returns how many there are. `out` NULL: only that. */
static size_t places(place *out, const ae_run_curves *run) {
    const ae_curve *reward = ae_curve_list_find(&run->evaluations, "eval_reward"),
                   *kl = ae_curve_list_find(&run->evaluations, "eval_kl");
    size_t n = 0;
    if (run->stage.kind != AE_STAGE_RLHF) return 0;
    for (size_t i = 0; i < run->tradeoff.n; i++)
        n = add_place(out, n, run->tradeoff.points[i].kl, run->tradeoff.points[i].reward);
    for (size_t i = 0; reward && i < reward->n; i++)
        n = add_place(out, n, at(kl, reward->points[i].x), reward->points[i].y);
    return n;
}

bool ae_plot_has_frontier(const ae_run_curves *runs, size_t n) {
    for (size_t r = 0; r < n; r++)
        if (places(NULL, &runs[r]) > 0) return true;
    return false;
}

/* A run in a folder with a line of its own is none beside it. */
static bool is_drawn(const frontier *c, size_t r) {
    return places(NULL, &c->runs[r]) > 0 && ae_method_table_owner(c->runs, c->n, r) == r;
}

/* Whether the runs of a row have as many places each, so that a line can go through their means. */
static bool has_mean(const frontier *c, const ae_method_row *row) {
    if (row->n < 2) return false;
    for (size_t i = 1; i < row->n; i++)
        if (places(NULL, &c->runs[row->runs[i]]) != places(NULL, &c->runs[row->runs[0]])) return false;
    return true;
}

static void write_places(FILE *f, const char *name, size_t k, const place *p, size_t n) {
    fprintf(f, "$%s_%zu << EOD\n", name, k);
    for (size_t i = 0; i < n; i++) fprintf(f, "%.9g %.9g\n", p[i].kl, p[i].reward);
    fputs("EOD\n", f);
}

static ae_status write_run(FILE *f, const frontier *c, size_t r) {
    const size_t n = places(NULL, &c->runs[r]);
    place *p = calloc(n, sizeof *p);
    if (!p) return AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory");
    places(p, &c->runs[r]);
    write_places(f, "run", r, p, n);
    free(p);
    return AE_OK;
}

static ae_status write_mean(FILE *f, const frontier *c, size_t k) {
    const ae_method_row *row = &c->table->rows[k];
    const size_t n = places(NULL, &c->runs[row->runs[0]]);
    place *p = calloc(2 * n + 1, sizeof *p), *mean = p + n;
    if (!p) return AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory");
    for (size_t i = 0; i < row->n; i++) {
        places(p, &c->runs[row->runs[i]]);
        for (size_t j = 0; j < n; j++) {
            mean[j].kl += p[j].kl / (double)row->n;
            mean[j].reward += p[j].reward / (double)row->n;
        }
    }
    write_places(f, "mean", k, mean, n);
    free(p);
    return AE_OK;
}

static ae_status write_data(FILE *f, const frontier *c) {
    ae_status st = AE_OK;
    for (size_t r = 0; r < c->n && st == AE_OK; r++)
        if (is_drawn(c, r)) st = write_run(f, c, r);
    for (size_t k = 0; k < c->table->n && st == AE_OK; k++)
        if (has_mean(c, &c->table->rows[k])) st = write_mean(f, c, k);
    return st;
}

/* Of what is no run, best_of_n and WARP, dashes and squares. */
static void write_style(FILE *f, const ae_run_curves *run) {
    const bool no_run = run->tradeoff.n > 0;
    fprintf(f, "pt %d ps 0.7%s ", no_run ? 5 : 7, no_run ? " dt 2" : "");
}

/* Runs of one row share a colour; they are faint where their mean is drawn, which then has the label. */
static void write_line(FILE *f, const frontier *c, size_t r) {
    const ae_method_row *row = ae_method_table_row_of(c->table, r);
    const size_t number = row ? (size_t)(row - c->table->rows) : 0;
    const bool faint = row && has_mean(c, row);
    fprintf(f, ", $run_%zu with linespoints lw %d ", r, faint ? 1 : 2);
    write_style(f, &c->runs[r]);
    fprintf(f, "lc rgb \"%s\" ", faint ? ae_plot_faint_colour(number) : ae_plot_colour(number));
    if (row && row->runs[0] == r && !faint)
        fprintf(f, "title \"%s\"", row->label);
    else
        fputs("notitle", f);
}

static void write_mean_line(FILE *f, const frontier *c, size_t k) {
    const ae_method_row *row = &c->table->rows[k];
    fprintf(f, ", $mean_%zu with linespoints lw 2.5 ", k);
    write_style(f, &c->runs[row->runs[0]]);
    fprintf(f, "lc rgb \"%s\" title \"%s, mean of %zu\"", ae_plot_colour(k), row->label, row->n);
}

static ae_status write_script(FILE *f, const void *what) {
    const frontier *c = what;
    const ae_status st = write_data(f, c);
    fputs(
        "set border 3 lc rgb \"#777777\"\nset tics nomirror textcolor rgb \"#333333\"\n"
        "set grid lc rgb \"#e4e4e4\" lt 1 lw 0.7\nset key noenhanced bottom right samplen 2\n"
        "set title \"held-out reward against divergence\"\n"
        "set xlabel \"KL from the reference, nats an answer\"\nset ylabel \"mean reward\"\nset xrange [0:*]\n"
        "plot NaN notitle",
        f);
    for (size_t r = 0; r < c->n; r++)
        if (is_drawn(c, r)) write_line(f, c, r);
    for (size_t k = 0; k < c->table->n; k++)
        if (has_mean(c, &c->table->rows[k])) write_mean_line(f, c, k);
    fputc('\n', f);
    return st;
}

ae_status ae_plot_frontier(const ae_run_curves *runs, size_t n, const ae_method_table *t,
                           ae_picture_kind kind, char **bytes, size_t *n_bytes) {
    static const ae_gnuplot_size size = {900, 620};
    const frontier c = {runs, n, t};
    return ae_gnuplot_draw(write_script, &c, &size, kind, bytes, n_bytes);
}
