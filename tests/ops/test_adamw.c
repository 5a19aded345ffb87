#include "tests/ops/rig.h"

enum { UPDATE };
static const double tolerance[] = {[UPDATE] = 1e-6};
static const ptrdiff_t sizes[] = {1, 2, 5, 7, 8, 9, 15, 16, 17, 33, 40, 257, 4097, 70001};

typedef struct {
    ptrdiff_t n;
    ae_adamw_step step;
    rig_array w, m, v, g;
} update;

static update make(rig *r, ptrdiff_t n, int s, float decay, float grad_scale) {
    rig_next(r, "n %td update %d decay %g scale %g", n, s, (double)decay, (double)grad_scale);
    update k = {n,
                {0.01f, 0.9f, 0.95f, 1e-8f, decay, (float)(1 - pow(0.9, s)), (float)(1 - pow(0.95, s)),
                 grad_scale, AE_MOMENTS_F32},
                rig_normal(r, 1, n),
                rig_normal(r, 1, n),
                rig_normal(r, 1, n),
                rig_normal(r, 1, n)};
    for (ptrdiff_t i = 0; i < n; i++) k.v.x[i] *= k.v.x[i];
    k.v = rig_values(r, k.v.x, n);
    return k;
}

static void run(rig *r, void *context) {
    update *k = context;
    r->be.adamw(&r->be, k->w.dev, k->m.dev, k->v.dev, k->g.dev, k->step, k->n);
}

static void reference(update *k) {
    const double b1 = (double)k->step.beta1, b2 = (double)k->step.beta2, lr = (double)k->step.lr;
    for (ptrdiff_t i = 0; i < k->n; i++) {
        const double g = (double)k->step.grad_scale * k->g.d[i];
        k->m.d[i] = b1 * k->m.d[i] + (1 - b1) * g;
        k->v.d[i] = b2 * k->v.d[i] + (1 - b2) * g * g;
        const double m = k->m.d[i] / (double)k->step.correction1, v = k->v.d[i] / (double)k->step.correction2;
        k->w.d[i] -= lr * (m / (sqrt(v) + (double)k->step.eps) + (double)k->step.decay * k->w.d[i]);
    }
}

static void expect_update(rig *r, update *k) {
    run(r, k);
    reference(k);
    rig_expect(r, "w", rig_read(r, &k->w), k->w.d, k->n, tolerance[UPDATE]);
    rig_expect(r, "m", rig_read(r, &k->m), k->m.d, k->n, tolerance[UPDATE]);
    rig_expect(r, "v", rig_read(r, &k->v), k->v.d, k->n, tolerance[UPDATE]);
    const float *g = rig_read(r, &k->g);
    for (ptrdiff_t i = 0; i < k->n; i++)
        cr_assert(g[i] == 0.0f, "%s: g[%td] is %g after the update", r->label, i, (double)g[i]);
}

ON_EVERY_BACKEND(adamw, update_is_the_formula) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        update k = make(r, sizes[i], 1 + (int)i, 0.1f, 0.25f);
        expect_update(r, &k);
    }
}

ON_EVERY_BACKEND(adamw, without_decay_and_without_clipping) {
    update k = make(r, 257, 1000, 0, 1);
    expect_update(r, &k);
}

/* The first update from m = v = 0 moves by lr in the direction of -g, by half of it where |g| is eps; where g is 0 only decay acts. */
ON_EVERY_BACKEND(adamw, first_update_by_hand) {
    rig_next(r, "first update");
    const float w[] = {1, 1, 1, 0}, g[] = {4, -0.001f, 0, 1e-8f};
    const double want[] = {1 - 0.01 - 0.001, 1 + 0.01 - 0.001, 1 - 0.001, -0.005};
    update k = {4,
                {0.01f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.1f, 0.05f, 1, AE_MOMENTS_F32},
                rig_values(r, w, 4),
                rig_zeros(r, 4),
                rig_zeros(r, 4),
                rig_values(r, g, 4)};
    run(r, &k);
    const float *got = rig_read(r, &k.w);
    for (int i = 0; i < 4; i++)
        cr_assert(fabs((double)got[i] - want[i]) <= 2e-7, "%s: w[%d] is %.9g, expected %.9g", r->label, i,
                  (double)got[i], want[i]);
}

ON_EVERY_BACKEND(adamw, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        update k = make(r, sizes[i], 7, 0.1f, 0.5f);
        rig_expect_same_on_threads(r, "update", run, &k, (rig_array[]){k.w, k.m, k.v, k.g}, 4);
    }
}

/* The update of a weight of products, and the same as a plain parameter that is packed afterwards. */
typedef struct {
    ptrdiff_t rows, cols;
    update at_once, apart;
    ae_weight *packed, *again;
} weight_update;

static ae_weight *pack(rig *r, const rig_array *w, ptrdiff_t rows, ptrdiff_t cols) {
    return rig_pack(r, w->dev, rows, cols);
}

static void run_both(rig *r, weight_update *k) {
    update *u = &k->at_once;
    k->packed = pack(r, &u->w, k->rows, k->cols);
    r->be.adamw_weight(&r->be, k->packed, u->w.dev, u->m.dev, u->v.dev, u->g.dev, u->step, k->rows, k->cols);
    run(r, &k->apart);
    k->again = pack(r, &k->apart.w, k->rows, k->cols);
}

static void expect_same_products(rig *r, const weight_update *k) {
    enum { M = 40 };
    const rig_array x = rig_act_normal(r, 1, M * ae_max(k->rows, k->cols));
    const rig_array y[2] = {rig_act_output(r, M * k->rows), rig_act_output(r, M * k->rows)},
                    dx[2] = {rig_act_output(r, M * k->cols), rig_act_output(r, M * k->cols)};
    for (int i = 0; i < 2; i++) {
        const ae_weight *w = i ? k->again : k->packed;
        r->be.linear_forward(&r->be, y[i].dev, x.dev, w, NULL, M, k->cols, k->rows);
        r->be.linear_backward_input(&r->be, dx[i].dev, x.dev, w, false, M, k->cols, k->rows);
    }
    rig_expect_bits(r, "y", rig_read(r, &y[0]), rig_read(r, &y[1]), y[0].n);
    rig_expect_bits(r, "dx", rig_read(r, &dx[0]), rig_read(r, &dx[1]), dx[0].n);
}

ON_EVERY_TYPE(adamw, weights_are_packed_in_the_same_sweep) {
    static const ptrdiff_t shapes[][2] = {{1, 3}, {64, 16}, {65, 70}, {200, 33}, {128, 300}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        weight_update k = {.rows = shapes[i][0], .cols = shapes[i][1]};
        const ptrdiff_t n = k.rows * k.cols;
        k.at_once = make(r, n, 3, 0.1f, 0.5f);
        k.apart = k.at_once;
        rig_array *const copies[] = {&k.apart.w, &k.apart.m, &k.apart.v, &k.apart.g};
        for (size_t j = 0; j < COUNT(copies); j++) *copies[j] = rig_values(r, copies[j]->x, n);
        run_both(r, &k);
        rig_expect_bits(r, "w", rig_read(r, &k.at_once.w), rig_read(r, &k.apart.w), n);
        rig_expect_bits(r, "v", rig_read(r, &k.at_once.v), rig_read(r, &k.apart.v), n);
        expect_same_products(r, &k);
    }
}
