#ifndef AE_DATA_ROW_KEYS_H
#define AE_DATA_ROW_KEYS_H
#include "data/dialogue.h"

/* Keys of rows that no reader asks for: misspelt ones, those of rows of another kind. */

/* Whether people keep a field of this name beside rows and requests, as a note: names that begin with "_" or
 * end in "id", and "meta", "metadata", "source", "kind", "kinds", "fault" and "rewards". */
bool ae_is_note_key(const char *name);

/* Warns of the first key of the row, or of a message in it, that rows of this kind do not have and that is
 * no note; false: there is none. `line` is the row's text, which ae_record_read took. */
bool ae_row_keys_tell(const json_t *row, ae_data_kind kind, const ae_record_map *m, const char *line,
                      size_t n, const char *where);

/* After a fault of the row: adds to its message what the keys show, that the row is of another kind or has
 * a missing field under another name. */
void ae_row_keys_hint(const json_t *row, ae_data_kind kind, const ae_record_map *m, const char *line,
                      size_t n);

#endif
