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

#endif
