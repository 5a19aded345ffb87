#ifndef AE_DATA_TOKENIZER_H
#define AE_DATA_TOKENIZER_H
#include "core/status.h"
#include "data/documents.h"
#include "data/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A sentencepiece model with the Gemma control tokens: <pad> 0, <eos> 1, <bos> 2, <unk> 3, then
 * <start_of_turn> and <end_of_turn> wherever the model has them. Text is never parsed for control tokens,
 * unless the model has their spelling as a symbol of its own; data/render.h keeps those out of dialogues.
 * Digits are split, unknown characters fall back to bytes, whitespace is kept: decoding gives back the
 * encoded text to the byte. All calls on one tokenizer may run in parallel.
 *
 * Text is encoded word by word (after a run of line ends, before a line end, before a run of spaces) where
 * no piece of the model reaches over such a place, as in models trained here and in Gemma's; then cutting a
 * text there before encoding changes nothing. A model with other pieces sees the text whole. */
typedef struct ae_tokenizer ae_tokenizer;

ae_status ae_tokenizer_open(ae_tokenizer **t, const char *path);
ae_status ae_tokenizer_from_bytes(ae_tokenizer **t, const void *bytes, size_t n, const char *where);
void ae_tokenizer_delete(ae_tokenizer *t);

int32_t ae_tokenizer_size(const ae_tokenizer *t);
uint64_t ae_tokenizer_hash(const ae_tokenizer *t); /* of the model's bytes (FNV-1a 64) */
const void *ae_tokenizer_bytes(const ae_tokenizer *t, size_t *n);
/* Whether it was made of these bytes: ids mean the same. */
bool ae_tokenizer_is(const ae_tokenizer *t, const void *bytes, size_t n);
int32_t ae_tokenizer_id(const ae_tokenizer *t, const char *piece); /* -1 when there is none */
const char *ae_tokenizer_piece(const ae_tokenizer *t, int32_t id);
bool ae_tokenizer_is_control(const ae_tokenizer *t, int32_t id);
bool ae_tokenizer_is_byte(const ae_tokenizer *t, int32_t id); /* <0x00> to <0xFF> */
/* Bytes of text that a token stands for: none for control tokens and turn markers, one for a byte
 * piece, else those of the piece, where U+2581 is one space. */
int64_t ae_tokenizer_token_bytes(const ae_tokenizer *t, int32_t id);
/* Whether words are encoded apart, so that text may be cut between them. */
bool ae_tokenizer_is_wordwise(const ae_tokenizer *t);

typedef struct {
    int32_t pad, eos, bos, unk, start_of_turn, end_of_turn; /* -1 where the model has none */
} ae_special_ids;
ae_special_ids ae_tokenizer_special(const ae_tokenizer *t);

/* Appends the ids of `text` (no <bos>, no <eos>). Text that is not UTF-8 is AE_ERR_INPUT. */
ae_status ae_tokenizer_encode(const ae_tokenizer *t, const char *text, size_t n, ae_ids *out);
/* Bytes of text that have no piece and become <unk>: lost, since <unk> stands for anything. 0 with byte
 * fallback. */
ae_status ae_tokenizer_lost_bytes(const ae_tokenizer *t, const char *text, size_t n, int64_t *lost);

/* Text of ids (control tokens give nothing, bytes that are no UTF-8 U+FFFD) with a NUL after it; caller
 * frees. */
ae_status ae_tokenizer_decode(const ae_tokenizer *t, const int32_t *ids, ptrdiff_t n, char **text,
                              size_t *n_bytes);

typedef struct {
    const char *const *inputs; /* text or JSONL(.gz) files */
    size_t n_inputs;
    const char *output;   /* PATH.model; the .vocab file is not kept */
    const char *text_key; /* JSONL: the field that holds the text */
    int32_t vocab_size;
    const char *kind;     /* "bpe" or "unigram" */
    int64_t sample_bytes; /* at most this much text is used, spread evenly over the input */
    uint64_t seed;
    ae_status (*check)(void); /* asked now and then (signals), its failure ends the work; may be NULL */
    ae_text_format format;
    bool skip_bad; /* as in data/documents.h */
    ae_bad_lines *bad;
} ae_tokenizer_training;
/* Deterministic for the same input, arguments and seed. */
ae_status ae_tokenizer_train(const ae_tokenizer_training *a);

#ifdef __cplusplus
}
#endif
#endif
