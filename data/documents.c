#include "data/documents.h"

#include "core/file.h"
#include "core/json.h"
#include "data/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a text file, hold |-- taken --| begin -- read ahead -- end |; of a JSONL file the text of the current line. */
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

static ae_status check_utf8(const ae_documents *d, const char *s, size_t n) {
    const size_t valid = ae_utf8_prefix(s, n);
    if (valid == n) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s:%lld: expected UTF-8 text, found byte 0x%02X at offset %lld; convert the file to UTF-8",
        ae_reader_name(d->reader), (long long)(d->taken_lines + count_lines(s, valid) + 1),
        (unsigned)(unsigned char)s[valid], (long long)(d->taken_bytes + (int64_t)valid));
}

static void take(ae_documents *d, size_t n) {
    d->taken_lines += count_lines(d->hold + d->begin, n);
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
    st = check_utf8(d, d->hold + d->begin, n);
    if (st == AE_OK) st = add_piece(d, b, d->hold + d->begin, n, ends);
    take(d, n + (at_split ? d->split_bytes : 0));
    return st;
}

static ae_status next_json_line(ae_documents *d) {
    char *text = NULL;
    size_t n = 0;
    do {
        const ae_status st = ae_reader_line(d->reader, &text, &n);
        if (st != AE_OK) return st;
    } while (text && ae_text_is_blank(text, n));
    d->file_done = text == NULL;
    if (!text) {
        if (ae_reader_line_number(d->reader) > 0) return AE_OK;
        return AE_FAIL(AE_ERR_INPUT, "%s: expected JSON lines, found an empty file",
                       ae_reader_name(d->reader));
    }
    char where[4096];
    snprintf(where, sizeof where, "%s:%lld", ae_reader_name(d->reader),
             (long long)ae_reader_line_number(d->reader));
    const ae_status st = ae_json_parse(&d->line, text, n, where);
    if (st != AE_OK) return st;
    const json_t *value = json_object_get(d->line, d->o.text_key);
    if (!json_is_string(value))
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: expected an object with text in the field '%s', found %s; --text-key names the field", where,
            d->o.text_key, value ? "something else there" : "no such field");
    d->rest = json_string_value(value);
    d->rest_bytes = json_string_length(value);
    return AE_OK;
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

static bool ends_with(const char *s, const char *tail) {
    const size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

static ae_status open_next(ae_documents *d) {
    const char *path = d->o.inputs[d->next_input];
    const ae_status st = ae_reader_open(&d->reader, path);
    if (st != AE_OK) return st;
    d->next_input++;
    d->is_jsonl = ends_with(path, ".jsonl") || ends_with(path, ".jsonl.gz");
    d->file_done = d->read_all = false;
    d->begin = d->end = 0;
    d->taken_bytes = d->taken_lines = 0;
    return AE_OK;
}

static void close_file(ae_documents *d) {
    d->count.input_bytes += ae_reader_offset(d->reader);
    ae_reader_close(d->reader);
    d->reader = NULL;
}

ae_status ae_documents_open(ae_documents **documents, const ae_documents_options *o) {
    *documents = NULL;
    for (size_t i = 0; i < o->n_inputs; i++)
        if (strcmp(o->inputs[i], "-") == 0)
            return AE_FAIL(AE_ERR_USAGE, "-: the input is read more than once; save it to a file first");
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
