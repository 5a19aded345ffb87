#include "cli/facts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STEP = 2, COLUMNS_MAX = 16, CELL = 400 };

/* ---- values ---- */

static bool is_control(char c) {
    return (unsigned char)c < 32 || c == 127;
}

/* Columns: of UTF-8 a character counts, not each of its bytes. */
static int text_width(const char *text) {
    int n = 0;
    for (; *text; text++) n += is_control(*text) ? 4 : (*text & 0xc0) != 0x80;
    return n;
}

/* What a file says of itself is printed on one line, whatever it is. */
static void put_text(const char *text, int width) {
    const int n = text_width(text);
    for (; *text; text++) {
        if (is_control(*text))
            printf("\\x%02X", (unsigned)*text);
        else
            putchar(*text);
    }
    if (n < width) printf("%*s", width - n, "");
}

static void list_cell(char *out, size_t size, const json_t *list);

static void cell(char *out, size_t size, const json_t *v) {
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_STRING:
        snprintf(out, size, "%s", json_string_value(v));
        return;
    case JSON_INTEGER:
        snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        return;
    case JSON_REAL:
        snprintf(out, size, "%.9g", json_real_value(v));
        return;
    case JSON_TRUE:
        snprintf(out, size, "yes");
        return;
    case JSON_FALSE:
        snprintf(out, size, "no");
        return;
    case JSON_ARRAY:
        list_cell(out, size, v);
        return;
    default:
        snprintf(out, size, "-");
    }
}

static void list_cell(char *out, size_t size, const json_t *list) {
    size_t used = (size_t)snprintf(out, size, "[");
    for (size_t i = 0; i < json_array_size(list) && used < size; i++) {
        char item[CELL];
        const json_t *v = json_array_get(list, i);
        cell(item, sizeof item, json_is_object(v) || json_is_array(v) ? NULL : v);
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", item);
    }
    if (used < size) snprintf(out + used, size - used, "]");
}

/* ---- tables ---- */

typedef struct {
    const char *key;
    int width;
    bool number; /* right-aligned */
} column;

static void widen(column *c, const json_t *row) {
    char text[CELL];
    const json_t *v = json_object_get(row, c->key);
    cell(text, sizeof text, v);
    if (text_width(text) > c->width) c->width = text_width(text);
    if (v && !json_is_null(v) && !json_is_number(v)) c->number = false;
}

static int columns_of(column *columns, const json_t *rows) {
    int n = 0;
    const char *key;
    json_t *v;
    json_object_foreach(json_array_get(rows, 0), key, v) {
        if (n == COLUMNS_MAX) break;
        columns[n] = (column){.key = key, .width = text_width(key), .number = true};
        for (size_t i = 0; i < json_array_size(rows); i++) widen(&columns[n], json_array_get(rows, i));
        n++;
    }
    return n;
}

static void put_cell(const column *c, const char *text, bool last) {
    if (c->number)
        printf("%*s%s", c->width - text_width(text), "", text);
    else
        put_text(text, last ? 0 : c->width);
    fputs(last ? "\n" : "  ", stdout);
}

static void print_table(const json_t *rows, int indent) {
    column columns[COLUMNS_MAX];
    const int n = columns_of(columns, rows);
    printf("%*s", indent, "");
    for (int k = 0; k < n; k++) {
        char name[CELL];
        snprintf(name, sizeof name, "%s", columns[k].key);
        for (char *c = name; *c; c++) *c = *c == '_' ? ' ' : *c;
        put_cell(&columns[k], name, k == n - 1);
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        printf("%*s", indent, "");
        for (int k = 0; k < n; k++) {
            char text[CELL];
            cell(text, sizeof text, json_object_get(json_array_get(rows, i), columns[k].key));
            put_cell(&columns[k], text, k == n - 1);
        }
    }
}

/* ---- names and values ---- */

static void print_object(const json_t *o, int indent);

static void put_name(const char *key, int indent, int width) {
    char name[CELL];
    snprintf(name, sizeof name, "%s", key);
    for (char *c = name; *c; c++) *c = *c == '_' ? ' ' : *c;
    printf("%*s", indent, "");
    put_text(name, width);
}

static void print_texts(const char *key, const json_t *list, int indent, int width) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        put_name(i ? "" : key, indent, width);
        fputs("  ", stdout);
        put_text(json_string_value(json_array_get(list, i)), 0);
        putchar('\n');
    }
}

static bool are_texts(const json_t *list) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i))) return false;
    return json_array_size(list) > 0;
}

static void print_value(const char *key, const json_t *v, int indent, int width) {
    const json_t *first = json_is_array(v) ? json_array_get(v, 0) : NULL;
    if (json_is_object(v) || json_is_object(first)) {
        put_name(key, indent, 0);
        putchar('\n');
        if (first)
            print_table(v, indent + STEP);
        else
            print_object(v, indent + STEP);
    } else if (are_texts(v)) {
        print_texts(key, v, indent, width);
    } else {
        char text[CELL];
        put_name(key, indent, width);
        cell(text, sizeof text, v);
        fputs("  ", stdout);
        put_text(json_is_string(v) ? json_string_value(v) : text, 0);
        putchar('\n');
    }
}

static void print_object(const json_t *o, int indent) {
    int width = 0;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)o, key, v) {
        const bool on_a_line = !json_is_object(v) && !json_is_object(json_array_get(v, 0));
        if (on_a_line && text_width(key) > width) width = text_width(key);
    }
    json_object_foreach((json_t *)o, key, v) {
        const bool is_empty =
            (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v));
        if (!is_empty) print_value(key, v, indent, width);
    }
}

ae_status ae_facts_print(const json_t *facts, bool json) {
    if (json) return ae_json_write_line(facts, stdout, "standard output");
    print_object(facts, 0);
    return AE_OK;
}
