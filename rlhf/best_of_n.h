#ifndef AE_RLHF_BEST_OF_N_H
#define AE_RLHF_BEST_OF_N_H
#include <stddef.h>
#include <stdint.h>

/* Best-of-N: draw N answers, keep the one of the highest reward, the first drawn among equals. */

/* The place of the first of the highest values; -1 of none. */
ptrdiff_t ae_first_best(const double *rewards, ptrdiff_t n);

/* The law of the kept answer, over all n answers of a law whose probabilities are `reference`:
 *   law = reference (L^N - l^N) / (L - l)
 * L, l: the chances that a draw has no higher, has a lower reward. law is not reference. */
void ae_best_of_n_law(double *law, const double *reference, const double *rewards, ptrdiff_t n, int64_t N);

/* KL(best-of-N || reference) is at most ln N - (N - 1) / N, in nats (2401.01879); equal for a continuous
 * reward. */
double ae_best_of_n_kl_bound(int64_t N);

/* The mean reward of the best of N among n >= N answers, over all choices of N of them: the unbiased estimate
 * sum_i r_(i) C(i - 1, N - 1) / C(n, N) (2107.03374). `sorted`: upwards. */
double ae_expected_best(const double *sorted, ptrdiff_t n, int64_t N);

#endif
