#include "tests/ops/rig.h"

static const struct {
    ptrdiff_t M, D;
} sizes[] = {{1, 1}, {1, 17}, {3, 64}, {5, 33}, {40, 100}, {257, 65}, {5, 1100}, {600, 70}};

typedef struct {
    ptrdiff_t M, D;
    rig_array z, w, value, dvalue, dz, dw;
} scalar;

static scalar make(rig *r, size_t i) {
    const ptrdiff_t M = sizes[i].M, D = sizes[i].D;
    rig_next(r, "M %td D %td", M, D);
    return (scalar){M,
                    D,
                    rig_act_normal(r, 1, M * D),
                    rig_normal(r, 1, D),
                    rig_output(r, M),
                    rig_normal(r, 1, M),
                    rig_act_output(r, M * D),
                    rig_zeros(r, D)};
}

static void forward(rig *r, void *context) {
    scalar *k = context;
    r->be.head_scalar_forward(&r->be, k->value.dev, k->z.dev, k->w.dev, k->M, k->D);
}

static void backward_adding(rig *r, scalar *k, bool add) {
    r->be.head_scalar_backward(&r->be, k->dz.dev, k->dw.dev, add, k->dvalue.dev, k->z.dev, k->w.dev, k->M,
                               k->D);
}

static void backward(rig *r, void *context) {
    backward_adding(r, context, false);
}

static double complex objective(void *context) {
    scalar *k = context;
    cref_head_scalar(k->value.c, k->z.c, k->w.c, k->M, k->D);
    return rig_dot(k->dvalue.d, k->value.c, k->M);
}

ON_EVERY_TYPE(head_scalar, forward_is_the_reference) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        scalar k = make(r, i);
        ref_head_scalar(k.value.d, k.z.d, k.w.d, k.M, k.D);
        forward(r, &k);
        rig_expect(r, "value", rig_read(r, &k.value), k.value.d, k.M, 1e-6);
    }
}

ON_EVERY_TYPE(head_scalar, backward_is_the_complex_step) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        scalar k = make(r, i);
        backward(r, &k);
        rig_expect_gradient(r, "dz", rig_read(r, &k.dz), &k.z, objective, &k, rig_tolerance(r, 1e-6, 0x1p-8));
        rig_expect_gradient(r, "dw", rig_read(r, &k.dw), &k.w, objective, &k, 1e-6);
    }
}

ON_EVERY_TYPE(head_scalar, gradients_add_up_and_null_is_skipped) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        scalar k = make(r, i);
        backward(r, &k);
        const float *dz = rig_read(r, &k.dz), *dw = rig_read(r, &k.dw);
        k.dz = rig_act_normal(r, 1, k.dz.n);
        k.dw = rig_normal(r, 1, k.dw.n);
        backward_adding(r, &k, true);
        double *want = rig_host(r, (size_t)k.dz.n * sizeof *want);
        for (ptrdiff_t j = 0; j < k.dz.n; j++) want[j] = (double)k.dz.x[j] + (double)dz[j];
        rig_expect(r, "dz", rig_read(r, &k.dz), want, k.dz.n,
                   rig_tolerance(r, 1e-6, 0x1p-6)); /* rounded twice */
        rig_expect_sum(r, "dw", rig_read(r, &k.dw), k.dw.x, dw, k.dw.n);
        k.dw.dev = NULL;
        backward(r, &k);
        rig_expect_bits(r, "dz without dw", rig_read(r, &k.dz), dz, k.dz.n);
    }
}

ON_EVERY_TYPE(head_scalar, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        scalar k = make(r, i);
        rig_expect_same_on_threads(r, "forward", forward, &k, &k.value, 1);
        rig_expect_same_on_threads(r, "backward", backward, &k, (rig_array[]){k.dz, k.dw}, 2);
    }
}
ON_EVERY_TYPE(act_add, is_the_sum) {
    static const ptrdiff_t lengths[] = {1, 15, 16, 17, 4096, 9001};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const ptrdiff_t n = lengths[i];
        rig_next(r, "n %td", n);
        const rig_array x = rig_normal(r, 1, n), y = rig_act_normal(r, 1, n);
        double *want = rig_host(r, (size_t)n * sizeof *want);
        r->be.act_add_f32(&r->be, y.dev, x.dev, n);
        for (ptrdiff_t j = 0; j < n; j++) want[j] = y.d[j] + x.d[j];
        rig_expect(r, "sum", rig_read(r, &y), want, n, rig_tolerance(r, 1e-7, 0x1p-8));
    }
}
