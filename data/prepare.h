#ifndef AE_DATA_PREPARE_H
#define AE_DATA_PREPARE_H
#include "data/documents.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text and JSONL (plain or .gz) to DIR/train.h5 and DIR/heldout.h5. A document becomes <bos> text <eos>;
 * documents of nothing but whitespace are left out and counted. The held-out part is the last share of the
 * documents, at least one (documents rounded down), or of the text where there is one document: it is cut
 * after the last line end before that share (else after the first one after, else between words), and its
 * second part is a document of its own. A share of 0 writes no DIR/heldout.h5.
 *
 * The input is read twice: to check and count it, before anything is written, then to encode it in parallel.
 * Tokens are written in input order and are the same for any number of threads, in memory bounded by
 * `threads` blocks. A document bigger than a block is encoded in pieces, cut at line ends (data/documents.h);
 * a tokenizer that encodes word by word (data/tokenizer.h) gives the tokens of the whole. */
typedef struct {
    const char *const *inputs;
    size_t n_inputs;
    const char *tokenizer; /* path */
    const char *output;    /* folder */
    const char *text_key;  /* JSONL field, "text" */
    const char *split_on;  /* NULL: a text file is one document */
    double heldout;        /* share, 0 to 0.5 */
    bool force;
    ae_text_format format;
    bool skip_bad;            /* malformed lines are left out, and counted */
    int threads;              /* as core/threads.h */
    ae_status (*check)(void); /* asked now and then (signals), its failure ends the work; may be NULL */
} ae_prepare_options;

typedef struct {
    int64_t files, documents, empty_documents, text_bytes, train_tokens, heldout_tokens, byte_fallback_tokens;
    int64_t unknown_tokens, lost_bytes; /* <unk>, and the bytes of text after them */
    int64_t train_documents, heldout_documents;
    ae_bad_lines bad; /* the caller frees it */
} ae_prepare_report;

ae_status ae_data_prepare(const ae_prepare_options *o, ae_prepare_report *report);

#endif
