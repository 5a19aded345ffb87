#ifndef AE_TESTS_DATA_TEXT_H
#define AE_TESTS_DATA_TEXT_H
#include "core/rng.h"
#include "tests/core/scratch.h"

#include <zlib.h>

/* Growing text, and lines of made-up words that repeat often enough to be worth pieces. */
typedef struct {
    char *s;
    size_t n, capacity;
} text_buffer;

static inline void text_add(text_buffer *t, const char *s, size_t n) {
    if (t->n + n + 1 > t->capacity) {
        t->capacity = 2 * (t->n + n) + 4096;
        t->s = realloc(t->s, t->capacity);
        cr_assert_not_null(t->s);
    }
    memcpy(t->s + t->n, s, n);
    t->n += n;
    t->s[t->n] = '\0';
}

static inline void text_add_word(text_buffer *t, ae_rng *rng) {
    static const char *const syllables[] = {"ka", "lo", "mir",  "the",       "ran",
                                            "us", "el", "wood", "\xC3\xA9t", "qu"};
    const uint64_t kind = ae_rng_below(rng, 40);
    if (kind == 0) {
        text_add(t, "1987", 4);
        return;
    }
    for (uint64_t k = 1 + ae_rng_below(rng, 3); k > 0; k--) {
        const uint64_t i = ae_rng_below(rng, ae_rng_below(rng, 10) + 1);
        text_add(t, syllables[i], strlen(syllables[i]));
    }
}

/* Lines of up to 12 words; paragraphs, indents, tabs and runs of spaces now and then. */
static inline void text_add_lines(text_buffer *t, ae_rng *rng, int lines) {
    for (int l = 0; l < lines; l++) {
        if (ae_rng_below(rng, 5) == 0) text_add(t, "    ", 4);
        if (ae_rng_below(rng, 30) == 0) text_add(t, "\t", 1);
        for (uint64_t w = ae_rng_below(rng, 12); w > 0; w--) {
            text_add_word(t, rng);
            if (w > 1) text_add(t, "  ", ae_rng_below(rng, 20) ? 1 : 2);
        }
        text_add(t, ".\n\n", ae_rng_below(rng, 4) ? 2 : 3);
    }
}

static inline text_buffer text_make(uint64_t seed, int lines) {
    text_buffer t = {0};
    ae_rng rng = ae_rng_make(seed, 1);
    text_add_lines(&t, &rng, lines);
    return t;
}

static inline const char *write_gz(const char *name, const char *bytes, size_t n) {
    const char *path = scratch_path(name);
    gzFile f = gzopen(path, "wb");
    cr_assert_not_null(f);
    cr_assert_eq(gzwrite(f, bytes, (unsigned)n), (int)n);
    cr_assert_eq(gzclose(f), Z_OK);
    return path;
}

#endif
