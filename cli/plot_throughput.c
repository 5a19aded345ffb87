#include "cli/plot_throughput.h"

#include "cli/plot.h"

#include <string.h>

enum { PANEL_WIDTH = 560, PANEL_HEIGHT = 380 };

/* A panel for reading, one for writing with each batch, one for the state. */
typedef struct {
    const json_t *models;
    size_t batches;
} pages;

static const json_t *rounds_of(const pages *p, size_t model) {
    return json_object_get(json_array_get(p->models, model), "rounds");
}

static const json_t *writing_of(const json_t *round, size_t k) {
    return json_array_get(json_object_get(round, "writing"), k);
}

static double number(const json_t *o, const char *key) {
    return json_number_value(json_object_get(o, key));
}

bool ae_plot_is_throughput(const json_t *root) {
    const char *bench = json_string_value(json_object_get(root, "bench"));
    return bench && strcmp(bench, "throughput") == 0;
}

static ae_status take(pages *p, const json_t *root, const char *path) {
    p->models = json_object_get(root, "models");
    const json_t *first = json_array_get(rounds_of(p, 0), 0);
    p->batches = json_array_size(json_object_get(first, "writing"));
    for (size_t i = 0; i < json_array_size(p->models); i++)
        if (json_array_size(rounds_of(p, i)) == 0) p->batches = 0;
    if (p->batches > 0) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a result of bench throughput --json, found no lengths in it",
                   path);
}

/* Lines of: length, tokens a second read, MB of state, tokens a second written by each batch. What there was no memory for is left out. */
static void write_data(FILE *f, const pages *p, size_t model) {
    const json_t *round;
    size_t i;
    fprintf(f, "$model_%zu << EOD\n", model);
    json_array_foreach(rounds_of(p, model), i, round) {
        fprintf(f, "%.0f %.6g %.6g", number(round, "length"), number(round, "read_tokens_per_s"),
                number(round, "state_bytes") / 1e6);
        for (size_t k = 0; k < p->batches; k++) {
            const double rate = number(writing_of(round, k), "tokens_per_s");
            fprintf(f, rate > 0 ? " %.6g" : " NaN", rate);
        }
        fputc('\n', f);
    }
    fputs("EOD\n", f);
}

static void write_panel(FILE *f, const pages *p, const char *title, size_t column, bool logarithmic) {
    fprintf(f, "set title \"%s\"\n%sset logscale y\nset yrange [%s:*]\nplot ", title, logarithmic ? "" : "un",
            logarithmic ? "*" : "0");
    for (size_t i = 0; i < json_array_size(p->models); i++) {
        fprintf(f, "%s$model_%zu using 1:%zu with linespoints lw 2 pt 7 ps 0.7 lc rgb \"%s\" title \"",
                i ? ", " : "", i, column, ae_plot_colour(i));
        ae_gnuplot_label(f, json_string_value(json_object_get(json_array_get(p->models, i), "name")));
        fputc('"', f);
    }
    fputc('\n', f);
}

static ae_status write_script(FILE *f, const void *what) {
    const pages *p = what;
    const json_t *first = json_array_get(rounds_of(p, 0), 0);
    char title[96];
    for (size_t i = 0; i < json_array_size(p->models); i++) write_data(f, p, i);
    fprintf(f,
            "set multiplot layout %zu,2\nset border 3 lc rgb \"#777777\"\n"
            "set tics nomirror textcolor rgb \"#333333\"\nset logscale x 2\nset format x \"%%.0f\"\n"
            "set xlabel \"tokens read before\"\nset grid lc rgb \"#e4e4e4\" lt 1 lw 0.7\n"
            "set key noenhanced bottom left samplen 2\nset offsets graph 0.05, graph 0.05, 0, 0\n",
            (p->batches + 3) / 2);
    write_panel(f, p, "reading, tokens a second", 2, false);
    for (size_t k = 0; k < p->batches; k++) {
        snprintf(title, sizeof title, "writing, tokens a second, %.0f at once",
                 number(writing_of(first, k), "batch"));
        write_panel(f, p, title, 4 + k, false);
    }
    fputs("set key top left\n", f);
    write_panel(f, p, "state of a sequence, MB", 3, true);
    fputs("unset multiplot\n", f);
    return AE_OK;
}

ae_status ae_plot_throughput(const json_t *root, const char *path, ae_picture_kind kind, char **bytes,
                             size_t *n_bytes) {
    pages p;
    const ae_status st = take(&p, root, path);
    if (st != AE_OK) return st;
    const ae_gnuplot_size size = {2 * PANEL_WIDTH, (int)(p.batches + 3) / 2 * PANEL_HEIGHT};
    return ae_gnuplot_draw(write_script, &p, &size, kind, bytes, n_bytes);
}
