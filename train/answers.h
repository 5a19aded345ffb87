#ifndef AE_TRAIN_ANSWERS_H
#define AE_TRAIN_ANSWERS_H
#include "data/token_set.h"
#include "data/tokenizer.h"
#include "model/model.h"

#include <stdatomic.h>
#include <stdio.h>

/* Held-out examples that a model answers itself: of each the last answer, a run of tokens that count, given all
 * tokens before it. Greedy. */
typedef struct {
    const ae_model *model;
    const ae_tokenizer *tokenizer; /* NULL: answers have no text */
    ae_token_set *examples;
    int64_t n;              /* the first so many; fewer where the set has fewer */
    int64_t max_new;        /* tokens of an answer, its end among them */
    FILE *told;             /* prompts and answers as text; NULL: nobody reads them */
    const atomic_int *stop; /* once it is not 0: AE_ERR_INTERRUPTED */
} ae_answers_request;

typedef struct {
    int64_t asked;
    int64_t right; /* token by token what the example says */
    int64_t ended; /* by themselves, not by max_new */
} ae_answers;

ae_status ae_answers_make(ae_answers *a, const ae_answers_request *r);

/* How many of the answers that are expected have more than max_new tokens. */
ae_status ae_answers_too_long(const ae_answers_request *r, int64_t *n);

/* Tokens of the longest of those prompts, and how many answers grow at once: for the plan of memory. */
void ae_answers_sizes(const ae_answers_request *r, ptrdiff_t *prompt_tokens, ptrdiff_t *batch);

#endif
