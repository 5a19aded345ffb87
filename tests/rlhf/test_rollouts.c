#include "rlhf/packed.h"
#include "rlhf/rollouts.h"
#include "rlhf/scores.h"
#include "tests/model/rig.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Answers of tiny models, and that training gives their tokens the law that they were drawn from. */

TestSuite(rollouts, .timeout = 120);

#define ASSERT_OK(expr) cr_assert_eq((expr), AE_OK, "%s", ae_error_message())

static const char *const fixtures[] = {"tiny", "hawk", "attention"};
enum { FIXTURES = 3, PROMPTS = 5, SAMPLES = 3, MAX_NEW = 40, T = 64 };

static const int32_t tokens[PROMPTS][6] = {
    {2, 5, 9, 11, 13, 17}, {2, 40, 3, 8}, {2}, {2, 30, 31, 32, 33}, {2, 7, 7, 7}};
static const ptrdiff_t lengths[PROMPTS] = {6, 4, 1, 5, 4};

static ae_rollouts rollouts_of(const ae_model *m, double temperature, ptrdiff_t capacity) {
    return (ae_rollouts){.writers = {m, NULL, m},
                         .counts = {SAMPLES, 0, 2},
                         .temperature = temperature,
                         .max_new = MAX_NEW,
                         .seed = 11,
                         .name = "test",
                         .round = 3,
                         .capacity = capacity,
                         .longest = 6,
                         .want_drawn = true};
}

static ae_written_set write_them(const ae_rollouts *r, ptrdiff_t n) {
    ae_rollout_prompt prompts[PROMPTS];
    ae_written_set s;
    for (ptrdiff_t i = 0; i < n; i++) prompts[i] = (ae_rollout_prompt){tokens[i], lengths[i], 100 + i, i};
    ASSERT_OK(ae_rollouts_write(r, prompts, n, &s));
    return s;
}

static void expect_same(const ae_written *a, const ae_written *b) {
    cr_assert_eq(a->seen.n, b->seen.n);
    cr_assert(a->seen.truncated == b->seen.truncated && a->seen.writer == b->seen.writer);
    cr_assert_eq(memcmp(a->tokens, b->tokens, (size_t)(a->n_prompt + a->seen.n) * sizeof *a->tokens), 0);
    if (a->drawn) cr_assert_eq(memcmp(a->drawn, b->drawn, (size_t)a->seen.n * sizeof *a->drawn), 0);
}

Test(rollouts, stand_by_prompt_and_by_writer) {
    ae_model m;
    rig_model(&m, rig_backend(RIG_CPU_BEST, 2), "tiny", false);
    const ae_rollouts r = rollouts_of(&m, 1, 4);
    ae_written_set s = write_them(&r, PROMPTS);
    int ended = 0;
    cr_assert_eq(s.n, PROMPTS * (SAMPLES + 2));
    for (ptrdiff_t i = 0; i < s.n; i++) {
        const ae_written *w = &s.items[i];
        const ptrdiff_t prompt = i / (SAMPLES + 2), of = i % (SAMPLES + 2);
        cr_assert_eq(w->seen.prompt, prompt);
        cr_assert_eq(w->document, 100 + prompt);
        cr_assert_eq(w->seen.writer, of < SAMPLES ? AE_RL_POLICY : AE_RL_REFERENCE);
        cr_assert_eq(w->drawn != NULL, of < SAMPLES);
        cr_assert(w->n_prompt == lengths[prompt] && w->seen.counts);
        cr_assert_eq(memcmp(w->tokens, tokens[prompt], (size_t)w->n_prompt * sizeof *w->tokens), 0);
        cr_assert(w->seen.n == MAX_NEW || !w->seen.truncated);
        cr_assert_eq(w->tokens[w->n_prompt + w->seen.n - 1] == 1, !w->seen.truncated,
                     "the end is a token of it");
        ended += !w->seen.truncated;
    }
    cr_assert(ended > 0);
    ae_written_set_free(&s);
    ae_model_free(&m);
}

/* Neither what is written beside an answer nor how, but the seed, the name and the round. */
Test(rollouts, depend_on_their_place_alone) {
    for (int f = 0; f < FIXTURES; f++) {
        ae_model m;
        rig_model(&m, rig_backend(RIG_CPU_BEST, 1), fixtures[f], false);
        ae_rollouts r = rollouts_of(&m, 1.3, 64);
        ae_written_set whole = write_them(&r, PROMPTS);
        r.capacity = 2;
        ae_written_set few = write_them(&r, 3);
        for (ptrdiff_t i = 0; i < few.n; i++) expect_same(&few.items[i], &whole.items[i]);
        r.round = 4;
        ae_written_set other = write_them(&r, 3);
        int same = 0;
        for (ptrdiff_t i = 0; i < few.n; i++)
            same += few.items[i].seen.n == other.items[i].seen.n &&
                    memcmp(few.items[i].tokens, other.items[i].tokens,
                           (size_t)(few.items[i].n_prompt + few.items[i].seen.n) * sizeof(int32_t)) == 0;
        cr_assert_lt(same, few.n / 2);
        ae_model_free(&m);
        rig_model(&m, rig_backend(RIG_CPU_BEST, 3), fixtures[f], false);
        r = rollouts_of(&m, 1.3, 7);
        ae_written_set threads = write_them(&r, PROMPTS);
        for (ptrdiff_t i = 0; i < whole.n; i++) expect_same(&threads.items[i], &whole.items[i]);
        ae_written_set_free(&whole);
        ae_written_set_free(&few);
        ae_written_set_free(&other);
        ae_written_set_free(&threads);
        ae_model_free(&m);
    }
}

/* The same prompt at two places, and one writer beside another of the same weights. */
Test(rollouts, every_answer_has_a_stream_of_its_own) {
    ae_model m;
    ae_written_set s;
    rig_model(&m, rig_backend(RIG_CPU_BEST, 1), "tiny", false);
    const ae_rollouts r = rollouts_of(&m, 1.3, 64);
    const ae_rollout_prompt prompts[] = {{tokens[0], lengths[0], 0, 0}, {tokens[0], lengths[0], 0, 1}};
    ASSERT_OK(ae_rollouts_write(&r, prompts, 2, &s));
    for (ptrdiff_t i = 0; i < s.n; i++)
        for (ptrdiff_t j = 0; j < i; j++) {
            const ae_written *a = &s.items[i], *b = &s.items[j];
            const size_t bytes = (size_t)(a->n_prompt + a->seen.n) * sizeof *a->tokens;
            cr_assert(a->seen.n != b->seen.n || memcmp(a->tokens, b->tokens, bytes) != 0, "%td and %td", i,
                      j);
        }
    ae_written_set_free(&s);
    ae_model_free(&m);
}

/* The sampler's log-probabilities against those of a training pass. */
static double furthest(const char *fixture, double temperature) {
    ae_model m;
    ae_batch b;
    ae_pass *pass = NULL;
    double most = 0;
    rig_model(&m, rig_backend(RIG_CPU_BEST, 2), fixture, true);
    const ae_rollouts r = rollouts_of(&m, temperature, 8);
    ae_written_set s = write_them(&r, PROMPTS);
    ASSERT_OK(ae_written_set_take(&s, ~0u));
    ASSERT_OK(ae_packed_make(&b, &s, T, true));
    ASSERT_OK(ae_pass_new(&pass, &m, (ae_pass_dims){.B = b.B, .T = b.T}, true));
    const ae_scorer k = {.policy = &m, .pass = pass, .micro_rows = b.B, .temperature = (float)temperature};
    ASSERT_OK(ae_scores_read(&k, &b, &s, true));
    for (ptrdiff_t i = 0; i < s.n; i++)
        for (ptrdiff_t t = 0; s.items[i].drawn && t < s.items[i].seen.n; t++)
            most = fmax(most, fabs((double)s.items[i].drawn[t] - (double)s.items[i].seen.now[t]));
    ae_pass_delete(pass);
    ae_batch_free(&b);
    ae_written_set_free(&s);
    ae_model_free(&m);
    return most;
}

Test(rollouts, training_knows_the_law_that_they_are_drawn_from) {
    static const double temperatures[] = {0.7, 1, 1.3};
    for (int f = 0; f < FIXTURES; f++)
        for (int t = 0; t < 3; t++) {
            const double error = furthest(fixtures[f], temperatures[t]);
            cr_assert(error < 2e-5, "%s at %g: %g nats", fixtures[f], temperatures[t], error);
        }
}

Test(rollouts, a_stop_is_heard) {
    ae_model m;
    ae_written_set s;
    atomic_int stop = 1;
    rig_model(&m, rig_backend(RIG_CPU_BEST, 1), "tiny", false);
    ae_rollouts r = rollouts_of(&m, 1, 4);
    r.stop = &stop;
    const ae_rollout_prompt prompt = {tokens[0], lengths[0], 0, 0};
    cr_assert_eq(ae_rollouts_write(&r, &prompt, 1, &s), AE_ERR_INTERRUPTED);
    ae_model_free(&m);
}
