#include "benchmark/classifier_parts.h"
#include "benchmark/words.h"
#include "data/hash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHORTEST = 3, LONGEST = 5, WORD_MAX = 64 };

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "classifier: out of memory");
}

ae_status ae_features_init(ae_features *f, int bits) {
    *f = (ae_features){.bits = bits, .counts = calloc((size_t)1 << bits, sizeof *f->counts)};
    return f->counts ? AE_OK : out_of_memory();
}

void ae_features_free(ae_features *f) {
    free(f->counts);
    free(f->places);
    free(f->x);
    *f = (ae_features){0};
}

/* Every place is in the list once; one whose counts have cancelled out may come again, and is found with 0. */
static bool note(ae_features *f, char kind, const char *bytes, size_t n) {
    const uint64_t h = ae_hash_mix(ae_fnv(ae_fnv(AE_FNV_START, &kind, 1), bytes, n), n);
    const uint32_t place = (uint32_t)(h & (((uint64_t)1 << f->bits) - 1));
    if (f->counts[place] == 0) {
        if (f->n == f->room) {
            const size_t room = 2 * f->room + 1024;
            uint32_t *places = realloc(f->places, room * sizeof *places);
            if (places) f->places = places;
            float *x = realloc(f->x, room * sizeof *x);
            if (x) f->x = x;
            if (!places || !x) return false;
            f->room = room;
        }
        f->places[f->n++] = place;
    }
    f->counts[place] += h >> 63 ? 1.0f : -1.0f;
    return true;
}

/* A byte of a word: letters, digits, ' and all that is not ASCII. */
static bool in_word(char c) {
    const unsigned char u = (unsigned char)c;
    return u >= 0x80 || (u >= 'a' && u <= 'z') || (u >= '0' && u <= '9') || u == '\'';
}

/* The next word behind *at, or a sign by itself; what is longer than WORD_MAX is cut there. */
static size_t next_word(const char **at) {
    while (**at && (unsigned char)**at <= ' ') (*at)++;
    size_t n = 0;
    while (n < WORD_MAX && in_word((*at)[n])) n++;
    return n > 0 ? n : **at != '\0';
}

static bool note_pieces(ae_features *f, const char *word, size_t n) {
    char framed[WORD_MAX + 2] = {' '};
    memcpy(framed + 1, word, n);
    framed[n + 1] = ' ';
    for (size_t k = SHORTEST; k <= LONGEST; k++)
        for (size_t i = 0; i + k <= n + 2; i++)
            if (!note(f, 'c', framed + i, k)) return false;
    return true;
}

static bool note_pair(ae_features *f, const char *first, size_t n, const char *second, size_t m) {
    char pair[2 * WORD_MAX + 1];
    memcpy(pair, first, n);
    pair[n] = ' ';
    memcpy(pair + n + 1, second, m);
    return note(f, 'p', pair, n + 1 + m);
}

static bool note_all(ae_features *f, const char *text) {
    const char *at = text, *before = NULL;
    size_t n_before = 0, n;
    while ((n = next_word(&at)) > 0) {
        if (!note(f, 'w', at, n) || !note_pieces(f, at, n)) return false;
        if (before && !note_pair(f, before, n_before, at, n)) return false;
        before = at;
        n_before = n;
        at += n;
    }
    return true;
}

/* Counts become x and are 0 again. */
static void scale(ae_features *f) {
    double squares = 0;
    for (size_t i = 0; i < f->n; i++) {
        float *c = &f->counts[f->places[i]];
        f->x[i] = *c == 0 ? 0 : copysignf(1 + logf(fabsf(*c)), *c);
        *c = 0;
        squares += (double)f->x[i] * (double)f->x[i];
    }
    for (size_t i = 0; i < f->n && squares > 0; i++) f->x[i] = (float)((double)f->x[i] / sqrt(squares));
}

ae_status ae_features_of(ae_features *f, const char *text) {
    char *lower = ae_words_lower(text);
    f->n = 0;
    const bool fine = lower && note_all(f, lower);
    scale(f);
    free(lower);
    return fine ? AE_OK : out_of_memory();
}
