#include "cli/plot.h"

#include <criterion/criterion.h>

static ae_curve line(size_t n, double slope) {
    ae_curve c = {0};
    for (size_t i = 0; i < n; i++) cr_assert_eq(ae_curve_add(&c, (double)i, 3 + slope * (double)i), AE_OK);
    return c;
}

Test(curves, thinning_keeps_means) {
    ae_curve c = line(1000, 2), few = line(7, 2);
    ae_curve_thin(&c, 10);
    cr_assert_eq(c.n, 10);
    for (size_t i = 0; i < 10; i++) {
        const double x = 100 * (double)i + 49.5;
        cr_assert_float_eq(c.points[i].x, x, 1e-9);
        cr_assert_float_eq(c.points[i].y, 3 + 2 * x, 1e-9);
    }
    ae_curve_thin(&few, 10);
    cr_assert_eq(few.n, 7);
    ae_curve_free(&c);
    ae_curve_free(&few);
}

Test(curves, smoothing_keeps_what_is_level_and_calms_what_wavers) {
    ae_curve level = line(50, 0), wavering = {0}, a = {0}, b = {0}, c = {0};
    for (int i = 0; i < 400; i++) cr_assert_eq(ae_curve_add(&wavering, i, i % 2 ? 2 : 0), AE_OK);
    cr_assert_eq(ae_curve_smooth(&a, &level, 10), AE_OK);
    for (size_t i = 0; i < a.n; i++) cr_assert_float_eq(a.points[i].y, 3, 1e-12);
    cr_assert_eq(ae_curve_smooth(&b, &wavering, 20), AE_OK);
    cr_assert_eq(b.n, wavering.n);
    for (size_t i = 200; i < b.n; i++) cr_assert_float_eq(b.points[i].y, 1, 0.06);
    cr_assert_eq(ae_curve_smooth(&c, &wavering, 1), AE_OK);
    cr_assert_arr_eq(c.points, wavering.points, c.n * sizeof *c.points);
    ae_curve_free(&level);
    ae_curve_free(&wavering);
    ae_curve_free(&a);
    ae_curve_free(&b);
    ae_curve_free(&c);
}
