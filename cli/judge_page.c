#include "cli/judge_page.h"

#include "cli/plot_html.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { LEVELS = 5, PLOT_WIDTH = 200, BAR_WIDTH = 280 };

static const char style[] =
    ":root{--ground:#fff;--ink:#222;--faint:#666;--line:#ddd;--a2:#0b6e79;--a1:#6fb3ba;--mid:#c9ccd0;--b1:#"
    "c39fd0;"
    "--b2:#8a4b9c;--mark:#1f4f8f}"
    "@media(prefers-color-scheme:dark){:root{--ground:#14171a;--ink:#e6e8ea;--faint:#9aa4ae;--line:#343a41;"
    "--a2:#4fc0cc;--a1:#2b7780;--mid:#555d66;--b1:#7d5a8a;--b2:#cf9be0;--mark:#7db2f0}}"
    "body{font:15px/1.5 "
    "system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:1100px;margin:2em "
    "auto;padding:0 1em;overflow-wrap:break-word}"
    "h1{font-size:1.5em;margin:0 0 .2em}h2{font-size:1.25em;margin:2em 0 "
    ".4em}h3{font-size:1.05em;margin:1.4em 0 .4em}"
    ".wide{overflow-x:auto}table{border-collapse:collapse}td,th{padding:.35em .8em;border-bottom:1px solid "
    "var(--line);text-align:right;white-space:nowrap}td.l,th.l{text-align:left}th{color:var(--faint);font-"
    "weight:600}"
    "svg{display:block}small,.key{color:var(--faint)}.key "
    "i{display:inline-block;width:.8em;height:.8em;border-radius:"
    ".2em;margin:0 .35em 0 .9em;vertical-align:-.05em}td.said{white-space:pre-wrap;min-width:20em}";

static const char *const shades[LEVELS] = {"--a2", "--a1", "--mid", "--b1", "--b2"};

static double number(const json_t *o, const char *key) {
    return json_number_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key) {
    return json_string_value(json_object_get(o, key));
}

static bool is_known(const json_t *o, const char *key) {
    return json_is_number(json_object_get(o, key));
}

static void put_text_cell(FILE *f, const char *words) {
    fputs("<td class=\"l\">", f);
    ae_html_text(f, words);
    fputs("</td>", f);
}

/* "54.1 % [50.2, 58.0]" */
static void put_share_cell(FILE *f, const json_t *share) {
    if (!is_known(share, "value")) {
        fputs("<td>-</td>", f);
        return;
    }
    fprintf(f, "<td>%.1f %% <small>[%.1f, %.1f]</small></td>", 100 * number(share, "value"),
            100 * number(share, "low"), 100 * number(share, "high"));
}

/* Votes from a much better, on the left, to b much better. */
static void put_bar(FILE *f, const json_t *pair) {
    const json_t *leans = json_object_get(pair, "leans");
    double all = 0, at = 0;
    for (int i = 0; i < LEVELS; i++) all += json_number_value(json_array_get(leans, (size_t)i));
    fprintf(f, "<td><svg width=\"%d\" height=\"20\" role=\"img\" aria-label=\"votes\">", BAR_WIDTH);
    for (int i = 0; i < LEVELS && all > 0; i++) {
        const double n = json_number_value(json_array_get(leans, (size_t)(LEVELS - 1 - i))),
                     w = n / all * BAR_WIDTH;
        fprintf(f,
                "<rect x=\"%.1f\" width=\"%.1f\" height=\"20\" fill=\"var(%s)\"><title>%.0f</title></rect>",
                at, w, shades[i], n);
        at += w;
    }
    fputs("</svg></td>", f);
}

/* A dot with its interval, over a scale from `least` to `most`, with a line at `middle`. */
static void put_interval(FILE *f, const json_t *e, double least, double most, double middle) {
    const double unit = PLOT_WIDTH / (most - least), y = 10;
    fprintf(f, "<td><svg width=\"%d\" height=\"20\" role=\"img\" aria-label=\"interval\">", PLOT_WIDTH);
    fprintf(f, "<path d=\"M%.1f 0V20\" stroke=\"var(--line)\" stroke-width=\"1.5\"/>",
            (middle - least) * unit);
    if (is_known(e, "low"))
        fprintf(f, "<path d=\"M%.1f %.0fH%.1f\" stroke=\"var(--mark)\" stroke-width=\"3\"/>",
                (number(e, "low") - least) * unit, y, (number(e, "high") - least) * unit);
    if (is_known(e, "value"))
        fprintf(f, "<circle cx=\"%.1f\" cy=\"%.0f\" r=\"5\" fill=\"var(--mark)\"/>",
                (number(e, "value") - least) * unit, y);
    fputs("</svg></td>", f);
}

static void put_key(FILE *f) {
    static const char *const words[LEVELS] = {"A much better", "A better", "the same", "B better",
                                              "B much better"};
    fputs("<p class=\"key\">", f);
    for (int i = 0; i < LEVELS; i++)
        fprintf(f, "<i style=\"background:var(%s)\"></i>%s", shades[i], words[i]);
    fputs("</p>\n", f);
}

static void put_pairs(FILE *f, const json_t *group) {
    size_t i;
    json_t *p;
    fputs(
        "<div class=\"wide\"><table><tr><th class=\"l\">A</th><th class=\"l\">B</th><th>win / tie / loss</th>"
        "<th class=\"l\">votes</th><th>win rate of A</th><th class=\"l\">0 to 100 %</th></tr>\n",
        f);
    json_array_foreach(json_object_get(group, "pairs"), i, p) {
        fputs("<tr>", f);
        put_text_cell(f, text(p, "a"));
        put_text_cell(f, text(p, "b"));
        fprintf(f, "<td>%.0f / %.0f / %.0f</td>", number(p, "wins"), number(p, "ties"), number(p, "losses"));
        put_bar(f, p);
        put_share_cell(f, p);
        put_interval(f, p, 0, 1, 0.5);
        fputs("</tr>\n", f);
    }
    fputs("</table></div>\n", f);
    put_key(f);
}

/* The largest distance from 0 that a list of estimates reaches. */
static double reach_of(const json_t *list) {
    static const char *const keys[] = {"value", "low", "high"};
    double reach = 0.1;
    size_t i;
    json_t *e;
    json_array_foreach(list, i, e) for (size_t k = 0; k < 3; k++) reach =
        fmax(reach, fabs(number(e, keys[k])));
    return reach * 1.1;
}

static void put_strengths(FILE *f, const json_t *group) {
    const json_t *list = json_object_get(group, "strengths");
    const double reach = reach_of(list);
    size_t i;
    json_t *e;
    if (!list) return;
    fprintf(f,
            "<h3>Strengths</h3><p><small>Bradley-Terry, logarithms, from %.1f to %.1f</small></p>"
            "<div class=\"wide\"><table>\n",
            -reach, reach);
    json_array_foreach(list, i, e) {
        fputs("<tr>", f);
        put_text_cell(f, text(e, "model"));
        if (is_known(e, "low"))
            fprintf(f, "<td>%.2f <small>[%.2f, %.2f]</small></td>", number(e, "value"), number(e, "low"),
                    number(e, "high"));
        else
            fputs("<td>-</td>", f);
        put_interval(f, e, -reach, reach, 0);
        fputs("</tr>\n", f);
    }
    fputs("</table></div>\n", f);
}

static void put_acceptable(FILE *f, const json_t *group) {
    size_t i;
    json_t *row;
    fputs("<h3>Acceptable answers</h3><div class=\"wide\"><table>\n", f);
    json_array_foreach(json_object_get(group, "acceptable"), i, row) {
        fputs("<tr>", f);
        put_text_cell(f, text(row, "model"));
        put_share_cell(f, row);
        fprintf(f, "<td>of %.0f</td>", number(row, "votes"));
        put_interval(f, row, 0, 1, 0.5);
        fputs("</tr>\n", f);
    }
    fputs("</table></div>\n", f);
}

static void put_raters(FILE *f, const json_t *group) {
    size_t i;
    json_t *row;
    fputs("<h3>Raters</h3>\n<p>Agreement (Krippendorff's alpha): ", f);
    const json_t *alpha = json_object_get(group, "agreement");
    if (is_known(alpha, "value"))
        fprintf(f, "%.3f <small>[%.3f, %.3f]</small></p>\n", number(alpha, "value"), number(alpha, "low"),
                number(alpha, "high"));
    else
        fputs("-</p>\n", f);
    if (is_known(json_object_get(group, "left"), "value"))
        fprintf(f, "<p>Left side preferred: %.1f %% <small>[%.1f, %.1f]</small></p>\n",
                100 * number(json_object_get(group, "left"), "value"),
                100 * number(json_object_get(group, "left"), "low"),
                100 * number(json_object_get(group, "left"), "high"));
    fputs("<div class=\"wide\"><table><tr><th class=\"l\">rater</th><th>votes</th><th>ties</th><th>left side "
          "preferred</th></tr>\n",
          f);
    json_array_foreach(json_object_get(group, "by_rater"), i, row) {
        fputs("<tr>", f);
        put_text_cell(f, text(row, "rater"));
        fprintf(f, "<td>%.0f</td><td>%.0f</td>", number(row, "votes"), number(row, "ties"));
        put_share_cell(f, json_object_get(row, "left"));
        fputs("</tr>\n", f);
    }
    fputs("</table></div>\n", f);
}

static void put_comments(FILE *f, const json_t *group) {
    static const char *const words[LEVELS] = {"B much better", "B better", "the same", "A better",
                                              "A much better"};
    const json_t *list = json_object_get(group, "comments");
    size_t i;
    json_t *row;
    if (json_array_size(list) == 0) return;
    fprintf(f,
            "<h3>Comments</h3>\n<details><summary>%zu</summary><div class=\"wide\"><table><tr><th "
            "class=\"l\">item</th><th class=\"l\">A</th><th class=\"l\">B</th><th class=\"l\">rater</th><th "
            "class=\"l\">choice</th><th class=\"l\">comment</th></tr>\n",
            json_array_size(list));
    json_array_foreach(list, i, row) {
        fputs("<tr>", f);
        put_text_cell(f, text(row, "item"));
        put_text_cell(f, text(row, "a"));
        put_text_cell(f, text(row, "b"));
        put_text_cell(f, text(row, "rater"));
        put_text_cell(f, words[json_integer_value(json_object_get(row, "lean")) + 2]);
        fputs("<td class=\"l said\">", f);
        ae_html_text(f, text(row, "comment"));
        fputs("</td></tr>\n", f);
    }
    fputs("</table></div></details>\n", f);
}

static void put_group(FILE *f, const json_t *group) {
    const bool is_model = strcmp(text(group, "kind"), "model") == 0;
    fputs("<h2>", f);
    ae_html_text(f, is_model ? "A model as rater: " : "");
    ae_html_text(f, text(group, "raters"));
    fprintf(f, "</h2>\n<p>%.0f votes on %.0f pairs of answers.", number(group, "votes"),
            number(group, "comparisons"));
    const json_t *with = json_object_get(group, "with_people");
    if (is_known(with, "value"))
        fprintf(f, " Same side as people: %.1f %% <small>[%.1f, %.1f]</small>.", 100 * number(with, "value"),
                100 * number(with, "low"), 100 * number(with, "high"));
    fputs("</p>\n", f);
    put_pairs(f, group);
    put_strengths(f, group);
    if (is_model) return;
    put_acceptable(f, group);
    put_raters(f, group);
    put_comments(f, group);
}

static void put_report(FILE *f, const json_t *report) {
    const json_t *groups = json_object_get(report, "groups");
    size_t i;
    json_t *group;
    fputs("<h1>", f);
    ae_html_text(f, text(report, "study"));
    fprintf(f, "</h1>\n<p>%.0f prompts, %zu models. Intervals of 95 %%, over prompts.</p>\n",
            number(report, "items"), json_array_size(json_object_get(report, "models")));
    if (json_array_size(groups) == 0) fputs("<p>No votes yet.</p>\n", f);
    json_array_foreach(groups, i, group) put_group(f, group);
}

void ae_judge_page(FILE *f, const json_t *reports) {
    size_t i;
    json_t *report;
    fprintf(f,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
            "content=\"width=device-width,initial-scale=1\"><title>aerie "
            "judge</title><style>%s</style></head><body>\n",
            style);
    json_array_foreach(reports, i, report) put_report(f, report);
    fputs("<p><small>aerie " AERIE_VERSION "</small></p>\n</body></html>\n", f);
}
