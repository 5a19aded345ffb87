#ifndef AE_TESTS_DATA_SETS_H
#define AE_TESTS_DATA_SETS_H
#include "core/rng.h"
#include "data/token_set.h"
#include "tests/core/scratch.h"

/* A token set in plain arrays, and its file. */
enum { SET_TOKENS = 4096, SET_DOCUMENTS = 1024 };

typedef struct {
    int32_t ids[SET_TOKENS];
    uint8_t mask[SET_TOKENS];
    int64_t lengths[SET_DOCUMENTS];
    int64_t n, documents, vocab_size;
    bool has_mask;
} plain_set;

/* Documents of 1 to `longest` tokens. */
static inline void set_random(plain_set *s, uint64_t seed, int64_t documents, int64_t longest,
                              bool has_mask) {
    ae_rng rng = ae_rng_make(seed, 7);
    *s = (plain_set){.documents = documents, .vocab_size = 300, .has_mask = has_mask};
    for (int64_t d = 0; d < documents; d++) {
        s->lengths[d] = 1 + (int64_t)ae_rng_below(&rng, (uint64_t)longest);
        s->n += s->lengths[d];
    }
    cr_assert_leq(s->n, SET_TOKENS);
    for (int64_t i = 0; i < s->n; i++) {
        s->ids[i] = (int32_t)ae_rng_below(&rng, 300);
        s->mask[i] = has_mask ? ae_rng_below(&rng, 3) > 0 : 1;
    }
}

static inline void set_write(const plain_set *s, const char *path) {
    ae_token_writer *w = NULL;
    const ae_token_set_info info = {.vocab_size = s->vocab_size, .has_mask = s->has_mask};
    cr_assert_eq(ae_token_writer_open(&w, path, &info), AE_OK, "%s", ae_error_message());
    int64_t at = 0;
    for (int64_t d = 0; d < s->documents; d++) {
        const uint8_t *mask = s->has_mask ? s->mask + at : NULL;
        cr_assert_eq(ae_token_writer_add(w, s->ids + at, mask, s->lengths[d], 3 * s->lengths[d]), AE_OK, "%s",
                     ae_error_message());
        at += s->lengths[d];
    }
    cr_assert_eq(ae_token_writer_finish(w, "{}"), AE_OK, "%s", ae_error_message());
}

static inline ae_token_set *set_open(const char *path) {
    ae_token_set *s = NULL;
    cr_assert_eq(ae_token_set_open(&s, path), AE_OK, "%s", ae_error_message());
    return s;
}

static inline uint64_t set_hash(ae_token_set *s) {
    uint64_t hash = 0;
    cr_assert_eq(ae_token_set_hash(s, &hash), AE_OK, "%s", ae_error_message());
    return hash;
}

/* Written and opened in one go. */
static inline ae_token_set *set_make(const plain_set *s, const char *name) {
    const char *path = scratch_path(name);
    set_write(s, path);
    return set_open(path);
}

#endif
