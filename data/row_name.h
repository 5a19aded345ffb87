#ifndef AE_DATA_ROW_NAME_H
#define AE_DATA_ROW_NAME_H
#include "data/token_set.h"

/* "rendered": where a run keeps the sets that it made of JSON lines. */
extern const char ae_rendered_folder[];

/* For messages: the path of a set; of one in a rendered folder, which nobody named, that of its JSON lines. */
void ae_set_name(char *out, size_t bytes, const ae_token_set *s);

/* For messages: where an example or a pair of a set comes from. "chat.h5: row 3 of chat.jsonl", blank lines
 * not counted, where the manifest says that the set holds the rows of one file of JSON lines in their order;
 * "row 3 of chat.jsonl" alone for a set in a rendered folder;
 * else "chat.h5: example 2", with the number that `data inspect --first` takes. `row` counts from 0; `noun`:
 * "example" or "pair". */
void ae_row_name(char *out, size_t bytes, const ae_token_set *s, int64_t row, const char *noun);

#endif
