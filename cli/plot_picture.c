#include "cli/plot.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS_MAX = 1200, SMOOTH_SHARE = 40 }; /* smoothed over a 40th of the steps */

static const struct {
    const char *strong, *faint;
} colours[] = {{"#1f5fa8", "#b9d0ea"}, {"#c8501e", "#f0c7b2"}, {"#2f8f4e", "#bfe0ca"},
               {"#7a4fa3", "#d9cbe8"}, {"#a67c00", "#ead9a6"}, {"#0f8b8d", "#b3dedf"},
               {"#a8325e", "#ebbfd0"}, {"#555555", "#cccccc"}, {"#d4a017", "#f3e3b3"},
               {"#6b8e23", "#d5e0bd"}, {"#4169e1", "#c6d1f5"}, {"#8b4513", "#dcc5b4"}};
enum { N_COLOURS = sizeof colours / sizeof *colours };

const char *ae_plot_colour(size_t k) {
    return colours[k % N_COLOURS].strong;
}

const char *ae_plot_faint_colour(size_t k) {
    return colours[k % N_COLOURS].faint;
}

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

/* One part of the picture: a number of the steps, an evaluation, or both. */
typedef struct {
    const char *name, *evaluation; /* NULL: none */
    bool wavers, may_be_log;
} part;

typedef struct {
    part *items;
    size_t n;
} part_list;

static const part engine_parts[] = {
    {"grad_norm", NULL, true, true}, {"lr", NULL, false, false}, {"tokens_per_s", NULL, true, false}};
enum { N_ENGINE_PARTS = sizeof engine_parts / sizeof *engine_parts };

static bool has_part(const part_list *l, const char *name) {
    for (size_t i = 0; i < l->n; i++)
        if ((l->items[i].name && strcmp(l->items[i].name, name) == 0) ||
            (l->items[i].evaluation && strcmp(l->items[i].evaluation, name) == 0))
            return true;
    return false;
}

/* The evaluation of a number, eval_loss of loss, where a run has it. */
static const char *evaluation_of(const ae_run_curves *runs, size_t n, const char *name) {
    static const char *const others[][2] = {
        {"reward_mean", "reward"}, {"length_mean", "length"}, {"truncated_fraction", "truncated"}};
    for (size_t k = 0; k < sizeof others / sizeof *others; k++)
        if (runs[0].stage.kind == AE_STAGE_RLHF && strcmp(others[k][0], name) == 0) name = others[k][1];
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < runs[r].evaluations.n; i++)
            if (strcmp(runs[r].evaluations.items[i].name + sizeof "eval_" - 1, name) == 0)
                return runs[r].evaluations.items[i].name;
    return NULL;
}

static size_t most_parts(const ae_run_curves *runs, size_t n) {
    size_t most = N_ENGINE_PARTS;
    for (size_t r = 0; r < n; r++) most += runs[r].steps.n + runs[r].evaluations.n;
    return most;
}

/* NULL: this run has none, or no point of it. */
static const ae_curve *curve_of(const ae_curve_list *l, const char *name) {
    const ae_curve *c = name ? ae_curve_list_find(l, name) : NULL;
    return c && c->n ? c : NULL;
}

/* The curve of the evaluation's lower or upper bound, eval_accuracy_low of eval_accuracy; NULL: it has none. */
static const ae_curve *bound_of(const ae_run_curves *run, const char *evaluation, const char *end) {
    char name[128];
    if (!evaluation || snprintf(name, sizeof name, "%s%s", evaluation, end) >= (int)sizeof name) return NULL;
    const ae_curve *values = curve_of(&run->evaluations, evaluation),
                   *bound = curve_of(&run->evaluations, name);
    return values && bound && bound->n == values->n ? bound : NULL;
}

/* Whether an evaluation is the bound of another one, drawn as a bar around that. */
static bool is_bound(const ae_run_curves *run, const char *evaluation) {
    for (size_t i = 0; i < run->evaluations.n; i++) {
        const char *name = run->evaluations.items[i].name;
        const size_t n = strlen(name);
        if (strncmp(evaluation, name, n) == 0 &&
            (!strcmp(evaluation + n, "_low") || !strcmp(evaluation + n, "_high")))
            return bound_of(run, name, evaluation + n) != NULL;
    }
    return false;
}

/* A part in which no run has a point is left out: gnuplot refuses to draw it. */
static void add_part(part_list *l, const part *p, const ae_run_curves *runs, size_t n) {
    for (size_t r = 0; r < n; r++)
        if (curve_of(&runs[r].steps, p->name) || curve_of(&runs[r].evaluations, p->evaluation)) {
            l->items[l->n++] = *p;
            return;
        }
}

/* What the objectives tell, in the order in which the runs have it; then the evaluations that stand alone;
 * then what the engine tells. */
static ae_status list_parts(part_list *l, const ae_run_curves *runs, size_t n) {
    *l = (part_list){.items = calloc(most_parts(runs, n), sizeof *l->items)};
    if (!l->items) return AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory");
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < runs[r].steps.n; i++) {
            const char *name = runs[r].steps.items[i].name;
            if (!ae_plot_is_engine_key(name) && !has_part(l, name))
                add_part(l, &(part){name, evaluation_of(runs, n, name), true, true}, runs, n);
        }
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < runs[r].evaluations.n; i++) {
            const char *name = runs[r].evaluations.items[i].name;
            if (!has_part(l, name) && !is_bound(&runs[r], name))
                add_part(l, &(part){NULL, name, true, true}, runs, n);
        }
    for (size_t i = 0; i < N_ENGINE_PARTS; i++) add_part(l, &engine_parts[i], runs, n);
    return AE_OK;
}

/* The interval of each evaluation, where the run has it: step, value, bounds. */
static void write_intervals(FILE *f, size_t k, size_t r, const ae_run_curves *run, const char *evaluation) {
    const ae_curve *e = curve_of(&run->evaluations, evaluation), *low = bound_of(run, evaluation, "_low"),
                   *high = bound_of(run, evaluation, "_high");
    if (!low || !high) return;
    fprintf(f, "$part%zu_i_%zu << EOD\n", k, r);
    for (size_t i = 0; i < e->n; i++)
        fprintf(f, "%.9g %.9g %.9g %.9g\n", e->points[i].x, e->points[i].y, low->points[i].y,
                high->points[i].y);
    fputs("EOD\n", f);
}

/* Blocks of part 2 and run 0: $part2_0, smoothed $part2_s_0, evaluated $part2_e_0 with intervals $part2_i_0. */
static ae_status write_data(FILE *f, const part_list *l, const ae_run_curves *runs, size_t n) {
    ae_status st = AE_OK;
    char name[48];
    for (size_t r = 0; r < n; r++)
        for (size_t k = 0; k < l->n && st == AE_OK; k++) {
            const ae_curve *c = curve_of(&runs[r].steps, l->items[k].name),
                           *e = curve_of(&runs[r].evaluations, l->items[k].evaluation);
            snprintf(name, sizeof name, "part%zu", k);
            if (c) st = write_block(f, name, r, c, 1);
            snprintf(name, sizeof name, "part%zu_s", k);
            if (c && st == AE_OK) st = write_block(f, name, r, c, (double)c->n / SMOOTH_SHARE);
            snprintf(name, sizeof name, "part%zu_e", k);
            if (e && st == AE_OK) st = write_block(f, name, r, e, 1);
            if (e && st == AE_OK) write_intervals(f, k, r, &runs[r], l->items[k].evaluation);
        }
    return st;
}

static extent extent_of(const part *p, const ae_run_curves *runs, size_t n) {
    extent e = {(double)NAN, (double)NAN};
    for (size_t r = 0; r < n; r++) {
        const ae_curve *const all[] = {
            curve_of(&runs[r].steps, p->name), curve_of(&runs[r].evaluations, p->evaluation),
            bound_of(&runs[r], p->evaluation, "_low"), bound_of(&runs[r], p->evaluation, "_high")};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (all[i]) widen(&e, all[i]);
    }
    return e;
}

static bool is_named(const part *p, const char *name) {
    return p->name && strcmp(p->name, name) == 0;
}

/* Speeds as people say them: 2500, 120000. */
static const char *label_format(const part *p, extent e) {
    return is_named(p, "tokens_per_s") && e.hi >= 10 ? "%.0f" : "%.4g";
}

/* A number without words of its own is called by its name. */
static void write_title(FILE *f, const part *p, const ae_run_curves *runs) {
    const char *name = p->name ? p->name : p->evaluation, *words = ae_plot_words(name, runs);
    fputs("set title \"", f);
    if (words)
        fputs(words, f);
    else
        for (; *name; name++) fputc(isalnum((unsigned char)*name) || strchr("./+-", *name) ? *name : ' ', f);
    fputs("\"\n", f);
}

/* Logarithmic where the values span more than a factor of 3, which is when a straight axis hides the end of a
 * run. */
static void write_axes(FILE *f, const part *p, extent e, const ae_run_curves *runs) {
    write_title(f, p, runs);
    fputs("unset logscale y\nset ytics auto\nset yrange [*:*]\n", f);
    fprintf(f, "set format y \"%s\"\n", label_format(p, e));
    if (p->may_be_log && e.lo > 0 && e.hi > 3 * e.lo)
        write_log_tics(f, e.lo, e.hi);
    else if (!p->may_be_log)
        fputs("set yrange [0:*]\n", f);
}

static void write_train_curve(FILE *f, const part *p, size_t k, const ae_run_curves *run, size_t r,
                              bool alone) {
    const char *strong = colours[r % N_COLOURS].strong;
    fprintf(f, ", $part%zu%s_%zu with lines lw 2 lc rgb \"%s\" ", k, p->wavers ? "_s" : "", r, strong);
    if (k == 0 || p->evaluation)
        fprintf(f, "title \"%s%s\"", alone ? "training" : run->name, alone ? "" : ", training");
    else
        fputs("notitle", f);
}

static void write_part(FILE *f, const part *p, size_t k, const ae_run_curves *runs, size_t n) {
    write_axes(f, p, extent_of(p, runs, n), runs);
    fputs("plot NaN notitle", f);
    for (size_t r = 0; r < n; r++)
        if (p->wavers && curve_of(&runs[r].steps, p->name))
            fprintf(f, ", $part%zu_%zu with lines lw 1 lc rgb \"%s\" notitle", k, r,
                    colours[r % N_COLOURS].faint);
    for (size_t r = 0; r < n; r++) {
        if (curve_of(&runs[r].steps, p->name)) write_train_curve(f, p, k, &runs[r], r, n == 1);
        if (!curve_of(&runs[r].evaluations, p->evaluation)) continue;
        const char *colour = n == 1 ? colours[1].strong : colours[r % N_COLOURS].strong;
        fprintf(f, ", $part%zu_e_%zu with linespoints lw 1.5 dt 2 pt 7 ps 0.6 lc rgb \"%s\" title \"%s%s\"",
                k, r, colour, n == 1 ? "" : runs[r].name, n == 1 ? "held out" : ", held out");
        if (bound_of(&runs[r], p->evaluation, "_low") && bound_of(&runs[r], p->evaluation, "_high"))
            fprintf(f, ", $part%zu_i_%zu with yerrorbars lw 1 pt 7 ps 0 lc rgb \"%s\" notitle", k, r, colour);
    }
    fputc('\n', f);
}

static void raise_to_last(double *last, const ae_curve_list *l) {
    for (size_t i = 0; i < l->n; i++) {
        const ae_curve *c = &l->items[i].curve;
        if (c->n && c->points[c->n - 1].x > *last) *last = c->points[c->n - 1].x;
    }
}

static double last_step(const ae_run_curves *runs, size_t n) {
    double last = 1;
    for (size_t r = 0; r < n; r++) {
        raise_to_last(&last, &runs[r].steps);
        raise_to_last(&last, &runs[r].evaluations);
    }
    return last;
}

typedef struct {
    const ae_run_curves *runs;
    size_t n;
    part_list parts;
    bool series; /* each part is a picture of its own */
} curves;

static bool has_calibration(const curves *c) {
    for (size_t r = 0; r < c->n; r++)
        if (c->runs[r].calibration.n) return true;
    return false;
}

static int rows_of(const curves *c) {
    return (int)(c->parts.n + has_calibration(c) + 1) / 2;
}

/* The last part: what was right of what a reward model was so sure of, beside the diagonal. */
static void write_calibration(FILE *f, const curves *c) {
    ae_calibration_write_axes(f);
    fputs("plot x with lines lw 1 dt 2 lc rgb \"#777777\" title \"as often right as sure\"", f);
    for (size_t r = 0; r < c->n; r++) {
        const char *colour = colours[r % N_COLOURS].strong;
        if (!c->runs[r].calibration.n) continue;
        fprintf(f, ", $calibration_%zu with yerrorbars pt 7 ps 0.6 lc rgb \"%s\" notitle", r, colour);
        fprintf(f, ", $calibration_%zu using 1:2 with lines lw 2 lc rgb \"%s\" title \"%s, step %lld\"", r,
                colour, c->n == 1 ? "held out" : c->runs[r].name, (long long)c->runs[r].calibration.step);
    }
    fputc('\n', f);
}

static ae_status write_script(FILE *f, const void *what) {
    const curves *c = what;
    const ae_status st = write_data(f, &c->parts, c->runs, c->n);
    const int rows = rows_of(c);
    for (size_t r = 0; r < c->n; r++)
        if (c->runs[r].calibration.n) ae_calibration_write_data(f, &c->runs[r].calibration, r);
    if (!c->series)
        fprintf(f, "set multiplot layout %d,2 margins 0.06,0.975,%.3g,%.4g spacing 0.075,%.3g\n", rows,
                0.16 / rows, 1 - 0.1 / rows, 0.26 / rows);
    fputs("set border 3 lc rgb \"#777777\"\nset tics nomirror textcolor rgb \"#333333\"\n"
          "set grid lc rgb \"#e4e4e4\" lt 1 lw 0.7\nset key noenhanced top right samplen 2\n"
          "set format x \"%.12g\"\nset xlabel \"step\" offset 0,0.5\n",
          f);
    fprintf(f, "set xrange [0:%.9g]\n", last_step(c->runs, c->n));
    for (size_t i = 0; i < c->parts.n; i++) {
        if (c->series) ae_gnuplot_next(f);
        write_part(f, &c->parts.items[i], i, c->runs, c->n);
    }
    if (has_calibration(c) && c->series) ae_gnuplot_next(f);
    if (has_calibration(c)) write_calibration(f, c);
    fputs(c->series ? "unset output\n" : "unset multiplot\n", f);
    return st;
}

ae_status ae_plot_draw(const ae_run_curves *runs, size_t n, ae_picture_kind kind, char **bytes,
                       size_t *n_bytes) {
    curves c = {.runs = runs, .n = n, .series = kind == AE_PICTURE_SERIES};
    ae_status st = list_parts(&c.parts, runs, n);
    const ae_gnuplot_size size =
        c.series ? (ae_gnuplot_size){600, 425} : (ae_gnuplot_size){1500, 500 * rows_of(&c)};
    const bool empty = st == AE_OK && c.parts.n == 0 && !has_calibration(&c);
    *bytes = NULL;
    *n_bytes = 0;
    if (empty && !c.series)
        st =
            AE_FAIL(AE_ERR_INPUT, "%s: expected numbers over the steps of a run, found none", runs[0].folder);
    if (st == AE_OK && !empty) st = ae_gnuplot_draw(write_script, &c, &size, kind, bytes, n_bytes);
    free(c.parts.items);
    return st;
}
