#include "data/pieces.h"

#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
enum {
    MODEL_PIECE = 1,
    MODEL_TRAINER = 2,
    MODEL_NORMALIZER = 3,
    MODEL_SELF_TEST = 4,
    MODEL_DENORMALIZER = 5
};
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_KIND = 3 };
enum { TRAINER_TYPE = 3, TRAINER_SPACE_BEHIND = 24, TRAINER_BYTE_FALLBACK = 35 };
enum { NORMALIZER_CHARSMAP = 2, NORMALIZER_PREFIX = 3, NORMALIZER_FOLDS = 4, NORMALIZER_MARKS = 5 };

/* ---- fields of a message ---- */

typedef struct {
    const unsigned char *at, *end;
} cursor;

typedef struct {
    uint64_t number;
    int wire;
    uint64_t value;             /* of a VARINT */
    const unsigned char *bytes; /* of the others */
    size_t n;
} field;

static bool take_varint(cursor *c, uint64_t *x) {
    *x = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (c->at == c->end) return false;
        const unsigned char b = *c->at++;
        *x |= (uint64_t)(b & 127) << shift;
        if (b < 128) return true;
    }
    return false;
}

static bool take_bytes(cursor *c, uint64_t n, field *f) {
    if (n > (uint64_t)(c->end - c->at)) return false;
    f->bytes = c->at;
    f->n = (size_t)n;
    c->at += n;
    return true;
}

static bool take_field(cursor *c, field *f) {
    uint64_t key, n;
    *f = (field){0};
    if (!take_varint(c, &key)) return false;
    f->number = key >> 3;
    f->wire = (int)(key & 7);
    switch (f->wire) {
    case VARINT:
        return take_varint(c, &f->value);
    case FIXED64:
        return take_bytes(c, 8, f);
    case BYTES:
        return take_varint(c, &n) && take_bytes(c, n, f);
    case FIXED32:
        return take_bytes(c, 4, f);
    default:
        return false; /* groups: not in these files */
    }
}

/* ---- reading ---- */

static float little_endian(const unsigned char *b) {
    const uint32_t bits = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static bool read_piece(ae_sentence_piece *p, const field *whole) {
    cursor c = {whole->bytes, whole->bytes + whole->n};
    field f;
    p->kind = AE_PIECE_NORMAL;
    while (c.at < c.end) {
        if (!take_field(&c, &f)) return false;
        if (f.number == PIECE_TEXT && f.wire == BYTES) {
            p->text = (const char *)f.bytes;
            p->n = f.n;
        } else if (f.number == PIECE_SCORE && f.wire == FIXED32) {
            p->score = little_endian(f.bytes);
        } else if (f.number == PIECE_KIND && f.wire == VARINT) {
            if (f.value < AE_PIECE_NORMAL || f.value > AE_PIECE_BYTE) return false;
            p->kind = (ae_piece_kind)f.value;
        }
    }
    return p->n > 0;
}

static bool read_trainer(ae_pieces *p, const field *whole) {
    cursor c = {whole->bytes, whole->bytes + whole->n};
    field f;
    while (c.at < c.end) {
        if (!take_field(&c, &f)) return false;
        if (f.wire != VARINT) continue;
        if (f.number == TRAINER_TYPE) p->rules.kind = (ae_tokenizer_kind)f.value;
        if (f.number == TRAINER_SPACE_BEHIND) p->rules.space_behind = f.value != 0;
        if (f.number == TRAINER_BYTE_FALLBACK) p->rules.byte_fallback = f.value != 0;
    }
    p->bpe = p->rules.kind == AE_TOKENIZER_BPE;
    return true;
}

static bool read_normalizer(ae_tokenizer_rules *r, const field *whole) {
    cursor c = {whole->bytes, whole->bytes + whole->n};
    field f;
    while (c.at < c.end) {
        if (!take_field(&c, &f)) return false;
        if (f.number == NORMALIZER_CHARSMAP && f.wire == BYTES && f.n > 0) {
            r->charsmap = f.bytes;
            r->charsmap_bytes = f.n;
        }
        if (f.wire != VARINT) continue;
        if (f.number == NORMALIZER_PREFIX) r->prefix = f.value != 0;
        if (f.number == NORMALIZER_FOLDS) r->folds_spaces = f.value != 0;
        if (f.number == NORMALIZER_MARKS) r->marks_spaces = f.value != 0;
    }
    return true;
}

/* Only whether it does anything. */
static bool read_denormalizer(ae_tokenizer_rules *r, const field *whole) {
    ae_tokenizer_rules back = {0};
    const bool well = read_normalizer(&back, whole);
    r->rewrites_decoded = back.charsmap != NULL;
    return well;
}

static ae_status add_piece(ae_pieces *p, size_t *capacity, ae_sentence_piece piece, const char *where) {
    if ((size_t)p->n == *capacity) {
        *capacity = 2 * *capacity + 1024;
        void *grown = realloc(p->items, *capacity * sizeof *p->items);
        if (grown == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
        p->items = grown;
    }
    p->items[p->n++] = piece;
    return AE_OK;
}

ae_status ae_pieces_read(ae_pieces *p, const void *bytes, size_t n, const char *where) {
    *p = (ae_pieces){.bytes = bytes, .n_bytes = n};
    p->rules = (ae_tokenizer_rules){
        .kind = AE_TOKENIZER_UNIGRAM, .prefix = true, .folds_spaces = true, .marks_spaces = true};
    cursor c = {p->bytes, p->bytes + n};
    size_t capacity = 0;
    bool well = true;
    ae_status st = AE_OK;
    while (st == AE_OK && well && c.at < c.end) {
        const unsigned char *start = c.at;
        field f;
        well = take_field(&c, &f);
        if (well && f.number == MODEL_TRAINER && f.wire == BYTES) well = read_trainer(p, &f);
        if (well && f.number == MODEL_NORMALIZER && f.wire == BYTES) well = read_normalizer(&p->rules, &f);
        if (well && f.number == MODEL_DENORMALIZER && f.wire == BYTES)
            well = read_denormalizer(&p->rules, &f);
        if (!well || f.number != MODEL_PIECE || f.wire != BYTES) continue;
        ae_sentence_piece piece = {.offset = (size_t)(start - p->bytes), .bytes = (size_t)(c.at - start)};
        well = read_piece(&piece, &f);
        if (well) st = add_piece(p, &capacity, piece, where);
    }
    if (st == AE_OK && (!well || p->n == 0))
        st = AE_FAIL(AE_ERR_INPUT,
                     "%s: expected a sentencepiece model, found something else or a part of one", where);
    if (st != AE_OK) ae_pieces_free(p);
    return st;
}

void ae_pieces_free(ae_pieces *p) {
    free(p->items);
    *p = (ae_pieces){0};
}

/* ---- writing ---- */

/* Of a whole file, which has been read once: no field is malformed. */
ae_status ae_pieces_subset(const ae_pieces *p, const bool *keep, void **bytes, size_t *n) {
    unsigned char *out = malloc(p->n_bytes + 1);
    cursor c = {p->bytes, p->bytes + p->n_bytes};
    int32_t id = 0;
    *n = 0;
    *bytes = out;
    if (out == NULL) return AE_FAIL(AE_ERR_RESOURCE, "the smaller tokenizer: out of memory");
    while (c.at < c.end) {
        const unsigned char *start = c.at;
        field f;
        if (!take_field(&c, &f)) break;
        const bool piece = f.number == MODEL_PIECE && f.wire == BYTES;
        if (piece ? !keep[id++] : f.number == MODEL_SELF_TEST) continue;
        memcpy(out + *n, start, (size_t)(c.at - start));
        *n += (size_t)(c.at - start);
    }
    return AE_OK;
}
