#include "core/rng.h"
#include "rlhf/packed.h"
#include "rlhf/scores.h"
#include "tests/model/naive.h"
#include "tests/ref/ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Scores of packed answers on tiny models, and gradients of losses of them against the complex step. */

TestSuite(scores, .timeout = 120);

#define ASSERT_OK(expr) cr_assert_eq((expr), AE_OK, "%s", ae_error_message())

static const char *const fixtures[] = {"tiny", "hawk", "attention"};
enum { FIXTURES = 3, ANSWERS = 7, T = 40 };
static const float TEMPERATURE = 0.8f;

/* Three answers to each prompt. */
static ae_written_set random_answers(ptrdiff_t n, ptrdiff_t V, uint64_t seed) {
    ae_written_set s;
    ae_rng r = ae_rng_make(seed, 4);
    ASSERT_OK(ae_written_set_init(&s, n, n));
    for (ptrdiff_t i = 0; i < n; i++) {
        ae_written *w = &s.items[i];
        const ae_written *first = &s.items[i - i % 3];
        w->n_prompt = w == first ? 1 + (ptrdiff_t)ae_rng_below(&r, 6) : first->n_prompt;
        w->seen.n = 1 + (ptrdiff_t)ae_rng_below(&r, 12);
        w->seen.counts = i % 3 != 1;
        w->tokens = calloc((size_t)(w->n_prompt + w->seen.n), sizeof *w->tokens);
        cr_assert_not_null(w->tokens);
        for (ptrdiff_t t = 0; t < w->n_prompt + w->seen.n; t++)
            w->tokens[t] =
                w != first && t < w->n_prompt ? first->tokens[t] : (int32_t)ae_rng_below(&r, (uint64_t)V);
    }
    ASSERT_OK(ae_written_set_take(&s, ~0u));
    return s;
}

/* ---- rows ---- */

/* From the last target of an answer back to the beginning of its prompt; counts the visits of each place. */
static void expect_whole(const ae_batch *b, const ae_written *w, int *visits) {
    const ptrdiff_t n = w->n_prompt + w->seen.n - 1, row = w->place / b->T * b->T;
    ptrdiff_t at = w->place + w->seen.n - 1 - row;
    cr_assert_lt(at, b->T, "it lies in one row");
    for (ptrdiff_t t = n - 1; t >= 0; t--) {
        const ptrdiff_t place = row + at;
        const bool counts = t >= w->n_prompt - 1;
        cr_assert(b->tokens[place] == w->tokens[t] && b->positions[place] == t);
        cr_assert(!counts || (place == w->place + t - w->n_prompt + 1 && visits[place] == 0));
        cr_assert(!counts || b->targets[place] == w->tokens[t + 1]);
        cr_assert_eq(b->weights[place], counts ? 1 : 0);
        visits[place]++;
        at = ref_before(b->positions + row, at);
    }
}

static ptrdiff_t expect_rows(ae_written_set *s, bool share) {
    ae_batch b;
    ptrdiff_t places = 0, targets = 0;
    ASSERT_OK(ae_packed_make(&b, s, T, share));
    int *visits = calloc((size_t)(b.B * b.T), sizeof *visits);
    cr_assert_not_null(visits);
    for (ptrdiff_t i = 0; i < s->n; i++) {
        expect_whole(&b, &s->items[i], visits);
        targets += s->items[i].seen.n;
    }
    for (ptrdiff_t at = 0; at < b.B * b.T; at++) {
        places += visits[at] > 0;
        if (!visits[at]) cr_assert(b.weights[at] == 0 && b.positions[at] > 0);
        if (!share) cr_assert_leq(visits[at], 1);
    }
    cr_assert(b.n_tokens == places && b.n_targets == targets && b.T <= T);
    cr_assert_leq(b.B, places / (T - 17) + 1, "%td rows of %td for %td tokens", b.B, b.T, places);
    const ptrdiff_t computed = b.B * b.T;
    free(visits);
    ae_batch_free(&b);
    return computed;
}

Test(scores, answers_lie_whole_in_as_few_rows_as_they_need) {
    ptrdiff_t apart = 0, together = 0;
    for (uint64_t seed = 1; seed < 30; seed++) {
        ae_written_set s = random_answers(20, 64, seed);
        const ptrdiff_t one = expect_rows(&s, false), other = expect_rows(&s, true);
        cr_assert_leq(other, one, "sharing never leaves more to compute");
        apart += one;
        together += other;
        ae_written_set_free(&s);
    }
    cr_assert_lt(together, apart);
}

/* A group that fits no row is several documents, each with the prompt. */
Test(scores, a_group_is_cut_where_a_row_ends) {
    enum { K = 6, PROMPT = 9, ANSWER = 8 };
    ae_written_set s = random_answers(K, 64, 2);
    ae_batch b;
    for (ptrdiff_t i = 0; i < K; i++) {
        s.items[i].n_prompt = PROMPT;
        s.items[i].seen.n = ANSWER;
        free(s.items[i].tokens);
        s.items[i].tokens = calloc(PROMPT + ANSWER, sizeof(int32_t));
    }
    ASSERT_OK(ae_packed_make(&b, &s, 40, true));
    cr_assert(b.B == 2 && b.T == 32 && b.n_tokens == 2 * (PROMPT - 1 + 3 * ANSWER), "%td rows of %td", b.B,
              b.T);
    ae_batch_free(&b);
    ae_written_set_free(&s);
}

Test(scores, no_more_rows_than_are_planned) {
    for (ptrdiff_t tokens = 1; tokens <= T; tokens++) {
        ae_written_set s = random_answers(9, 64, 5);
        ae_batch b;
        for (ptrdiff_t i = 0; i < s.n; i++) s.items[i].n_prompt = 1;
        for (ptrdiff_t i = 0; i < s.n; i++) {
            s.items[i].seen.n = tokens;
            free(s.items[i].tokens);
            s.items[i].tokens = calloc((size_t)tokens + 1, sizeof(int32_t));
        }
        ASSERT_OK(ae_packed_make(&b, &s, T, false));
        cr_assert_eq(b.B, ae_packed_rows(s.n, tokens, T));
        ae_batch_free(&b);
        ae_written_set_free(&s);
    }
}

/* Answers that nobody learns from take no place. */
Test(scores, unread_answers_are_left_out) {
    ae_written_set s = random_answers(20, 64, 3);
    ae_batch b;
    ptrdiff_t tokens = 0;
    for (ptrdiff_t i = 0; i < s.n; i++) s.items[i].unread = i % 3 == 0;
    ASSERT_OK(ae_packed_make(&b, &s, T, false));
    for (ptrdiff_t i = 0; i < s.n; i++) {
        cr_assert_eq(s.items[i].place < 0, i % 3 == 0);
        tokens += i % 3 == 0 ? 0 : s.items[i].n_prompt + s.items[i].seen.n - 1;
    }
    cr_assert_eq(b.n_tokens, tokens);
    ae_batch_free(&b);
    ae_written_set_free(&s);
}

/* ---- models ---- */

typedef struct {
    ae_model policy, reference, critic;
    ae_scorer k;
    ae_written_set s;
    ae_batch b;
} rig;

/* A model near the fixture's, other in every value. */
static void shake(ae_model *m, float by) {
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        const size_t bytes = (size_t)p->n * sizeof(float);
        float *x = malloc(bytes);
        cr_assert_not_null(x);
        m->be->download(m->be, x, p->value, bytes);
        for (int64_t k = 0; k < p->n; k++) x[k] *= 1 + by * (float)((k * 5) % 11 - 5);
        m->be->upload(m->be, p->value, x, bytes);
        free(x);
    }
    ae_model_values_changed(m);
}

static ae_pass *pass_of(const ae_model *m, ptrdiff_t B, ptrdiff_t row, bool training) {
    ae_pass *p = NULL;
    ASSERT_OK(ae_pass_new(&p, m, (ae_pass_dims){.B = B, .T = row, .kl_width = m->config.D}, training));
    return p;
}

static void rig_open_with(rig *r, const char *fixture, ptrdiff_t micro_rows, float difference, bool share) {
    const ae_backend *be = rig_backend(RIG_CPU_BEST, 2);
    const ae_model_options trains = {.training = true}, head = {.training = true, .params.score_head = true};
    rig_model_with(&r->policy, be, fixture, &trains);
    rig_model_with(&r->reference, be, fixture, &(ae_model_options){0});
    rig_model_with(&r->critic, be, fixture, &head);
    rig_calm(&r->policy);
    rig_calm(&r->reference);
    rig_calm(&r->critic);
    if (difference != 0) shake(&r->reference, difference);
    r->s = random_answers(ANSWERS, r->policy.config.V, 3);
    ASSERT_OK(ae_packed_make(&r->b, &r->s, 24, share));
    cr_assert_gt(r->b.B, 1);
    r->k = (ae_scorer){.policy = &r->policy,
                       .pass = pass_of(&r->policy, micro_rows, r->b.T, true),
                       .anchor = &r->reference,
                       .reference = &r->reference,
                       .reference_pass = pass_of(&r->reference, micro_rows, r->b.T, false),
                       .critic = &r->critic,
                       .critic_pass = pass_of(&r->critic, micro_rows, r->b.T, true),
                       .micro_rows = micro_rows,
                       .temperature = TEMPERATURE};
    r->k.anchor_pass = r->k.reference_pass;
}

static void rig_open(rig *r, const char *fixture, ptrdiff_t micro_rows, float difference) {
    rig_open_with(r, fixture, micro_rows, difference, true);
}

static void rig_close(rig *r) {
    ae_pass_delete(r->k.pass);
    ae_pass_delete(r->k.reference_pass);
    ae_pass_delete(r->k.critic_pass);
    ae_batch_free(&r->b);
    ae_written_set_free(&r->s);
    ae_model_free(&r->critic);
    ae_model_free(&r->reference);
    ae_model_free(&r->policy);
}

/* ---- readings ---- */

/* The answer alone, in a row of its own. */
static void check_alone(const rig *r, ptrdiff_t i) {
    const ae_written *w = &r->s.items[i];
    const ptrdiff_t n = w->n_prompt + w->seen.n - 1;
    rig_batch b = rig_batch_new(1, n);
    float logprobs[T], entropies[T];
    for (ptrdiff_t t = 0; t < n; t++) {
        b.tokens[t] = w->tokens[t];
        b.targets[t] = w->tokens[t + 1];
        b.positions[t] = (int32_t)t;
        b.weights[t] = 1;
    }
    const ae_micro_batch rows = rig_rows(&b, 0, 1);
    ae_pass *p = rig_pass(&r->policy, 1, n, 0, false);
    ae_pass_forward(p, &r->policy, &rows);
    ae_pass_logprobs(p, TEMPERATURE, logprobs, entropies);
    for (ptrdiff_t t = 0; t < w->seen.n; t++) {
        const ptrdiff_t at = w->n_prompt - 1 + t;
        cr_assert_float_eq(w->seen.now[t], logprobs[at], 1e-5);
        cr_assert_float_eq(ae_written_values(&r->s, i, AE_WRITTEN_ENTROPY)[t], entropies[at], 1e-5);
    }
    ae_pass_delete(p);
    rig_batch_free(&b);
}

Test(scores, are_those_of_each_answer_alone) {
    for (int f = 0; f < FIXTURES; f++) {
        rig r;
        rig_open(&r, fixtures[f], 1, 0.01f);
        ASSERT_OK(ae_scores_read(&r.k, &r.b, &r.s, true));
        for (ptrdiff_t i = 0; i < r.s.n; i++) {
            const ae_rl_answer *a = &r.s.items[i].seen;
            const size_t bytes = (size_t)a->n * sizeof(float);
            check_alone(&r, i);
            cr_assert_eq(memcmp(a->now, a->before, bytes), 0, "the first ratio is exactly 1");
            cr_assert_eq(memcmp(a->values, a->values_now, bytes), 0);
            cr_assert_eq(memcmp(a->anchor, a->reference, bytes), 0, "the same model as both");
            cr_assert_neq(memcmp(a->now, a->reference, bytes), 0);
            for (ptrdiff_t t = 0; t < a->n; t++) cr_assert(a->kl[t] > 0);
        }
        rig_close(&r);
    }
}

Test(scores, divergence_from_itself_is_0) {
    rig r;
    rig_open(&r, "tiny", 2, 0);
    ASSERT_OK(ae_scores_read(&r.k, &r.b, &r.s, true));
    for (ptrdiff_t i = 0; i < r.s.n; i++)
        for (ptrdiff_t t = 0; t < r.s.items[i].seen.n; t++) {
            cr_assert(r.s.items[i].seen.kl[t] == 0);
            cr_assert(r.s.items[i].seen.now[t] == r.s.items[i].seen.reference[t]);
        }
    rig_close(&r);
}

/* What a first reading keeps stays when the policy goes on. */
Test(scores, later_readings_keep_what_was_before) {
    rig r;
    rig_open(&r, "tiny", 8, 0.01f);
    ASSERT_OK(ae_scores_read(&r.k, &r.b, &r.s, true));
    const ae_rl_answer *a = &r.s.items[0].seen;
    const float before = a->before[0], value = a->values[0], kl = a->kl[0];
    shake(&r.policy, 0.005f);
    shake(&r.critic, 0.005f);
    ASSERT_OK(ae_scores_read(&r.k, &r.b, &r.s, false));
    cr_assert(a->before[0] == before && a->values[0] == value);
    cr_assert(a->now[0] != before && a->values_now[0] != value && a->kl[0] != kl);
    rig_close(&r);
}

/* ---- gradients ---- */

/* Derivatives of a loss that is linear in what is read, other at each token. */
typedef struct {
    float *memory, *dlogprob[ANSWERS], *dkl[ANSWERS], *dvalue[ANSWERS];
    ae_scores_loss loss;
} linear;

static void linear_init(linear *l, const ae_written_set *s) {
    ae_rng r = ae_rng_make(8, 2);
    l->memory = calloc((size_t)(3 * s->tokens), sizeof *l->memory);
    for (ptrdiff_t i = 0; i < 3 * s->tokens; i++) l->memory[i] = (float)ae_rng_normal(&r);
    for (ptrdiff_t i = 0; i < s->n; i++) {
        l->dlogprob[i] = l->memory + s->items[i].first;
        l->dkl[i] = l->dlogprob[i] + s->tokens;
        l->dvalue[i] = l->dkl[i] + s->tokens;
    }
    l->loss = (ae_scores_loss){l->dlogprob, l->dkl, l->dvalue, 0.7};
}

/* All gradients of policy and critic. */
static float *gradients_with(const char *fixture, ptrdiff_t micro_rows, bool share, size_t *n) {
    rig r;
    linear l;
    rig_open_with(&r, fixture, micro_rows, 0.01f, share);
    ASSERT_OK(ae_scores_read(&r.k, &r.b, &r.s, true));
    linear_init(&l, &r.s);
    ASSERT_OK(ae_scores_add_gradients(&r.k, &r.b, &r.s, &l.loss));
    float *policy = rig_gradients(&r.policy), *critic = rig_gradients(&r.critic);
    const size_t first = r.policy.grad_bytes / sizeof *policy, second = r.critic.grad_bytes / sizeof *critic;
    float *all = malloc((first + second) * sizeof *all);
    cr_assert_not_null(all);
    memcpy(all, policy, r.policy.grad_bytes);
    memcpy(all + first, critic, r.critic.grad_bytes);
    *n = first + second;
    free(policy);
    free(critic);
    free(l.memory);
    rig_close(&r);
    return all;
}

Test(scores, any_split_gives_the_same_gradients) {
    for (int f = 0; f < FIXTURES; f++) {
        size_t n;
        float *whole = gradients_with(fixtures[f], 64, true, &n);
        for (ptrdiff_t micro_rows = 1; micro_rows < 4; micro_rows++) {
            float *parts = gradients_with(fixtures[f], micro_rows, true, &n);
            const double error = rig_relative(parts, whole, n);
            cr_assert(error < 1e-6, "%s, %td rows at a time: %g", fixtures[f], micro_rows, error);
            free(parts);
        }
        free(whole);
    }
}

Test(scores, shared_prompts_give_the_same_gradients) {
    for (int f = 0; f < FIXTURES; f++) {
        size_t n;
        float *apart = gradients_with(fixtures[f], 2, false, &n),
              *shared = gradients_with(fixtures[f], 2, true, &n);
        const double error = rig_relative(shared, apart, n);
        cr_assert(error < 1e-6, "%s: %g", fixtures[f], error);
        free(shared);
        free(apart);
    }
}

/* log of the laws at a place, of a model whose logits are capped; by the tables of parameters. */
static void log_law(const naive_model *n, const double complex *hidden, ptrdiff_t place,
                    double complex *out) {
    const ae_model_config *c = &n->m->config;
    const ae_param *p = ae_params_find(&n->m->params, "model.embed_tokens.weight");
    const double complex *table = n->values[p - n->m->params.items];
    double top = -1e300;
    double complex sum = 0;
    for (ptrdiff_t v = 0; v < c->V; v++) {
        double complex x = 0;
        for (ptrdiff_t d = 0; d < c->D; d++) x += hidden[place * c->D + d] * table[v * c->D + d];
        if (c->soft_cap > 0) x = c->soft_cap * ctanh(x / c->soft_cap);
        out[v] = x / (double)TEMPERATURE;
        top = fmax(top, creal(out[v]));
    }
    for (ptrdiff_t v = 0; v < c->V; v++) sum += cexp(out[v] - top);
    for (ptrdiff_t v = 0; v < c->V; v++) out[v] -= top + clog(sum);
}

typedef struct {
    const rig *r;
    const linear *l;
    const naive_model *reference;
    double complex *reference_hidden;
    bool critic;
} context;

/* What token t of answer i adds to the loss. */
static double complex term(const naive_model *n, const context *c, const double complex *hidden, ptrdiff_t i,
                           ptrdiff_t t, double counted) {
    const ae_written *w = &c->r->s.items[i];
    const ptrdiff_t place = w->place + t;
    double complex p[64], q[64], kl = 0, entropy = 0;
    if (c->critic) return (double)c->l->dvalue[i][t] * naive_value(n, hidden, place);
    log_law(n, hidden, place, p);
    log_law(c->reference, c->reference_hidden, place, q);
    for (ptrdiff_t v = 0; v < n->m->config.V; v++) {
        kl += cexp(p[v]) * (p[v] - q[v]);
        entropy -= cexp(p[v]) * p[v];
    }
    return (double)c->l->dlogprob[i][t] * p[w->tokens[w->n_prompt + t]] + (double)c->l->dkl[i][t] * kl -
           (w->seen.counts ? c->l->loss.entropy_bonus / counted * entropy : 0);
}

static double complex linear_loss(const naive_model *n, const void *data) {
    const context *c = data;
    const ae_micro_batch rows = rig_all_rows(&c->r->b);
    double complex *hidden = naive_hidden(n, &rows), loss = 0;
    double counted = 0;
    for (ptrdiff_t i = 0; i < c->r->s.n; i++)
        counted += c->r->s.items[i].seen.counts ? (double)c->r->s.items[i].seen.n : 0;
    for (ptrdiff_t i = 0; i < c->r->s.n; i++)
        for (ptrdiff_t t = 0; t < c->r->s.items[i].seen.n; t++) loss += term(n, c, hidden, i, t, counted);
    free(hidden);
    return loss;
}

static void check_gradients(const ae_model *m, const char *fixture, const context *c) {
    naive_model twin = naive_new(m, fixture);
    naive_expect_gradients(&twin, linear_loss, c, fixture);
    naive_free(&twin);
}

Test(scores, gradients_are_those_of_the_complex_step) {
    for (int f = 0; f < FIXTURES; f++) {
        rig r;
        linear l;
        rig_open(&r, fixtures[f], f + 1, 0.01f);
        ASSERT_OK(ae_scores_read(&r.k, &r.b, &r.s, true));
        linear_init(&l, &r.s);
        ASSERT_OK(ae_scores_add_gradients(&r.k, &r.b, &r.s, &l.loss));
        naive_model reference = naive_new(&r.reference, fixtures[f]);
        const ae_micro_batch rows = rig_all_rows(&r.b);
        context c = {&r, &l, &reference, naive_hidden(&reference, &rows), false};
        check_gradients(&r.policy, fixtures[f], &c);
        c.critic = true;
        check_gradients(&r.critic, fixtures[f], &c);
        free(c.reference_hidden);
        naive_free(&reference);
        free(l.memory);
        rig_close(&r);
    }
}

Test(scores, a_stop_is_heard) {
    rig r;
    atomic_int stop = 1;
    rig_open(&r, "tiny", 1, 0.01f);
    r.k.stop = &stop;
    cr_assert_eq(ae_scores_read(&r.k, &r.b, &r.s, true), AE_ERR_INTERRUPTED);
    rig_close(&r);
}
