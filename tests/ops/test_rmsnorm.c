#include "tests/ops/rig.h"

/* Of float32 values and of activations; in bfloat16 these are rounded by up to 2^-8. */
enum { STORED, FORWARD };
static double tolerance(const rig *r, int of) {
    return of == FORWARD ? rig_tolerance(r, 1e-6, 0x1p-8) : 3e-6;
}

static const struct {
    ptrdiff_t M, D;
} sizes[] = {{1, 1},   {2, 3},    {5, 16},   {3, 17},   {17, 40},
             {255, 5}, {256, 33}, {257, 16}, {513, 24}, {4, 2560}};
static const float eps = 1e-6f;

typedef struct {
    ptrdiff_t M, D;
    rig_array x, kept, w, z, rstd, dz, dx,
        dw; /* x: a stream that activations hold exactly, kept the same as such */
} norm;

static norm make(rig *r, ptrdiff_t M, ptrdiff_t D) {
    rig_next(r, "M %td D %td", M, D);
    norm k = {M,
              D,
              rig_weights(r, 2, M * D),
              rig_act_output(r, M * D),
              rig_normal(r, 0.5, D),
              rig_act_output(r, M * D),
              rig_output(r, M),
              rig_act_normal(r, 1, M * D),
              rig_zeros(r, M * D),
              rig_zeros(r, D)};
    r->be.rmsnorm_forward(&r->be, k.z.dev, k.kept.dev, k.rstd.dev, k.x.dev, k.w.dev, eps, M, D);
    return k;
}

static double complex loss(void *context) {
    norm *k = context;
    cref_rmsnorm(k->z.c, NULL, k->x.c, k->w.c, (double)eps, k->M, k->D);
    return rig_dot(k->dz.d, k->z.c, k->z.n);
}

static void backward(rig *r, void *context) {
    norm *k = context;
    r->be.rmsnorm_backward(&r->be, k->dx.dev, k->dw.dev, k->dz.dev, k->kept.dev, k->w.dev, k->rstd.dev, k->M,
                           k->D);
}

static void forward(rig *r, void *context) {
    norm *k = context;
    r->be.rmsnorm_forward(&r->be, k->z.dev, k->kept.dev, k->rstd.dev, k->x.dev, k->w.dev, eps, k->M, k->D);
}

ON_EVERY_TYPE(rmsnorm, forward_is_the_reference) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        norm k = make(r, sizes[i].M, sizes[i].D);
        ref_rmsnorm(k.z.d, k.rstd.d, k.x.d, k.w.d, (double)eps, k.M, k.D);
        rig_expect(r, "z", rig_read(r, &k.z), k.z.d, k.z.n, tolerance(r, FORWARD));
        rig_expect(r, "rstd", rig_read(r, &k.rstd), k.rstd.d, k.rstd.n, tolerance(r, STORED));
        rig_expect_bits(r, "kept", rig_read(r, &k.kept), k.x.x, k.x.n);
    }
}

/* Kept or not, made once or again: the same bits. */
ON_EVERY_TYPE(rmsnorm, again_is_forward) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        norm k = make(r, sizes[i].M, sizes[i].D);
        const float *z = rig_read(r, &k.z);
        r->be.rmsnorm_forward(&r->be, k.z.dev, NULL, k.rstd.dev, k.x.dev, k.w.dev, eps, k.M, k.D);
        rig_expect_bits(r, "z, nothing kept", rig_read(r, &k.z), z, k.z.n);
        rig_write(r, &k.z);
        r->be.rmsnorm_again(&r->be, k.z.dev, k.kept.dev, k.rstd.dev, k.w.dev, k.M, k.D);
        rig_expect_bits(r, "z again", rig_read(r, &k.z), z, k.z.n);
    }
}

ON_EVERY_TYPE(rmsnorm, backward_is_the_complex_step) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        norm k = make(r, sizes[i].M, sizes[i].D);
        r->floor = sizes[i].D == 1; /* one channel: dx cancels to nearly nothing */
        backward(r, &k);
        rig_expect_gradient(r, "dx", rig_read(r, &k.dx), &k.x, loss, &k, tolerance(r, STORED));
        rig_expect_gradient(r, "dw", rig_read(r, &k.dw), &k.w, loss, &k, tolerance(r, STORED));
    }
}

/* eps decides: a row of zeros has rstd 1000 and a finite gradient. */
ON_EVERY_TYPE(rmsnorm, rows_of_zeros) {
    norm k = make(r, 3, 17);
    k.x = rig_zeros(r, k.x.n);
    forward(r, &k);
    backward(r, &k);
    const float *rstd = rig_read(r, &k.rstd);
    for (int m = 0; m < 3; m++) cr_assert_float_eq(rstd[m], 1000.0f, 0.01f);
    rig_expect_gradient(r, "dx", rig_read(r, &k.dx), &k.x, loss, &k, tolerance(r, STORED));
}

ON_EVERY_TYPE(rmsnorm, gradients_accumulate_and_null_is_skipped) {
    norm k = make(r, 17, 40);
    backward(r, &k);
    const float *dx = rig_read(r, &k.dx), *dw = rig_read(r, &k.dw);
    k.dx = rig_normal(r, 1, k.dx.n);
    k.dw = rig_normal(r, 1, k.dw.n);
    backward(r, &k);
    const float *sum = rig_read(r, &k.dx);
    rig_expect_sum(r, "dx", sum, k.dx.x, dx, k.dx.n);
    rig_expect_sum(r, "dw", rig_read(r, &k.dw), k.dw.x, dw, k.dw.n);
    rig_write(r, &k.dx);
    r->be.rmsnorm_backward(&r->be, k.dx.dev, NULL, k.dz.dev, k.kept.dev, k.w.dev, k.rstd.dev, k.M, k.D);
    rig_expect_bits(r, "dx without dw", rig_read(r, &k.dx), sum, k.dx.n);
}

ON_EVERY_TYPE(rmsnorm, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        norm k = make(r, sizes[i].M, sizes[i].D);
        rig_expect_same_on_threads(r, "forward", forward, &k, (rig_array[]){k.z, k.rstd}, 2);
        rig_expect_same_on_threads(r, "backward", backward, &k, (rig_array[]){k.dx, k.dw}, 2);
    }
}
