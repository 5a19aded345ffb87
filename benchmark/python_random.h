#ifndef AE_BENCHMARK_PYTHON_RANDOM_H
#define AE_BENCHMARK_PYTHON_RANDOM_H
#include <stddef.h>
#include <stdint.h>

/* The numbers of Python's `random.Random(seed)`, so that few-shot examples are the ones that lm-eval draws: the
 * Mersenne Twister MT19937 (Matsumoto and Nishimura 1998) seeded by its init_by_array, and the selection of
 * `Random.sample`. */
typedef struct {
    uint32_t state[624];
    int next;
} ae_python_random;

void ae_python_random_seed(ae_python_random *r, uint32_t seed);
/* 32 random bits. */
uint32_t ae_python_random_bits(ae_python_random *r);
/* k different places out of n > 0, k <= n, in the order of `random.sample(range(n), k)`. `scratch` has room for n
 * places. */
void ae_python_random_sample(ae_python_random *r, size_t n, size_t k, size_t *places, size_t *scratch);

#endif
