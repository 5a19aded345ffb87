#include "core/rng.h"
#include "judge/ratio.h"

#include <criterion/criterion.h>
#include <math.h>

/* The RecurrentGemma report (arXiv 2404.07839), human evaluation of 2B against Mistral 7B v0.2 Instruct: rates of wins, ties and
 * losses, the win rate with ties as half, and its interval. The report gives about 1000 prompts of instructions and
 * 400 of safety and not the number of votes: the widths are those of 2130 and of 910 votes, some two for a prompt. */
Test(ratio, the_published_rates) {
    const struct {
        double win, tie, loss, votes, value, low, high;
    } rows[] = {{34.5, 18.3, 47.2, 2130, 43.7, 41.8, 45.6}, {47.5, 24.6, 27.9, 910, 59.8, 57.1, 62.6}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const ae_estimate e = ae_share_of_counts(rows[i].win, rows[i].tie, rows[i].loss, rows[i].votes);
        cr_assert_float_eq(100 * e.value, rows[i].value, 0.0501, "%.4f", 100 * e.value);
        cr_assert_float_eq(100 * e.low, rows[i].low, 0.0801, "%.4f", 100 * e.low);
        cr_assert_float_eq(100 * e.high, rows[i].high, 0.0801, "%.4f", 100 * e.high);
    }
}

/* One vote for each prompt: the sum over prompts is the closed form. */
Test(ratio, the_sum_is_the_closed_form) {
    ae_ratio r;
    cr_assert_eq(ae_ratio_init(&r, 100), AE_OK);
    for (int u = 0; u < 100; u++) ae_ratio_add(&r, u, u < 45 ? 1 : u < 65 ? 0.5 : 0);
    const ae_estimate sum = ae_ratio_normal(&r), form = ae_share_of_counts(45, 20, 35, 100);
    cr_assert_float_eq(sum.value, 0.55, 1e-12);
    cr_assert_float_eq(form.high - 0.55, 1.959964 * sqrt((0.45 + 0.05 - 0.3025) / 100), 1e-6);
    cr_assert_float_eq(sum.low, form.low, 1e-12);
    cr_assert_float_eq(sum.high, form.high, 1e-12);
    ae_ratio_free(&r);
}

/* Three raters who always agree know no more than one: the interval is that of the prompts, not of the votes. */
Test(ratio, raters_of_one_prompt_are_no_new_prompts) {
    ae_ratio one, three;
    ae_share share;
    cr_assert(ae_ratio_init(&one, 60) == AE_OK && ae_ratio_init(&three, 61) == AE_OK);
    for (int u = 0; u < 60; u++) {
        ae_ratio_add(&one, u, u % 3 == 0);
        for (int k = 0; k < 3; k++) ae_ratio_add(&three, u, u % 3 == 0); /* prompt 60 has no vote */
    }
    cr_assert_float_eq(ae_ratio_normal(&one).low, ae_ratio_normal(&three).low, 1e-12);
    cr_assert_eq(ae_ratio_share(&three, &share), AE_OK);
    cr_assert_float_eq(share.votes, 180, 1e-12);
    cr_assert_float_eq(share.resampled.value, share.normal.value, 1e-12);
    cr_assert_float_eq(share.resampled.low, share.normal.low, 0.02);
    cr_assert_float_eq(share.resampled.high, share.normal.high, 0.02);
    ae_ratio_free(&one);
    ae_ratio_free(&three);
}

/* Of 60 prompts none was lost: true rates under 0.025^(1/60) show that in less than 2.5 of 100 studies. */
Test(ratio, all_or_none) {
    ae_ratio r;
    cr_assert_eq(ae_ratio_init(&r, 61), AE_OK);
    for (int u = 0; u < 60; u++)
        for (int k = 0; k < 3; k++) ae_ratio_add(&r, u, 1);
    const ae_estimate all = ae_ratio_normal(&r), none = ae_share_of_counts(0, 0, 9, 60);
    cr_assert_float_eq(pow(all.low, 60), 0.025, 1e-9);
    cr_assert(all.value >= 1 && all.high >= 1 && none.low <= 0);
    cr_assert_float_eq(none.high, 1 - all.low, 1e-12);
    ae_ratio_free(&r);
}

Test(ratio, no_votes) {
    ae_ratio r;
    ae_share share;
    cr_assert_eq(ae_ratio_init(&r, 4), AE_OK);
    cr_assert_eq(ae_ratio_share(&r, &share), AE_OK);
    cr_assert(share.votes <= 0 && isnan(share.normal.value) && isnan(share.resampled.low));
    ae_ratio_free(&r);
}

/* Prompts differ: on each, a model wins with a chance of its own, and three raters judge it. */
static double simulate(ae_ratio *r, ae_rng *rng, int raters) {
    for (ptrdiff_t u = 0; u < r->units; u++) {
        const double win = 0.2 + 0.4 * ae_rng_uniform(rng); /* mean 0.4 */
        r->sums[u] = r->counts[u] = 0;
        for (int k = 0; k < raters; k++) {
            const double x = ae_rng_uniform(rng);
            ae_ratio_add(r, u, x < win ? 1 : x < win + 0.2 ? 0.5 : 0);
        }
    }
    return 0.5;
}

static bool holds(const ae_estimate *e, double truth) {
    return e->low <= truth && truth <= e->high;
}

/* Of 2000 simulated studies 93 to 97 % of the intervals hold the truth. */
Test(ratio, intervals_cover) {
    enum { STUDIES = 2000, PROMPTS = 60 };
    for (int raters = 1; raters <= 3; raters += 2) {
        ae_ratio r;
        ae_rng rng = ae_rng_make(7, (uint64_t)raters);
        int normal = 0, resampled = 0;
        cr_assert_eq(ae_ratio_init(&r, PROMPTS), AE_OK);
        for (int i = 0; i < STUDIES; i++) {
            ae_share share;
            const double truth = simulate(&r, &rng, raters);
            cr_assert_eq(ae_ratio_share(&r, &share), AE_OK);
            normal += holds(&share.normal, truth);
            resampled += holds(&share.resampled, truth);
        }
        cr_log_info("%d raters: %d and %d of %d", raters, normal, resampled, STUDIES);
        cr_assert(normal >= 0.93 * STUDIES && normal <= 0.97 * STUDIES, "normal: %d", normal);
        cr_assert(resampled >= 0.93 * STUDIES && resampled <= 0.97 * STUDIES, "bootstrap: %d", resampled);
        ae_ratio_free(&r);
    }
}
