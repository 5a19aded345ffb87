#ifndef AE_BENCHMARK_RECALL_H
#define AE_BENCHMARK_RECALL_H
#include <stddef.h>
#include <stdint.h>

/* Answers of which the tokens count: "12 7 341" and, behind a line end, their text. The caller frees it; NULL: no
 * memory. */
char *ae_recall_text(const int32_t *ids, ptrdiff_t n, const char *text, size_t n_text);

/* Insertions, deletions and exchanges of tokens that make the first line of such an answer of `ids` [n] (Levenshtein).
 * Negative: no memory. */
ptrdiff_t ae_recall_distance(const char *answer, const int32_t *ids, ptrdiff_t n);

#endif
