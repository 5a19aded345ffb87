#include "eval/generate.h"
#include "eval/score.h"
#include "exchange/source.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPTS = 21, MAX_NEW = 17 };

/* Prompts of several lengths, and the answers as they come. */
typedef struct {
    int given, answers, stop_after, bad; /* bad: the number of the prompt that fails, from 1 */
    ae_ids tokens[PROMPTS];
    float logprobs[PROMPTS][MAX_NEW];
    bool stopped[PROMPTS];
} desk;

static void prompt_of(int i, ae_ids *ids) {
    for (int k = 0; k <= i % 5 * 3; k++) ae_ids_append(ids, (i * 11 + k * 5 + 2) % 64);
}

static ae_status next(void *context, ae_ids *prompt, bool *more) {
    desk *d = context;
    if (d->bad && d->given == d->bad - 1) return AE_FAIL(AE_ERR_INPUT, "prompt %d is bad", d->bad);
    *more = d->given < PROMPTS;
    if (*more) prompt_of(d->given++, prompt);
    return AE_OK;
}

static ae_status done(void *context, const ae_answer *a) {
    desk *d = context;
    const int i = d->answers++;
    cr_assert_null(a->text);
    for (ptrdiff_t k = 0; k < a->tokens.n; k++) ae_ids_append(&d->tokens[i], a->tokens.ids[k]);
    memcpy(d->logprobs[i], a->logprobs, (size_t)a->tokens.n * sizeof(float));
    d->stopped[i] = a->end == AE_ANSWER_STOPPED;
    return AE_OK;
}

static ae_status check(void *context) {
    const desk *d = context;
    if (!d->stop_after || d->answers < d->stop_after) return AE_OK;
    return AE_FAIL(AE_ERR_INTERRUPTED, "stopped by the test");
}

static void desk_free(desk *d) {
    for (int i = 0; i < PROMPTS; i++) ae_ids_free(&d->tokens[i]);
    free(d);
}

static const int32_t end_id = 1;

static desk *answers(const ae_model *m, ptrdiff_t batch, double temperature, uint64_t seed) {
    desk *d = calloc(1, sizeof *d);
    const ae_generation how = {.each = {.sampling = {temperature, 0, 1, 0},
                                        .seed = seed,
                                        .max_new = MAX_NEW,
                                        .end_ids = &end_id,
                                        .n_end_ids = 1,
                                        .want_logprobs = true},
                               .batch = batch};
    const ae_generate_io io = {.next = next, .done = done, .check = check, .context = d};
    cr_assert_eq(ae_generate(m, NULL, &how, &io), AE_OK, "%s", ae_error_message());
    cr_assert_eq(d->answers, PROMPTS);
    return d;
}

static void open_tiny(ae_model *m, ae_backend *be) {
    cr_assert_eq(ae_backend_cpu(be, &(ae_backend_options){.threads = 2}), AE_OK);
    cr_assert_eq(ae_model_open(m, be, AERIE_FIXTURES "/tiny", &(ae_model_options){0}), AE_OK, "%s",
                 ae_error_message());
}

static bool same(const desk *a, const desk *b) {
    for (int i = 0; i < PROMPTS; i++) {
        const size_t n = (size_t)a->tokens[i].n;
        if (b->tokens[i].n != a->tokens[i].n ||
            memcmp(a->tokens[i].ids, b->tokens[i].ids, n * sizeof(int32_t)) != 0)
            return false;
        if (memcmp(a->logprobs[i], b->logprobs[i], n * sizeof(float)) != 0) return false;
    }
    return true;
}

Test(generate, answers_do_not_depend_on_the_batch) {
    ae_backend be;
    ae_model m;
    open_tiny(&m, &be);
    desk *alone = answers(&m, 1, 0.9, 3), *other = answers(&m, 1, 0.9, 4);
    cr_assert_not(same(alone, other), "the seed decides");
    const ptrdiff_t batches[] = {2, 7, 16, 21, 40};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        desk *many = answers(&m, batches[i], 0.9, 3);
        cr_assert(same(alone, many), "batch %td", batches[i]);
        desk_free(many);
    }
    desk_free(alone);
    desk_free(other);
    ae_model_free(&m);
    ae_backend_free(&be);
}

Test(generate, answers_end_by_the_end_token_or_by_length) {
    ae_backend be;
    ae_model m;
    open_tiny(&m, &be);
    desk *d = answers(&m, 4, 1.5, 1);
    int stopped = 0;
    for (int i = 0; i < PROMPTS; i++) {
        const ae_ids *t = &d->tokens[i];
        for (ptrdiff_t k = 0; k + 1 < t->n; k++) cr_assert_neq(t->ids[k], end_id);
        cr_assert_eq(d->stopped[i], t->ids[t->n - 1] == end_id);
        cr_assert(d->stopped[i] || t->n == MAX_NEW);
        stopped += d->stopped[i];
    }
    cr_assert(stopped > 0 && stopped < PROMPTS, "the test sees both: %d", stopped);
    desk_free(d);
    ae_model_free(&m);
    ae_backend_free(&be);
}

/* Greedy tokens are the likeliest by one full pass, and their log-probabilities are those of the pass. */
Test(generate, greedy_agrees_with_a_full_pass) {
    ae_backend be;
    ae_model m;
    open_tiny(&m, &be);
    desk *d = answers(&m, 5, 0, 0);
    ae_scorer *scorer = NULL;
    cr_assert_eq(ae_scorer_new(&scorer, &m, 1), AE_OK);
    for (int i = 0; i < PROMPTS; i++) {
        ae_ids all = {0};
        ae_scores s;
        prompt_of(i, &all);
        const ptrdiff_t first = all.n;
        for (ptrdiff_t k = 0; k < d->tokens[i].n; k++) ae_ids_append(&all, d->tokens[i].ids[k]);
        int32_t positions[64];
        for (int32_t t = 0; t < all.n; t++) positions[t] = t;
        cr_assert_eq(ae_scorer_run(scorer, all.ids, positions, all.n, &s), AE_OK);
        for (ptrdiff_t t = first; t < all.n; t++) {
            cr_assert_eq(s.top_ids[t - 1], all.ids[t], "prompt %d, token %td", i, t);
            cr_assert_float_eq((double)s.logprobs[t - 1], (double)d->logprobs[i][t - first], 2e-5);
        }
        ae_ids_free(&all);
    }
    ae_scorer_delete(scorer);
    desk_free(d);
    ae_model_free(&m);
    ae_backend_free(&be);
}

Test(generate, a_bad_prompt_ends_the_run_behind_the_answers_before_it) {
    ae_backend be;
    ae_model m;
    open_tiny(&m, &be);
    const ae_generation how = {.each = {.sampling = {1, 0, 1}, .max_new = 5, .want_logprobs = true},
                               .batch = 4};
    for (int bad = 1; bad <= PROMPTS; bad += 5) {
        desk *d = calloc(1, sizeof *d);
        d->bad = bad;
        const ae_generate_io io = {.next = next, .done = done, .check = check, .context = d};
        cr_assert_eq(ae_generate(&m, NULL, &how, &io), AE_ERR_INPUT);
        cr_assert_not_null(strstr(ae_error_message(), "is bad"));
        cr_assert_eq(d->answers, bad - 1);
        desk_free(d);
    }
    ae_model_free(&m);
    ae_backend_free(&be);
}

Test(generate, a_failed_check_ends_the_run) {
    ae_backend be;
    ae_model m;
    open_tiny(&m, &be);
    desk *d = calloc(1, sizeof *d);
    d->stop_after = 3;
    const ae_generation how = {.each = {.sampling = {1, 0, 1}, .max_new = 5, .want_logprobs = true},
                               .batch = 4};
    const ae_generate_io io = {.next = next, .done = done, .check = check, .context = d};
    cr_assert_eq(ae_generate(&m, NULL, &how, &io), AE_ERR_INTERRUPTED);
    cr_assert(d->answers >= 3 && d->answers < PROMPTS);
    desk_free(d);
    ae_model_free(&m);
    ae_backend_free(&be);
}

/* Memory of the device as it is taken and given back. */
static struct {
    ae_status (*alloc)(const ae_backend *be, void **ptr, size_t bytes);
    void (*release)(const ae_backend *be, void *ptr, size_t bytes);
    size_t held, most;
} counted;

static ae_status counting_alloc(const ae_backend *be, void **ptr, size_t bytes) {
    counted.held += bytes;
    counted.most = counted.held > counted.most ? counted.held : counted.most;
    return counted.alloc(be, ptr, bytes);
}

static void counting_release(const ae_backend *be, void *ptr, size_t bytes) {
    counted.held -= bytes;
    counted.release(be, ptr, bytes);
}

/* What a plan counts is what is taken, for the longest prompts and for one whose length is known; the answers are the same. */
static void expect_memory(ptrdiff_t rank) {
    const ae_model_options o = {.weights = AE_WEIGHT_INT8, .params = {.adapters = {.rank = rank}}};
    ae_backend be;
    ae_model m;
    desk *all[2];
    cr_assert_eq(ae_backend_cpu(&be, &(ae_backend_options){.threads = 2}), AE_OK);
    cr_assert_eq(ae_model_open(&m, &be, AERIE_FIXTURES "/tiny", &o), AE_OK, "%s", ae_error_message());
    counted.alloc = be.alloc;
    counted.release = be.release;
    be.alloc = counting_alloc;
    be.release = counting_release;
    const ptrdiff_t lengths[] = {0, 13}; /* 13: the longest prompt here */
    for (int i = 0; i < 2; i++) {
        const ae_generation how = {
            .each = {.sampling = {0.7, 0, 1, 0}, .max_new = MAX_NEW, .want_logprobs = true},
            .batch = 3,
            .prompt_tokens = lengths[i]};
        counted.held = counted.most = 0;
        all[i] = calloc(1, sizeof *all[i]);
        const ae_generate_io io = {.next = next, .done = done, .check = check, .context = all[i]};
        cr_assert_eq(ae_generate(&m, NULL, &how, &io), AE_OK, "%s", ae_error_message());
        const size_t said = ae_generate_bytes(&be, &m.config, rank, 3, lengths[i], MAX_NEW);
        const size_t logits = (size_t)(3 * m.config.V) * sizeof(float) + /* on the host */
                              ae_sample_each_room_bytes(m.config.V, 3, be.threads);
        cr_assert_eq(counted.held, 0);
        const size_t taken = counted.most + logits;
        cr_assert(taken <= said && said < taken + taken / 100, "%zu taken, %zu said", taken, said);
    }
    cr_assert(same(all[0], all[1]));
    cr_assert_lt(ae_generate_bytes(&be, &m.config, rank, 3, 13, MAX_NEW),
                 ae_generate_bytes(&be, &m.config, rank, 3, 0, MAX_NEW));
    for (int i = 0; i < 2; i++) desk_free(all[i]);
    ae_model_free(&m);
    ae_backend_free(&be);
}

Test(generate, takes_the_memory_that_it_says) {
    expect_memory(0);
}

/* They stay beside integers, and take scratch of their own. */
Test(generate, takes_the_memory_that_it_says_with_adapters) {
    expect_memory(40);
}
