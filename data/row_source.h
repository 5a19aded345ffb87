#ifndef AE_DATA_ROW_SOURCE_H
#define AE_DATA_ROW_SOURCE_H
#include "data/batch.h"
#include "data/mixture.h"
#include "data/packing.h"
#include "data/rows.h"

#include <stdbool.h>

/* Where the rows of training come from, as a value: an objective trains on any source that fills in these
 * functions. A source is begun once, then asked for one batch after the other, by one thread at a time. Its
 * batches are a function of the source and the step: begun at step s, or from the position saved before s, it
 * gives what one begun at step 1 gives from s on. */
typedef struct {
    ptrdiff_t B, T; /* of every batch */
    void *self;
    /* Goes to the rows of `first_step` (from 1): of the position that an earlier run saved before that step,
     * or, where it is NULL, as though all steps before had been of this source. A position that this source
     * cannot have is AE_ERR_INPUT; the caller sees to it that the position is of a source of the same kind,
     * options and sets. */
    ae_status (*begin)(void *self, int64_t first_step, const char *position);
    /* The batch of the next step into b [B, T], whose counts are 0. */
    ae_status (*fill)(void *self, ae_batch *b);
    /* Where the batches so far have led, as JSON text; the caller frees it. */
    ae_status (*position)(const void *self, char **json);
    void (*free)(void *self);
} ae_row_source;
/* An empty source is fine. */
void ae_row_source_free(ae_row_source *s);

typedef struct {
    ptrdiff_t rows;       /* of a global step */
    ptrdiff_t row_tokens; /* T */
    uint64_t seed;
    bool shuffle; /* an order of its own for each epoch of a set, by the seed; else file order */
} ae_row_options;

/* The sources of token sets. They keep the mixture, which must outlive them. Each set has a position of its
 * own: after its last row comes row 0 again, inside a batch too. A row's set is drawn by ae_mixture_draw. */

/* Rows cut where they fall, as data/rows.h says. A set of fewer than 2 tokens is AE_ERR_INPUT. */
ae_status ae_row_source_sets(ae_row_source *s, const ae_mixture *m, const ae_row_options *o);
/* Row b of a step continues row b of the step before: the streams of data/rows.h. One set, no shuffle. */
ae_status ae_row_source_streams(ae_row_source *s, const ae_mixture *m, const ae_row_options *o);
/* How examples become rows (data/packing.h). */
typedef struct {
    ae_too_long too_long;
    bool alone;      /* a row holds one example */
    bool text_apart; /* sets without a loss mask are text: rows cut where they fall */
} ae_example_options;
/* The documents of the sets as examples, packed whole as data/packing.h says, each set into rows of its own.
 * counts[n_sets] (may be NULL): what became of those of each set, 0 for text. A set of which no example is
 * left, or no target that counts, is AE_ERR_INPUT. */
ae_status ae_row_source_examples(ae_row_source *s, const ae_mixture *m, const ae_row_options *o,
                                 const ae_example_options *e, ae_packing_count *counts);

/* The position before the first row of every set, as those three save it; the caller frees it. */
ae_status ae_row_source_beginning(const ae_mixture *m, char **json);

#endif
