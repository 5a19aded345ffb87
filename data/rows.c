#include "data/rows.h"

#include <stdlib.h>

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

/* `count` places of a batch from i on take the tokens from `first` on; what lies beyond the set is padding.
 * Positions count from the document's start, or from token `origin` where that lies inside the document.
 * `ids` and `mask` hold the set's tokens from `first` on: the span, and one more where there is one. */
static void fill_span(const ae_token_set *s, int64_t first, ptrdiff_t count, int64_t origin,
                      const int32_t *ids, const uint8_t *mask, ae_batch *b, ptrdiff_t i) {
    const int64_t *starts = ae_token_set_doc_starts(s), n = ae_token_set_tokens(s);
    int64_t document = find_document(starts, ae_token_set_documents(s), first);
    int32_t position = (int32_t)(first - (starts[document] > origin ? starts[document] : origin));
    for (ptrdiff_t t = 0; t < count; t++, i++) {
        const int64_t here = first + t;
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

static ae_status read_span(ae_token_set *s, int64_t first, ptrdiff_t count, int64_t origin, ae_batch *b,
                           ptrdiff_t i) {
    const int64_t left = ae_token_set_tokens(s) - first;
    const int64_t n = left < count + 1 ? left : count + 1;
    int32_t *ids = malloc((size_t)n * (sizeof *ids + 1));
    if (!ids) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory for a row", ae_token_set_path(s));
    uint8_t *mask = (uint8_t *)(ids + n);
    const ae_status st = ae_token_set_read(s, first, n, ids, mask);
    if (st == AE_OK) fill_span(s, first, count, origin, ids, mask, b, i);
    free(ids);
    return st;
}

ae_status ae_row_read(ae_token_set *s, int64_t row, ae_batch *b, ptrdiff_t at) {
    return read_span(s, row * b->T, b->T, row * b->T, b, at * b->T);
}

ae_status ae_row_read_on(ae_token_set *s, int64_t row, ae_batch *b, ptrdiff_t at) {
    return read_span(s, row * b->T, b->T, 0, b, at * b->T);
}

ae_stream ae_stream_of(int64_t n_tokens, ptrdiff_t streams, ptrdiff_t stream) {
    const int64_t each = (n_tokens - 1) / streams, more = (n_tokens - 1) % streams;
    return (ae_stream){.first = stream * each + (stream < more ? stream : more),
                       .tokens = each + (stream < more)};
}

ae_status ae_stream_read(ae_token_set *s, int64_t k, ae_batch *b, ptrdiff_t stream) {
    const ae_stream own = ae_stream_of(ae_token_set_tokens(s), b->B, stream);
    int64_t at = k * b->T % own.tokens;
    for (ptrdiff_t t = 0; t < b->T; at = 0) {
        const int64_t left = own.tokens - at;
        const ptrdiff_t count = left < b->T - t ? (ptrdiff_t)left : b->T - t;
        const ae_status st = read_span(s, own.first + at, count, own.first, b, stream * b->T + t);
        if (st != AE_OK) return st;
        t += count;
    }
    return AE_OK;
}
