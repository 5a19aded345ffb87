#include "tests/ops/rig.h"

#include <stdio.h>

/* In bfloat16 activations are rounded by up to 2^-8, h before backward reads it. */
enum { FORWARD, BACKWARD, CLIPPED };
static double tolerance(const rig *r, int of) {
    static const double f32[] = {2e-6, 1e-5, 1e-4}, bf16[] = {0x1p-8, 0x1p-7, 0x1p-7};
    return rig_tolerance(r, f32[of], bf16[of]);
}

/* Lengths around time blocks of 256, channels beside the vector width, one sequence and many. */
static const ae_rglru_dims sizes[] = {{1, 1, 1},   {1, 2, 5},   {2, 3, 16},   {3, 4, 17},
                                      {7, 5, 3},   {1, 7, 40},  {1, 255, 5},  {2, 256, 17},
                                      {1, 257, 1}, {1, 513, 9}, {4, 64, 130}, {1, 1025, 3}};

typedef struct {
    ae_rglru_dims n;
    rig_ints positions;
    rig_array u, gate_i, gate_r, p, h, dh, du, dgate_i, dgate_r, dp;
    rig_array state; /* before the call; none without a `dev` */
} scan;

/* p between -7 (a decay of 0.1 % a step and less) and 1 (nothing is left after one). */
static rig_array decays(rig *r, ptrdiff_t C) {
    float *p = rig_host(r, (size_t)C * sizeof *p);
    for (ptrdiff_t c = 0; c < C; c++) p[c] = (float)(8 * rig_random(r) - 7);
    return rig_values(r, p, C);
}

static scan make(rig *r, ae_rglru_dims n, rig_layout layout) {
    rig_next(r, "B %td T %td C %td layout %d", n.B, n.T, n.C, (int)layout);
    const ptrdiff_t all = n.B * n.T * n.C;
    return (scan){n,
                  rig_positions(r, layout, n.B, n.T),
                  rig_act_normal(r, 1, all),
                  rig_act_normal(r, 2, all),
                  rig_act_normal(r, 2, all),
                  decays(r, n.C),
                  rig_act_output(r, all),
                  rig_act_normal(r, 1, all),
                  rig_act_output(r, all),
                  rig_act_output(r, all),
                  rig_act_output(r, all),
                  rig_zeros(r, n.C),
                  {0}};
}

static double complex loss(void *context) {
    scan *k = context;
    cref_rglru(k->h.c, k->state.c, k->u.c, k->gate_i.c, k->gate_r.c, k->p.c, k->positions.x, k->n.B, k->n.T,
               k->n.C);
    return rig_dot(k->dh.d, k->h.c, k->h.n);
}

static void reference(scan *k) {
    ref_rglru(k->h.d, NULL, k->u.d, k->gate_i.d, k->gate_r.d, k->p.d, k->positions.x, k->n.B, k->n.T, k->n.C);
}

static void forward(rig *r, void *context) {
    scan *k = context;
    r->be.rglru_forward(&r->be, k->h.dev, k->state.dev, k->u.dev, k->gate_i.dev, k->gate_r.dev, k->p.dev,
                        k->positions.dev, k->n);
}

static void backward(rig *r, void *context) {
    scan *k = context;
    r->be.rglru_backward(&r->be, k->du.dev, k->dgate_i.dev, k->dgate_r.dev, k->dp.dev, k->dh.dev, k->u.dev,
                         k->gate_i.dev, k->gate_r.dev, k->h.dev, k->state.dev, k->p.dev, k->positions.dev,
                         k->n);
}

/* Every size in float32, some in bfloat16. */
static size_t stride(const rig *r) {
    return r->bf16 ? 3 : 1;
}

ON_EVERY_TYPE(rglru, forward_is_the_reference) {
    for (size_t i = 0; i < COUNT(sizes); i += stride(r))
        for (rig_layout layout = RIG_ONE; layout < RIG_LAYOUTS; layout++) {
            scan k = make(r, sizes[i], layout);
            forward(r, &k);
            reference(&k);
            rig_expect(r, "h", rig_read(r, &k.h), k.h.d, k.h.n, tolerance(r, FORWARD));
        }
}

static void expect_gradients(rig *r, scan *k, double allowed) {
    forward(r, k);
    if (k->state.dev) rig_write(r, &k->state); /* forward has replaced it */
    backward(r, k);
    rig_expect_gradient(r, "du", rig_read(r, &k->du), &k->u, loss, k, allowed);
    rig_expect_gradient(r, "dgate_i", rig_read(r, &k->dgate_i), &k->gate_i, loss, k, allowed);
    rig_expect_gradient(r, "dgate_r", rig_read(r, &k->dgate_r), &k->gate_r, loss, k, allowed);
    if (k->n.C == 1) r->floor = 0.3; /* one sum, whose terms may cancel */
    rig_expect_gradient(r, "dp", rig_read(r, &k->dp), &k->p, loss, k, allowed);
    r->floor = RIG_FLOOR;
}

ON_EVERY_TYPE(rglru, backward_is_the_complex_step) {
    for (size_t i = 0; i < COUNT(sizes); i += stride(r))
        for (rig_layout layout = RIG_ONE; layout < RIG_LAYOUTS; layout++) {
            if (sizes[i].T > 50 && (layout == RIG_SINGLE || layout == RIG_SHORT)) continue;
            scan k = make(r, sizes[i], layout);
            expect_gradients(r, &k, tolerance(r, BACKWARD));
        }
}

/* Rows that go on with a state; where a row begins a document the state is NaN, which nobody looks at. */
ON_EVERY_BACKEND(rglru, backward_from_a_state_is_the_complex_step) {
    static const rig_layout layouts[] = {RIG_MIDDLE, RIG_LONG};
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (size_t j = 0; j < COUNT(layouts); j++) {
            scan k = make(r, sizes[i], layouts[j]);
            k.state = rig_normal(r, 1, k.n.B * k.n.C);
            for (ptrdiff_t at = 0; at < k.state.n; at++)
                if (k.positions.x[at / k.n.C * k.n.T] == 0) k.state.x[at] = NAN;
            rig_write(r, &k.state);
            expect_gradients(r, &k, tolerance(r, BACKWARD));
        }
}

/* Gates that close: m is small enough for the clip, or 0 in float32. */
static scan closed(rig *r, double gate, float p) {
    const ae_rglru_dims n = {2, 3, 17};
    scan k = make(r, n, RIG_ONE);
    (void)snprintf(r->where, sizeof r->where, "gate_r about %g, p %g", gate, (double)p);
    for (ptrdiff_t i = 0; i < k.gate_r.n; i++) k.gate_r.x[i] = (float)(gate + rig_random(r));
    for (ptrdiff_t c = 0; c < n.C; c++) k.p.x[c] = p;
    k.gate_r = rig_act_values(r, k.gate_r.x, k.gate_r.n);
    k.p = rig_values(r, k.p.x, n.C);
    return k;
}

ON_EVERY_TYPE(rglru, gates_that_close_clip_the_derivative) {
    static const struct {
        double gate;
        float p;
    } cases[] = {{-19, 0},  {-1, -18}, {-1, -30}, {-30, 0},    {-60, -1},
                 {-3, -60}, {-200, 0}, {0, -200}, {-200, -200}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        scan k = closed(r, cases[i].gate, cases[i].p);
        expect_gradients(r, &k, tolerance(r, CLIPPED));
    }
}

/* Two steps of one channel, worked out: r = sigmoid(-19), softplus(0) = ln 2. There 1/(2m) is 2006, so it counts as 1000. */
ON_EVERY_BACKEND(rglru, clipped_derivative_by_hand) {
    rig_next(r, "by hand");
    const ae_rglru_dims n = {1, 2, 1};
    const float u[] = {0.5f, 2}, zero[] = {0, 0}, shut[] = {0, -19}, dh[] = {0, 1};
    const int32_t positions[] = {0, 1};
    scan k = {n,
              rig_numbers(r, positions, 2),
              rig_values(r, u, 2),
              rig_values(r, zero, 2),
              rig_values(r, shut, 2),
              rig_values(r, zero, 1),
              rig_output(r, 2),
              rig_values(r, dh, 2),
              rig_output(r, 2),
              rig_output(r, 2),
              rig_output(r, 2),
              rig_zeros(r, 1),
              {0}};
    forward(r, &k);
    backward(r, &k);
    const double rate = 5.602796406145941e-9, ln2 = 0.6931471805599453; /* sigmoid(-19) */
    const double log_a = -8 * rate * ln2, m = sqrt(-2 * log_a);         /* to 3e-8 */
    cr_assert(1 / (2 * m) > 1000);
    const double dlog_a = 0.25 - 2 * 1000 * 0.5 * 2; /* h0 - 2 a^2 1000 i u, a = 1 to 3e-8 */
    const double want_h[] = {0.25, 0.25 + m}, want_du[] = {0.5, 0.5 * m}, want_di[] = {0.125, 0.5 * m};
    const double want_dr[] = {0, -8 * ln2 * dlog_a * rate}, want_dp[] = {-8 * rate * dlog_a * 0.5};
    rig_expect(r, "h", rig_read(r, &k.h), want_h, 2, 1e-6);
    rig_expect(r, "du", rig_read(r, &k.du), want_du, 2, 1e-6);
    rig_expect(r, "dgate_i", rig_read(r, &k.dgate_i), want_di, 2, 1e-6);
    rig_expect(r, "dgate_r", rig_read(r, &k.dgate_r), want_dr, 2, 2e-6);
    rig_expect(r, "dp", rig_read(r, &k.dp), want_dp, 1, 2e-6);
}

/* The state is carried without loss where nothing decays: 1 - a^2 is not lost near a = 1. */
ON_EVERY_TYPE(rglru, slow_channels_keep_their_digits) {
    scan k = make(r, (ae_rglru_dims){1, 300, 5}, RIG_ONE);
    const float slow[] = {-9, -11, -13, -15, -17};
    k.p = rig_values(r, slow, 5);
    forward(r, &k);
    reference(&k);
    rig_expect(r, "h", rig_read(r, &k.h), k.h.d, k.h.n, tolerance(r, FORWARD));
}

ON_EVERY_TYPE(rglru, overlaps_change_nothing_and_dp_accumulates) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        scan k = make(r, sizes[i], RIG_LONG);
        forward(r, &k);
        backward(r, &k);
        const float *du = rig_read(r, &k.du), *di = rig_read(r, &k.dgate_i), *dr = rig_read(r, &k.dgate_r);
        const float *dp = rig_read(r, &k.dp);
        r->be.rglru_backward(&r->be, k.du.dev, k.dgate_i.dev, k.dgate_r.dev, NULL, k.dh.dev, k.u.dev,
                             k.gate_i.dev, k.gate_r.dev, k.h.dev, NULL, k.p.dev, k.positions.dev, k.n);
        rig_expect_bits(r, "du without dp", rig_read(r, &k.du), du, k.du.n);
        rig_expect_bits(r, "dp left alone", rig_read(r, &k.dp), dp, k.dp.n);
        k.dp = rig_normal(r, 1, k.dp.n);
        k.dgate_i.dev = k.gate_i.dev;
        k.dgate_r.dev = k.gate_r.dev;
        backward(r, &k);
        rig_expect_bits(r, "du", rig_read(r, &k.du), du, k.du.n);
        rig_expect_bits(r, "dgate_i in place", rig_read(r, &k.dgate_i), di, k.du.n);
        rig_expect_bits(r, "dgate_r in place", rig_read(r, &k.dgate_r), dr, k.du.n);
        rig_expect_sum(r, "dp", rig_read(r, &k.dp), k.dp.x, dp, k.dp.n);
    }
}

/* One call over [from, from + T) with a state; what it gives stands in the rows h. */
static void step(rig *r, scan *k, const rig_array *state, ptrdiff_t from, ptrdiff_t T, float *h) {
    const ae_rglru_dims n = k->n;
    const rig_array u = rig_cut(r, &k->u, n.B, n.T, from, T),
                    gate_i = rig_cut(r, &k->gate_i, n.B, n.T, from, T);
    const rig_array gate_r = rig_cut(r, &k->gate_r, n.B, n.T, from, T), out = rig_act_output(r, u.n);
    const rig_ints positions = rig_cut_numbers(r, &k->positions, n.B, n.T, from, T);
    r->be.rglru_forward(&r->be, out.dev, state->dev, u.dev, gate_i.dev, gate_r.dev, k->p.dev, positions.dev,
                        (ae_rglru_dims){n.B, T, n.C});
    rig_paste(h, rig_read(r, &out), n.B, n.T, from, T, n.C);
}

/* The state before the first call is NaN: a document's start does not look at it. */
ON_EVERY_BACKEND(rglru, two_calls_with_a_state_are_one) {
    static const ae_rglru_dims split[] = {{1, 2, 1}, {2, 5, 17}, {3, 7, 16}, {1, 9, 40}};
    for (size_t i = 0; i < COUNT(split); i++)
        for (rig_layout layout = RIG_ONE; layout < RIG_MIDDLE; layout++)
            for (ptrdiff_t cut = 1; cut < split[i].T; cut++) {
                scan k = make(r, split[i], layout);
                forward(r, &k);
                const float *one_call = rig_read(r, &k.h);
                const rig_array state = rig_output(r, k.n.B * k.n.C);
                float *h = rig_host(r, (size_t)k.h.n * sizeof *h);
                step(r, &k, &state, 0, cut, h);
                step(r, &k, &state, cut, k.n.T - cut, h);
                rig_expect_bits(r, "h in two calls", h, one_call, k.h.n);
                const float *last = rig_read(r, &state);
                for (ptrdiff_t b = 0; b < k.n.B; b++)
                    rig_expect_bits(r, "state", last + b * k.n.C, h + ((b + 1) * k.n.T - 1) * k.n.C, k.n.C);
            }
}

/* Decoding: the bits of a sequence are the same however many there are, and start from a given state. */
ON_EVERY_BACKEND(rglru, a_step_from_a_state) {
    scan k = make(r, (ae_rglru_dims){5, 1, 40}, RIG_ONE);
    const int32_t positions[] = {1, 7, 0, 3, 100000};
    k.positions = rig_numbers(r, positions, 5);
    rig_array state = rig_normal(r, 1, k.h.n);
    r->be.rglru_forward(&r->be, k.h.dev, state.dev, k.u.dev, k.gate_i.dev, k.gate_r.dev, k.p.dev,
                        k.positions.dev, k.n);
    ref_rglru(k.h.d, state.d, k.u.d, k.gate_i.d, k.gate_r.d, k.p.d, positions, 5, 1, 40);
    const float *h = rig_read(r, &k.h);
    rig_expect(r, "h", h, k.h.d, k.h.n, tolerance(r, FORWARD));
    rig_expect_bits(r, "state", rig_read(r, &state), h, k.h.n);
    for (k.n.B = 1; k.n.B < 5; k.n.B++) {
        rig_write(r, &state);
        r->be.rglru_forward(&r->be, k.h.dev, state.dev, k.u.dev, k.gate_i.dev, k.gate_r.dev, k.p.dev,
                            k.positions.dev, k.n);
        rig_expect_bits(r, "h of fewer", rig_read(r, &k.h), h, k.n.B * k.n.C);
    }
}

/* Change one document: its neighbour keeps its bits. */
ON_EVERY_TYPE(rglru, documents_do_not_leak) {
    scan k = make(r, (ae_rglru_dims){1, 40, 17}, RIG_ONE);
    int32_t positions[40];
    for (int t = 0; t < 40; t++) positions[t] = t < 19 ? t : t - 19;
    k.positions = rig_numbers(r, positions, 40);
    const ptrdiff_t second = 19 * k.n.C;
    forward(r, &k);
    const float *before = rig_read(r, &k.h);
    for (ptrdiff_t i = 0; i < second; i++) k.u.x[i] = 100 - 50 * k.u.x[i];
    rig_write(r, &k.u);
    forward(r, &k);
    rig_expect_bits(r, "h of the second document", rig_read(r, &k.h) + second, before + second,
                    k.h.n - second);
}

ON_EVERY_TYPE(rglru, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        scan k = make(r, sizes[i], RIG_LONG);
        rig_expect_same_on_threads(r, "forward", forward, &k, &k.h, 1);
        forward(r, &k);
        rig_expect_same_on_threads(r, "backward", backward, &k,
                                   (rig_array[]){k.du, k.dgate_i, k.dgate_r, k.dp}, 4);
    }
}
