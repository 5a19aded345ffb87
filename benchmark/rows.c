#include "benchmark/rows.h"

#include "core/file.h"
#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ae_status no_memory(const char *path) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}

const char *ae_rows_form_name(ae_rows_form form) {
    static const char *const names[] = {"auto", "jsonl", "json", "object", "csv", "tsv", "lines"};
    return names[form];
}

void ae_rows_free(ae_rows *rows) {
    for (size_t i = 0; i < rows->n_files; i++) free(rows->files[i]);
    free(rows->files);
    free(rows->places);
    json_decref(rows->list);
    *rows = (ae_rows){0};
}

void ae_rows_where(char *where, size_t n, const ae_rows *rows, size_t i) {
    const ae_row_place *p = &rows->places[i];
    if (p->line > 0)
        snprintf(where, n, "%s:%lld", rows->files[p->file], (long long)p->line);
    else
        snprintf(where, n, "%s: row %lld", rows->files[p->file], (long long)p->number);
}

static const char *last_file(const ae_rows *rows) {
    return rows->files[rows->n_files - 1];
}

ae_status ae_rows_add(ae_rows *rows, json_t *row, int64_t line) {
    const size_t n = json_array_size(rows->list), file = rows->n_files - 1;
    if (n == rows->room) {
        const size_t room = n == 0 ? 256 : 2 * n;
        ae_row_place *more = realloc(rows->places, room * sizeof *more);
        if (more == NULL) {
            json_decref(row);
            return no_memory(last_file(rows));
        }
        rows->places = more;
        rows->room = room;
    }
    const bool first = n == 0 || rows->places[n - 1].file != file;
    rows->places[n] = (ae_row_place){file, line, first ? 1 : rows->places[n - 1].number + 1};
    return json_array_append_new(rows->list, row) == 0 ? AE_OK : no_memory(last_file(rows));
}

static ae_status refuse_large(size_t n, const char *where) {
    if (n <= AE_ROW_BYTES_MAX) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a row of at most %d MB, found %.0f MB", where,
                   AE_ROW_BYTES_MAX >> 20, (double)n / (1 << 20));
}

static bool is_blank(const char *s, size_t n) {
    while (n > 0 && strchr(" \t\r\n", s[n - 1]) != NULL) n--;
    return n == 0;
}

/* Whether brackets or a text are open at the end of a line. */
static bool ends_early(const char *line, size_t n) {
    size_t open = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (quoted && line[i] == '\\')
            i++;
        else if (line[i] == '"')
            quoted = !quoted;
        else if (!quoted && (line[i] == '{' || line[i] == '['))
            open++;
        else if (!quoted && (line[i] == '}' || line[i] == ']') && open > 0)
            open--;
    }
    return quoted || open > 0;
}

/* The first row of a file tells that the file is JSON, a later one that it is damaged. */
static ae_status not_whole(const ae_rows *rows, const char *where) {
    const size_t n = json_array_size(rows->list);
    if (n > 0 && rows->places[n - 1].file + 1 == rows->n_files)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a whole JSON object, found only its beginning", where);
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: expected a JSON object on a line of its own, found one that does not end there, as in JSON over "
        "several lines; `form: object` or `form: json` reads that",
        where);
}

static ae_status read_json_line(ae_rows *rows, const char *line, size_t n, int64_t number) {
    char where[AE_WHERE_BYTES];
    json_t *row = NULL;
    snprintf(where, sizeof where, "%s:%lld", last_file(rows), (long long)number);
    ae_status st = refuse_large(n, where);
    if (st != AE_OK) return st;
    st = ae_json_parse(&row, line, n, where);
    if (st == AE_ERR_INPUT && ends_early(line, n)) return not_whole(rows, where);
    if (st != AE_OK) return st;
    if (json_is_object(row)) return ae_rows_add(rows, row, number);
    st = AE_FAIL(AE_ERR_INPUT, "%s: expected an object, found %s", where, ae_json_type_name(row));
    json_decref(row);
    return st;
}

static ae_status read_text_line(ae_rows *rows, const char *line, size_t n, int64_t number) {
    char where[AE_WHERE_BYTES];
    snprintf(where, sizeof where, "%s:%lld", last_file(rows), (long long)number);
    ae_status st = refuse_large(n, where);
    if (st != AE_OK) return st;
    json_t *text = memchr(line, '\0', n) == NULL ? json_stringn(line, n) : NULL;
    if (text == NULL) return AE_FAIL(AE_ERR_INPUT, "%s: expected text in UTF-8, found other bytes", where);
    json_t *row = json_pack("{s:o}", "text", text);
    return row != NULL ? ae_rows_add(rows, row, number) : no_memory(where);
}

ae_status ae_rows_damaged(ae_status st, int64_t line) {
    char message[AE_WHERE_BYTES];
    if (st != AE_ERR_INPUT || line < 1) return st;
    snprintf(message, sizeof message, "%s", ae_error_message());
    return AE_FAIL(st, "%s; line %lld was the last to be read", message, (long long)line);
}

static ae_status read_lines(ae_rows *rows, const char *path,
                            ae_status (*read)(ae_rows *, const char *, size_t, int64_t)) {
    ae_reader *r = NULL;
    char *line;
    size_t n;
    ae_status st = ae_reader_open(&r, path);
    while (st == AE_OK) {
        st = ae_reader_line(r, &line, &n);
        if (st != AE_OK) st = ae_rows_damaged(st, ae_reader_line_number(r));
        if (st != AE_OK || line == NULL) break;
        if (!is_blank(line, n)) st = read(rows, line, n, ae_reader_line_number(r));
    }
    ae_reader_close(r);
    return st;
}

enum { JSON_BYTES_MAX = 1 << 30 };

/* A whole file, perhaps in gzip. The caller frees *text. */
static ae_status read_whole(char **text, size_t *n, const char *path) {
    ae_reader *r = NULL;
    size_t room = 1 << 16, got = 1;
    *text = malloc(room);
    *n = 0;
    ae_status st = *text != NULL ? ae_reader_open(&r, path) : no_memory(path);
    while (st == AE_OK && got > 0) {
        if (*n == room) {
            char *more = room < JSON_BYTES_MAX ? realloc(*text, 2 * room) : NULL;
            if (more == NULL) {
                st = room < JSON_BYTES_MAX ? no_memory(path)
                                           : AE_FAIL(AE_ERR_INPUT,
                                                     "%s: expected JSON of at most %d MB, found more; "
                                                     "write its rows as JSON lines",
                                                     path, JSON_BYTES_MAX >> 20);
                break;
            }
            *text = more;
            room *= 2;
        }
        st = ae_reader_read(r, *text + *n, room - *n, &got);
        *n += got;
    }
    ae_reader_close(r);
    return st;
}

/* Bytes of all texts below a value. */
static size_t text_bytes(const json_t *v) {
    const char *key;
    json_t *item;
    size_t i, n = json_string_length(v);
    json_object_foreach((json_t *)v, key, item) n += strlen(key) + text_bytes(item);
    json_array_foreach(v, i, item) n += text_bytes(item);
    return n;
}

static ae_status add_row(ae_rows *rows, json_t *row) {
    char where[AE_WHERE_BYTES];
    const size_t i = json_array_size(rows->list);
    ae_status st = ae_rows_add(rows, json_incref(row), 0);
    if (st != AE_OK) return st;
    ae_rows_where(where, sizeof where, rows, i);
    if (!json_is_object(row))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected an object, found %s", where, ae_json_type_name(row));
    return refuse_large(text_bytes(row), where);
}

/* A row for each thing at the end of nested objects and lists; `row` has the keys on the way there. */
static ae_status flatten(ae_rows *rows, json_t *v, const json_t *names, size_t depth, const json_t *row) {
    const char *name = json_string_value(json_array_get(names, depth)), *key;
    json_t *item;
    size_t i;
    ae_status st = AE_OK;
    if (json_is_array(v)) {
        json_array_foreach(v, i, item) {
            st = flatten(rows, item, names, depth, row);
            if (st != AE_OK) return st;
        }
        return st;
    }
    if (depth + 1 < json_array_size(names) && !json_is_object(v))
        return AE_FAIL(AE_ERR_INPUT, "%s: flatten: expected objects with a key for %s, found %s",
                       last_file(rows), name, ae_json_type_name(v));
    if (depth + 1 == json_array_size(names)) {
        json_t *whole = json_copy((json_t *)row);
        st = whole != NULL && json_object_set(whole, name, v) == 0 ? add_row(rows, whole)
                                                                   : no_memory(last_file(rows));
        json_decref(whole);
        return st;
    }
    json_object_foreach(v, key, item) {
        json_t *inner = json_copy((json_t *)row);
        st = inner != NULL && json_object_set_new(inner, name, json_string(key)) == 0
                 ? flatten(rows, item, names, depth + 1, inner)
                 : no_memory(last_file(rows));
        json_decref(inner);
        if (st != AE_OK) return st;
    }
    return st;
}

/* Follows "data.rows" into the file's value. */
static ae_status find_key(json_t **list, json_t *root, const char *key, const char *path) {
    *list = root;
    for (const char *at = key; at != NULL && *at != '\0';) {
        const size_t n = strcspn(at, ".");
        char word[256];
        snprintf(word, sizeof word, "%.*s", (int)(n < 255 ? n : 255), at);
        json_t *inner = json_object_get(*list, word);
        if (inner == NULL)
            return AE_FAIL(AE_ERR_INPUT, "%s: expected the list of rows under %s, found %s", path, key,
                           json_is_object(*list) ? "no such key" : ae_json_type_name(*list));
        *list = inner;
        at += n + (at[n] == '.');
    }
    return AE_OK;
}

static ae_status add_list(ae_rows *rows, json_t *list) {
    json_t *row;
    size_t i;
    if (!json_is_array(list))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a list of rows, found %s", last_file(rows),
                       ae_json_type_name(list));
    json_array_foreach(list, i, row) {
        ae_status st = add_row(rows, row);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

static ae_status read_json(ae_rows *rows, const char *path, const ae_rows_spec *spec, bool one) {
    char *text = NULL;
    size_t n = 0;
    json_t *root = NULL, *list = NULL, *empty = json_object();
    ae_status st;
    AE_TRY(read_whole(&text, &n, path));
    AE_TRY(ae_json_parse(&root, text, n, path));
    AE_TRY(find_key(&list, root, spec->key, path));
    if (one)
        st = add_row(rows, list);
    else if (spec->flatten != NULL)
        st = flatten(rows, list, spec->flatten, 0, empty);
    else
        st = add_list(rows, list);
out:
    json_decref(root);
    json_decref(empty);
    free(text);
    return st;
}

static bool ends_with(const char *s, size_t n, const char *ending) {
    const size_t k = strlen(ending);
    return n >= k && strncmp(s + n - k, ending, k) == 0;
}

/* A list begins with [, a row over several lines with { alone on the first. */
static ae_status form_of_json(ae_rows_form *form, const char *path) {
    ae_reader *r = NULL;
    const char *bytes = "";
    size_t n = 0, i = 0;
    ae_status st = ae_reader_open(&r, path);
    if (st == AE_OK) st = ae_reader_peek(r, 4096, &bytes, &n);
    while (i < n && strchr(" \t\r\n", bytes[i]) != NULL) i++;
    const char first = i < n ? bytes[i] : '\0', next = i + 1 < n ? bytes[i + 1] : '\0';
    *form = first == '['                                     ? AE_ROWS_JSON
            : first == '{' && (next == '\n' || next == '\r') ? AE_ROWS_OBJECT
                                                             : AE_ROWS_JSONL;
    ae_reader_close(r);
    return st;
}

static ae_status find_form(ae_rows_form *form, const char *path, const ae_rows_spec *spec) {
    size_t n = strlen(path);
    *form = spec->form;
    if (*form != AE_ROWS_AUTO) return AE_OK;
    if (ends_with(path, n, ".gz")) n -= 3;
    if (ends_with(path, n, ".csv"))
        *form = AE_ROWS_CSV;
    else if (ends_with(path, n, ".tsv"))
        *form = AE_ROWS_TSV;
    else if (ends_with(path, n, ".txt"))
        *form = AE_ROWS_LINES;
    else if (ends_with(path, n, ".jsonl"))
        *form = AE_ROWS_JSONL;
    else if (spec->key != NULL || spec->flatten != NULL)
        *form = AE_ROWS_JSON;
    else
        return form_of_json(form, path);
    return AE_OK;
}

/* The lines of the file beside the rows become a field of those from `first` on. */
static ae_status add_labels(ae_rows *rows, size_t first, const ae_rows_spec *spec) {
    ae_rows labels = {.list = json_array()};
    ae_status st = labels.list != NULL ? AE_OK : no_memory(spec->labels);
    if (st == AE_OK) st = ae_rows_read(&labels, spec->labels, &(ae_rows_spec){.form = AE_ROWS_LINES});
    const size_t n = json_array_size(rows->list) - first;
    if (st == AE_OK && json_array_size(labels.list) != n)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected %zu lines as %s has rows, found %zu", spec->labels, n,
                     last_file(rows), json_array_size(labels.list));
    for (size_t i = 0; i < n && st == AE_OK; i++) {
        json_t *text = json_object_get(json_array_get(labels.list, i), "text");
        if (json_object_set(json_array_get(rows->list, first + i), spec->label_field, text) != 0)
            st = no_memory(spec->labels);
    }
    ae_rows_free(&labels);
    return st;
}

static ae_status add_file(ae_rows *rows, const char *path) {
    if (rows->list == NULL) rows->list = json_array();
    char **more = realloc(rows->files, (rows->n_files + 1) * sizeof *more);
    if (more == NULL || rows->list == NULL) {
        rows->files = more != NULL ? more : rows->files;
        return no_memory(path);
    }
    rows->files = more;
    rows->files[rows->n_files] = strdup(path);
    if (rows->files[rows->n_files] == NULL) return no_memory(path);
    rows->n_files++;
    return AE_OK;
}

ae_status ae_rows_read(ae_rows *rows, const char *path, const ae_rows_spec *spec) {
    const size_t first = json_array_size(rows->list);
    ae_rows_form form = AE_ROWS_AUTO;
    ae_status st;
    AE_TRY(add_file(rows, path));
    AE_TRY(find_form(&form, path, spec));
    if (form == AE_ROWS_CSV || form == AE_ROWS_TSV)
        st = ae_rows_read_separated(rows, path, form == AE_ROWS_CSV ? ',' : '\t', spec->columns);
    else if (form == AE_ROWS_JSONL || form == AE_ROWS_LINES)
        st = read_lines(rows, path, form == AE_ROWS_JSONL ? read_json_line : read_text_line);
    else
        st = read_json(rows, path, spec, form == AE_ROWS_OBJECT);
    const json_t *row = json_array_get(rows->list, first);
    if (st == AE_OK && spec->labels != NULL && json_object_get(row, spec->label_field) == NULL)
        st = add_labels(rows, first, spec);
out:
    return st;
}
