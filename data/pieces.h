#ifndef AE_DATA_PIECES_H
#define AE_DATA_PIECES_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The pieces of a sentencepiece model's file, and the file again with some of them. The file is a protocol
 * buffer: pieces are its field 1, each {1: text, 2: score, 3: kind}; every other field is passed on as it is,
 * but for the self test (4), which names pieces. */

typedef enum {
    AE_PIECE_NORMAL = 1,
    AE_PIECE_UNKNOWN,
    AE_PIECE_CONTROL,
    AE_PIECE_USER_DEFINED,
    AE_PIECE_UNUSED,
    AE_PIECE_BYTE
} ae_piece_kind;

typedef struct {
    const char *text; /* in the file's bytes, without a NUL after it */
    size_t n;
    float score;
    ae_piece_kind kind;
    size_t offset, bytes; /* of the whole field in the file */
} ae_sentence_piece;

typedef enum {
    AE_TOKENIZER_UNIGRAM = 1,
    AE_TOKENIZER_BPE,
    AE_TOKENIZER_WORD,
    AE_TOKENIZER_CHAR
} ae_tokenizer_kind;

/* What the file says beside its pieces of how text becomes them. */
typedef struct {
    ae_tokenizer_kind kind;
    bool byte_fallback;   /* characters without a piece become bytes, else <unk> */
    bool space_behind;    /* a space belongs to the word before it */
    bool prefix;          /* a space is put before the text */
    bool folds_spaces;    /* runs of spaces become one, those at the ends none */
    bool marks_spaces;    /* a space is U+2581 in pieces */
    const void *charsmap; /* normal forms as the library compiles them; NULL: text stays as it is */
    size_t charsmap_bytes;
    bool rewrites_decoded; /* decoded text is rewritten too */
} ae_tokenizer_rules;

typedef struct {
    const unsigned char *bytes; /* borrowed */
    size_t n_bytes;
    ae_sentence_piece *items; /* by id */
    int32_t n;
    bool bpe; /* merged by score; else the likeliest split is taken */
    ae_tokenizer_rules rules;
} ae_pieces;

/* AE_ERR_INPUT for bytes that are no sentencepiece model. `bytes` must stay. */
ae_status ae_pieces_read(ae_pieces *p, const void *bytes, size_t n, const char *where);
void ae_pieces_free(ae_pieces *p);

/* The file with those pieces whose keep[id] is true, in their order; the caller frees it. */
ae_status ae_pieces_subset(const ae_pieces *p, const bool *keep, void **bytes, size_t *n);

#endif
