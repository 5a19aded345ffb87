#include "tests/ops/rig.h"

enum { TABLE, FORWARD };
static const double tolerance[] = {[TABLE] = 1e-7, [FORWARD] = 1e-6};

static const struct {
    ptrdiff_t M, heads, H, R;
} sizes[] = {{1, 1, 2, 2},     {3, 1, 4, 2},     {2, 3, 5, 4},     {5, 2, 8, 8},
             {4, 1, 24, 12},   {7, 4, 40, 20},   {6, 2, 17, 2},    {9, 10, 64, 32},
             {257, 1, 48, 24}, {300, 2, 10, 10}, {3, 2, 256, 128}, {2, 1, 600, 600}};
static const double theta = 10000;

typedef struct {
    ptrdiff_t M, heads, H, R;
    bool inverse;
    rig_ints positions;
    rig_array cosines, sines, x, dy;
} turn;

static turn make(rig *r, size_t i, int32_t farthest) {
    const ptrdiff_t M = sizes[i].M, heads = sizes[i].heads, H = sizes[i].H, R = sizes[i].R;
    rig_next(r, "M %td heads %td H %td R %td positions below %d", M, heads, H, R, farthest);
    turn k = {M,
              heads,
              H,
              R,
              false,
              rig_below(r, farthest, M),
              rig_output(r, M * R / 2),
              rig_output(r, M * R / 2),
              rig_normal(r, 1, M * heads * H),
              rig_normal(r, 1, M * heads * H)};
    r->be.rope_table(&r->be, k.cosines.dev, k.sines.dev, k.positions.dev, theta, M, R);
    return k;
}

static void apply(rig *r, void *context) {
    turn *k = context;
    r->be.rope_apply(&r->be, k->x.dev, k->cosines.dev, k->sines.dev, k->inverse, k->M, k->heads, k->H, k->R);
}

static void table(rig *r, void *context) {
    turn *k = context;
    r->be.rope_table(&r->be, k->cosines.dev, k->sines.dev, k->positions.dev, theta, k->M, k->R);
}

ON_EVERY_BACKEND(rope, table_is_exact_at_far_positions) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        turn k = make(r, i, 1000000);
        for (ptrdiff_t m = 0; m < k.M; m++)
            for (ptrdiff_t j = 0; j < k.R / 2; j++) {
                const double angle = k.positions.x[m] * pow(theta, -2.0 * (double)j / (double)k.R);
                k.cosines.d[m * k.R / 2 + j] = cos(angle);
                k.sines.d[m * k.R / 2 + j] = sin(angle);
            }
        rig_expect(r, "cosines", rig_read(r, &k.cosines), k.cosines.d, k.cosines.n, tolerance[TABLE]);
        rig_expect(r, "sines", rig_read(r, &k.sines), k.sines.d, k.sines.n, tolerance[TABLE]);
    }
}

ON_EVERY_BACKEND(rope, forward_and_inverse_are_the_reference) {
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (int inverse = 0; inverse < 2; inverse++) {
            turn k = make(r, i, 5000);
            k.inverse = inverse;
            apply(r, &k);
            ref_rope(k.x.d, k.positions.x, theta, inverse, k.M, k.heads, k.H, k.R);
            rig_expect(r, inverse ? "turned back" : "turned", rig_read(r, &k.x), k.x.d, k.x.n,
                       tolerance[FORWARD]);
        }
}

static double complex loss(void *context) {
    turn *k = context;
    double complex *y = calloc((size_t)k->x.n, sizeof *y);
    cr_assert_not_null(y);
    for (ptrdiff_t i = 0; i < k->x.n; i++) y[i] = k->x.c[i];
    cref_rope(y, k->positions.x, theta, false, k->M, k->heads, k->H, k->R);
    const double complex sum = rig_dot(k->dy.d, y, k->x.n);
    free(y);
    return sum;
}

/* The inverse turn is the backward pass. */
ON_EVERY_BACKEND(rope, backward_is_the_complex_step) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        turn k = make(r, i, 5000);
        r->be.rope_apply(&r->be, k.dy.dev, k.cosines.dev, k.sines.dev, true, k.M, k.heads, k.H, k.R);
        rig_expect_gradient(r, "dx", rig_read(r, &k.dy), &k.x, loss, &k, tolerance[FORWARD]);
    }
}

ON_EVERY_BACKEND(rope, rest_of_the_head_keeps_its_bits) {
    turn k = make(r, 5, 5000);
    apply(r, &k);
    const float *x = rig_read(r, &k.x);
    for (ptrdiff_t n = 0; n < k.M * k.heads; n++)
        rig_expect_bits(r, "not turned", x + n * k.H + k.R, k.x.x + n * k.H + k.R, k.H - k.R);
}

ON_EVERY_BACKEND(rope, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        turn k = make(r, i, 5000);
        rig_expect_same_on_threads(r, "table", table, &k, (rig_array[]){k.cosines, k.sines}, 2);
        rig_expect_same_on_threads(r, "turned", apply, &k, &k.x, 1);
    }
}
