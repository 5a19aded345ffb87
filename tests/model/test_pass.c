#include "core/rng.h"
#include "model/decode.h"
#include "tests/model/rig.h"

#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The assertions evaluate their arguments more than once: a pass must not stand in them. */
static void train_expecting(ae_model *m, ae_pass *p, const ae_micro_batch *b, float grad_scale, double want,
                            double within) {
    const double sum = rig_train(m, p, b, grad_scale);
    cr_assert_float_eq(sum, want, within, "sum %.9g, expected %.9g", sum, want);
}

/* ---- packing ---- */

enum { DOCUMENTS = 7 };
static const ptrdiff_t lengths[DOCUMENTS] = {5, 9, 1, 2, 12, 3, 4}; /* the window is 8 */

static rig_batch packed_row(ptrdiff_t V) {
    ptrdiff_t T = 0;
    for (int d = 0; d < DOCUMENTS; d++) T += lengths[d];
    rig_batch b = rig_batch_random(1, T, V, 5);
    for (ptrdiff_t d = 0, t = 0; d < DOCUMENTS; d++)
        for (ptrdiff_t i = 0; i < lengths[d]; i++) b.positions[t++] = (int32_t)i;
    return b;
}

static ptrdiff_t start_of(int document) {
    ptrdiff_t t = 0;
    for (int d = 0; d < document; d++) t += lengths[d];
    return t;
}

static void change_document(const rig_batch *b, int d, ptrdiff_t V) {
    for (ptrdiff_t t = start_of(d); t < start_of(d) + lengths[d]; t++)
        b->tokens[t] = (int32_t)((b->tokens[t] + 1 + t) % V);
}

static void check_packing(const ae_model *m) {
    const ptrdiff_t V = m->config.V;
    rig_batch b = packed_row(V);
    const ae_micro_batch whole = rig_rows(&b, 0, 1);
    float *before = rig_logits(m, &whole);
    for (int d = 0; d < DOCUMENTS; d++) {
        rig_batch other = packed_row(V);
        change_document(&other, d, V);
        const ae_micro_batch row = rig_rows(&other, 0, 1);
        float *after = rig_logits(m, &row);
        for (int e = 0; e < DOCUMENTS; e++) {
            const ptrdiff_t at = start_of(e) * V;
            const bool same = memcmp(before + at, after + at, (size_t)(lengths[e] * V) * sizeof *after) == 0;
            cr_assert_eq(same, e != d, "document %d after a change of %d", e, d);
        }
        free(after);
        rig_batch_free(&other);
    }
    for (int d = 0; d < DOCUMENTS; d++) {
        const ptrdiff_t at = start_of(d);
        const ae_micro_batch alone = {
            b.tokens + at, b.targets + at, b.positions + at, b.weights + at, 1, lengths[d], NULL};
        float *logits = rig_logits(m, &alone);
        const double far = rig_furthest(before + at * V, logits, (size_t)(lengths[d] * V));
        cr_assert(far < 1e-5, "document %d alone: %g", d, far);
        free(logits);
    }
    free(before);
    rig_batch_free(&b);
}

Test(pass, documents_do_not_see_each_other) {
    for (int kind = 0; kind < RIG_BACKENDS; kind++) {
        ae_model m;
        rig_model(&m, rig_backend((rig_backend_kind)kind, 1), "tiny", false);
        check_packing(&m);
        ae_model_free(&m);
        rig_model(&m, rig_backend((rig_backend_kind)kind, 1), "attention", false);
        check_packing(&m);
        ae_model_free(&m);
    }
}

/* The gradient of a loss on one document is that of the document alone. */
Test(pass, gradients_stay_in_the_document) {
    ae_model m;
    rig_model(&m, rig_backend(RIG_CPU_BEST, 1), "tiny", true);
    rig_batch b = packed_row(m.config.V);
    const int d = 4;
    const ptrdiff_t at = start_of(d);
    for (ptrdiff_t t = 0; t < b.T; t++) b.weights[t] = t >= at && t < at + lengths[d] ? 1.0f : 0.0f;
    const ae_micro_batch whole = rig_rows(&b, 0, 1);
    const ae_micro_batch alone = {
        b.tokens + at, b.targets + at, b.positions + at, b.weights + at, 1, lengths[d], NULL};
    ae_pass *p = rig_pass(&m, 1, b.T, 0, true);
    const double sum = rig_train(&m, p, &whole, 1);
    float *packed = rig_gradients(&m);
    rig_clear_gradients(&m);
    train_expecting(&m, p, &alone, 1, sum, 1e-5 * sum);
    float *single = rig_gradients(&m);
    cr_assert(rig_relative(packed, single, m.grad_bytes / sizeof(float)) < 1e-5);
    free(packed);
    free(single);
    ae_pass_delete(p);
    rig_batch_free(&b);
    ae_model_free(&m);
}

/* ---- micro-batches ---- */

static float *gradient_of_split(ae_model *m, const rig_batch *b, const ptrdiff_t *rows, double *sum) {
    ae_pass *p = rig_pass(m, b->B, b->T, 0, true);
    rig_clear_gradients(m);
    *sum = 0;
    for (ptrdiff_t at = 0, i = 0; at < b->B; at += rows[i++]) {
        const ae_micro_batch part = rig_rows(b, at, rows[i]);
        *sum += rig_train(m, p, &part, 0.01f);
    }
    ae_pass_delete(p);
    return rig_gradients(m);
}

Test(pass, any_split_gives_the_same) {
    static const ptrdiff_t splits[][5] = {{5}, {1, 1, 1, 1, 1}, {2, 3}, {4, 1}, {1, 3, 1}};
    ae_model m;
    rig_model(&m, rig_backend(RIG_CPU_BEST, 2), "tiny", true);
    rig_batch b = rig_batch_random(5, 31, m.config.V, 9);
    for (ptrdiff_t t = 0; t < b.T; t++)
        b.weights[2 * b.T + t] = 0; /* a micro-batch without targets is nothing */
    double whole_sum = NAN;
    float *whole = gradient_of_split(&m, &b, splits[0], &whole_sum);
    cr_assert(whole_sum > 0);
    for (size_t i = 1; i < sizeof splits / sizeof *splits; i++) {
        double sum = NAN;
        float *split = gradient_of_split(&m, &b, splits[i], &sum);
        cr_assert(fabs(sum - whole_sum) <= 1e-6 * whole_sum, "split %zu: %g and %g", i, sum, whole_sum);
        const double error = rig_relative(split, whole, m.grad_bytes / sizeof(float));
        cr_assert(error < 1e-6, "split %zu: %g", i, error);
        free(split);
    }
    free(whole);
    rig_batch_free(&b);
    ae_model_free(&m);
}

Test(pass, without_targets_nothing_changes) {
    ae_model m;
    rig_model(&m, rig_backend(RIG_STRICT, 1), "tiny", true);
    rig_batch b = rig_batch_random(2, 6, m.config.V, 3);
    memset(b.weights, 0, 12 * sizeof *b.weights);
    const ae_micro_batch whole = rig_rows(&b, 0, 2);
    ae_pass *p = rig_pass(&m, 2, 6, 0, true);
    train_expecting(&m, p, &whole, 1, 0, 0);
    float *g = rig_gradients(&m);
    for (size_t i = 0; i < m.grad_bytes / sizeof *g; i++) cr_assert_float_eq(g[i], 0, 0);
    free(g);
    ae_pass_delete(p);
    rig_batch_free(&b);
    ae_model_free(&m);
}

/* Gradients accumulate, scale and obey weights that are no 0 or 1. */
Test(pass, weights_and_scale) {
    ae_model m;
    rig_model(&m, rig_backend(RIG_CPU_BEST, 1), "hawk", true);
    rig_batch b = rig_batch_random(2, 9, m.config.V, 4);
    const ae_micro_batch whole = rig_rows(&b, 0, 2);
    ae_pass *p = rig_pass(&m, 2, 9, 0, true);
    const double sum = rig_train(&m, p, &whole, 1);
    float *once = rig_gradients(&m);
    train_expecting(&m, p, &whole, 1, sum, 0);
    float *twice = rig_gradients(&m);
    rig_clear_gradients(&m);
    for (ptrdiff_t i = 0; i < 18; i++) b.weights[i] *= 0.5f;
    train_expecting(&m, p, &whole, 4, 0.5 * sum, 1e-6 * sum);
    float *scaled = rig_gradients(&m);
    const size_t n = m.grad_bytes / sizeof *once;
    for (size_t i = 0; i < n; i++) once[i] *= 2;
    cr_assert(rig_relative(twice, once, n) < 1e-6, "%g", rig_relative(twice, once, n));
    cr_assert(rig_relative(scaled, once, n) < 1e-6);
    free(once);
    free(twice);
    free(scaled);
    ae_pass_delete(p);
    rig_batch_free(&b);
    ae_model_free(&m);
}

/* ---- same bits ---- */

static void expect_same_bits(const ae_model *m, const float *want, const char *what) {
    float *got = rig_gradients(m);
    cr_assert_eq(memcmp(got, want, m->grad_bytes), 0, "%s", what);
    free(got);
}

Test(pass, recompute_gives_the_same_bits) {
    static const char *const fixtures[] = {"tiny", "hawk", "attention", "gemma"};
    for (int f = 0; f < 4; f++) {
        ae_model m;
        rig_model(&m, rig_backend(f == 0 ? RIG_STRICT : RIG_CPU_BEST, 1), fixtures[f], true);
        rig_batch b = rig_batch_random(2, 21, m.config.V, 6);
        const ae_micro_batch whole = rig_rows(&b, 0, 2);
        ae_pass *p = rig_pass(&m, 2, 21, 0, true);
        const double sum = rig_train(&m, p, &whole, 1);
        float *kept = rig_gradients(&m);
        ae_pass_delete(p);
        for (ptrdiff_t n = 1; n <= m.config.blocks + 1; n++) {
            p = rig_pass(&m, 2, 21, n, true);
            rig_clear_gradients(&m);
            train_expecting(&m, p, &whole, 1, sum, 0);
            expect_same_bits(&m, kept, fixtures[f]);
            ae_pass_delete(p);
        }
        free(kept);
        rig_batch_free(&b);
        ae_model_free(&m);
    }
}

/* Shapes that are worth splitting among threads. */
static const ae_model_config middling = {.V = 500,
                                         .D = 96,
                                         .C = 128,
                                         .E = 200,
                                         .N = 4,
                                         .G = 2,
                                         .H = 24,
                                         .W = 70,
                                         .K = 4,
                                         .blocks = 3,
                                         .pattern = {AE_RECURRENT, AE_RECURRENT, AE_ATTENTION},
                                         .rope_theta = 10000,
                                         .rope_share = 0.5,
                                         .norm_eps = 1e-6,
                                         .soft_cap = 30,
                                         .scale_embeddings = true};

typedef struct {
    double sum;
    float *logits, *gradients;
} results;

typedef struct {
    ae_model *m;
    ae_pass *p;
    const ae_micro_batch *b;
    results r;
} training;

static void *train_once(void *training_) {
    training *t = training_;
    t->r.sum = rig_train(t->m, t->p, t->b, 1);
    t->r.logits = rig_logits(t->m, t->b);
    return NULL;
}

/* Where OpenMP would give the calling thread another number of threads. */
static void *train_beside(void *training_) {
    omp_set_num_threads(7);
    return train_once(training_);
}

/* The pass runs on a thread of its own once another backend has been made, with more threads. */
static void run_beside(training *t) {
    ae_backend other;
    pthread_t thread;
    cr_assert_eq(ae_backend_cpu(&other, &(ae_backend_options){.threads = 9}), AE_OK);
    cr_assert_eq(pthread_create(&thread, NULL, train_beside, t), 0);
    pthread_join(thread, NULL);
    ae_backend_free(&other);
}

static results middling_results(int threads, bool beside) {
    ae_model m;
    cr_assert_eq(ae_model_config_check(&middling, "test"), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_model_init(&m, rig_backend(RIG_CPU_BEST, threads), &middling,
                               &(ae_model_options){.training = true}),
                 AE_OK);
    cr_assert_eq(ae_model_set_initial(&m, 1), AE_OK);
    rig_batch b = rig_batch_random(3, 301, m.config.V, 8);
    const ae_micro_batch whole = rig_rows(&b, 0, 3);
    training t = {.m = &m, .p = rig_pass(&m, 3, 301, 0, true), .b = &whole};
    if (beside)
        run_beside(&t);
    else
        train_once(&t);
    t.r.gradients = rig_gradients(&m);
    ae_pass_delete(t.p);
    rig_batch_free(&b);
    ae_model_free(&m);
    return t.r;
}

static void results_free(results *r) {
    free(r->logits);
    free(r->gradients);
}

static void expect_the_same(const results *one, const results *other) {
    ae_params table;
    cr_assert_eq(ae_params_init(&table, &middling), AE_OK);
    cr_assert_float_eq(one->sum, other->sum, 0);
    cr_assert(isfinite(one->sum) && one->sum > 0);
    cr_assert_arr_eq(one->logits, other->logits, (size_t)3 * 301 * 500 * sizeof(float));
    int64_t at = 0;
    for (ptrdiff_t i = 0; i < table.n; i++) {
        const ae_param *p = &table.items[i];
        cr_assert_eq(memcmp(one->gradients + at, other->gradients + at, (size_t)p->n * sizeof(float)), 0,
                     "%s", p->name);
        at += (p->n + 15) / 16 * 16;
    }
    ae_params_free(&table);
}

Test(pass, one_and_two_threads_give_the_same_bits) {
    results one = middling_results(1, false), two = middling_results(2, false);
    expect_the_same(&one, &two);
    results_free(&one);
    results_free(&two);
}

Test(pass, runs_on_another_thread_beside_another_backend) {
    results one = middling_results(1, false), two = middling_results(2, true);
    expect_the_same(&one, &two);
    results_free(&one);
    results_free(&two);
}

Test(pass, smaller_batches_fit_a_bigger_pass) {
    ae_model m;
    rig_model(&m, rig_backend(RIG_STRICT, 1), "tiny", true);
    rig_batch b = rig_batch_random(2, 10, m.config.V, 12);
    const ae_micro_batch whole = rig_rows(&b, 0, 2);
    ae_pass *exact = rig_pass(&m, 2, 10, 2, true), *roomy = rig_pass(&m, 3, 17, 2, true);
    const double sum = rig_train(&m, exact, &whole, 1);
    float *want = rig_gradients(&m);
    rig_clear_gradients(&m);
    train_expecting(&m, roomy, &whole, 1, sum, 0);
    expect_same_bits(&m, want, "roomy pass");
    free(want);
    ae_pass_delete(exact);
    ae_pass_delete(roomy);
    rig_batch_free(&b);
    ae_model_free(&m);
}

/* ---- shapes beyond the published ones ---- */

/* Several key heads, no window, no cap, no scaling, an odd number of tokens: forward agrees with itself in pieces. */
Test(pass, window_as_long_as_the_row_is_no_window) {
    ae_model_config c = middling;
    c.soft_cap = 0;
    c.scale_embeddings = false;
    float *logits[2];
    for (int i = 0; i < 2; i++) {
        ae_model m;
        c.W = i == 0 ? -1 : 40;
        cr_assert_eq(ae_model_init(&m, rig_backend(RIG_CPU_BEST, 1), &c, &(ae_model_options){0}), AE_OK);
        cr_assert_eq(ae_model_set_initial(&m, 2), AE_OK);
        rig_batch b = rig_batch_random(2, 37, c.V, 8);
        const ae_micro_batch whole = rig_rows(&b, 0, 2);
        logits[i] = rig_logits(&m, &whole);
        rig_batch_free(&b);
        ae_model_free(&m);
    }
    cr_assert(rig_furthest(logits[0], logits[1], (size_t)2 * 37 * 500) < 1e-5);
    free(logits[0]);
    free(logits[1]);
}

/* ---- memory ---- */

/* The n-th allocation fails, every other is the CPU's. */
static int allocations_left;
static ae_status (*real_alloc)(const ae_backend *be, void **ptr, size_t bytes);
static ae_status scarce_alloc(const ae_backend *be, void **ptr, size_t bytes) {
    if (allocations_left-- > 0) return real_alloc(be, ptr, bytes);
    *ptr = NULL;
    return AE_FAIL(AE_ERR_RESOURCE, "no more memory");
}

static ae_backend scarce_backend(void) {
    ae_backend be = *rig_backend(RIG_CPU_BEST, 1);
    real_alloc = be.alloc;
    be.alloc = scarce_alloc;
    return be;
}

Test(pass, every_failed_allocation_is_reported) {
    const ae_backend be = scarce_backend();
    ae_model m;
    ae_status st = AE_ERR_RESOURCE;
    int n = 0;
    for (; st != AE_OK; n++) {
        allocations_left = n;
        st = ae_model_init(&m, &be, &middling, &(ae_model_options){.training = true});
        if (st == AE_OK) break;
        cr_assert_eq(st, AE_ERR_RESOURCE);
        cr_assert_null(m.value_memory);
        cr_assert_null(m.params.items);
    }
    cr_assert(n >= 2); /* values and gradients at least */
    allocations_left = 1000;
    cr_assert_eq(ae_model_set_initial(&m, 1), AE_OK);
    ae_pass *p = (ae_pass *)&m;
    allocations_left = 0;
    cr_assert_eq(ae_pass_new(&p, &m, (ae_pass_dims){.B = 1, .T = 8}, true), AE_ERR_RESOURCE);
    cr_assert_null(p);
    allocations_left = 1;
    cr_assert_eq(ae_pass_new(&p, &m, (ae_pass_dims){.B = 1, .T = 8}, false), AE_OK);
    rig_batch b = rig_batch_random(1, 8, m.config.V, 1);
    const ae_micro_batch row = rig_rows(&b, 0, 1);
    float logits[8 * 500];
    cr_assert_eq(ae_model_logits(&m, p, &row, logits), AE_ERR_RESOURCE);
    ae_decode_state s;
    ae_decoder *d = (ae_decoder *)&m;
    cr_assert_eq(ae_decode_state_init(&s, &m, 2), AE_ERR_RESOURCE);
    cr_assert_null(s.positions);
    cr_assert_eq(ae_decoder_new(&d, &m, 2, 4), AE_ERR_RESOURCE);
    cr_assert_null(d);
    rig_batch_free(&b);
    ae_pass_delete(p);
    ae_model_free(&m);
}

Test(pass, plan_follows_what_is_kept) {
    const ae_backend *be = rig_backend(RIG_CPU_BEST, 1);
    const ae_model_config *c = &middling;
    size_t last = 0;
    for (ptrdiff_t n = 0; n <= c->blocks; n++) {
        const size_t bytes =
            ae_pass_bytes(be, c, (ae_pass_dims){.B = 2, .T = 128, .recompute_blocks = n}, true);
        if (n > 1) cr_assert(bytes < last, "%td blocks: %zu, one fewer: %zu", n, bytes, last);
        last = bytes;
    }
    const size_t scoring = ae_pass_bytes(be, c, (ae_pass_dims){.B = 2, .T = 128}, false);
    cr_assert(scoring < last);
    /* scoring does not grow with the blocks */
    ae_model_config deep = *c;
    deep.blocks = 9;
    for (ptrdiff_t i = 0; i < 9; i++) deep.pattern[i] = c->pattern[i % 3];
    cr_assert_eq(ae_pass_bytes(be, &deep, (ae_pass_dims){.B = 2, .T = 128}, false), scoring);
}

/* Logits of 8192 x 256000 would be 7.8 GiB. */
Test(pass, logits_are_never_formed) {
    const ae_backend *be = rig_backend(RIG_CPU_BEST, 1);
    ae_model_config c = middling;
    c.V = 256000;
    cr_assert(ae_pass_bytes(be, &c, (ae_pass_dims){.B = 1, .T = 8192}, true) < (size_t)1 << 30);
    cr_assert(ae_pass_bytes(be, &c, (ae_pass_dims){.B = 1, .T = 8192}, false) < (size_t)1 << 30);
}
