#include "data/loader.h"

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

int64_t ae_rows_in_set(int64_t n_tokens, ptrdiff_t T) {
    return n_tokens < 2 ? 0 : (n_tokens - 2) / T + 1;
}

/* The last document that begins at or before a token, which is the one it lies in. */
static int64_t find_document(const int64_t *starts, int64_t documents, int64_t token) {
    int64_t low = 0, high = documents;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (starts[middle] <= token)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* `ids` and `mask` hold the set's tokens from `first` on: the row, and one more where there is one. */
static void fill_row(const ae_token_set *s, int64_t first, const int32_t *ids, const uint8_t *mask,
                     ae_batch *b, ptrdiff_t at) {
    const int64_t *starts = ae_token_set_doc_starts(s), n = ae_token_set_tokens(s);
    int64_t document = find_document(starts, ae_token_set_documents(s), first);
    int32_t position = 0;
    for (ptrdiff_t t = 0; t < b->T; t++) {
        const int64_t here = first + t;
        const ptrdiff_t i = at * b->T + t;
        if (here < n && here == starts[document + 1]) {
            while (starts[document + 1] == here) document++;
            position = 0;
        }
        const bool has_target = here + 1 < starts[document + 1];
        b->tokens[i] = here < n ? ids[t] : 0;
        b->positions[i] = position++;
        b->targets[i] = has_target ? ids[t + 1] : 0;
        b->weights[i] = has_target && mask[t + 1] ? 1 : 0;
        b->n_tokens += here < n;
        b->n_targets += has_target && mask[t + 1];
    }
}

ae_status ae_row_read(ae_token_set *s, int64_t row, ae_batch *b, ptrdiff_t at) {
    const int64_t first = row * b->T, left = ae_token_set_tokens(s) - first;
    const int64_t n = left < b->T + 1 ? left : b->T + 1;
    int32_t *ids = malloc((size_t)n * (sizeof *ids + 1));
    if (!ids) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory for a row", ae_token_set_path(s));
    uint8_t *mask = (uint8_t *)(ids + n);
    const ae_status st = ae_token_set_read(s, first, n, ids, mask);
    if (st == AE_OK) fill_row(s, first, ids, mask, b, at);
    free(ids);
    return st;
}
