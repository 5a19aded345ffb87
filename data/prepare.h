#ifndef AE_DATA_PREPARE_H
#define AE_DATA_PREPARE_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text and JSONL (plain or .gz) to DIR/train.h5 and DIR/heldout.h5. A document becomes <bos> text <eos>. The held-out part is
 * the last share of the documents, or of the text where there is one document. Files are read and encoded in parallel, written in
 * input order, in memory bounded by `threads` blocks; a big text file without split_on is encoded in pieces cut at line ends. */
typedef struct {
    const char *const *inputs;
    size_t n_inputs;
    const char *tokenizer; /* path */
    const char *output;    /* folder */
    const char *text_key;  /* JSONL field, "text" */
    const char *split_on;  /* NULL: a text file is one document */
    double heldout;        /* share, 0 to 0.5 */
    bool force;
    int threads;
} ae_prepare_options;

typedef struct {
    int64_t files, documents, empty_documents, text_bytes, train_tokens, heldout_tokens, byte_fallback_tokens;
} ae_prepare_report;

ae_status ae_data_prepare(const ae_prepare_options *o, ae_prepare_report *report);

#endif
