#include "tests/ops/rig.h"

enum { FORWARD, BACKWARD };
static const double tolerance[] = {[FORWARD] = 2e-6, [BACKWARD] = 3e-6};

static const struct {
    ptrdiff_t M, I, O;
} sizes[] = {{1, 1, 1},     {1, 17, 5},    {2, 5, 17},     {3, 16, 16},   {4, 40, 33},
             {7, 33, 40},   {8, 64, 7},    {15, 9, 65},    {16, 65, 9},   {17, 129, 130},
             {31, 40, 257}, {257, 24, 31}, {16, 300, 511}, {1, 1000, 257}};

typedef struct {
    ptrdiff_t M, I, O;
    bool bias_given, add;
    rig_array x, w, bias, residual, y, dy, dx, dw, dbias;
    ae_weight *packed;
} product;

static ae_weight *pack(rig *r, const rig_array *w, ptrdiff_t rows, ptrdiff_t cols) {
    return rig_pack(r, w->dev, rows, cols);
}

static product make(rig *r, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O) {
    rig_next(r, "M %td I %td O %td", M, I, O);
    product k = {M,
                 I,
                 O,
                 true,
                 false,
                 rig_normal(r, 1, M * I),
                 rig_normal(r, 1, O * I),
                 rig_normal(r, 1, O),
                 rig_normal(r, 1, M * O),
                 rig_output(r, M * O),
                 rig_normal(r, 1, M * O),
                 rig_output(r, M * I),
                 rig_zeros(r, O * I),
                 rig_zeros(r, O),
                 NULL};
    k.packed = pack(r, &k.w, O, I);
    return k;
}

static double complex loss(void *context) {
    product *k = context;
    cref_linear(k->y.c, NULL, k->x.c, k->w.c, k->bias.c, k->M, k->I, k->O);
    return rig_dot(k->dy.d, k->y.c, k->y.n);
}

static void forward(rig *r, void *context) {
    product *k = context;
    r->be.linear_forward(&r->be, k->y.dev, k->x.dev, k->packed, k->bias_given ? k->bias.dev : NULL, k->M,
                         k->I, k->O);
}

static void forward_residual(rig *r, void *context) {
    product *k = context;
    r->be.linear_residual(&r->be, k->y.dev, k->residual.dev, k->x.dev, k->packed,
                          k->bias_given ? k->bias.dev : NULL, k->M, k->I, k->O);
}

static void backward(rig *r, void *context) {
    product *k = context;
    r->be.linear_backward_input(&r->be, k->dx.dev, k->dy.dev, k->packed, k->add, k->M, k->I, k->O);
    r->be.linear_backward_weight(&r->be, k->dw.dev, k->dbias.dev, k->dy.dev, k->x.dev, k->M, k->I, k->O);
}

ON_EVERY_BACKEND(linear, forward_is_the_reference) {
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (int bias = 0; bias < 2; bias++) {
            product k = make(r, sizes[i].M, sizes[i].I, sizes[i].O);
            k.bias_given = bias;
            forward(r, &k);
            ref_linear(k.y.d, NULL, k.x.d, k.w.d, bias ? k.bias.d : NULL, k.M, k.I, k.O);
            rig_expect(r, bias ? "y" : "y without bias", rig_read(r, &k.y), k.y.d, k.y.n, tolerance[FORWARD]);
        }
}

/* From one row to one past those that have kernels of their own. */
ON_EVERY_BACKEND(linear, every_small_number_of_rows) {
    for (ptrdiff_t M = 1; M <= AE_LINEAR_FEW + 1; M++) {
        product k = make(r, M, 77, 45);
        forward(r, &k);
        ref_linear(k.y.d, NULL, k.x.d, k.w.d, k.bias.d, M, 77, 45);
        rig_expect(r, "y", rig_read(r, &k.y), k.y.d, k.y.n, tolerance[FORWARD]);
        backward(r, &k);
        rig_expect_gradient(r, "dx", rig_read(r, &k.dx), &k.x, loss, &k, tolerance[BACKWARD]);
        rig_expect_gradient(r, "dw", rig_read(r, &k.dw), &k.w, loss, &k, tolerance[BACKWARD]);
    }
}

ON_EVERY_BACKEND(linear, residual_is_the_reference_in_place_too) {
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (int bias = 0; bias < 2; bias++) {
            product k = make(r, sizes[i].M, sizes[i].I, sizes[i].O);
            k.bias_given = bias;
            forward_residual(r, &k);
            const float *out = rig_read(r, &k.y);
            ref_linear(k.y.d, k.residual.d, k.x.d, k.w.d, bias ? k.bias.d : NULL, k.M, k.I, k.O);
            rig_expect(r, "out", out, k.y.d, k.y.n, tolerance[FORWARD]);
            k.y.dev = k.residual.dev;
            forward_residual(r, &k);
            rig_expect_bits(r, "out in place", rig_read(r, &k.y), out, k.y.n);
        }
}

ON_EVERY_BACKEND(linear, backward_is_the_complex_step) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        product k = make(r, sizes[i].M, sizes[i].I, sizes[i].O);
        backward(r, &k);
        rig_expect_gradient(r, "dx", rig_read(r, &k.dx), &k.x, loss, &k, tolerance[BACKWARD]);
        rig_expect_gradient(r, "dw", rig_read(r, &k.dw), &k.w, loss, &k, tolerance[BACKWARD]);
        rig_expect_gradient(r, "dbias", rig_read(r, &k.dbias), &k.bias, loss, &k, tolerance[BACKWARD]);
    }
}

static void expect_accumulation(rig *r, size_t i) {
    product k = make(r, sizes[i].M, sizes[i].I, sizes[i].O);
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
    k.add = false;
    backward(r, &k);
    rig_expect_bits(r, "dx overwritten", rig_read(r, &k.dx), dx, k.dx.n);
}

ON_EVERY_BACKEND(linear, gradients_accumulate) {
    for (size_t i = 0; i < COUNT(sizes); i++) expect_accumulation(r, i);
}

ON_EVERY_BACKEND(linear, null_gradients_are_skipped) {
    product k = make(r, 17, 40, 33);
    backward(r, &k);
    const float *dw = rig_read(r, &k.dw), *dbias = rig_read(r, &k.dbias);
    rig_write(r, &k.dw);
    rig_write(r, &k.dbias);
    r->be.linear_backward_weight(&r->be, k.dw.dev, NULL, k.dy.dev, k.x.dev, k.M, k.I, k.O);
    r->be.linear_backward_weight(&r->be, NULL, k.dbias.dev, k.dy.dev, k.x.dev, k.M, k.I, k.O);
    r->be.linear_backward_weight(&r->be, NULL, NULL, k.dy.dev, k.x.dev, k.M, k.I, k.O);
    rig_expect_bits(r, "dw alone", rig_read(r, &k.dw), dw, k.dw.n);
    rig_expect_bits(r, "dbias alone", rig_read(r, &k.dbias), dbias, k.dbias.n);
}

/* Rows [0, M) of a batch of AE_LINEAR_FEW, for every M: the bits of a row are those it gets in the whole. */
ON_EVERY_BACKEND(linear, few_rows_have_the_same_bits_in_any_batch) {
    static const ptrdiff_t shapes[][2] = {{1, 1},     {5, 17},    {16, 16},  {40, 33},
                                          {129, 130}, {300, 511}, {1024, 96}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        product k = make(r, AE_LINEAR_FEW, shapes[i][0], shapes[i][1]);
        forward(r, &k);
        const float *all = rig_read(r, &k.y);
        forward_residual(r, &k);
        const float *all_residual = rig_read(r, &k.y);
        for (k.M = 1; k.M < AE_LINEAR_FEW; k.M++) {
            forward(r, &k);
            rig_expect_bits(r, "y", rig_read(r, &k.y), all, k.M * k.O);
            forward_residual(r, &k);
            rig_expect_bits(r, "out", rig_read(r, &k.y), all_residual, k.M * k.O);
        }
    }
}

static void forward_each(rig *r, void *context) {
    product *k = context;
    r->be.linear_each_forward(&r->be, k->y.dev, k->x.dev, k->packed, k->bias.dev, k->M, k->I, k->O);
}

static void forward_each_residual(rig *r, void *context) {
    product *k = context;
    r->be.linear_each_residual(&r->be, k->y.dev, k->residual.dev, k->x.dev, k->packed, k->bias.dev, k->M,
                               k->I, k->O);
}

/* The first 16 of up to 64 rows have the bits of linear_forward; all are the reference, and the same in any batch. */
ON_EVERY_BACKEND(linear, each_row_has_the_bits_that_it_has_alone) {
    static const ptrdiff_t rows[] = {1, 15, 17, 18, 33, 63}, shapes[][2] = {{5, 17}, {40, 33}, {300, 511}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        product k = make(r, AE_LINEAR_EACH, shapes[i][0], shapes[i][1]);
        forward_each(r, &k);
        const float *all = rig_read(r, &k.y);
        ref_linear(k.y.d, NULL, k.x.d, k.w.d, k.bias.d, k.M, k.I, k.O);
        rig_expect(r, "y", all, k.y.d, k.y.n, tolerance[FORWARD]);
        forward_each_residual(r, &k);
        const float *all_residual = rig_read(r, &k.y);
        ref_linear(k.y.d, k.residual.d, k.x.d, k.w.d, k.bias.d, k.M, k.I, k.O);
        rig_expect(r, "out", all_residual, k.y.d, k.y.n, tolerance[FORWARD]);
        for (size_t m = 0; m < COUNT(rows); m++) {
            k.M = rows[m];
            forward_each(r, &k);
            rig_expect_bits(r, "y", rig_read(r, &k.y), all, k.M * k.O);
            forward_each_residual(r, &k);
            rig_expect_bits(r, "out", rig_read(r, &k.y), all_residual, k.M * k.O);
        }
        k.M = AE_LINEAR_FEW;
        forward(r, &k);
        rig_expect_bits(r, "y of linear_forward", rig_read(r, &k.y), all, k.M * k.O);
        forward_residual(r, &k);
        rig_expect_bits(r, "out of linear_residual", rig_read(r, &k.y), all_residual, k.M * k.O);
    }
}

ON_EVERY_BACKEND(linear, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        product k = make(r, sizes[i].M, sizes[i].I, sizes[i].O);
        rig_expect_same_on_threads(r, "forward", forward, &k, &k.y, 1);
        rig_expect_same_on_threads(r, "residual", forward_residual, &k, &k.y, 1);
        rig_expect_same_on_threads(r, "backward", backward, &k, (rig_array[]){k.dx, k.dw, k.dbias}, 3);
    }
}
