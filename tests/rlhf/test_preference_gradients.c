#include "core/rng.h"
#include "data/token_set.h"
#include "rlhf/preference_step.h"
#include "tests/core/scratch.h"
#include "tests/model/naive.h"
#include "tests/ref/ref.h"

#include <math.h>
#include <string.h>

/* Gradients of dpo, ipo and kto on tiny models, against the complex step through a naive reference. */

TestSuite(preference_gradients, .init = scratch_make, .fini = scratch_remove, .timeout = 120);

enum { PAIRS = 5, T = 48 };

/* ---- pairs ---- */

/* Pairs 0 and 3 have one prompt. */
static ae_token_set *write_pairs(ptrdiff_t V) {
    enum { PROMPT = 3 };
    ae_token_writer *w = NULL;
    ae_token_set *s = NULL;
    ae_rng r = ae_rng_make(9, 1);
    int32_t ids[16], first[PROMPT] = {0};
    uint8_t mask[16];
    const ae_token_set_info info = {.vocab_size = V, .kind = AE_KIND_PAIRS, .has_mask = true};
    const char *path = scratch_path("pairs.h5");
    cr_assert_eq(ae_token_writer_open(&w, path, &info), AE_OK, "%s", ae_error_message());
    for (int p = 0; p < PAIRS; p++) {
        for (int t = 0; t < PROMPT; t++) ids[t] = (int32_t)ae_rng_below(&r, (uint64_t)V);
        if (p == 0) memcpy(first, ids, sizeof first);
        if (p == 3) memcpy(ids, first, sizeof first);
        for (int answer = 0; answer < 2; answer++) {
            const int64_t n = 4 + (2 * p + answer) % 5;
            for (int64_t t = PROMPT; t < n; t++) ids[t] = (int32_t)ae_rng_below(&r, (uint64_t)V);
            for (int64_t t = 0; t < n; t++) mask[t] = t >= PROMPT;
            cr_assert_eq(ae_token_writer_add(w, ids, mask, n, 0), AE_OK, "%s", ae_error_message());
        }
    }
    cr_assert_eq(ae_token_writer_finish(w, "{}"), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_token_set_open(&s, path), AE_OK, "%s", ae_error_message());
    return s;
}

typedef struct {
    ae_token_set *tokens;
    ae_pair_set set;
    ae_pair_batch batch;
    ae_scored_pair scored[PAIRS];
    ae_rl_keys keys;
} pairs;

static void open_pairs(pairs *p, ptrdiff_t V) {
    ae_pair_choice choices[PAIRS];
    p->tokens = write_pairs(V);
    cr_assert_eq(ae_pair_set_init(&p->set, p->tokens, T, AE_TOO_LONG_ERROR, true), AE_OK);
    cr_assert_eq(ae_pair_batch_init(&p->batch, PAIRS, PAIRS, T), AE_OK);
    for (int i = 0; i < PAIRS; i++) choices[i] = (ae_pair_choice){&p->set, i};
    cr_assert_eq(ae_pair_batch_fill(&p->batch, choices, PAIRS), AE_OK, "%s", ae_error_message());
    cr_assert_eq(p->batch.batch.B, PAIRS);
}

static void close_pairs(pairs *p) {
    ae_pair_batch_free(&p->batch);
    ae_pair_set_free(&p->set);
    ae_token_set_close(p->tokens);
}

/* ---- the losses, once more ---- */

static double complex log_sigmoid(double complex x) {
    return -clog(1 + cexp(-x));
}

static double complex sigmoid(double complex x) {
    return 1 / (1 + cexp(-x));
}

/* s of the document at [begin, end) of the batch. */
static double complex naive_score(const naive_model *n, const pairs *p, const double complex *hidden,
                                  ptrdiff_t begin, ptrdiff_t end) {
    const ae_model_config *c = &n->m->config;
    const ptrdiff_t table = ae_params_find(&n->m->params, "model.embed_tokens.weight") - n->m->params.items;
    double complex *law = malloc((size_t)c->V * sizeof *law), s = 0;
    for (ptrdiff_t i = begin; i < end; i++) {
        if (!(p->batch.batch.weights[i] > 0)) continue;
        cref_head_law(law, hidden + i * c->D, n->values[table], c->soft_cap, p->keys.rl.temperature, c->D,
                      c->V);
        s += law[p->batch.batch.targets[i]];
    }
    free(law);
    return s;
}

typedef struct {
    double complex good[PAIRS], bad[PAIRS]; /* s */
} naive_scores;

static naive_scores score_all(const naive_model *n, const pairs *p) {
    naive_scores s;
    const ae_batch *b = &p->batch.batch;
    const ae_micro_batch all = {.tokens = b->tokens,
                                .targets = b->targets,
                                .positions = b->positions,
                                .weights = b->weights,
                                .B = b->B,
                                .T = b->T};
    double complex *hidden = naive_hidden(n, &all);
    for (int i = 0; i < PAIRS; i++) {
        const ae_pair_place *at = &p->batch.pairs[i];
        s.good[i] = naive_score(n, p, hidden, at->chosen_begin, at->chosen_end);
        s.bad[i] = naive_score(n, p, hidden, at->rejected_begin, at->rejected_end);
    }
    free(hidden);
    return s;
}

static bool share_prompt(const pairs *p, int i, int k) {
    const ptrdiff_t a = p->batch.pairs[i].choice, b = p->batch.pairs[k].choice;
    return a == b || (a == 0 && b == 3) || (a == 3 && b == 0);
}

/* A constant: the real part. */
static double naive_z(const pairs *p, const naive_scores *rho, int i) {
    double sum = 0, n = 0;
    for (int k = 0; k < PAIRS; k++) {
        if (share_prompt(p, i, k)) continue;
        sum += creal(rho->good[k]) + creal(rho->bad[k]);
        n += 2;
    }
    return fmax(0, sum / n);
}

static double complex naive_preference(const naive_model *n, const void *context) {
    const pairs *p = context;
    const ae_rl_keys *k = &p->keys;
    const double beta = k->rl.beta, q = k->dpo.smoothing;
    const naive_scores s = score_all(n, p);
    naive_scores rho;
    double complex loss = 0;
    for (int i = 0; i < PAIRS; i++) {
        rho.good[i] = s.good[i] - p->scored[i].reference.chosen;
        rho.bad[i] = s.bad[i] - p->scored[i].reference.rejected;
    }
    for (int i = 0; i < PAIRS; i++) {
        const double complex g = rho.good[i], b = rho.bad[i];
        const double a = (double)p->scored[i].chosen_tokens, c = (double)p->scored[i].rejected_tokens;
        const double z = naive_z(p, &rho, i);
        const double complex ipo = g / a - b / c - 1 / (2 * beta);
        if (k->rl.method == AE_RL_KTO)
            loss += 0.5 * (k->kto.good * (1 - sigmoid(beta * (g - z))) +
                           k->kto.bad * (1 - sigmoid(beta * (z - b))));
        else
            loss += k->rl.method == AE_RL_IPO
                        ? ipo * ipo
                        : -(1 - q) * log_sigmoid(beta * (g - b)) - q * log_sigmoid(-beta * (g - b));
        if (k->rl.method != AE_RL_KTO) loss -= k->dpo.nll * s.good[i] / a;
    }
    return loss / PAIRS;
}

/* ---- the tests ---- */

/* As a policy that has moved from its reference, to either side of it. */
static void set_references(pairs *p, const naive_model *n) {
    const naive_scores s = score_all(n, p);
    for (int i = 0; i < PAIRS; i++)
        p->scored[i].reference =
            (ae_pair_scores){creal(s.good[i]) - 1.5 + 0.4 * i, creal(s.bad[i]) - 1 + 0.7 * i};
}

static void check(const char *fixture, ae_rl_keys keys, ptrdiff_t micro_rows, bool adapters) {
    const ae_model_options o = {.training = true, .params.adapters = {.rank = adapters ? 3 : 0, .alpha = 4}};
    ae_model m;
    pairs p = {.keys = keys};
    float room[2 * PAIRS * T];
    rig_model_with(&m, rig_backend(RIG_CPU_BEST, 2), fixture, &o);
    rig_calm(&m);
    open_pairs(&p, m.config.V);
    ae_pass *pass = rig_pass(&m, micro_rows, T, 0, true);
    naive_model twin = naive_new(&m, fixture);
    set_references(&p, &twin);
    const ae_preference_sums s =
        ae_preference_gradients(&p.keys, &m, pass, &p.batch, micro_rows, room, p.scored);
    const double want = creal(naive_preference(&twin, &p));
    cr_assert_eq(s.pairs, PAIRS);
    cr_assert_float_eq(s.loss / PAIRS, want, 1e-6 * fabs(want), "method %d: %.9g, expected %.9g",
                       keys.rl.method, s.loss / PAIRS, want);
    naive_expect_gradients(&twin, naive_preference, &p, fixture);
    naive_free(&twin);
    ae_pass_delete(pass);
    close_pairs(&p);
    ae_model_free(&m);
}

static const ae_rl_keys common = {.rl = {.beta = 0.3, .temperature = 1}, .kto = {.good = 1, .bad = 1}};

static void check_on_fixtures(ae_rl_keys keys) {
    static const char *const fixtures[] = {"tiny", "hawk", "attention"};
    for (int i = 0; i < 3; i++) check(fixtures[i], keys, i == 0 ? PAIRS : i, i == 1);
}

Test(preference_gradients, of_dpo) {
    ae_rl_keys k = common;
    k.rl.method = AE_RL_DPO;
    check_on_fixtures(k);
    k.rl.temperature = 0.7;
    k.dpo.smoothing = 0.2;
    k.dpo.nll = 0.5;
    check_on_fixtures(k);
}

Test(preference_gradients, of_ipo) {
    ae_rl_keys k = common;
    k.rl.method = AE_RL_IPO;
    check_on_fixtures(k);
    k.dpo.nll = 2;
    check("tiny", k, 2, false);
}

Test(preference_gradients, of_kto) {
    ae_rl_keys k = common;
    k.rl.method = AE_RL_KTO;
    check_on_fixtures(k);
    k.rl.temperature = 1.3;
    k.kto.good = 1.5;
    k.kto.bad = 0.5;
    check_on_fixtures(k);
}
