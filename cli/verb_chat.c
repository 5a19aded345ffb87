#include "cli/args.h"
#include "cli/chat.h"
#include "cli/dtype.h"
#include "cli/loaded.h"
#include "cli/verbs.h"
#include "core/log.h"
#include "train/provenance.h"
#include "train/run_model.h"

static const char usage[] = "aerie chat --model M [--adapter A] [--system STR] [--flags]\n\n"
                            "A conversation with a model that was tuned on dialogues. Answers stream to "
                            "standard output; what is said about\n"
                            "them goes to standard error. Where standard input is no terminal each line is a "
                            "message or a command, without\n"
                            "prompt or editing, and the first mistake ends the program.";

typedef struct {
    const char *model, *adapter, *system, *dtype;
    ae_sampling_flags sampling;
    int64_t threads;
    bool json, verbose, no_history, quiet;
} options;

static ae_status warn_of_base(const options *o) {
    ae_run_model r = {0};
    const ae_status st = ae_run_model_open(&r, o->model, o->adapter);
    if (st == AE_OK && !r.adapted && ae_source_is_pretrained(&r.base))
        ae_warn("%s: was pretrained only, so it goes on with text rather than answer; 'aerie sft' tunes a "
                "model on "
                "dialogues",
                o->model);
    ae_run_model_free(&r);
    return st;
}

static ae_status run(const options *o) {
    const ae_chat_options how = {&o->sampling, o->system, o->json, o->verbose, o->no_history};
    ae_loaded loaded = {0};
    ae_conversation *c = NULL;
    ae_status st;
    ae_log_quiet(o->quiet);
    AE_TRY(ae_loaded_open(&loaded, o->model, o->adapter, o->dtype, o->threads));
    if (!loaded.tokenizer)
        AE_TRY(
            AE_FAIL(AE_ERR_INPUT, "%s: expected a model with a tokenizer, found none beside it", o->model));
    AE_TRY(ae_conversation_new(&c, &loaded.model, loaded.tokenizer, o->model));
    AE_TRY(warn_of_base(o));
    AE_TRY(ae_chat_run(c, &how));
out:
    ae_conversation_delete(c);
    ae_loaded_close(&loaded);
    return st;
}

static void print_help(const ae_arg *table, size_t n) {
    ae_args_help(usage, table, n, stdout);
    puts("\nCommands:");
    ae_chat_list_commands(stdout);
}

/* The flags, over the options they fill. */
static ae_status parse(int argc, char **argv, options *o, bool *help) {
    const ae_arg table[] = {
        ae_arg_model(&o->model),
        ae_arg_adapter(&o->adapter),
        {.name = "system",
         .type = AE_ARG_TEXT,
         .to = &o->system,
         .escapes = true,
         .help = "a system message: it stands before the first message"},
        AE_SAMPLING_ARGS(&o->sampling),
        {.name = "json",
         .type = AE_ARG_FLAG,
         .to = &o->json,
         .help = "answers as lines {\"text\", \"tokens\", \"finish\": stop|length|interrupted}"},
        {.name = "verbose",
         .type = AE_ARG_FLAG,
         .to = &o->verbose,
         .help = "after each answer: tokens read and written, and their rate"},
        {.name = "no-history",
         .type = AE_ARG_FLAG,
         .to = &o->no_history,
         .help = "keep no file of the lines typed at a terminal"},
        ae_arg_weights(&o->dtype),
        ae_arg_threads(&o->threads),
        ae_arg_quiet(&o->quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    const ae_status st = ae_args_parse(argc, argv, table, n, NULL, help);
    if (st != AE_OK) return st;
    if (*help) {
        print_help(table, n);
        return AE_OK;
    }
    return ae_args_require(table, n, "model", !o->model);
}

ae_status ae_verb_chat(int argc, char **argv) {
    options o = {.dtype = "auto", .sampling = AE_SAMPLING_FLAGS};
    bool help = false;
    const ae_status st = parse(argc, argv, &o, &help);
    return st == AE_OK && !help ? run(&o) : st;
}
