#ifndef AE_DATA_PACKING_H
#define AE_DATA_PACKING_H
#include "data/batch.h"
#include "data/token_set.h"

#include <stdbool.h>

/* Examples, the documents of a token set, packed whole into rows of T tokens. Best fit, longest first: each
 * example goes into the row where it leaves the least room, else into a new one. In a row examples stand in
 * file order, each with positions from 0, so that none sees another; the last token of an example has no
 * target, the others count as the set's loss mask says. The rest of a row is padding, which has no targets.
 * Rows are numbered by their first example, in file order. Examples of no tokens are left out. */

/* What becomes of an example of more than T tokens: AE_ERR_INPUT, its first T tokens are an example, or it is
 * left out. */
typedef enum { AE_TOO_LONG_ERROR, AE_TOO_LONG_CUT, AE_TOO_LONG_DROP } ae_too_long;

typedef struct {
    ptrdiff_t T;
    ae_too_long too_long;
    bool alone; /* a row holds one example */
    /* The seed decides among examples of one length; without `shuffle` they are taken in file order. */
    bool shuffle;
    uint64_t seed;
} ae_packing_options;

typedef struct {
    int64_t rows, examples, tokens; /* packed; a cut example counts with what is left of it */
    int64_t cut, cut_tokens;        /* examples that were cut, and what they lost */
    int64_t cut_untrained;          /* cut examples of which no target is left that counts */
    int64_t dropped, dropped_tokens;
    bool has_targets; /* some target of what is packed counts */
} ae_packing_count;

/* 8 bytes an example and 8 a row. */
typedef struct {
    int64_t *first;    /* [rows + 1] row r holds examples first[r] to first[r + 1] - 1 of the list */
    int64_t *examples; /* [examples] numbers of documents */
    ptrdiff_t T;
    ae_packing_count count;
} ae_packing;

/* A function of the lengths and the options; the tokens are read for the count alone: those of cut examples,
 * and of others up to the first target. While it works it takes 24 bytes an example more. */
ae_status ae_packing_make(ae_packing *p, ae_token_set *s, const ae_packing_options *o);
void ae_packing_free(ae_packing *p);

/* Row `row` into row `at` of a batch of T tokens a row; adds to n_tokens and n_targets. */
ae_status ae_packing_read(const ae_packing *p, ae_token_set *s, int64_t row, ae_batch *b, ptrdiff_t at);

#endif
