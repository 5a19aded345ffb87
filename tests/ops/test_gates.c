#include "tests/ops/rig.h"

enum { FORWARD, BACKWARD };
static const double tolerance[] = {[FORWARD] = 2e-6, [BACKWARD] = 3e-6};

static const struct {
    ptrdiff_t M, C, N;
} sizes[] = {{1, 1, 1},   {2, 5, 5},   {3, 10, 2},   {4, 17, 1},   {5, 34, 2}, {16, 48, 3},
             {17, 80, 2}, {40, 96, 4}, {257, 15, 3}, {300, 66, 2}, {1, 260, 2}};

typedef struct {
    ptrdiff_t M, C, N;
    bool add;
    rig_array x, w, bias, y, dy, dx, dw, dbias;
    ae_weight *packed;
} product;

static product make(rig *r, ptrdiff_t M, ptrdiff_t C, ptrdiff_t N) {
    rig_next(r, "M %td C %td N %td", M, C, N);
    const ptrdiff_t S = C / N, W = N * S * S;
    product k = {M,
                 C,
                 N,
                 false,
                 rig_normal(r, 1, M * C),
                 rig_normal(r, 1, W),
                 rig_normal(r, 1, C),
                 rig_output(r, M * C),
                 rig_normal(r, 1, M * C),
                 rig_output(r, M * C),
                 rig_zeros(r, W),
                 rig_zeros(r, C),
                 NULL};
    k.packed = rig_pack(r, k.w.dev, N * S, S);
    return k;
}

static double complex loss(void *context) {
    product *k = context;
    cref_gates(k->y.c, k->x.c, k->w.c, k->bias.c, k->M, k->C, k->N);
    return rig_dot(k->dy.d, k->y.c, k->y.n);
}

static void forward(rig *r, void *context) {
    product *k = context;
    r->be.gates_forward(&r->be, k->y.dev, k->x.dev, k->packed, k->bias.dev, k->M, k->C, k->N);
}

static void backward(rig *r, void *context) {
    product *k = context;
    r->be.gates_backward_input(&r->be, k->dx.dev, k->dy.dev, k->packed, k->add, k->M, k->C, k->N);
    r->be.gates_backward_weight(&r->be, k->dw.dev, k->dbias.dev, k->dy.dev, k->x.dev, k->M, k->C, k->N);
}

ON_EVERY_BACKEND(gates, forward_is_the_reference) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        product k = make(r, sizes[i].M, sizes[i].C, sizes[i].N);
        forward(r, &k);
        ref_gates(k.y.d, k.x.d, k.w.d, k.bias.d, k.M, k.C, k.N);
        rig_expect(r, "y", rig_read(r, &k.y), k.y.d, k.y.n, tolerance[FORWARD]);
    }
}

ON_EVERY_BACKEND(gates, backward_is_the_complex_step) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        product k = make(r, sizes[i].M, sizes[i].C, sizes[i].N);
        backward(r, &k);
        rig_expect_gradient(r, "dx", rig_read(r, &k.dx), &k.x, loss, &k, tolerance[BACKWARD]);
        rig_expect_gradient(r, "dw", rig_read(r, &k.dw), &k.w, loss, &k, tolerance[BACKWARD]);
        rig_expect_gradient(r, "dbias", rig_read(r, &k.dbias), &k.bias, loss, &k, tolerance[BACKWARD]);
    }
}

ON_EVERY_BACKEND(gates, gradients_accumulate) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        product k = make(r, sizes[i].M, sizes[i].C, sizes[i].N);
        backward(r, &k);
        const float *dx = rig_read(r, &k.dx), *dw = rig_read(r, &k.dw), *dbias = rig_read(r, &k.dbias);
        k.dx = rig_normal(r, 1, k.dx.n);
        k.dw = rig_normal(r, 1, k.dw.n);
        k.dbias = rig_normal(r, 1, k.dbias.n);
        k.add = true;
        backward(r, &k);
        rig_expect_sum(r, "dx", rig_read(r, &k.dx), k.dx.x, dx, k.dx.n);
        rig_expect_sum(r, "dw", rig_read(r, &k.dw), k.dw.x, dw, k.dw.n);
        rig_expect_sum(r, "dbias", rig_read(r, &k.dbias), k.dbias.x, dbias, k.dbias.n);
    }
}

ON_EVERY_BACKEND(gates, null_gradients_are_skipped) {
    product k = make(r, 17, 80, 2);
    backward(r, &k);
    const float *dw = rig_read(r, &k.dw), *dbias = rig_read(r, &k.dbias);
    rig_write(r, &k.dw);
    rig_write(r, &k.dbias);
    r->be.gates_backward_weight(&r->be, k.dw.dev, NULL, k.dy.dev, k.x.dev, k.M, k.C, k.N);
    r->be.gates_backward_weight(&r->be, NULL, k.dbias.dev, k.dy.dev, k.x.dev, k.M, k.C, k.N);
    r->be.gates_backward_weight(&r->be, NULL, NULL, k.dy.dev, k.x.dev, k.M, k.C, k.N);
    rig_expect_bits(r, "dw alone", rig_read(r, &k.dw), dw, k.dw.n);
    rig_expect_bits(r, "dbias alone", rig_read(r, &k.dbias), dbias, k.dbias.n);
}

/* As for the linear op: decoding must not depend on the batch. */
ON_EVERY_BACKEND(gates, few_rows_have_the_same_bits_in_any_batch) {
    static const ptrdiff_t shapes[][2] = {{5, 1}, {34, 2}, {80, 2}, {260, 2}, {768, 3}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        product k = make(r, AE_LINEAR_FEW, shapes[i][0], shapes[i][1]);
        forward(r, &k);
        const float *all = rig_read(r, &k.y);
        for (k.M = 1; k.M < AE_LINEAR_FEW; k.M++) {
            forward(r, &k);
            rig_expect_bits(r, "y", rig_read(r, &k.y), all, k.M * k.C);
        }
    }
}

static void forward_each(rig *r, void *context) {
    product *k = context;
    r->be.gates_each_forward(&r->be, k->y.dev, k->x.dev, k->packed, k->bias.dev, k->M, k->C, k->N);
}

ON_EVERY_BACKEND(gates, each_row_has_the_bits_that_it_has_alone) {
    static const ptrdiff_t rows[] = {1, 16, 17, 40, AE_LINEAR_EACH},
                           shapes[][2] = {{34, 2}, {260, 2}, {768, 3}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        product k = make(r, AE_LINEAR_EACH, shapes[i][0], shapes[i][1]);
        forward_each(r, &k);
        const float *all = rig_read(r, &k.y);
        ref_gates(k.y.d, k.x.d, k.w.d, k.bias.d, k.M, k.C, k.N);
        rig_expect(r, "y", all, k.y.d, k.y.n, tolerance[0]);
        for (size_t m = 0; m < COUNT(rows); m++) {
            k.M = rows[m];
            (k.M <= AE_LINEAR_FEW ? forward : forward_each)(r, &k);
            rig_expect_bits(r, "y", rig_read(r, &k.y), all, k.M * k.C);
        }
    }
}

ON_EVERY_BACKEND(gates, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        product k = make(r, sizes[i].M, sizes[i].C, sizes[i].N);
        rig_expect_same_on_threads(r, "forward", forward, &k, &k.y, 1);
        rig_expect_same_on_threads(r, "backward", backward, &k, (rig_array[]){k.dx, k.dw, k.dbias}, 3);
    }
}
