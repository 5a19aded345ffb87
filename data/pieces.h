#ifndef AE_DATA_PIECES_H
#define AE_DATA_PIECES_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The pieces of a sentencepiece model's file, and the file again with some of them. The file is a protocol buffer: pieces are its field 1,
 * each {1: text, 2: score, 3: kind}; every other field is passed on as it is, but for the self test (4), which names pieces. */

typedef enum {
    AE_PIECE_NORMAL = 1,
    AE_PIECE_UNKNOWN,
    AE_PIECE_CONTROL,
    AE_PIECE_USER_DEFINED,
    AE_PIECE_UNUSED,
    AE_PIECE_BYTE
} ae_piece_kind;

typedef struct {
    const char *text; /* in the file's bytes, without a NUL behind it */
    size_t n;
    float score;
    ae_piece_kind kind;
    size_t offset, bytes; /* of the whole field in the file */
} ae_sentence_piece;

typedef struct {
    const unsigned char *bytes; /* borrowed */
    size_t n_bytes;
    ae_sentence_piece *items; /* by id */
    int32_t n;
    bool bpe; /* merged by score; else the likeliest split is taken */
} ae_pieces;

/* AE_ERR_INPUT for bytes that are no sentencepiece model. `bytes` must stay. */
ae_status ae_pieces_read(ae_pieces *p, const void *bytes, size_t n, const char *where);
void ae_pieces_free(ae_pieces *p);

/* The file with those pieces whose keep[id] is true, in their order; the caller frees it. */
ae_status ae_pieces_subset(const ae_pieces *p, const bool *keep, void **bytes, size_t *n);

#endif
