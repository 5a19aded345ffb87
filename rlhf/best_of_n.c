#include "rlhf/best_of_n.h"

#include <assert.h>
#include <math.h>

ptrdiff_t ae_first_best(const double *rewards, ptrdiff_t n) {
    ptrdiff_t best = n > 0 ? 0 : -1;
    for (ptrdiff_t i = 1; i < n; i++)
        if (rewards[i] > rewards[best]) best = i;
    return best;
}

/* (L^N - l^N) / (L - l) as sum_j L^j l^(N-1-j), which holds for L = l and cancels nothing. */
static double divided_difference(double L, double l, int64_t N) {
    double sum = 0, of_l = 1;
    for (int64_t j = 0; j < N; j++) {
        sum = sum * L + of_l;
        of_l *= l;
    }
    return sum;
}

void ae_best_of_n_law(double *law, const double *reference, const double *rewards, ptrdiff_t n, int64_t N) {
    assert(N >= 1 && law != reference);
    for (ptrdiff_t i = 0; i < n; i++) {
        double L = 0, l = 0;
        for (ptrdiff_t j = 0; j < n; j++) {
            if (rewards[j] <= rewards[i]) L += reference[j];
            if (rewards[j] < rewards[i]) l += reference[j];
        }
        law[i] = reference[i] * divided_difference(L, l, N);
    }
}

double ae_best_of_n_kl_bound(int64_t N) {
    return log((double)N) - (double)(N - 1) / (double)N;
}

/* The weight of the highest is N / n; of the one below that of i, weight (i - N) / (i - 1). */
double ae_expected_best(const double *sorted, ptrdiff_t n, int64_t N) {
    assert(N >= 1 && n >= N);
    double weight = (double)N / (double)n, sum = 0;
    for (ptrdiff_t i = n; i >= N; i--) {
        sum += weight * sorted[i - 1];
        weight *= (double)(i - N) / (double)(i > 1 ? i - 1 : 1);
    }
    return sum;
}
