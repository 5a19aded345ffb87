#ifndef AE_DATA_ORDER_H
#define AE_DATA_ORDER_H
#include "data/mixture.h"

#include <stdbool.h>

/* Which piece of which token set comes next: rows, examples or pairs, numbered in each set from 0. A step
 * takes `per_step` pieces; the set of each is drawn by ae_mixture_draw, and each set has a position of its
 * own: after its last piece comes its first again. With `shuffle` each epoch of a set has an order of its
 * own, a function of the seed and the epoch. */
typedef struct {
    const ae_mixture *mixture; /* borrowed */
    int64_t pieces[AE_MIXTURE_SETS_MAX];
    ptrdiff_t per_step;
    uint64_t seed;
    bool shuffle;
    int64_t step;                       /* the next one */
    int64_t taken[AE_MIXTURE_SETS_MAX]; /* pieces from each set before it */
} ae_order;

/* Goes to `first_step` (from 1): to the position that an earlier run saved before that step, or, where it is
 * NULL, as though all steps before had been of this order. A position of other sets is AE_ERR_INPUT. */
ae_status ae_order_begin(ae_order *o, int64_t first_step, const char *position);

typedef struct {
    size_t set;
    int64_t piece;
} ae_ordered;
/* Piece `at` of the step, from 0: to be asked for in turn. */
ae_ordered ae_order_next(ae_order *o, ptrdiff_t at);
void ae_order_end_step(ae_order *o);

/* Where the steps so far have led, as JSON text; the caller frees it. */
ae_status ae_order_position(const ae_order *o, char **json);
/* The position before the first piece of n sets. */
ae_status ae_order_beginning(size_t n_sets, char **json);

#endif
