#include "tests/ops/rig.h"

static const ptrdiff_t sizes[] = {1, 7, 8192, 8193, 100000};

/* The sum as it stands on the device, where `before` stood. */
static double squares_after(rig *r, double before, const rig_array *x, ptrdiff_t n) {
    void *sum = rig_device(r, sizeof before);
    r->be.upload(&r->be, sum, &before, sizeof before);
    r->be.sum_squares(&r->be, sum, x->dev, n);
    r->be.download(&r->be, &before, sum, sizeof before);
    return before;
}

ON_EVERY_BACKEND(sums, sum_of_squares_is_exact_and_independent_of_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        rig_next(r, "n %td", sizes[i]);
        const rig_array x = rig_normal(r, 100, sizes[i]);
        double want = 0, first = 0;
        for (ptrdiff_t j = 0; j < x.n; j++) want += x.d[j] * x.d[j];
        for (int threads = 1; threads <= 3; threads++) {
            ae_backend_set_threads(&r->be, threads);
            const double got = squares_after(r, 0, &x, x.n);
            if (threads == 1) first = got;
            cr_assert(got == first, "%s: %s: %.17g with %d threads, %.17g with 1", r->label, r->where, got,
                      threads, first);
            cr_assert(fabs(got - want) <= 1e-12 * want, "%s: %s: %.17g, expected %.17g", r->label, r->where,
                      got, want);
        }
    }
}

/* Guards rely on it: what is not finite shows, and large values do not overflow. */
ON_EVERY_BACKEND(sums, sum_of_squares_shows_what_is_not_finite) {
    rig_next(r, "not finite");
    rig_array x = rig_normal(r, 1, 1000);
    x.x[777] = 1e30f;
    rig_write(r, &x);
    const double large = squares_after(r, 0, &x, x.n);
    cr_assert(fabs(large / 1e60 - 1) < 1e-6, "%s: %g", r->label, large);
    x.x[777] = NAN;
    rig_write(r, &x);
    cr_assert(isnan(squares_after(r, 0, &x, x.n)));
    x.x[777] = INFINITY;
    rig_write(r, &x);
    cr_assert(isinf(squares_after(r, 0, &x, x.n)));
    cr_assert(squares_after(r, 3, &x, 0) == 3);
    x.x[777] = 0;
    rig_write(r, &x);
    const double alone = squares_after(r, 0, &x, x.n);
    cr_assert(squares_after(r, 0.5, &x, x.n) == 0.5 + alone, "sums are added to");
}

/* In the order of the elements, so to the bit; what a weight of 0 leaves out may be anything. */
ON_EVERY_BACKEND(sums, weighted_sum_is_that_of_the_host) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        rig_next(r, "n %td", sizes[i]);
        rig_array x = rig_normal(r, 100, sizes[i]), weights = rig_normal(r, 1, sizes[i]);
        for (ptrdiff_t j = 0; j < x.n; j += 3) weights.x[j] = 0, x.x[j] = NAN;
        rig_write(r, &x);
        rig_write(r, &weights);
        double want = 0, got = 5;
        for (ptrdiff_t j = 0; j < x.n; j++)
            if (j % 3 != 0) want += (double)weights.x[j] * (double)x.x[j];
        void *sum = rig_device(r, sizeof got);
        r->be.upload(&r->be, sum, &got, sizeof got);
        r->be.sum_weighted(&r->be, sum, x.dev, weights.dev, x.n);
        r->be.download(&r->be, &got, sum, sizeof got);
        cr_assert(got == 5 + want, "%s: %s: %.17g, expected %.17g", r->label, r->where, got, 5 + want);
    }
}
