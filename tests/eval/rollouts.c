/* Rollouts: 64 prompts of 8 to 512 tokens with 4 answers each, submitted at once and cancelled at random by another thread. Every answer
 * that was not cancelled is the one that its prompt gets alone. A plain program, so that it can run under the thread sanitizer.
 * usage: rollouts MODEL */
#include "core/threads.h"
#include "eval/generator.h"
#include "exchange/source.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROMPTS = 64, ANSWERS = 4, LONGEST = 512, CAPACITY = 24, CANCELS = 20, STEPS_BETWEEN = 5 };
static const int32_t end_id = 1;

#define EXPECT(what, ...)                                                                                    \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #what);                                       \
            fprintf(stderr, __VA_ARGS__);                                                                    \
            fputc('\n', stderr);                                                                             \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

typedef struct {
    int32_t ids[LONGEST];
    float logprobs[LONGEST];
    ptrdiff_t n;
    ae_answer_end end;
} plain;

static void submit(ae_generator *g, int prompt, int64_t first, int64_t answers) {
    int32_t tokens[LONGEST];
    const ptrdiff_t n = 8 + prompt * (LONGEST - 8) / (PROMPTS - 1);
    ae_rng rng = ae_rng_make(1, (uint64_t)prompt);
    for (ptrdiff_t i = 0; i < n; i++) tokens[i] = (int32_t)ae_rng_below(&rng, 64);
    const ae_submission s = {.id = (uint64_t)prompt,
                             .prompt = tokens,
                             .n_prompt = n,
                             .answers = answers,
                             .settings = {.sampling = {1, 0, 1, 0},
                                          .seed = 5,
                                          .stream = (uint64_t)(prompt * ANSWERS + first),
                                          .max_new = prompt % 16 == 0 ? LONGEST : 8 + prompt % 48,
                                          .end_ids = &end_id,
                                          .n_end_ids = prompt % 16 != 0,
                                          .want_logprobs = true}};
    EXPECT(ae_generator_submit(g, &s) == AE_OK, "%s", ae_error_message());
}

static void keep(plain *p, const ae_answer *a) {
    EXPECT(p->n == 0 && p->end == AE_ANSWER_GROWS, "answer %d.%d came twice", (int)a->id, (int)a->index);
    p->n = a->tokens.n;
    p->end = a->end;
    for (ptrdiff_t i = 0; i < p->n; i++) {
        p->ids[i] = a->tokens.ids[i];
        p->logprobs[i] = a->logprobs[i];
    }
}

static void answer_alone(ae_generator *g, plain all[PROMPTS][ANSWERS]) {
    for (int i = 0; i < PROMPTS * ANSWERS; i++) {
        submit(g, i / ANSWERS, i % ANSWERS, 1);
        while (ae_generator_unfinished(g) > 0)
            EXPECT(ae_generator_step(g) == AE_OK, "%s", ae_error_message());
        keep(&all[i / ANSWERS][i % ANSWERS], ae_generator_poll(g, false));
    }
}

typedef struct {
    ae_generator *generator;
    atomic_long steps;
    bool asked[PROMPTS];
} canceller;

/* The last prompt is cancelled while it waits, the others whenever they are. */
static void *cancel_some(void *argument) {
    canceller *c = argument;
    ae_rng rng = ae_rng_make(2, 2);
    for (long k = 0; k < CANCELS; k++) {
        while (atomic_load(&c->steps) < k * STEPS_BETWEEN) usleep(100);
        const uint64_t id = k == 0 ? PROMPTS - 1 : ae_rng_below(&rng, PROMPTS);
        c->asked[id] = true;
        EXPECT(ae_generator_cancel(c->generator, id) == AE_OK, "%s", ae_error_message());
    }
    return NULL;
}

static int answer_together(ae_generator *g, canceller *c, plain all[PROMPTS][ANSWERS]) {
    pthread_t thread;
    int n = 0;
    for (int i = 0; i < PROMPTS; i++) submit(g, i, 0, ANSWERS);
    EXPECT(ae_thread_start(&thread, cancel_some, c) == 0, "no thread");
    while (ae_generator_unfinished(g) > 0) {
        EXPECT(ae_generator_step(g) == AE_OK, "%s", ae_error_message());
        atomic_fetch_add(&c->steps, 1);
        for (const ae_answer *a; (a = ae_generator_poll(g, false)); n++) keep(&all[a->id][a->index], a);
    }
    atomic_fetch_add(&c->steps, CANCELS * STEPS_BETWEEN);
    pthread_join(thread, NULL);
    return n;
}

/* A cancelled answer is the beginning of what it would have been. */
static void compare(const plain *got, const plain *want, bool asked, int prompt, int index) {
    const size_t n = (size_t)got->n;
    if (got->end == AE_ANSWER_CANCELLED)
        EXPECT(asked && got->n <= want->n, "answer %d.%d", prompt, index);
    else
        EXPECT(got->n == want->n && got->end == want->end, "answer %d.%d", prompt, index);
    EXPECT(memcmp(got->ids, want->ids, n * sizeof *got->ids) == 0, "answer %d.%d", prompt, index);
    EXPECT(memcmp(got->logprobs, want->logprobs, n * sizeof *got->logprobs) == 0, "answer %d.%d", prompt,
           index);
}

static ae_generator *generator(const ae_model *m, ptrdiff_t capacity) {
    ae_generator *g = NULL;
    const ae_generator_options o = {.capacity = capacity};
    EXPECT(ae_generator_new(&g, m, NULL, &o) == AE_OK, "%s", ae_error_message());
    return g;
}

int main(int argc, char **argv) {
    static plain alone[PROMPTS][ANSWERS], together[PROMPTS][ANSWERS];
    ae_backend be;
    ae_model m;
    int cancelled = 0;
    EXPECT(argc == 2, "usage: rollouts MODEL");
    EXPECT(ae_backend_cpu(&be, &(ae_backend_options){.threads = 0}) == AE_OK, "%s", ae_error_message());
    EXPECT(ae_model_open(&m, &be, argv[1], &(ae_model_options){0}) == AE_OK, "%s", ae_error_message());
    ae_generator *one = generator(&m, 1), *many = generator(&m, CAPACITY);
    canceller c = {.generator = many};
    answer_alone(one, alone);
    EXPECT(answer_together(many, &c, together) == PROMPTS * ANSWERS, "answers are missing");
    for (int i = 0; i < PROMPTS; i++)
        for (int k = 0; k < ANSWERS; k++) {
            compare(&together[i][k], &alone[i][k], c.asked[i], i, k);
            cancelled += together[i][k].end == AE_ANSWER_CANCELLED;
        }
    EXPECT(cancelled >= ANSWERS && cancelled < PROMPTS * ANSWERS / 2, "%d were cancelled", cancelled);
    printf("%d answers, %d of them cancelled\n", PROMPTS * ANSWERS, cancelled);
    ae_generator_delete(one);
    ae_generator_delete(many);
    ae_model_free(&m);
    ae_backend_free(&be);
    return 0;
}
