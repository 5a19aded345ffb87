#ifndef AE_TESTS_REF_H
#define AE_TESTS_REF_H
#include <assert.h>
#include <complex.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#undef I /* a size here */

/* Nothing here is infinite: products of complex numbers need no repair of NaN. */
#if defined __GNUC__ && !defined __clang__
#pragma GCC optimize("cx-limited-range")
#endif

/* The naive references of every op, written from docs/model.md and the contracts in ops, as `ref_x` in double and as `cref_x` in
 * double complex. With an input x + i 1e-30 v the imaginary part of a result is 1e-30 times its derivative along v, exact to rounding
 * (Squire and Trapp 1998): no difference of nearly equal numbers is formed. So gradients are held to full precision.
 *
 * LIFT(x, f, df) is a function of one argument: its value f and its derivative df, both written in `re`, the real part of x. */

static inline double complex ref_complex(double real, double imaginary) {
    const union {
        double part[2];
        double complex whole;
    } both = {{real, imaginary}};
    return both.whole;
}

/* The place of the token before that at t of a row with these positions; below 0: not in the row. */
static inline ptrdiff_t ref_before(const int32_t *positions, ptrdiff_t t) {
    ptrdiff_t s = t - 1;
    if (s < 0 || positions[t] == 0 || positions[t] == positions[s] + 1) return s;
    while (positions[s] != 0) s--;
    return s + positions[t] - 1;
}

/* The places that the query at t sees, backwards from t; how many. */
static inline ptrdiff_t ref_seen(ptrdiff_t *places, const int32_t *positions, ptrdiff_t t, ptrdiff_t W) {
    ptrdiff_t n = 0;
    while (t >= 0 && (W < 0 || n <= W)) {
        places[n++] = t;
        if (positions[t] == 0) break;
        t = ref_before(positions, t);
    }
    return n;
}

#define REAL    double
#define NAME(x) ref_##x
#define LIFT(x, f, df)                                                                                       \
    const double re = (x);                                                                                   \
    return (f)
#include "tests/ref/all.inc"
#undef REAL
#undef NAME
#undef LIFT

#define REAL    double complex
#define NAME(x) cref_##x
#define LIFT(x, f, df)                                                                                       \
    const double re = creal(x);                                                                              \
    return ref_complex((f), cimag(x) * (df))
#include "tests/ref/all.inc"
#undef REAL
#undef NAME
#undef LIFT

#endif
