#ifndef AE_RLHF_RULE_TEXT_H
#define AE_RLHF_RULE_TEXT_H
#include <stdbool.h>
#include <stddef.h>

/* What rules look for in texts. Texts are UTF-8. */

/* The last number of a text, or the first one. Commas between groups of three digits belong to it, as do a "-" or
 * U+2212 before it (also before a currency sign, and not after a letter, a digit or ")"), decimals and an exponent; a
 * full stop at the end of a sentence does not. Digits that follow an ASCII letter or "_" are part of a name, and no
 * number. Where "####" marks the result, as in GSM8K, the last number is the first one after the last mark. False where
 * there is none. */
bool ae_number_in(const char *s, size_t n, bool last, double *x);

/* Lower case, in place: Latin, Greek and Cyrillic letters below U+0530. No text changes its length. */
void ae_fold_case(char *s, size_t n);

/* Whether `word`, which may be several, stands in `s` with no letter or digit directly before or after it. */
bool ae_word_in(const char *s, size_t n, const char *word, size_t word_bytes);

#endif
