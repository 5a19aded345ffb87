#ifndef AE_DATA_JSON_LINE_H
#define AE_DATA_JSON_LINE_H
#include "core/json.h"

#include <stdbool.h>
#include <stddef.h>

/* One line of JSON, an object, of which only some fields matter: the others may hold what JSON libraries
 * refuse (whole numbers of more than 63 bits, 1e400, NaN and Infinity as Python writes them, halves of
 * surrogate pairs, \u0000, keys that come twice), since scraped data does. Their syntax is checked all the
 * same, and the line is UTF-8 throughout.
 *
 * *object has those of the `keys` that are there, with their values; the caller drops it. A \u0000 in a text
 * is a NUL byte. AE_ERR_INPUT "where: ..." for what is no JSON object, for a key that comes twice, and for a
 * value that holds half of a surrogate pair or a number that nothing here can hold. */
ae_status ae_json_line(json_t **object, const char *line, size_t n, const char *const *keys, size_t n_keys,
                       const char *where);

/* The names of the fields of a line that ae_json_line took, one a call, as they stand between their quotes;
 * NULL after the last. *at is NULL at first. */
const char *ae_json_line_name(const char *line, size_t n, const char **at, size_t *name_bytes);

/* Whether the n bytes may be the beginning of such a line: nothing in them is wrong but that they end. */
bool ae_json_line_goes_on(const char *line, size_t n);

#endif
