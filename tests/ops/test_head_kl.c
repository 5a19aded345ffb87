#include "tests/ops/rig.h"

/* The exact divergence of two output layers. */

typedef struct {
    ptrdiff_t M, V, D_p, D_q;
    float cap_p, cap_q;
} size;
static const size sizes[] = {{1, 2, 1, 1, 0, 0},        {2, 7, 5, 3, 30, 30},     {3, 16, 16, 24, 2, 0},
                             {5, 33, 17, 17, 0, 30},    {9, 513, 8, 9, 5, 30},    {64, 130, 5, 12, 0, 0},
                             {257, 65, 9, 4, 30, 1.5f}, {17, 1501, 16, 7, 30, 30}};
static const float temperatures[] = {0.7f, 1, 1.3f};
static const ae_kl_direction directions[] = {AE_KL_P_Q, AE_KL_Q_P};

/* As in test_head_logprobs.c. */
enum { FORWARD, BACKWARD };
static double tolerance(const rig *r, int of) {
    static const double f32[] = {[FORWARD] = 3e-6, [BACKWARD] = 1.5e-5};
    return rig_tolerance(r, f32[of], of == BACKWARD ? 0x1p-6 : f32[of]);
}

typedef struct {
    rig_array z, table;
    ae_head_side side;
} model;

typedef struct {
    size n;
    float temperature;
    ae_kl_direction direction;
    model p, q;
    rig_array weights, kl, dz, dtable;
    ae_room scratch;
} divergence;

static model model_of(rig *r, ptrdiff_t M, ptrdiff_t V, ptrdiff_t D, float cap) {
    model m = {rig_act_normal(r, 1, M * D), rig_weights(r, 1, V * D), {.D = D, .cap = cap}};
    m.side.z = m.z.dev;
    m.side.table = rig_pack(r, m.table.dev, V, D);
    return m;
}

/* A third 0, the others of both signs and beyond 1. */
static rig_array weights_for(rig *r, ptrdiff_t M) {
    float *w = rig_host(r, (size_t)M * sizeof *w);
    for (ptrdiff_t m = 0; m < M; m++) w[m] = rig_random(r) > 0.33 ? (float)(6 * rig_random(r) - 3) : 0.0f;
    w[0] = -2;
    return rig_values(r, w, M);
}

static divergence make(rig *r, size n, float temperature, ae_kl_direction direction) {
    rig_next(r, "M %td V %td D %td %td cap %g %g T %g direction %d", n.M, n.V, n.D_p, n.D_q, (double)n.cap_p,
             (double)n.cap_q, (double)temperature, (int)direction);
    return (divergence){n,
                        temperature,
                        direction,
                        model_of(r, n.M, n.V, n.D_p, n.cap_p),
                        model_of(r, n.M, n.V, n.D_q, n.cap_q),
                        weights_for(r, n.M),
                        rig_output(r, n.M),
                        rig_act_output(r, n.M * n.D_p),
                        rig_zeros(r, n.V * n.D_p),
                        rig_room(r, r->be.head_kl_scratch_bytes(&r->be, n.M, n.V, n.D_p, n.D_q))};
}

static void forward(rig *r, void *context) {
    divergence *k = context;
    r->be.head_kl(&r->be, k->kl.dev, k->direction, &k->p.side, &k->q.side, k->weights.dev, k->temperature,
                  k->n.M, k->n.V, k->scratch);
}

static void backward_adding(rig *r, divergence *k, bool add) {
    r->be.head_kl_backward(&r->be, k->dz.dev, k->dtable.dev, add, k->direction, &k->p.side, &k->q.side,
                           k->weights.dev, k->temperature, k->n.M, k->n.V, k->scratch);
}

static void backward(rig *r, void *context) {
    backward_adding(r, context, false);
}

static double complex objective(void *context) {
    divergence *k = context;
    const cref_head_side p = {k->p.z.c, k->p.table.c, k->n.D_p, (double)k->n.cap_p},
                         q = {k->q.z.c, k->q.table.c, k->n.D_q, (double)k->n.cap_q};
    const bool of_p = k->direction == AE_KL_P_Q;
    cref_head_kl(k->kl.c, of_p ? p : q, of_p ? q : p, (double)k->temperature, k->n.M, k->n.V);
    return rig_dot(k->weights.d, k->kl.c, k->n.M);
}

static void reference(divergence *k) {
    const ref_head_side p = {k->p.z.d, k->p.table.d, k->n.D_p, (double)k->n.cap_p},
                        q = {k->q.z.d, k->q.table.d, k->n.D_q, (double)k->n.cap_q};
    const bool of_p = k->direction == AE_KL_P_Q;
    ref_head_kl(k->kl.d, of_p ? p : q, of_p ? q : p, (double)k->temperature, k->n.M, k->n.V);
    for (ptrdiff_t m = 0; m < k->n.M; m++)
        if (k->weights.x[m] == 0.0f) k->kl.d[m] = 0;
}

#define EVERY_CASE(i, t, d)                                                                                  \
    for (size_t i = 0; i < COUNT(sizes); i++)                                                                \
        for (size_t t = 0; t < COUNT(temperatures); t++)                                                     \
            for (size_t d = 0; d < COUNT(directions); d++)

/* Both directions of every size, with a temperature for each. */
#define EVERY_SIZE(i, t, d)                                                                                  \
    for (size_t i = 0; i < COUNT(sizes); i++)                                                                \
        for (size_t d = 0; d < COUNT(directions); d++)                                                       \
            for (size_t t = (i + d) % COUNT(temperatures), once = 1; once; once = 0)

ON_EVERY_TYPE(head_kl, divergence_is_the_reference) {
    EVERY_CASE(i, t, d) {
        divergence k = make(r, sizes[i], temperatures[t], directions[d]);
        reference(&k);
        forward(r, &k);
        rig_expect(r, "kl", rig_read(r, &k.kl), k.kl.d, k.n.M, tolerance(r, FORWARD));
    }
}

/* Every case of the small sizes. */
ON_EVERY_TYPE(head_kl, backward_is_the_complex_step) {
    EVERY_CASE(i, t, d) {
        if (sizes[i].M > 3 && (i + d) % COUNT(temperatures) != t) continue;
        divergence k = make(r, sizes[i], temperatures[t], directions[d]);
        backward(r, &k);
        rig_expect_gradient(r, "dz", rig_read(r, &k.dz), &k.p.z, objective, &k, tolerance(r, BACKWARD));
        rig_expect_gradient(r, "dtable", rig_read(r, &k.dtable), &k.p.table, objective, &k,
                            tolerance(r, BACKWARD));
    }
}

ON_EVERY_TYPE(head_kl, equal_models_do_not_diverge) {
    EVERY_SIZE(i, t, d) {
        size n = sizes[i];
        n.D_q = n.D_p;
        n.cap_q = n.cap_p;
        divergence k = make(r, n, temperatures[t], directions[d]);
        k.q = k.p;
        forward(r, &k);
        backward(r, &k);
        const float *kl = rig_read(r, &k.kl), *dz = rig_read(r, &k.dz);
        for (ptrdiff_t m = 0; m < n.M; m++) cr_assert(kl[m] == 0.0f, "%s: %g", r->where, (double)kl[m]);
        for (ptrdiff_t j = 0; j < k.dz.n; j++) cr_assert(dz[j] == 0.0f, "%s: %g", r->where, (double)dz[j]);
    }
}

/* Models that have just parted: q is p and a thousandth of noise. */
ON_EVERY_TYPE(head_kl, near_models_diverge_little) {
    for (size_t d = 0; d < COUNT(directions); d++) {
        divergence k = make(r, (size){40, 300, 24, 24, 30, 30}, 1, directions[d]);
        for (ptrdiff_t j = 0; j < k.q.z.n; j++) k.q.z.x[j] = k.p.z.x[j] + 1e-3f * k.q.z.x[j];
        k.q.z = rig_act_values(r, k.q.z.x, k.q.z.n);
        k.q.table = rig_values(r, k.p.table.x, k.p.table.n);
        k.q.side = k.p.side;
        k.q.side.z = k.q.z.dev;
        r->floor = 1; /* an error in nats */
        reference(&k);
        forward(r, &k);
        rig_expect(r, "kl", rig_read(r, &k.kl), k.kl.d, k.n.M, 5e-7);
    }
}

ON_EVERY_TYPE(head_kl, gradients_add_up) {
    EVERY_SIZE(i, t, d) {
        divergence k = make(r, sizes[i], temperatures[t], directions[d]);
        const ptrdiff_t D = k.n.D_p;
        backward(r, &k);
        const float *dz = rig_read(r, &k.dz), *dtable = rig_read(r, &k.dtable);
        k.dz = rig_act_normal(r, 1, k.dz.n);
        k.dtable = rig_normal(r, 1, k.dtable.n);
        backward_adding(r, &k, true);
        const float *sum = rig_read(r, &k.dz);
        double *want = rig_host(r, (size_t)k.dz.n * sizeof *want);
        for (ptrdiff_t j = 0; j < k.dz.n; j++) want[j] = (double)k.dz.x[j] + (double)dz[j];
        rig_expect(r, "dz", sum, want, k.dz.n, rig_tolerance(r, 1e-6, 0x1p-7));
        for (ptrdiff_t m = 0; m < k.n.M; m++)
            if (k.weights.x[m] == 0.0f) rig_expect_bits(r, "dz of masked", sum + m * D, k.dz.x + m * D, D);
        rig_expect_sum(r, "dtable", rig_read(r, &k.dtable), k.dtable.x, dtable, k.dtable.n);
        k.dtable.dev = NULL;
        backward(r, &k);
        rig_expect_bits(r, "dz without dtable", rig_read(r, &k.dz), dz, k.dz.n);
    }
}

ON_EVERY_TYPE(head_kl, bits_do_not_depend_on_threads) {
    EVERY_SIZE(i, t, d) {
        divergence k = make(r, sizes[i], temperatures[t], directions[d]);
        rig_expect_same_on_threads(r, "forward", forward, &k, &k.kl, 1);
        rig_expect_same_on_threads(r, "backward", backward, &k, (rig_array[]){k.dz, k.dtable}, 2);
    }
}

ON_EVERY_TYPE(head_kl, scratch_for_more_rows_holds_fewer) {
    size_t before = 0;
    for (ptrdiff_t M = 1; M < 4000; M += 13) {
        const size_t bytes = r->be.head_kl_scratch_bytes(&r->be, M, 32000, 8, 12);
        cr_assert_geq(bytes, before, "M %td", M);
        before = bytes;
    }
    divergence k = make(r, (size){512, 32000, 2, 3, 0, 30}, 1, AE_KL_P_Q);
    k.n.M = 393;
    reference(&k);
    forward(r, &k);
    rig_expect(r, "kl", rig_read(r, &k.kl), k.kl.d, k.n.M, tolerance(r, FORWARD));
}
