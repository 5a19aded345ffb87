#include "benchmark/published.h"
#include "cli/plot.h"
#include "cli/plot_eval.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

enum { ROWS_MAX = 64, LABEL_MAX = 40 };

static bool is_share(double x) {
    return !isfinite(x) || (x >= 0 && x <= 1);
}

/* The main rows of tasks that are no part of another. */
static bool is_drawn(const ae_eval_table *t, const ae_eval_row *r) {
    bool any = false;
    for (size_t i = 0; i < t->n_folders; i++) {
        if (!is_share(r->cells[i].value)) return false;
        any |= isfinite(r->cells[i].value) != 0;
    }
    return any && r->is_main && strcmp(r->top, r->task) == 0;
}

bool ae_plot_eval_has_picture(const ae_eval_table *t) {
    for (size_t i = 0; i < t->n; i++)
        if (is_drawn(t, &t->rows[i])) return true;
    return false;
}

/* Of a name, what a script may hold inside quotes. */
static void put_label(FILE *f, const char *name) {
    for (int i = 0; name[i] && i < LABEL_MAX; i++)
        fputc(isalnum((unsigned char)name[i]) || strchr("_-+.,: ()/", name[i]) ? name[i] : '?', f);
}

static double place(const ae_eval_table *t, size_t row, size_t folder) {
    const double step = 0.6 / (double)(t->n_folders + 1);
    return (double)row - 0.3 + step * (double)(folder + 1);
}

static size_t write_folder(FILE *f, const ae_eval_table *t, size_t folder) {
    size_t row = 0;
    fprintf(f, "$folder_%zu << EOD\n", folder);
    for (size_t i = 0; i < t->n && row < ROWS_MAX; i++) {
        const ae_estimate *c = &t->rows[i].cells[folder];
        if (!is_drawn(t, &t->rows[i])) continue;
        if (isfinite(c->value))
            fprintf(f, "%.9g %.9g %.9g %.9g\n", 100 * c->value, place(t, row, folder),
                    100 * (isfinite(c->low) ? c->low : c->value),
                    100 * (isfinite(c->high) ? c->high : c->value));
        row++;
    }
    fputs("EOD\n", f);
    return row;
}

static bool write_published(FILE *f, const ae_eval_table *t, size_t model) {
    size_t row = 0;
    bool any = false;
    fprintf(f, "$published_%zu << EOD\n", model);
    for (size_t i = 0; i < t->n && row < ROWS_MAX; i++) {
        if (!is_drawn(t, &t->rows[i])) continue;
        const double *figures = ae_published_find(t->rows[i].task);
        const bool known = figures && !isnan(figures[model]);
        if (known) fprintf(f, "%.9g %.9g\n", figures[model], (double)row - 0.3);
        any |= known;
        row++;
    }
    fputs("EOD\n", f);
    return any;
}

static void write_names(FILE *f, const ae_eval_table *t) {
    size_t row = 0;
    fputs("set ytics (", f);
    for (size_t i = 0; i < t->n && row < ROWS_MAX; i++) {
        if (!is_drawn(t, &t->rows[i])) continue;
        fputs(row ? ", \"" : "\"", f);
        put_label(f, t->rows[i].task);
        fputs(", ", f);
        put_label(f, t->rows[i].metric);
        fprintf(f, "\" %zu", row++);
    }
    fprintf(f, ") noenhanced\nset yrange [%.1f:-0.6]\n", (double)row - 0.4);
}

static ae_status write_script(FILE *f, const void *what) {
    const ae_eval_table *t = what;
    bool published[AE_PUBLISHED_MODELS];
    for (size_t i = 0; i < t->n_folders; i++) write_folder(f, t, i);
    for (size_t k = 0; k < AE_PUBLISHED_MODELS; k++) published[k] = write_published(f, t, k);
    write_names(f, t);
    fputs("set border 3 lc rgb \"#777777\"\nset tics nomirror textcolor rgb \"#333333\"\n"
          "set grid lc rgb \"#e4e4e4\" lt 1 lw 0.7\nset key noenhanced outside top center horizontal "
          "samplen 1\n"
          "set xlabel \"percent, with intervals of 95 %\"\nset xrange [0:100]\nplot NaN notitle",
          f);
    for (size_t i = 0; i < t->n_folders; i++) {
        fprintf(f, ", $folder_%zu using 1:2:3:4 with xerrorbars pt 7 ps 0.7 lw 1.6 lc rgb \"%s\" title \"", i,
                ae_plot_colour(i));
        put_label(f, ae_eval_folder_label(t->folders, t->n_folders, i));
        fputc('"', f);
    }
    for (size_t k = 0; k < AE_PUBLISHED_MODELS; k++)
        if (published[k])
            fprintf(f,
                    ", $published_%zu with points pt %zu ps 0.7 lc rgb \"#999999\" title \"%s, published\"",
                    k, 4 + 2 * k, ae_published_models[k].model);
    fputc('\n', f);
    return AE_OK;
}

ae_status ae_plot_eval_draw(const ae_eval_table *t, ae_picture_kind kind, char **bytes, size_t *n_bytes) {
    size_t rows = 0;
    for (size_t i = 0; i < t->n; i++) rows += is_drawn(t, &t->rows[i]);
    if (rows == 0)
        return AE_FAIL(AE_ERR_USAGE,
                       "plot: expected a task whose metric is a share between 0 and 1, found none");
    const size_t shown = rows < ROWS_MAX ? rows : ROWS_MAX;
    const ae_gnuplot_size size = {1100, (int)(160 + shown * (30 + 16 * t->n_folders))};
    return ae_gnuplot_draw(write_script, t, &size, kind, bytes, n_bytes);
}
