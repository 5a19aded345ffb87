#include "data/batch.h"

#include <stdlib.h>

ae_status ae_batch_init(ae_batch *b, ptrdiff_t B, ptrdiff_t T) {
    const size_t n = (size_t)(B * T);
    *b = (ae_batch){.B = B, .T = T};
    b->tokens = calloc(n, sizeof *b->tokens);
    b->targets = calloc(n, sizeof *b->targets);
    b->positions = calloc(n, sizeof *b->positions);
    b->weights = calloc(n, sizeof *b->weights);
    if (b->tokens && b->targets && b->positions && b->weights) return AE_OK;
    ae_batch_free(b);
    return AE_FAIL(AE_ERR_RESOURCE, "batch of %td rows of %td tokens: out of memory", B, T);
}

void ae_batch_free(ae_batch *b) {
    free(b->tokens);
    free(b->targets);
    free(b->positions);
    free(b->weights);
    *b = (ae_batch){0};
}
