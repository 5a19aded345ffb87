#ifndef AE_CLI_DATA_SHOW_H
#define AE_CLI_DATA_SHOW_H
#include "data/example.h"

#include <stdbool.h>
#include <stdint.h>

/* `aerie data inspect`: documents of a token set, or rows as the loader gives them, with what counts as a
 * target. */
typedef struct {
    const char *path;
    int64_t documents, rows;    /* how many to show */
    int64_t first;              /* the first one */
    int64_t row_tokens, tokens; /* T of a row; at most so many tokens of a document, 0: all */
    bool json, color;
} ae_show_options;

ae_status ae_data_show(const ae_show_options *o);
/* Rows of JSON lines, rendered. */
ae_status ae_data_show_lines(const ae_show_options *o, const ae_example_rules *rules);

#endif
