#include "enumerated.h"

#include <math.h>
#include <string.h>

enumerated_answer answers[ANSWERS];

/* ---- answers and laws ---- */

/* Prefixes are numbered by length, then as numbers of base LETTERS. */
static int prefix_after(int prefix, int letter) {
    return 1 + prefix * LETTERS + letter;
}

static int add_answers(int n, enumerated_answer so_far, int prefix) {
    so_far.prefixes[so_far.n] = prefix;
    for (int v = 0; v < VOCAB; v++) {
        enumerated_answer a = so_far;
        a.tokens[a.n++] = v;
        a.truncated = v != END && a.n == LONGEST;
        if (v == END || a.truncated)
            answers[n++] = a;
        else
            n = add_answers(n, a, prefix_after(prefix, v));
    }
    return n;
}

void enumerate(void) {
    add_answers(0, (enumerated_answer){0}, 0);
}

void law_of(law *l, logits z) {
    for (int x = 0; x < PREFIXES; x++) {
        number sum = 0;
        for (int v = 0; v < VOCAB; v++) sum += cexp(z[x][v]);
        for (int v = 0; v < VOCAB; v++) l->logp[x][v] = z[x][v] - clog(sum);
        l->reach[x] =
            x == 0 ? 1 : l->reach[(x - 1) / LETTERS] * cexp(l->logp[(x - 1) / LETTERS][(x - 1) % LETTERS]);
    }
    for (int i = 0; i < ANSWERS; i++) {
        l->s[i] = 0;
        for (int t = 0; t < answers[i].n; t++)
            l->s[i] += l->logp[answers[i].prefixes[t]][answers[i].tokens[t]];
        l->p[i] = cexp(l->s[i]);
    }
}

double expected_reward(const world *w, const law *l) {
    double sum = 0;
    for (int i = 0; i < ANSWERS; i++) sum += creal(l->p[i]) * w->reward[i];
    return sum;
}

number divergence(const law *l, const law *m) {
    number sum = 0;
    for (int i = 0; i < ANSWERS; i++) sum += l->p[i] * (l->s[i] - m->s[i]);
    return sum;
}

number divergence_at(const law *l, const law *m, int prefix) {
    number sum = 0;
    for (int v = 0; v < VOCAB; v++)
        sum += cexp(l->logp[prefix][v]) * (l->logp[prefix][v] - m->logp[prefix][v]);
    return sum;
}

/* ---- worlds ---- */

void world_init(world *w, uint64_t seed) {
    ae_rng rng = ae_rng_make(seed, 0);
    memset(w, 0, sizeof *w);
    for (int x = 0; x < PREFIXES; x++)
        for (int v = 0; v < VOCAB; v++) {
            w->policy[x][v] = 0.7 * ae_rng_normal(&rng);
            for (int o = 0; o < 3; o++) w->other[o][x][v] = w->policy[x][v] + 0.4 * ae_rng_normal(&rng);
        }
    for (int i = 0; i < ANSWERS; i++) w->reward[i] = round(2 * ae_rng_normal(&rng)) / 2;
    world_refresh(w);
}

void world_refresh(world *w) {
    law_of(&w->now, w->policy);
    for (int o = 0; o < 3; o++) law_of(&w->law_of_other[o], w->other[o]);
    for (int i = 0; i < ANSWERS; i++)
        for (int t = 0; t < answers[i].n; t++) {
            const int x = answers[i].prefixes[t], v = answers[i].tokens[t];
            w->now_seen[i][t] = (float)creal(w->now.logp[x][v]);
            w->value_seen[i][t] = (float)w->value[x];
            for (int o = 0; o < 3; o++) {
                w->other_seen[o][i][t] = (float)creal(w->law_of_other[o].logp[x][v]);
                w->kl_seen[o][i][t] = (float)creal(divergence_at(&w->now, &w->law_of_other[o], x));
            }
        }
}

/* ---- steps ---- */

void plan_init(step_plan *p, const ae_rl_method *method, const ae_rl_keys *keys, int prompts) {
    int64_t counts[AE_RL_WRITERS] = {0};
    *p = (step_plan){.method = method, .keys = keys, .prompts = prompts};
    method->wants(keys, counts);
    for (int prompt = 0; prompt < prompts; prompt++)
        for (int writer = 0; writer < AE_RL_WRITERS; writer++)
            for (int64_t i = 0; i < counts[writer]; i++) {
                p->writer[p->n] = (ae_rl_writer)writer;
                p->prompt[p->n++] = prompt;
            }
}

static int kl_against(const step_plan *p) {
    return p->method->reads(p->keys) & AE_RL_READS_TEACHER ? TEACHER : REFERENCE;
}

static ae_rl_answer answer_seen(const world *w, const step_plan *p, int place, int i) {
    return (ae_rl_answer){.prompt = p->prompt[place],
                          .writer = p->writer[place],
                          .n = answers[i].n,
                          .truncated = answers[i].truncated,
                          .counts = true,
                          .reward = w->reward[i],
                          .now = w->now_seen[i],
                          .before = w->now_seen[i],
                          .reference = w->other_seen[REFERENCE][i],
                          .anchor = w->other_seen[ANCHOR][i],
                          .kl = w->kl_seen[kl_against(p)][i],
                          .values = w->value_seen[i],
                          .values_now = w->value_seen[i]};
}

void add_effect(const world *w, const step_plan *p, const int *drawn, double weight, int count, effect *e) {
    static ae_rl_answer seen[MOST];
    static float out[3][MOST][LONGEST];
    static float *rows[3][MOST];
    double memory[AE_RL_MEMORY];
    memcpy(memory, p->memory, sizeof memory);
    memset(out[0], 0, (size_t)p->n * sizeof out[0][0]);
    memset(out[1], 0, (size_t)p->n * sizeof out[0][0]);
    memset(out[2], 0, (size_t)p->n * sizeof out[0][0]);
    for (int i = 0; i < p->n; i++) {
        seen[i] = answer_seen(w, p, i, drawn[i]);
        for (int o = 0; o < 3; o++) rows[o][i] = out[o][i];
    }
    const ae_rl_batch batch = {.answers = seen,
                               .n = p->n,
                               .prompts = p->prompts,
                               .step = 1,
                               .beta = p->keys->rl.beta,
                               .memory = memory};
    ae_rl_gradient g = {.dlogprob = rows[0], .dkl = rows[1], .dvalue = rows[2]};
    p->method->gradient(p->keys, &batch, &g);
    e->loss += weight * g.loss;
    for (int i = 0; i < count; i++)
        for (int t = 0; t < answers[drawn[i]].n; t++) {
            e->ds[drawn[i]][t] += weight * (double)out[0][i][t];
            e->dk[drawn[i]][t] += weight * (double)out[1][i][t];
            e->dv[drawn[i]][t] += weight * (double)out[2][i][t];
        }
}

static const law *law_of_writer(const world *w, ae_rl_writer writer) {
    if (writer == AE_RL_POLICY) return &w->now;
    return &w->law_of_other[writer == AE_RL_ANCHOR ? ANCHOR : REFERENCE];
}

void add_expectation(const world *w, const step_plan *p, int *drawn, int count, effect *e) {
    for (int i = 0; i < count; i++) drawn[i] = 0;
    for (;;) {
        double weight = 1;
        for (int i = 0; i < count; i++) weight *= creal(law_of_writer(w, p->writer[i])->p[drawn[i]]);
        add_effect(w, p, drawn, weight, count, e);
        int place = 0;
        while (place < count && ++drawn[place] == ANSWERS) drawn[place++] = 0;
        if (place == count) return;
    }
}

void draw(const world *w, const step_plan *p, ae_rng *rng, int *drawn) {
    for (int i = 0; i < p->n; i++) {
        double u = ae_rng_uniform(rng);
        const law *l = law_of_writer(w, p->writer[i]);
        for (drawn[i] = 0; drawn[i] < ANSWERS - 1; drawn[i]++) {
            u -= creal(l->p[drawn[i]]);
            if (u < 0) break;
        }
    }
}

/* d log pi(v) / d z_u = [u = v] - pi_u, and d KL / d z_u = pi_u (log pi_u - log m_u - KL). */
void chain(const world *w, const step_plan *p, const effect *e, double gradient[PARAMS]) {
    const law *m = &w->law_of_other[kl_against(p)];
    memset(gradient, 0, PARAMS * sizeof *gradient);
    for (int i = 0; i < ANSWERS; i++)
        for (int t = 0; t < answers[i].n; t++) {
            const int x = answers[i].prefixes[t];
            const double kl = creal(divergence_at(&w->now, m, x));
            for (int u = 0; u < VOCAB; u++) {
                const double l = creal(w->now.logp[x][u]), pi = exp(l);
                gradient[x * VOCAB + u] += e->ds[i][t] * ((u == answers[i].tokens[t]) - pi);
                gradient[x * VOCAB + u] += e->dk[i][t] * pi * (l - creal(m->logp[x][u]) - kl);
            }
        }
}

void objective_gradient(const world *w, objective f, const ae_rl_keys *k, double gradient[PARAMS]) {
    static const double STEP = 1e-30;
    logits z;
    law l;
    memcpy(z, w->policy, sizeof z);
    for (int i = 0; i < PARAMS; i++) {
        number *at = &z[i / VOCAB][i % VOCAB];
        *at += CMPLX(0, STEP);
        law_of(&l, z);
        gradient[i] = cimag(f(w, &l, k)) / STEP;
        *at = creal(*at);
    }
}
