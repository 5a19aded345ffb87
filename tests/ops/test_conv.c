#include "tests/ops/rig.h"

#include <math.h>

/* Of activations, and of gradients that stay in float32; in bfloat16 the former are rounded by up to 2^-8. */
enum { FORWARD, BACKWARD, SUMMED };
static double tolerance(const rig *r, int of) {
    static const double f32[] = {1e-6, 3e-6, 3e-6}, bf16[] = {0x1p-8, 0x1p-7, 3e-6};
    return rig_tolerance(r, f32[of], bf16[of]);
}

/* Lengths around the taps and around row blocks of 256, channels beside the vector width. */
static const ae_conv_dims sizes[] = {{1, 1, 1, 4},   {1, 2, 5, 4},   {2, 3, 5, 4},   {3, 4, 16, 4},
                                     {2, 5, 17, 4},  {1, 7, 40, 4},  {2, 9, 3, 1},   {2, 9, 5, 2},
                                     {1, 12, 33, 7}, {1, 255, 5, 4}, {2, 256, 3, 4}, {1, 257, 17, 4},
                                     {1, 513, 1, 4}, {5, 64, 24, 4}, {2, 21, 35, 4}};

typedef struct {
    ae_conv_dims n;
    rig_ints positions;
    rig_array x, w, bias, y, dy, dx, dw, dbias;
    rig_array past; /* the inputs before the call; none without a `dev` */
} taps;

static taps make(rig *r, ae_conv_dims n, rig_layout layout) {
    rig_next(r, "B %td T %td C %td K %td layout %d", n.B, n.T, n.C, n.K, (int)layout);
    const ptrdiff_t M = n.B * n.T;
    return (taps){n,
                  rig_positions(r, layout, n.B, n.T),
                  rig_act_normal(r, 1, M * n.C),
                  rig_normal(r, 1, n.C * n.K),
                  rig_normal(r, 1, n.C),
                  rig_act_output(r, M * n.C),
                  rig_act_normal(r, 1, M * n.C),
                  rig_act_output(r, M * n.C),
                  rig_zeros(r, n.C * n.K),
                  rig_zeros(r, n.C),
                  {0}};
}

static double complex loss(void *context) {
    taps *k = context;
    cref_conv(k->y.c, k->past.c, k->x.c, k->w.c, k->bias.c, k->positions.x, k->n.B, k->n.T, k->n.C, k->n.K);
    return rig_dot(k->dy.d, k->y.c, k->y.n);
}

static void forward(rig *r, void *context) {
    taps *k = context;
    r->be.conv_forward(&r->be, k->y.dev, NULL, k->x.dev, k->w.dev, k->bias.dev, k->positions.dev, k->n);
}

static void backward(rig *r, void *context) {
    taps *k = context;
    r->be.conv_backward(&r->be, k->dx.dev, k->dw.dev, k->dbias.dev, k->dy.dev, k->x.dev, k->past.dev,
                        k->w.dev, k->positions.dev, k->n);
}

ON_EVERY_TYPE(conv, forward_is_the_reference) {
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (rig_layout layout = RIG_ONE; layout < RIG_LAYOUTS; layout++) {
            taps k = make(r, sizes[i], layout);
            forward(r, &k);
            ref_conv(k.y.d, NULL, k.x.d, k.w.d, k.bias.d, k.positions.x, k.n.B, k.n.T, k.n.C, k.n.K);
            rig_expect(r, "y", rig_read(r, &k.y), k.y.d, k.y.n, tolerance(r, FORWARD));
        }
}

/* Sums over all places. The terms of one channel may cancel, so its errors are held against the size of such a sum. */
static void expect_sums(rig *r, taps *k) {
    if (k->n.C == 1) r->floor = sqrt((double)(k->n.B * k->n.T)) / 4;
    rig_expect_gradient(r, "dw", rig_read(r, &k->dw), &k->w, loss, k, tolerance(r, SUMMED));
    rig_expect_gradient(r, "dbias", rig_read(r, &k->dbias), &k->bias, loss, k, tolerance(r, SUMMED));
    r->floor = RIG_FLOOR;
}

ON_EVERY_TYPE(conv, backward_is_the_complex_step) {
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (rig_layout layout = RIG_ONE; layout < RIG_LAYOUTS; layout++) {
            taps k = make(r, sizes[i], layout);
            backward(r, &k);
            rig_expect_gradient(r, "dx", rig_read(r, &k.dx), &k.x, loss, &k, tolerance(r, BACKWARD));
            expect_sums(r, &k);
        }
}

/* Rows at positions 0, 1, 2, ... with the inputs before them; those of another document are NaN. */
static void spoil_unseen(rig *r, taps *k) {
    const ptrdiff_t keep = k->n.K - 1;
    for (ptrdiff_t b = 0; b < k->n.B; b++)
        for (ptrdiff_t i = 0; i < (keep - k->positions.x[b * k->n.T]) * k->n.C; i++)
            k->past.x[b * keep * k->n.C + i] = NAN;
    rig_write(r, &k->past);
}

ON_EVERY_TYPE(conv, backward_from_a_state_is_the_complex_step) {
    static const rig_layout layouts[] = {RIG_MIDDLE, RIG_LONG};
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (size_t j = 0; j < COUNT(layouts); j++) {
            if (sizes[i].K == 1) continue;
            taps k = make(r, sizes[i], layouts[j]);
            k.past = rig_normal(r, 1, k.n.B * (k.n.K - 1) * k.n.C);
            spoil_unseen(r, &k);
            backward(r, &k);
            rig_expect_gradient(r, "dx", rig_read(r, &k.dx), &k.x, loss, &k, tolerance(r, BACKWARD));
            expect_sums(r, &k);
        }
}

ON_EVERY_TYPE(conv, gradients_accumulate_and_null_is_skipped) {
    for (size_t i = 3; i < COUNT(sizes); i += 3) {
        taps k = make(r, sizes[i], RIG_LONG);
        backward(r, &k);
        const float *dx = rig_read(r, &k.dx), *dw = rig_read(r, &k.dw), *dbias = rig_read(r, &k.dbias);
        k.dw = rig_normal(r, 1, k.dw.n);
        k.dbias = rig_normal(r, 1, k.dbias.n);
        backward(r, &k);
        const float *sum = rig_read(r, &k.dw);
        rig_expect_sum(r, "dw", sum, k.dw.x, dw, k.dw.n);
        rig_expect_sum(r, "dbias", rig_read(r, &k.dbias), k.dbias.x, dbias, k.dbias.n);
        rig_expect_bits(r, "dx", rig_read(r, &k.dx), dx, k.dx.n);
        rig_write(r, &k.dw);
        r->be.conv_backward(&r->be, k.dx.dev, k.dw.dev, NULL, k.dy.dev, k.x.dev, NULL, k.w.dev,
                            k.positions.dev, k.n);
        rig_expect_bits(r, "dw without dbias", rig_read(r, &k.dw), sum, k.dw.n);
        rig_write(r, &k.dx);
        r->be.conv_backward(&r->be, k.dx.dev, NULL, NULL, k.dy.dev, k.x.dev, NULL, k.w.dev, k.positions.dev,
                            k.n);
        rig_expect_bits(r, "dx alone", rig_read(r, &k.dx), dx, k.dx.n);
    }
}

/* Two calls that hand over the state. What the state holds before a document's start is NaN. */
static void expect_split(rig *r, taps *k, ptrdiff_t cut) {
    const ae_conv_dims n = k->n;
    const rig_array state = rig_output(r, n.B * (n.K - 1) * n.C);
    float *y = rig_host(r, (size_t)k->y.n * sizeof *y);
    for (int part = 0; part < 2; part++) {
        const ptrdiff_t from = part ? cut : 0, T = part ? n.T - cut : cut;
        const rig_array x = rig_cut(r, &k->x, n.B, n.T, from, T), out = rig_act_output(r, x.n);
        const rig_ints positions = rig_cut_numbers(r, &k->positions, n.B, n.T, from, T);
        r->be.conv_forward(&r->be, out.dev, state.dev, x.dev, k->w.dev, k->bias.dev, positions.dev,
                           (ae_conv_dims){n.B, T, n.C, n.K});
        rig_paste(y, rig_read(r, &out), n.B, n.T, from, T, n.C);
    }
    rig_expect(r, "y in two calls", y, k->y.d, k->y.n, tolerance(r, FORWARD));
    const float *last = rig_read(r, &state);
    const ptrdiff_t kept = ae_min(n.K - 1, n.T) * n.C;
    for (ptrdiff_t b = 1; b <= n.B; b++)
        rig_expect_bits(r, "state", last + b * (n.K - 1) * n.C - kept, k->x.x + b * n.T * n.C - kept, kept);
}

ON_EVERY_TYPE(conv, two_calls_with_a_state_are_one) {
    static const ae_conv_dims split[] = {
        {1, 2, 5, 4}, {2, 4, 17, 4}, {3, 9, 16, 4}, {2, 9, 5, 2}, {1, 9, 40, 7}};
    for (size_t i = 0; i < COUNT(split); i++)
        for (rig_layout layout = RIG_ONE; layout < RIG_MIDDLE; layout++)
            for (ptrdiff_t cut = 1; cut < split[i].T; cut++) {
                taps k = make(r, split[i], layout);
                ref_conv(k.y.d, NULL, k.x.d, k.w.d, k.bias.d, k.positions.x, k.n.B, k.n.T, k.n.C, k.n.K);
                expect_split(r, &k, cut);
            }
}

/* A row at position p > 0 sees min(p, K-1) inputs of the state, a row at 0 none. */
ON_EVERY_TYPE(conv, state_is_read_as_far_as_the_document_reaches) {
    const ae_conv_dims n = {6, 2, 5, 4};
    taps k = make(r, n, RIG_ONE);
    int32_t positions[12];
    for (int b = 0; b < 6; b++)
        for (int t = 0; t < 2; t++) positions[b * 2 + t] = b + t;
    k.positions = rig_numbers(r, positions, 12);
    rig_array past = rig_normal(r, 1, n.B * (n.K - 1) * n.C);
    for (ptrdiff_t b = 0; b < 3; b++)
        for (ptrdiff_t unseen = 0; unseen < (n.K - 1 - b) * n.C; unseen++)
            past.x[b * (n.K - 1) * n.C + unseen] = NAN;
    rig_write(r, &past);
    r->be.conv_forward(&r->be, k.y.dev, past.dev, k.x.dev, k.w.dev, k.bias.dev, k.positions.dev, n);
    ref_conv(k.y.d, past.d, k.x.d, k.w.d, k.bias.d, positions, n.B, n.T, n.C, n.K);
    rig_expect(r, "y", rig_read(r, &k.y), k.y.d, k.y.n, tolerance(r, FORWARD));
}

ON_EVERY_TYPE(conv, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        taps k = make(r, sizes[i], RIG_LONG);
        rig_expect_same_on_threads(r, "forward", forward, &k, &k.y, 1);
        rig_expect_same_on_threads(r, "backward", backward, &k, (rig_array[]){k.dx, k.dw, k.dbias}, 3);
    }
}
