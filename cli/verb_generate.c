#include "cli/args.h"
#include "cli/dtype.h"
#include "cli/interrupt.h"
#include "cli/loaded.h"
#include "cli/results.h"
#include "cli/sampling_flags.h"
#include "cli/verbs.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "eval/generate.h"
#include "eval/request.h"

#include <string.h>

static const char usage[] =
    "aerie generate --model M [--adapter A] (--prompt STR | --input F.jsonl|-) [--output F|-] [--flags]\n\n"
    "--prompt writes the new text to the terminal as it comes. With --input each line {\"prompt\": s}, "
    "{\"tokens\": [ids]}\n"
    "or {\"messages\": [..]}, a dialogue that ends with a turn of the user, gives {\"tokens\": [new ids], "
    "\"text\"?: s, \"logprobs\"?: [..], \"finish\": \"stop\"|\"length\"}; so "
    "does --prompt with\n"
    "--output, --logprobs or --json. The token that ends an answer is among its ids; text ends before a stop "
    "string.";

typedef struct {
    const char *model, *adapter, *prompt, *input, *output, *dtype;
    int64_t batch, threads;
    ae_sampling_flags sampling;
    ae_arg_list stops;
    bool logprobs, ignore_eos, no_bos, force, quiet, json;
} options;

/* Where ae_generate gets its prompts and leaves its answers. */
typedef struct {
    const options *o;
    ae_request_rules rules;
    ae_reader *in; /* NULL: --prompt */
    bool prompt_is_taken, told_field;
    bool wants_turns; /* the model was tuned on dialogues, and no plain prompt was warned about yet */
    ae_results out;
    bool wants_text; /* the bare text of one answer, as it comes */
    ae_progress bar;
    int64_t answers, tokens;
    double started_s;
} desk;

/* Text without turns is what the model goes on with, not what it answers. */
static void warn_of_plain(desk *d, const json_t *request, const char *where) {
    const json_t *prompt = json_object_get(request, "prompt");
    if (!d->wants_turns || !json_is_string(prompt)) return;
    d->wants_turns = false;
    ae_warn(
        "%s: plain text, but the model was tuned on dialogues: it goes on with the text rather than "
        "answer; a line {\"messages\": [{\"role\": \"user\", \"content\": ..}]} of --input or `aerie chat` "
        "asks it",
        where);
}

static ae_status next_line(desk *d, ae_ids *prompt, bool *more) {
    char *line = NULL, where[AE_WHERE_BYTES];
    size_t n = 0;
    json_t *request = NULL;
    ae_status st = ae_reader_line(d->in, &line, &n);
    if (ae_interrupt_check() != AE_OK) st = AE_ERR_INTERRUPTED;
    *more = line != NULL;
    if (st != AE_OK || !line) return st;
    snprintf(where, sizeof where, "%s:%lld", ae_reader_name(d->in), (long long)ae_reader_line_number(d->in));
    st = ae_request_parse(&request, line, n, where, &d->told_field);
    if (st == AE_OK) warn_of_plain(d, request, where);
    if (st == AE_OK) st = ae_request_prompt(request, &d->rules, where, prompt);
    json_decref(request);
    return st;
}

static ae_status only_prompt(desk *d, ae_ids *prompt, bool *more) {
    *more = !d->prompt_is_taken;
    if (d->prompt_is_taken) return AE_OK;
    d->prompt_is_taken = true;
    json_t *request = json_pack("{s:s}", "prompt", d->o->prompt);
    if (!request) return AE_FAIL(AE_ERR_USAGE, "--prompt: expected UTF-8 text, found other bytes");
    warn_of_plain(d, request, "--prompt");
    const ae_status st = ae_request_ids(request, "prompt", &d->rules, "--prompt", prompt);
    json_decref(request);
    return st;
}

static ae_status next_prompt(void *context, ae_ids *prompt, bool *more) {
    desk *d = context;
    return d->in ? next_line(d, prompt, more) : only_prompt(d, prompt, more);
}

static json_t *answer_of(const ae_answer *a) {
    json_t *tokens = json_array(), *answer = json_pack("{s:o}", "tokens", tokens);
    for (ptrdiff_t i = 0; i < a->tokens.n; i++) json_array_append_new(tokens, json_integer(a->tokens.ids[i]));
    if (a->text) json_object_set_new(answer, "text", json_stringn(a->text, a->text_bytes));
    if (a->logprobs) {
        json_t *logprobs = json_array();
        for (ptrdiff_t i = 0; i < a->tokens.n; i++)
            json_array_append_new(logprobs, ae_json_number((double)a->logprobs[i]));
        json_object_set_new(answer, "logprobs", logprobs);
    }
    json_object_set_new(answer, "finish", json_string(a->end == AE_ANSWER_STOPPED ? "stop" : "length"));
    return answer;
}

static ae_status take_answer(void *context, const ae_answer *a) {
    desk *d = context;
    d->answers++;
    d->tokens += a->tokens.n;
    if (d->out.owned) ae_progress_show(&d->bar, d->answers, "");
    if (d->wants_text) {
        fputc('\n', d->out.file);
        return ae_results_flush(&d->out);
    }
    json_t *answer = answer_of(a);
    ae_status st = answer ? ae_json_write_line(answer, d->out.file, d->out.name)
                          : AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
    json_decref(answer);
    return st == AE_OK ? ae_results_flush(&d->out) : st;
}

static ae_status show_piece(void *context, const char *text, size_t n) {
    desk *d = context;
    if (fwrite(text, 1, n, d->out.file) != n) return ae_output_failed(d->out.name);
    return ae_results_flush(&d->out);
}

static ae_status check(void *context) {
    (void)context;
    return ae_interrupt_check();
}

static ae_status check_options(const options *o) {
    if (!o->prompt == !o->input)
        return AE_FAIL(AE_ERR_USAGE, "expected either --prompt or --input, found %s",
                       o->prompt ? "both" : "neither");
    for (size_t i = 0; i < o->stops.n; i++)
        if (!*o->stops.items[i])
            return AE_FAIL(AE_ERR_USAGE, "--stop: expected some text, found an empty string");
    return AE_OK;
}

static ae_status check_model(const options *o, const ae_loaded *l) {
    if (l->tokenizer || (!o->prompt && o->stops.n == 0)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: has no tokenizer, which %s needs; give {\"tokens\": [ids]} lines with --input",
                   o->model, o->prompt ? "--prompt" : "--stop");
}

static ae_status answer_all(desk *d, const ae_loaded *l) {
    const options *o = d->o;
    int32_t ends[AE_ENDS_MAX + 2];
    ae_generation how = {.each = {.stops = o->stops.items,
                                  .n_stops = o->stops.n,
                                  .end_ids = ends,
                                  .want_logprobs = o->logprobs},
                         .batch = d->in ? o->batch : 1};
    if (!o->ignore_eos) how.each.n_end_ids = ae_answer_end_ids(&l->model.config, l->tokenizer, ends);
    ae_sampling_apply(&o->sampling, true, &how.each);
    const ae_generate_io io = {next_prompt, take_answer, d->wants_text ? show_piece : NULL, check, d};
    ae_progress_init(&d->bar, "generate", 0, 0);
    d->bar.unit = "line";
    d->started_s = ae_now_s();
    ae_status st = ae_generate(&l->model, l->tokenizer, &how, &io);
    ae_progress_end(&d->bar);
    const double seconds = ae_now_s() - d->started_s;
    if (st == AE_OK && d->answers > 0)
        ae_log("%lld token%s in %.1f s, %.1f tok/s", (long long)d->tokens, ae_plural(d->tokens), seconds,
               (double)d->tokens / seconds);
    if (st == AE_OK && d->answers == 0)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected at least one line of JSON, found an empty file",
                     ae_reader_name(d->in));
    return st;
}

static ae_status run(const options *o) {
    ae_loaded loaded = {0};
    desk d = {.o = o, .wants_text = o->prompt && !o->output && !o->logprobs && !o->json};
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    if (o->input) AE_TRY(ae_reader_open(&d.in, o->input));
    AE_TRY(ae_results_open(&d.out, o->output, o->force));
    AE_TRY(ae_loaded_open(&loaded, o->model, o->adapter, o->dtype, o->threads));
    AE_TRY(check_model(o, &loaded));
    d.wants_turns = loaded.objective && strcmp(loaded.objective, "sft") == 0 && loaded.tokenizer &&
                    ae_tokenizer_special(loaded.tokenizer).start_of_turn >= 0;
    d.rules = (ae_request_rules){loaded.tokenizer, loaded.model.config.V, !o->no_bos};
    AE_TRY(answer_all(&d, &loaded));
out:
    st = ae_results_close(&d.out, st);
    ae_loaded_close(&loaded);
    ae_reader_close(d.in);
    return st;
}

/* The flags, over the options they fill. */
static ae_status parse(int argc, char **argv, options *o, bool *help) {
    const ae_arg table[] = {
        ae_arg_model(&o->model),
        ae_arg_adapter(&o->adapter),
        {.name = "prompt",
         .type = AE_ARG_TEXT,
         .to = &o->prompt,
         .help = "one prompt; <bos> and its encoding"},
        {.name = "input",
         .type = AE_ARG_TEXT,
         .to = &o->input,
         .value = "F.jsonl",
         .help = "prompts, a line each, plain or .gz; - is standard input"},
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o->output,
         .value = "F",
         .fallback = "-",
         .help = "where the answers go, in the order of the prompts"},
        AE_SAMPLING_ARGS(&o->sampling),
        {.name = "stop",
         .type = AE_ARG_LIST,
         .to = &o->stops,
         .escapes = true,
         .help = "text that ends an answer; \\n, \\t and \\\\ are read as in C"},
        {.name = "ignore-eos",
         .type = AE_ARG_FLAG,
         .to = &o->ignore_eos,
         .help = "go on after <eos>, <end_of_turn> and other ends that the model names"},
        {.name = "no-bos",
         .type = AE_ARG_FLAG,
         .to = &o->no_bos,
         .help = "text is its encoding only, without <bos>"},
        {.name = "logprobs",
         .type = AE_ARG_FLAG,
         .to = &o->logprobs,
         .help = "add the model's log-probability of every new token"},
        {.name = "batch",
         .type = AE_ARG_INT,
         .to = &o->batch,
         .min = 1,
         .max = 1024,
         .fallback = "8",
         .help = "prompts answered at once; changes the speed only"},
        {.name = "json",
         .type = AE_ARG_FLAG,
         .to = &o->json,
         .help = "--prompt: the answer as a line of JSON"},
        {.name = "force", .type = AE_ARG_FLAG, .to = &o->force, .help = "replace an output that exists"},
        ae_arg_weights(&o->dtype),
        ae_arg_threads(&o->threads),
        ae_arg_quiet(&o->quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    const ae_status st = ae_args_parse(argc, argv, table, n, NULL, help);
    if (st != AE_OK) return st;
    if (*help) {
        ae_args_help(usage, table, n, stdout);
        return AE_OK;
    }
    return ae_args_require(table, n, "model", !o->model);
}

ae_status ae_verb_generate(int argc, char **argv) {
    options o = {.dtype = "auto", .sampling = AE_SAMPLING_FLAGS, .batch = 8};
    bool help = false;
    ae_status st = parse(argc, argv, &o, &help);
    if (st == AE_OK && !help) st = check_options(&o);
    if (st == AE_OK && !help) st = run(&o);
    ae_arg_list_free(&o.stops);
    return st;
}
