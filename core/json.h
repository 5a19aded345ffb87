#ifndef AE_CORE_JSON_H
#define AE_CORE_JSON_H
#include "core/status.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* Thin help over jansson. A key that comes twice in one object is an error. Functions that look up a key fail
 * with AE_ERR_INPUT and "where: key: expected ..., found ...". */

ae_status ae_json_load(json_t **root, const char *path); /* whole file, an object */
ae_status ae_json_parse(json_t **root, const char *text, size_t n,
                        const char *where); /* any value; strict UTF-8 */
/* The same, where text may hold NUL, as a model may write it: json_string_value ends there. */
ae_status ae_json_parse_answer(json_t **root, const char *text, size_t n, const char *where);
/* Both as Python writes JSON, where NaN, Infinity and -Infinity may stand for numbers: they are read as null. */
ae_status ae_json_load_python(json_t **root, const char *path);
ae_status ae_json_parse_python(json_t **root, const char *text, size_t n, const char *where);
/* Every whole line of a file of JSON lines that grows, in order and with "FILE:LINE"; strings may hold NUL. What stands
 * behind the last line end, as a kill leaves it, is left out: *bytes is where it begins. No file is one without lines. */
typedef ae_status ae_json_take_line(void *context, json_t *line, const char *where);
ae_status ae_json_whole_lines(const char *path, ae_json_take_line *take, void *context, size_t *bytes);
ae_status ae_json_int(const json_t *o, const char *key, const char *where, int64_t *out); /* required */
ae_status ae_json_real(const json_t *o, const char *key, const char *where,
                       double *out); /* required; integers accepted */
/* Optional forms: absent or null leaves *out as it was. */
ae_status ae_json_opt_int(const json_t *o, const char *key, const char *where, int64_t *out);
ae_status ae_json_opt_real(const json_t *o, const char *key, const char *where, double *out);

/* One compact line with 9 significant digits; NaN and infinities must have been made null by the caller
 * (ae_json_number does). */
ae_status ae_json_write_line(const json_t *value, FILE *out, const char *path);
/* The whole value, indented, in the caller's memory; numbers in 15 digits where that gives all of them back,
 * else in 17. NULL: no memory. */
char *ae_json_text(const json_t *value);
/* The same into FOLDER/name. A NULL value is AE_ERR_RESOURCE, as of an object for which there was no memory. */
ae_status ae_json_write_file(const json_t *value, const char *folder, const char *name);
/* A path or name as text; where it is no UTF-8, with ? for every byte beyond ASCII. */
json_t *ae_json_label(const char *text);
json_t *ae_json_number(double x); /* null when not finite */
/* For messages: "text", "a list", "a whole number", ...; of NULL "no such key". */
const char *ae_json_type_name(const json_t *v);

#endif
