#include "core/rng.h"
#include "tests/model/rig.h"

#include <math.h>
#include <stdlib.h>

/* A row that holds a prompt once and goes on from it several times: what a row for each answer gives. */

static const char *const fixtures[] = {"tiny", "window", "hawk", "attention", "gemma"};
enum { FIXTURES = 5, ANSWERS = 4, OTHER = 5, TRUNK = 20, MOST = 9, APART = TRUNK + MOST };
static const ptrdiff_t lengths[ANSWERS] = {9, 1, 4, 7};
enum { SHARED = OTHER + TRUNK + 9 + 1 + 4 + 7 };

/* The same answers, in a row of each, and after another document in one. */
typedef struct {
    rig_batch apart, shared;
    ptrdiff_t places[ANSWERS]; /* of the first targets, in the shared row */
} answers;

/* Place `at` of b is token t of a document; what it holds, when another batch has it at `from`. */
static void put(rig_batch *b, ptrdiff_t at, ptrdiff_t t, const rig_batch *other, ptrdiff_t from) {
    b->tokens[at] = other->tokens[from];
    b->targets[at] = other->targets[from];
    b->weights[at] = t >= TRUNK ? other->weights[from] : 0;
    b->positions[at] = (int32_t)t;
}

static answers make(ptrdiff_t V) {
    answers a = {rig_batch_random(ANSWERS, APART, V, 7), rig_batch_random(1, SHARED, V, 8), {0}};
    ae_rng r = ae_rng_make(9, 1);
    for (ptrdiff_t i = 0; i < ANSWERS * APART; i++) {
        const ptrdiff_t row = i / APART, t = i % APART;
        a.apart.weights[i] = t < TRUNK + lengths[row] ? (float)ae_rng_normal(&r) : 0;
        put(&a.apart, i, t, &a.apart, t < TRUNK + 1 ? t : i);
    }
    for (ptrdiff_t t = 0; t < OTHER; t++) put(&a.shared, t, t, &a.shared, t);
    for (ptrdiff_t t = 0; t < TRUNK; t++) put(&a.shared, OTHER + t, t, &a.apart, t);
    ptrdiff_t at = OTHER + TRUNK;
    for (ptrdiff_t i = 0; i < ANSWERS; i++) {
        a.places[i] = at;
        for (ptrdiff_t t = TRUNK; t < TRUNK + lengths[i]; t++)
            put(&a.shared, at++, t, &a.apart, i * APART + t);
    }
    return a;
}

typedef struct {
    float *gradients, nll[ANSWERS * APART];
} trained;

static trained train(ae_model *m, const rig_batch *b, ptrdiff_t recompute) {
    trained t;
    double sum;
    ae_pass *p = rig_pass(m, b->B, b->T, recompute, true);
    const ae_micro_batch rows = rig_rows(b, 0, b->B);
    rig_clear_gradients(m);
    ae_model_train_pass(m, p, &rows, 1, &sum, t.nll);
    t.gradients = rig_gradients(m);
    ae_pass_delete(p);
    return t;
}

static void expect_same(rig_backend_kind kind, const char *fixture, double tolerance, float nats) {
    ae_model m;
    rig_model(&m, rig_backend(kind, 2), fixture, true);
    answers a = make(m.config.V);
    const size_t n = m.grad_bytes / sizeof(float);
    trained apart = train(&m, &a.apart, 0), shared = train(&m, &a.shared, 0),
            again = train(&m, &a.shared, 99);
    const double error = rig_relative(shared.gradients, apart.gradients, n);
    cr_assert(error < tolerance, "%s, backend %d: gradients differ by %g", fixture, (int)kind, error);
    for (ptrdiff_t i = 0; i < ANSWERS; i++)
        for (ptrdiff_t t = 0; t < lengths[i]; t++) {
            const float want = apart.nll[i * APART + TRUNK + t], got = shared.nll[a.places[i] + t];
            cr_assert_float_eq(got, want, nats, "%s, backend %d: answer %td, token %td: %g, alone %g",
                               fixture, (int)kind, i, t, (double)got, (double)want);
        }
    cr_assert_arr_eq(again.gradients, shared.gradients, m.grad_bytes, "recomputing changes no bit");
    free(again.gradients);
    free(shared.gradients);
    free(apart.gradients);
    rig_batch_free(&a.apart);
    rig_batch_free(&a.shared);
    ae_model_free(&m);
}

Test(forks, one_row_is_a_row_for_each_answer) {
    for (int f = 0; f < FIXTURES; f++)
        for (rig_backend_kind kind = 0; kind < RIG_BACKENDS; kind++)
            expect_same(kind, fixtures[f], 1e-6, 5e-6f);
}

/* Roundings of sums that are cut in other places. */
Test(forks, one_row_is_a_row_for_each_answer_in_bfloat16) {
    static const rig_backend_kind kinds[] = {RIG_BF16, RIG_BF16_AVX2, RIG_BF16_STRICT, RIG_BF16_PRODUCTS};
    for (int f = 0; f < FIXTURES; f++)
        for (int k = 0; k < 4; k++) expect_same(kinds[k], fixtures[f], 1e-2, 3e-2f);
}
