#ifndef AE_DATA_TOKEN_SET_H
#define AE_DATA_TOKEN_SET_H
#include "data/kind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A token set: HDF5 with /tokens (uint16 or uint32), /doc_starts (int64; its last entry is the number of
 * tokens), optional /loss_mask (uint8: whether token i counts as a target), /tokenizer (the sentencepiece
 * file's bytes), /doc_bytes (int64: bytes of text of each document); attributes vocab_size,
 * tokenizer_hash, content_hash, manifest (JSON), manifest_hash, version. Only /tokens, /doc_starts and
 * vocab_size are required.
 *
 * The attribute kind says what the documents are; a set without it holds text. chat: dialogues. pairs:
 * two documents a pair, the prompt with the chosen answer, then with the rejected one; optional /margin
 * (float32, one a pair). prompts: optional /meta (uint8: one JSON text a document) and /meta_starts
 * (int64, as doc_starts; a document without meta has no bytes). docs/interfaces.md. */
typedef struct ae_token_set ae_token_set;

ae_status ae_token_set_open(
    ae_token_set **s,
    const char *path); /* checks shapes, order of doc_starts, attributes, hashes of tokenizer and manifest */
void ae_token_set_close(ae_token_set *s);

const char *ae_token_set_path(const ae_token_set *s);
int64_t ae_token_set_tokens(const ae_token_set *s);
int64_t ae_token_set_documents(const ae_token_set *s);
int64_t ae_token_set_vocab_size(const ae_token_set *s);
bool ae_token_set_has_mask(const ae_token_set *s);
const int64_t *ae_token_set_doc_starts(const ae_token_set *s);        /* documents + 1 entries */
const int64_t *ae_token_set_doc_bytes(const ae_token_set *s);         /* NULL when absent */
const void *ae_token_set_tokenizer(const ae_token_set *s, size_t *n); /* NULL when absent */
ae_data_kind ae_token_set_kind(const ae_token_set *s);
const float *ae_token_set_margins(const ae_token_set *s); /* [documents / 2]; NULL when absent */
/* JSON text of a document, of *n bytes, with no NUL after it; NULL where it has none. */
const char *ae_token_set_meta(const ae_token_set *s, int64_t document, size_t *n);
/* Of everything that decides what training sees (vocabulary, kind, documents, tokens, mask, margins,
 * meta), for resume. A set written here keeps it; of another one the first call reads everything. */
ae_status ae_token_set_hash(ae_token_set *s, uint64_t *hash);
/* Reads everything: AE_ERR_INPUT where it is not what the set's own hash was made of. A set from elsewhere
 * keeps none and has only to be readable. */
ae_status ae_token_set_verify(ae_token_set *s);
bool ae_token_set_keeps_hash(const ae_token_set *s);      /* else ae_token_set_hash reads everything */
const char *ae_token_set_manifest(const ae_token_set *s); /* JSON text, "" when absent */

/* Tokens [first, first + n); an id beyond the vocabulary is AE_ERR_INPUT naming its place. `mask` may be
 * NULL; without /loss_mask it is filled with 1. Several threads may read one set. What was read last is
 * kept, some 5 MB. */
ae_status ae_token_set_read(ae_token_set *s, int64_t first, int64_t n, int32_t *tokens, uint8_t *mask);

/* Writing: aside, then renamed by finish. */
typedef struct ae_token_writer ae_token_writer;
typedef struct {
    int64_t vocab_size;
    bool has_mask;
    const void *tokenizer; /* may be NULL */
    size_t tokenizer_bytes;
    ae_data_kind kind;
    bool has_margins, has_meta;
    bool no_text_bytes; /* they are not known: no /doc_bytes */
} ae_token_set_info;
ae_status ae_token_writer_open(ae_token_writer **w, const char *path, const ae_token_set_info *info);
/* One whole document. `mask` NULL: all 1 (needs has_mask false or fills ones). */
ae_status ae_token_writer_add(ae_token_writer *w, const int32_t *tokens, const uint8_t *mask, int64_t n,
                              int64_t text_bytes);
/* A document in parts: any number of ae_token_writer_part, then the end. */
ae_status ae_token_writer_part(ae_token_writer *w, const int32_t *tokens, const uint8_t *mask, int64_t n);
ae_status ae_token_writer_end_document(ae_token_writer *w, int64_t text_bytes);
/* Of each pair, in their order; of each document, NULL for none. */
ae_status ae_token_writer_margin(ae_token_writer *w, float margin);
ae_status ae_token_writer_meta(ae_token_writer *w, const char *json);
int64_t ae_token_writer_tokens(const ae_token_writer *w); /* so far */
int64_t ae_token_writer_documents(const ae_token_writer *w);
/* Closes the file and renames it into place; the writer is gone afterwards, also when this fails. */
ae_status ae_token_writer_finish(ae_token_writer *w, const char *manifest_json);
void ae_token_writer_abandon(ae_token_writer *w); /* NULL is fine; removes what was written */

#endif
