#include "cli/args.h"
#include "cli/dtype.h"
#include "cli/interrupt.h"
#include "cli/loaded.h"
#include "cli/results.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "eval/score.h"

#include <stdlib.h>

static const char usage[] =
    "aerie score --model M [--adapter A] [--input F.jsonl|-] [--output F|-] [--flags]\n\n"
    "Each line {\"text\": s} or {\"tokens\": [ids], \"positions\"?: [..], "
    "\"loss_mask\"?: [0|1 ..]} of T tokens gives\n"
    "{\"logprobs\": [T-1 numbers, null where the target starts a document], \"sum\": "
    "x, \"count\": n}, in nats.";

typedef struct {
    const char *model, *adapter, *input, *output, *dtype;
    int64_t top, threads;
    bool no_bos, force, quiet;
} options;

/* Every line of the input, each answered before the next is read. */
static ae_status score_lines(const options *o, const ae_loaded *l, ae_scorer *scorer, ae_reader *in,
                             ae_results *out) {
    const ae_request_rules rules = {l->tokenizer, l->model.config.V, !o->no_bos};
    ae_progress bar;
    ae_progress_init(&bar, "score", 0, 0);
    bar.unit = "line";
    bool told_field = false;
    ae_status st = AE_OK;
    for (;;) {
        char *line = NULL, where[AE_WHERE_BYTES];
        size_t n = 0;
        json_t *request = NULL, *answer = NULL;
        st = ae_reader_line(in, &line, &n);
        if (ae_interrupt_check() != AE_OK) st = AE_ERR_INTERRUPTED;
        if (st != AE_OK || !line) break;
        snprintf(where, sizeof where, "%s:%lld", ae_reader_name(in), (long long)ae_reader_line_number(in));
        st = ae_request_parse(&request, line, n, where, &told_field);
        if (st == AE_OK) st = ae_score_line(scorer, request, &rules, where, &answer);
        if (st == AE_OK) st = ae_json_write_line(answer, out->file, out->name);
        if (st == AE_OK) st = ae_results_flush(out);
        json_decref(request);
        json_decref(answer);
        if (st != AE_OK) break;
        if (out->owned) ae_progress_show(&bar, ae_reader_line_number(in), "");
    }
    ae_progress_end(&bar);
    if (st == AE_OK && ae_reader_line_number(in) == 0)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected at least one line of JSON, found an empty file",
                     ae_reader_name(in));
    return st;
}

static ae_status check_top(const options *o, const ae_loaded *l) {
    if (o->top <= l->model.config.V) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "--top: expected at most the vocabulary, %td, found %lld", l->model.config.V,
                   (long long)o->top);
}

static ae_status run(const options *o) {
    ae_loaded loaded = {0};
    ae_scorer *scorer = NULL;
    ae_reader *in = NULL;
    ae_results out = {0};
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    AE_TRY(ae_reader_open(&in, o->input));
    AE_TRY(ae_results_open(&out, o->output, o->force));
    AE_TRY(ae_loaded_open(&loaded, o->model, o->adapter, o->dtype, o->threads));
    AE_TRY(check_top(o, &loaded));
    AE_TRY(ae_scorer_new(&scorer, &loaded.model, o->top));
    AE_TRY(score_lines(o, &loaded, scorer, in, &out));
out:
    st = ae_results_close(&out, st);
    ae_scorer_delete(scorer);
    ae_loaded_close(&loaded);
    ae_reader_close(in);
    return st;
}

ae_status ae_verb_score(int argc, char **argv) {
    options o = {.input = "-", .output = "-", .dtype = "auto"};
    bool help = false;
    const ae_arg table[] = {
        ae_arg_model(&o.model),
        ae_arg_adapter(&o.adapter),
        {.name = "input",
         .type = AE_ARG_TEXT,
         .to = &o.input,
         .value = "F.jsonl",
         .fallback = "-",
         .help = "lines to score, plain or .gz; - is standard input"},
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "F",
         .fallback = "-",
         .help = "where the answers go, in the order of the lines"},
        {.name = "no-bos",
         .type = AE_ARG_FLAG,
         .to = &o.no_bos,
         .help = "text is its encoding only, without <bos>"},
        {.name = "top",
         .type = AE_ARG_INT,
         .to = &o.top,
         .min = 0,
         .max = 1e6,
         .fallback = "0",
         .help = "add the N most likely tokens of every place"},
        {.name = "force", .type = AE_ARG_FLAG, .to = &o.force, .help = "replace an output that exists"},
        {.name = "dtype",
         .type = AE_ARG_TEXT,
         .to = &o.dtype,
         .value = AE_WEIGHT_CHOICES,
         .fallback = "auto",
         .help = "type of the weights in memory; auto: integers that are stored, else f32"},
        ae_arg_threads(&o.threads),
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, NULL, &help);
    if (st != AE_OK) return st;
    if (help) {
        ae_args_help(usage, table, n, stdout);
        return AE_OK;
    }
    st = ae_args_require(table, n, "model", !o.model);
    return st == AE_OK ? run(&o) : st;
}
