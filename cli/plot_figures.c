#include "cli/plot.h"
#include "cli/plot_html.h"

#include <math.h>
#include <string.h>

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
    ae_html_text(f, r->name);
    fputs("</td>", f);
    ae_html_number(f, (double)r->step, 0, "");
    ae_html_number(f, (double)r->tokens / 1e6, 2, " M");
    ae_html_number(f, last_smooth(ae_curve_list_find(&r->steps, number)), 4, "");
    ae_html_number(f, r->best_score, 4, "");
    if (has_text) ae_html_number(f, r->best_bits, 4, "");
    ae_html_number(f, r->best_step ? (double)r->best_step : (double)NAN, 0, "");
    ae_html_number(f, mean_speed(ae_curve_list_find(&r->steps, "tokens_per_s")), 0, "");
    ae_html_number(f, 100 * r->flops_fraction, 1, " %");
    ae_html_number(f, r->peak_rss_bytes ? (double)r->peak_rss_bytes / 1e6 : (double)NAN, 0, " MB");
    ae_html_number(f, (double)r->skipped, 0, "");
    fputs("</tr>\n", f);
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

/* Of text: loss and bits per byte; of other objectives, rewards among them, the numbers by their names. */
void ae_plot_figures_html(FILE *f, const ae_run_curves *runs, size_t n) {
    const char *number = ae_plot_main_name(runs, n);
    const bool has_text = runs[0].calibration.n == 0 && runs[0].stage.kind < AE_STAGE_REWARD &&
                          (!number[0] || strcmp(number, "loss") == 0);
    if (has_text) number = "loss";
    fputs("<div class=\"wide\"><table><tr><th>run</th><th>steps</th><th>tokens</th>", f);
    ae_html_heading(f, number);
    ae_html_heading(f, has_text ? "held-out loss" : score_name(runs, n));
    if (has_text) ae_html_heading(f, "bits per byte");
    fputs("<th>at step</th><th>tok/s</th><th>of peak</th><th>memory</th><th>skipped</th></tr>\n", f);
    for (size_t i = 0; i < n; i++) put_row(f, &runs[i], number, has_text);
    fprintf(
        f,
        "</table></div>\n<p><small>%stok/s: mean of the second half. Of peak: model FLOPs of the last step "
        "over the "
        "machine's measured peak. Skipped: steps whose loss or gradient was not finite.</small></p>\n",
        has_text ? text_notes : other_notes);
}
