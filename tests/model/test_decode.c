#include "model/decode.h"
#include "tests/model/rig.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How far log-probabilities of decoding may be from those of one full pass (docs/performance.md). */
static const double BOUND = 2e-5;

typedef struct {
    ae_model m;
    rig_batch b;     /* one row, one document, several windows long */
    float *logits;   /* [T, V] of the full pass */
    float *logprobs; /* [T], of each token given those before */
} decode_rig;

enum { LENGTH = 45 };

static double logprob(const float *x, ptrdiff_t V, int32_t id) {
    double top = (double)x[0], sum = 0;
    for (ptrdiff_t v = 1; v < V; v++) top = fmax(top, (double)x[v]);
    for (ptrdiff_t v = 0; v < V; v++) sum += exp((double)x[v] - top);
    return (double)x[id] - top - log(sum);
}

static decode_rig make_rig(rig_backend_kind kind, const char *fixture) {
    decode_rig r;
    rig_model(&r.m, rig_backend(kind, 1), fixture, false);
    r.b = rig_batch_random(1, LENGTH, r.m.config.V, 21);
    for (int32_t t = 0; t < LENGTH; t++) r.b.positions[t] = t;
    const ae_micro_batch row = rig_rows(&r.b, 0, 1);
    r.logits = rig_logits(&r.m, &row);
    r.logprobs = malloc(LENGTH * sizeof *r.logprobs);
    cr_assert_not_null(r.logprobs);
    r.logprobs[0] = NAN;
    for (int t = 1; t < LENGTH; t++)
        r.logprobs[t] = (float)logprob(r.logits + (t - 1) * r.m.config.V, r.m.config.V, r.b.tokens[t]);
    return r;
}

static void free_rig(decode_rig *r) {
    free(r->logits);
    free(r->logprobs);
    rig_batch_free(&r->b);
    ae_model_free(&r->m);
}

static ae_decode_state new_state(const ae_model *m, ptrdiff_t B) {
    ae_decode_state s;
    cr_assert_eq(ae_decode_state_init(&s, m, B), AE_OK, "%s", ae_error_message());
    return s;
}

static ae_decoder *new_decoder(const ae_model *m, ptrdiff_t B, ptrdiff_t chunk) {
    ae_decoder *d = NULL;
    cr_assert_eq(ae_decoder_new(&d, m, B, chunk), AE_OK, "%s", ae_error_message());
    return d;
}

/* ---- against the full pass ---- */

static void check_steps(const decode_rig *r) {
    const ptrdiff_t V = r->m.config.V;
    ae_decode_state s = new_state(&r->m, 1);
    ae_decoder *d = new_decoder(&r->m, 1, 1);
    float *logits = malloc((size_t)V * sizeof *logits);
    double worst = 0;
    for (int t = 0; t < LENGTH; t++) {
        ae_decoder_step(d, &s, r->b.tokens + t, 1, logits);
        cr_assert_eq(s.positions[0], t + 1);
        worst = fmax(worst, rig_furthest(logits, r->logits + t * V, (size_t)V));
        if (t + 1 < LENGTH)
            worst = fmax(worst, fabs(logprob(logits, V, r->b.tokens[t + 1]) - (double)r->logprobs[t + 1]));
    }
    cr_log_info("token by token: %.2e", worst);
    cr_assert(worst < BOUND, "token by token: %g", worst);
    free(logits);
    ae_decoder_delete(d);
    ae_decode_state_free(&s);
}

static void check_prefill(const decode_rig *r, ptrdiff_t chunk) {
    const ptrdiff_t V = r->m.config.V;
    ae_decode_state s = new_state(&r->m, 3);
    ae_decoder *d = new_decoder(&r->m, 1, chunk);
    float *logits = malloc((size_t)V * sizeof *logits), logprobs[LENGTH];
    ae_decoder_prefill(d, &s, 1, r->b.tokens, LENGTH, logits, logprobs);
    cr_assert_eq(s.positions[1], LENGTH);
    cr_assert_eq(s.positions[0], 0);
    cr_assert(isnan(logprobs[0]));
    cr_assert(rig_furthest(logprobs + 1, r->logprobs + 1, LENGTH - 1) < BOUND, "chunks of %td", chunk);
    cr_assert(rig_furthest(logits, r->logits + (LENGTH - 1) * V, (size_t)V) < BOUND, "chunks of %td", chunk);
    free(logits);
    ae_decoder_delete(d);
    ae_decode_state_free(&s);
}

/* Two calls, then steps. */
static void check_mixed(const decode_rig *r, ptrdiff_t first, ptrdiff_t second) {
    const ptrdiff_t V = r->m.config.V;
    ae_decode_state s = new_state(&r->m, 1);
    ae_decoder *d = new_decoder(&r->m, 1, 7);
    float *logits = malloc((size_t)V * sizeof *logits);
    ae_decoder_prefill(d, &s, 0, r->b.tokens, first, NULL, NULL);
    ae_decoder_prefill(d, &s, 0, r->b.tokens + first, second, NULL, NULL);
    for (ptrdiff_t t = first + second; t < LENGTH; t++) {
        ae_decoder_step(d, &s, r->b.tokens + t, 1, logits);
        const double far = rig_furthest(logits, r->logits + t * V, (size_t)V);
        cr_assert(far < BOUND, "%td and %td tokens, then step %td: %g", first, second, t, far);
    }
    free(logits);
    ae_decoder_delete(d);
    ae_decode_state_free(&s);
}

Test(decode, agrees_with_the_full_pass) {
    static const char *const fixtures[] = {"tiny", "window", "hawk", "attention", "gemma"};
    static const ptrdiff_t chunks[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 44, 45, 64};
    for (int kind = 0; kind < RIG_BACKENDS; kind++) {
        for (int f = 0; f < 5; f++) {
            decode_rig r = make_rig((rig_backend_kind)kind, fixtures[f]);
            check_steps(&r);
            for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) check_prefill(&r, chunks[i]);
            for (ptrdiff_t first = 0; first < 12; first += 3) check_mixed(&r, first, 10);
            check_mixed(&r, 8, 0);
            check_mixed(&r, 13, 20);
            free_rig(&r);
        }
    }
}

/* ---- a longer text, a shape with two key heads ---- */

enum { LONG = 700 };

/* W < 0: every block attends, without a window. */
static ae_model_config long_config(ptrdiff_t W) {
    for (size_t i = 0; i < ae_n_presets; i++) {
        if (strcmp(ae_presets[i].name, "small-1m") != 0) continue;
        ae_model_config c = ae_presets[i].config;
        c.V = 300;
        c.W = W;
        c.G = 2;
        for (ptrdiff_t k = 0; W < 0 && k < c.blocks; k++) c.pattern[k] = AE_ATTENTION;
        return c;
    }
    cr_assert_fail("no such preset");
    return (ae_model_config){0};
}

static void check_long(rig_backend_kind kind, ptrdiff_t W) {
    ae_model m;
    const ae_model_config c = long_config(W);
    cr_assert_eq(ae_model_init(&m, rig_backend(kind, 2), &c, &(ae_model_options){0}), AE_OK);
    cr_assert_eq(ae_model_set_initial(&m, 5), AE_OK);
    rig_batch b = rig_batch_random(1, LONG, c.V, 2);
    for (int32_t t = 0; t < LONG; t++) b.positions[t] = t;
    const ae_micro_batch row = rig_rows(&b, 0, 1);
    float *full = rig_logits(&m, &row), *logits = malloc((size_t)c.V * sizeof *logits);
    static const ptrdiff_t chunks[] = {99, 100, 101, 128, 256, 1000};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        ae_decode_state s = new_state(&m, 1);
        ae_decoder *d = new_decoder(&m, 1, chunks[i]);
        const ptrdiff_t taken = LONG - 20;
        ae_decoder_prefill(d, &s, 0, b.tokens, taken, logits, NULL);
        cr_assert(rig_furthest(logits, full + (taken - 1) * c.V, (size_t)c.V) < BOUND, "chunks of %td",
                  chunks[i]);
        for (ptrdiff_t t = taken; t < LONG; t++) {
            ae_decoder_step(d, &s, b.tokens + t, 1, logits);
            cr_assert(rig_furthest(logits, full + t * c.V, (size_t)c.V) < BOUND, "step %td", t);
        }
        ae_decoder_delete(d);
        ae_decode_state_free(&s);
    }
    free(logits);
    free(full);
    rig_batch_free(&b);
    ae_model_free(&m);
}

Test(decode, long_texts_agree_with_the_full_pass) {
    check_long(RIG_CPU_BEST, 100);
    check_long(RIG_CPU_BEST, -1);
    check_long(RIG_STRICT, -1);
}

/* ---- batches ---- */

enum { BATCH = 70, STEPS = 11, APART = 15, MOST = 30 };

/* Sequences start with tokens of their own, several at a time, so that positions differ. */
static void fill_batch(const decode_rig *r, ae_decoder *d, ae_decode_state *s, ptrdiff_t B) {
    for (ptrdiff_t b = 0; b < B; b++)
        ae_decoder_prefill(d, s, b, r->b.tokens + b % APART, b % MOST, NULL, NULL);
}

static void step_batch(const decode_rig *r, ae_decoder *d, ae_decode_state *s, ptrdiff_t B, float *logits) {
    int32_t tokens[BATCH];
    for (ptrdiff_t t = 0; t < STEPS; t++) {
        for (ptrdiff_t b = 0; b < B; b++) tokens[b] = r->b.tokens[(b * 7 + t * 3) % LENGTH];
        ae_decoder_step(d, s, tokens, B, logits + t * B * r->m.config.V);
    }
}

static void check_batches(const char *fixture) {
    static const ptrdiff_t sizes[] = {1, 2, 3, 4, 5, 15, 16, 17, 33, 63, 64, 65};
    decode_rig r = make_rig(RIG_CPU_BEST, fixture);
    const ptrdiff_t V = r.m.config.V;
    float *whole = malloc((size_t)(STEPS * BATCH * V) * sizeof *whole),
          *part = malloc((size_t)(STEPS * BATCH * V) * sizeof *part);
    ae_decoder *d = new_decoder(&r.m, BATCH, 32);
    ae_decode_state s = new_state(&r.m, BATCH);
    fill_batch(&r, d, &s, BATCH);
    step_batch(&r, d, &s, BATCH, whole);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const ptrdiff_t B = sizes[i];
        for (ptrdiff_t b = 0; b < BATCH; b++) ae_decode_state_reset(&s, b);
        fill_batch(&r, d, &s, BATCH);
        step_batch(&r, d, &s, B, part);
        for (ptrdiff_t t = 0; t < STEPS; t++)
            cr_assert_eq(memcmp(part + t * B * V, whole + t * BATCH * V, (size_t)(B * V) * sizeof *part), 0,
                         "%s, batch of %td, step %td", fixture, B, t);
    }
    ae_decode_state_free(&s);
    ae_decoder_delete(d);
    free(whole);
    free(part);
    free_rig(&r);
}

Test(decode, a_sequence_does_not_see_its_batch) {
    check_batches("tiny");
    check_batches("gemma");
}

/* Prompts of one length together, then a step: as one after the other. */
static void check_together(rig_backend_kind kind, const char *fixture) {
    enum { B = 9, EACH = 18, LONGEST = LENGTH - B + 1 }; /* every length up to 18, and some longer ones */
    decode_rig r = make_rig(kind, fixture);
    const ptrdiff_t V = r.m.config.V;
    ae_decoder *d = new_decoder(&r.m, B, 64);
    ae_decode_state together = new_state(&r.m, B), alone = new_state(&r.m, B);
    float *got = malloc((size_t)(B * V) * sizeof *got), *want = malloc((size_t)(B * V) * sizeof *want);
    for (ptrdiff_t n = 1; n <= LONGEST; n += n < EACH ? 1 : 6) {
        for (ptrdiff_t b = 0; b < B; b++) {
            ae_decode_state_reset(&together, b);
            ae_decode_state_reset(&alone, b);
            ae_decoder_prefill(d, &alone, b, r.b.tokens + b, n, want + b * V, NULL);
        }
        int32_t tokens[B * LONGEST];
        for (ptrdiff_t b = 0; b < B; b++) memcpy(tokens + b * n, r.b.tokens + b, (size_t)n * sizeof *tokens);
        ae_decoder_prefill_each(d, &together, 0, 2, tokens, n, got);
        ae_decoder_prefill_each(d, &together, 2, B - 2, tokens + 2 * n, n, got + 2 * V);
        cr_assert_eq(memcmp(got, want, (size_t)(B * V) * sizeof *got), 0, "%td tokens", n);
        ae_decoder_step(d, &alone, tokens, B, want);
        ae_decoder_step(d, &together, tokens, B, got);
        cr_assert_eq(memcmp(got, want, (size_t)(B * V) * sizeof *got), 0, "behind %td tokens", n);
    }
    ae_decoder_delete(d);
    ae_decode_state_free(&together);
    ae_decode_state_free(&alone);
    free(got);
    free(want);
    free_rig(&r);
}

Test(decode, prompts_are_read_together) {
    check_together(RIG_CPU_BEST, "tiny");
    check_together(RIG_CPU_AVX2, "window");
    check_together(RIG_STRICT, "tiny");
    check_together(RIG_BF16, "tiny");
    check_together(RIG_STRICT, "gemma");
}

/* ---- states are values ---- */

static void run(const decode_rig *r, ae_decoder *d, ae_decode_state *s, ptrdiff_t b, float *logits) {
    ae_decoder_prefill(d, s, b, r->b.tokens + 12, 10, logits, NULL);
}

static void check_values(rig_backend_kind kind) {
    decode_rig r = make_rig(kind, "tiny");
    const size_t bytes = (size_t)r.m.config.V * sizeof(float);
    float *want = malloc(bytes), *got = malloc(bytes);
    ae_decoder *d = new_decoder(&r.m, 4, 16);
    ae_decode_state s = new_state(&r.m, 4), other = new_state(&r.m, 2);
    ae_decoder_prefill(d, &s, 2, r.b.tokens, 12, NULL, NULL);
    ae_decode_state_copy(&s, 0, &s, 2);
    ae_decode_state_copy(&other, 1, &s, 2);
    ae_decode_state_copy(&s, 2, &s, 2);
    run(&r, d, &s, 2, want);
    run(&r, d, &s, 0, got);
    cr_assert_arr_eq(got, want, bytes);
    run(&r, d, &other, 1, got);
    cr_assert_arr_eq(got, want, bytes);
    cr_assert_eq(other.positions[1], 22);
    cr_assert_eq(other.positions[0], 0);
    /* a used sequence, reset, is an empty one */
    run(&r, d, &other, 0, want);
    ae_decode_state_reset(&s, 2);
    run(&r, d, &s, 2, got);
    cr_assert_arr_eq(got, want, bytes);
    ae_decode_state_free(&other);
    ae_decode_state_free(&s);
    ae_decoder_delete(d);
    free(want);
    free(got);
    free_rig(&r);
}

Test(decode, states_are_copied_and_reset) {
    check_values(RIG_CPU_BEST);
    check_values(RIG_STRICT);
}

/* Packed, a sequence goes on as it would have; only places of the rings that are in use are in it. */
static void check_packed(rig_backend_kind kind, const char *fixture) {
    decode_rig r = make_rig(kind, fixture);
    const size_t bytes = (size_t)r.m.config.V * sizeof(float);
    float *want = malloc(bytes), *got = malloc(bytes);
    ae_decoder *d = new_decoder(&r.m, 1, 16);
    size_t before = 0;
    for (int32_t n = 0; n <= LENGTH - 10; n += n < 12 ? 1 : 11) {
        ae_decode_state s = new_state(&r.m, 2), other = new_state(&r.m, 3);
        ae_decoder_prefill(d, &s, 1, r.b.tokens, n, NULL, NULL);
        const size_t packed_bytes = ae_decode_state_packed_bytes(&r.m, n);
        cr_assert(n == 0 ? packed_bytes == 0 : packed_bytes >= before);
        cr_assert_leq(packed_bytes, ae_decode_state_bytes(r.m.be, &r.m.config, 1, n));
        before = packed_bytes;
        char *packed = malloc(packed_bytes + 1);
        packed[packed_bytes] = 'x';
        ae_decode_state_pack(&s, 1, packed);
        cr_assert_eq(packed[packed_bytes], 'x');
        ae_decoder_prefill(d, &other, 2, r.b.tokens + 5, 20, NULL, NULL);
        ae_decode_state_unpack(&other, 2, n, packed);
        cr_assert_eq(other.positions[2], n);
        ae_decoder_prefill(d, &s, 1, r.b.tokens + n, 10, want, NULL);
        ae_decoder_prefill(d, &other, 2, r.b.tokens + n, 10, got, NULL);
        cr_assert_arr_eq(got, want, bytes, "%s, %d tokens", fixture, (int)n);
        free(packed);
        ae_decode_state_free(&s);
        ae_decode_state_free(&other);
    }
    ae_decoder_delete(d);
    free(want);
    free(got);
    free_rig(&r);
}

Test(decode, states_are_packed) {
    check_packed(RIG_CPU_BEST, "tiny");
    check_packed(RIG_STRICT, "window");
    check_packed(RIG_BF16, "tiny");
    check_packed(RIG_CPU_BEST, "hawk");
    check_packed(RIG_STRICT, "gemma");
}

Test(decode, state_has_one_size) {
    const ae_backend *be = rig_backend(RIG_CPU_BEST, 1);
    for (size_t i = 0; i < ae_n_presets; i++) {
        if (strcmp(ae_presets[i].name, "recurrentgemma-2b") != 0) continue;
        const ae_model_config *c = &ae_presets[i].config;
        const size_t recurrent = 18 * (size_t)(4 * 2560) * 4,
                     rings = 8 * (size_t)2 * 2048 * 256 * be->act_bytes;
        const size_t one = ae_decode_state_bytes(be, c, 1, 1 << 20);
        cr_assert(one >= recurrent + rings && one < recurrent + rings + 4096, "%zu", one);
        cr_assert(ae_decode_state_bytes(be, c, 8, 0) < 8 * one + 4096);
        return;
    }
    cr_assert_fail("no such preset");
}

/* ---- caches: the states of attention without a window ---- */

static ae_model growing_model(rig_backend_kind kind, int threads) {
    ae_model m;
    const ae_model_config c = long_config(-1);
    cr_assert_eq(ae_model_init(&m, rig_backend(kind, threads), &c, &(ae_model_options){0}), AE_OK);
    cr_assert_eq(ae_model_set_initial(&m, 5), AE_OK);
    return m;
}

static void random_tokens(int32_t *tokens, ptrdiff_t n, ptrdiff_t V) {
    rig_batch b = rig_batch_random(1, n, V, 9);
    memcpy(tokens, b.tokens, (size_t)n * sizeof *tokens);
    rig_batch_free(&b);
}

/* The size is what was said beforehand of the places there are; what was read stays. */
Test(decode, a_cache_grows_in_chunks) {
    enum { TOKENS = 900 };
    ae_model m = growing_model(RIG_CPU_BEST, 1);
    const ptrdiff_t V = m.config.V;
    int32_t tokens[TOKENS];
    ae_decode_state s = new_state(&m, 3), roomy = new_state(&m, 3);
    ae_decoder *d = new_decoder(&m, 3, 64);
    float *got = malloc((size_t)(3 * V) * sizeof *got), *want = malloc((size_t)(3 * V) * sizeof *want);
    ptrdiff_t growths = 0;
    random_tokens(tokens, TOKENS, V);
    cr_assert_eq(ae_decode_state_reserve(&roomy, 5 * AE_CACHE_CHUNK), AE_OK);
    cr_assert_eq(ae_decode_state_bytes_now(&roomy),
                 ae_decode_state_bytes(m.be, &m.config, 3, 5 * AE_CACHE_CHUNK));
    size_t bytes = ae_decode_state_bytes_now(&s);
    cr_assert_eq(bytes, ae_decode_state_bytes(m.be, &m.config, 3, 0));
    for (ptrdiff_t t = 0; t < TOKENS; t++) {
        const int32_t each[3] = {tokens[t], tokens[TOKENS - 1 - t], 7};
        cr_assert_eq(ae_decoder_step(d, &s, each, 3, got), AE_OK);
        cr_assert_eq(ae_decoder_step(d, &roomy, each, 3, want), AE_OK);
        cr_assert_eq(memcmp(got, want, (size_t)(3 * V) * sizeof *got), 0, "step %td", t);
        growths += ae_decode_state_bytes_now(&s) > bytes;
        bytes = ae_decode_state_bytes_now(&s);
        cr_assert_geq(bytes, ae_decode_state_bytes(m.be, &m.config, 3, t + 1));
    }
    cr_assert_eq(growths, 4, "%td", growths); /* 256, 512, 768, 1024 places */
    free(got);
    free(want);
    ae_decoder_delete(d);
    ae_decode_state_free(&s);
    ae_decode_state_free(&roomy);
    ae_model_free(&m);
}

/* Copies into smaller and larger caches, resets, packed states: the logits of the one that stayed. */
Test(decode, growing_states_are_values) {
    enum { TOKENS = 400, MORE = 40 };
    ae_model m = growing_model(RIG_STRICT, 2);
    const ptrdiff_t V = m.config.V;
    const size_t bytes = (size_t)V * sizeof(float);
    int32_t tokens[TOKENS + MORE];
    float *want = malloc(bytes), *got = malloc(bytes);
    ae_decode_state s = new_state(&m, 3), other = new_state(&m, 2), packed = new_state(&m, 1);
    ae_decoder *d = new_decoder(&m, 1, 100);
    random_tokens(tokens, TOKENS + MORE, V);
    cr_assert_eq(ae_decoder_prefill(d, &s, 2, tokens, TOKENS, NULL, NULL), AE_OK);
    char *kept = malloc(ae_decode_state_packed_bytes(&m, TOKENS));
    ae_decode_state_pack(&s, 2, kept);
    cr_assert_eq(ae_decode_state_copy(&s, 0, &s, 2), AE_OK);
    cr_assert_eq(ae_decode_state_copy(&other, 1, &s, 0), AE_OK);
    cr_assert_eq(ae_decode_state_unpack(&packed, 0, TOKENS, kept), AE_OK);
    cr_assert_eq(ae_decoder_prefill(d, &s, 2, tokens + TOKENS, MORE, want, NULL), AE_OK);
    cr_assert_eq(ae_decoder_prefill(d, &s, 0, tokens + TOKENS, MORE, got, NULL), AE_OK);
    cr_assert_arr_eq(got, want, bytes, "within a state");
    cr_assert_eq(ae_decoder_prefill(d, &other, 1, tokens + TOKENS, MORE, got, NULL), AE_OK);
    cr_assert_arr_eq(got, want, bytes, "of another state");
    cr_assert_eq(ae_decoder_prefill(d, &packed, 0, tokens + TOKENS, MORE, got, NULL), AE_OK);
    cr_assert_arr_eq(got, want, bytes, "unpacked");
    ae_decode_state_reset(&s, 2);
    cr_assert_eq(ae_decoder_prefill(d, &s, 2, tokens, TOKENS + MORE, got, NULL), AE_OK);
    cr_assert(rig_furthest(got, want, (size_t)V) < BOUND, "reset");
    free(kept);
    free(want);
    free(got);
    ae_decoder_delete(d);
    ae_decode_state_free(&packed);
    ae_decode_state_free(&other);
    ae_decode_state_free(&s);
    ae_model_free(&m);
}

/* More than the machine has: nothing is taken, and what was read goes on. */
Test(decode, a_cache_that_does_not_fit_is_refused) {
    ae_model m = growing_model(RIG_CPU_BEST, 1);
    const ptrdiff_t V = m.config.V;
    ae_decode_state s = new_state(&m, 1);
    ae_decoder *d = new_decoder(&m, 1, 16);
    float *logits = malloc((size_t)V * sizeof *logits);
    const int32_t tokens[] = {3, 1, 2};
    cr_assert_eq(ae_decoder_prefill(d, &s, 0, tokens, 3, logits, NULL), AE_OK);
    const size_t bytes = ae_decode_state_bytes_now(&s);
    cr_assert_eq(ae_decode_state_reserve(&s, (ptrdiff_t)1 << 40), AE_ERR_RESOURCE);
    cr_assert_not_null(strstr(ae_error_message(), "without a window"), "%s", ae_error_message());
    cr_assert_eq(ae_decode_state_bytes_now(&s), bytes);
    cr_assert_eq(s.positions[0], 3);
    cr_assert_eq(ae_decoder_step(d, &s, tokens, 1, logits), AE_OK);
    free(logits);
    ae_decoder_delete(d);
    ae_decode_state_free(&s);
    ae_model_free(&m);
}
