#ifndef AE_TESTS_DAMAGE_MUTATE_H
#define AE_TESTS_DAMAGE_MUTATE_H
#include "core/rng.h"

#include <stddef.h>

/* Bytes of a file, and changes to them that a seed decides. */
typedef struct {
    char *bytes; /* owned, a NUL behind them */
    size_t n;
} content;

content content_copy(const content *c);
content content_cut(const content *c, size_t n);
void content_free(content *c);

typedef enum {
    MUTATE_BYTES,      /* bits, bytes, numbers of 2 to 8 bytes, slices */
    MUTATE_TEXT,       /* the same, and numbers, strings, lines, pairs and braces of JSON and YAML */
    MUTATE_SAFETENSORS /* the header as text, its length to match or not; now and then the data */
} mutation;

/* One to three changes. */
content mutate(const content *c, mutation kind, ae_rng *rng);

#endif
