#ifndef AE_DATA_ROWS_H
#define AE_DATA_ROWS_H
#include "data/batch.h"
#include "data/token_set.h"

/* Rows of T tokens cut out of one token set where they fall (docs/interfaces.md, "Rows"). Row r takes tokens
 * [rT, rT+T), targets one later; n tokens give ceil((n-1)/T) rows, the last one padded. */
int64_t ae_rows_in_set(int64_t n_tokens, ptrdiff_t T);
/* Row `row`, in file order, into row `at` of a batch; adds to n_tokens and n_targets. */
ae_status ae_row_read(ae_token_set *s, int64_t row, ae_batch *b, ptrdiff_t at);
/* The same with positions that go on across row starts: those of the documents. */
ae_status ae_row_read_on(ae_token_set *s, int64_t row, ae_batch *b, ptrdiff_t at);

/* A set cut into streams for rows that carry their state: its n-1 tokens that have a next one, in file order,
 * in equal parts (to one token). After its end a stream begins anew, inside a row too; its first token is
 * like a document's first. */
typedef struct {
    int64_t first, tokens;
} ae_stream;
ae_stream ae_stream_of(int64_t n_tokens, ptrdiff_t streams, ptrdiff_t stream);
/* Row k of one of b->B streams, tokens [kT, kT+T) of its endless repetition, into that row of the batch: it
 * continues row k-1, and positions go on where that ended inside a document. Needs a stream of at least a
 * token. */
ae_status ae_stream_read(ae_token_set *s, int64_t k, ae_batch *b, ptrdiff_t stream);

#endif
