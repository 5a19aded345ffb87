#include "ops/linear.h"
#include "tests/ops/rig.h"

static const struct {
    ptrdiff_t M, I, O, R;
} sizes[] = {{1, 1, 1, 1},     {3, 8, 5, 2},      {16, 70, 33, 4},
             {17, 20, 130, 8}, {45, 129, 64, 16}, {130, 12, 40, 33}};

typedef struct {
    ae_adapter_dims n;
    rig_array x, a, b, y0, y, stream, dy, dx0, dx, da, db;
    ae_weight *packed_a, *packed_b;
    ae_room scratch;
} adapter;

static ae_weight *packed(rig *r, const rig_array *w, ptrdiff_t rows, ptrdiff_t cols) {
    ae_weight *room = rig_device(r, r->be.weight_bytes(&r->be, rows, cols, false));
    r->be.weight_pack(&r->be, room, w->dev, rows, cols, false);
    return room;
}

static adapter make(rig *r, size_t i) {
    const ae_adapter_dims n = {sizes[i].M, sizes[i].I, sizes[i].O, sizes[i].R, 0.75f};
    rig_next(r, "M %td I %td O %td R %td", n.M, n.I, n.O, n.R);
    adapter k = {.n = n,
                 .x = rig_act_normal(r, 1, n.M * n.I),
                 .a = rig_weights(r, 0.3, n.R * n.I),
                 .b = rig_weights(r, 0.3, n.O * n.R),
                 .y0 = rig_act_normal(r, 1, n.M * n.O),
                 .stream = rig_normal(r, 1, n.M * n.O),
                 .dy = rig_act_normal(r, 1, n.M * n.O),
                 .dx0 = rig_zeros(r, n.M * n.I),
                 .da = rig_zeros(r, n.R * n.I),
                 .db = rig_zeros(r, n.O * n.R)};
    k.y = rig_act_values(r, k.y0.x, k.y0.n);
    k.dx = rig_act_values(r, k.dx0.x, k.dx0.n);
    k.packed_a = packed(r, &k.a, n.R, n.I);
    k.packed_b = packed(r, &k.b, n.O, n.R);
    k.scratch = rig_room(r, r->be.adapter_scratch_bytes(&r->be, n));
    return k;
}

static void forward(rig *r, void *context) {
    adapter *k = context;
    r->be.adapter_forward(&r->be, k->y.dev, k->x.dev, k->packed_a, k->packed_b, k->n, k->scratch);
}

static void residual(rig *r, void *context) {
    adapter *k = context;
    r->be.adapter_residual(&r->be, k->stream.dev, k->x.dev, k->packed_a, k->packed_b, k->n, k->scratch);
}

static void backward(rig *r, void *context) {
    adapter *k = context;
    r->be.adapter_backward_input(&r->be, k->dx.dev, k->dy.dev, k->packed_a, k->packed_b, k->n, k->scratch);
    r->be.adapter_backward_weight(&r->be, k->da.dev, k->db.dev, k->dy.dev, k->x.dev, k->packed_a, k->packed_b,
                                  k->n, k->scratch);
}

ON_EVERY_TYPE(adapter, forward_adds_the_reference) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        adapter k = make(r, i);
        const ae_adapter_dims n = k.n;
        forward(r, &k);
        ref_adapter(k.y.d, k.x.d, k.a.d, k.b.d, (double)n.scale, n.M, n.I, n.O, n.R);
        rig_expect(r, "y", rig_read(r, &k.y), k.y.d, k.y.n, rig_tolerance(r, 2e-6, 0.02));
        residual(r, &k);
        ref_adapter(k.stream.d, k.x.d, k.a.d, k.b.d, (double)n.scale, n.M, n.I, n.O, n.R);
        rig_expect(r, "stream", rig_read(r, &k.stream), k.stream.d, k.stream.n, rig_tolerance(r, 2e-6, 0.02));
    }
}

static double complex loss(void *context) {
    adapter *k = context;
    const ae_adapter_dims n = k->n;
    for (ptrdiff_t i = 0; i < k->y.n; i++) k->y.c[i] = 0;
    cref_adapter(k->y.c, k->x.c, k->a.c, k->b.c, (double)n.scale, n.M, n.I, n.O, n.R);
    return rig_dot(k->dy.d, k->y.c, k->y.n);
}

ON_EVERY_TYPE(adapter, backward_is_the_complex_step) {
    const double tolerance = rig_tolerance(r, 5e-6, 0.03);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        adapter k = make(r, i);
        backward(r, &k);
        rig_expect_gradient(r, "da", rig_read(r, &k.da), &k.a, loss, &k, tolerance);
        rig_expect_gradient(r, "db", rig_read(r, &k.db), &k.b, loss, &k, tolerance);
        rig_expect_gradient(r, "dx", rig_read(r, &k.dx), &k.x, loss, &k, tolerance);
    }
}

ON_EVERY_BACKEND(adapter, gradients_accumulate_and_null_is_skipped) {
    adapter k = make(r, 3);
    backward(r, &k);
    const float *da = rig_read(r, &k.da), *db = rig_read(r, &k.db), *dx = rig_read(r, &k.dx);
    const rig_array da_before = rig_normal(r, 1, k.da.n), db_before = rig_normal(r, 1, k.db.n);
    k.dx = rig_act_normal(r, 1, k.dx.n);
    k.da = da_before;
    k.db = db_before;
    r->be.adapter_backward_input(&r->be, k.dx.dev, k.dy.dev, k.packed_a, k.packed_b, k.n, k.scratch);
    rig_expect_sum(r, "dx", rig_read(r, &k.dx), k.dx.x, dx, k.dx.n);
    r->be.adapter_backward_weight(&r->be, k.da.dev, NULL, k.dy.dev, k.x.dev, k.packed_a, k.packed_b, k.n,
                                  k.scratch);
    rig_expect_bits(r, "db skipped", rig_read(r, &k.db), db_before.x, k.db.n);
    r->be.adapter_backward_weight(&r->be, NULL, k.db.dev, k.dy.dev, k.x.dev, k.packed_a, k.packed_b, k.n,
                                  k.scratch);
    rig_expect_sum(r, "da", rig_read(r, &k.da), da_before.x, da, k.da.n);
    rig_expect_sum(r, "db", rig_read(r, &k.db), db_before.x, db, k.db.n);
}

/* As for the linear op: decoding must not depend on the batch. */
ON_EVERY_TYPE(adapter, few_rows_have_the_same_bits_in_any_batch) {
    adapter k = make(r, 2);
    forward(r, &k);
    residual(r, &k);
    const float *y = rig_read(r, &k.y), *stream = rig_read(r, &k.stream);
    for (k.n.M = 1; k.n.M < AE_LINEAR_FEW; k.n.M++) {
        rig_write(r, &k.y);
        rig_write(r, &k.stream);
        forward(r, &k);
        residual(r, &k);
        rig_expect_bits(r, "y", rig_read(r, &k.y), y, k.n.M * k.n.O);
        rig_expect_bits(r, "stream", rig_read(r, &k.stream), stream, k.n.M * k.n.O);
    }
}

ON_EVERY_BACKEND(adapter, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        adapter k = make(r, i);
        rig_expect_same_on_threads(r, "forward", forward, &k, &k.y, 1);
        rig_expect_same_on_threads(r, "residual", residual, &k, &k.stream, 1);
        rig_expect_same_on_threads(r, "backward", backward, &k, (rig_array[]){k.dx, k.da, k.db}, 3);
    }
}
