#include "tests/ops/rig.h"

enum { FORWARD, BACKWARD };
static const double tolerance[] = {[FORWARD] = 1e-7, [BACKWARD] = 1e-6};

static const struct {
    ptrdiff_t M, V, D;
} sizes[] = {{1, 1, 1}, {3, 5, 5}, {7, 4, 16}, {17, 9, 17}, {33, 11, 40}, {257, 13, 7}, {64, 300, 129}};
static const float scale = 50.5f;

typedef struct {
    ptrdiff_t M, D;
    rig_ints tokens;
    rig_array table, x, dx, dtable;
} lookup;

static lookup make(rig *r, size_t i) {
    const ptrdiff_t M = sizes[i].M, V = sizes[i].V, D = sizes[i].D;
    rig_next(r, "M %td V %td D %td", M, V, D);
    return (lookup){M,
                    D,
                    rig_below(r, (int32_t)V, M),
                    rig_normal(r, 1, V * D),
                    rig_output(r, M * D),
                    rig_normal(r, 1, M * D),
                    rig_zeros(r, V * D)};
}

static double complex loss(void *context) {
    lookup *k = context;
    cref_embedding(k->x.c, k->table.c, k->tokens.x, (double)scale, k->M, k->D);
    return rig_dot(k->dx.d, k->x.c, k->x.n);
}

static void backward(rig *r, void *context) {
    lookup *k = context;
    r->be.embedding_backward(&r->be, k->dtable.dev, k->dx.dev, k->tokens.dev, scale, k->M, k->D);
}

ON_EVERY_BACKEND(embedding, forward_is_the_reference) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        lookup k = make(r, i);
        const ae_weight *table = rig_pack(r, k.table.dev, sizes[i].V, k.D);
        r->be.embedding_forward(&r->be, k.x.dev, table, k.tokens.dev, scale, k.M, k.D);
        ref_embedding(k.x.d, k.table.d, k.tokens.x, (double)scale, k.M, k.D);
        rig_expect(r, "x", rig_read(r, &k.x), k.x.d, k.x.n, tolerance[FORWARD]);
    }
}

ON_EVERY_BACKEND(embedding, backward_is_the_complex_step) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        lookup k = make(r, i);
        backward(r, &k);
        rig_expect_gradient(r, "dtable", rig_read(r, &k.dtable), &k.table, loss, &k, tolerance[BACKWARD]);
    }
}

ON_EVERY_BACKEND(embedding, gradient_accumulates_and_null_is_skipped) {
    lookup k = make(r, 3);
    backward(r, &k);
    const float *gradient = rig_read(r, &k.dtable);
    k.dtable = rig_normal(r, 1, k.dtable.n);
    backward(r, &k);
    rig_expect_sum(r, "dtable", rig_read(r, &k.dtable), k.dtable.x, gradient, k.dtable.n);
    r->be.embedding_backward(&r->be, NULL, k.dx.dev, k.tokens.dev, scale, k.M, k.D);
}

ON_EVERY_BACKEND(embedding, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        lookup k = make(r, i);
        rig_expect_same_on_threads(r, "dtable", backward, &k, &k.dtable, 1);
    }
}
