#ifndef AE_DATA_EXAMPLE_H
#define AE_DATA_EXAMPLE_H
#include "data/dialogue.h"
#include "data/ids.h"
#include "data/tokenizer.h"

/* One row of JSON lines as training sees it: text rendered (data/render.h), token ids as they are. */

typedef struct {
    ae_data_kind kind; /* not text */
    const ae_record_map *map;
    const ae_tokenizer *tokenizer; /* NULL: rows in token ids only */
    int64_t vocab_size;            /* of the model: ids of rows lie below it */
    bool *told_key;                /* false: the first key that no row has gets a warning; NULL: none does */
} ae_example_rules;

typedef struct {
    ae_ids tokens;           /* chat: the dialogue; pairs: the prompt of both answers; prompts: the prompt */
    uint8_t *mask;           /* chat: [tokens.n] */
    ae_ids chosen, rejected; /* pairs: the answers */
    bool has_margin;
    double margin;
    char *meta;             /* prompts: JSON in one line; NULL without */
    ptrdiff_t unused_turns; /* chat: turns of the user after the last answer */
} ae_example;

/* AE_ERR_INPUT "where: field: expected ..., found ..." */
ae_status ae_example_read(ae_example *e, const ae_example_rules *rules, const char *line, size_t n,
                          const char *where);
void ae_example_free(ae_example *e);
/* Tokens that count as targets: of a pair those of both answers, of a prompt none. A first token is no
 * target. */
int64_t ae_example_targets(const ae_example *e);

#endif
