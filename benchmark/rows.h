#ifndef AE_BENCHMARK_ROWS_H
#define AE_BENCHMARK_ROWS_H
#include "core/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows of benchmarks as their releases have them: JSON lines, JSON, CSV (RFC 4180), TSV, plain lines, each of them
 * perhaps in gzip. A row is a JSON object; fields of CSV and TSV are text. */

typedef enum {
    AE_ROWS_AUTO,   /* by the name's ending; .json by `key` and its first bytes */
    AE_ROWS_JSONL,  /* an object a line; empty lines are skipped */
    AE_ROWS_JSON,   /* a list of objects, perhaps under a key */
    AE_ROWS_OBJECT, /* the file is one row */
    AE_ROWS_CSV,
    AE_ROWS_TSV,
    AE_ROWS_LINES, /* {"text": line} */
} ae_rows_form;

/* How to read a file; strings are borrowed. */
typedef struct {
    ae_rows_form form;
    const char *key; /* JSON: where the list is, as "data.rows"; NULL: the file is the list */
    json_t *
        columns; /* CSV, TSV: names of the columns of a file without a header; NULL: the first row has them */
    json_t *flatten; /* JSON: names for the keys of nested objects, the last for what they hold: a row each */
    const char
        *labels; /* a file beside it with a value a line, which becomes `label_field` of rows without it */
    const char *label_field;
} ae_rows_spec;

enum { AE_ROW_BYTES_MAX = 16 << 20 };

typedef struct {
    size_t file;    /* into `files` */
    int64_t line;   /* where it begins, from 1; 0: number is used */
    int64_t number; /* in its file, from 1 */
} ae_row_place;

typedef struct {
    char **files;
    size_t n_files;
    json_t *list; /* of objects */
    ae_row_place *places;
    size_t room;
} ae_rows;

/* Reads one more file to the end of `rows`, which was zeroed before the first. AE_ERR_INPUT: file and line of what is
 * wrong; a row above AE_ROW_BYTES_MAX too. After a failure ae_rows_free releases what there is. */
ae_status ae_rows_read(ae_rows *rows, const char *path, const ae_rows_spec *spec);
void ae_rows_free(ae_rows *rows);

/* "FILE:LINE" or "FILE: row N". */
void ae_rows_where(char *where, size_t n, const ae_rows *rows, size_t i);

/* For the readers: names the last line that could be read before the file's damage. */
ae_status ae_rows_damaged(ae_status st, int64_t line);
/* For the readers: takes `row`, and adds it as the next row of the last file. */
ae_status ae_rows_add(ae_rows *rows, json_t *row, int64_t line);
ae_status ae_rows_read_separated(ae_rows *rows, const char *path, char separator, const json_t *columns);

const char *ae_rows_form_name(ae_rows_form form);

#endif
