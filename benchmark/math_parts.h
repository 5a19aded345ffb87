#ifndef AE_BENCHMARK_MATH_PARTS_H
#define AE_BENCHMARK_MATH_PARTS_H
#include <stdbool.h>
#include <stddef.h>

/* Between the files of math_answer.h. */

/* The end of the group that begins with the brace at `at`, behind its closing brace; NULL where it does not close. */
const char *ae_math_group_end(const char *at);
/* Whether two normal forms, [n] and [m], are expressions of equal values. */
bool ae_math_values_equal(const char *a, size_t n, const char *b, size_t m);

#endif
