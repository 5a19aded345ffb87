#ifndef AE_DATA_TRIM_H
#define AE_DATA_TRIM_H
#include "data/documents.h"
#include "data/tokenizer.h"

/* A smaller vocabulary: the pieces that a corpus uses, control tokens, bytes and the space.
 *
 * Text whose encoding holds kept pieces alone is encoded to the same pieces as before. For that a BPE model
 * also keeps what merging passes through on its way to a kept piece: a piece is always merged in the same
 * order, whatever stands beside it, and pieces left out only take away merges that were not made. In a
 * unigram model the likeliest split stays the likeliest; the pieces of the lowest and the highest score stay,
 * since what unknown characters and user-defined pieces cost is counted from them. The characters of kept
 * pieces stay too, so that words that the corpus has not are spelt in them, not in bytes. */
typedef struct {
    const ae_tokenizer *tokenizer;
    const char *where; /* its file, for messages */
    ae_documents_options input;
    int64_t min_count; /* pieces seen so often stay; at least 1 */
    const char *keep;  /* file with a piece a line (spaces or U+2581) that stays in any case; may be NULL */
} ae_trim_request;

typedef struct {
    ae_tokenizer *tokenizer;
    int32_t *old_id; /* [pieces of it], rising */
    int32_t n;
    int64_t tokens_before, tokens_after; /* that the corpus takes */
} ae_trimmed;

/* The corpus is read twice, the second time to see that it is encoded as this page says. */
ae_status ae_trim(ae_trimmed *out, const ae_trim_request *r);
void ae_trimmed_free(ae_trimmed *t);

#endif
