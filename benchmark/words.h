#ifndef AE_BENCHMARK_WORDS_H
#define AE_BENCHMARK_WORDS_H
#include <stddef.h>

/* Texts as metrics look at them, as Python's functions of the same purpose do. What is returned is the caller's to
 * free; NULL: no memory. */

char *ae_words_lower(const char *text);
/* Without the punctuation of ASCII: string.punctuation. */
char *ae_words_without_punctuation(const char *text);
/* Characters of UTF-8. */
size_t ae_words_characters(const char *text);
/* Pieces between runs of white space, empty ones at the ends among them: len(re.split(r"\s+", text)). */
size_t ae_words_count(const char *text);

/* repr(x): the fewest digits that give a finite number back, with a point. */
enum { AE_NUMBER_BYTES = 32 };
void ae_words_number(char out[AE_NUMBER_BYTES], double x);

/* F1 of the words of two texts, in lower case, without punctuation and the articles a, an, the (Rajpurkar et al. 2016).
 * Negative: no memory. */
double ae_words_f1(const char *answer, const char *reference);

#endif
