#include "cli/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS_MAX = 1200, SMOOTH_SHARE = 40 }; /* smoothed over a 40th of the steps */

static const struct {
    const char *strong, *faint;
} colours[] = {{"#1f5fa8", "#b9d0ea"}, {"#c8501e", "#f0c7b2"}, {"#2f8f4e", "#bfe0ca"},
               {"#7a4fa3", "#d9cbe8"}, {"#a67c00", "#ead9a6"}, {"#0f8b8d", "#b3dedf"},
               {"#a8325e", "#ebbfd0"}, {"#555555", "#cccccc"}};
enum { N_COLOURS = sizeof colours / sizeof *colours };

/* Labels of an axis in powers of ten and between: gnuplot's own are too few for half a decade. */
static void write_log_tics(FILE *f, double lo, double hi) {
    static const double marks[] = {1, 1.5, 2, 2.5, 3, 4, 5, 6, 8};
    const char *comma = "";
    fputs("set logscale y\nset ytics (", f);
    const int first = (int)floor(log10(lo)), last = (int)floor(log10(hi));
    for (int decade = first; decade <= last; decade++)
        for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
            const double y = marks[i] * pow(10, decade);
            const bool is_shown = hi / lo < 12 || i == 0 || (hi / lo < 200 && (i == 2 || i == 6));
            if (y < lo / 1.2 || y > hi * 1.2 || !is_shown) continue;
            fprintf(f, "%s\"%.3g\" %.9g", comma, y, y);
            comma = ", ";
        }
    fprintf(f, ")\nset yrange [%.9g:%.9g]\n", lo / 1.05, hi * 1.05);
}

typedef struct {
    double lo, hi;
} extent;

static void widen(extent *e, const ae_curve *c) {
    for (size_t i = 0; i < c->n; i++) {
        const double y = c->points[i].y;
        if (!(e->lo <= y)) e->lo = y;
        if (!(e->hi >= y)) e->hi = y;
    }
}

/* Data blocks $NAME_RUN: as it is, thinned, and for wavering curves smoothed. */
static ae_status write_block(FILE *f, const char *name, size_t run, const ae_curve *c, double span) {
    ae_curve drawn = {0};
    const ae_status st = ae_curve_smooth(&drawn, c, span);
    if (st == AE_OK) {
        ae_curve_thin(&drawn, POINTS_MAX);
        fprintf(f, "$%s_%zu << EOD\n", name, run);
        for (size_t i = 0; i < drawn.n; i++) fprintf(f, "%.9g %.9g\n", drawn.points[i].x, drawn.points[i].y);
        fputs("EOD\n", f);
    }
    ae_curve_free(&drawn);
    return st;
}

static ae_status write_data(FILE *f, const ae_run_curves *runs, size_t n) {
    static const char *const names[AE_PLOT_CURVES] = {"loss", "eval", "lr", "norm", "speed"};
    ae_status st = AE_OK;
    for (size_t r = 0; r < n; r++)
        for (size_t k = 0; st == AE_OK && k < AE_PLOT_CURVES; k++) {
            const ae_curve *c = &runs[r].curves[k];
            char smooth[16];
            snprintf(smooth, sizeof smooth, "%s_s", names[k]);
            st = write_block(f, names[k], r, c, 1);
            if (st == AE_OK) st = write_block(f, smooth, r, c, (double)c->n / SMOOTH_SHARE);
        }
    return st;
}

/* One of the four parts. */
typedef struct {
    const char *title, *name; /* name: of its data blocks */
    int curve;
    bool wavers, may_be_log;
} part;
static const part parts[] = {{"loss, nats per token", "loss", AE_PLOT_LOSS, true, true},
                             {"gradient norm, before clipping", "norm", AE_PLOT_NORM, true, true},
                             {"learning rate", "lr", AE_PLOT_LR, false, false},
                             {"tokens per second", "speed", AE_PLOT_SPEED, true, false}};

static extent extent_of(const part *p, const ae_run_curves *runs, size_t n) {
    extent e = {(double)NAN, (double)NAN};
    for (size_t r = 0; r < n; r++) {
        widen(&e, &runs[r].curves[p->curve]);
        if (p->curve == AE_PLOT_LOSS) widen(&e, &runs[r].curves[AE_PLOT_EVAL]);
    }
    return e;
}

/* Speeds as people say them: 2500, 120000. */
static const char *label_format(const part *p, extent e) {
    return p->curve == AE_PLOT_SPEED && e.hi >= 10 ? "%.0f" : "%.4g";
}

/* Logarithmic where the values span more than a factor of 3, which is when a straight axis hides the end of a run. */
static void write_axes(FILE *f, const part *p, extent e) {
    fprintf(f, "set title \"%s\"\nunset logscale y\nset ytics auto\nset yrange [*:*]\n", p->title);
    fprintf(f, "set format y \"%s\"\n", label_format(p, e));
    if (p->may_be_log && e.lo > 0 && e.hi > 3 * e.lo)
        write_log_tics(f, e.lo, e.hi);
    else if (!p->may_be_log)
        fputs("set yrange [0:*]\n", f);
}

static void write_train_curve(FILE *f, const part *p, const ae_run_curves *run, size_t r, bool alone) {
    const char *strong = colours[r % N_COLOURS].strong;
    fprintf(f, ", $%s%s_%zu with lines lw 2 lc rgb \"%s\" ", p->name, p->wavers ? "_s" : "", r, strong);
    if (p->curve == AE_PLOT_LOSS)
        fprintf(f, "title \"%s%s\"", alone ? "training" : run->name, alone ? "" : ", training");
    else
        fputs("notitle", f);
}

static void write_part(FILE *f, const part *p, const ae_run_curves *runs, size_t n) {
    write_axes(f, p, extent_of(p, runs, n));
    fputs("plot NaN notitle", f); /* a part without points stays empty */
    for (size_t r = 0; r < n; r++)
        if (p->wavers && runs[r].curves[p->curve].n)
            fprintf(f, ", $%s_%zu with lines lw 1 lc rgb \"%s\" notitle", p->name, r,
                    colours[r % N_COLOURS].faint);
    for (size_t r = 0; r < n; r++) {
        if (runs[r].curves[p->curve].n) write_train_curve(f, p, &runs[r], r, n == 1);
        if (p->curve != AE_PLOT_LOSS || !runs[r].curves[AE_PLOT_EVAL].n) continue;
        fprintf(f, ", $eval_%zu with linespoints lw 1.5 dt 2 pt 7 ps 0.6 lc rgb \"%s\" title \"%s%s\"", r,
                n == 1 ? "#c8501e" : colours[r % N_COLOURS].strong, n == 1 ? "" : runs[r].name,
                n == 1 ? "held out" : ", held out");
    }
    fputc('\n', f);
}

static double last_step(const ae_run_curves *runs, size_t n) {
    double last = 1;
    for (size_t r = 0; r < n; r++)
        for (size_t k = 0; k < AE_PLOT_CURVES; k++) {
            const ae_curve *c = &runs[r].curves[k];
            if (c->n && c->points[c->n - 1].x > last) last = c->points[c->n - 1].x;
        }
    return last;
}

typedef struct {
    const ae_run_curves *runs;
    size_t n;
} curves;

static ae_status write_script(FILE *f, const void *what) {
    const ae_run_curves *runs = ((const curves *)what)->runs;
    const size_t n = ((const curves *)what)->n;
    const ae_status st = write_data(f, runs, n);
    fputs("set multiplot layout 2,2 margins 0.06,0.975,0.08,0.95 spacing 0.075,0.13\n"
          "set border 3 lc rgb \"#777777\"\nset tics nomirror textcolor rgb \"#333333\"\n"
          "set grid lc rgb \"#e4e4e4\" lt 1 lw 0.7\nset key noenhanced top right samplen 2\n"
          "set format x \"%.12g\"\nset xlabel \"step\" offset 0,0.5\n",
          f);
    fprintf(f, "set xrange [0:%.9g]\n", last_step(runs, n));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) write_part(f, &parts[i], runs, n);
    fputs("unset multiplot\n", f);
    return st;
}

ae_status ae_plot_draw(const ae_run_curves *runs, size_t n, ae_picture_kind kind, char **bytes,
                       size_t *n_bytes) {
    const ae_gnuplot_size size = {1500, 1000};
    return ae_gnuplot_draw(write_script, &(const curves){runs, n}, &size, kind, bytes, n_bytes);
}
