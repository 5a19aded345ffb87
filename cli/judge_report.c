#include "cli/args.h"
#include "cli/judge_page.h"
#include "cli/judge_verbs.h"
#include "cli/results.h"
#include "core/log.h"
#include "judge/report.h"

#include <string.h>

static const char usage[] =
    "aerie judge report DIR [DIR ..] [--json] [--output F.html] [--flags]\n\n"
    "What the votes of studies amount to: wins, ties and losses, the win rate with ties as half, agreement "
    "between\n"
    "raters, strengths of three models or more, what the left side gains, acceptable answers, each with "
    "intervals of\n"
    "95 % over prompts. People and each model that judges are apart. The folder may be served meanwhile.";

typedef struct {
    const char *output;
    bool json, force, quiet;
    ae_arg_list words;
} options;

/* Of fewer prompts the bootstrap draws too few different sets: three that agree give an interval of one point. */
enum { NAME_WIDTH_MAX = 40, RESAMPLED_PROMPTS_MIN = 10 };

static double number(const json_t *o, const char *key) {
    return json_number_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key) {
    return json_string_value(json_object_get(o, key));
}

static int as_int(const json_t *o, const char *key) {
    return (int)json_integer_value(json_object_get(o, key));
}

/* "43.7 % [41.8, 45.6]", or a dash. */
static void print_share(const json_t *share, bool resampled) {
    if (!json_is_number(json_object_get(share, "value"))) {
        printf("%6s %-15s", "-", "");
        return;
    }
    printf("%5.1f %% [%5.1f, %5.1f]", 100 * number(share, "value"), 100 * number(share, "low"),
           100 * number(share, "high"));
    if (resampled && as_int(share, "prompts") < RESAMPLED_PROMPTS_MIN)
        printf("  bootstrap -, needs %d prompts", RESAMPLED_PROMPTS_MIN);
    else if (resampled)
        printf("  bootstrap [%5.1f, %5.1f]", 100 * number(share, "resampled_low"),
               100 * number(share, "resampled_high"));
}

/* "0.62 [0.55, 0.69]", or a dash. */
static void print_estimate(const json_t *e) {
    if (!json_is_number(json_object_get(e, "value")))
        printf("-");
    else if (!json_is_number(json_object_get(e, "low")))
        printf("%.3f", number(e, "value"));
    else
        printf("%.3f [%.3f, %.3f]", number(e, "value"), number(e, "low"), number(e, "high"));
}

static int widest(const json_t *list, const char *key) {
    size_t i;
    json_t *row;
    int width = 6;
    json_array_foreach(list, i, row) {
        const char *name = json_is_string(row) ? json_string_value(row) : text(row, key);
        const int n = (int)strlen(name);
        width = n > width ? n : width;
    }
    return width < NAME_WIDTH_MAX ? width : NAME_WIDTH_MAX;
}

static void print_pairs(const json_t *group, int width) {
    size_t i;
    json_t *p;
    printf("  %-*s  %-*s  %6s %6s %6s  win rate of A, ties as half\n", width, "A", width, "B", "wins", "ties",
           "losses");
    json_array_foreach(json_object_get(group, "pairs"), i, p) {
        printf("  %-*s  %-*s  %6d %6d %6d  ", width, text(p, "a"), width, text(p, "b"), as_int(p, "wins"),
               as_int(p, "ties"), as_int(p, "losses"));
        print_share(p, true);
        putchar('\n');
    }
}

static void print_strengths(const json_t *group, int width) {
    size_t i;
    json_t *row;
    if (!json_object_get(group, "strengths")) return;
    printf("  strengths (Bradley-Terry, logarithms, mean 0)\n");
    json_array_foreach(json_object_get(group, "strengths"), i, row) {
        printf("    %-*s  ", width, text(row, "model"));
        print_estimate(row);
        putchar('\n');
    }
}

static void print_acceptable(const json_t *group, int width) {
    size_t i, said = 0;
    json_t *row;
    json_array_foreach(json_object_get(group, "acceptable"), i, row) said += as_int(row, "votes") > 0;
    if (said == 0) return;
    printf("  acceptable answers\n");
    json_array_foreach(json_object_get(group, "acceptable"), i, row) {
        printf("    %-*s  ", width, text(row, "model"));
        print_share(row, false);
        printf("  of %d\n", as_int(row, "votes"));
    }
}

static void print_raters(const json_t *group) {
    const json_t *raters = json_object_get(group, "by_rater");
    const int width = widest(raters, "rater");
    size_t i;
    json_t *row;
    if (json_array_size(raters) < 2) return;
    printf("  %-*s  %6s %6s  %-24s%s\n", width, "rater", "votes", "ties", "left side",
           json_is_object(json_object_get(json_array_get(raters, 0), "rate")) ? "win rate of A" : "");
    json_array_foreach(raters, i, row) {
        printf("  %-*s  %6d %6d  ", width, text(row, "rater"), as_int(row, "votes"), as_int(row, "ties"));
        print_share(json_object_get(row, "left"), false);
        if (json_is_object(json_object_get(row, "rate"))) {
            printf("  ");
            print_share(json_object_get(row, "rate"), false);
        }
        putchar('\n');
    }
}

static void print_group(const json_t *group, int total, int width) {
    const bool is_model = strcmp(text(group, "kind"), "model") == 0;
    printf("\n%s%s: %d votes on %d of %d pairs\n", text(group, "raters"), is_model ? " (a model)" : "",
           as_int(group, "votes"), as_int(group, "comparisons"), total);
    print_pairs(group, width);
    print_strengths(group, width);
    if (!is_model) {
        printf("  agreement between raters (alpha)  ");
        print_estimate(json_object_get(group, "agreement"));
        printf("\n  left side preferred  ");
        print_share(json_object_get(group, "left"), false);
        putchar('\n');
    } else {
        printf("  same side as people  ");
        print_share(json_object_get(group, "with_people"), false);
        printf("  of %d votes\n", as_int(json_object_get(group, "with_people"), "votes"));
    }
    print_acceptable(group, width);
    print_raters(group);
}

static void print_report(const json_t *report) {
    const json_t *groups = json_object_get(report, "groups");
    const int width = widest(json_object_get(report, "models"), "");
    size_t i;
    json_t *group;
    printf("%s: %d prompts, %zu models; intervals of 95 %%\n", text(report, "study"), as_int(report, "items"),
           json_array_size(json_object_get(report, "models")));
    if (json_array_size(groups) == 0) printf("\nno votes yet\n");
    json_array_foreach(groups, i, group) print_group(group, as_int(report, "comparisons"), width);
}

static ae_status make_report(const char *folder, json_t **report) {
    ae_study study;
    ae_votes votes = {0};
    ae_status st = ae_study_open(&study, folder);
    if (st != AE_OK) return st;
    st = ae_votes_read(&votes, &study, NULL);
    if (st == AE_OK) st = ae_judge_report(&study, &votes, report);
    ae_votes_free(&votes);
    ae_study_free(&study);
    return st;
}

static ae_status write_page(const options *o, const json_t *reports) {
    ae_results out = {0};
    ae_status st = ae_results_open(&out, o->output, o->force);
    if (st == AE_OK) ae_judge_page(out.file, reports);
    return ae_results_close(&out, st);
}

static ae_status report_all(const options *o) {
    json_t *reports = json_array();
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < o->words.n; i++) {
        json_t *report = NULL;
        st = make_report(o->words.items[i], &report);
        if (st == AE_OK) json_array_append_new(reports, report);
    }
    for (size_t i = 0; st == AE_OK && i < json_array_size(reports); i++) {
        if (o->json) st = ae_json_write_line(json_array_get(reports, i), stdout, "standard output");
        if (!o->json && i > 0) putchar('\n');
        if (!o->json) print_report(json_array_get(reports, i));
    }
    if (st == AE_OK && o->output) st = write_page(o, reports);
    if (st == AE_OK && o->output) ae_log("%s", o->output);
    json_decref(reports);
    return st;
}

ae_status ae_judge_report_verb(int argc, char **argv) {
    options o = {0};
    bool help = false;
    const ae_arg table[] = {
        {.name = "json", .type = AE_ARG_FLAG, .to = &o.json, .help = "one object of JSON a study"},
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "F.html",
         .help = "the report as a page, too"},
        {.name = "force", .type = AE_ARG_FLAG, .to = &o.force, .help = "replace an output that exists"},
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &o.words, &help);
    if (st == AE_OK && help) ae_args_help(usage, table, n, stdout);
    if (st == AE_OK && !help && o.words.n == 0)
        st = AE_FAIL(AE_ERR_USAGE, "expected the folder of a study, found none");
    ae_log_quiet(o.quiet);
    if (st == AE_OK && !help) st = report_all(&o);
    ae_arg_list_free(&o.words);
    return st;
}
