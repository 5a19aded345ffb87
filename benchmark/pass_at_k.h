#ifndef AE_BENCHMARK_PASS_AT_K_H
#define AE_BENCHMARK_PASS_AT_K_H
#include <stdint.h>

/* pass@k of one problem: the chance that of k answers, drawn without replacement from n of which c are right, one is
 * right at least,
 *
 *     1 - C(n - c, k) / C(n, k) = 1 - product over i = n - c + 1 ... n of (1 - k / i),
 *
 * the estimator without bias of Chen et al. 2021 (arXiv:2107.03374), section 2.1. 0 <= c <= n, 1 <= k; NaN for n < k,
 * where there is none. */
double ae_pass_at_k(int64_t n, int64_t c, int64_t k);

#endif
