#include "tests/ops/rig.h"

enum { FORWARD, BACKWARD, LOGITS };
/* Losses and logits are float32 in either type; gradients pass through logits' gradients and activations of 2^-9. */
static double tolerance(const rig *r, int of) {
    static const double f32[] = {[FORWARD] = 3e-6, [BACKWARD] = 1e-5, [LOGITS] = 3e-6};
    return rig_tolerance(r, f32[of], of == BACKWARD ? 0x1p-6 : f32[of]);
}

static const ae_head_dims sizes[] = {{1, 1, 2, 0},    {1, 5, 7, 30},   {2, 3, 5, 0},       {3, 16, 16, 2},
                                     {4, 17, 33, 0},  {5, 7, 17, 30},  {17, 40, 40, 30},   {31, 8, 513, 1.5f},
                                     {64, 5, 130, 0}, {257, 9, 65, 5}, {33, 16, 3001, 30}, {2, 5, 70001, 30}};

/* Which targets count. */
typedef enum { EVERY, MASKED, UNEQUAL, ONE, NONE, MASKS } mask;

typedef struct {
    ae_head_dims n;
    float grad_scale;
    rig_ints targets;
    rig_array z, table, weights, nll, dz, dtable;
    ae_weight *packed;
    ae_room scratch;
} head;

static float weight_of(rig *r, mask which, ptrdiff_t m) {
    switch (which) {
    case MASKED:
        return rig_random(r) < 0.5 ? 0.0f : 1.0f;
    case UNEQUAL:
        return rig_random(r) < 0.3 ? 0.0f : (float)rig_random(r);
    case ONE:
        return m == 0 ? 1.0f : 0.0f;
    case NONE:
        return 0.0f;
    default:
        return 1.0f;
    }
}

static head make(rig *r, ae_head_dims n, mask which) {
    rig_next(r, "M %td D %td V %td cap %g mask %d", n.M, n.D, n.V, (double)n.cap, (int)which);
    float *weights = rig_host(r, (size_t)n.M * sizeof *weights);
    for (ptrdiff_t m = 0; m < n.M; m++) weights[m] = weight_of(r, which, m);
    head k = {n,
              0.125f,
              rig_below(r, (int32_t)n.V, n.M),
              rig_act_normal(r, 1, n.M * n.D),
              rig_weights(r, 1, n.V * n.D),
              rig_values(r, weights, n.M),
              rig_output(r, n.M),
              rig_act_output(r, n.M * n.D),
              rig_zeros(r, n.V * n.D),
              NULL,
              rig_room(r, r->be.head_scratch_bytes(&r->be, n))};
    k.packed = rig_pack(r, k.table.dev, n.V, n.D);
    return k;
}

static double complex loss(void *context) {
    head *k = context;
    const ae_head_dims n = k->n;
    cref_head(k->nll.c, k->z.c, k->table.c, k->targets.x, k->weights.x, (double)n.cap, n.M, n.D, n.V);
    return (double)k->grad_scale * rig_dot(k->weights.d, k->nll.c, n.M);
}

static void train(rig *r, void *context) {
    head *k = context;
    r->be.head_loss(&r->be, k->nll.dev, k->dz.dev, k->dtable.dev, k->z.dev, k->packed, k->targets.dev,
                    k->weights.dev, k->grad_scale, k->n, k->scratch);
}

static void score(rig *r, void *context) {
    head *k = context;
    r->be.head_score(&r->be, k->nll.dev, NULL, NULL, 0, k->z.dev, k->packed, k->targets.dev, k->weights.dev,
                     k->n, k->scratch);
}

static void reference(head *k) {
    ref_head(k->nll.d, k->z.d, k->table.d, k->targets.x, k->weights.x, (double)k->n.cap, k->n.M, k->n.D,
             k->n.V);
}

ON_EVERY_TYPE(head, loss_and_score_are_the_reference) {
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (mask which = EVERY; which < MASKS; which++) {
            head k = make(r, sizes[i], which);
            reference(&k);
            train(r, &k);
            rig_expect(r, "nll of loss", rig_read(r, &k.nll), k.nll.d, k.n.M, tolerance(r, FORWARD));
            rig_write(r, &k.nll);
            score(r, &k);
            rig_expect(r, "nll of score", rig_read(r, &k.nll), k.nll.d, k.n.M, tolerance(r, FORWARD));
        }
}

/* Small sizes with every mask, the others with two. */
ON_EVERY_TYPE(head, backward_is_the_complex_step) {
    for (size_t i = 0; i + 1 < COUNT(sizes); i++)
        for (mask which = EVERY; which < MASKS; which++) {
            if (sizes[i].M > 5 && which != MASKED && which != UNEQUAL) continue;
            head k = make(r, sizes[i], which);
            train(r, &k);
            rig_expect_gradient(r, "dz", rig_read(r, &k.dz), &k.z, loss, &k, tolerance(r, BACKWARD));
            rig_expect_gradient(r, "dtable", rig_read(r, &k.dtable), &k.table, loss, &k,
                                tolerance(r, BACKWARD));
        }
}

ON_EVERY_TYPE(head, gradient_accumulates_and_null_is_skipped) {
    for (size_t i = 0; i + 1 < COUNT(sizes); i++) {
        head k = make(r, sizes[i], MASKED);
        train(r, &k);
        const float *dz = rig_read(r, &k.dz), *dtable = rig_read(r, &k.dtable);
        k.dtable = rig_normal(r, 1, k.dtable.n);
        train(r, &k);
        rig_expect_sum(r, "dtable", rig_read(r, &k.dtable), k.dtable.x, dtable, k.dtable.n);
        rig_expect_bits(r, "dz", rig_read(r, &k.dz), dz, k.dz.n);
        rig_write(r, &k.dz);
        r->be.head_loss(&r->be, k.nll.dev, k.dz.dev, NULL, k.z.dev, k.packed, k.targets.dev, k.weights.dev,
                        k.grad_scale, k.n, k.scratch);
        rig_expect_bits(r, "dz without dtable", rig_read(r, &k.dz), dz, k.dz.n);
    }
}

/* Nothing counts: no gradient, no loss, and what was accumulated stays. */
ON_EVERY_TYPE(head, all_masked_changes_nothing) {
    head k = make(r, (ae_head_dims){33, 17, 65, 30}, NONE);
    k.dtable = rig_normal(r, 1, k.dtable.n);
    train(r, &k);
    rig_expect_bits(r, "dtable", rig_read(r, &k.dtable), k.dtable.x, k.dtable.n);
    const float *nll = rig_read(r, &k.nll), *dz = rig_read(r, &k.dz);
    for (ptrdiff_t m = 0; m < 33; m++) cr_assert(nll[m] == 0.0f);
    for (ptrdiff_t j = 0; j < k.dz.n; j++) cr_assert(dz[j] == 0.0f);
}

/* A masked token may hold anything; the others keep their bits. */
ON_EVERY_TYPE(head, masked_tokens_do_not_leak) {
    head k = make(r, (ae_head_dims){40, 17, 65, 30}, MASKED);
    train(r, &k);
    const float *nll = rig_read(r, &k.nll), *dz = rig_read(r, &k.dz), *dtable = rig_read(r, &k.dtable);
    for (ptrdiff_t m = 0; m < k.n.M; m++)
        if (k.weights.x[m] == 0.0f)
            for (ptrdiff_t d = 0; d < k.n.D; d++) k.z.x[m * k.n.D + d] = 1000;
    rig_write(r, &k.z);
    rig_write(r, &k.dtable);
    train(r, &k);
    rig_expect_bits(r, "nll", rig_read(r, &k.nll), nll, k.n.M);
    rig_expect_bits(r, "dz", rig_read(r, &k.dz), dz, k.dz.n);
    rig_expect_bits(r, "dtable", rig_read(r, &k.dtable), dtable, k.dtable.n);
}

/* Logits of some thousands before the cap: finite, and right. */
ON_EVERY_TYPE(head, large_logits) {
    for (int capped = 0; capped < 2; capped++) {
        head k = make(r, (ae_head_dims){5, 16, 100, capped ? 30 : 0}, EVERY);
        k.z = rig_act_normal(r, 300, k.z.n);
        reference(&k);
        train(r, &k);
        rig_expect(r, "nll", rig_read(r, &k.nll), k.nll.d, k.n.M, tolerance(r, FORWARD));
        const float *dz = rig_read(r, &k.dz);
        for (ptrdiff_t j = 0; j < k.dz.n; j++) cr_assert(isfinite(dz[j]));
    }
}

/* Any cap serves: one far above the logits is none. */
ON_EVERY_TYPE(head, caps_from_tight_to_wide) {
    static const float caps[] = {0.01f, 1, 50, 200, 1e6f};
    for (size_t i = 0; i < COUNT(caps); i++) {
        head k = make(r, (ae_head_dims){7, 16, 100, caps[i]}, EVERY);
        r->floor = 0.01; /* a tight cap leaves nothing of the gradient */
        reference(&k);
        train(r, &k);
        rig_expect(r, "nll", rig_read(r, &k.nll), k.nll.d, k.n.M, tolerance(r, FORWARD));
        rig_expect_gradient(r, "dz", rig_read(r, &k.dz), &k.z, loss, &k, tolerance(r, BACKWARD));
    }
}

static double *log_probabilities(rig *r, head *k) {
    const ptrdiff_t V = k->n.V;
    double *p = rig_host(r, (size_t)(k->n.M * V) * sizeof *p);
    ref_logits(p, k->z.d, k->table.d, (double)k->n.cap, k->n.M, k->n.D, V);
    for (ptrdiff_t m = 0; m < k->n.M; m++) {
        const double sum = ref_log_sum(p + m * V, V);
        for (ptrdiff_t v = 0; v < V; v++) p[m * V + v] -= sum;
    }
    return p;
}

/* The id that stands at `rank` when ids are sorted by p, the smaller id first among equals. */
static ptrdiff_t id_of_rank(const double *p, ptrdiff_t V, ptrdiff_t rank) {
    for (ptrdiff_t v = 0; v < V; v++) {
        ptrdiff_t before = 0;
        for (ptrdiff_t other = 0; other < V; other++)
            before += p[other] > p[v] || (p[other] == p[v] && other < v);
        if (before == rank) return v;
    }
    return -1;
}

static void expect_top(rig *r, head *k, ptrdiff_t top) {
    const ptrdiff_t M = k->n.M, V = k->n.V;
    const rig_array best = rig_zeros(r, M * top);
    int32_t *ids = rig_host(r, (size_t)(M * top) * sizeof *ids);
    for (ptrdiff_t i = 0; i < M * top; i++) ids[i] = -7;
    const rig_ints best_ids = rig_numbers(r, ids, M * top);
    r->be.head_score(&r->be, k->nll.dev, best_ids.dev, best.dev, top, k->z.dev, k->packed, k->targets.dev,
                     k->weights.dev, k->n, k->scratch);
    r->be.download(&r->be, ids, best_ids.dev, (size_t)(M * top) * sizeof *ids);
    const double *p = log_probabilities(r, k);
    double *want = rig_host(r, (size_t)(M * top) * sizeof *want);
    for (ptrdiff_t m = 0; m < M; m++)
        for (ptrdiff_t j = 0; j < top; j++) {
            const bool counts = k->weights.x[m] != 0.0f;
            const ptrdiff_t id = counts ? id_of_rank(p + m * V, V, j) : -7;
            cr_assert_eq(ids[m * top + j], id, "%s: %s: place %td of token %td is id %d, expected %td",
                         r->label, r->where, j, m, ids[m * top + j], id);
            want[m * top + j] = counts ? p[m * V + id] : 0;
        }
    rig_expect(r, "top log-probabilities", rig_read(r, &best), want, M * top, tolerance(r, FORWARD));
    reference(k);
    rig_expect(r, "nll beside top", rig_read(r, &k->nll), k->nll.d, M, tolerance(r, FORWARD));
}

ON_EVERY_TYPE(head, top_ids_are_the_most_likely) {
    static const ae_head_dims dims[] = {{1, 5, 7, 0}, {9, 16, 33, 30}, {40, 17, 130, 2}};
    for (size_t i = 0; i < COUNT(dims); i++) {
        const ptrdiff_t tops[] = {1, 2, 5, dims[i].V};
        for (size_t t = 0; t < COUNT(tops); t++) {
            head k = make(r, dims[i], MASKED);
            expect_top(r, &k, tops[t]);
        }
    }
}

/* Small whole numbers: logits are exact, and many are equal. */
ON_EVERY_TYPE(head, smaller_id_first_among_equals) {
    head k = make(r, (ae_head_dims){9, 4, 50, 0}, EVERY);
    for (ptrdiff_t j = 0; j < k.z.n; j++) k.z.x[j] = (float)(int)(4 * rig_random(r) - 2);
    for (ptrdiff_t j = 0; j < k.table.n; j++) k.table.x[j] = (float)(int)(4 * rig_random(r) - 2);
    const rig_array table = rig_values(r, k.table.x, k.table.n);
    k.z = rig_act_values(r, k.z.x, k.z.n);
    k.table = table;
    k.packed = rig_pack(r, table.dev, 50, 4);
    expect_top(r, &k, 50);
}

ON_EVERY_TYPE(head, logits_are_the_reference_whatever_the_batch) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        head k = make(r, sizes[i], EVERY);
        k.n.M = ae_min(k.n.M, AE_LINEAR_FEW);
        const rig_array logits = rig_output(r, k.n.M * k.n.V);
        ref_logits(logits.d, k.z.d, k.table.d, (double)k.n.cap, k.n.M, k.n.D, k.n.V);
        r->be.head_logits(&r->be, logits.dev, k.z.dev, k.packed, k.n);
        const float *all = rig_read(r, &logits);
        rig_expect(r, "logits", all, logits.d, logits.n, tolerance(r, LOGITS));
        for (k.n.M--; k.n.M > 0; k.n.M--) {
            r->be.head_logits(&r->be, logits.dev, k.z.dev, k.packed, k.n);
            rig_expect_bits(r, "logits of fewer", rig_read(r, &logits), all, k.n.M * k.n.V);
        }
    }
}

ON_EVERY_TYPE(head, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(sizes); i++) {
        head k = make(r, sizes[i], MASKED);
        rig_expect_same_on_threads(r, "loss", train, &k, (rig_array[]){k.nll, k.dz, k.dtable}, 3);
        rig_expect_same_on_threads(r, "score", score, &k, &k.nll, 1);
    }
}

/* Scratch is sized for the most rows of a pass, and used for fewer too. */
ON_EVERY_TYPE(head, scratch_for_more_rows_holds_fewer) {
    static const ptrdiff_t vocabularies[] = {1000, 8192, 32000, 256000};
    for (size_t i = 0; i < COUNT(vocabularies); i++) {
        size_t before = 0;
        for (ptrdiff_t M = 1; M < 6000; M += 13) {
            const size_t bytes = r->be.head_scratch_bytes(&r->be, (ae_head_dims){M, 8, vocabularies[i], 0});
            cr_assert_geq(bytes, before, "V %td M %td", vocabularies[i], M);
            before = bytes;
        }
    }
    head k = make(r, (ae_head_dims){512, 2, 32000, 0}, EVERY);
    k.n.M = 393; /* one chunk or two, of as many rows as there is room for */
    score(r, &k);
    ref_head(k.nll.d, k.z.d, k.table.d, k.targets.x, k.weights.x, 0, k.n.M, k.n.D, k.n.V);
    rig_expect(r, "nll", rig_read(r, &k.nll), k.nll.d, k.n.M, tolerance(r, FORWARD));
}
