#include "enumerated.h"
#include "rlhf/best_of_n.h"

#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <math.h>
#include <string.h>

/* What methods reach with samples and plain steps from the reference, as a share of the highest gain of reward
 * that any policy has at the same divergence from it: that of the tilted law pi_ref exp(r / beta') / Z. */

enum { PROMPTS = 64, STEPS = 4000 };

static world w;

/* ---- the best that can be had ---- */

typedef struct {
    double gain, divergence;
} point;

static point tilted(double inverse_beta, double p[ANSWERS]) {
    const law *m = &w.law_of_other[REFERENCE];
    double Z = 0;
    point at = {-expected_reward(&w, m), 0};
    for (int i = 0; i < ANSWERS; i++) Z += p[i] = creal(m->p[i]) * exp(w.reward[i] * inverse_beta);
    for (int i = 0; i < ANSWERS; i++) {
        p[i] /= Z;
        at.gain += p[i] * w.reward[i];
        at.divergence += p[i] * (w.reward[i] * inverse_beta - log(Z));
    }
    return at;
}

static double best_gain(double divergence_of) {
    double low = 0, high = 100, p[ANSWERS];
    for (int i = 0; i < 100; i++) {
        const double middle = (low + high) / 2;
        *(tilted(middle, p).divergence < divergence_of ? &low : &high) = middle;
    }
    return tilted(low, p).gain;
}

/* The teacher: logits of the law tilted by a beta'. */
static void set_teacher(double beta) {
    double p[ANSWERS];
    tilted(1 / beta, p);
    logits sums = {{0}};
    for (int i = 0; i < ANSWERS; i++)
        for (int t = 0; t < answers[i].n; t++) sums[answers[i].prefixes[t]][answers[i].tokens[t]] += p[i];
    for (int x = 0; x < PREFIXES; x++)
        for (int v = 0; v < VOCAB; v++) w.other[TEACHER][x][v] = clog(sums[x][v]);
}

/* ---- ascent ---- */

static void step_values(const effect *e, double rate) {
    for (int i = 0; i < ANSWERS; i++)
        for (int t = 0; t < answers[i].n; t++) w.value[answers[i].prefixes[t]] -= rate * e->dv[i][t];
}

static void step_anchor(double eta) {
    for (int x = 0; x < PREFIXES; x++)
        for (int v = 0; v < VOCAB; v++)
            w.other[ANCHOR][x][v] += eta * (w.policy[x][v] - w.other[ANCHOR][x][v]);
}

static void one_step(step_plan *p, ae_rng *rng, double rate) {
    static effect e;
    double gradient[PARAMS];
    int drawn[MOST];
    memset(&e, 0, sizeof e);
    draw(&w, p, rng, drawn);
    add_effect(&w, p, drawn, 1, p->n, &e);
    chain(&w, p, &e, gradient);
    for (int i = 0; i < PARAMS; i++) w.policy[i / VOCAB][i % VOCAB] -= rate * gradient[i];
    step_values(&e, 20 * rate);
    if (p->method->anchor_rate) step_anchor(p->method->anchor_rate(p->keys));
    world_refresh(&w);
}

static point where(void) {
    const law *m = &w.law_of_other[REFERENCE];
    return (point){expected_reward(&w, &w.now) - expected_reward(&w, m), creal(divergence(&w.now, m))};
}

typedef struct {
    const char *name;
    const ae_rl_method *method;
    double rate;
    ae_rl_keys keys;
} method_case;

static void start(void) {
    memcpy(w.policy, w.other[REFERENCE], sizeof w.policy);
    memcpy(w.other[ANCHOR], w.policy, sizeof w.policy);
    world_refresh(&w);
}

/* Goes on until the divergence is there, at most STEPS steps; the share of the best gain. */
static double share_at(const method_case *c, double divergence_sought, point *at) {
    static step_plan p;
    ae_rng rng = ae_rng_make(17, 3);
    int step = 0;
    start();
    plan_init(&p, c->method, &c->keys, PROMPTS);
    for (*at = where(); step < STEPS && at->divergence < divergence_sought; *at = where(), step++)
        one_step(&p, &rng, c->rate);
    const double share = at->gain / best_gain(at->divergence);
    cr_log_info("%s: %d steps, %.3f nats, gain %.3f: %.3f of the best", c->name, step, at->divergence,
                at->gain, share);
    return share;
}

#define RL(...) .rl = {.passes = 1, .max_new = LONGEST, __VA_ARGS__}
#define CLIP    .clip_low = 0.2, .clip_high = 0.2
#define CRITIC  .ppo = {.clip = 0.2, .value_clip = 0.2, .lambda = 0.95, .value_weight = 0.05}

/* ---- on the way ---- */

static const method_case on_the_way[] = {
    {"REINFORCE", &ae_reinforce, 0.2, {RL(.samples = 4, .beta = 0.05)}},
    {"REINFORCE by token",
     &ae_reinforce,
     0.2,
     {RL(.samples = 4, .beta = 0.05), .reinforce = {.by_token = true}}},
    {"REINFORCE, exact", &ae_reinforce, 0.2, {RL(.samples = 4, .beta = 0.05, .kl = AE_RL_KL_EXACT)}},
    {"PPO", &ae_ppo, 0.2, {RL(.samples = 4, .beta = 0.05), CRITIC}},
    {"GRPO", &ae_grpo, 0.2, {RL(.samples = 8, .beta = 0.04, .kl = AE_RL_KL_K3), .grpo = {CLIP, .std = true}}},
    {"Dr. GRPO", &ae_grpo, 0.5, {RL(.samples = 8), .grpo = {CLIP, .length = AE_GRPO_FIXED}}},
    {"DAPO", &ae_grpo, 0.2, {RL(.samples = 8), .grpo = {CLIP, .std = true, .length = AE_GRPO_TOKENS}}},
    {"GSPO", &ae_grpo, 0.2, {RL(.samples = 8), .grpo = {CLIP, .std = true, .sequence = true}}},
    {"BOND", &ae_bond, 0.1, {RL(.samples = 1), .bond = {.b = 0.5, .n = 16, .references = 16}}},
    {"J-BOND", &ae_jbond, 0.1, {RL(.samples = 1), .jbond = {.b = 0.5, .eta = 0.05}}},
    {"J-BOND, g = 1", &ae_jbond, 0.1, {RL(.samples = 1), .jbond = {.b = 0.5, .g = 1, .eta = 0.05}}},
    {"online DPO", &ae_online_dpo, 0.2, {RL(.samples = 2, .beta = 0.2)}},
    {"distillation", &ae_distill, 0.2, {RL(.samples = 1)}},
};

/* Mostly sums over letters. Where each answer has a reward of its own, as in the other test, steps on logits are
 * slow at prefixes that are rarely reached, and the shares on the way are a half to nine tenths. */
static void set_rewards_by_letter(void) {
    ae_rng rng = ae_rng_make(23, 9);
    double score[VOCAB];
    for (int v = 0; v < VOCAB; v++) score[v] = ae_rng_normal(&rng);
    for (int i = 0; i < ANSWERS; i++) {
        double sum = 0.5 * ae_rng_normal(&rng);
        for (int t = 0; t < answers[i].n; t++) sum += score[answers[i].tokens[t]];
        w.reward[i] = round(2 * sum) / 2;
    }
}

Test(frontier, every_method_gets_three_quarters_of_the_best_gain_on_its_way) {
    static const double NATS = 0.8;
    enumerate();
    world_init(&w, 23);
    set_rewards_by_letter();
    set_teacher(0.5);
    for (size_t c = 0; c < sizeof on_the_way / sizeof *on_the_way; c++) {
        point at;
        const double share = share_at(&on_the_way[c], NATS, &at);
        cr_expect(at.divergence >= NATS, "%s: %.3f nats", on_the_way[c].name, at.divergence);
        cr_expect(share >= 0.75 && share <= 1, "%s: %.3f", on_the_way[c].name, share);
    }
}

/* ---- at the end ---- */

/* Methods whose optimum is a tilted law. */
static const method_case at_the_end[] = {
    {"REINFORCE", &ae_reinforce, 0.3, {RL(.samples = 4, .beta = 0.8)}},
    {"REINFORCE by token",
     &ae_reinforce,
     0.3,
     {RL(.samples = 4, .beta = 0.8), .reinforce = {.by_token = true}}},
    {"REINFORCE, exact", &ae_reinforce, 0.3, {RL(.samples = 4, .beta = 0.8, .kl = AE_RL_KL_EXACT)}},
    {"PPO", &ae_ppo, 0.3, {RL(.samples = 4, .beta = 0.8), CRITIC}},
    {"Dr. GRPO", &ae_grpo, 1, {RL(.samples = 8, .beta = 0.8), .grpo = {CLIP, .length = AE_GRPO_FIXED}}},
    {"distillation", &ae_distill, 1, {RL(.samples = 1), .distill = {.sequence = true}}},
};

Test(frontier, methods_with_a_divergence_end_at_the_best_policy) {
    double p[ANSWERS];
    enumerate();
    world_init(&w, 19);
    set_teacher(0.8);
    const double expected = tilted(1 / 0.8, p).divergence;
    for (size_t c = 0; c < sizeof at_the_end / sizeof *at_the_end; c++) {
        point at;
        const double share = share_at(&at_the_end[c], INFINITY, &at);
        cr_expect(share >= 0.98 && share <= 1, "%s: %.3f", at_the_end[c].name, share);
        cr_expect_float_eq(at.divergence, expected, 0.02, "%s: %.3f nats", at_the_end[c].name, at.divergence);
    }
}

Test(frontier, bond_ends_at_best_of_n) {
    static const method_case c = {
        "BOND", &ae_bond, 0.3, {RL(.samples = 1), .bond = {.b = 0.5, .n = 4, .references = 16}}};
    double reference[ANSWERS], kept[ANSWERS], left = 0;
    point at;
    enumerate();
    world_init(&w, 19);
    share_at(&c, INFINITY, &at);
    for (int i = 0; i < ANSWERS; i++) reference[i] = creal(w.law_of_other[REFERENCE].p[i]);
    ae_best_of_n_law(kept, reference, w.reward, ANSWERS, c.keys.bond.n);
    for (int i = 0; i < ANSWERS; i++) left += kept[i] * (log(kept[i]) - creal(w.now.s[i]));
    cr_expect(left < 0.02, "%.4f nats from best-of-4", left);
    cr_expect(at.divergence > 0.4 && at.divergence <= ae_best_of_n_kl_bound(4), "%.3f nats", at.divergence);
}
