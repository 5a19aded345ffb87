#ifndef AE_DATA_BEST_FIT_H
#define AE_DATA_BEST_FIT_H
#include <stddef.h>

/* Best fit of a few rows at a time; the rows of a whole token set are those of data/packing.h. Where the longest
 * documents come first, few rows are needed.
 *
 * The row that a document of `n` tokens, at most T, goes into: of the *rows rows the one in which it leaves the least
 * room, the first among equals, else a new one of T tokens. room [*rows + 1] is what each row has left, and shrinks by
 * n. */
ptrdiff_t ae_best_fit(ptrdiff_t *room, ptrdiff_t *rows, ptrdiff_t n, ptrdiff_t T);

#endif
