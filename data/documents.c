#include "data/documents.h"

#include "core/file.h"
#include "data/inputs.h"
#include "data/json_line.h"
#include "data/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of a text file, hold |-- taken --| begin -- read ahead -- end |; of a JSONL file the text of the current
 * line. */
struct ae_documents {
    ae_documents_options o;
    size_t split_bytes;
    size_t next_input;
    ae_reader *reader; /* of input next_input - 1; NULL between files */
    bool is_jsonl, file_done;

    char *hold; /* [AE_BLOCK_BYTES] */
    size_t begin, end;
    bool read_all;
    int64_t taken_bytes, taken_lines; /* of this file's text */

    json_t *line;
    const char *rest;
    size_t rest_bytes;

    bool inside; /* a document that has begun and not ended */
    int64_t at;
    ae_documents_count count;
};

void ae_block_free(ae_block *b) {
    free(b->text);
    free(b->pieces);
    *b = (ae_block){0};
}

/* Room for n bytes of text and one piece more. */
static ae_status block_reserve(ae_block *b, size_t n) {
    if (b->n + n > b->capacity) {
        const size_t capacity = 2 * (b->n + n);
        char *text = realloc(b->text, capacity);
        if (!text)
            return AE_FAIL(AE_ERR_RESOURCE, "reading documents: out of memory for %zu bytes", capacity);
        b->text = text;
        b->capacity = capacity;
    }
    if (b->n_pieces == b->pieces_capacity) {
        const size_t capacity = 2 * b->pieces_capacity + 64;
        ae_piece *pieces = realloc(b->pieces, capacity * sizeof *pieces);
        if (!pieces)
            return AE_FAIL(AE_ERR_RESOURCE, "reading documents: out of memory for %zu pieces", capacity);
        b->pieces = pieces;
        b->pieces_capacity = capacity;
    }
    return AE_OK;
}

static ae_status add_piece(ae_documents *d, ae_block *b, const char *s, size_t n, bool ends) {
    if (ends && !d->inside && ae_text_is_blank(s, n)) {
        d->count.empty_documents++;
        return AE_OK;
    }
    const ae_status st = block_reserve(b, n);
    if (st != AE_OK) return st;
    b->pieces[b->n_pieces++] = (ae_piece){.offset = b->n,
                                          .n = n,
                                          .document = d->count.documents,
                                          .at = d->at,
                                          .begins = !d->inside,
                                          .ends = ends};
    if (n) memcpy(b->text + b->n, s, n);
    b->n += n;
    d->at = ends ? 0 : d->at + (int64_t)n;
    d->inside = !ends;
    d->count.documents += ends;
    d->count.text_bytes += (int64_t)n;
    return AE_OK;
}

static int64_t count_lines(const char *s, size_t n) {
    int64_t lines = 0;
    for (size_t i = 0; i < n; i++) lines += s[i] == '\n';
    return lines;
}

/* `s` lies `behind` bytes behind what was taken; lines before it are counted from there. */
static ae_status check_utf8(const ae_documents *d, const char *s, size_t n, size_t behind) {
    const size_t valid = ae_utf8_prefix(s, n);
    if (valid == n) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s:%lld: expected UTF-8 text, found byte 0x%02X at offset %lld; convert the file to UTF-8",
        ae_reader_name(d->reader), (long long)(d->taken_lines + count_lines(s - behind, behind + valid) + 1),
        (unsigned)(unsigned char)s[valid], (long long)(d->taken_bytes + (int64_t)(behind + valid)));
}

/* `lines`: ends of lines among the n bytes. */
static void take(ae_documents *d, size_t n, int64_t lines) {
    d->taken_lines += lines;
    d->taken_bytes += (int64_t)n;
    d->begin += n;
}

static ae_status refill(ae_documents *d) {
    memmove(d->hold, d->hold + d->begin, d->end - d->begin);
    d->end -= d->begin;
    d->begin = 0;
    size_t got = 0;
    const ae_status st = ae_reader_read(d->reader, d->hold + d->end, AE_BLOCK_BYTES - d->end, &got);
    d->end += got;
    d->read_all = d->end < AE_BLOCK_BYTES;
    return st;
}

/* Where the next piece ends in what is held, and whether its document ends there; reads ahead when needed. */
static ae_status find_piece_end(ae_documents *d, size_t *n, bool *ends) {
    for (;;) {
        const char *s = d->hold + d->begin;
        const size_t have = d->end - d->begin;
        const char *split = d->split_bytes && have ? memmem(s, have, d->o.split_on, d->split_bytes) : NULL;
        if (split || d->read_all) {
            *n = split ? (size_t)(split - s) : have;
            *ends = true;
            return AE_OK;
        }
        if (have == AE_BLOCK_BYTES) {
            const size_t edge =
                ae_text_edge(s, have - d->split_bytes); /* a mark may begin in what was left out */
            *n = edge ? edge : have;                    /* no edge: not UTF-8 */
            *ends = false;
            return AE_OK;
        }
        const ae_status st = refill(d);
        if (st != AE_OK) return st;
    }
}

/* ---- malformed lines ---- */

void ae_bad_lines_free(ae_bad_lines *b) {
    for (int i = 0; i < AE_BAD_LINES_TOLD; i++) free(b->first[i]);
    *b = (ae_bad_lines){0};
}

void ae_bad_lines_note(ae_bad_lines *b) {
    if (!b) return;
    if (b->n < AE_BAD_LINES_TOLD) b->first[b->n] = strdup(ae_error_message());
    b->n++;
}

/* Of a piece of n bytes the lines that are UTF-8, moved together; how many bytes they are. A line that is cut
 * by the piece's ends loses that part. */
static size_t drop_bad_lines(ae_documents *d, char *s, size_t n) {
    size_t kept = 0;
    for (size_t at = 0; at < n;) {
        const char *end = memchr(s + at, '\n', n - at);
        const size_t length = end ? (size_t)(end - (s + at)) + 1 : n - at;
        if (check_utf8(d, s + at, length, at) == AE_OK) {
            memmove(s + kept, s + at, length);
            kept += length;
        } else {
            ae_bad_lines_note(d->o.bad);
        }
        at += length;
    }
    return kept;
}

static ae_status step_text(ae_documents *d, ae_block *b) {
    size_t n = 0;
    bool ends = false;
    ae_status st = find_piece_end(d, &n, &ends);
    if (st != AE_OK) return st;
    const bool at_split = ends && n < d->end - d->begin;
    const bool nothing = ends && !at_split && n == 0 && !d->inside;
    if (nothing && d->taken_bytes == 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected text, found an empty file", ae_reader_name(d->reader));
    d->file_done = ends && !at_split;
    if (nothing) return AE_OK;
    char *text = d->hold + d->begin;
    const size_t taken = n + (at_split ? d->split_bytes : 0);
    const int64_t lines = count_lines(text, taken);
    st = check_utf8(d, text, n, 0);
    if (st == AE_ERR_INPUT && d->o.skip_bad) {
        n = drop_bad_lines(d, text, n);
        st = AE_OK;
    }
    if (st == AE_OK) st = add_piece(d, b, text, n, ends);
    take(d, taken, lines);
    return st;
}

/* The text of one line. */
/* Whether a line without the text is one of those that `data prepare --kind` reads. */
static bool holds_dialogue(const char *text, size_t n) {
    static const char *const keys[] = {"messages",    "conversations", "prompt",
                                       "instruction", "chosen",        "tokens"};
    json_t *row = NULL;
    const bool sound = ae_json_line(&row, text, n, keys, sizeof keys / sizeof *keys, "") == AE_OK;
    const bool holds = sound && json_object_size(row) > 0;
    json_decref(row);
    return holds;
}

static ae_status take_json_line(ae_documents *d, const char *text, size_t n) {
    char where[AE_WHERE_BYTES];
    snprintf(where, sizeof where, "%s:%lld", ae_reader_name(d->reader),
             (long long)ae_reader_line_number(d->reader));
    const ae_status st = ae_json_line(&d->line, text, n, &d->o.text_key, 1, where);
    if (st != AE_OK) return st;
    const json_t *value = json_object_get(d->line, d->o.text_key);
    if (!json_is_string(value)) {
        const char *more = holds_dialogue(text, n) ? ", and `aerie data prepare --kind` reads dialogues" : "";
        const ae_status bad = AE_FAIL(
            AE_ERR_INPUT,
            "%s: expected an object with text in the field '%s', found %s; --text-key names the field%s",
            where, d->o.text_key, value ? "something else there" : "no such field", more);
        json_decref(d->line);
        d->line = NULL;
        return bad;
    }
    d->rest = json_string_value(value);
    d->rest_bytes = json_string_length(value);
    return AE_OK;
}

static ae_status next_json_line(ae_documents *d) {
    for (;;) {
        char *text = NULL;
        size_t n = 0;
        ae_status st = ae_reader_line(d->reader, &text, &n);
        if (st != AE_OK) return st;
        d->file_done = text == NULL;
        if (text && ae_text_is_blank(text, n)) continue;
        if (text) st = take_json_line(d, text, n);
        if (st == AE_ERR_INPUT && d->o.skip_bad) {
            ae_bad_lines_note(d->o.bad);
            continue;
        }
        if (text || ae_reader_line_number(d->reader) > 0) return st;
        return AE_FAIL(AE_ERR_INPUT, "%s: expected JSON lines, found an empty file",
                       ae_reader_name(d->reader));
    }
}

static ae_status step_jsonl(ae_documents *d, ae_block *b) {
    if (!d->line) {
        const ae_status st = next_json_line(d);
        if (st != AE_OK || d->file_done) return st;
    }
    const bool ends = d->rest_bytes <= AE_BLOCK_BYTES;
    const size_t n = ends ? d->rest_bytes : ae_text_edge(d->rest, AE_BLOCK_BYTES);
    const ae_status st = add_piece(d, b, d->rest, n, ends);
    d->rest += n;
    d->rest_bytes -= n;
    if (ends) {
        json_decref(d->line);
        d->line = NULL;
    }
    return st;
}

/* ---- what a file is ---- */

ae_status ae_text_format_parse(const char *name, ae_text_format *format) {
    static const char *const names[] = {"auto", "text", "jsonl"};
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) {
            *format = (ae_text_format)i;
            return AE_OK;
        }
    return AE_FAIL(AE_ERR_USAGE, "--format: expected auto, text or jsonl, found '%s'", name);
}

static bool ends_with(const char *s, size_t n, const char *tail) {
    const size_t m = strlen(tail);
    return n >= m && strncasecmp(s + n - m, tail, m) == 0;
}

bool ae_path_names_jsonl(const char *path) {
    size_t n = strlen(path);
    if (ends_with(path, n, ".gz")) n -= strlen(".gz");
    return ends_with(path, n, ".jsonl") || ends_with(path, n, ".ndjson") || ends_with(path, n, ".json");
}

/* The next `wanted` bytes of the file without the white space they begin with; *all: the file ends with
 * them. */
static ae_status peek_first(const ae_documents *d, size_t wanted, const char **first, size_t *n, bool *all) {
    const char *bytes = NULL;
    size_t got = 0, blank = 0;
    const ae_status st = ae_reader_peek(d->reader, wanted, &bytes, &got);
    if (st != AE_OK) return st;
    while (blank < got && ae_text_is_blank(bytes + blank, 1)) blank++;
    *first = bytes + blank;
    *n = got - blank;
    *all = got < wanted;
    return AE_OK;
}

/* The first line that is not blank, where it is JSON or begins like it; else *n is 0. Such a line is held
 * whole, as readers of JSON lines do. */
static ae_status peek_json_line(const ae_documents *d, const char **line, size_t *n) {
    for (size_t wanted = AE_BLOCK_BYTES;; wanted *= 2) {
        bool all = false;
        const ae_status st = peek_first(d, wanted, line, n, &all);
        if (st != AE_OK) return st;
        if (*n == 0 || **line != '{') break;
        const char *end = memchr(*line, '\n', *n);
        if (end) *n = (size_t)(end - *line);
        if (end || all) return AE_OK;
        if (!ae_json_line_goes_on(*line, *n)) break;
    }
    *n = 0;
    return AE_OK;
}

/* Whether the first line is an object with text under the key, as people leave JSON lines under any name. */
static ae_status begins_like_jsonl(const ae_documents *d, bool *does) {
    const char *line = NULL;
    size_t n = 0;
    json_t *object = NULL;
    *does = false;
    const ae_status st = peek_json_line(d, &line, &n);
    if (st != AE_OK || n == 0) return st;
    if (ae_json_line(&object, line, n, &d->o.text_key, 1, "") == AE_OK)
        *does = json_is_string(json_object_get(object, d->o.text_key));
    json_decref(object);
    return AE_OK;
}

static ae_status refuse_list(const ae_documents *d, const char *path) {
    const char *first = NULL;
    size_t n = 0;
    bool all = false;
    const ae_status st = peek_first(d, AE_BLOCK_BYTES, &first, &n, &all);
    if (st != AE_OK || n == 0 || *first != '[') return st;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected an object a line, found a JSON list; write each of its entries on a line of "
                   "its own (jq -c '.[]')",
                   path);
}

static ae_status find_format(ae_documents *d, const char *path) {
    bool does = false;
    d->is_jsonl =
        d->o.format == AE_FORMAT_JSONL || (d->o.format == AE_FORMAT_AUTO && ae_path_names_jsonl(path));
    if (d->is_jsonl) return refuse_list(d, path);
    if (d->o.format == AE_FORMAT_TEXT) return AE_OK;
    const ae_status st = begins_like_jsonl(d, &does);
    if (st != AE_OK || !does) return st;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected text, found JSON lines with the field '%s'; give --format jsonl to read "
                   "them as such, or --format text "
                   "to keep the braces",
                   path, d->o.text_key);
}

static ae_status open_next(ae_documents *d) {
    const char *path = d->o.inputs[d->next_input];
    ae_status st = ae_reader_open(&d->reader, path);
    if (st != AE_OK) return st;
    d->next_input++;
    d->file_done = d->read_all = false;
    d->begin = d->end = 0;
    d->taken_bytes = d->taken_lines = 0;
    return find_format(d, path);
}

static void close_file(ae_documents *d) {
    d->count.input_bytes += ae_reader_offset(d->reader);
    ae_reader_close(d->reader);
    d->reader = NULL;
}

ae_status ae_documents_open(ae_documents **documents, const ae_documents_options *o) {
    *documents = NULL;
    const ae_status st = ae_inputs_check(o->inputs, o->n_inputs);
    if (st != AE_OK) return st;
    const size_t split_bytes = o->split_on ? strlen(o->split_on) : 0;
    if (split_bytes > AE_BLOCK_BYTES / 2)
        return AE_FAIL(AE_ERR_USAGE, "split mark: expected at most %d bytes, found %zu", AE_BLOCK_BYTES / 2,
                       split_bytes);
    ae_documents *d = calloc(1, sizeof *d);
    if (d) d->hold = malloc(AE_BLOCK_BYTES);
    if (!d || !d->hold) {
        free(d);
        return AE_FAIL(AE_ERR_RESOURCE, "reading documents: out of memory");
    }
    d->o = *o;
    if (!d->o.text_key) d->o.text_key = "text";
    d->split_bytes = split_bytes;
    *documents = d;
    return AE_OK;
}

ae_status ae_documents_next(ae_documents *d, ae_block *b) {
    b->n = b->n_pieces = 0;
    ae_status st = d->o.check ? d->o.check() : AE_OK;
    while (st == AE_OK && b->n < AE_BLOCK_BYTES) {
        if (!d->reader && d->next_input == d->o.n_inputs) break;
        st = d->reader ? AE_OK : open_next(d);
        if (st == AE_OK) st = d->is_jsonl ? step_jsonl(d, b) : step_text(d, b);
        if (st == AE_OK && d->file_done) close_file(d);
    }
    return st;
}

ae_documents_count ae_documents_counted(const ae_documents *d) {
    ae_documents_count count = d->count;
    if (d->reader) count.input_bytes += ae_reader_offset(d->reader);
    return count;
}

void ae_documents_close(ae_documents *d) {
    if (!d) return;
    json_decref(d->line);
    ae_reader_close(d->reader);
    free(d->hold);
    free(d);
}
