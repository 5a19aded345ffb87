#include "cli/plot_eval.h"

#include "benchmark/compare.h"
#include "benchmark/published.h"
#include "cli/plot_html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Samples of a task, over all of its parts; at least two of each part. */
enum { SAMPLES = 60, SAMPLES_OF_PART = 2 };

static const char style[] =
    "details>details,.rows{margin-left:1em}td b{font-weight:700}pre{max-height:24em;overflow:auto}"
    ".good{color:#1a7f37}.bad{color:#b3261e}.gold td:first-child{background:#e5f5e8}"
    ".said td{vertical-align:top}.said td:first-child{white-space:pre-wrap;min-width:16em}"
    ".row summary "
    "span{color:#555}.better{color:#1a7f37}.worse{color:#b3261e}.published{color:#777;font-size:.85em}"
    "body:has(#differ:checked) .same{display:none}";

static const char *label(const ae_eval_table *t, size_t i) {
    return ae_eval_folder_label(t->folders, t->n_folders, i);
}

static bool is_top(const ae_eval_row *r) {
    return strcmp(r->top, r->task) == 0;
}

/* ---- how they were evaluated ---- */

static void put_value(FILE *f, const json_t *v) {
    char number[48];
    fputs("<td>", f);
    if (json_is_string(v)) {
        ae_html_text(f, json_string_value(v));
    } else if (json_is_integer(v)) {
        fprintf(f, "%lld", (long long)json_integer_value(v));
    } else if (json_is_number(v)) {
        snprintf(number, sizeof number, "%.4g", json_number_value(v));
        ae_html_text(f, number);
    } else {
        fputs(json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "-", f);
    }
    fputs("</td>", f);
}

static void put_conditions(FILE *f, const ae_eval_table *t) {
    fputs("<h2>how they were evaluated</h2>\n<div class=\"wide\"><table><tr><th>folder</th><th>model</th>"
          "<th>parameters</th><th>type</th><th>&lt;bos&gt;</th><th>chat template</th><th>limit</th>"
          "<th>prompts cut</th><th>requests</th><th>seconds</th></tr>\n",
          f);
    for (size_t i = 0; i < t->n_folders; i++) {
        const json_t *root = t->folders[i].root, *config = json_object_get(root, "config"),
                     *ours = json_object_get(root, "aerie");
        fputs("<tr><td>", f);
        ae_html_text(f, label(t, i));
        fputs("</td>", f);
        put_value(f, json_object_get(root, "model_name"));
        put_value(f, json_object_get(config, "model_num_parameters"));
        put_value(f, json_object_get(config, "model_dtype"));
        put_value(f, json_object_get(ours, "bos"));
        fprintf(f, "<td>%s</td>", json_is_string(json_object_get(root, "chat_template")) ? "yes" : "no");
        put_value(f, json_object_get(config, "limit"));
        put_value(f, json_object_get(ours, "cut_prompts"));
        put_value(f, json_object_get(ours, "requests"));
        put_value(f, json_object_get(root, "total_evaluation_time_seconds"));
        fputs("</tr>\n", f);
    }
    fputs("</table></div>\n", f);
}

/* ---- tasks by model ---- */

static bool has_published(const ae_eval_table *t) {
    for (size_t i = 0; i < t->n; i++)
        if (is_top(&t->rows[i]) && ae_published_find(t->rows[i].task)) return true;
    return false;
}

static void put_heads(FILE *f, const ae_eval_table *t, bool published) {
    fputs("<div class=\"wide\"><table><tr><th>task</th><th>metric</th><th>shots</th><th>rows</th>", f);
    for (size_t i = 0; i < t->n_folders; i++) ae_html_heading(f, label(t, i));
    for (size_t k = 0; published && k < AE_PUBLISHED_MODELS; k++)
        fprintf(f, "<th class=\"published\">%s<br>published</th>", ae_published_models[k].model);
    fputs("</tr>\n", f);
}

static void put_published(FILE *f, const ae_eval_row *r) {
    const double *figures = r->is_main ? ae_published_find(r->task) : NULL;
    for (size_t k = 0; k < AE_PUBLISHED_MODELS; k++)
        if (figures && !isnan(figures[k]))
            fprintf(f, "<td class=\"published\">%.3f</td>", figures[k] / 100);
        else
            fputs("<td></td>", f);
}

static void put_metric(FILE *f, const char *metric, const char *filter) {
    fputs("<td>", f);
    ae_html_text(f, metric);
    if (strcmp(filter, "none") != 0) {
        fputs("<br><small>", f);
        ae_html_text(f, filter);
        fputs("</small>", f);
    }
    fputs("</td>", f);
}

static void put_row(FILE *f, const ae_eval_table *t, const ae_eval_row *r, bool published) {
    fputs("<tr><td>", f);
    ae_html_text(f, is_top(r) ? r->task : r->alias);
    fputs("</td>", f);
    put_metric(f, r->metric, r->filter);
    ae_html_number(f, r->shots >= 0 ? r->shots : (double)NAN, 0, "");
    ae_html_number(f, (double)r->rows, 0, "");
    for (size_t i = 0; i < t->n_folders; i++) ae_html_estimate(f, &r->cells[i], 4);
    if (published) put_published(f, r);
    fputs("</tr>\n", f);
}

/* The parts of a group, folded. */
static void put_parts(FILE *f, const ae_eval_table *t, const ae_eval_row *group) {
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) n += !is_top(&t->rows[i]) && strcmp(t->rows[i].top, group->task) == 0;
    if (n == 0) return;
    fputs("<details><summary>parts of ", f);
    ae_html_text(f, group->task);
    fputs("</summary>\n", f);
    put_heads(f, t, false);
    for (size_t i = 0; i < t->n; i++)
        if (!is_top(&t->rows[i]) && strcmp(t->rows[i].top, group->task) == 0)
            put_row(f, t, &t->rows[i], false);
    fputs("</table></div></details>\n", f);
}

static void put_sources(FILE *f) {
    fputs("<p><small>Published: as their authors report them, by programs and prompts of their own, so that "
          "a point or "
          "two of difference may lie there. ",
          f);
    for (size_t k = 0; k < AE_PUBLISHED_MODELS; k++) {
        ae_html_text(f, ae_published_models[k].model);
        fputs(": ", f);
        ae_html_text(f, ae_published_models[k].source);
        fputs(k + 1 < AE_PUBLISHED_MODELS ? "; " : ".</small></p>\n", f);
    }
}

static void put_tasks(FILE *f, const ae_eval_table *t) {
    const bool published = has_published(t);
    fputs("<h2 id=\"tasks\">tasks by model</h2>\n", f);
    put_heads(f, t, published);
    for (size_t i = 0; i < t->n; i++)
        if (is_top(&t->rows[i])) put_row(f, t, &t->rows[i], published);
    fputs("</table></div>\n<p><small>In brackets the interval of 95 %: of shares of right answers that of "
          "Wilson (1927), of "
          "other numbers the value less and plus 1.96 standard errors over the rows.</small></p>\n",
          f);
    if (published) put_sources(f);
    for (size_t i = 0; i < t->n; i++)
        if (is_top(&t->rows[i]) && t->rows[i].is_group && t->rows[i].is_main) put_parts(f, t, &t->rows[i]);
}

/* ---- paired differences ---- */

static const char *verdict(const ae_comparison_row *r) {
    if (r->difference.low <= 0 && r->difference.high >= 0) return "";
    return (r->difference.value > 0) == r->higher_is_better ? " class=\"better\"" : " class=\"worse\"";
}

static bool is_listed(const ae_eval_table *t, const ae_comparison_row *c) {
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->rows[i].task, c->task) == 0 && strcmp(t->rows[i].metric, c->metric) == 0)
            return is_top(&t->rows[i]);
    return false;
}

static void put_comparison(FILE *f, const ae_eval_table *t, const ae_comparison *c, size_t other) {
    fputs("<h3>", f);
    ae_html_text(f, label(t, other));
    fputs(" against ", f);
    ae_html_text(f, label(t, 0));
    fputs("</h3>\n<div class=\"wide\"><table><tr><th>task</th><th>metric</th><th>rows</th><th>difference</th>"
          "<th>interval</th><th>p</th></tr>\n",
          f);
    for (size_t i = 0; i < c->n; i++) {
        const ae_comparison_row *r = &c->items[i];
        if (!is_listed(t, r)) continue;
        fputs("<tr><td>", f);
        ae_html_text(f, r->task);
        fputs("</td>", f);
        put_metric(f, r->metric, r->filter);
        fprintf(f, "<td>%td</td><td%s>%+.4f</td><td>[%+.4f, %+.4f]</td><td>%.3f</td></tr>\n", r->rows,
                verdict(r), r->difference.value, r->difference.low, r->difference.high, r->p);
    }
    fputs("</table></div>\n", f);
}

/* Folders without samples, or with other rows, are told so on the page. */
static ae_status put_differences(FILE *f, const ae_eval_table *t) {
    if (t->n_folders < 2) return AE_OK;
    fputs("<h2 id=\"differences\">paired differences</h2>\n", f);
    for (size_t i = 1; i < t->n_folders; i++) {
        ae_comparison c;
        const ae_status st = ae_compare(&c, &t->folders[0], &t->folders[i]);
        if (st == AE_ERR_INPUT) {
            fputs("<p>", f);
            ae_html_text(f, ae_error_message());
            fputs("</p>\n", f);
            continue;
        }
        if (st != AE_OK) return st;
        put_comparison(f, t, &c, i);
        ae_comparison_free(&c);
    }
    fprintf(f,
            "<p><small>Over the same rows, by the paired bootstrap with %d resamples; p: the chance of a "
            "difference as "
            "far from 0 if there were none. In colour: intervals without 0, better or worse.</small></p>\n",
            AE_BOOTSTRAP_RESAMPLES);
    return AE_OK;
}

/* ---- samples ---- */

static size_t samples_of(const ae_eval_table *t, const char *task) {
    json_t *leaves = ae_result_folder_leaves(&t->folders[0], task);
    const size_t n = json_array_size(leaves);
    json_decref(leaves);
    return n > 1 && SAMPLES / n > SAMPLES_OF_PART ? SAMPLES / n : n > 1 ? SAMPLES_OF_PART : SAMPLES;
}

static ae_status put_samples(FILE *f, const ae_eval_table *t) {
    bool any = false;
    ae_status st = AE_OK;
    fputs("<h2 id=\"samples\">samples</h2>\n", f);
    if (t->n_folders > 1)
        fputs("<p><label><input type=\"checkbox\" id=\"differ\"> only rows on which the models "
              "differ</label></p>\n",
              f);
    for (size_t i = 0; st == AE_OK && i < t->n; i++) {
        const ae_eval_row *r = &t->rows[i];
        if (r->is_main && !r->is_group) st = ae_plot_eval_samples(f, t, r->task, samples_of(t, r->top), &any);
    }
    if (any)
        fputs("<p><small>Marks: what the metric that is named says of each model. In green the right choice, "
              "in bold the "
              "likeliest one.</small></p>\n",
              f);
    else
        fputs("<p>None: aerie eval writes them with --log-samples.</p>\n", f);
    return st;
}

/* ---- the page ---- */

static ae_status put_picture(FILE *f, const ae_eval_table *t) {
    char *svg = NULL;
    size_t n = 0;
    if (!ae_plot_eval_has_picture(t)) return AE_OK;
    const ae_status st = ae_plot_eval_draw(t, AE_PICTURE_SVG, &svg, &n);
    if (st != AE_OK) return st;
    fputs("<div class=\"one\">", f);
    ae_html_pictures(f, svg, n);
    fputs("</div>\n", f);
    free(svg);
    return AE_OK;
}

static ae_status put_body(FILE *f, const ae_eval_table *t) {
    fputs("<h1>", f);
    for (size_t i = 0; i < t->n_folders; i++) {
        ae_html_text(f, i ? ", " : "");
        ae_html_text(f, label(t, i));
    }
    fputs("</h1>\n<p><small>aerie " AERIE_VERSION "</small></p>\n<p><a href=\"#tasks\">tasks by model</a>",
          f);
    if (t->n_folders > 1) fputs(" &middot; <a href=\"#differences\">paired differences</a>", f);
    fputs(" &middot; <a href=\"#samples\">samples</a></p>\n", f);
    ae_status st = put_picture(f, t);
    if (st != AE_OK) return st;
    put_tasks(f, t);
    st = put_differences(f, t);
    if (st == AE_OK) st = put_samples(f, t);
    if (st == AE_OK) put_conditions(f, t);
    return st;
}

ae_status ae_plot_eval_page(const ae_eval_table *t, char **html, size_t *n_bytes) {
    FILE *f = open_memstream(html, n_bytes);
    if (!f) return AE_FAIL(AE_ERR_RESOURCE, "page: out of memory");
    ae_html_begin(f, t->n_folders == 1 ? label(t, 0) : "evaluations", style);
    ae_status st = put_body(f, t);
    fputs("</body></html>\n", f);
    if (fclose(f) != 0 && st == AE_OK) st = AE_FAIL(AE_ERR_RESOURCE, "page: out of memory");
    return st;
}
