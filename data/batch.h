#ifndef AE_DATA_BATCH_H
#define AE_DATA_BATCH_H
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* B rows of T tokens with their targets: what one step trains on. */
typedef struct {
    int32_t *tokens;  /* [B, T] inputs; padding is 0 */
    int32_t *targets; /* [B, T] the token after each input; 0 where it has none */
    /* [B, T] from 0 at every document and row start (streams: document only); padding counts on */
    int32_t *positions;
    float *weights; /* [B, T] 1 where the target counts, else 0; an objective may weigh targets otherwise */
    ptrdiff_t B, T;
    int64_t n_tokens;  /* inputs without padding */
    int64_t n_targets; /* entries of weights that are 1 */
} ae_batch;

ae_status ae_batch_init(ae_batch *b, ptrdiff_t B, ptrdiff_t T);
void ae_batch_free(ae_batch *b);
/* Cuts all rows behind the last target that counts in any of them, to a multiple of 16 tokens or T: what
 * comes behind has no influence on a loss. */
void ae_batch_trim(ae_batch *b);

#endif
