#include "core/file.h"
#include "eval/generator.h"
#include "exchange/source.h"
#include "tests/eval/small_tokenizer.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_NEW = 20, ANSWERS = 64 };
static const int32_t end_id = 1;

typedef struct {
    ae_backend be;
    ae_model model;
} rig;

static void rig_init(rig *r) {
    cr_assert_eq(ae_backend_cpu(&r->be, &(ae_backend_options){.threads = 2}), AE_OK);
    cr_assert_eq(ae_model_open(&r->model, &r->be, AERIE_FIXTURES "/tiny", &(ae_model_options){0}), AE_OK,
                 "%s", ae_error_message());
}

static ae_generator *generator(const rig *r, const ae_tokenizer *t, ptrdiff_t capacity) {
    ae_generator *g = NULL;
    const ae_generator_options o = {.capacity = capacity};
    cr_assert_eq(ae_generator_new(&g, &r->model, t, &o), AE_OK, "%s", ae_error_message());
    return g;
}

static ptrdiff_t prompt_of(int i, int32_t prompt[64]) {
    const ptrdiff_t n = 1 + i * 7 % 40;
    for (ptrdiff_t k = 0; k < n; k++) prompt[k] = (int32_t)((i * 11 + k * 5 + k * k + 2) % 64);
    return n;
}

static ae_answer_settings settings(double temperature, uint64_t stream, int64_t max_new) {
    return (ae_answer_settings){.sampling = {temperature, 0, 1, 0},
                                .seed = 9,
                                .stream = stream,
                                .max_new = max_new,
                                .end_ids = &end_id,
                                .n_end_ids = 1,
                                .want_logprobs = true};
}

/* An answer as its tokens and log-probabilities. */
typedef struct {
    int32_t ids[MAX_NEW];
    float logprobs[MAX_NEW];
    ptrdiff_t n;
    ae_answer_end end;
} plain;

static void expect_same(const plain *want, const plain *got, const char *what, int i) {
    cr_assert_eq(got->n, want->n, "%s %d: %td tokens, expected %td", what, i, got->n, want->n);
    cr_assert_eq(memcmp(got->ids, want->ids, (size_t)want->n * sizeof *want->ids), 0, "%s %d", what, i);
    cr_assert_eq(memcmp(got->logprobs, want->logprobs, (size_t)want->n * sizeof *want->logprobs), 0, "%s %d",
                 what, i);
    cr_assert_eq(got->end, want->end, "%s %d", what, i);
}

/* One answer made with the decoder and the sampler alone; the prompt's first `before` tokens are read
 * apart. */
static plain by_hand(const rig *r, const int32_t *prompt, ptrdiff_t n, ptrdiff_t before,
                     const ae_answer_settings *s) {
    enum { V = 64 };
    plain p = {0};
    float logits[V];
    void *room = malloc(ae_sample_room_bytes(V));
    ae_decode_state state;
    ae_decoder *d = NULL;
    ae_rng rng = ae_rng_make(s->seed, s->stream);
    cr_assert_eq(r->model.config.V, V);
    cr_assert_eq(ae_decode_state_init(&state, &r->model, 1), AE_OK);
    cr_assert_eq(ae_decoder_new(&d, &r->model, 1, AE_PREFILL_CHUNK), AE_OK);
    ae_decoder_prefill(d, &state, 0, prompt, before, NULL, NULL);
    ae_decoder_prefill(d, &state, 0, prompt + before, n - before, logits, NULL);
    while (p.end == AE_ANSWER_GROWS) {
        ae_draw x = {.logits = logits, .how = &s->sampling, .rng = &rng, .wants_logprob = true};
        ae_sample(&x, V, room, 1);
        const int32_t id = x.id;
        p.ids[p.n] = id;
        p.logprobs[p.n++] = (float)x.logprob;
        p.end = id == end_id ? AE_ANSWER_STOPPED : p.n == s->max_new ? AE_ANSWER_FULL : AE_ANSWER_GROWS;
        ae_decoder_step(d, &state, &id, 1, logits);
    }
    ae_decoder_delete(d);
    ae_decode_state_free(&state);
    free(room);
    return p;
}

static plain plain_of(const ae_answer *a) {
    plain p = {.n = a->tokens.n, .end = a->end};
    cr_assert_leq(p.n, MAX_NEW);
    if (p.n == 0) return p;
    memcpy(p.ids, a->tokens.ids, (size_t)p.n * sizeof *p.ids);
    memcpy(p.logprobs, a->logprobs, (size_t)p.n * sizeof *p.logprobs);
    return p;
}

/* Steps until all have ended; answer `index` of submission `id` goes to all[id + index]. */
static int run_all(ae_generator *g, plain *all) {
    const ae_answer *a;
    int n = 0;
    while (ae_generator_unfinished(g) > 0) {
        cr_assert_eq(ae_generator_step(g), AE_OK, "%s", ae_error_message());
        for (; (a = ae_generator_poll(g, false)); n++) all[(int64_t)a->id + a->index] = plain_of(a);
    }
    return n;
}

static void submit(ae_generator *g, int i, int64_t answers, const ae_answer_settings *s) {
    int32_t prompt[64];
    const ptrdiff_t n = prompt_of(i, prompt);
    const ae_submission what = {
        .id = (uint64_t)i, .prompt = prompt, .n_prompt = n, .answers = answers, .settings = *s};
    cr_assert_eq(ae_generator_submit(g, &what), AE_OK, "%s", ae_error_message());
}

/* Greedy and sampled, short and long, side by side. */
static ae_answer_settings settings_of(int i) {
    return settings(i % 3 == 0 ? 0 : 0.6 + 0.1 * i, (uint64_t)i, 1 + i * 5 % MAX_NEW);
}

Test(generator, each_submission_has_its_own_settings) {
    enum { N = 20 };
    rig r;
    rig_init(&r);
    for (ptrdiff_t capacity = 1; capacity <= 27; capacity += 13) {
        ae_generator *g = generator(&r, NULL, capacity);
        plain all[N];
        for (int i = 0; i < N; i++) {
            const ae_answer_settings s = settings_of(i);
            submit(g, i, 1, &s);
        }
        cr_assert_eq(run_all(g, all), N);
        for (int i = 0; i < N; i++) {
            int32_t prompt[64];
            const ptrdiff_t n = prompt_of(i, prompt);
            const ae_answer_settings s = settings_of(i);
            const plain want = by_hand(&r, prompt, n, 0, &s);
            expect_same(&want, &all[i], "answer", i);
        }
        ae_generator_delete(g);
    }
    ae_model_free(&r.model);
    ae_backend_free(&r.be);
}

/* With a heavy penalty no token comes twice, those of the prompt included, but for those that end an answer. */
Test(generator, a_repetition_penalty) {
    enum { N = 8 };
    rig r;
    rig_init(&r);
    for (int off = 0; off < 2; off++) {
        ae_generator *g = generator(&r, NULL, 3);
        plain all[N];
        for (int i = 0; i < N; i++) {
            ae_answer_settings s = settings(i % 2 ? 1 : 0, (uint64_t)i, MAX_NEW);
            s.repetition_penalty = off ? 1 : 100;
            submit(g, i, 1, &s);
        }
        cr_assert_eq(run_all(g, all), N);
        for (int i = 0; i < N; i++) {
            bool seen[64] = {false}, again = false;
            int32_t prompt[64];
            const ptrdiff_t n = prompt_of(i, prompt);
            for (ptrdiff_t k = 0; k < n; k++) seen[prompt[k]] = prompt[k] != end_id;
            for (ptrdiff_t k = 0; k < all[i].n; k++) {
                again |= seen[all[i].ids[k]];
                seen[all[i].ids[k]] = all[i].ids[k] != end_id;
            }
            const ae_answer_settings s = settings(i % 2 ? 1 : 0, (uint64_t)i, MAX_NEW);
            const plain plainly = by_hand(&r, prompt, n, 0, &s);
            if (off)
                expect_same(&plainly, &all[i], "answer", i);
            else if (i % 2 == 0)
                cr_assert_not(again, "answer %d has a token again", i);
        }
        ae_generator_delete(g);
    }
    ae_model_free(&r.model);
    ae_backend_free(&r.be);
}

Test(generator, answers_to_one_prompt_are_those_to_copies_of_it) {
    enum { K = 5 };
    rig r;
    rig_init(&r);
    for (ptrdiff_t capacity = 1; capacity <= 9; capacity += 2) {
        ae_generator *g = generator(&r, NULL, capacity);
        plain all[ANSWERS];
        for (int i = 0; i < 4 * K; i += K) {
            const ae_answer_settings s = settings(1, (uint64_t)i, MAX_NEW);
            submit(g, i, K, &s);
        }
        cr_assert_eq(run_all(g, all), 4 * K);
        for (int i = 0; i < 4 * K; i++) {
            int32_t prompt[64];
            const ptrdiff_t n = prompt_of(i / K * K, prompt);
            const ae_answer_settings s = settings(1, (uint64_t)i, MAX_NEW);
            const plain want = by_hand(&r, prompt, n, 0, &s);
            expect_same(&want, &all[i], "answer", i);
        }
        ae_generator_delete(g);
    }
    ae_model_free(&r.model);
    ae_backend_free(&r.be);
}

/* Short prompts of one length are read together. */
Test(generator, short_prompts_side_by_side) {
    enum { N = 40, ALIKE = 7, LONGEST = 17 };
    rig r;
    rig_init(&r);
    int32_t prompts[N][64];
    for (ptrdiff_t capacity = 1; capacity <= 33; capacity += 16) {
        ae_generator *g = generator(&r, NULL, capacity);
        plain all[N];
        for (int i = 0; i < N; i++) {
            const ptrdiff_t n = 1 + i / ALIKE * 3 % LONGEST;
            for (ptrdiff_t k = 0; k < n; k++) prompts[i][k] = (int32_t)((i * 5 + k * 7 + 3) % 64);
            const ae_submission s = {
                .id = (uint64_t)i, .prompt = prompts[i], .n_prompt = n, .settings = settings_of(i)};
            cr_assert_eq(ae_generator_submit(g, &s), AE_OK);
        }
        cr_assert_eq(run_all(g, all), N);
        for (int i = 0; i < N; i++) {
            const ae_answer_settings s = settings_of(i);
            const plain want = by_hand(&r, prompts[i], 1 + i / ALIKE * 3 % LONGEST, 0, &s);
            expect_same(&want, &all[i], "answer", i);
        }
        ae_generator_delete(g);
    }
    ae_model_free(&r.model);
    ae_backend_free(&r.be);
}

/* The state may change or go after it was submitted. */
Test(generator, a_prompt_may_follow_a_state) {
    enum { N = 3 };
    rig r;
    rig_init(&r);
    ae_decode_state state;
    ae_decoder *d = NULL;
    int32_t prompt[64];
    const ptrdiff_t n = prompt_of(5, prompt), before = n / 2;
    cr_assert_eq(ae_decode_state_init(&state, &r.model, 2), AE_OK);
    cr_assert_eq(ae_decoder_new(&d, &r.model, 1, AE_PREFILL_CHUNK), AE_OK);
    ae_decoder_prefill(d, &state, 1, prompt, before, NULL, NULL);
    ae_decoder_delete(d);
    for (int64_t answers = 1; answers <= N; answers += 2) {
        plain all[N];
        ae_generator *g = generator(&r, NULL, 2);
        const ae_submission s = {.prompt = prompt + before,
                                 .n_prompt = n - before,
                                 .state = &state,
                                 .sequence = 1,
                                 .answers = answers,
                                 .settings = settings(1, 4, MAX_NEW)};
        cr_assert_eq(ae_generator_submit(g, &s), AE_OK);
        if (answers == N) ae_decode_state_free(&state);
        cr_assert_eq(run_all(g, all), answers);
        for (int i = 0; i < answers; i++) {
            const ae_answer_settings each = settings(1, (uint64_t)(4 + i), MAX_NEW);
            const plain want = by_hand(&r, prompt, n, before, &each);
            expect_same(&want, &all[i], "answer", i);
        }
        ae_generator_delete(g);
    }
    ae_model_free(&r.model);
    ae_backend_free(&r.be);
}

Test(generator, cancelled_answers_leave_room) {
    enum { CAPACITY = 3, K = 2, N = 5 };
    rig r;
    rig_init(&r);
    ae_generator *g = generator(&r, NULL, CAPACITY);
    int ended[N * 10] = {0}, cancelled = 0;
    for (int i = 0; i < N; i++) {
        ae_answer_settings s = settings(1, (uint64_t)i, 1000);
        s.n_end_ids = 0;
        submit(g, i * 10, K, &s);
    }
    cr_assert_eq(ae_generator_unfinished(g), N * K);
    for (int i = 0; i < 3; i++) cr_assert_eq(ae_generator_step(g), AE_OK);
    cr_assert_null(ae_generator_poll(g, false));
    const uint64_t ids[] = {10, 40, 777}; /* grows and waits, waits, is not there */
    for (int i = 0; i < 3; i++) cr_assert_eq(ae_generator_cancel(g, ids[i]), AE_OK);
    cr_assert_eq(ae_generator_step(g), AE_OK);
    cr_assert_eq(ae_generator_unfinished(g), (N - 2) * K);
    for (const ae_answer *a; (a = ae_generator_poll(g, false)); cancelled++) {
        cr_assert_eq(a->end, AE_ANSWER_CANCELLED);
        cr_assert(a->id == 10 || a->id == 40);
        cr_assert_eq(a->tokens.n, a->id == 10 && a->index == 0 ? 4 : 0);
        cr_assert_eq(ended[a->id + (uint64_t)a->index]++, 0);
    }
    cr_assert_eq(cancelled, 2 * K);
    int grow = 0;
    while (ae_generator_poll(g, true)) grow++;
    cr_assert_eq(grow, CAPACITY, "the next ones began in the same step");
    ae_generator_delete(g);
    ae_model_free(&r.model);
    ae_backend_free(&r.be);
}

/* What polls tell of growing answers adds up to the answers, one or two tokens a step. */
Test(generator, streams_of_a_batch_add_up) {
    enum { N = 9 };
    rig r;
    rig_init(&r);
    ae_generator *g = generator(&r, NULL, 4);
    plain told[N] = {0}, all[N];
    int ended = 0;
    for (int i = 0; i < N; i++) {
        const ae_answer_settings s = settings(1, (uint64_t)i, MAX_NEW);
        submit(g, i, 1, &s);
    }
    while (ae_generator_unfinished(g) > 0) {
        cr_assert_eq(ae_generator_step(g), AE_OK);
        for (const ae_answer *a; (a = ae_generator_poll(g, true));) {
            plain *p = &told[a->id];
            const ptrdiff_t fresh = a->tokens.n - a->told_tokens;
            cr_assert_eq(a->told_tokens, p->n);
            cr_assert(fresh == 1 || fresh == 2);
            for (ptrdiff_t k = p->n; k < a->tokens.n; k++) p->ids[k] = a->tokens.ids[k];
            memcpy(p->logprobs, a->logprobs, (size_t)a->tokens.n * sizeof *p->logprobs);
            p->n = a->tokens.n;
            p->end = a->end;
            if (a->end == AE_ANSWER_GROWS) continue;
            ended++;
            all[a->id] = plain_of(a);
        }
    }
    cr_assert_eq(ended, N);
    for (int i = 0; i < N; i++) expect_same(&all[i], &told[i], "stream", i);
    ae_generator_delete(g);
    ae_model_free(&r.model);
    ae_backend_free(&r.be);
}

/* Bytes of an answer's text, NULs among them. */
typedef struct {
    char bytes[256];
    size_t n;
} some_text;

static void take_text(ae_generator *g, some_text *all) {
    while (ae_generator_unfinished(g) > 0) {
        cr_assert_eq(ae_generator_step(g), AE_OK);
        for (const ae_answer *a; (a = ae_generator_poll(g, true));) {
            some_text *t = &all[a->id];
            cr_assert(t->n == a->told_bytes && a->text_bytes >= t->n && a->text_bytes < sizeof t->bytes);
            if (a->text_bytes > 0) memcpy(t->bytes + t->n, a->text + t->n, a->text_bytes - t->n);
            t->n = a->text_bytes;
        }
    }
}

/* Text in pieces, of a batch with and without stop strings: what a stop string cuts was never told. */
Test(generator, text_comes_in_certain_pieces) {
    enum { N = 12 };
    rig r;
    rig_init(&r);
    ae_tokenizer *t = small_tokenizer();
    char pair[3] = {0};
    const char *const stop = pair;
    some_text whole[2][N] = {0};
    int cut = 0;
    for (int round = 0; round < 2; round++) {
        ae_generator *g = generator(&r, t, 5);
        for (int i = 0; i < N; i++) {
            ae_answer_settings s = settings(1, (uint64_t)i, MAX_NEW);
            s.stops = &stop;
            s.n_stops = (size_t)round;
            submit(g, i, 1, &s);
        }
        take_text(g, whole[round]);
        ae_generator_delete(g);
        for (int i = 0; i < N; i++)
            for (size_t k = 1; k + 1 < whole[0][i].n && !*pair; k++)
                if (whole[0][i].bytes[k] && whole[0][i].bytes[k + 1]) memcpy(pair, &whole[0][i].bytes[k], 2);
    }
    for (int i = 0; i < N; i++) {
        const some_text *full = &whole[0][i], *short_one = &whole[1][i];
        const char *at = memmem(full->bytes, full->n, pair, 2);
        cr_assert_eq(short_one->n, at ? (size_t)(at - full->bytes) : full->n);
        cr_assert_eq(memcmp(short_one->bytes, full->bytes, short_one->n), 0);
        cut += at != NULL;
    }
    cr_assert(cut > 0 && cut < N, "%d of %d were cut", cut, N);
    ae_tokenizer_delete(t);
    ae_model_free(&r.model);
    ae_backend_free(&r.be);
}

Test(generator, answers_of_a_broken_model_say_so) {
    rig r;
    rig_init(&r);
    const ae_param *norm = ae_params_find(&r.model.params, "model.final_norm.weight");
    const float bad = NAN;
    cr_assert_not_null(norm);
    r.be.upload(&r.be, norm->value, &bad, sizeof bad);
    ae_generator *g = generator(&r, NULL, 2);
    const ae_answer_settings s = settings(1, 0, MAX_NEW);
    submit(g, 3, 1, &s);
    cr_assert_eq(ae_generator_step(g), AE_OK);
    const ae_answer *a = ae_generator_poll(g, false);
    cr_assert_not_null(a);
    cr_assert_eq(a->end, AE_ANSWER_OVERFLOWED);
    cr_assert_eq(a->tokens.n, 0);
    ae_generator_delete(g);
    ae_model_free(&r.model);
    ae_backend_free(&r.be);
}

static ae_status refuse(void *context) {
    int *left = context;
    return --*left < 0 ? AE_FAIL(AE_ERR_INTERRUPTED, "stopped by the test") : AE_OK;
}

/* A step that `check` ended goes on where it stood. */
Test(generator, a_step_that_was_ended_goes_on) {
    enum { N = 6 };
    rig r;
    rig_init(&r);
    int left = 0;
    const ae_generator_options o = {.capacity = 2, .check = refuse, .context = &left};
    ae_generator *g = NULL;
    plain all[N];
    int ended = 0, refused = 0;
    cr_assert_eq(ae_generator_new(&g, &r.model, NULL, &o), AE_OK);
    for (int i = 0; i < N; i++) {
        const ae_answer_settings s = settings_of(i);
        submit(g, i, 1, &s);
    }
    for (; ae_generator_unfinished(g) > 0; left = refused % 3) {
        refused += ae_generator_step(g) == AE_ERR_INTERRUPTED;
        for (const ae_answer *a; (a = ae_generator_poll(g, false)); ended++) all[a->id] = plain_of(a);
    }
    cr_assert(ended == N && refused > 0);
    for (int i = 0; i < N; i++) {
        int32_t prompt[64];
        const ptrdiff_t n = prompt_of(i, prompt);
        const ae_answer_settings s = settings_of(i);
        const plain want = by_hand(&r, prompt, n, 0, &s);
        expect_same(&want, &all[i], "answer", i);
    }
    ae_generator_delete(g);
    ae_model_free(&r.model);
    ae_backend_free(&r.be);
}
