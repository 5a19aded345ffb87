#include "cli/plot.h"
#include "cli/plot_throughput.h"
#include "core/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 4, BARS_MAX = 14, WIDTH = 760, LINE = 34, FRAME = 150 };

typedef struct {
    const json_t *root, *profile;
    size_t bars; /* ops shown; the others are one bar more, with "other" */
} chart;

typedef struct {
    chart charts[FILES_MAX];
    size_t n, lines; /* lines: of the longest chart */
} charts;

/* That of a step of training, or of a token after the first prefill. */
static const json_t *profile_of(const json_t *root) {
    const json_t *round = json_array_get(json_object_get(root, "rounds"), 0);
    const json_t *own = json_object_get(root, "profile");
    return own ? own : json_object_get(round, "profile");
}

static ae_status take_chart(chart *c, json_t *root, const char *path) {
    const json_t *ops;
    double step_s = 0;
    *c = (chart){.root = root, .profile = profile_of(root)};
    ops = json_object_get(c->profile, "ops");
    if (!json_is_array(ops))
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: expected a result of bench train or decode with --profile --json, found no profile", path);
    const ae_status st = ae_json_real(c->profile, "step_s", path, &step_s);
    if (st == AE_OK && !(step_s > 0)) return AE_FAIL(AE_ERR_INPUT, "%s: step_s: expected more than 0", path);
    c->bars = json_array_size(ops) < BARS_MAX ? json_array_size(ops) : BARS_MAX;
    return st;
}

static double number(const json_t *o, const char *key) {
    return json_number_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* Lines of: place, milliseconds, milliseconds at the limits, name, label. The longest bar stands on top. */
static void write_bars(FILE *f, const chart *c, size_t k) {
    const double step_s = number(c->profile, "step_s");
    const json_t *op;
    double rest_s = step_s;
    size_t i;
    fprintf(f, "$bars_%zu << EOD\n", k);
    json_array_foreach(json_object_get(c->profile, "ops"), i, op) {
        const double seconds = number(op, "seconds"), roofline = fmin(1, number(op, "roofline"));
        if (i >= c->bars) break;
        rest_s -= seconds;
        fprintf(f, "%zu %.6g %.6g \"", i, 1e3 * seconds, 1e3 * seconds * roofline);
        ae_gnuplot_label(f, text(op, "op"));
        fprintf(f, "\" \"%.1f %%%s", 100 * seconds / step_s, *text(op, "bound") ? ", " : "");
        ae_gnuplot_label(f, text(op, "bound"));
        if (*text(op, "bound")) fprintf(f, " %.0f %%", 100 * number(op, "roofline"));
        fputs("\"\n", f);
    }
    fprintf(f, "%zu %.6g 0 \"the rest\" \"%.1f %%\"\nEOD\n", c->bars, 1e3 * fmax(0, rest_s),
            100 * rest_s / step_s);
}

static void write_chart(FILE *f, const chart *c, size_t k, size_t lines) {
    const double step_s = number(c->profile, "step_s"),
                 first = number(json_array_get(json_object_get(c->profile, "ops"), 0), "seconds");
    fprintf(f, "set title \"");
    ae_gnuplot_label(f, text(c->root, "bench"));
    fputc(' ', f);
    ae_gnuplot_label(f, text(c->root, "shape"));
    fputc(' ', f);
    ae_gnuplot_label(f, text(c->root, "dtype"));
    fprintf(f, ": a %s of %.*f ms\"\n", text(c->profile, "unit"), step_s < 0.1 ? 2 : 0, 1e3 * step_s);
    fprintf(f, "set yrange [%zu.7:-0.7]\nset xrange [0:%.6g]\n", lines, 1.75e3 * fmax(first, 1e-9));
    fprintf(f,
            "plot $bars_%zu using ($2/2):1:($2/2):(0.36):ytic(4) with boxxyerror fs solid noborder lc rgb "
            "\"#b9d0ea\" notitle, "
            "$bars_%zu using ($3/2):1:($3/2):(0.36) with boxxyerror fs solid noborder lc rgb \"#1f5fa8\" "
            "notitle, "
            "$bars_%zu using 2:1:5 with labels left offset 0.6,0 notitle\n",
            k, k, k);
}

static ae_status write_script(FILE *f, const void *what) {
    const charts *c = what;
    for (size_t k = 0; k < c->n; k++) write_bars(f, &c->charts[k], k);
    fprintf(f,
            "set multiplot layout 1,%zu title \"time of each op; dark: what the machine's limits alone would "
            "take\\n"
            "share of the time, what bounds the op, and how much of that bound it reaches\"\n"
            "set border 1 lc rgb \"#777777\"\nset tics nomirror textcolor rgb \"#333333\"\nset ytics scale 0 "
            "noenhanced\n"
            "set xlabel \"milliseconds\"\nset grid x lc rgb \"#e4e4e4\" lt 1 lw 0.7\n",
            c->n);
    for (size_t k = 0; k < c->n; k++) write_chart(f, &c->charts[k], k, c->lines);
    fputs("unset multiplot\n", f);
    return AE_OK;
}

ae_status ae_plot_bench(const char *const *paths, size_t n, ae_picture_kind kind, char **bytes,
                        size_t *n_bytes) {
    charts c = {0};
    json_t *roots[FILES_MAX] = {0};
    ae_status st = AE_OK;
    *bytes = NULL;
    if (n < 1 || n > FILES_MAX)
        return AE_FAIL(AE_ERR_USAGE, "--bench: expected 1 to %d files, found %zu", FILES_MAX, n);
    for (; c.n < n; c.n++) {
        AE_TRY(ae_json_load(&roots[c.n], paths[c.n]));
        if (n == 1 && ae_plot_is_throughput(roots[0])) {
            st = ae_plot_throughput(roots[0], paths[0], kind, bytes, n_bytes);
            goto out;
        }
        AE_TRY(take_chart(&c.charts[c.n], roots[c.n], paths[c.n]));
        if (c.charts[c.n].bars > c.lines) c.lines = c.charts[c.n].bars;
    }
    const ae_gnuplot_size size = {(int)n * WIDTH + (n == 1 ? WIDTH / 4 : 0), (int)c.lines * LINE + FRAME};
    st = ae_gnuplot_draw(write_script, &c, &size, kind, bytes, n_bytes);
out:
    for (size_t i = 0; i < FILES_MAX; i++) json_decref(roots[i]);
    return st;
}
