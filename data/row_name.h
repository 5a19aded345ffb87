#ifndef AE_DATA_ROW_NAME_H
#define AE_DATA_ROW_NAME_H
#include "data/token_set.h"

/* For messages: where an example or a pair of a set comes from. "chat.h5: row 3 of chat.jsonl", blank lines
 * not counted, where the manifest says that the set holds the rows of one file of JSON lines in their order;
 * else "chat.h5: example 2", with the number that `data inspect --first` takes. `row` counts from 0; `noun`:
 * "example" or "pair". */
void ae_row_name(char *out, size_t bytes, const ae_token_set *s, int64_t row, const char *noun);

#endif
