#include "rlhf/online_parts.h"

#include <math.h>
#include <stdio.h>

static void add_numbers(const ae_online *o, const ae_online_round *r, ae_evaluation *e) {
    const ae_online_means m = ae_online_means_of(o, r);
    int told = 0;
    if (o->sources > 0) {
        ae_numbers_add(&e->numbers, "eval_reward", m.reward);
        ae_numbers_add(&e->numbers, "eval_reward_std", m.reward_std);
        told = isfinite(m.reward) ? snprintf(e->told, sizeof e->told, "held-out reward %.4f, ", m.reward)
                                  : snprintf(e->told, sizeof e->told, "no held-out reward, ");
        for (size_t i = 0; i < o->sources; i++)
            ae_numbers_add(&e->numbers, o->eval_names[i], ae_online_part_mean(o, r, i));
    }
    ae_numbers_add(&e->numbers, "eval_kl", m.kl);
    ae_numbers_add(&e->numbers, "eval_entropy", m.entropy);
    ae_numbers_add(&e->numbers, "eval_length", m.length);
    ae_numbers_add(&e->numbers, "eval_truncated", m.truncated);
    snprintf(e->told + told, sizeof e->told - (size_t)told,
             "KL %.3f nats, %.1f tokens an answer, %.1f %% cut", m.kl, m.length, 100 * m.truncated);
}

/* The same answers' places at every evaluation. */
ae_status ae_online_evaluate(void *self, ae_evaluation *e) {
    static const int64_t one[AE_RL_WRITERS] = {[AE_RL_POLICY] = 1};
    ae_online *o = self;
    ae_online_work *w = NULL;
    ae_online_round r = {0};
    ae_scorer k = ae_rl_models_scorer(&o->models);
    k.anchor = NULL;
    k.critic = NULL;
    const ae_online_asking asking = {"rl.evaluation", 0, one, true};
    ae_status st = ae_online_new_work(o, (void **)&w);
    if (st != AE_OK) return st;
    const ptrdiff_t n =
        (ptrdiff_t)ae_min((ptrdiff_t)o->config->keys.rl.eval_prompts, (ptrdiff_t)o->heldout.n);
    AE_TRY(ae_online_take_prompts(w, &o->heldout, n));
    AE_TRY(ae_online_round_make(o, &r, w, &asking));
    AE_TRY(ae_scores_read(&k, &r.batch, &r.answers, true));
    add_numbers(o, &r, e);
    AE_TRY(ae_online_tell(o, &r));
out:
    ae_online_round_free(&r);
    ae_online_free_work(o, w);
    return st;
}
