#include "cli/args.h"
#include "cli/interrupt.h"
#include "cli/results.h"
#include "cli/text_flags.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "data/json_line.h"
#include "data/tokenizer.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static json_t *hash_json(const ae_tokenizer *t) {
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ae_tokenizer_hash(t));
    return json_string(hash);
}

/* ---- train ---- */

static const char train_usage[] =
    "aerie tokenizer train --input F... --output M.model --vocab-size N [--flags]\n\n"
    "Trains a sentencepiece model with the Gemma control tokens, digits split, bytes for\n"
    "characters it has not met, and all whitespace kept. Deterministic.";

static ae_status report_training(const ae_tokenizer_training *a, bool json) {
    ae_tokenizer *t = NULL;
    ae_status st = ae_tokenizer_open(&t, a->output);
    if (st != AE_OK) return st;
    ae_log("%s: %d pieces (%s)", a->output, ae_tokenizer_size(t), a->kind);
    if (json) {
        json_t *o = json_pack("{s:s, s:i, s:s, s:o}", "output", a->output, "vocab_size",
                              (int)ae_tokenizer_size(t), "kind", a->kind, "hash", hash_json(t));
        st = o ? ae_json_write_line(o, stdout, "standard output")
               : AE_FAIL(AE_ERR_USAGE, "--output: expected a name in UTF-8");
        json_decref(o);
    }
    ae_tokenizer_delete(t);
    return st;
}

static ae_status train_checked(const ae_tokenizer_training *a, bool force, bool json) {
    ae_status st = ae_results_check_file(a->output, force);
    if (st != AE_OK) return st;
    ae_interrupt_catch();
    st = ae_tokenizer_train(a);
    return st == AE_OK ? report_training(a, json) : st;
}

static ae_status verb_train(int argc, char **argv) {
    ae_bad_lines bad = {0};
    ae_tokenizer_training a = {.kind = "bpe", .text_key = "text", .bad = &bad};
    ae_text_flags text = AE_TEXT_FLAGS;
    ae_arg_list inputs = {0};
    int64_t vocab_size = 0, sample = 256000000, seed = 1;
    bool force = false, json = false, quiet = false, help = false;
    const ae_arg table[] = {
        {.name = "input",
         .type = AE_ARG_WORDS,
         .to = &inputs,
         .value = "F",
         .help = "text or JSONL files, plain or .gz"},
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &a.output,
         .value = "M.model",
         .help = "the model to write"},
        {.name = "vocab-size",
         .type = AE_ARG_INT,
         .to = &vocab_size,
         .min = 1,
         .max = 1e6,
         .help = "pieces of the model"},
        {.name = "kind",
         .type = AE_ARG_TEXT,
         .to = &a.kind,
         .value = "bpe|unigram",
         .fallback = "bpe",
         .help = "how pieces are found"},
        {.name = "text-key",
         .type = AE_ARG_TEXT,
         .to = &a.text_key,
         .value = "KEY",
         .fallback = "text",
         .help = "the JSONL field that holds the text"},
        ae_arg_format(&text),
        ae_arg_bad_lines(&text),
        {.name = "sample-bytes",
         .type = AE_ARG_INT,
         .to = &sample,
         .min = 1,
         .max = 1e12,
         .fallback = "256M",
         .help = "at most so much text is used, lines from everywhere"},
        {.name = "seed",
         .type = AE_ARG_INT,
         .to = &seed,
         .fallback = "1",
         .help = "which lines a sample takes"},
        {.name = "force", .type = AE_ARG_FLAG, .to = &force, .help = "replace an output that exists"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &json, .help = "the outcome as JSON on stdout"},
        ae_arg_quiet(&quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, NULL, &help);
    if (st == AE_OK && help) {
        ae_args_help(train_usage, table, n, stdout);
    } else if (st == AE_OK) {
        AE_TRY(ae_args_require(table, n, "input", inputs.n == 0));
        AE_TRY(ae_args_require(table, n, "output", !a.output));
        AE_TRY(ae_args_require(table, n, "vocab-size", vocab_size == 0));
        AE_TRY(ae_text_flags_parse(&text, &a.format, &a.skip_bad));
        ae_log_quiet(quiet);
        a.inputs = inputs.items;
        a.n_inputs = inputs.n;
        a.vocab_size = (int32_t)vocab_size;
        a.sample_bytes = sample;
        a.seed = (uint64_t)seed;
        a.check = ae_interrupt_check;
        st = train_checked(&a, force, json);
        ae_bad_lines_tell(&bad);
    }
out:
    ae_bad_lines_free(&bad);
    ae_arg_list_free(&inputs);
    return st;
}

/* ---- encode and decode ---- */

typedef ae_status line_function(const ae_tokenizer *t, const char *line, size_t n, const char *where,
                                bool json, ae_results *out);

static json_t *ids_json(const ae_ids *ids) {
    json_t *list = json_array();
    for (ptrdiff_t i = 0; i < ids->n; i++) json_array_append_new(list, json_integer(ids->ids[i]));
    return list;
}

static json_t *pieces_json(const ae_tokenizer *t, const ae_ids *ids) {
    json_t *list = json_array();
    for (ptrdiff_t i = 0; i < ids->n; i++)
        json_array_append_new(list, json_string(ae_tokenizer_piece(t, ids->ids[i])));
    return list;
}

static ae_status write_ids(const ae_tokenizer *t, const ae_ids *ids, bool json, ae_results *out) {
    if (!json) {
        for (ptrdiff_t i = 0; i < ids->n; i++) fprintf(out->file, i ? " %d" : "%d", ids->ids[i]);
        fputc('\n', out->file);
        return AE_OK;
    }
    json_t *o = json_pack("{s:o, s:o}", "tokens", ids_json(ids), "pieces", pieces_json(t, ids));
    const ae_status st = ae_json_write_line(o, out->file, out->name);
    json_decref(o);
    return st;
}

static ae_status encode_line(const ae_tokenizer *t, const char *line, size_t n, const char *where, bool json,
                             ae_results *out) {
    ae_ids ids = {0};
    ae_status st = ae_tokenizer_encode(t, line, n, &ids);
    if (st != AE_OK) ae_fail_prefix("%s", where);
    if (st == AE_OK) st = write_ids(t, &ids, json, out);
    ae_ids_free(&ids);
    return st;
}

static ae_status take_id(ae_ids *ids, bool is_id, long long id, const char *where) {
    if (!is_id || id < 0 || id > INT32_MAX)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected token ids, found something else as number %td", where,
                       ids->n + 1);
    return ae_ids_append(ids, (int32_t)id);
}

static ae_status parse_plain_ids(const char *line, const char *where, ae_ids *ids) {
    ae_status st = AE_OK;
    for (const char *at = line + strspn(line, " \t"); *at && st == AE_OK; at += strspn(at, " \t")) {
        char *end = NULL;
        errno = 0;
        const long long id = strtoll(at, &end, 10);
        st = take_id(ids, end != at && errno == 0 && (!*end || isspace((unsigned char)*end)), id, where);
        at = end;
    }
    return st;
}

/* [ids] or {"tokens": [ids]} */
static ae_status parse_json_ids(const char *line, size_t n, const char *where, ae_ids *ids) {
    static const char *const key = "tokens";
    json_t *root = NULL;
    ae_status st =
        line[0] == '{' ? ae_json_line(&root, line, n, &key, 1, where) : ae_json_parse(&root, line, n, where);
    if (st != AE_OK) return st;
    const json_t *list = json_is_array(root) ? root : json_object_get(root, "tokens");
    if (!json_is_array(list))
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected a list of ids or {\"tokens\": [ids]}, found something else",
                     where);
    for (size_t i = 0; i < json_array_size(list) && st == AE_OK; i++)
        st = take_id(ids, json_is_integer(json_array_get(list, i)),
                     json_integer_value(json_array_get(list, i)), where);
    json_decref(root);
    return st;
}

static ae_status decode_line(const ae_tokenizer *t, const char *line, size_t n, const char *where, bool json,
                             ae_results *out) {
    ae_ids ids = {0};
    char *text = NULL;
    size_t bytes = 0;
    ae_status st;
    AE_TRY(line[0] == '[' || line[0] == '{' ? parse_json_ids(line, n, where, &ids)
                                            : parse_plain_ids(line, where, &ids));
    st = ae_tokenizer_decode(t, ids.ids, ids.n, &text, &bytes);
    if (st != AE_OK) {
        ae_fail_prefix("%s", where);
    } else if (json) {
        json_t *o = json_pack("{s:o}", "text", json_stringn(text, bytes));
        st = ae_json_write_line(o, out->file, out->name);
        json_decref(o);
    } else {
        (void)fwrite(text, 1, bytes, out->file); /* faults show when the line is flushed */
        fputc('\n', out->file);
    }
out:
    free(text);
    ae_ids_free(&ids);
    return st;
}

typedef struct {
    const char *tokenizer, *input, *output;
    bool json, force;
} line_options;

static ae_status each_line(const line_options *o, line_function *convert) {
    ae_tokenizer *t = NULL;
    ae_reader *in = NULL;
    ae_results out = {0};
    ae_status st;
    char *line = NULL, where[AE_WHERE_BYTES];
    size_t n = 0;
    ae_interrupt_catch();
    AE_TRY(ae_tokenizer_open(&t, o->tokenizer));
    AE_TRY(ae_reader_open(&in, o->input));
    AE_TRY(ae_results_open(&out, o->output, o->force));
    for (;;) {
        st = ae_reader_line(in, &line, &n);
        if (ae_interrupt_check() != AE_OK) st = AE_ERR_INTERRUPTED;
        if (st != AE_OK || !line) break;
        snprintf(where, sizeof where, "%s:%lld", ae_reader_name(in), (long long)ae_reader_line_number(in));
        AE_TRY(convert(t, line, n, where, o->json, &out));
        AE_TRY(ae_results_flush(&out));
    }
out:
    st = ae_results_close(&out, st);
    ae_reader_close(in);
    ae_tokenizer_delete(t);
    return st;
}

static ae_status verb_lines(int argc, char **argv, const char *usage, const char *json_help,
                            line_function *convert) {
    line_options o = {.input = "-", .output = "-"};
    bool help = false;
    const ae_arg table[] = {
        {.name = "tokenizer",
         .type = AE_ARG_TEXT,
         .to = &o.tokenizer,
         .value = "M",
         .help = "a sentencepiece model"},
        {.name = "input",
         .type = AE_ARG_TEXT,
         .to = &o.input,
         .value = "F",
         .fallback = "-",
         .help = "lines, plain or .gz; - is standard input"},
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "F",
         .fallback = "-",
         .help = "one line for each line"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &o.json, .help = json_help},
        {.name = "force", .type = AE_ARG_FLAG, .to = &o.force, .help = "replace an output that exists"},
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, NULL, &help);
    if (st != AE_OK) return st;
    if (help) {
        ae_args_help(usage, table, n, stdout);
        return AE_OK;
    }
    st = ae_args_require(table, n, "tokenizer", !o.tokenizer);
    return st == AE_OK ? each_line(&o, convert) : st;
}

static ae_status verb_encode(int argc, char **argv) {
    return verb_lines(argc, argv,
                      "aerie tokenizer encode --tokenizer M [--input F|-] [--flags]\n\n"
                      "The ids of each line of text, without its line end, without <bos> and <eos>.",
                      "{\"tokens\": [ids], \"pieces\": [texts]} for each line", encode_line);
}

static ae_status verb_decode(int argc, char **argv) {
    return verb_lines(argc, argv,
                      "aerie tokenizer decode --tokenizer M [--input F|-] [--flags]\n\n"
                      "The text of each line of ids, written 1 2 3, [1, 2, 3] or {\"tokens\": [1, 2, 3]}.",
                      "{\"text\": s} for each line", decode_line);
}

/* ---- inspect ---- */

typedef struct {
    int control, bytes, learned, longest;
} piece_counts;

static piece_counts count_pieces(const ae_tokenizer *t) {
    piece_counts c = {0};
    for (int32_t id = 0; id < ae_tokenizer_size(t); id++) {
        const bool is_control = ae_tokenizer_is_control(t, id) || id == ae_tokenizer_special(t).unk;
        const bool is_byte = ae_tokenizer_is_byte(t, id);
        c.control += is_control;
        c.bytes += is_byte;
        if (is_control || is_byte) continue;
        c.learned++;
        const int length = (int)strlen(ae_tokenizer_piece(t, id));
        if (length > c.longest) c.longest = length;
    }
    return c;
}

static json_t *special_json(const ae_tokenizer *t) {
    const ae_special_ids s = ae_tokenizer_special(t);
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "pad", s.pad, "eos", s.eos, "bos", s.bos, "unk", s.unk,
                     "start_of_turn", s.start_of_turn, "end_of_turn", s.end_of_turn);
}

static ae_status inspect_json(const ae_tokenizer *t, int32_t n_pieces) {
    const piece_counts c = count_pieces(t);
    json_t *pieces = json_array();
    for (int32_t id = 0; id < n_pieces; id++)
        json_array_append_new(pieces, json_string(ae_tokenizer_piece(t, id)));
    json_t *o =
        json_pack("{s:i, s:o, s:i, s:i, s:i, s:b, s:o, s:o}", "vocab_size", (int)ae_tokenizer_size(t), "hash",
                  hash_json(t), "control", c.control, "bytes", c.bytes, "learned", c.learned, "wordwise",
                  ae_tokenizer_is_wordwise(t), "special", special_json(t), "pieces", pieces);
    const ae_status st = ae_json_write_line(o, stdout, "standard output");
    json_decref(o);
    return st;
}

/* Line ends and other controls as C writes them. */
static void print_piece(const char *piece) {
    for (const char *c = piece; *c; c++) {
        if (*c == '\n')
            fputs("\\n", stdout);
        else if (*c == '\t')
            fputs("\\t", stdout);
        else if ((unsigned char)*c < 32)
            printf("\\x%02X", (unsigned)*c);
        else
            putchar(*c);
    }
    putchar('\n');
}

static ae_status inspect_text(const ae_tokenizer *t, const char *path, int32_t n_pieces) {
    const piece_counts c = count_pieces(t);
    const ae_special_ids s = ae_tokenizer_special(t);
    printf("%s\n  %d pieces: %d control, %d bytes, %d learned (the longest of %d bytes)\n", path,
           ae_tokenizer_size(t), c.control, c.bytes, c.learned, c.longest);
    printf("  pad %d, eos %d, bos %d, unk %d, start_of_turn %d, end_of_turn %d (-1: none)\n", s.pad, s.eos,
           s.bos, s.unk, s.start_of_turn, s.end_of_turn);
    printf("  text is encoded %s\n  hash %016llx\n", ae_tokenizer_is_wordwise(t) ? "word by word" : "whole",
           (unsigned long long)ae_tokenizer_hash(t));
    for (int32_t id = 0; id < n_pieces; id++) {
        printf("%7d  ", id);
        print_piece(ae_tokenizer_piece(t, id));
    }
    return AE_OK;
}

static ae_status inspect(const char *path, int64_t pieces, bool json) {
    ae_tokenizer *t = NULL;
    ae_status st = ae_tokenizer_open(&t, path);
    if (st != AE_OK) return st;
    const int32_t size = ae_tokenizer_size(t), n = pieces < size ? (int32_t)pieces : size;
    st = json ? inspect_json(t, n) : inspect_text(t, path, n);
    ae_tokenizer_delete(t);
    return st;
}

static ae_status verb_inspect(int argc, char **argv) {
    const char *path = NULL;
    int64_t pieces = 0;
    bool json = false, help = false;
    ae_arg_list words = {0};
    const ae_arg table[] = {
        {.name = "tokenizer",
         .type = AE_ARG_TEXT,
         .to = &path,
         .value = "M",
         .help = "a sentencepiece model (or M without the flag)"},
        {.name = "pieces",
         .type = AE_ARG_INT,
         .to = &pieces,
         .min = 0,
         .max = 1e9,
         .fallback = "0",
         .help = "list the first N pieces"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &json, .help = "one JSON object"},
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &words, &help);
    if (st == AE_OK && words.n > 0 && !path) path = words.items[0];
    const size_t used = path && words.n && path == words.items[0];
    if (st == AE_OK && help) {
        ae_args_help("aerie tokenizer inspect M [--flags]\n\nSizes, control tokens and pieces of a model.",
                     table, n, stdout);
    } else if (st == AE_OK && words.n > used) {
        st = AE_FAIL(AE_ERR_USAGE, "'%s': expected one model, found more", words.items[used]);
    } else if (st == AE_OK) {
        st = ae_args_require(table, n, "tokenizer", !path);
        if (st == AE_OK) st = inspect(path, pieces, json);
    }
    ae_arg_list_free(&words);
    return st;
}

ae_status ae_verb_tokenizer(int argc, char **argv) {
    static const ae_subverb subverbs[] = {
        {"train", verb_train, "a sentencepiece model from text"},
        {"encode", verb_encode, "lines of text to ids"},
        {"decode", verb_decode, "lines of ids to text"},
        {"inspect", verb_inspect, "sizes, control tokens and pieces of a model"},
        {"trim", ae_verb_tokenizer_trim, "a smaller model: the pieces that a corpus uses"},
    };
    return ae_args_subverb(argc, argv, subverbs, sizeof subverbs / sizeof *subverbs);
}
