#include "enumerated.h"
#include "method_rig.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* PPO: its advantages, their expectation, and the critic's loss. */

static ae_rl_keys keys = {
    .rl = {.samples = 2, .passes = 4, .max_new = RIG_TOKENS, .beta = 0.25},
    .ppo = {.clip = 0.2, .value_clip = 0.2, .lambda = 0.95, .value_weight = 0.05},
};

/* sum_l lambda^l d_{t+l}, and V after the last token is 0 */
static double naive_advantage(const ae_rl_answer *a, ptrdiff_t t, double beta, double lambda) {
    double sum = 0;
    for (ptrdiff_t u = a->n - 1; u >= t; u--) {
        const double next = u + 1 < a->n ? (double)a->values[u + 1] : 0;
        const double r =
            (u + 1 < a->n ? 0 : a->reward) - beta * ((double)a->before[u] - (double)a->reference[u]);
        sum += pow(lambda, (double)(u - t)) * (r + next - (double)a->values[u]);
    }
    return sum;
}

typedef struct {
    double mean, std, tokens;
} spread;

static spread naive_spread(const ae_rl_answer *a, ptrdiff_t n, double beta, double lambda) {
    double sum = 0, squares = 0, tokens = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t t = 0; t < a[i].n; t++) {
            const double A = naive_advantage(&a[i], t, beta, lambda);
            sum += A;
            squares += A * A;
            tokens++;
        }
    return (spread){sum / tokens, sqrt(squares / tokens - sum * sum / (tokens * tokens)), tokens};
}

/* ---- formulas ---- */

static method_rig r;

Test(ppo, whitens_generalised_advantages) {
    rig_init(&r, &ae_ppo, &keys, 3, 1);
    rig_run(&r);
    const spread s = naive_spread(r.answers, r.batch.n, keys.rl.beta, keys.ppo.lambda);
    for (ptrdiff_t i = 0; i < r.batch.n; i++)
        for (ptrdiff_t t = 0; t < r.answers[i].n; t++) {
            const double A = naive_advantage(&r.answers[i], t, keys.rl.beta, keys.ppo.lambda);
            cr_expect_float_eq((double)r.ds[i][t], -(A - s.mean) / s.std / s.tokens, 1e-7);
        }
    rig_free(&r);
}

/* The critic's loss, with G of the values as they were. */
static double naive_critic_loss(void) {
    double sum = 0, tokens = 0;
    for (ptrdiff_t i = 0; i < r.batch.n; i++)
        for (ptrdiff_t t = 0; t < r.answers[i].n; t++) {
            const double old = (double)r.values[i][t], V = (double)r.values_now[i][t];
            const double G = naive_advantage(&r.answers[i], t, keys.rl.beta, keys.ppo.lambda) + old;
            const double clipped = old + fmin(fmax(V - old, -keys.ppo.value_clip), keys.ppo.value_clip);
            sum += fmax(pow(V - G, 2), pow(clipped - G, 2));
            tokens++;
        }
    return sum / tokens;
}

Test(ppo, gives_the_critic_the_gradient_of_its_clipped_loss) {
    static const float STEP = 1.0F / 1024;
    ptrdiff_t at_rest = 0;
    rig_init(&r, &ae_ppo, &keys, 4, 2);
    for (ptrdiff_t i = 0; i < r.batch.n; i++)
        for (int t = 0; t < RIG_TOKENS; t++) r.values_now[i][t] += 0.15F * (float)((3 * i + t) % 7 - 3);
    rig_run(&r);
    cr_assert_float_eq(rig_number(&r, "critic_loss"), naive_critic_loss(), 1e-6);
    for (ptrdiff_t i = 0; i < r.batch.n; i++)
        for (ptrdiff_t t = 0; t < r.answers[i].n; t++) {
            float *V = &r.values_now[i][t];
            const float at = *V;
            *V = at + STEP;
            const double above = naive_critic_loss();
            *V = at - STEP;
            const double slope = (above - naive_critic_loss()) / (2 * (double)STEP);
            *V = at;
            cr_expect_float_eq((double)r.dv[i][t], keys.ppo.value_weight * slope, 1e-7,
                               "answer %td, token %td", i, t);
            at_rest += r.dv[i][t] == 0;
        }
    cr_expect(at_rest > 0, "some values are clipped");
    rig_free(&r);
}

Test(ppo, does_not_move_whitened_advantages_with_the_values_of_now) {
    static rig_array first;
    rig_init(&r, &ae_ppo, &keys, 3, 1);
    rig_run(&r);
    memcpy(first, r.ds, sizeof first);
    for (ptrdiff_t i = 0; i < r.batch.n; i++) r.values_now[i][0] += 1;
    rig_run(&r);
    cr_expect_arr_eq(r.ds, first, sizeof first);
    rig_free(&r);
}

Test(ppo, stops_at_the_clip_in_later_passes) {
    static rig_array first;
    rig_init(&r, &ae_ppo, &keys, 3, 1);
    rig_run(&r);
    memcpy(first, r.ds, sizeof first);
    for (ptrdiff_t i = 0; i < r.batch.n; i++) r.now[i][0] = r.before[i][0] + (float)log(1.5);
    r.batch.pass = 1;
    rig_run(&r);
    for (ptrdiff_t i = 0; i < r.batch.n; i++) {
        const double from = (double)first[i][0];
        cr_expect_float_eq((double)r.ds[i][0], from < 0 ? 0 : 1.5 * from, 1e-7,
                           "a raised token of answer %td", i);
        cr_expect_eq(r.ds[i][1], first[i][1]);
    }
    cr_expect(rig_number(&r, "clip_fraction") > 0);
    cr_expect(rig_number(&r, "ratio_mean") > 1);
    rig_free(&r);
}

/* ---- expectation ---- */

static world w;

/* The mean of what is to come at each prefix, beta rho being taken from it. */
static void set_exact_values(double beta) {
    memset(w.value, 0, sizeof w.value);
    for (int i = 0; i < ANSWERS; i++) {
        double to_go = w.reward[i];
        for (int t = answers[i].n - 1; t >= 0; t--) {
            const int x = answers[i].prefixes[t];
            to_go -= beta * ((double)w.now_seen[i][t] - (double)w.other_seen[REFERENCE][i][t]);
            w.value[x] += creal(w.now.p[i] / w.now.reach[x]) * to_go;
        }
    }
    world_refresh(&w);
}

static number policy_gradient(const world *unused, const law *l, const ae_rl_keys *k) {
    number sum = k->rl.beta * divergence(l, &w.law_of_other[REFERENCE]);
    (void)unused;
    for (int i = 0; i < ANSWERS; i++) sum -= l->p[i] * w.reward[i];
    return sum;
}

static ae_rl_answer as_seen(int i) {
    return (ae_rl_answer){.n = answers[i].n,
                          .reward = w.reward[i],
                          .before = w.now_seen[i],
                          .reference = w.other_seen[REFERENCE][i],
                          .values = w.value_seen[i]};
}

/* Whitening depends on the whole batch, so it is undone: A = mean - tokens std ds. */
static void add_pair(const step_plan *p, int i, int j, effect *e) {
    static effect one;
    const ae_rl_answer two[2] = {as_seen(i), as_seen(j)};
    const spread s = naive_spread(two, 2, p->keys->rl.beta, p->keys->ppo.lambda);
    const double weight = creal(w.now.p[i] * w.now.p[j]);
    memset(one.ds[i], 0, sizeof one.ds[i]);
    memset(one.ds[j], 0, sizeof one.ds[j]);
    add_effect(&w, p, (int[]){i, j}, 1, 1, &one);
    for (int t = 0; t < answers[i].n; t++) {
        const double A = s.std > 1e-6 ? s.mean - s.tokens * s.std * one.ds[i][t] : s.mean;
        e->ds[i][t] -= weight * A;
    }
}

static void check_expectation(double lambda, bool exact_values) {
    static step_plan p;
    static effect e;
    double expected[PARAMS], found[PARAMS];
    ae_rl_keys k = keys;
    k.ppo.lambda = lambda;
    enumerate();
    world_init(&w, 12);
    if (exact_values) set_exact_values(k.rl.beta);
    plan_init(&p, &ae_ppo, &k, 1);
    memset(&e, 0, sizeof e);
    for (int i = 0; i < ANSWERS; i++)
        for (int j = 0; j < ANSWERS; j++) add_pair(&p, i, j, &e);
    chain(&w, &p, &e, found);
    objective_gradient(&w, policy_gradient, &k, expected);
    for (int i = 0; i < PARAMS; i++)
        cr_expect_float_eq(found[i], expected[i], 1e-6, "lambda %g: parameter %d: %.9f, expected %.9f",
                           lambda, i, found[i], expected[i]);
}

Test(ppo, is_the_policy_gradient_without_a_critic_at_lambda_1) {
    check_expectation(1, false);
}

Test(ppo, is_the_policy_gradient_with_an_exact_critic_at_any_lambda) {
    check_expectation(0.5, true);
    check_expectation(0, true);
}
