#ifndef AE_RLHF_ANSWERS_H
#define AE_RLHF_ANSWERS_H
#include "data/batch.h"
#include "rlhf/method.h"

/* Answers that models wrote to the prompts of a step, and the rows that they fill in a batch. */

typedef struct {
    ae_rl_answer seen; /* what a method sees; its arrays lie in the memory of the set */
    int64_t document;  /* the prompt's number in its token set */
    int32_t *tokens;   /* [n_prompt + seen.n] the prompt, then the answer */
    ptrdiff_t n_prompt;
    ptrdiff_t place; /* of its first target in the batch, row T + t; -1: not there */
    bool unread;     /* nobody learns from it: it gets no place */
    ptrdiff_t first; /* entry of its first token in each array of the set */
    char *text;      /* without what ended it; NULL without a tokenizer */
    size_t text_bytes;
    float *drawn; /* [seen.n] log-probabilities of the law that it was drawn from; NULL: nobody asked */
} ae_written;

/* The answers of one step. A float array of an answer is one of AE_WRITTEN_ARRAYS pieces of one memory, so
 * that a set is freed, saved and compared whole. */
typedef struct {
    ae_written *items;
    ptrdiff_t n, prompts;
    float *memory;    /* the arrays of all answers */
    ptrdiff_t tokens; /* of all answers together, prompts left out: entries of each array */
} ae_written_set;

/* The arrays that a set keeps for its answers. */
typedef enum {
    AE_WRITTEN_NOW,
    AE_WRITTEN_BEFORE,
    AE_WRITTEN_SAMPLED,
    AE_WRITTEN_REFERENCE,
    AE_WRITTEN_ANCHOR,
    AE_WRITTEN_KL,
    AE_WRITTEN_VALUES,
    AE_WRITTEN_VALUES_NOW,
    AE_WRITTEN_ENTROPY,
    AE_WRITTEN_ARRAYS
} ae_written_array;

/* n answers without tokens. */
ae_status ae_written_set_init(ae_written_set *s, ptrdiff_t n, ptrdiff_t prompts);
/* The memory of all arrays, once the answers have their tokens. Those whose bits (1 << array) are in `has` are
 * what the answers show, and of the others they show NULL. */
ae_status ae_written_set_take(ae_written_set *s, unsigned has);
/* [n] of one answer; after ae_written_set_take. */
float *ae_written_values(const ae_written_set *s, ptrdiff_t i, ae_written_array a);
void ae_written_free(ae_written *w); /* what it owns */
void ae_written_set_free(ae_written_set *s);

#endif
