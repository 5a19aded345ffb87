#ifndef AE_CLI_TOKEN_PRINT_H
#define AE_CLI_TOKEN_PRINT_H
#include "data/tokenizer.h"

#include <jansson.h>

/* Tokens for people, on standard output: in colour, or [counted] and (masked); without a tokenizer their ids. */
typedef struct {
    const ae_tokenizer *tokenizer; /* may be NULL */
    bool color;
    int64_t most; /* of a run of tokens so many are shown; 0: all */
} ae_token_print;

void ae_print_token(const ae_token_print *p, int32_t id, bool counted, int64_t place);

/* A run of tokens. `mask` NULL: all as `counted` says. The first of a document is no target. */
typedef struct {
    const int32_t *ids;
    const uint8_t *mask;
    int64_t n;
    bool counted, begins;
} ae_token_run;
/* On lines of its own, with what is left out. */
void ae_print_run(const ae_token_print *p, const ae_token_run *run);
/* The prompt once, then both answers. */
void ae_print_pair(const ae_token_print *p, const ae_token_run *prompt, const ae_token_run *chosen,
                   const ae_token_run *rejected);

/* Lists for JSON; the caller owns them. Null without a tokenizer. */
json_t *ae_ints_json(const int32_t *x, int64_t n);
json_t *ae_mask_json(const uint8_t *mask, int64_t n);
json_t *ae_pieces_json(const ae_token_print *p, const int32_t *ids, int64_t n);
json_t *ae_text_json(const ae_token_print *p, const int32_t *ids, int64_t n);

#endif
