#include "cli/args.h"
#include "cli/data_examples.h"
#include "cli/data_verbs.h"
#include "cli/example_flags.h"
#include "cli/interrupt.h"
#include "cli/text_flags.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/process.h"
#include "data/documents.h"
#include "data/prepare.h"

#include <math.h>
#include <stdio.h>

/* How far from the held-out share that was asked for is told, as a part of it. */
static const double FAR_SHARE = 0.5;

static const char prepare_usage[] =
    "aerie data prepare --input F... (--tokenizer M | --model M) --output DIR [--kind chat|pairs|prompts] "
    "[--flags]\n\n"
    "Writes DIR/train.h5 and DIR/heldout.h5: <bos> text <eos> for each document. JSON lines (.jsonl, .ndjson "
    "or .json, each with\n"
    "or without .gz) hold a document a line; any other file is one document, or several with --split-on.\n"
    "With --kind the files are JSON lines of dialogues, pairs or prompts (data render shows their tokens).";

static void warn_of_lost_text(const ae_prepare_report *r) {
    if (r->unknown_tokens)
        ae_warn("%lld tokens are <unk>: %lld bytes of the text (%.2g %%) have no piece and are lost; a "
                "tokenizer with byte fallback, as "
                "tokenizer train makes, loses none",
                (long long)r->unknown_tokens, (long long)r->lost_bytes,
                100 * (double)r->lost_bytes / (double)r->text_bytes);
}

/* Documents are held out whole, so that a few big ones may miss the share that was asked for. */
static void warn_of_share(const ae_prepare_options *o, const ae_prepare_report *r) {
    const double tokens = (double)(r->train_tokens + r->heldout_tokens);
    const double share = (double)r->heldout_tokens / tokens;
    if (o->heldout <= 0 || fabs(share - o->heldout) <= FAR_SHARE * o->heldout) return;
    ae_warn(
        "--heldout: %.3g %% of the tokens are held out, %.3g %% were asked for: the last %lld of %lld "
        "document%s %s them; part the text into smaller documents (--split-on), give the files in another "
        "order, or hold out a file that you prepare by itself with --heldout 0",
        100 * share, 100 * o->heldout, (long long)r->heldout_documents, (long long)r->documents,
        ae_plural(r->documents), r->heldout_documents == 1 ? "holds" : "hold");
}

static ae_status report_json(const ae_prepare_options *o, const ae_prepare_report *r, double seconds) {
    json_t *v = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:f}", "output",
                          o->output, "files", (json_int_t)r->files, "documents", (json_int_t)r->documents,
                          "empty_documents", (json_int_t)r->empty_documents, "text_bytes",
                          (json_int_t)r->text_bytes, "train_documents", (json_int_t)r->train_documents,
                          "train_tokens", (json_int_t)r->train_tokens, "heldout_documents",
                          (json_int_t)r->heldout_documents, "heldout_tokens", (json_int_t)r->heldout_tokens,
                          "byte_fallback_tokens", (json_int_t)r->byte_fallback_tokens, "unknown_tokens",
                          (json_int_t)r->unknown_tokens, "lost_bytes", (json_int_t)r->lost_bytes, "bad_lines",
                          ae_bad_lines_json(&r->bad), "seconds", seconds);
    const ae_status st = v ? ae_json_write_line(v, stdout, "standard output")
                           : AE_FAIL(AE_ERR_USAGE, "--output: expected a name in UTF-8");
    json_decref(v);
    return st;
}

static void report_text(const ae_prepare_options *o, const ae_prepare_report *r, double seconds) {
    const int64_t tokens = r->train_tokens + r->heldout_tokens;
    printf("%lld document%s (%lld empty ones left out), %lld bytes of text, %.3f bytes a token, %.2f %% of "
           "the tokens are bytes\n",
           (long long)r->documents, ae_plural(r->documents), (long long)r->empty_documents,
           (long long)r->text_bytes, (double)r->text_bytes / (double)tokens,
           100 * (double)r->byte_fallback_tokens / (double)tokens);
    printf("%s/train.h5    %lld tokens in %lld document%s\n", o->output, (long long)r->train_tokens,
           (long long)r->train_documents, ae_plural(r->train_documents));
    if (r->heldout_documents)
        printf("%s/heldout.h5  %lld tokens in %lld document%s\n", o->output, (long long)r->heldout_tokens,
               (long long)r->heldout_documents, ae_plural(r->heldout_documents));
    ae_log("%.1f s, %.1f MB/s", seconds, (double)r->text_bytes / 1e6 / seconds);
}

static ae_status prepare_text(const ae_prepare_options *o, bool json) {
    ae_prepare_report r;
    const double started = ae_now_s();
    ae_status st = ae_data_prepare(o, &r);
    const double seconds = ae_now_s() - started;
    ae_bad_lines_tell(&r.bad);
    if (st == AE_OK) warn_of_lost_text(&r);
    if (st == AE_OK) warn_of_share(o, &r);
    const bool tells = st == AE_OK && !ae_stdout_is_closed();
    if (tells && json) st = report_json(o, &r, seconds);
    if (tells && !json) report_text(o, &r, seconds);
    ae_bad_lines_free(&r.bad);
    return st;
}

/* Flags of text have no meaning for rows of dialogues. */
typedef struct {
    bool split_on, text_key, format;
} text_only;

static ae_status refuse_text_flags(const text_only *given) {
    const char *name = given->split_on   ? "split-on"
                       : given->text_key ? "text-key"
                       : given->format   ? "format"
                                         : NULL;
    if (!name) return AE_OK;
    return AE_FAIL(
        AE_ERR_USAGE,
        "--%s: expected text without --kind; rows of dialogues are JSON lines, and --map names their keys",
        name);
}

static ae_status prepare(ae_prepare_options *o, ae_example_flags *flags, const text_only *given, bool json) {
    ae_status st;
    ae_interrupt_catch();
    o->check = ae_interrupt_check;
    if (flags->kind) AE_TRY(refuse_text_flags(given));
    if (!flags->kind && flags->mapping)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "--map: expected --kind beside it; --text-key names the field of text"));
    AE_TRY(ae_example_flags_open(flags));
    o->tokenizer = flags->tokenizer_path;
    if (!flags->kind && !o->tokenizer)
        AE_TRY(AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a model with a tokenizer, found one without; give --tokenizer",
                       flags->model));
    AE_TRY(flags->kind ? ae_data_examples(o, flags, json) : prepare_text(o, json));
out:
    ae_example_flags_close(flags);
    return st;
}

ae_status ae_verb_data_prepare(int argc, char **argv) {
    ae_prepare_options o = {.text_key = "text", .heldout = 0.1};
    ae_text_flags text = AE_TEXT_FLAGS;
    ae_example_flags flags = {0};
    text_only given = {0};
    ae_arg_list inputs = {0};
    int64_t threads = 0;
    bool json = false, quiet = false, help = false;
    ae_arg format = ae_arg_format(&text);
    format.given = &given.format;
    const ae_arg table[] = {
        {.name = "input",
         .type = AE_ARG_WORDS,
         .to = &inputs,
         .value = "F",
         .help = "text or JSONL files, plain or .gz"},
        ae_arg_tokenizer(&flags),
        ae_arg_tokenizer_of_model(&flags),
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "DIR",
         .help = "the folder of the token sets"},
        ae_arg_kind(&flags),
        ae_arg_map(&flags),
        {.name = "heldout",
         .type = AE_ARG_REAL,
         .to = &o.heldout,
         .fallback = "0.1",
         .help = "share held out, 0 to 0.5: the last documents, or the end of the one document"},
        {.name = "split-on",
         .type = AE_ARG_TEXT,
         .to = &o.split_on,
         .given = &given.split_on,
         .escapes = true,
         .help = "what parts the documents of a text file; \\n, \\t and \\\\ are read as in C"},
        {.name = "text-key",
         .type = AE_ARG_TEXT,
         .to = &o.text_key,
         .value = "KEY",
         .fallback = "text",
         .given = &given.text_key,
         .help = "the JSONL field that holds the text"},
        format,
        ae_arg_bad_lines(&text),
        ae_arg_threads(&threads),
        {.name = "force", .type = AE_ARG_FLAG, .to = &o.force, .help = "replace token sets that exist"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &json, .help = "the report as JSON"},
        ae_arg_quiet(&quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, NULL, &help);
    if (st == AE_OK && help) {
        ae_args_help(prepare_usage, table, n, stdout);
    } else if (st == AE_OK) {
        AE_TRY(ae_args_require(table, n, "input", inputs.n == 0));
        AE_TRY(ae_args_require(table, n, "tokenizer", !flags.tokenizer && !flags.model));
        AE_TRY(ae_args_require(table, n, "output", !o.output));
        AE_TRY(ae_text_flags_parse(&text, &o.format, &o.skip_bad));
        ae_log_quiet(quiet);
        o.inputs = inputs.items;
        o.n_inputs = inputs.n;
        o.threads = (int)threads;
        st = prepare(&o, &flags, &given, json);
    }
out:
    ae_arg_list_free(&inputs);
    return st;
}
