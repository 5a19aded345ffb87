#ifndef AE_DATA_HASH_H
#define AE_DATA_HASH_H
#include <stddef.h>
#include <stdint.h>

/* FNV-1a, 64 bits. */
#define AE_FNV_START UINT64_C(0xcbf29ce484222325)
#define AE_FNV_PRIME UINT64_C(0x100000001b3)

static inline uint64_t ae_fnv(uint64_t h, const void *bytes, size_t n) {
    const unsigned char *b = (const unsigned char *)bytes;
    for (size_t i = 0; i < n; i++) h = (h ^ b[i]) * AE_FNV_PRIME;
    return h;
}

/* What a token set holds, mixed in as it is written or read: starts of documents, tokens, and what it
 * notes of documents (data/set_notes.h), each in their order. */
typedef struct {
    uint64_t tokens, starts, notes;
    int kind; /* 0, text, leaves the hash as it is without one */
} ae_content_hash;

static inline uint64_t ae_hash_mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * AE_FNV_PRIME;
    return h ^ (h >> 32);
}

static inline ae_content_hash ae_content_hash_start(void) {
    const ae_content_hash h = {AE_FNV_START, AE_FNV_START, AE_FNV_START, 0};
    return h;
}

/* `mask` NULL: all 1. */
static inline void ae_content_hash_tokens(ae_content_hash *h, const int32_t *tokens, const uint8_t *mask,
                                          int64_t n) {
    for (int64_t i = 0; i < n; i++)
        h->tokens = ae_hash_mix(h->tokens, (uint64_t)tokens[i] << 1 | (mask ? mask[i] : 1));
}

static inline void ae_content_hash_start_at(ae_content_hash *h, int64_t start) {
    h->starts = ae_hash_mix(h->starts, (uint64_t)start);
}

static inline uint64_t ae_content_hash_end(const ae_content_hash *h) {
    const uint64_t contents = ae_hash_mix(h->starts, h->tokens);
    return h->kind ? ae_hash_mix(ae_hash_mix(contents, (uint64_t)h->kind), h->notes) : contents;
}

/* Attribute of a token set that keeps it, as 16 hexadecimal digits. */
#define AE_CONTENT_HASH   "content_hash"
#define AE_TOKENIZER_HASH "tokenizer_hash"
#define AE_MANIFEST_HASH                                                                                     \
    "manifest_hash" /* a whole number: texts of attributes lie where HDF5 keeps no checksum */

#endif
