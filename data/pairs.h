#ifndef AE_DATA_PAIRS_H
#define AE_DATA_PAIRS_H
#include "data/batch.h"
#include "data/order.h"
#include "data/packing.h"

/* Pairs of answers to one prompt as batches. In a token set of pairs documents 2p and 2p + 1 are the prompt
 * of pair p with the chosen and with the rejected answer; the loss mask marks the answers.
 *
 * A step takes a fixed number of pairs and packs them into as few rows as fit them: best fit, longest first.
 * Both documents of a pair stand side by side in one row, each with positions from 0, so that no document
 * sees another and a micro-batch of rows holds whole pairs. */

/* A pair in a batch: places are row * T + t. */
typedef struct {
    ptrdiff_t chosen_begin, chosen_end;     /* places of the document */
    ptrdiff_t rejected_begin, rejected_end; /* its last token, at end - 1, ends the answer */
    float margin;                           /* of the set; 0 where it has none */
    ptrdiff_t choice;                       /* which of the choices it is */
} ae_pair_place;

/* Room for pairs in so many rows. */
typedef struct {
    ae_batch batch; /* B: the rows in use */
    ptrdiff_t rows_max, T;
    ae_pair_place *pairs; /* in the order of their rows */
    ptrdiff_t n_pairs, pairs_max;
} ae_pair_batch;

ae_status ae_pair_batch_init(ae_pair_batch *b, ptrdiff_t pairs, ptrdiff_t rows, ptrdiff_t row_tokens);
void ae_pair_batch_free(ae_pair_batch *b);

typedef struct {
    int64_t pairs, tokens;
    int64_t dropped; /* pairs whose documents do not fit a row together */
    int64_t longest; /* tokens of the longest pair that is used */
} ae_pair_count;

/* The pairs of one set that fit rows of T tokens. `too_long`: error or drop; answers are not cut, since what
 * ends them is judged. AE_ERR_INPUT names the set, and the pair, where there is none or one that does not
 * fit. */
typedef struct {
    ae_token_set *set; /* borrowed */
    int64_t *usable;   /* [count.pairs] numbers of pairs */
    ae_pair_count count;
    ptrdiff_t T;
    bool alone; /* a row holds one pair */
} ae_pair_set;
ae_status ae_pair_set_init(ae_pair_set *p, ae_token_set *set, ptrdiff_t T, ae_too_long too_long, bool alone);
void ae_pair_set_free(ae_pair_set *p);

/* Which pairs a batch takes. */
typedef struct {
    const ae_pair_set *set;
    int64_t pair; /* among the usable ones */
} ae_pair_choice;
/* How many of the first *n choices a batch takes, at least as many as it has rows: *n is lowered to that. */
ae_status ae_pair_batch_fit(const ae_pair_batch *b, const ae_pair_choice *choices, ptrdiff_t *n);
/* Packs n pairs, which fit b, into rows cut to what they need. */
ae_status ae_pair_batch_fill(ae_pair_batch *b, const ae_pair_choice *choices, ptrdiff_t n);

#endif
