#include "enumerated.h"
#include "rlhf/best_of_n.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* For each method: the expectation of its gradient is the gradient that it claims. */

static world w;

static void open_world(void) {
    enumerate();
    world_init(&w, 11);
}

TestSuite(enumerated, .init = open_world);

/* ---- what methods claim ---- */

/* The law of the tokens before each is held at that of the world. */
static number by_token(const law *l, const law *m, bool reverse) {
    number sum = 0;
    for (int x = 0; x < PREFIXES; x++)
        sum += creal(w.now.reach[x]) * (reverse ? divergence_at(m, l, x) : divergence_at(l, m, x));
    return sum;
}

static number kl_term(const law *l, const ae_rl_keys *k) {
    const law *m = &w.law_of_other[REFERENCE];
    if (k->rl.kl == AE_RL_KL_K2) return by_token(l, m, false);
    return k->rl.kl == AE_RL_KL_K3 ? by_token(l, m, true) : divergence(l, m);
}

/* Of the rewards less their mean, each divided by the answer's length or not. */
static number reward_term(const law *l, bool by_length) {
    const double mean = expected_reward(&w, &w.now);
    number sum = 0;
    for (int i = 0; i < ANSWERS; i++) sum += l->p[i] * (w.reward[i] - mean) / (by_length ? answers[i].n : 1);
    return sum;
}

static number policy_gradient(const law *l, const ae_rl_keys *k) {
    return -reward_term(l, false) + k->rl.beta * kl_term(l, k);
}

/* The divergence is from the anchor. */
static number warp_member(const law *l, const ae_rl_keys *k) {
    return -reward_term(l, false) + k->rl.beta * divergence(l, &w.law_of_other[ANCHOR]);
}

static number dr_grpo(const law *l, const ae_rl_keys *k) {
    const double share = (double)(k->rl.samples - 1) / (double)k->rl.samples;
    return (-share * reward_term(l, false) + k->rl.beta * kl_term(l, k)) / (double)k->rl.max_new;
}

/* Without the divergence. */
static number grpo_by_length(const law *l, const ae_rl_keys *k) {
    return -(double)(k->rl.samples - 1) / (double)k->rl.samples * reward_term(l, true);
}

/* The chance that an answer of `m` is worse than i, or no better. */
static double share_of(const law *m, int i, bool worse) {
    double sum = 0;
    for (int j = 0; j < ANSWERS; j++)
        if (worse ? w.reward[j] < w.reward[i] : w.reward[j] <= w.reward[i]) sum += creal(m->p[j]);
    return sum;
}

/* The mean of log max(count / k, 1 / 2k), the count being binomial. */
static double mean_log_share(double chance, int64_t k) {
    double sum = 0, term = pow(1 - chance, (double)k);
    for (int64_t c = 0; c <= k; c++) {
        sum += term * log(c == 0 ? 0.5 / (double)k : (double)c / (double)k);
        term *= (double)(k - c) / (double)(c + 1) * chance / (1 - chance);
    }
    return sum;
}

static number best_of_n_likelihood(const law *l, const law *m, int64_t n) {
    double of_m[ANSWERS], kept[ANSWERS];
    number sum = 0;
    for (int i = 0; i < ANSWERS; i++) of_m[i] = creal(m->p[i]);
    ae_best_of_n_law(kept, of_m, w.reward, ANSWERS, n);
    for (int i = 0; i < ANSWERS; i++) sum -= kept[i] * l->s[i];
    return sum;
}

static number bond(const law *l, const ae_rl_keys *k) {
    const law *m = &w.law_of_other[REFERENCE];
    number backward = divergence(l, m);
    for (int i = 0; i < ANSWERS; i++) {
        const double chance = fmin(share_of(m, i, false), 1 - 1e-15);
        backward -= l->p[i] * (double)(k->bond.n - 1) * mean_log_share(chance, k->bond.references);
    }
    return (1 - k->bond.b) * best_of_n_likelihood(l, m, k->bond.n) + k->bond.b * backward;
}

static number jbond(const law *l, const ae_rl_keys *k) {
    const law *m = &w.law_of_other[ANCHOR];
    number punished = 0;
    for (int i = 0; i < ANSWERS; i++) punished += l->p[i] * pow(1 - share_of(m, i, false), 2);
    return (1 - k->jbond.b) * best_of_n_likelihood(l, m, 2) + k->jbond.b * log(16) * punished +
           (k->jbond.b + k->jbond.g) * divergence(l, m);
}

static number distill(const law *l, const ae_rl_keys *k) {
    const law *m = &w.law_of_other[TEACHER];
    return k->distill.sequence ? divergence(l, m) : by_token(l, m, false);
}

/* Of two samples, the choice and its chance being constant. */
static number online_dpo(const law *l, const ae_rl_keys *k) {
    const law *m = &w.law_of_other[REFERENCE];
    number sum = 0;
    for (int c = 0; c < ANSWERS; c++)
        for (int r = 0; r < ANSWERS; r++) {
            if (w.reward[c] <= w.reward[r]) continue;
            const number h = (l->s[c] - m->s[c]) - (l->s[r] - m->s[r]);
            sum += 2 * creal(w.now.p[c]) * creal(w.now.p[r]) *
                   (clog(1 + cexp(-k->rl.beta * h)) - k->dpo.nll * l->s[c] / answers[c].n);
        }
    return sum;
}

/* ---- cases ---- */

typedef struct {
    const char *name;
    const ae_rl_method *method;
    number (*claim)(const law *l, const ae_rl_keys *k);
    int prompts;  /* of which the first is enumerated */
    int64_t many; /* samples of the test that draws; 0: as enumerated */
    ae_rl_keys keys;
} method_case;

#define RL(...)  .rl = {.passes = 1, .max_new = 3, .beta = 0.3, __VA_ARGS__}
#define TWO      .samples = 2
#define EXACT    .kl = AE_RL_KL_EXACT
#define K3       .kl = AE_RL_KL_K3
#define TOKENS   .reinforce = {.by_token = true}
#define BATCH    .reinforce = {.baseline = AE_BASELINE_BATCH}
#define RUNNING  .reinforce = {.baseline = AE_BASELINE_RUNNING, .running_decay = 0.9}
#define DR       .grpo = {.clip_low = 0.2, .clip_high = 0.28, .length = AE_GRPO_FIXED}
#define SEQUENCE .grpo = {.clip_low = 3e-4, .clip_high = 4e-4, .sequence = true}
#define BOND(b_) .bond = {.b = b_, .n = 2, .references = 2}
#define ONE_BOND(b_)                                                                                         \
    { RL(.samples = 1), BOND(b_) }

static const method_case cases[] = {
    {"reinforce, k1 in the reward", &ae_reinforce, policy_gradient, 1, 4, {RL(TWO)}},
    {"reinforce by token", &ae_reinforce, policy_gradient, 1, 4, {RL(TWO), TOKENS}},
    {"reinforce, exact", &ae_reinforce, policy_gradient, 1, 4, {RL(TWO, EXACT)}},
    {"reinforce, k2", &ae_reinforce, policy_gradient, 1, 4, {RL(TWO, .kl = AE_RL_KL_K2)}},
    {"reinforce, k3 by token", &ae_reinforce, policy_gradient, 1, 4, {RL(TWO, K3), TOKENS}},
    {"reinforce, rest of the batch", &ae_reinforce, policy_gradient, 3, 2, {RL(.samples = 1), BATCH}},
    {"reinforce, running mean", &ae_reinforce, policy_gradient, 1, 1, {RL(TWO), RUNNING}},
    {"WARP", &ae_warp_member, warp_member, 3, 2, {RL(.method = AE_RL_WARP, .samples = 1), BATCH}},
    {"WARP by token", &ae_warp_member, warp_member, 1, 4, {RL(.method = AE_RL_WARP, TWO), TOKENS}},
    {"Dr. GRPO", &ae_grpo, dr_grpo, 1, 4, {RL(TWO, K3), DR}},
    {"Dr. GRPO, exact", &ae_grpo, dr_grpo, 1, 4, {RL(TWO, EXACT), DR}},
    {"GSPO", &ae_grpo, grpo_by_length, 1, 4, {.rl = {.passes = 1, TWO}, SEQUENCE}},
    {"BOND", &ae_bond, bond, 2, 2, ONE_BOND(0.4)},
    {"BOND, forward", &ae_bond, bond, 1, 0, ONE_BOND(0)},
    {"BOND, backward", &ae_bond, bond, 2, 0, ONE_BOND(1)},
    {"J-BOND", &ae_jbond, jbond, 2, 0, {RL(.samples = 1), .jbond = {.b = 0.4, .g = 0.6}}},
    {"distill", &ae_distill, distill, 1, 2, {RL(.samples = 1)}},
    {"distill, sequence", &ae_distill, distill, 1, 2, {RL(.samples = 1), .distill = {.sequence = true}}},
    {"online DPO", &ae_online_dpo, online_dpo, 1, 0, {RL(TWO), .dpo = {.nll = 0.2}}},
};
enum { CASES = sizeof cases / sizeof *cases };

static const method_case *current;

static number claim_of_current(const world *unused, const law *l, const ae_rl_keys *k) {
    (void)unused;
    return current->claim(l, k);
}

static step_plan plan_of(const method_case *c, const ae_rl_keys *keys) {
    step_plan p;
    plan_init(&p, c->method, keys, c->prompts);
    p.memory[0] = 0.5; /* of a running mean */
    p.memory[1] = 0.7;
    return p;
}

/* ---- tests ---- */

Test(enumerated, probabilities_sum_to_one) {
    double sums[4] = {0}, reach = 0;
    for (int i = 0; i < ANSWERS; i++) {
        sums[3] += creal(w.now.p[i]);
        for (int o = 0; o < 3; o++) sums[o] += creal(w.law_of_other[o].p[i]);
    }
    for (int o = 0; o < 4; o++) cr_assert_float_eq(sums[o], 1, 1e-14);
    for (int x = 0; x < PREFIXES; x++) reach += creal(w.now.reach[x]);
    double length = 0;
    for (int i = 0; i < ANSWERS; i++) length += creal(w.now.p[i]) * answers[i].n;
    cr_assert_float_eq(reach, length, 1e-14, "each token is drawn at a prefix");
    cr_assert_eq(creal(divergence(&w.now, &w.now)), 0);
}

/* The gradient of the first prompt's answers, whatever those of the others are. */
Test(enumerated, expectations_are_what_methods_claim) {
    static effect e;
    static step_plan p;
    double expected[PARAMS], found[PARAMS];
    int drawn[MOST];
    for (int c = 0; c < CASES; c++) {
        current = &cases[c];
        p = plan_of(current, &current->keys);
        memset(&e, 0, sizeof e);
        for (int i = 0; i < p.n; i++) drawn[i] = (7 * i + 3) % ANSWERS;
        add_expectation(&w, &p, drawn, p.n / p.prompts, &e);
        chain(&w, &p, &e, found);
        objective_gradient(&w, claim_of_current, &current->keys, expected);
        for (int i = 0; i < PARAMS; i++)
            cr_expect_float_eq(found[i] * p.prompts, expected[i], 1e-6,
                               "%s: parameter %d: %.9f, expected %.9f", current->name, i,
                               found[i] * p.prompts, expected[i]);
    }
}

enum { DIRECTIONS = 16, DRAWS = 4096 };

static void check_directions(const step_plan *p, const ae_rl_keys *keys, ae_rng *rng) {
    static effect e;
    double expected[PARAMS], found[PARAMS], direction[DIRECTIONS][PARAMS];
    double sum[DIRECTIONS] = {0}, squares[DIRECTIONS] = {0}, claim[DIRECTIONS] = {0};
    int drawn[MOST];
    objective_gradient(&w, claim_of_current, keys, expected);
    for (int d = 0; d < DIRECTIONS; d++)
        for (int i = 0; i < PARAMS; i++) {
            direction[d][i] = ae_rng_normal(rng);
            claim[d] += direction[d][i] * expected[i];
        }
    for (int n = 0; n < DRAWS; n++) {
        memset(&e, 0, sizeof e);
        draw(&w, p, rng, drawn);
        add_effect(&w, p, drawn, 1, p->n, &e);
        chain(&w, p, &e, found);
        for (int d = 0; d < DIRECTIONS; d++) {
            double x = -claim[d];
            for (int i = 0; i < PARAMS; i++) x += direction[d][i] * found[i];
            sum[d] += x;
            squares[d] += x * x;
        }
    }
    for (int d = 0; d < DIRECTIONS; d++) {
        const double mean = sum[d] / DRAWS, z = mean / sqrt((squares[d] / DRAWS - mean * mean) / (DRAWS - 1));
        cr_expect(fabs(z) < 4, "%s: direction %d: z = %.2f", current->name, d, z);
    }
}

/* Larger groups than can be enumerated; BOND and J-BOND at their usual sizes. */
Test(enumerated, samples_agree_with_the_claims) {
    static step_plan p;
    ae_rng rng = ae_rng_make(5, 5);
    for (int c = 0; c < CASES; c++) {
        ae_rl_keys keys = cases[c].keys;
        current = &cases[c];
        if (current->many > 0) keys.rl.samples = current->many;
        if (current->method == &ae_bond) keys.bond.n = keys.bond.references = 16;
        p = plan_of(current, &keys);
        check_directions(&p, &keys, &rng);
    }
}
