#include "cli/args.h"
#include "cli/data_check.h"
#include "cli/data_show.h"
#include "cli/data_verbs.h"
#include "cli/example_flags.h"
#include "cli/interrupt.h"
#include "cli/verbs.h"
#include "core/h5.h"
#include "core/json.h"
#include "core/log.h"
#include "data/documents.h"
#include "data/token_set.h"
#include "data/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_TOKENS = 1 << 16 };

/* ---- validate ---- */

typedef struct {
    int64_t tokens, documents, empty_documents, targets, text_bytes, vocab_size;
    bool has_mask, has_tokenizer, has_bytes;
    const char *kind;
} findings;

/* Every token and mask entry is read, and so checked. A document's first token is no target. */
static ae_status read_all(ae_token_set *s, findings *f) {
    const int64_t *starts = ae_token_set_doc_starts(s);
    int64_t next = 0;
    int32_t *ids = malloc(READ_TOKENS * sizeof *ids);
    uint8_t *mask = malloc(READ_TOKENS);
    ae_status st = ids && mask ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", ae_token_set_path(s));
    for (int64_t at = 0; at < f->tokens && st == AE_OK; at += READ_TOKENS) {
        const int64_t n = f->tokens - at < READ_TOKENS ? f->tokens - at : READ_TOKENS;
        st = ae_token_set_read(s, at, n, ids, mask);
        for (int64_t i = 0; i < n && st == AE_OK; i++) {
            while (starts[next] < at + i) next++;
            f->targets += starts[next] != at + i && mask[i];
        }
        if (ae_interrupt_check() != AE_OK) st = AE_ERR_INTERRUPTED;
    }
    free(ids);
    free(mask);
    return st;
}

static ae_status check_tokenizer(const ae_token_set *s, findings *f) {
    size_t n = 0;
    const void *model = ae_token_set_tokenizer(s, &n);
    f->has_tokenizer = model != NULL;
    if (!model) return AE_OK;
    ae_tokenizer *t = NULL;
    ae_status st = ae_tokenizer_from_bytes(&t, model, n, ae_token_set_path(s));
    if (st == AE_OK && ae_tokenizer_size(t) > f->vocab_size)
        st = AE_FAIL(AE_ERR_INPUT,
                     "%s: vocab_size: expected at least the %d pieces of its tokenizer, found %lld",
                     ae_token_set_path(s), ae_tokenizer_size(t), (long long)f->vocab_size);
    ae_tokenizer_delete(t);
    return st;
}

static ae_status examine(const char *path, findings *f) {
    ae_token_set *s = NULL;
    ae_status st = ae_token_set_open(&s, path);
    if (st != AE_OK) return st;
    *f = (findings){.kind = ae_data_kind_name(ae_token_set_kind(s)),
                    .tokens = ae_token_set_tokens(s),
                    .documents = ae_token_set_documents(s),
                    .vocab_size = ae_token_set_vocab_size(s),
                    .has_mask = ae_token_set_has_mask(s),
                    .has_bytes = ae_token_set_doc_bytes(s) != NULL};
    const int64_t *starts = ae_token_set_doc_starts(s);
    for (int64_t d = 0; d < f->documents; d++) {
        f->empty_documents += starts[d + 1] == starts[d];
        if (f->has_bytes) f->text_bytes += ae_token_set_doc_bytes(s)[d];
    }
    st = check_tokenizer(s, f);
    if (st == AE_OK) st = read_all(s, f);
    if (st == AE_OK) st = ae_token_set_verify(s);
    ae_token_set_close(s);
    return st;
}

static ae_status print_findings(const char *path, const findings *f, bool json) {
    if (!json) {
        printf("%s: well-formed, %s; %lld tokens, %lld document%s (%lld empty), %lld targets, vocabulary of "
               "%lld; "
               "%s, %s, %s\n",
               path, f->kind, (long long)f->tokens, (long long)f->documents, ae_plural(f->documents),
               (long long)f->empty_documents, (long long)f->targets, (long long)f->vocab_size,
               f->has_mask ? "a loss mask" : "no loss mask",
               f->has_tokenizer ? "a tokenizer" : "no tokenizer",
               f->has_bytes ? "bytes of text known" : "bytes of text not known");
        return AE_OK;
    }
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o}", "path", path, "kind", f->kind,
                  "tokens", (json_int_t)f->tokens, "documents", (json_int_t)f->documents, "empty_documents",
                  (json_int_t)f->empty_documents, "targets", (json_int_t)f->targets, "vocab_size",
                  (json_int_t)f->vocab_size, "loss_mask", f->has_mask, "tokenizer", f->has_tokenizer,
                  "text_bytes", f->has_bytes ? json_integer(f->text_bytes) : json_null());
    const ae_status st = o ? ae_json_write_line(o, stdout, "standard output")
                           : AE_FAIL(AE_ERR_USAGE, "expected a path in UTF-8");
    json_decref(o);
    return st;
}

static const char validate_usage[] =
    "aerie data validate SET.h5... [--json]\n"
    "       aerie data validate F.jsonl... --kind chat|pairs|prompts (--tokenizer M | --model M) "
    "[--flags]\n\n"
    "Reads token sets whole and checks everything about them. Of rows of JSON lines it names every fault, "
    "rows\n"
    "that come twice and rows that are too long; it ends with 3 when there is one.";

static ae_status validate_sets(const ae_arg_list *paths, bool json) {
    ae_status st = AE_OK;
    for (size_t i = 0; i < paths->n && st == AE_OK; i++) {
        findings f;
        if (ae_path_names_jsonl(paths->items[i]))
            return AE_FAIL(AE_ERR_USAGE,
                           "%s: expected --kind beside JSON lines, which says what the rows are, found none",
                           paths->items[i]);
        st = examine(paths->items[i], &f);
        if (st == AE_OK) st = print_findings(paths->items[i], &f, json);
    }
    return st;
}

static ae_status no_rows(const char *path) {
    return AE_FAIL(AE_ERR_USAGE,
                   "%s: expected JSON lines beside --kind, --tokenizer, --model, --map, --fix and "
                   "--row-tokens, found a token set; `aerie data validate %s` without these checks it",
                   path, path);
}

static ae_status validate_rows(ae_check_options *o, ae_example_flags *flags, const ae_arg_list *paths) {
    for (size_t i = 0; i < paths->n; i++)
        if (ae_h5_is_file(paths->items[i])) return no_rows(paths->items[i]);
    ae_status st = ae_example_flags_open(flags);
    if (st != AE_OK) return st;
    o->inputs = paths->items;
    o->n_inputs = paths->n;
    o->rules = flags->rules;
    st = ae_data_check(o);
    ae_example_flags_close(flags);
    return st;
}

static ae_status validate(ae_check_options *o, ae_example_flags *flags, const ae_arg_list *paths) {
    if (paths->n == 0)
        return AE_FAIL(
            AE_ERR_USAGE,
            "data validate: expected a token set, found none; give SET.h5, or F.jsonl with --kind");
    const bool row_flags =
        flags->tokenizer || flags->model || flags->mapping || o->fix || o->row_tokens || o->force;
    ae_interrupt_catch();
    if (flags->kind) return validate_rows(o, flags, paths);
    if (!row_flags) return validate_sets(paths, o->json);
    if (ae_h5_is_file(paths->items[0])) return no_rows(paths->items[0]);
    return AE_FAIL(AE_ERR_USAGE,
                   "data validate: expected --kind, which says what the rows of JSON lines are, found none");
}

static ae_status verb_validate(int argc, char **argv) {
    ae_arg_list paths = {0};
    ae_check_options o = {0};
    ae_example_flags flags = {0};
    bool help = false;
    const ae_arg table[] = {
        ae_arg_kind(&flags),
        ae_arg_tokenizer(&flags),
        ae_arg_tokenizer_of_model(&flags),
        ae_arg_map(&flags),
        {.name = "row-tokens",
         .type = AE_ARG_INT,
         .to = &o.row_tokens,
         .min = 1,
         .max = 1e8,
         .help = "name rows that rows of N tokens in training do not hold"},
        {.name = "fix",
         .type = AE_ARG_TEXT,
         .to = &o.fix,
         .value = "OUT.jsonl",
         .help = "write the rows with nothing wrong, as they are"},
        {.name = "force", .type = AE_ARG_FLAG, .to = &o.force, .help = "replace an OUT.jsonl that exists"},
        {.name = "json",
         .type = AE_ARG_FLAG,
         .to = &o.json,
         .help = "one JSON object for each token set, or one for all rows"},
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &paths, &help);
    if (st == AE_OK && help)
        ae_args_help(validate_usage, table, n, stdout);
    else if (st == AE_OK)
        st = validate(&o, &flags, &paths);
    ae_arg_list_free(&paths);
    return st;
}

/* ---- inspect ---- */

static const char inspect_usage[] =
    "aerie data inspect SET.h5 [--flags]\n"
    "       aerie data inspect F.jsonl --kind chat|pairs|prompts (--tokenizer M | --model M) [--flags]\n\n"
    "Tokens of documents or rows. On a terminal targets that count are coloured and masked\n"
    "tokens grey; elsewhere [counted] and (masked).";

/* JSON lines where a tokenizer or a kind is given: a token set brings its own. */
static ae_status show(const ae_show_options *o, ae_example_flags *flags) {
    const bool rows = flags->tokenizer || flags->model || flags->kind || flags->mapping;
    if (!rows && ae_path_names_jsonl(o->path))
        return AE_FAIL(AE_ERR_USAGE, "%s: expected --tokenizer or --model beside JSON lines, found neither",
                       o->path);
    if (!rows) return ae_data_show(o);
    if (!flags->kind) flags->kind = "chat";
    ae_status st = ae_example_flags_open(flags);
    if (st != AE_OK) return st;
    st = ae_data_show_lines(o, &flags->rules);
    ae_example_flags_close(flags);
    return st;
}

static ae_status inspect(ae_show_options *o, ae_example_flags *flags, const ae_arg_list *words,
                         const char *color) {
    if (words->n != 1)
        return AE_FAIL(AE_ERR_USAGE, "data inspect: expected one token set, found %zu", words->n);
    const bool never = strcmp(color, "never") == 0, always = strcmp(color, "always") == 0;
    if (!never && !always && strcmp(color, "auto") != 0)
        return AE_FAIL(AE_ERR_USAGE, "--color: expected auto, always or never, found '%s'", color);
    o->path = words->items[0];
    o->color = always || (!never && isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
    return show(o, flags);
}

static ae_status verb_inspect(int argc, char **argv) {
    ae_show_options o = {.documents = 3, .row_tokens = 256, .tokens = 256};
    ae_example_flags flags = {0};
    ae_arg_list words = {0};
    const char *color = "auto";
    bool help = false;
    const ae_arg table[] = {
        {.name = "documents",
         .type = AE_ARG_INT,
         .to = &o.documents,
         .min = 1,
         .max = 1e15,
         .fallback = "3",
         .help = "show N documents, pairs or lines of JSON"},
        {.name = "rows",
         .type = AE_ARG_INT,
         .to = &o.rows,
         .min = 1,
         .max = 1e15,
         .help = "show N rows instead, as training sees them in file order"},
        {.name = "first",
         .type = AE_ARG_INT,
         .to = &o.first,
         .min = 0,
         .max = 1e15,
         .fallback = "0",
         .help = "the first document, pair, line or row shown"},
        {.name = "row-tokens",
         .type = AE_ARG_INT,
         .to = &o.row_tokens,
         .min = 1,
         .max = 1e8,
         .fallback = "256",
         .help = "tokens of a row"},
        {.name = "tokens",
         .type = AE_ARG_INT,
         .to = &o.tokens,
         .min = 0,
         .max = 1e15,
         .fallback = "256",
         .help = "show at most N tokens of a document, 0: all"},
        {.name = "color",
         .type = AE_ARG_TEXT,
         .to = &color,
         .value = "WHEN",
         .fallback = "auto",
         .help = "colours: auto, always or never"},
        {.name = "json",
         .type = AE_ARG_FLAG,
         .to = &o.json,
         .help = "one JSON object for each document or row"},
        ae_arg_kind(&flags),
        ae_arg_tokenizer(&flags),
        ae_arg_tokenizer_of_model(&flags),
        ae_arg_map(&flags),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &words, &help);
    if (st == AE_OK && help)
        ae_args_help(inspect_usage, table, n, stdout);
    else if (st == AE_OK)
        st = inspect(&o, &flags, &words, color);
    ae_arg_list_free(&words);
    return st;
}

ae_status ae_verb_data(int argc, char **argv) {
    static const ae_subverb subverbs[] = {
        {"prepare", ae_verb_data_prepare, "token sets from text, dialogues, pairs or prompts"},
        {"render", ae_verb_data_render, "tokens and loss mask of dialogues, pairs and prompts"},
        {"validate", verb_validate, "check token sets"},
        {"inspect", verb_inspect, "show tokens with the loss mask"},
    };
    return ae_args_subverb(argc, argv, subverbs, sizeof subverbs / sizeof *subverbs);
}
