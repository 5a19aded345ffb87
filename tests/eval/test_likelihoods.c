#include "core/rng.h"
#include "eval/likelihoods.h"
#include "eval/score.h"
#include "exchange/source.h"
#include "ops/cpu/memory.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- requests as an evaluation makes them: examples in common, a question, its choices ---- */

enum { SHOTS = 150, QUESTIONS = 9, CHOICES = 6, REQUESTS = QUESTIONS * CHOICES, LONGEST = 700 };

typedef struct {
    ae_backend be;
    ae_model model;
} opened;

typedef struct {
    ae_likelihood_request r[REQUESTS];
    int32_t contexts[QUESTIONS][LONGEST], continuations[REQUESTS][LONGEST];
} requests;

static void open_model(opened *o, const char *name, int threads) {
    char folder[512];
    snprintf(folder, sizeof folder, AERIE_FIXTURES "/%s", name);
    cr_assert_eq(ae_backend_cpu(&o->be, &(ae_backend_options){.threads = threads}), AE_OK);
    cr_assert_eq(ae_model_open(&o->model, &o->be, folder, &(ae_model_options){0}), AE_OK, "%s",
                 ae_error_message());
}

static void close_model(opened *o) {
    ae_model_free(&o->model);
    ae_backend_free(&o->be);
}

static void draw(ae_rng *g, int32_t *ids, ptrdiff_t n, ptrdiff_t V) {
    for (ptrdiff_t i = 0; i < n; i++) ids[i] = (int32_t)ae_rng_below(g, (uint64_t)V);
}

/* Questions 0 to 5 follow the examples, of these 2 and 3 whole pages more; 6 is one token, 7 has pages but no examples,
 * 8 is question 0 again. Choices have one token, some, and more than are read side by side. */
static void make_requests(requests *q, ptrdiff_t V) {
    static const ptrdiff_t own[QUESTIONS] = {20, 33, 170, 180, 42, 43, 1, 128, 20},
                           lengths[CHOICES] = {1, 3, 14, 40, 20, 31};
    ae_rng g = ae_rng_make(7, 1);
    int32_t examples[SHOTS];
    draw(&g, examples, SHOTS, V);
    for (int i = 0; i < QUESTIONS; i++) {
        const ptrdiff_t shots = i < 6 || i == 8 ? SHOTS : 0;
        memcpy(q->contexts[i], examples, (size_t)shots * sizeof *examples);
        draw(&g, q->contexts[i] + shots, own[i], V);
        if (i == 3) memcpy(q->contexts[3], q->contexts[2], (SHOTS + 110) * sizeof *examples);
        if (i == 8) memcpy(q->contexts[8], q->contexts[0], sizeof q->contexts[0]);
        for (int k = 0; k < CHOICES; k++) {
            const int at = i * CHOICES + k;
            const ptrdiff_t n = i == 7 && k == 3 ? LONGEST : lengths[k] + i % 3;
            draw(&g, q->continuations[at], n, V);
            q->r[at] = (ae_likelihood_request){q->contexts[i], shots + own[i], q->continuations[at], n};
        }
    }
}

typedef struct {
    ae_likelihood l[REQUESTS];
    int told[REQUESTS];
    ae_likelihood_cost cost;
} results;

static ae_status keep(void *context, ptrdiff_t request, const ae_likelihood *l) {
    results *r = context;
    r->l[request] = *l;
    r->told[request]++;
    return AE_OK;
}

static void find(results *out, const ae_model *m, const ae_likelihood_request *r, ptrdiff_t n,
                 ae_likelihood_options how) {
    *out = (results){0};
    how.done = keep;
    how.context = out;
    cr_assert_eq(ae_likelihoods(m, r, n, &how, &out->cost), AE_OK, "%s", ae_error_message());
    for (ptrdiff_t i = 0; i < n; i++) cr_assert_eq(out->told[i], 1);
}

static void expect_same(const results *a, const results *b) {
    for (int i = 0; i < REQUESTS; i++) {
        cr_assert_eq(memcmp(&a->l[i].logprob, &b->l[i].logprob, sizeof(double)), 0,
                     "request %d: %.17g, %.17g", i, a->l[i].logprob, b->l[i].logprob);
        cr_assert_eq(a->l[i].greedy, b->l[i].greedy);
        cr_assert_eq(a->l[i].tokens, b->l[i].tokens);
    }
}

/* ---- against one pass over the whole ---- */

static ae_likelihood by_scorer(ae_scorer *s, const ae_likelihood_request *r) {
    const ptrdiff_t n = r->n_context + r->n_continuation;
    int32_t *ids = malloc((size_t)n * sizeof *ids), *positions = malloc((size_t)n * sizeof *positions);
    ae_likelihood l = {.greedy = true, .tokens = r->n_continuation};
    ae_scores scores;
    memcpy(ids, r->context, (size_t)r->n_context * sizeof *ids);
    memcpy(ids + r->n_context, r->continuation, (size_t)r->n_continuation * sizeof *ids);
    for (ptrdiff_t i = 0; i < n; i++) positions[i] = (int32_t)i;
    cr_assert_eq(ae_scorer_run(s, ids, positions, n, &scores), AE_OK, "%s", ae_error_message());
    for (ptrdiff_t t = r->n_context - 1; t < n - 1; t++) {
        l.logprob += (double)scores.logprobs[t];
        l.greedy = l.greedy && scores.top_ids[t] == ids[t + 1];
    }
    free(ids);
    free(positions);
    return l;
}

static void check_model(const char *name) {
    opened o;
    ae_scorer *s = NULL;
    open_model(&o, name, 2);
    requests *q = calloc(1, sizeof *q);
    results r;
    make_requests(q, o.model.config.V);
    cr_assert_eq(ae_scorer_new(&s, &o.model, 1), AE_OK);
    q->r[0].continuation = q->r[1].continuation = NULL; /* what the model would say itself */
    int32_t said[2] = {0};
    ae_scores scores;
    int32_t positions[LONGEST];
    for (int i = 0; i < LONGEST; i++) positions[i] = i;
    for (int i = 0; i < 2; i++) {
        const ptrdiff_t n = q->r[0].n_context + i;
        int32_t ids[LONGEST];
        memcpy(ids, q->r[0].context, (size_t)q->r[0].n_context * sizeof *ids);
        if (i) ids[n - 1] = said[0];
        ids[n] = 0;
        cr_assert_eq(ae_scorer_run(s, ids, positions, n + 1, &scores), AE_OK);
        said[i] = scores.top_ids[n - 1];
    }
    q->r[0].continuation = q->r[1].continuation = said;
    q->r[0].n_continuation = 1;
    q->r[1].n_continuation = 2;
    find(&r, &o.model, q->r, REQUESTS, (ae_likelihood_options){0});
    cr_assert(r.l[0].greedy && r.l[1].greedy);
    for (int i = 0; i < REQUESTS; i++) {
        const ae_likelihood l = by_scorer(s, &q->r[i]);
        cr_assert_float_eq(r.l[i].logprob, l.logprob, 1e-4, "%s, request %d: %.9g, expected %.9g", name, i,
                           r.l[i].logprob, l.logprob);
        cr_assert_eq(r.l[i].greedy, l.greedy);
        cr_assert_eq(r.l[i].tokens, l.tokens);
    }
    ae_scorer_delete(s);
    free(q);
    close_model(&o);
}

Test(likelihoods, agree_with_one_pass_tiny) {
    check_model("tiny");
}
Test(likelihoods, agree_with_one_pass_window) {
    check_model("window");
}
Test(likelihoods, agree_with_one_pass_hawk) {
    check_model("hawk");
}
Test(likelihoods, agree_with_one_pass_attention) {
    check_model("attention");
}

/* ---- the same bits ---- */

static void check_bits(const char *name) {
    opened o;
    open_model(&o, name, 2);
    requests *q = calloc(1, sizeof *q);
    results first, again;
    make_requests(q, o.model.config.V);
    find(&first, &o.model, q->r, REQUESTS, (ae_likelihood_options){.batch = 64});
    static const ptrdiff_t batches[] = {1, 7, 0};
    for (size_t i = 0; i < 3; i++) {
        find(&again, &o.model, q->r, REQUESTS, (ae_likelihood_options){.batch = batches[i]});
        expect_same(&first, &again);
    }
    find(&again, &o.model, q->r, REQUESTS, (ae_likelihood_options){.alone = true});
    expect_same(&first, &again);
    cr_assert_gt(again.cost.read, 2 * first.cost.read); /* what sharing saves */
    cr_assert_eq(again.cost.asked, first.cost.asked);
    for (int i = 0; i < REQUESTS; i++) { /* one by one */
        results one;
        find(&one, &o.model, &q->r[i], 1, (ae_likelihood_options){0});
        cr_assert_eq(memcmp(&one.l[0].logprob, &first.l[i].logprob, sizeof(double)), 0);
    }
    ae_likelihood_request backwards[REQUESTS];
    for (int i = 0; i < REQUESTS; i++) backwards[i] = q->r[REQUESTS - 1 - i];
    find(&again, &o.model, backwards, REQUESTS, (ae_likelihood_options){.batch = 5});
    for (int i = 0; i < REQUESTS; i++)
        cr_assert_eq(memcmp(&again.l[REQUESTS - 1 - i].logprob, &first.l[i].logprob, sizeof(double)), 0);
    for (int threads = 1; threads <= 3; threads += 2) {
        opened other;
        open_model(&other, name, threads);
        find(&again, &other.model, q->r, REQUESTS, (ae_likelihood_options){0});
        expect_same(&first, &again);
        close_model(&other);
    }
    free(q);
    close_model(&o);
}

Test(likelihoods, bits_depend_on_the_request_alone_tiny) {
    check_bits("tiny");
}
Test(likelihoods, bits_depend_on_the_request_alone_window) {
    check_bits("window");
}
Test(likelihoods, bits_depend_on_the_request_alone_hawk) {
    check_bits("hawk");
}

/* ---- when it ends early ---- */

static ae_status stop_later(void *context) {
    int *left = context;
    return (*left)-- > 0 ? AE_OK : AE_FAIL(AE_ERR_INTERRUPTED, "stopped");
}

static ae_status nothing(void *context, ptrdiff_t request, const ae_likelihood *l) {
    (void)context;
    (void)request;
    (void)l;
    return AE_OK;
}

Test(likelihoods, a_check_ends_the_run_anywhere) {
    opened o;
    open_model(&o, "tiny", 1);
    requests *q = calloc(1, sizeof *q);
    make_requests(q, o.model.config.V);
    ae_status st = AE_ERR_INTERRUPTED;
    int at = 0;
    for (; st == AE_ERR_INTERRUPTED; at++) {
        int left = at;
        st = ae_likelihoods(&o.model, q->r, REQUESTS,
                            &(ae_likelihood_options){.done = nothing, .check = stop_later, .context = &left},
                            NULL);
    }
    cr_assert_eq(st, AE_OK);
    cr_assert_gt(at, REQUESTS / CHOICES);
    free(q);
    close_model(&o);
}

Test(likelihoods, weights_that_overflow_are_told) {
    opened o;
    open_model(&o, "tiny", 1);
    requests *q = calloc(1, sizeof *q);
    make_requests(q, o.model.config.V);
    const ae_param *p = ae_params_find(&o.model.params, "model.layers.0.mlp_block.down_proj.weight");
    float *huge = malloc((size_t)p->n * sizeof *huge);
    for (int64_t i = 0; i < p->n; i++) huge[i] = i % 2 ? 3e38f : -3e38f;
    o.be.upload(&o.be, p->value, huge, (size_t)p->n * sizeof *huge);
    ae_model_values_changed(&o.model);
    cr_assert_eq(ae_likelihoods(&o.model, q->r, 4, &(ae_likelihood_options){.done = nothing}, NULL),
                 AE_ERR_INPUT);
    cr_assert_not_null(strstr(ae_error_message(), "expected a log-probability"), "%s", ae_error_message());
    free(huge);
    free(q);
    close_model(&o);
}
