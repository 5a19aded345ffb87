#include "benchmark/words.h"

#include "data/utf8.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>

/* ---- case ---- */

char *ae_words_lower(const char *text) {
    const size_t n = strlen(text);
    size_t bytes = 0;
    uint8_t *lower = u8_tolower((const uint8_t *)text, n, NULL, NULL, NULL, &bytes);
    char *out = lower ? strndup((const char *)lower, bytes) : n == 0 ? strdup("") : NULL;
    free(lower);
    return out;
}

/* ---- punctuation and counts ---- */

static bool is_punctuation(char c) {
    return c != '\0' && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) != NULL;
}

char *ae_words_without_punctuation(const char *text) {
    char *out = malloc(strlen(text) + 1), *to = out;
    if (!out) return NULL;
    for (; *text; text++)
        if (!is_punctuation(*text)) *to++ = *text;
    *to = '\0';
    return out;
}

size_t ae_words_characters(const char *text) {
    size_t n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

size_t ae_words_count(const char *text) {
    size_t n = strlen(text), pieces = 1, step;
    bool in_space = false;
    for (; n > 0; text += step, n -= step) {
        step = ae_text_space_bytes(text, n);
        if (step > 0 && !in_space) pieces++;
        in_space = step > 0;
        if (step == 0) step = 1;
    }
    return pieces;
}

/* ---- numbers ---- */

/* %g gives whole numbers with fewer digits than places an exponent, Python from 1e16 on. */
void ae_words_number(char out[AE_NUMBER_BYTES], double x) {
    int digits = 1;
    do snprintf(out, AE_NUMBER_BYTES - 2, "%.*g", digits, x);
    while (strtod(out, NULL) != x && ++digits <= 17); /* NOLINT: exactly */
    if (fabs(x) >= 1 && fabs(x) < 1e16 && strchr(out, 'e')) snprintf(out, AE_NUMBER_BYTES - 2, "%.17g", x);
    if (!strpbrk(out, ".en")) strcat(out, ".0");
}

/* ---- F1 ---- */

typedef struct {
    char *text;   /* changed: a NUL stands behind each word */
    char **words; /* into text */
    size_t n;
} word_list;

static void free_list(word_list *l) {
    free(l->text);
    free(l->words);
}

static bool is_article(const char *word) {
    return strcmp(word, "a") == 0 || strcmp(word, "an") == 0 || strcmp(word, "the") == 0;
}

static bool split(word_list *l, const char *text) {
    char *plain = ae_words_without_punctuation(text);
    *l = (word_list){.text = plain ? ae_words_lower(plain) : NULL};
    free(plain);
    if (!l->text) return false;
    l->words = malloc((strlen(l->text) + 1) * sizeof *l->words);
    if (!l->words) return false;
    size_t n = strlen(l->text), step;
    bool in_word = false;
    for (char *at = l->text; n > 0; at += step, n -= step) {
        step = ae_text_space_bytes(at, n);
        if (step > 0) *at = '\0';
        if (step == 0 && !in_word) l->words[l->n++] = at;
        in_word = step == 0;
        if (step == 0) step = 1;
    }
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++)
        if (!is_article(l->words[i])) l->words[kept++] = l->words[i];
    l->n = kept;
    return true;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t count_common(word_list *a, word_list *b) {
    size_t common = 0;
    qsort(a->words, a->n, sizeof *a->words, by_text);
    qsort(b->words, b->n, sizeof *b->words, by_text);
    for (size_t i = 0, j = 0; i < a->n && j < b->n;) {
        const int order = strcmp(a->words[i], b->words[j]);
        common += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    return common;
}

double ae_words_f1(const char *answer, const char *reference) {
    word_list a, b = {0};
    double f1 = -1;
    if (split(&a, answer) && split(&b, reference)) {
        const double common = (double)count_common(&a, &b);
        f1 = a.n == 0 || b.n == 0 ? (double)(a.n == b.n) : 2 * common / (double)(a.n + b.n);
    }
    free_list(&a);
    free_list(&b);
    return f1;
}
