#include "core/machine.h"
#include "model/logits.h"
#include "model/sweep.h"
#include "tests/model/random_logits.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* The sweeps over logits, which draws are made of: the same bits by all instructions, and as right as draws rely on. */

Test(logits, sweeps_give_the_same_bits_with_all_instructions) {
    enum { N = 83, GROUPS = 2 };
    const float low = -4, high = 5;
    const ae_logit_law law = ae_logit_law_of(40, 0.3);
    float x[N], picked[2][N + AE_LOGIT_SPARE], tops[2][GROUPS], some[2][GROUPS];
    double each[2][N], sums[2];
    if (ae_isa_pick() < AE_ISA_AVX512) cr_skip_test("no AVX-512");
    ae_rng r = ae_rng_make(23, 4);
    for (ptrdiff_t n = 1; n <= N; n++) {
        random_logits(x, N, 1, &r);
        x[n / 2] = n % 3 ? -INFINITY : NAN;
        sums[0] = ae_sweep_exp_sum_avx2(each[0], x, n, &law);
        sums[1] = ae_sweep_exp_sum_avx512(each[1], x, n, &law);
        cr_assert_eq(memcmp(&sums[0], &sums[1], sizeof *sums), 0);
        cr_assert_eq(memcmp(each[0], each[1], (size_t)n * sizeof *each[0]), 0);
        const ae_logit_split a = ae_sweep_split_avx2(picked[0], x, n, &law, low, high);
        const ae_logit_split b = ae_sweep_split_avx512(picked[1], x, n, &law, low, high);
        const double both[2][2] = {{a.above, a.below}, {b.above, b.below}};
        cr_assert_eq(memcmp(both[0], both[1], sizeof both[0]), 0);
        cr_assert_eq(a.between, b.between);
        cr_assert_eq(memcmp(picked[0], picked[1], (size_t)a.between * sizeof *picked[0]), 0);
        cr_assert_eq(a.between, ae_sweep_pick_avx2(picked[0], x, n, low, high));
        cr_assert_eq(a.between, ae_sweep_pick_avx512(picked[1], x, n, low, high));
        cr_assert_eq(memcmp(picked[0], picked[1], (size_t)a.between * sizeof *picked[0]), 0);
        const size_t groups = (size_t)(n + AE_LOGIT_GROUP - 1) / AE_LOGIT_GROUP;
        ae_sweep_tops_avx2(&(ae_logit_groups){tops[0], some[0], x, n}, 0, (ptrdiff_t)groups);
        ae_sweep_tops_avx512(&(ae_logit_groups){tops[1], some[1], x, n}, 0, (ptrdiff_t)groups);
        cr_assert_eq(memcmp(tops[0], tops[1], groups * sizeof(float)), 0);
        cr_assert_eq(memcmp(some[0], some[1], groups * sizeof(float)), 0);
        ptrdiff_t within = 0;
        double above = 0, below = 0;
        float top = -FLT_MAX;
        for (ptrdiff_t v = 0; v < n; v++) {
            const double want = exp(((double)ae_logit_usable(x[v]) - 40) * 0.3);
            cr_assert(fabs(each[0][v] - want) <= 0x1p-34 * want + 1e-300);
            if (x[v] >= low && x[v] <= high) cr_assert(picked[0][within++] == x[v]);
            if (x[v] > high) above += want;
            if (x[v] < low) below += want;
            if (x[v] > top) top = x[v];
        }
        cr_assert_eq(a.between, within);
        cr_assert(fabs(a.above - above) <= 0x1p-34 * above + 1e-300);
        cr_assert(fabs(a.below - below) <= 0x1p-34 * below + 1e-299);
        cr_assert(fmaxf(tops[0][0], tops[0][groups - 1]) == top);
    }
}

/* What the weights are right to, which `doubt` in model/lot.c relies on: also far from the top, and where the top is far from zero. */
Test(logits, weights_are_as_right_as_draws_rely_on) {
    enum { N = 4096 };
    static float x[N];
    static double each[N];
    static const double tops[] = {0, 3.7, -250, 30000}, scales[] = {1, 0.001, 1.25, 2};
    for (size_t t = 0; t < 4; t++)
        for (size_t s = 0; s < 4; s++) {
            const ae_logit_law law = ae_logit_law_of((double)(float)tops[t], scales[s]);
            for (int v = 0; v < N; v++) x[v] = (float)(tops[t] - 40.0 / scales[s] * v / (N - 1));
            (void)ae_logit_exp_sum(each, x, N, &law);
            for (int v = 0; v < N; v++) {
                const double want = exp(((double)x[v] - (double)(float)tops[t]) * scales[s]);
                cr_assert(fabs(each[v] - want) <= 0x1p-34 * want,
                          "top %g, scale %g, %d: %.17g, expected %.17g", tops[t], scales[s], v, each[v],
                          want);
            }
        }
}

/* Blocks of a row, whole and not, with logits of all kinds; the sums and the groups of other logits that are taken meanwhile. */
Test(logits, rough_splits_give_the_same_bits_with_all_instructions) {
    enum { N = 1024, GROUPS = N / AE_LOGIT_GROUP, SKIPPED = 4 };
    const float low = -4, high = 5;
    const ae_logit_rough_law law = ae_logit_rough_law_of(40, 0.3);
    static float x[N], other[SKIPPED * AE_LOGIT_GROUP + N], picked[2][N + AE_LOGIT_SPARE],
        want[N + AE_LOGIT_SPARE];
    float tops[3][SKIPPED + GROUPS], some[3][SKIPPED + GROUPS];
    const bool wide = ae_isa_pick() >= AE_ISA_AVX512;
    ae_rng r = ae_rng_make(26, 4);
    for (int round = 0; round < 60; round++) {
        const ptrdiff_t n = round < 30 ? N : 1 + (ptrdiff_t)ae_rng_below(&r, N),
                        m = SKIPPED * AE_LOGIT_GROUP + n;
        const size_t groups = (size_t)((m + AE_LOGIT_GROUP - 1) / AE_LOGIT_GROUP);
        random_logits(x, n, round % 5, &r);
        random_logits(other, m, round % 3, &r);
        x[n / 2] = other[m - 1] = round % 3 ? -INFINITY : NAN;
        memset(tops, 0, sizeof tops);
        memset(some, 0, sizeof some);
        ae_logit_split s[2];
        for (int isa = 0; isa < 1 + wide; isa++) {
            const ae_logit_groups also = {tops[isa], some[isa], other, m};
            s[isa] = (isa ? ae_sweep_rough_split_avx512
                          : ae_sweep_rough_split_avx2)(picked[isa], x, n, &law, low, high, &also, SKIPPED);
        }
        const ae_logit_groups alone = {tops[2], some[2], other, m};
        ae_sweep_tops_avx2(&alone, SKIPPED, (ptrdiff_t)groups);
        const ptrdiff_t between = ae_sweep_pick_avx2(want, x, n, low, high);
        double above = 0, below = 0;
        for (ptrdiff_t v = 0; v < n; v++) {
            above += x[v] > high ? exp(((double)x[v] - 40) * 0.3) : 0;
            below += x[v] < low ? exp(((double)ae_logit_usable(x[v]) - 40) * 0.3) : 0;
        }
        for (int isa = 0; isa < 1 + wide; isa++) {
            cr_assert(fabs(s[isa].above - above) <= AE_LOGIT_ROUGH * above + (double)n * 0x1p-100);
            cr_assert(fabs(s[isa].below - below) <= AE_LOGIT_ROUGH * below + (double)n * 0x1p-100);
            cr_assert_eq(s[isa].between, between);
            cr_assert_eq(memcmp(picked[isa], want, (size_t)between * sizeof *want), 0);
            cr_assert_eq(memcmp(tops[isa], tops[2], sizeof tops[2]), 0);
            cr_assert_eq(memcmp(some[isa], some[2], sizeof some[2]), 0);
        }
        const double sums[2][2] = {{s[0].above, s[0].below}, {s[wide].above, s[wide].below}};
        cr_assert_eq(memcmp(sums[0], sums[1], sizeof sums[0]), 0);
    }
}

/* What is left of AE_LOGIT_ROUGH for a single weight when the roundings of a sum, three of 2^-24, are taken off. */
Test(logits, rough_weights_are_as_right_as_draws_rely_on) {
    enum { N = 4096 };
    static const double tops[] = {0, 3.7, -250, 30000}, scales[] = {1, 0.001, 1.25, 2};
    float unused[1 + AE_LOGIT_SPARE];
    for (size_t t = 0; t < 4; t++)
        for (size_t s = 0; s < 4; s++) {
            const ae_logit_rough_law law = ae_logit_rough_law_of((double)(float)tops[t], scales[s]);
            for (int v = 0; v < N; v++) {
                const float x = (float)(tops[t] - 40.0 / scales[s] * v / (N - 1));
                const double want = exp(((double)x - (double)(float)tops[t]) * scales[s]);
                const ae_logit_split got =
                    ae_logit_rough_split_at(unused, &x, 1, &law, -FLT_MAX, -FLT_MAX, NULL, 0);
                cr_assert(fabs(got.above - want) <= (AE_LOGIT_ROUGH - 3 * 0x1p-24) * want,
                          "top %g, scale %g, %d: %.17g, expected %.17g", tops[t], scales[s], v, got.above,
                          want);
            }
        }
}
