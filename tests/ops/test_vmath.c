#include "core/machine.h"
#include "ops/cpu/vmath_probe.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* One float in so many is tried; the sanitizers are slow. */
#ifdef __SANITIZE_ADDRESS__
enum { STRIDE = 40009 };
#else
enum { STRIDE = 1009 };
#endif

typedef void probe(int which, float *y, const float *x, ptrdiff_t n);

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

/* Relative errors in units of 2^-24: of 2^-16 and of 2^-13.8. */
#define RELATIVE_EXP_SHORT     256
#define RELATIVE_SIGMOID_SHORT 1177

/* Units in the last place of the result allowed over [from, to], all of float32 inside it. */
static const struct {
    int which;
    const char *name;
    double (*exact)(double);
    float from, to;
    double ulps;
} bounds[] = {
    {AE_VMATH_EXP, "exp", exp, -INFINITY, INFINITY, 1.1},
    {AE_VMATH_EXPM1_NEG, "expm1", expm1, -INFINITY, -0.0f, 2},
    {AE_VMATH_SIGMOID, "sigmoid", sigmoid, -87, INFINITY, 2.5},
    {AE_VMATH_TANH, "tanh", tanh, -INFINITY, INFINITY, 3},
    {AE_VMATH_EXP_SHORT, "short exp", exp, -INFINITY, INFINITY, RELATIVE_EXP_SHORT},
    {AE_VMATH_SIGMOID_SHORT, "short sigmoid", sigmoid, -87, INFINITY, RELATIVE_SIGMOID_SHORT},
};

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The distance of neighbours at |x|; that of the smallest normal numbers below them. */
static double ulp(double x) {
    int exponent;
    (void)frexp(x, &exponent);
    return ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

static double error_ulps(float got, double want) {
    if (fabs(want) > 3.4028235677973366e38) return isinf(got) && (got > 0) == (want > 0) ? 0 : INFINITY;
    return fabs((double)got - want) / ulp(want);
}

enum { BATCH = 1000 };

static void expect_batch(probe *run, size_t f, const float *x, ptrdiff_t n) {
    float y[BATCH];
    run(bounds[f].which, y, x, n);
    double worst = 0;
    ptrdiff_t at = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double error = error_ulps(y[i], bounds[f].exact((double)x[i]));
        if (!(error <= worst)) worst = error, at = i;
        if (isnan(error)) break;
    }
    cr_assert(worst <= bounds[f].ulps, "%s(%.9g) is %.9g, expected %.9g: %.2f ulp, allowed %.2f",
              bounds[f].name, (double)x[at], (double)y[at], bounds[f].exact((double)x[at]), worst,
              bounds[f].ulps);
}

/* Both signs, from 0 to infinity. */
static void expect_range(probe *run, size_t f) {
    float x[BATCH];
    ptrdiff_t n = 0;
    for (uint64_t bits = 0; bits <= 0x7f800000u; bits += STRIDE)
        for (uint32_t sign = 0; sign < 2; sign++) {
            const float v = float_of((uint32_t)bits | sign << 31);
            if (!(v >= bounds[f].from && v <= bounds[f].to)) continue;
            x[n++] = v;
            if (n == BATCH) {
                expect_batch(run, f, x, n);
                n = 0;
            }
        }
    expect_batch(run, f, x, n);
}

static void expect_special_values(probe *run) {
    static const struct {
        int which;
        float x, want;
    } cases[] = {
        {AE_VMATH_EXP, 0, 1},
        {AE_VMATH_EXP, -INFINITY, 0},
        {AE_VMATH_EXP, INFINITY, INFINITY},
        {AE_VMATH_EXP, -1000, 0},
        {AE_VMATH_EXPM1_NEG, 0, 0},
        {AE_VMATH_EXPM1_NEG, -INFINITY, -1},
        {AE_VMATH_EXPM1_NEG, -1e-30f, -1e-30f},
        {AE_VMATH_SIGMOID, 0, 0.5f},
        {AE_VMATH_SIGMOID, -INFINITY, 0},
        {AE_VMATH_SIGMOID, -1e4f, 0},
        {AE_VMATH_SIGMOID, INFINITY, 1},
        {AE_VMATH_EXP_SHORT, 0, 1},
        {AE_VMATH_EXP_SHORT, -INFINITY, 0},
        {AE_VMATH_EXP_SHORT, INFINITY, INFINITY},
        {AE_VMATH_EXP_SHORT, -1000, 0},
        {AE_VMATH_EXP_SHORT, 1e30f, INFINITY},
        {AE_VMATH_SIGMOID_SHORT, 0, 0.5f},
        {AE_VMATH_SIGMOID_SHORT, -INFINITY, 0},
        {AE_VMATH_SIGMOID_SHORT, -1e4f, 0},
        {AE_VMATH_SIGMOID_SHORT, INFINITY, 1},
        {AE_VMATH_TANH, 0, 0},
        {AE_VMATH_TANH, 1e-30f, 1e-30f},
        {AE_VMATH_TANH, -INFINITY, -1},
        {AE_VMATH_TANH, INFINITY, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float y[2] = {0, -7};
        run(cases[i].which, y, &cases[i].x, 1);
        cr_assert(y[0] == cases[i].want, "function %d of %g is %g, expected %g", cases[i].which,
                  (double)cases[i].x, (double)y[0], (double)cases[i].want);
        cr_assert(y[1] == -7, "written past the end");
    }
}

static void expect_nan_stays(probe *run) {
    for (int which = AE_VMATH_EXP; which < AE_VMATH_FUNCTIONS; which++)
        for (ptrdiff_t n = 1; n <= 33; n++) {
            float x[33], y[33];
            for (ptrdiff_t i = 0; i < n; i++) x[i] = -0.5f;
            x[n - 1] = NAN;
            run(which, y, x, n);
            cr_assert(isnan(y[n - 1]), "function %d of NaN is %g", which, (double)y[n - 1]);
            for (ptrdiff_t i = 0; i + 1 < n; i++) cr_assert(isfinite(y[i]));
        }
}

static void expect_all(probe *run) {
    for (size_t f = 0; f < sizeof bounds / sizeof *bounds; f++) expect_range(run, f);
    expect_special_values(run);
    expect_nan_stays(run);
}

Test(vmath, avx2) {
    expect_all(ae_cpu_vmath_probe_avx2);
}

Test(vmath, avx512) {
    if (ae_isa_pick() < AE_ISA_AVX512) cr_skip_test("this machine has no AVX-512");
    expect_all(ae_cpu_vmath_probe_avx512);
}
