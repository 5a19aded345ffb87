#include "tests/ops/rig.h"

/* Log-probabilities and entropies at a temperature, and the gradient of a weighted sum of them. */

static const ae_head_dims sizes[] = {{1, 1, 2, 0},    {1, 5, 7, 30},     {2, 3, 5, 0},      {3, 16, 16, 2},
                                     {4, 17, 33, 0},  {5, 7, 17, 30},    {9, 8, 513, 1.5f}, {64, 5, 130, 0},
                                     {257, 9, 65, 5}, {17, 16, 1501, 30}};
static const float temperatures[] = {0.7f, 1, 1.3f};

/* Losses are float32 in either type. Gradients in float32 come to 1e-5 at worst: a tight cap, whose derivative 1 - tanh^2 cancels, and a law
 * that is nearly certain magnify the rounding of logits. */
enum { FORWARD, BACKWARD };
static double tolerance(const rig *r, int of) {
    static const double f32[] = {[FORWARD] = 1e-6, [BACKWARD] = 1.5e-5};
    return rig_tolerance(r, f32[of], of == BACKWARD ? 0x1p-6 : f32[of]);
}

/* Which of nll and entropy are weighted. */
typedef enum { TARGETS, ENTROPY, BOTH, SIDES } side;

typedef struct {
    ae_head_dims n;
    float temperature;
    bool with_entropy; /* entropy weights are given */
    rig_ints targets;
    rig_array z, table, weights, entropy_weights, logprobs, entropies, dz, dtable;
    ae_weight *packed;
    ae_room scratch;
} law;

/* A third 0, the others of both signs and beyond 1. */
static rig_array weights_for(rig *r, bool any, ptrdiff_t M) {
    float *w = rig_host(r, (size_t)M * sizeof *w);
    for (ptrdiff_t m = 0; m < M; m++)
        w[m] = any && rig_random(r) > 0.33 ? (float)(6 * rig_random(r) - 3) : 0.0f;
    if (any) w[0] = -2;
    return rig_values(r, w, M);
}

static law make(rig *r, ae_head_dims n, float temperature, side which) {
    rig_next(r, "M %td D %td V %td cap %g T %g of %d", n.M, n.D, n.V, (double)n.cap, (double)temperature,
             (int)which);
    law k = {n,
             temperature,
             which != TARGETS,
             rig_below(r, (int32_t)n.V, n.M),
             rig_act_normal(r, 1, n.M * n.D),
             rig_weights(r, 1, n.V * n.D),
             weights_for(r, which != ENTROPY, n.M),
             weights_for(r, which != TARGETS, n.M),
             rig_output(r, n.M),
             rig_output(r, n.M),
             rig_act_output(r, n.M * n.D),
             rig_zeros(r, n.V * n.D),
             NULL,
             rig_room(r, r->be.head_scratch_bytes(&r->be, n))};
    k.packed = rig_pack(r, k.table.dev, n.V, n.D);
    return k;
}

static void forward(rig *r, void *context) {
    law *k = context;
    r->be.head_logprobs(&r->be, k->logprobs.dev, k->entropies.dev, k->z.dev, k->packed, k->targets.dev,
                        k->weights.dev, k->temperature, k->n, k->scratch);
}

static void backward_adding(rig *r, law *k, bool add) {
    r->be.head_backward(&r->be, k->dz.dev, k->dtable.dev, add, k->z.dev, k->packed, k->targets.dev,
                        k->weights.dev, k->with_entropy ? k->entropy_weights.dev : NULL, k->temperature, k->n,
                        k->scratch);
}

static void backward(rig *r, void *context) {
    backward_adding(r, context, false);
}

static double complex objective(void *context) {
    law *k = context;
    const ae_head_dims n = k->n;
    cref_head_logprobs(k->logprobs.c, k->entropies.c, k->z.c, k->table.c, k->targets.x, (double)n.cap,
                       (double)k->temperature, n.M, n.D, n.V);
    return rig_dot(k->entropy_weights.d, k->entropies.c, n.M) - rig_dot(k->weights.d, k->logprobs.c, n.M);
}

/* 0 where the weight is 0. */
static void reference(law *k) {
    const ae_head_dims n = k->n;
    ref_head_logprobs(k->logprobs.d, k->entropies.d, k->z.d, k->table.d, k->targets.x, (double)n.cap,
                      (double)k->temperature, n.M, n.D, n.V);
    for (ptrdiff_t m = 0; m < n.M; m++)
        if (k->weights.x[m] == 0.0f) k->logprobs.d[m] = k->entropies.d[m] = 0;
}

ON_EVERY_TYPE(head_logprobs, log_probabilities_and_entropies_are_the_reference) {
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (size_t t = 0; t < COUNT(temperatures); t++) {
            law k = make(r, sizes[i], temperatures[t], BOTH);
            reference(&k);
            forward(r, &k);
            rig_expect(r, "log-probabilities", rig_read(r, &k.logprobs), k.logprobs.d, k.n.M,
                       tolerance(r, FORWARD));
            rig_expect(r, "entropies", rig_read(r, &k.entropies), k.entropies.d, k.n.M,
                       tolerance(r, FORWARD));
            const float *both = rig_read(r, &k.logprobs);
            k.entropies.dev = NULL;
            forward(r, &k);
            rig_expect_bits(r, "without entropies", rig_read(r, &k.logprobs), both, k.n.M);
        }
}

ON_EVERY_TYPE(head_logprobs, log_probabilities_at_1_are_the_bits_of_a_score) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        law k = make(r, sizes[i], 1, TARGETS);
        const rig_array nll = rig_output(r, k.n.M);
        r->be.head_score(&r->be, nll.dev, NULL, NULL, 0, k.z.dev, k.packed, k.targets.dev, k.weights.dev, k.n,
                         k.scratch);
        forward(r, &k);
        float *got = rig_read(r, &k.logprobs);
        for (ptrdiff_t m = 0; m < k.n.M; m++) got[m] = 0 - got[m];
        rig_expect_bits(r, "nll", got, rig_read(r, &nll), k.n.M);
    }
}

/* Small sizes with everything; of the others each with all temperatures and all sides, but not with each pair of them. */
ON_EVERY_TYPE(head_logprobs, backward_is_the_complex_step) {
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (size_t t = 0; t < COUNT(temperatures); t++)
            for (side which = TARGETS; which < SIDES; which++) {
                if (sizes[i].M > 3 && (i + t) % COUNT(temperatures) != which) continue;
                law k = make(r, sizes[i], temperatures[t], which);
                backward(r, &k);
                rig_expect_gradient(r, "dz", rig_read(r, &k.dz), &k.z, objective, &k, tolerance(r, BACKWARD));
                rig_expect_gradient(r, "dtable", rig_read(r, &k.dtable), &k.table, objective, &k,
                                    tolerance(r, BACKWARD));
            }
}

/* Below, near and above the cap at which weights are taken without a shift, and low temperatures, which sharpen the law. */
ON_EVERY_TYPE(head_logprobs, any_cap_and_temperature) {
    static const float caps[] = {0, 1, 30, 50, 1e6f}, sharp[] = {0.05f, 0.3f, 5};
    for (size_t i = 0; i < COUNT(caps); i++)
        for (size_t t = 0; t < COUNT(sharp); t++)
            for (side which = TARGETS; which < SIDES; which++) {
                law k = make(r, (ae_head_dims){7, 16, 100, caps[i]}, sharp[t], which);
                backward(r, &k);
                rig_expect_gradient(r, "dz", rig_read(r, &k.dz), &k.z, objective, &k,
                                    tolerance(r, BACKWARD) / (double)fminf(1, sharp[t]));
            }
}

ON_EVERY_TYPE(head_logprobs, backward_of_weights_is_that_of_the_loss) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        law k = make(r, sizes[i], 1, TARGETS);
        r->be.head_loss(&r->be, k.logprobs.dev, k.dz.dev, k.dtable.dev, k.z.dev, k.packed, k.targets.dev,
                        k.weights.dev, 1, k.n, k.scratch);
        const float *dz = rig_read(r, &k.dz), *dtable = rig_read(r, &k.dtable);
        rig_write(r, &k.dz);
        rig_write(r, &k.dtable);
        backward(r, &k);
        rig_expect_bits(r, "dz", rig_read(r, &k.dz), dz, k.dz.n);
        rig_expect_bits(r, "dtable", rig_read(r, &k.dtable), dtable, k.dtable.n);
    }
}

static bool counts(const law *k, ptrdiff_t m) {
    return k->weights.x[m] != 0.0f || k->entropy_weights.x[m] != 0.0f;
}

ON_EVERY_TYPE(head_logprobs, gradients_add_up) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        law k = make(r, sizes[i], 1.3f, BOTH);
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
            if (!counts(&k, m))
                rig_expect_bits(r, "dz of masked", sum + m * k.n.D, k.dz.x + m * k.n.D, k.n.D);
        rig_expect_sum(r, "dtable", rig_read(r, &k.dtable), k.dtable.x, dtable, k.dtable.n);
        k.dtable.dev = NULL;
        backward(r, &k);
        rig_expect_bits(r, "dz without dtable", rig_read(r, &k.dz), dz, k.dz.n);
    }
}

/* A masked token may hold anything; the others keep their bits, and its own gradient is 0. */
ON_EVERY_TYPE(head_logprobs, masked_tokens_do_not_leak) {
    law k = make(r, (ae_head_dims){40, 17, 65, 30}, 0.7f, BOTH);
    backward(r, &k);
    const float *dz = rig_read(r, &k.dz), *dtable = rig_read(r, &k.dtable);
    for (ptrdiff_t m = 0; m < k.n.M; m++)
        for (ptrdiff_t d = 0; d < k.n.D && !counts(&k, m); d++) {
            cr_assert(dz[m * k.n.D + d] == 0.0f);
            k.z.x[m * k.n.D + d] = 1000;
        }
    rig_write(r, &k.z);
    rig_write(r, &k.dtable);
    backward(r, &k);
    rig_expect_bits(r, "dz", rig_read(r, &k.dz), dz, k.dz.n);
    rig_expect_bits(r, "dtable", rig_read(r, &k.dtable), dtable, k.dtable.n);
}

ON_EVERY_TYPE(head_logprobs, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (side which = TARGETS; which < SIDES; which++) {
            if (which != BOTH && sizes[i].M < 64) continue; /* the sides take the same way through the work */
            law k = make(r, sizes[i], 0.7f, which);
            rig_expect_same_on_threads(r, "forward", forward, &k, (rig_array[]){k.logprobs, k.entropies}, 2);
            rig_expect_same_on_threads(r, "backward", backward, &k, (rig_array[]){k.dz, k.dtable}, 2);
        }
}
