#ifndef AE_DATA_BATCH_H
#define AE_DATA_BATCH_H
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* B rows of T tokens with their targets: what one step trains on. */
typedef struct {
    int32_t *tokens;  /* [B, T] inputs; padding is 0 */
    int32_t *targets; /* [B, T] the token after each input; 0 where it has none */
    /* [B, T] from 0 at every document and row start (streams: document only), with forks; padding counts on */
    int32_t *positions;
    float *weights; /* [B, T] 1 where the target counts, else 0; an objective may weigh targets otherwise */
    ptrdiff_t B, T;
    int64_t n_tokens;  /* inputs without padding */
    int64_t n_targets; /* entries of weights that are 1 */
} ae_batch;

ae_status ae_batch_init(ae_batch *b, ptrdiff_t B, ptrdiff_t T);
void ae_batch_free(ae_batch *b);

/* An example of n tokens, whose last one has no target, from place i of [B T] on; mask[t]: whether token t
 * counts as a target. Adds to n_tokens and n_targets. */
void ae_batch_put_example(ae_batch *b, ptrdiff_t i, const int32_t *ids, const uint8_t *mask, ptrdiff_t n);
/* Padding in the places [i, end) of a row; i is not the row's first. */
void ae_batch_put_padding(ae_batch *b, ptrdiff_t i, ptrdiff_t end);

/* Keeps the first `used` tokens of every row, rounded up to a multiple of 16 (at most T). */
void ae_batch_cut(ae_batch *b, ptrdiff_t used);
/* Cuts all rows after the last target that counts in any of them: what comes after it has no influence on a
 * loss. */
void ae_batch_trim(ae_batch *b);

#endif
