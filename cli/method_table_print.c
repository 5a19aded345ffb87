#include "cli/method_table.h"
#include "cli/plot_html.h"
#include "core/json.h"

#include <math.h>
#include <string.h>

const ae_method_column ae_method_columns[AE_METHOD_FIGURES] = {
    [AE_METHOD_BEFORE] = {"before", "reward before", 3},
    [AE_METHOD_AFTER] = {"after", "reward after", 3},
    [AE_METHOD_GAIN] = {"gain", "gain, deviations", 2},
    [AE_METHOD_KL] = {"kl", "KL, nats", 2},
    [AE_METHOD_LENGTH] = {"length", "tokens", 1},
    [AE_METHOD_TRUNCATED] = {"truncated", "truncated", 3}};

/* ---- JSON ---- */

static json_t *estimate_json(const ae_estimate *e) {
    return json_pack("{s:o, s:o, s:o}", "value", ae_json_number(e->value), "low", ae_json_number(e->low),
                     "high", ae_json_number(e->high));
}

static json_t *row_json(const ae_method_row *row, const ae_run_curves *runs) {
    json_t *names = json_array(), *seeds = json_array();
    for (size_t i = 0; i < row->n; i++) {
        json_array_append_new(names, json_string(runs[row->runs[i]].name));
        json_array_append_new(seeds, json_integer((json_int_t)runs[row->runs[i]].stage.seed));
    }
    json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:I, s:o}", "label", row->label, "method",
                          runs[row->runs[0]].stage.method, "runs", names, "seeds", seeds, "prompts",
                          (json_int_t)row->prompts, "start_std", ae_json_number(row->start_std));
    for (int k = 0; o && k < AE_METHOD_FIGURES; k++)
        json_object_set_new(o, ae_method_columns[k].name, estimate_json(&row->figures[k]));
    return o;
}

json_t *ae_method_table_json(const ae_method_table *t, const ae_run_curves *runs) {
    json_t *rows = json_array();
    for (size_t i = 0; i < t->n; i++) json_array_append_new(rows, row_json(&t->rows[i], runs));
    return json_pack("{s:o, s:i, s:f}", "rows", rows, "resamples", AE_BOOTSTRAP_RESAMPLES, "interval", 0.95);
}

/* ---- text ---- */

enum { CELL_BYTES = 64, LABEL_WIDTH = 24, FIGURE_WIDTH = 24 };

/* "0.512 [0.481, 0.540]"; "-" where it is not known. */
static void cell_text(char *out, const ae_estimate *e, int digits) {
    if (isfinite(e->value) && !isfinite(e->low))
        snprintf(out, CELL_BYTES, "%.*f", digits, e->value);
    else if (isfinite(e->value))
        snprintf(out, CELL_BYTES, "%.*f [%.*f, %.*f]", digits, e->value, digits, e->low, digits, e->high);
    else
        snprintf(out, CELL_BYTES, "-");
}

void ae_method_table_print(FILE *f, const ae_method_table *t) {
    char cell[CELL_BYTES];
    fprintf(f, "%-*s %5s %7s", LABEL_WIDTH, "method", "seeds", "prompts");
    for (int k = 0; k < AE_METHOD_FIGURES; k++)
        fprintf(f, " %*s", FIGURE_WIDTH, ae_method_columns[k].heading);
    fputc('\n', f);
    for (size_t i = 0; i < t->n; i++) {
        fprintf(f, "%-*s %5zu %7zu", LABEL_WIDTH, t->rows[i].label, t->rows[i].n, t->rows[i].prompts);
        for (int k = 0; k < AE_METHOD_FIGURES; k++) {
            cell_text(cell, &t->rows[i].figures[k], ae_method_columns[k].digits);
            fprintf(f, " %*s", FIGURE_WIDTH, cell);
        }
        fputc('\n', f);
    }
}

/* ---- HTML ---- */

void ae_method_table_html(FILE *f, const ae_method_table *t) {
    fputs("<div class=\"wide\"><table><tr><th>method</th><th>seeds</th><th>prompts</th>", f);
    for (int k = 0; k < AE_METHOD_FIGURES; k++) fprintf(f, "<th>%s</th>", ae_method_columns[k].heading);
    fputs("</tr>\n", f);
    for (size_t i = 0; i < t->n; i++) {
        fputs("<tr><td>", f);
        ae_html_text(f, t->rows[i].label);
        fprintf(f, "</td><td>%zu</td><td>%zu</td>", t->rows[i].n, t->rows[i].prompts);
        for (int k = 0; k < AE_METHOD_FIGURES; k++)
            ae_html_estimate(f, &t->rows[i].figures[k], ae_method_columns[k].digits);
        fputs("</tr>\n", f);
    }
    fprintf(f,
            "</table></div>\n<p><small>Answers to the held-out prompts, before the first update and at the "
            "last evaluation. Gain: in standard deviations of the rewards before. KL: from the reference, "
            "nats an answer. In brackets the intervals of 95 %% by the bootstrap: %d resamples of the "
            "prompts, and of the seeds where there are several.</small></p>\n",
            AE_BOOTSTRAP_RESAMPLES);
}
