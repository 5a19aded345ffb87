#include "rlhf/preferences.h"

#include "core/dims.h"
#include "core/json.h"
#include "core/rng.h"
#include "rlhf/reference.h"
#include "train/batch_dump.h"
#include "train/calibration.h"
#include "train/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    ae_tuned tuned; /* first: ae_tuned_objective */
    const ae_rl_keys *keys;
    ae_pair_set sets[AE_MIXTURE_SETS_MAX];
    ae_pair_set heldout; /* without pairs where there is none */
    ae_order order;
    ae_reference reference;
    float *room;            /* 2 x rows of a micro-batch x T */
    ae_scored_pair *scored; /* [pairs of a step] */
    ae_status (*keys_of_tuned)(void *self, json_t *state);
    ae_status (*resume_tuned)(void *self, const json_t *state, ae_overrides *o);
} preferences;

/* ---- inputs ---- */

static int64_t pairs_of(const preferences *p) {
    int64_t pairs = 0;
    for (size_t i = 0; i < p->tuned.inputs.data.n_sets; i++) pairs += p->sets[i].count.pairs;
    return pairs;
}

static ae_status open_sets(preferences *p) {
    const ae_tune_config *c = p->tuned.config;
    const ae_mixture *m = &p->tuned.inputs.data;
    const ptrdiff_t T = (ptrdiff_t)c->train.train.row_tokens;
    const ae_too_long too_long = (ae_too_long)c->examples.too_long;
    ae_status st = AE_OK;
    p->order = (ae_order){.mixture = m,
                          .per_step = (ptrdiff_t)c->train.train.batch_rows,
                          .seed = ae_rng_hash((uint64_t)c->train.run.seed, "data.rows"),
                          .shuffle = c->train.data.shuffle};
    for (size_t i = 0; i < m->n_sets; i++) {
        AE_TRY(ae_pair_set_init(&p->sets[i], m->sets[i], T, too_long, !c->examples.pack));
        p->order.pieces[i] = p->sets[i].count.pairs;
    }
    if (p->tuned.inputs.heldout)
        AE_TRY(ae_pair_set_init(&p->heldout, p->tuned.inputs.heldout, T, too_long, false));
out:
    return st;
}

static ae_status open_inputs(void *self, const ae_run_facts *run) {
    preferences *p = self;
    ae_tune_config *c = p->tuned.config;
    ae_status st = AE_OK;
    AE_TRY(ae_tuned_open(&p->tuned, run));
    AE_TRY(open_sets(p));
    if (c->length.epochs > 0 && p->tuned.inputs.data.n_phases > 1)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "train.epochs: expected train.steps where data.train has phases, found "
                                     "epochs; give train.steps"));
    AE_TRY(ae_tune_config_set_steps(c, (double)pairs_of(p) / (double)c->train.train.batch_rows));
    p->reference.tuned = &p->tuned;
    p->reference.keys = p->keys;
    p->reference.order = &p->order;
    p->reference.sets = p->sets;
    p->reference.heldout = &p->heldout;
out:
    return st;
}

static ae_status resume(void *self, const json_t *state, ae_overrides *o) {
    preferences *p = self;
    const char *identity = json_string_value(json_object_get(state, "reference"));
    snprintf(p->reference.identity, sizeof p->reference.identity, "%s", identity ? identity : "");
    return p->resume_tuned(self, state, o);
}

static ae_status make_plan(void *self) {
    preferences *p = self;
    ae_tuned_weigh_sets(&p->tuned, p->order.pieces);
    const ae_status st = ae_reference_check(&p->reference);
    return st == AE_OK ? ae_tuned_plan(&p->tuned, p->heldout.count.pairs, 0, 0, 0) : st;
}

static void tell_dropped(const char *key, int64_t n) {
    if (n == 0) return;
    ae_warn("data.too_long: %s: %lld pair%s longer than a row %s left out", key, (long long)n, ae_plural(n),
            n == 1 ? "is" : "are");
}

static void report(const void *self) {
    const preferences *p = self;
    const ae_train_keys *k = &p->tuned.run->config->train;
    int64_t dropped = 0;
    for (size_t i = 0; i < p->tuned.inputs.data.n_sets; i++) dropped += p->sets[i].count.dropped;
    ae_tuned_report(&p->tuned);
    ae_log("method: %s, beta %g; reference: %s", ae_rl_method_text(p->keys->rl.method), p->keys->rl.beta,
           ae_reference_path(&p->reference));
    const double epochs = ae_tuned_report_epochs(&p->tuned, p->order.pieces);
    ae_log("pairs: %lld, %lld held out; %lld step%s of %lld pair%s: %.3g epoch%s", (long long)pairs_of(p),
           (long long)p->heldout.count.pairs, (long long)k->steps, ae_plural(k->steps),
           (long long)k->batch_rows, ae_plural(k->batch_rows), epochs, ae_plural_real(epochs));
    tell_dropped("data.train", dropped);
    tell_dropped("data.heldout", p->heldout.count.dropped);
}

static ae_status start(void *self) {
    preferences *p = self;
    ae_status st = AE_OK;
    const size_t places = (size_t)p->tuned.plan.micro_rows * (size_t)p->tuned.run->config->train.row_tokens;
    AE_TRY(ae_reference_before_start(&p->reference));
    AE_TRY(ae_tuned_start(&p->tuned));
    AE_TRY(ae_reference_after_start(&p->reference));
    p->room = malloc(2 * places * sizeof *p->room);
    p->scored = calloc((size_t)p->order.per_step, sizeof *p->scored);
    if (!p->room || !p->scored) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "preferences: out of memory"));
    AE_TRY(ae_order_begin(&p->order, p->tuned.run->step + 1, p->tuned.position));
    if (!p->tuned.position) AE_TRY(ae_order_position(&p->order, &p->tuned.position));
out:
    return st;
}

/* ---- steps ---- */

typedef struct {
    ae_pair_batch pairs;
    ae_pair_choice *choices;   /* [pairs of a step] */
    ae_pair_scores *reference; /* of each choice */
    char *position;            /* of the pairs after it, JSON */
} work;

static void free_work(void *self, void *piece) {
    work *w = piece;
    (void)self;
    if (!w) return;
    ae_pair_batch_free(&w->pairs);
    free(w->choices);
    free(w->reference);
    free(w->position);
    free(w);
}

static ae_status new_work(void *self, void **piece) {
    const preferences *p = self;
    const size_t n = (size_t)p->order.per_step;
    work *w = calloc(1, sizeof *w);
    *piece = w;
    if (w) w->choices = calloc(n, sizeof *w->choices);
    if (w) w->reference = calloc(n, sizeof *w->reference);
    if (!w || !w->choices || !w->reference) return AE_FAIL(AE_ERR_RESOURCE, "loader: out of memory");
    return ae_pair_batch_init(&w->pairs, p->order.per_step, p->order.per_step,
                              (ptrdiff_t)p->tuned.run->config->train.row_tokens);
}

static ae_status next(void *self, void *piece) {
    preferences *p = self;
    work *w = piece;
    for (ptrdiff_t i = 0; i < p->order.per_step; i++) {
        const ae_ordered o = ae_order_next(&p->order, i);
        w->choices[i] = (ae_pair_choice){.set = &p->sets[o.set], .pair = o.piece};
        w->reference[i] = ae_reference_of(&p->reference, &p->sets[o.set])[o.piece];
    }
    ae_order_end_step(&p->order);
    const ae_status st = ae_pair_batch_fill(&w->pairs, w->choices, p->order.per_step);
    free(w->position);
    w->position = NULL;
    return st == AE_OK ? ae_order_position(&p->order, &w->position) : st;
}

static ae_status gradients(void *self, void *piece, ae_gradients *g) {
    preferences *p = self;
    const work *w = piece;
    for (ptrdiff_t i = 0; i < w->pairs.n_pairs; i++)
        p->scored[i].reference = w->reference[w->pairs.pairs[i].choice];
    const ae_preference_sums s = ae_preference_gradients(p->keys, &p->tuned.model, p->tuned.pass, &w->pairs,
                                                         p->tuned.plan.micro_rows, p->room, p->scored);
    const double n = (double)s.pairs;
    ae_numbers_add(&g->numbers, "loss", s.loss / n);
    ae_numbers_add(&g->numbers, "accuracy", s.right / n);
    ae_numbers_add(&g->numbers, "margin_mean", s.margin / n);
    ae_numbers_add(&g->numbers, "chosen_logratio", s.chosen / n);
    ae_numbers_add(&g->numbers, "rejected_logratio", s.rejected / n);
    g->finite = isfinite(s.loss);
    g->tokens = w->pairs.batch.n_tokens;
    g->flops = ae_tuned_flops_per_token(&p->tuned) * (double)g->tokens;
    return AE_OK;
}

static void settled(void *self, void *piece, bool counted) {
    preferences *p = self;
    work *w = piece;
    (void)counted;
    ae_tuned_settle(&p->tuned, &w->position);
}

static ae_status dump(void *self, const void *piece, const char *path) {
    (void)self;
    return ae_batch_dump(&((const work *)piece)->pairs.batch, path);
}

/* ---- between steps ---- */

/* All held-out pairs, in their order. */
static ae_status score_heldout(preferences *p, ae_pair_scorer *s, ae_scored_pair *pairs) {
    const ae_pair_scores *reference = ae_reference_of(&p->reference, &p->heldout);
    int64_t first = 0;
    for (;;) {
        ptrdiff_t n = 0;
        if (*p->tuned.run->stop) return AE_FAIL(AE_ERR_INTERRUPTED, "evaluation: interrupted");
        const ae_status st = ae_pair_scorer_next(s, &p->heldout, NULL, &first, &n);
        if (st != AE_OK || n == 0) return st;
        for (ptrdiff_t i = 0; i < n; i++) {
            const int64_t pair = s->choices[s->pairs.pairs[i].choice].pair;
            pairs[pair] = s->scored[i];
            pairs[pair].reference = reference[pair];
        }
    }
}

/* So many pairs at a time as a step has, which z depends on. */
static ae_preference_sums judge_heldout(const preferences *p, ae_scored_pair *pairs) {
    ae_preference_sums s = {0};
    const int64_t all = p->heldout.count.pairs;
    for (int64_t first = 0; first < all; first += p->order.per_step) {
        const ptrdiff_t n = (ptrdiff_t)ae_min(p->order.per_step, all - first);
        ae_preference_set_divergences(p->keys, pairs + first, n);
        for (ptrdiff_t i = 0; i < n; i++) ae_preference_judge(p->keys, &pairs[first + i], &s);
    }
    return s;
}

static void tell_evaluation(const ae_preference_sums *s, ae_evaluation *e) {
    const double n = (double)s->pairs, accuracy = s->right / n;
    double low = 0, high = 0;
    ae_share_interval(accuracy, n, &low, &high);
    ae_numbers_add(&e->numbers, "eval_loss", s->loss / n);
    ae_numbers_add(&e->numbers, "eval_accuracy", accuracy);
    ae_numbers_add(&e->numbers, "eval_accuracy_low", low);
    ae_numbers_add(&e->numbers, "eval_accuracy_high", high);
    ae_numbers_add(&e->numbers, "eval_margin_mean", s->margin / n);
    ae_numbers_add(&e->numbers, "eval_chosen_logratio", s->chosen / n);
    ae_numbers_add(&e->numbers, "eval_rejected_logratio", s->rejected / n);
    snprintf(e->told, sizeof e->told, "held-out loss %.4f, %.1f %% right (%.1f to %.1f), margin %.3g",
             s->loss / n, 100 * accuracy, 100 * low, 100 * high, s->margin / n);
}

static ae_status evaluate(void *self, ae_evaluation *e) {
    preferences *p = self;
    ae_status st = AE_OK;
    ae_pass *pass = NULL;
    ae_pair_scorer s = {.keys = p->keys, .model = &p->tuned.model};
    const ae_pass_dims n = {.B = p->tuned.plan.evaluation_rows, .T = p->heldout.T};
    ae_scored_pair *pairs = calloc((size_t)p->heldout.count.pairs, sizeof *pairs);
    if (!pairs) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "evaluation: out of memory"));
    AE_TRY(ae_heldout_scorer_init(&s, &p->tuned, &p->heldout));
    AE_TRY(ae_pass_new(&pass, &p->tuned.model, n, false));
    s.pass = pass;
    AE_TRY(score_heldout(p, &s, pairs));
    const ae_preference_sums sums = judge_heldout(p, pairs);
    tell_evaluation(&sums, e);
out:
    ae_pair_scorer_free(&s);
    ae_pass_delete(pass);
    free(pairs);
    return st;
}

/* A run that goes on keeps its reference. */
static ae_status state_keys(void *self, json_t *state) {
    const preferences *p = self;
    const ae_status st = p->keys_of_tuned(self, state);
    if (st != AE_OK) return st;
    return json_object_set_new(state, "reference", json_string(p->reference.identity)) == 0
               ? AE_OK
               : AE_FAIL(AE_ERR_RESOURCE, "state of the run: out of memory");
}

static void close_all(void *self) {
    preferences *p = self;
    for (size_t i = 0; i < AE_MIXTURE_SETS_MAX; i++) ae_pair_set_free(&p->sets[i]);
    ae_pair_set_free(&p->heldout);
    ae_reference_free(&p->reference);
    free(p->room);
    free(p->scored);
    p->room = NULL;
    p->scored = NULL;
    ae_tuned_close(&p->tuned);
}

static ae_objective objective_of(preferences *p) {
    ae_objective o = ae_tuned_objective(p, "rlhf");
    p->keys_of_tuned = o.keys;
    p->resume_tuned = o.resume;
    o.open = open_inputs;
    o.resume = resume;
    o.plan = make_plan;
    o.report = report;
    o.start = start;
    o.new_work = new_work;
    o.next = next;
    o.free_work = free_work;
    o.gradients = gradients;
    o.settled = settled;
    o.dump = dump;
    o.evaluate = evaluate;
    o.keys = state_keys;
    o.close = close_all;
    return o;
}

/* ---- keys ---- */

typedef struct {
    const char *key, *with;
    bool stray;
} stray_key;

static ae_status refuse_stray(const ae_rl_keys *k, const stray_key *keys, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (keys[i].stray)
            return AE_FAIL(AE_ERR_USAGE, "%s: expected %s beside it, found %s; leave it out", keys[i].key,
                           keys[i].with, ae_rl_method_text(k->rl.method));
    return AE_OK;
}

/* Keys that would be ignored in silence: of methods that write answers, and of other losses. A run's own
 * configuration has them as they are by default. */
static ae_status check_stray(const ae_tune_config *t, const ae_rl_keys *k) {
    static const char writes[] = "a method that writes answers";
    const bool kto = k->rl.method == AE_RL_KTO, dpo = k->rl.method == AE_RL_DPO;
    const stray_key keys[] = {
        {"rl.rewards", writes, k->rl.rewards[0] != '\0'},
        {"rl.kl", writes, k->rl.kl != AE_RL_KL_REWARD},
        {"rl.kl_target", writes, k->rl.kl_target > 0},
        {"rl.samples", writes, k->rl.samples != 1},
        {"rl.passes", writes, k->rl.passes != 1},
        {"rl.share_prompts", writes, !k->rl.share_prompts},
        {"rl.rollout_dtype", writes, k->rl.rollout_dtype != AE_WEIGHT_F32},
        {"rl.truncated", writes, k->rl.truncated != AE_RL_KEEP},
        {"rl.entropy_bonus", writes, k->rl.entropy_bonus > 0},
        {"rl.guard_kl", writes, k->rl.guard_kl > 0},
        {"rl.guard_entropy", writes, k->rl.guard_entropy > 0},
        {"rl.guard_length", writes, k->rl.guard_length > 0},
        {"dpo.smoothing", "rl.method=dpo", !dpo && k->dpo.smoothing > 0},
        {"dpo.nll", "rl.method=dpo or ipo", kto && k->dpo.nll > 0},
        {"kto.good", "rl.method=kto", !kto && k->kto.good != 1},
        {"kto.bad", "rl.method=kto", !kto && k->kto.bad != 1},
    };
    const ae_status st = refuse_stray(k, keys, sizeof keys / sizeof *keys);
    if (st != AE_OK) return st;
    const bool start = !k->rl.reference[0] || strcmp(k->rl.reference, t->train.model.init) == 0;
    if (t->base.base_dtype != AE_WEIGHT_F32 && t->lora.rank == 0 && start)
        return AE_FAIL(AE_ERR_USAGE, "model.base_dtype: expected lora.rank or an rl.reference other than "
                                     "model.init beside it, found neither; leave it out");
    if (k->rl.beta == 0)
        return AE_FAIL(AE_ERR_USAGE, "rl.beta: expected more than 0, found 0: nothing would be learnt");
    return AE_OK;
}

ae_status ae_preferences_train(ae_rlhf_config *config, bool dry_run) {
    ae_status st = AE_OK;
    preferences *p = calloc(1, sizeof *p);
    if (!p) return AE_FAIL(AE_ERR_RESOURCE, "preferences: out of memory");
    p->tuned = (ae_tuned){
        .config = &config->tune, .rendered = config->rendered, .kind = AE_KIND_PAIRS, .dry_run = dry_run};
    p->keys = &config->keys;
    const ae_objective objective = objective_of(p);
    AE_TRY(ae_rlhf_config_defaults(config));
    AE_TRY(ae_rlhf_config_check(config));
    AE_TRY(check_stray(&config->tune, p->keys));
    AE_TRY(ae_engine_train(&config->tune.train, &objective, dry_run));
out:
    free(p);
    return st;
}
