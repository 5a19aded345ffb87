#include "rlhf/guards.h"

#include "core/log.h"

typedef struct {
    const char *key, *what, *remedy;
    double value, bound;
    bool below; /* the bound is the lowest value */
    bool by_beta;
} guard;

static bool is_past(const guard *g) {
    if (g->bound == 0) return false;
    return g->below ? !(g->value >= g->bound) : !(g->value <= g->bound);
}

static ae_status refuse(const guard *g, int64_t step) {
    return AE_FAIL(AE_ERR_GUARD,
                   "rl.%s: step %lld: %s is %.4g, %s the bound of %.4g%s: %s, or set "
                   "rl.guard_action=slow, and give the same command again",
                   g->key, (long long)step, g->what, g->value, g->below ? "below" : "above", g->bound,
                   step > 1 ? "; the steps before it are saved" : "", g->remedy);
}

static void slow(const guard *g, int64_t step, bool beta_matters, ae_guard_state *s) {
    static const double BETA = 1.5, RATE = 0.5;
    const bool by_beta = g->by_beta && beta_matters;
    if (by_beta)
        s->beta *= BETA;
    else
        s->rate *= RATE;
    s->slowed = step;
    ae_warn("rl.%s: step %lld: %s is %.4g, %s the bound of %.4g: %s is %.4g from here on", g->key,
            (long long)step, g->what, g->value, g->below ? "below" : "above", g->bound,
            by_beta ? "rl.beta" : "the factor of the learning rate", by_beta ? s->beta : s->rate);
}

ae_status ae_guards_check(const ae_rl_common_keys *k, const ae_guarded *now, int64_t step, bool beta_matters,
                          ae_guard_state *s) {
    const guard guards[] = {
        {"guard_kl", "the divergence from the reference (nats an answer)",
         "raise rl.guard_kl, or go on with run.override=rl.beta,optim.lr and a higher rl.beta or a lower "
         "optim.lr",
         now->kl, k->guard_kl, false, true},
        {"guard_entropy", "the mean entropy of a token (nats)",
         "lower rl.guard_entropy, or go on with run.override=rl.entropy_bonus,optim.lr and a bonus or a "
         "lower "
         "optim.lr",
         now->entropy, k->guard_entropy, true, false},
        {"guard_length", "the mean length of an answer (tokens)",
         "raise rl.guard_length, or look at what rl.rewards pays for length", now->length, k->guard_length,
         false, false},
    };
    const bool rests = s->slowed > 0 && step < s->slowed + AE_GUARD_REST;
    for (size_t i = 0; i < sizeof guards / sizeof *guards; i++) {
        if (!is_past(&guards[i])) continue;
        if (k->guard_action == AE_GUARD_STOP) return refuse(&guards[i], step);
        if (rests) continue;
        slow(&guards[i], step, beta_matters, s);
        return AE_OK;
    }
    return AE_OK;
}
