#include "method_rig.h"

#include "core/rng.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static void fill(rig_array x, ae_rng *rng, double mean, double std) {
    for (int i = 0; i < RIG_ANSWERS; i++)
        for (int t = 0; t < RIG_TOKENS; t++) x[i][t] = (float)(mean + std * ae_rng_normal(rng));
}

static void add_answer(method_rig *r, int prompt, ae_rl_writer writer, ae_rng *rng) {
    const ptrdiff_t i = r->batch.n++;
    cr_assert_lt(i, RIG_ANSWERS);
    r->answers[i] = (ae_rl_answer){.prompt = prompt,
                                   .writer = writer,
                                   .n = 2 + (ptrdiff_t)ae_rng_below(rng, RIG_TOKENS - 1),
                                   .counts = true,
                                   .reward = ae_rng_normal(rng),
                                   .now = r->now[i],
                                   .before = r->before[i],
                                   .reference = r->reference[i],
                                   .anchor = r->anchor[i],
                                   .kl = r->kl[i],
                                   .values = r->values[i],
                                   .values_now = r->values_now[i]};
}

void rig_init(method_rig *r, const ae_rl_method *method, const ae_rl_keys *keys, int prompts, uint64_t seed) {
    ae_rng rng = ae_rng_make(seed, 0);
    int64_t counts[AE_RL_WRITERS] = {0};
    *r = (method_rig){.method = method, .keys = keys};
    r->batch = (ae_rl_batch){
        .answers = r->answers, .prompts = prompts, .step = 1, .beta = keys->rl.beta, .memory = r->memory};
    fill(r->now, &rng, -2, 0.7);
    fill(r->reference, &rng, -2, 0.7);
    fill(r->anchor, &rng, -2, 0.7);
    fill(r->kl, &rng, 0.5, 0.1);
    fill(r->values, &rng, 0, 0.5);
    memcpy(r->before, r->now, sizeof r->now);
    memcpy(r->sampled, r->now, sizeof r->now);
    memcpy(r->values_now, r->values, sizeof r->values);
    method->wants(keys, counts);
    for (int prompt = 0; prompt < prompts; prompt++)
        for (int writer = 0; writer < AE_RL_WRITERS; writer++)
            for (int64_t i = 0; i < counts[writer]; i++) add_answer(r, prompt, (ae_rl_writer)writer, &rng);
}

void rig_run(method_rig *r) {
    float *rows[3][RIG_ANSWERS];
    memset(r->ds, 0, sizeof r->ds);
    memset(r->dk, 0, sizeof r->dk);
    memset(r->dv, 0, sizeof r->dv);
    for (int i = 0; i < RIG_ANSWERS; i++) {
        rows[0][i] = r->ds[i];
        rows[1][i] = r->dk[i];
        rows[2][i] = r->dv[i];
    }
    ae_numbers_clear(&r->numbers);
    ae_rl_gradient g = {
        .dlogprob = rows[0], .dkl = rows[1], .dvalue = rows[2], .loss = NAN, .numbers = &r->numbers};
    r->method->gradient(r->keys, &r->batch, &g);
    r->loss = g.loss;
}

double rig_number(const method_rig *r, const char *name) {
    double value = NAN;
    cr_assert(ae_numbers_find(&r->numbers, name, &value), "no number %s", name);
    return value;
}

void rig_remove(method_rig *r, ptrdiff_t i) {
    memmove(&r->answers[i], &r->answers[i + 1], (size_t)(r->batch.n - i - 1) * sizeof *r->answers);
    r->batch.n--;
}

void rig_free(method_rig *r) {
    ae_numbers_free(&r->numbers);
}
