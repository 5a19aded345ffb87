#include "core/rng.h"
#include "judge/strength.h"

#include <criterion/criterion.h>
#include <math.h>

enum { MODELS = 3 };

Test(strength, two_models_by_hand) {
    const double wins[4] = {0, 7.5, 2.5, 0};
    double b[2];
    cr_assert(ae_strengths_fit(b, wins, 2));
    cr_assert_float_eq(b[0] - b[1], log(3), 1e-8);
    cr_assert_float_eq(b[0] + b[1], 0, 1e-12);
}

/* Strengths 1, 2, 4, and each pair has exactly the wins to be expected: 1 of 3, 1 of 3, 1 of 5. */
Test(strength, three_models_by_hand) {
    const double wins[9] = {0, 1, 1, 2, 0, 1, 4, 2, 0};
    double b[MODELS];
    cr_assert(ae_strengths_fit(b, wins, MODELS));
    cr_assert_float_eq(b[0], -log(2), 1e-7);
    cr_assert_float_eq(b[1], 0, 1e-7);
    cr_assert_float_eq(b[2], log(2), 1e-7);
}

/* The maximum is where each model has won as often as its strengths say. */
Test(strength, wins_are_those_expected) {
    const double wins[9] = {0, 11, 3.5, 4, 0, 8, 9.5, 6, 0};
    double b[MODELS];
    cr_assert(ae_strengths_fit(b, wins, MODELS));
    for (int i = 0; i < MODELS; i++) {
        double won = 0, expected = 0;
        for (int j = 0; j < MODELS; j++) {
            if (i == j) continue;
            won += wins[i * MODELS + j];
            expected += (wins[i * MODELS + j] + wins[j * MODELS + i]) / (1 + exp(b[j] - b[i]));
        }
        cr_assert_float_eq(won, expected, 1e-6);
    }
}

/* A model that never lost has no finite strength. */
Test(strength, no_maximum) {
    const double wins[9] = {0, 3, 2, 0, 0, 4, 0, 5, 0};
    double b[MODELS];
    cr_assert(!ae_strengths_fit(b, wins, MODELS));
    cr_assert(isnan(b[0]) && isnan(b[2]));
}

static ptrdiff_t simulate(ae_duel *duels, ae_rng *rng, ptrdiff_t prompts, const double *truth) {
    ptrdiff_t n = 0;
    for (ptrdiff_t u = 0; u < prompts; u++)
        for (int a = 0; a < MODELS; a++)
            for (int b = a + 1; b < MODELS; b++) {
                const bool won = ae_rng_uniform(rng) < 1 / (1 + exp(truth[b] - truth[a]));
                duels[n++] = (ae_duel){u, a, b, won};
            }
    return n;
}

Test(strength, intervals_cover) {
    enum { STUDIES = 1000, PROMPTS = 60 };
    static ae_duel duels[PROMPTS * MODELS];
    const double truth[MODELS] = {-0.5, 0, 0.5};
    ae_rng rng = ae_rng_make(8, 1);
    int hits = 0;
    for (int i = 0; i < STUDIES; i++) {
        ae_estimate e[MODELS];
        const ptrdiff_t n = simulate(duels, &rng, PROMPTS, truth);
        cr_assert_eq(ae_strengths(e, duels, n, MODELS), AE_OK);
        for (int k = 0; k < MODELS; k++) hits += e[k].low <= truth[k] && truth[k] <= e[k].high;
    }
    cr_log_info("%d of %d", hits, STUDIES * MODELS);
    cr_assert(hits >= 0.93 * STUDIES * MODELS && hits <= 0.97 * STUDIES * MODELS, "%d of %d", hits,
              STUDIES * MODELS);
}

/* A pair that nobody judged leaves the others comparable through the third model. */
Test(strength, a_missing_pair) {
    const ae_duel duels[] = {{0, 0, 1, 1},   {0, 1, 2, 1}, {1, 0, 1, 0},
                             {1, 1, 2, 0.5}, {2, 0, 1, 1}, {2, 1, 2, 1}};
    ae_estimate e[MODELS];
    cr_assert_eq(ae_strengths(e, duels, 6, MODELS), AE_OK);
    cr_assert_float_eq(e[0].value - e[1].value, log(2), 1e-7);
    cr_assert_float_eq(e[1].value - e[2].value, log(5), 1e-7);
    cr_assert_eq(ae_strengths(e, duels, 0, MODELS), AE_OK);
    cr_assert(isnan(e[0].value));
}
