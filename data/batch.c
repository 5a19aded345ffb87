#include "data/batch.h"

#include "core/dims.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

void ae_batch_put_example(ae_batch *b, ptrdiff_t i, const int32_t *ids, const uint8_t *mask, ptrdiff_t n) {
    for (ptrdiff_t t = 0; t < n; t++, i++) {
        const bool has_target = t + 1 < n, counts = has_target && mask[t + 1];
        b->tokens[i] = ids[t];
        b->targets[i] = has_target ? ids[t + 1] : 0;
        b->positions[i] = (int32_t)t;
        b->weights[i] = counts ? 1 : 0;
        b->n_targets += counts;
    }
    b->n_tokens += n;
}

void ae_batch_put_padding(ae_batch *b, ptrdiff_t i, ptrdiff_t end) {
    for (; i < end; i++) {
        b->tokens[i] = b->targets[i] = 0;
        b->positions[i] = b->positions[i - 1] + 1;
        b->weights[i] = 0;
    }
}

/* ---- shorter rows ---- */

/* Tokens up to the last target that counts, in the longest of the rows. */
static ptrdiff_t used_tokens(const ae_batch *b) {
    ptrdiff_t used = 0;
    for (ptrdiff_t row = 0; row < b->B; row++) {
        ptrdiff_t n = b->T;
        while (n > used && b->weights[row * b->T + n - 1] == 0) n--;
        used = ae_max(used, n);
    }
    return used;
}

static void restride(void *entries, size_t size, ptrdiff_t rows, ptrdiff_t from, ptrdiff_t to) {
    char *p = entries;
    for (ptrdiff_t row = 1; row < rows; row++)
        memmove(p + (size_t)(row * to) * size, p + (size_t)(row * from) * size, (size_t)to * size);
}

void ae_batch_cut(ae_batch *b, ptrdiff_t used) {
    enum { MULTIPLE = 16 };
    const ptrdiff_t T = ae_min(b->T, ae_ceil_div(ae_max(1, used), MULTIPLE) * MULTIPLE);
    restride(b->tokens, sizeof *b->tokens, b->B, b->T, T);
    restride(b->targets, sizeof *b->targets, b->B, b->T, T);
    restride(b->positions, sizeof *b->positions, b->B, b->T, T);
    restride(b->weights, sizeof *b->weights, b->B, b->T, T);
    b->T = T;
}

void ae_batch_trim(ae_batch *b) {
    ae_batch_cut(b, used_tokens(b));
}
