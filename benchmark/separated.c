#include "benchmark/rows.h"
#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CSV and TSV by RFC 4180: a field that begins with a quote goes to the quote that closes it, over separators and line
 * ends; "" in it is one quote. Lines end in LF or CRLF. */
typedef struct {
    ae_reader *in;
    const char *path;
    char separator;
    char block[1 << 16];
    size_t at, n;
    int64_t line;  /* of the byte that comes next */
    int64_t begun; /* where the record began */
    char *field;   /* the field so far */
    size_t size, room, record_bytes;
} separated;

static ae_status no_memory(const separated *s) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", s->path);
}

/* The next byte, -1 at the end; `peek` leaves it. */
static ae_status next_byte(separated *s, int *byte, bool peek) {
    if (s->at == s->n) {
        s->at = 0;
        ae_status st = ae_reader_read(s->in, s->block, sizeof s->block, &s->n);
        if (st != AE_OK) return ae_rows_damaged(st, s->line - 1);
    }
    *byte = s->n == 0 ? -1 : (unsigned char)s->block[s->at];
    if (peek || s->n == 0) return AE_OK;
    s->at++;
    s->line += *byte == '\n';
    return AE_OK;
}

static ae_status put(separated *s, int byte) {
    if (++s->record_bytes > AE_ROW_BYTES_MAX)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s:%lld: expected a row of at most %d MB, found more; is a quote left open?", s->path,
                       (long long)s->begun, AE_ROW_BYTES_MAX >> 20);
    if (s->size == s->room) {
        const size_t room = s->room == 0 ? 256 : 2 * s->room;
        char *more = realloc(s->field, room);
        if (more == NULL) return no_memory(s);
        s->field = more;
        s->room = room;
    }
    s->field[s->size++] = (char)byte;
    return AE_OK;
}

/* Behind the opening quote, through the closing one. */
static ae_status read_quoted(separated *s) {
    int byte = 0;
    for (;;) {
        ae_status st = next_byte(s, &byte, false);
        if (st == AE_OK && byte < 0)
            st =
                AE_FAIL(AE_ERR_INPUT, "%s:%lld: expected the quote that closes a field, found the file's end",
                        s->path, (long long)s->begun);
        if (st != AE_OK) return st;
        if (byte == '"') {
            int after = 0;
            st = next_byte(s, &after, true);
            if (st != AE_OK || after != '"') return st;
            st = next_byte(s, &after, false);
        }
        if (st == AE_OK) st = put(s, byte);
        if (st != AE_OK) return st;
    }
}

static ae_status check_end(const separated *s, int byte, bool quoted) {
    if (!quoted || byte < 0 || byte == s->separator || byte == '\n' || byte == '\r') return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s:%lld: expected a separator behind the closing quote, found '%c'",
                   s->path, (long long)s->line, byte);
}

/* One field into s->field; *end says what came behind it: the separator, '\n', or -1. */
static ae_status read_field(separated *s, int *end) {
    bool quoted = false;
    int byte = 0;
    s->size = 0;
    ae_status st = next_byte(s, &byte, true);
    if (st == AE_OK && byte == '"') {
        quoted = true;
        st = next_byte(s, &byte, false);
        if (st == AE_OK) st = read_quoted(s);
    }
    while (st == AE_OK) {
        st = next_byte(s, &byte, false);
        if (st == AE_OK) st = check_end(s, byte, quoted);
        if (st != AE_OK) break;
        int after = 0;
        if (byte == '\r') st = next_byte(s, &after, true);
        if (byte == '\r' && st == AE_OK && (after == '\n' || after < 0)) continue;
        if (byte < 0 || byte == s->separator || byte == '\n') break;
        if (st == AE_OK) st = put(s, byte);
    }
    *end = byte;
    return st;
}

/* An empty field costs memory too. */
enum { COLUMNS_MAX = 1 << 16 };

/* One record as a list of texts; NULL at the end of the file. An empty line is none. */
static ae_status read_record(json_t **record, separated *s) {
    ae_status st = AE_OK;
    int end = s->separator;
    *record = json_array();
    if (*record == NULL) return no_memory(s);
    do {
        s->begun = s->line;
        s->record_bytes = 0;
        json_array_clear(*record);
        do {
            st = read_field(s, &end);
            if (st != AE_OK) return st;
            json_t *text = memchr(s->size > 0 ? s->field : "x", '\0', s->size > 0 ? s->size : 1) == NULL
                               ? json_stringn(s->size > 0 ? s->field : "", s->size)
                               : NULL;
            if (text == NULL)
                return AE_FAIL(AE_ERR_INPUT, "%s:%lld: column %zu: expected text in UTF-8, found other bytes",
                               s->path, (long long)s->begun, json_array_size(*record) + 1);
            if (json_array_append_new(*record, text) != 0) return no_memory(s);
            if (json_array_size(*record) > COLUMNS_MAX)
                return AE_FAIL(AE_ERR_INPUT, "%s:%lld: expected at most %d columns, found more", s->path,
                               (long long)s->begun, COLUMNS_MAX);
        } while (end == s->separator);
    } while (end >= 0 && json_array_size(*record) == 1 &&
             json_string_length(json_array_get(*record, 0)) == 0);
    if (end < 0 && json_array_size(*record) == 1 && json_string_length(json_array_get(*record, 0)) == 0) {
        json_decref(*record);
        *record = NULL;
    }
    return AE_OK;
}

static ae_status add_record(ae_rows *rows, separated *s, json_t *record, const json_t *names) {
    const size_t n = json_array_size(names);
    if (json_array_size(record) != n)
        return AE_FAIL(AE_ERR_INPUT, "%s:%lld: expected %zu columns, found %zu", s->path, (long long)s->begun,
                       n, json_array_size(record));
    json_t *row = json_object();
    for (size_t i = 0; i < n; i++) {
        if (json_object_set(row, json_string_value(json_array_get(names, i)), json_array_get(record, i)) == 0)
            continue;
        json_decref(row);
        return no_memory(s);
    }
    return ae_rows_add(rows, row, s->begun);
}

static ae_status read_records(ae_rows *rows, separated *s, json_t **names) {
    for (;;) {
        json_t *record = NULL;
        ae_status st = read_record(&record, s);
        if (st == AE_OK && record != NULL && *names == NULL) {
            *names = record;
            continue;
        }
        if (st == AE_OK && record != NULL) st = add_record(rows, s, record, *names);
        const bool at_end = record == NULL;
        json_decref(record);
        if (st != AE_OK || at_end) return st;
    }
}

ae_status ae_rows_read_separated(ae_rows *rows, const char *path, char separator, const json_t *columns) {
    separated *s = calloc(1, sizeof *s);
    if (s == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    s->path = path;
    s->separator = separator;
    s->line = 1;
    json_t *names = json_incref((json_t *)columns);
    ae_status st = ae_reader_open(&s->in, path);
    if (st == AE_OK) st = read_records(rows, s, &names);
    ae_reader_close(s->in);
    json_decref(names);
    free(s->field);
    free(s);
    return st;
}
