#include "core/rng.h"
#include "judge/alpha.h"

#include <criterion/criterion.h>
#include <math.h>

enum { LEVELS = 5, RATERS = 4, UNITS = 12 };

/* Krippendorff (2011), section D: four observers, twelve units, missing ratings (0), alpha of ordinal data 0.815. */
static const int worked[RATERS][UNITS] = {{1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0},
                                          {1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3},
                                          {0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0},
                                          {1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0}};

static ae_estimate of(const int32_t *counts, ptrdiff_t units) {
    ae_estimate e;
    cr_assert_eq(ae_alpha_ordinal(&e, counts, units, LEVELS), AE_OK);
    return e;
}

Test(alpha, the_worked_example) {
    int32_t counts[UNITS][LEVELS] = {{0}};
    for (int r = 0; r < RATERS; r++)
        for (int u = 0; u < UNITS; u++)
            if (worked[r][u] > 0) counts[u][worked[r][u] - 1]++;
    const ae_estimate e = of(&counts[0][0], UNITS);
    cr_assert_float_eq(e.value, 0.815, 0.0005, "%.6f", e.value);
    cr_assert(e.low > 0.3 && e.low < e.value && e.high > e.value && e.high <= 1);
}

/* Two raters, 1 1 / 2 2 / 1 2: n_1 = n_2 = 3, d = 3, so that alpha = 1 - 5 (2 * 9) / (2 * 9 * 9). */
Test(alpha, by_hand) {
    const int32_t counts[3][LEVELS] = {{2}, {0, 2}, {1, 1}};
    cr_assert_float_eq(of(&counts[0][0], 3).value, 1 - 5.0 / 9, 1e-12);
}

Test(alpha, nothing_to_compare) {
    const int32_t same[2][LEVELS] = {{0, 3}, {0, 2}}, alone[2][LEVELS] = {{1}, {0, 0, 1}};
    cr_assert(isnan(of(&same[0][0], 2).value));
    cr_assert(isnan(of(&alone[0][0], 2).value) && isnan(of(&alone[0][0], 2).low));
    cr_assert(isnan(of(&alone[0][0], 0).value));
}

Test(alpha, all_agree_and_none_does) {
    enum { N = 2000 };
    static int32_t equal[N][LEVELS], random[N][LEVELS];
    ae_rng r = ae_rng_make(5, 6);
    for (int u = 0; u < N; u++) {
        equal[u][ae_rng_below(&r, LEVELS)] = 3;
        for (int k = 0; k < 3; k++) random[u][ae_rng_below(&r, LEVELS)]++;
    }
    cr_assert_float_eq(of(&equal[0][0], N).value, 1, 1e-12);
    const ae_estimate e = of(&random[0][0], N);
    cr_assert(fabs(e.value) < 0.05 && e.low < 0 && e.high > 0);
}
