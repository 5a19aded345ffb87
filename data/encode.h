#ifndef AE_DATA_ENCODE_H
#define AE_DATA_ENCODE_H
#include "data/documents.h"
#include "data/token_set.h"
#include "data/tokenizer.h"

/* Documents to token sets: <bos> text <eos> each, read by turns and encoded side by side by `threads` threads
 * that hold one block each, written in input order; the outcome does not depend on their number. */
typedef struct {
    ae_documents_options input;
    const ae_tokenizer *tokenizer; /* with <bos> and <eos> */
    ae_token_writer *train, *held;
    int64_t first_held; /* documents from this one on go to `held` */
    int64_t cut;        /* not 0: the one document ends here for `train`, and begins here for `held` */
    int64_t text_bytes; /* of all documents, for the bar */
    int threads;
} ae_encoding;

typedef struct {
    int64_t documents, text_bytes;
    int64_t byte_tokens;                /* pieces of one byte */
    int64_t unknown_tokens, lost_bytes; /* <unk>, and the text after them */
} ae_encoded_count;

ae_status ae_encode_documents(const ae_encoding *e, ae_encoded_count *count);

#endif
