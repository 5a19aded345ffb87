#include "benchmark/classifier.h"
#include "benchmark/rows.h"
#include "cli/args.h"
#include "cli/eval_verbs.h"
#include "cli/interrupt.h"
#include "cli/results.h"
#include "core/file.h"
#include "core/log.h"
#include "data/json_line.h"
#include "data/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- labelled rows ---- */

typedef struct {
    const char *text, *label; /* keys */
    double threshold;         /* a number of at least this is positive */
} row_keys;

/* A number, a truth, or either as text, which is how CSV has them. */
static bool read_label(const json_t *v, double threshold, bool *positive) {
    const char *word = json_string_value(v);
    char *end = NULL;
    const double x = word ? strtod(word, &end) : json_number_value(v);
    if (word && (strcmp(word, "true") == 0 || strcmp(word, "false") == 0)) {
        *positive = word[0] == 't';
        return true;
    }
    if (json_is_boolean(v)) {
        *positive = json_is_true(v);
        return true;
    }
    *positive = x >= threshold;
    return isfinite(x) && (word ? end != word && *end == '\0' : json_is_number(v));
}

static ae_status label_of(const json_t *row, const row_keys *k, const char *where, bool *positive) {
    const json_t *v = json_object_get(row, k->label);
    if (read_label(v, k->threshold, positive)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected a number, true or false, found %s%s%.40s%s", where,
                   k->label, ae_json_type_name(v), json_is_string(v) ? " \"" : "",
                   json_is_string(v) ? json_string_value(v) : "", json_is_string(v) ? "\"" : "");
}

static ae_status text_of(const json_t *row, const row_keys *k, const char *where, const char **text) {
    const json_t *v = json_object_get(row, k->text);
    *text = json_string_value(v);
    if (*text && strlen(*text) == json_string_length(v)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected text%s, found %s", where, k->text,
                   *text ? " without NUL" : "", *text ? "one" : ae_json_type_name(v));
}

static ae_arg arg_text(row_keys *k) {
    return (ae_arg){.name = "text",
                    .type = AE_ARG_TEXT,
                    .to = &k->text,
                    .value = "KEY",
                    .fallback = "text",
                    .help = "field of the text",
                    .rare = true};
}

static ae_arg arg_label(row_keys *k, const char *fallback, const char *help) {
    return (ae_arg){.name = "label",
                    .type = AE_ARG_TEXT,
                    .to = &k->label,
                    .value = "KEY",
                    .fallback = fallback,
                    .help = help,
                    .rare = true};
}

static ae_arg arg_threshold(row_keys *k) {
    return (ae_arg){.name = "threshold",
                    .type = AE_ARG_REAL,
                    .to = &k->threshold,
                    .fallback = "0.5",
                    .help = "a label of at least this is positive"};
}

static void print_figures(const ae_classifier_figures *f, const char *what, FILE *out) {
    const double most = fmax((double)f->positive, (double)(f->n - f->positive)) / (double)f->n;
    fprintf(out,
            "%s: %lld rows, %lld positive\n"
            "accuracy %.4f (%.4f by the more frequent label), precision %.4f, recall %.4f, F1 %.4f\n"
            "area under ROC %.4f, log loss %.4f, Brier score %.4f, calibration error %.4f\n",
            what, (long long)f->n, (long long)f->positive, f->accuracy, most, f->precision, f->recall, f->f1,
            f->auc, f->log_loss, f->brier, f->calibration_error);
}

/* ---- train ---- */

typedef struct {
    const char *data, *output;
    row_keys keys;
    int64_t epochs, bits, seed;
    double heldout, rate, l2;
    bool force, quiet;
} train_options;

static ae_status collect(ae_labelled **labelled, const ae_rows *rows, const row_keys *k) {
    const size_t n = json_array_size(rows->list);
    ae_status st = AE_OK;
    *labelled = calloc(n + 1, sizeof **labelled);
    if (!*labelled) return AE_FAIL(AE_ERR_RESOURCE, "classifier: out of memory");
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        char where[AE_WHERE_BYTES];
        const char *text = "";
        ae_rows_where(where, sizeof where, rows, i);
        st = text_of(json_array_get(rows->list, i), k, where, &text);
        if (st == AE_OK) st = label_of(json_array_get(rows->list, i), k, where, &(*labelled)[i].positive);
        (*labelled)[i].text = (char *)(uintptr_t)text; /* the rows' */
    }
    return st;
}

static void show(void *context, int64_t done, int64_t all) {
    ae_progress *bar = context;
    if (bar->total == 0) {
        ae_progress_init(bar, "train", 0, all);
        bar->unit = "row";
    }
    ae_progress_show(bar, done, "");
}

static ae_status train(const train_options *o) {
    ae_rows rows = {0};
    ae_labelled *labelled = NULL;
    ae_classifier *c = NULL;
    ae_progress bar = {0};
    ae_classifier_settings s = ae_classifier_defaults();
    ae_status st;
    s.heldout = o->heldout;
    s.epochs = (int)o->epochs;
    s.rate = o->rate;
    s.l2 = o->l2;
    s.bits = (int)o->bits;
    s.seed = (uint64_t)o->seed;
    s.check = ae_interrupt_check;
    s.progress = show;
    s.context = &bar;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    AE_TRY(ae_results_check_file(o->output, o->force));
    AE_TRY(ae_rows_read(&rows, o->data, &(ae_rows_spec){0}));
    AE_TRY(collect(&labelled, &rows, &o->keys));
    st = ae_classifier_train(&c, labelled, (ptrdiff_t)json_array_size(rows.list), o->data, &s);
    if (bar.total > 0) ae_progress_end(&bar);
    if (st != AE_OK) goto out;
    AE_TRY(ae_classifier_write(c, o->output));
    print_figures(ae_classifier_heldout(c), "held out", stdout);
out:
    ae_classifier_free(c);
    free(labelled);
    ae_rows_free(&rows);
    return st;
}

static const char train_usage[] =
    "aerie eval classifier train DATA --output F [--flags]\n\n"
    "Learns which texts are positive (toxic, say, or of a friendly sentiment) from labelled rows: JSON "
    "lines, JSON, CSV\n"
    "or TSV, perhaps in gzip. Logistic regression over hashed words, pairs of words and pieces of words. "
    "Some rows are\n"
    "held out by the hash of their text; the figures that are printed, and kept in F, are of these.";

static ae_status verb_train(int argc, char **argv) {
    const ae_classifier_settings d = ae_classifier_defaults();
    train_options o = {.keys = {"text", "label", 0.5},
                       .epochs = d.epochs,
                       .bits = d.bits,
                       .seed = (int64_t)d.seed,
                       .heldout = d.heldout,
                       .rate = d.rate,
                       .l2 = d.l2};
    ae_arg_list words = {0};
    bool help = false;
    const ae_arg table[] = {
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "F",
         .help = "file of the classifier"},
        arg_text(&o.keys),
        arg_label(&o.keys, "label", "field of the label: a number, true or false"),
        arg_threshold(&o.keys),
        {.name = "heldout",
         .type = AE_ARG_REAL,
         .to = &o.heldout,
         .min = 0.001,
         .max = 0.9,
         .fallback = "0.1",
         .help = "share of the rows that are held out"},
        {.name = "epochs",
         .type = AE_ARG_INT,
         .to = &o.epochs,
         .min = 1,
         .max = 1000,
         .fallback = "5",
         .help = "times that each row is learnt from"},
        {.name = "rate",
         .type = AE_ARG_REAL,
         .to = &o.rate,
         .min = 1e-6,
         .max = 100,
         .fallback = "0.5",
         .help = "learning rate of AdaGrad"},
        {.name = "l2",
         .type = AE_ARG_REAL,
         .to = &o.l2,
         .min = 0,
         .max = 1,
         .fallback = "1e-6",
         .help = "pull of the weights to 0"},
        {.name = "bits",
         .type = AE_ARG_INT,
         .to = &o.bits,
         .min = 8,
         .max = 24,
         .fallback = "18",
         .help = "2^N weights"},
        {.name = "seed",
         .type = AE_ARG_INT,
         .to = &o.seed,
         .min = 0,
         .max = 1e15,
         .fallback = "1",
         .help = "of the order of the rows, and of those held out"},
        {.name = "force", .type = AE_ARG_FLAG, .to = &o.force, .help = "replace a file that exists"},
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &words, &help);
    if (st == AE_OK && help) {
        ae_args_help(train_usage, table, n, stdout);
        goto out;
    }
    if (st == AE_OK && words.n != 1)
        st = AE_FAIL(AE_ERR_USAGE, "eval classifier train: expected DATA, found %zu word%s", words.n,
                     ae_plural((int64_t)words.n));
    if (st == AE_OK) st = ae_args_require(table, n, "output", !o.output);
    if (st == AE_OK) {
        o.data = words.items[0];
        st = train(&o);
    }
out:
    ae_arg_list_free(&words);
    return st;
}

/* ---- apply ---- */

typedef struct {
    const char *classifier, *input, *output;
    row_keys keys;
    bool force, quiet;
} apply_options;

/* Of rows with a label. */
typedef struct {
    double *p;
    bool *truth;
    ptrdiff_t n, room;
} judged;

static ae_status keep(judged *j, double p, bool truth) {
    if (j->n == j->room) {
        const size_t room = 2 * (size_t)j->room + 1024;
        double *ps = realloc(j->p, room * sizeof *ps);
        if (ps) j->p = ps;
        bool *truths = realloc(j->truth, room * sizeof *truths);
        if (truths) j->truth = truths;
        if (!ps || !truths) return AE_FAIL(AE_ERR_RESOURCE, "classifier: out of memory");
        j->room = (ptrdiff_t)room;
    }
    j->p[j->n] = p;
    j->truth[j->n++] = truth;
    return AE_OK;
}

static ae_status apply_line(ae_classifier *c, const apply_options *o, const char *line, size_t n,
                            const char *where, judged *j, ae_results *out) {
    const char *const keys[] = {o->keys.text, o->keys.label};
    const char *text;
    bool truth = false;
    json_t *row = NULL, *answer = NULL;
    ae_status st;
    AE_TRY(ae_json_line(&row, line, n, keys, o->keys.label ? 2 : 1, where));
    AE_TRY(text_of(row, &o->keys, where, &text));
    if (o->keys.label) AE_TRY(label_of(row, &o->keys, where, &truth));
    const double p = ae_classifier_probability(c, text);
    if (isnan(p) || !(answer = json_pack("{s:f}", "probability", p)))
        AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "classifier: out of memory"));
    AE_TRY(ae_json_write_line(answer, out->file, out->name));
    if (o->keys.label) st = keep(j, p, truth);
out:
    json_decref(row);
    json_decref(answer);
    return st;
}

static ae_status apply_lines(ae_classifier *c, const apply_options *o, ae_reader *in, judged *j,
                             ae_results *out) {
    ae_status st;
    for (;;) {
        char *line = NULL, where[AE_WHERE_BYTES];
        size_t n = 0;
        AE_TRY(ae_interrupt_check());
        AE_TRY(ae_reader_line(in, &line, &n));
        if (!line) break;
        if (ae_text_is_blank(line, n)) continue;
        snprintf(where, sizeof where, "%s:%lld", ae_reader_name(in), (long long)ae_reader_line_number(in));
        AE_TRY(apply_line(c, o, line, n, where, j, out));
    }
out:
    return st;
}

static ae_status tell_figures(const judged *j) {
    ae_classifier_figures f;
    if (j->n == 0) return AE_OK;
    const ae_status st = ae_classifier_judge(&f, j->p, j->truth, j->n);
    if (st == AE_OK) print_figures(&f, "labelled", stderr);
    return st;
}

static ae_status apply(const apply_options *o) {
    ae_classifier *c = NULL;
    ae_reader *in = NULL;
    ae_results out = {0};
    judged j = {0};
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    AE_TRY(ae_classifier_read(&c, o->classifier));
    AE_TRY(ae_reader_open(&in, o->input));
    AE_TRY(ae_results_open(&out, o->output, o->force));
    st = ae_results_close(&out, apply_lines(c, o, in, &j, &out));
    if (st == AE_OK) st = tell_figures(&j);
out:
    free(j.p);
    free(j.truth);
    ae_reader_close(in);
    ae_classifier_free(c);
    return st;
}

static const char apply_usage[] = "aerie eval classifier apply F [--input F] [--output F] [--flags]\n\n"
                                  "For each line {\"text\": ...} a line {\"probability\": p} that the "
                                  "classifier F takes the text to be positive. With\n"
                                  "--label the figures of labelled lines go to standard error.";

static ae_status verb_apply(int argc, char **argv) {
    apply_options o = {.input = "-", .keys = {"text", NULL, 0.5}};
    ae_arg_list words = {0};
    bool help = false;
    const ae_arg table[] = {
        {.name = "input",
         .type = AE_ARG_TEXT,
         .to = &o.input,
         .value = "F",
         .fallback = "-",
         .help = "JSON lines"},
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "F",
         .fallback = "-",
         .help = "where to"},
        arg_text(&o.keys),
        arg_label(&o.keys, NULL, "field of the label of labelled lines"),
        arg_threshold(&o.keys),
        {.name = "force", .type = AE_ARG_FLAG, .to = &o.force, .help = "replace a file that exists"},
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &words, &help);
    if (st == AE_OK && help) {
        ae_args_help(apply_usage, table, n, stdout);
        goto out;
    }
    if (st == AE_OK && words.n != 1)
        st = AE_FAIL(AE_ERR_USAGE, "eval classifier apply: expected a classifier, found %zu word%s", words.n,
                     ae_plural((int64_t)words.n));
    if (st == AE_OK) {
        o.classifier = words.items[0];
        st = apply(&o);
    }
out:
    ae_arg_list_free(&words);
    return st;
}

ae_status ae_verb_eval_classifier(int argc, char **argv) {
    static const ae_subverb subverbs[] = {
        {"train", verb_train, "learn from labelled texts: aerie eval classifier train DATA --output F"},
        {"apply", verb_apply, "probabilities of JSON lines of texts: aerie eval classifier apply F"},
    };
    static char name[] = "eval classifier";
    argv[0] = name;
    return ae_args_subverb(argc, argv, subverbs, sizeof subverbs / sizeof *subverbs);
}
