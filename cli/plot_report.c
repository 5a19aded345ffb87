#include "cli/plot.h"
#include "core/file.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES_MAX = 3, NAME_BYTES = 256 };

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:1200px;margin:2em "
    "auto;padding:0 1em}"
    "h1{font-size:1.5em;margin:0 0 .2em}h2{font-size:1.15em;margin:1.8em 0 .4em}svg{width:100%;height:auto}"
    "table{border-collapse:collapse}td,th{padding:.25em .9em;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}th{color:#555;font-weight:600}"
    "pre{background:#f6f6f4;padding:.8em "
    "1em;overflow-x:auto;white-space:pre-wrap;font-size:13px;border-radius:4px}"
    "summary{cursor:pointer;color:#1f5fa8}small{color:#666}";

static void put_escaped(FILE *f, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        switch (text[i]) {
        case '&':
            fputs("&amp;", f);
            break;
        case '<':
            fputs("&lt;", f);
            break;
        case '>':
            fputs("&gt;", f);
            break;
        case '"':
            fputs("&quot;", f);
            break;
        default:
            fputc(text[i], f);
        }
    }
}

static void put_text(FILE *f, const char *text) {
    put_escaped(f, text, strlen(text));
}

/* A cell with so many digits; a dash for what is not known. */
static void put_number(FILE *f, double x, int digits, const char *unit) {
    if (isfinite(x))
        fprintf(f, "<td>%.*f%s</td>", digits, x, unit);
    else
        fputs("<td>-</td>", f);
}

static double last_of(const ae_curve *c) {
    return c->n ? c->points[c->n - 1].y : (double)NAN;
}

/* Of the second half, where caches and threads are warm. */
static double mean_speed(const ae_curve *c) {
    const size_t first = c ? c->n / 2 : 0;
    double sum = 0;
    for (size_t i = first; c && i < c->n; i++) sum += c->points[i].y;
    return c && c->n ? sum / (double)(c->n - first) : (double)NAN;
}

static double last_smooth(const ae_curve *c) {
    ae_curve smooth = {0};
    if (!c || ae_curve_smooth(&smooth, c, (double)c->n / 40) != AE_OK) smooth.n = 0;
    const double last = last_of(&smooth);
    ae_curve_free(&smooth);
    return last;
}

static void put_row(FILE *f, const ae_run_curves *r, const char *number, bool has_text) {
    fputs("<tr><td>", f);
    put_text(f, r->name);
    fputs("</td>", f);
    put_number(f, (double)r->step, 0, "");
    put_number(f, (double)r->tokens / 1e6, 2, " M");
    put_number(f, last_smooth(ae_curve_list_find(&r->steps, number)), 4, "");
    put_number(f, r->best_score, 4, "");
    if (has_text) put_number(f, r->best_bits, 4, "");
    put_number(f, r->best_step ? (double)r->best_step : (double)NAN, 0, "");
    put_number(f, mean_speed(ae_curve_list_find(&r->steps, "tokens_per_s")), 0, "");
    put_number(f, 100 * r->flops_fraction, 1, " %");
    put_number(f, r->peak_rss_bytes ? (double)r->peak_rss_bytes / 1e6 : (double)NAN, 0, " MB");
    put_number(f, (double)r->skipped, 0, "");
    fputs("</tr>\n", f);
}

static void put_heading(FILE *f, const char *text) {
    fputs("<th>", f);
    put_text(f, text);
    fputs("</th>", f);
}

static const char *score_name(const ae_run_curves *runs, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (runs[i].evaluations.n) return runs[i].evaluations.items[0].name;
    return "evaluation";
}

static const char text_notes[] =
    "loss: nats per token, smoothed over a fortieth of the steps. Held-out loss and bits per byte: the "
    "lowest so far. ";
static const char other_notes[] =
    "Numbers of steps: smoothed over a fortieth of them. Evaluation: the best so far. ";

/* Of text, loss and bits per byte; of other objectives, rewards among them, the numbers by their names. */
static void put_table(FILE *f, const ae_run_curves *runs, size_t n) {
    const char *number = ae_plot_main_name(runs, n);
    const bool of_pairs = runs[0].calibration.n > 0;
    const bool has_text = !of_pairs && (!number[0] || strcmp(number, "loss") == 0);
    if (has_text) number = "loss";
    fputs("<table><tr><th>run</th><th>steps</th><th>tokens</th>", f);
    put_heading(f, number);
    put_heading(f, has_text ? "held-out loss" : score_name(runs, n));
    if (has_text) put_heading(f, "bits per byte");
    fputs("<th>at step</th><th>tok/s</th><th>of peak</th><th>memory</th><th>skipped</th></tr>\n", f);
    for (size_t i = 0; i < n; i++) put_row(f, &runs[i], number, has_text);
    fprintf(f,
            "</table>\n<p><small>%stok/s: mean of the second half. Of peak: model FLOPs of the last step "
            "over the "
            "machine's measured peak. Skipped: steps whose loss or gradient was not finite.</small></p>\n",
            has_text ? text_notes : other_notes);
}

static void put_file(FILE *f, const char *path) {
    char *text = NULL;
    size_t n = 0;
    if (ae_file_read(path, &text, &n) != AE_OK) return;
    fputs("<pre>", f);
    put_escaped(f, text, n);
    fputs("</pre>\n", f);
    free(text);
}

static void put_config(FILE *f, const char *folder) {
    char *path = ae_path_join(folder, "config.yaml");
    if (ae_path_exists(path)) {
        fputs("<details><summary>configuration</summary>\n", f);
        put_file(f, path);
        fputs("</details>\n", f);
    }
    free(path);
}

static int newest_first(const void *a, const void *b) {
    return strcmp((const char *)b, (const char *)a);
}

/* Names of the last samples (step-000123.txt), newest first. */
static size_t find_samples(const char *folder, char names[SAMPLES_MAX][NAME_BYTES]) {
    size_t n = 0;
    DIR *d = opendir(folder);
    for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        if (strncmp(e->d_name, "step-", 5) != 0) continue;
        char *slot = names[n < SAMPLES_MAX ? n : SAMPLES_MAX - 1];
        if (n >= SAMPLES_MAX && strcmp(e->d_name, slot) < 0) continue;
        snprintf(slot, NAME_BYTES, "%s", e->d_name);
        if (n < SAMPLES_MAX) n++;
        qsort(names, n, NAME_BYTES, newest_first);
    }
    if (d) closedir(d);
    return n;
}

static void put_samples(FILE *f, const char *run) {
    char names[SAMPLES_MAX][NAME_BYTES];
    char *folder = ae_path_join(run, "samples");
    const size_t n = find_samples(folder, names);
    for (size_t i = 0; i < n; i++) {
        char *path = ae_path_join(folder, names[i]);
        fprintf(f, "<p>sample after ");
        put_escaped(f, names[i], strcspn(names[i], "."));
        fputs("</p>\n", f);
        put_file(f, path);
        free(path);
    }
    free(folder);
}

/* The picture from its <svg> on: the XML header before it has no place inside a page. */
static void put_picture(FILE *f, const char *svg, size_t n) {
    const char *start = memmem(svg, n, "<svg", 4);
    if (start) (void)fwrite(start, 1, n - (size_t)(start - svg), f);
}

static void put_page(FILE *f, const ae_run_curves *runs, size_t n, const char *svg, size_t svg_bytes) {
    fprintf(f, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>aerie: ");
    put_text(f, n == 1 ? runs[0].name : "runs");
    fprintf(f, "</title><style>%s</style></head><body>\n<h1>", style);
    for (size_t i = 0; i < n; i++) {
        put_text(f, i ? ", " : "");
        put_text(f, runs[i].name);
    }
    fputs("</h1>\n<p><small>aerie " AERIE_VERSION "</small></p>\n", f);
    put_table(f, runs, n);
    put_picture(f, svg, svg_bytes);
    for (size_t i = 0; i < n; i++) {
        fputs("<h2>", f);
        put_text(f, runs[i].name);
        fputs("</h2>\n", f);
        put_config(f, runs[i].folder);
        put_samples(f, runs[i].folder);
    }
    fputs("</body></html>\n", f);
}

ae_status ae_plot_report(const ae_run_curves *runs, size_t n, char **html, size_t *n_bytes) {
    char *svg = NULL;
    size_t svg_bytes = 0;
    ae_status st = ae_plot_draw(runs, n, AE_PICTURE_SVG, &svg, &svg_bytes);
    FILE *f = st == AE_OK ? open_memstream(html, n_bytes) : NULL;
    if (st == AE_OK && !f) st = AE_FAIL(AE_ERR_RESOURCE, "report: out of memory");
    if (f) {
        put_page(f, runs, n, svg, svg_bytes);
        if (fclose(f) != 0) st = AE_FAIL(AE_ERR_RESOURCE, "report: out of memory");
    }
    free(svg);
    return st;
}
