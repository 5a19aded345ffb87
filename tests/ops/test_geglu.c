#include "tests/ops/rig.h"

/* In bfloat16 results are rounded by up to 2^-8, after functions that err by 2^-13. */
enum { FORWARD, BACKWARD };
static double tolerance(const rig *r, int of) {
    return rig_tolerance(r, of == FORWARD ? 2e-6 : 3e-6, 0x1.1p-8);
}
static const ptrdiff_t sizes[] = {1, 2, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40, 255, 257, 4099};

typedef struct {
    ptrdiff_t n;
    rig_array gate, up, y, dy, dgate, dup;
} pairs;

static pairs make(rig *r, ptrdiff_t n) {
    rig_next(r, "n %td", n);
    return (pairs){n,
                   rig_act_normal(r, 2, n),
                   rig_act_normal(r, 1, n),
                   rig_act_output(r, n),
                   rig_act_normal(r, 1, n),
                   rig_act_output(r, n),
                   rig_act_output(r, n)};
}

static double complex loss(void *context) {
    pairs *k = context;
    cref_geglu(k->y.c, k->gate.c, k->up.c, k->n);
    return rig_dot(k->dy.d, k->y.c, k->n);
}

static void forward(rig *r, void *context) {
    pairs *k = context;
    r->be.geglu_forward(&r->be, k->y.dev, k->gate.dev, k->up.dev, k->n);
}

static void backward(rig *r, void *context) {
    pairs *k = context;
    r->be.geglu_backward(&r->be, k->dgate.dev, k->dup.dev, k->y.dev, k->dy.dev, k->gate.dev, k->up.dev, k->n);
}

ON_EVERY_TYPE(geglu, forward_is_the_reference) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        pairs k = make(r, sizes[i]);
        forward(r, &k);
        ref_geglu(k.y.d, k.gate.d, k.up.d, k.n);
        rig_expect(r, "y", rig_read(r, &k.y), k.y.d, k.n, tolerance(r, FORWARD));
    }
}

ON_EVERY_TYPE(geglu, backward_is_the_complex_step) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        pairs k = make(r, sizes[i]);
        backward(r, &k);
        rig_expect_gradient(r, "dgate", rig_read(r, &k.dgate), &k.gate, loss, &k, tolerance(r, BACKWARD));
        rig_expect_gradient(r, "dup", rig_read(r, &k.dup), &k.up, loss, &k, tolerance(r, BACKWARD));
        ref_geglu(k.y.d, k.gate.d, k.up.d, k.n);
        rig_expect(r, "y again", rig_read(r, &k.y), k.y.d, k.n, tolerance(r, FORWARD));
    }
}

/* From where gelu is 0 to where it is x, and far beyond: no infinity times 0. */
ON_EVERY_TYPE(geglu, the_whole_range) {
    rig_next(r, "the whole range");
    enum { N = 4001, MIDDLE = 2000 };
    float *x = rig_host(r, N * sizeof *x), *one = rig_host(r, N * sizeof *one);
    for (int i = 0; i < N; i++) {
        x[i] = (float)(i - MIDDLE) * 0.01f;
        one[i] = 1;
    }
    x[0] = -1e12f;
    x[1] = -1e4f;
    x[N - 2] = 1e4f;
    x[N - 1] = 1e12f;
    pairs k = {N,
               rig_act_values(r, x, N),
               rig_act_values(r, one, N),
               rig_act_output(r, N),
               rig_act_values(r, one, N),
               rig_act_output(r, N),
               rig_act_output(r, N)};
    backward(r, &k);
    const float *y = rig_read(r, &k.y), *dgate = rig_read(r, &k.dgate);
    for (int i = 0; i < N; i++) {
        const double at = (double)k.gate.x[i], want = at < -100 ? 0 : at > 100 ? at : ref_gelu(at);
        const double slope = at < -100 ? 0 : at > 100 ? 1 : cimag(cref_gelu(ref_complex(at, 1e-30))) / 1e-30;
        cr_assert(fabs((double)y[i] - want) <= tolerance(r, FORWARD) * (1 + fabs(want)),
                  "%s: gelu(%g) is %g, expected %g", r->label, at, (double)y[i], want);
        cr_assert(fabs((double)dgate[i] - slope) <= tolerance(r, BACKWARD) * (1 + fabs(slope)),
                  "%s: gelu'(%g) is %g, expected %g", r->label, at, (double)dgate[i], slope);
    }
}

/* What the header allows to overlap gives the same bits. */
ON_EVERY_TYPE(geglu, overlaps_change_nothing) {
    enum { NONE, UP, DY };
    static const int overlaps[][3] = {{1, DY, UP},   {1, UP, DY},     {0, DY, UP},
                                      {0, UP, DY},   {1, NONE, NONE}, {1, NONE, UP},
                                      {0, NONE, DY}, {1, DY, NONE},   {0, UP, NONE}};
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (size_t o = 0; o < COUNT(overlaps); o++) {
            pairs k = make(r, sizes[i]);
            backward(r, &k);
            const float *dgate = rig_read(r, &k.dgate), *dup = rig_read(r, &k.dup), *y = rig_read(r, &k.y);
            void *others[] = {[NONE] = NULL, [UP] = k.up.dev, [DY] = k.dy.dev};
            if (overlaps[o][0]) k.dgate.dev = k.gate.dev;
            if (overlaps[o][1] != NONE) k.dup.dev = others[overlaps[o][1]];
            if (overlaps[o][2] != NONE) k.y.dev = others[overlaps[o][2]];
            backward(r, &k);
            rig_expect_bits(r, "dgate", rig_read(r, &k.dgate), dgate, k.n);
            rig_expect_bits(r, "dup", rig_read(r, &k.dup), dup, k.n);
            rig_expect_bits(r, "y", rig_read(r, &k.y), y, k.n);
        }
}

ON_EVERY_TYPE(geglu, bits_do_not_depend_on_threads) {
    static const ptrdiff_t wide[] = {1, 17, 4099, 100003};
    for (size_t i = 0; i < COUNT(wide); i++) {
        pairs k = make(r, wide[i]);
        rig_expect_same_on_threads(r, "forward", forward, &k, &k.y, 1);
        rig_expect_same_on_threads(r, "backward", backward, &k, (rig_array[]){k.dgate, k.dup, k.y}, 3);
    }
}
