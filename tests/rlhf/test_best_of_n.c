#include "core/rng.h"
#include "rlhf/best_of_n.h"

#include <criterion/criterion.h>
#include <math.h>

enum { ANSWERS = 7, DRAWN = 9 };

/* A random law, and rewards with ties. */
static void make_law(uint64_t seed, double p[ANSWERS], double r[ANSWERS]) {
    ae_rng rng = ae_rng_make(seed, 0);
    double sum = 0;
    for (int i = 0; i < ANSWERS; i++) {
        r[i] = (double)ae_rng_below(&rng, 4);
        sum += p[i] = ae_rng_uniform(&rng);
    }
    for (int i = 0; i < ANSWERS; i++) p[i] /= sum;
}

/* All tuples of N draws, each of which keeps its first best. */
static void brute_law(double *law, const double *p, const double *r, int N) {
    int drawn[5] = {0};
    for (int i = 0; i < ANSWERS; i++) law[i] = 0;
    for (;;) {
        double weight = 1, rewards[5];
        for (int k = 0; k < N; k++) {
            weight *= p[drawn[k]];
            rewards[k] = r[drawn[k]];
        }
        law[drawn[ae_first_best(rewards, N)]] += weight;
        int place = 0;
        while (place < N && ++drawn[place] == ANSWERS) drawn[place++] = 0;
        if (place == N) return;
    }
}

Test(best_of_n, law_is_that_of_all_tuples) {
    double p[ANSWERS], r[ANSWERS], law[ANSWERS], expected[ANSWERS];
    for (uint64_t seed = 0; seed < 8; seed++)
        for (int N = 1; N <= 5; N++) {
            double sum = 0;
            make_law(seed, p, r);
            ae_best_of_n_law(law, p, r, ANSWERS, N);
            brute_law(expected, p, r, N);
            for (int i = 0; i < ANSWERS; i++) {
                cr_expect_float_eq(law[i], expected[i], 1e-13, "N = %d, answer %d", N, i);
                sum += law[i];
            }
            cr_expect_float_eq(sum, 1, 1e-14);
        }
}

Test(best_of_n, law_of_impossible_answers_is_nothing) {
    const double p[4] = {0.5, 0, 0.5, 0}, r[4] = {0, 1, 2, 3};
    double law[4];
    ae_best_of_n_law(law, p, r, 4, 3);
    cr_expect_eq(law[0], 0.125);
    cr_expect_eq(law[1], 0);
    cr_expect_eq(law[2], 0.875);
    cr_expect_eq(law[3], 0);
}

static double divergence(const double *law, const double *p, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        if (law[i] > 0) sum += law[i] * log(law[i] / p[i]);
    return sum;
}

Test(best_of_n, divergence_is_below_the_bound_and_meets_it_for_many_answers) {
    enum { MANY = 2000 };
    static double even[MANY], rewards[MANY], kept[MANY];
    double p[ANSWERS], r[ANSWERS], law[ANSWERS];
    for (int i = 0; i < MANY; i++) {
        even[i] = 1.0 / MANY;
        rewards[i] = i;
    }
    for (int N = 1; N <= 64; N *= 2) {
        const double bound = ae_best_of_n_kl_bound(N);
        for (uint64_t seed = 0; seed < 8; seed++) {
            make_law(seed, p, r);
            ae_best_of_n_law(law, p, r, ANSWERS, N);
            cr_expect(divergence(law, p, ANSWERS) <= bound + 1e-14, "N = %d", N);
        }
        ae_best_of_n_law(kept, even, rewards, MANY, N);
        cr_expect(divergence(kept, even, MANY) <= bound + 1e-12, "N = %d", N);
        cr_expect_float_eq(divergence(kept, even, MANY), bound, 1e-3, "N = %d", N);
    }
    cr_expect_eq(ae_best_of_n_kl_bound(1), 0);
}

/* The mean of the best over all subsets of N of the drawn rewards. */
static double brute_expected_best(const double *sorted, int n, int N) {
    double sum = 0;
    int subsets = 0;
    for (int chosen = 0; chosen < 1 << n; chosen++) {
        double best = -INFINITY;
        if (__builtin_popcount((unsigned)chosen) != N) continue;
        for (int i = 0; i < n; i++)
            if (chosen >> i & 1) best = fmax(best, sorted[i]);
        sum += best;
        subsets++;
    }
    return sum / subsets;
}

Test(best_of_n, expected_best_is_the_mean_over_all_subsets) {
    double sorted[DRAWN];
    ae_rng rng = ae_rng_make(3, 0);
    sorted[0] = -1;
    for (int i = 1; i < DRAWN; i++) sorted[i] = sorted[i - 1] + (i % 3 == 0 ? 0 : ae_rng_uniform(&rng));
    for (int n = 1; n <= DRAWN; n++)
        for (int N = 1; N <= n; N++)
            cr_expect_float_eq(ae_expected_best(sorted, n, N), brute_expected_best(sorted, n, N), 1e-14,
                               "%d of %d", N, n);
    cr_expect_eq(ae_expected_best(sorted, DRAWN, DRAWN), sorted[DRAWN - 1]);
}

Test(best_of_n, first_of_the_highest_is_kept) {
    const double r[5] = {1, 3, 2, 3, 0};
    cr_expect_eq(ae_first_best(r, 5), 1);
    cr_expect_eq(ae_first_best(r, 1), 0);
    cr_expect_eq(ae_first_best(r, 0), -1);
}
