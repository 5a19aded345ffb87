#include "train/reward.h"

#include "core/dims.h"
#include "core/file.h"
#include "core/log.h"
#include "core/rng.h"
#include "train/batch_dump.h"
#include "train/engine.h"
#include "train/reward_evaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const ae_field reward_fields[] = {
    {"center", AE_FIELD_REAL, offsetof(ae_reward_keys, center), "0", 0, 1e6, NULL,
     "weight of the square of a pair's summed rewards, which keeps them around 0; 0.01 is usual",
     AE_KEY_FIXED | AE_KEY_SCORE},
    {"margin", AE_FIELD_BOOL, offsetof(ae_reward_keys, margin), "false", 0, 0, NULL,
     "rewards of a pair shall differ by more than its margin", AE_KEY_FIXED | AE_KEY_SCORE},
    {"head", AE_FIELD_TEXT, offsetof(ae_reward_keys, head), "", 0, 0, NULL,
     "a reward model whose head this one begins with", AE_KEY_PLACE | AE_KEY_START},
    {"members", AE_FIELD_INT, offsetof(ae_reward_keys, members), "1", 1, 64, NULL,
     "models that are trained one after another and then averaged (WARM), in run.dir/members", AE_KEY_FREE},
    {"member_inits", AE_FIELD_TEXT, offsetof(ae_reward_keys, member_inits), "", 0, 0, NULL,
     "models that the members start from in turn, PATH,PATH; empty: all from model.init", AE_KEY_FREE},
    {"head_steps", AE_FIELD_INT, offsetof(ae_reward_keys, head_steps), "100", 1, 1e12, NULL,
     "with several members: steps in which the head that they share trains alone", AE_KEY_FREE},
    {"average", AE_FIELD_INT, offsetof(ae_reward_keys, average), "0", 0, 64, NULL,
     "with several members: how many are averaged, those most accurate on data.heldout; 0: all", AE_KEY_FREE},
};

ae_status ae_reward_add_keys(ae_config *table, ae_reward_keys *keys) {
    return ae_config_add(table, "reward", reward_fields, sizeof reward_fields / sizeof *reward_fields, keys);
}

ae_status ae_reward_config_init(ae_reward_config *c) {
    c->rendered = NULL;
    ae_status st = ae_tune_config_init(&c->tune);
    if (st == AE_OK) st = ae_reward_add_keys(&c->tune.train.table, &c->reward);
    return st;
}

/* What the weights after a step say of pairs. */
typedef struct {
    int64_t step; /* -1: nothing is measured yet */
    ae_reward_sums sums;
    ae_calibration calibration;
} measured;

typedef struct {
    ae_tuned tuned; /* first: ae_tuned_objective */
    const ae_reward_keys *keys;
    ae_pair_set sets[AE_MIXTURE_SETS_MAX];
    ae_pair_set heldout; /* without pairs where there is none */
    ae_order order;
    float *values;     /* for rewards and their gradients: 2 x rows of a micro-batch x T */
    int8_t *preferred; /* [held-out pairs], which an evaluation fills; NULL: not asked for */
    int64_t step;      /* done */
    measured last;
} reward;

/* ---- inputs ---- */

static int64_t pairs_of(const reward *r) {
    int64_t pairs = 0;
    for (size_t i = 0; i < r->tuned.inputs.data.n_sets; i++) pairs += r->sets[i].count.pairs;
    return pairs;
}

static ae_status check_margins(const reward *r, const ae_token_set *set) {
    if (!r->keys->margin || ae_token_set_margins(set)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected the margin of each pair, found none; leave out reward.margin",
                   ae_token_set_path(set));
}

static ae_status open_sets(reward *r) {
    const ae_tune_config *c = r->tuned.config;
    const ae_mixture *m = &r->tuned.inputs.data;
    const ptrdiff_t T = (ptrdiff_t)c->train.train.row_tokens;
    const ae_too_long too_long = (ae_too_long)c->examples.too_long;
    ae_status st = AE_OK;
    r->order = (ae_order){.mixture = m,
                          .per_step = (ptrdiff_t)c->train.train.batch_rows,
                          .seed = ae_rng_hash((uint64_t)c->train.run.seed, "data.rows"),
                          .shuffle = c->train.data.shuffle};
    for (size_t i = 0; i < m->n_sets; i++) {
        AE_TRY(check_margins(r, m->sets[i]));
        AE_TRY(ae_pair_set_init(&r->sets[i], m->sets[i], T, too_long, !c->examples.pack));
        r->order.pieces[i] = r->sets[i].count.pairs;
    }
    if (r->tuned.inputs.heldout) {
        AE_TRY(check_margins(r, r->tuned.inputs.heldout));
        AE_TRY(ae_pair_set_init(&r->heldout, r->tuned.inputs.heldout, T, too_long, false));
    }
out:
    return st;
}

static ae_status open_inputs(void *self, const ae_run_facts *run) {
    reward *r = self;
    ae_tune_config *c = r->tuned.config;
    ae_status st = AE_OK;
    AE_TRY(ae_tuned_open(&r->tuned, run));
    AE_TRY(open_sets(r));
    if (c->length.epochs > 0 && r->tuned.inputs.data.n_phases > 1)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "train.epochs: expected train.steps where data.train has phases, found "
                                     "epochs; give train.steps"));
    AE_TRY(ae_tune_config_set_steps(c, (double)pairs_of(r) / (double)c->train.train.batch_rows));
out:
    return st;
}

/* Rewards are measured on the held-out pairs, or on the first ones of training where none are. */
static const ae_pair_set *measured_pairs(const reward *r, int64_t *pairs) {
    enum { TRAINING_PAIRS = 500 };
    const ae_pair_set *set = r->heldout.count.pairs > 0 ? &r->heldout : &r->sets[0];
    *pairs = set == &r->heldout ? set->count.pairs : ae_min(set->count.pairs, TRAINING_PAIRS);
    return set;
}

static ae_status make_plan(void *self) {
    reward *r = self;
    ae_tuned_weigh_sets(&r->tuned, r->order.pieces);
    int64_t pairs;
    measured_pairs(r, &pairs);
    return ae_tuned_plan(&r->tuned, pairs, 0, 0, 0);
}

static void tell_dropped(const char *key, int64_t n) {
    if (n == 0) return;
    ae_warn("data.too_long: %s: %lld pair%s longer than a row %s left out", key, (long long)n, ae_plural(n),
            n == 1 ? "is" : "are");
}

static void report(const void *self) {
    const reward *r = self;
    const ae_train_keys *k = &r->tuned.run->config->train;
    int64_t dropped = 0;
    for (size_t i = 0; i < r->tuned.inputs.data.n_sets; i++) dropped += r->sets[i].count.dropped;
    ae_tuned_report(&r->tuned);
    const double epochs = ae_tuned_report_epochs(&r->tuned, r->order.pieces);
    ae_log("pairs: %lld, %lld held out; %lld step%s of %lld pair%s: %.3g epoch%s", (long long)pairs_of(r),
           (long long)r->heldout.count.pairs, (long long)k->steps, ae_plural(k->steps),
           (long long)k->batch_rows, ae_plural(k->batch_rows), epochs, ae_plural_real(epochs));
    tell_dropped("data.train", dropped);
    tell_dropped("data.heldout", r->heldout.count.dropped);
}

/* The rewards of new weights are not known. */
static void forget_scale(reward *r) {
    r->tuned.inputs.shape.reward_shift = r->tuned.inputs.shape.reward_std = 0;
}

static ae_status start(void *self) {
    reward *r = self;
    ae_status st = AE_OK;
    const size_t places = (size_t)r->tuned.plan.micro_rows * (size_t)r->tuned.run->config->train.row_tokens;
    AE_TRY(ae_tuned_start(&r->tuned));
    r->step = r->tuned.run->step;
    r->last.step = -1;
    if (!r->tuned.run->checkpoint) forget_scale(r);
    r->values = calloc(2 * places, sizeof *r->values);
    if (!r->values) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "rewards: out of memory"));
    AE_TRY(ae_order_begin(&r->order, r->tuned.run->step + 1, r->tuned.position));
    if (!r->tuned.position) AE_TRY(ae_order_position(&r->order, &r->tuned.position));
out:
    return st;
}

/* ---- steps ---- */

typedef struct {
    ae_pair_batch pairs;
    char *position; /* of the pairs after it, JSON */
} work;

static void free_work(void *self, void *piece) {
    work *w = piece;
    (void)self;
    if (!w) return;
    ae_pair_batch_free(&w->pairs);
    free(w->position);
    free(w);
}

static ae_status new_work(void *self, void **piece) {
    const reward *r = self;
    work *w = calloc(1, sizeof *w);
    *piece = w;
    if (!w) return AE_FAIL(AE_ERR_RESOURCE, "loader: out of memory");
    return ae_pair_batch_init(&w->pairs, r->order.per_step, r->order.per_step,
                              (ptrdiff_t)r->tuned.run->config->train.row_tokens);
}

static ae_status next(void *self, void *piece) {
    reward *r = self;
    work *w = piece;
    const ptrdiff_t n = r->order.per_step;
    ae_pair_choice *choices = calloc((size_t)n, sizeof *choices);
    if (!choices) return AE_FAIL(AE_ERR_RESOURCE, "loader: out of memory");
    for (ptrdiff_t i = 0; i < n; i++) {
        const ae_ordered o = ae_order_next(&r->order, i);
        choices[i] = (ae_pair_choice){.set = &r->sets[o.set], .pair = o.piece};
    }
    ae_order_end_step(&r->order);
    ae_status st = ae_pair_batch_fill(&w->pairs, choices, n);
    free(choices);
    free(w->position);
    w->position = NULL;
    return st == AE_OK ? ae_order_position(&r->order, &w->position) : st;
}

static ae_status gradients(void *self, void *piece, ae_gradients *g) {
    reward *r = self;
    const work *w = piece;
    const ae_reward_sums s = ae_reward_gradients(r->keys, &r->tuned.model, r->tuned.pass, &w->pairs,
                                                 r->tuned.plan.micro_rows, r->values);
    const double n = (double)s.pairs;
    ae_numbers_add(&g->numbers, "loss", s.loss / n);
    ae_numbers_add(&g->numbers, "accuracy", s.right / n);
    ae_numbers_add(&g->numbers, "margin_mean", s.margin / n);
    ae_numbers_add(&g->numbers, "reward_mean", s.reward / n);
    g->finite = isfinite(s.loss);
    g->tokens = w->pairs.batch.n_tokens;
    g->flops = ae_tuned_flops_per_token(&r->tuned) * (double)g->tokens;
    return AE_OK;
}

static void settled(void *self, void *piece, bool counted) {
    reward *r = self;
    work *w = piece;
    (void)counted;
    r->step++;
    forget_scale(r);
    ae_tuned_settle(&r->tuned, &w->position);
}

static ae_status dump(void *self, const void *piece, const char *path) {
    (void)self;
    return ae_batch_dump(&((const work *)piece)->pairs.batch, path);
}

/* ---- between steps ---- */

/* Once for the weights of a step. */
static ae_status measure(reward *r) {
    measured m = {.step = r->step};
    ae_model_config *shape = &r->tuned.inputs.shape;
    ae_reward_evaluation e = {.keys = r->keys,
                              .model = &r->tuned.model,
                              .rows = r->tuned.plan.evaluation_rows,
                              .stop = r->tuned.run->stop};
    if (r->last.step == r->step) return AE_OK;
    e.set = measured_pairs(r, &e.pairs);
    e.preferred = e.set == &r->heldout ? r->preferred : NULL;
    const ae_status st = ae_reward_evaluate(&e, &m.sums, &m.calibration);
    if (st != AE_OK) return st;
    r->last = m;
    shape->reward_shift = m.sums.reward / (double)m.sums.pairs;
    shape->reward_std = ae_reward_std(&m.sums);
    if (!isfinite(shape->reward_shift) || !isfinite(shape->reward_std)) forget_scale(r);
    return AE_OK;
}

static ae_reward_figures figures_of(const reward *r) {
    const ae_reward_sums *s = &r->last.sums;
    const double n = (double)s->pairs;
    ae_reward_figures f = {.pairs = r->heldout.count.pairs,
                           .loss = s->loss / n,
                           .accuracy = s->right / n,
                           .margin_mean = s->margin / n,
                           .reward_mean = s->reward / n,
                           .reward_std = ae_reward_std(s),
                           .calibration_error = ae_calibration_error(&r->last.calibration)};
    ae_share_interval(f.accuracy, n, &f.low, &f.high);
    return f;
}

static ae_status evaluate(void *self, ae_evaluation *e) {
    reward *r = self;
    const ae_status st = measure(r);
    if (st != AE_OK) return st;
    const ae_reward_figures f = figures_of(r);
    ae_numbers_add(&e->numbers, "eval_loss", f.loss);
    ae_numbers_add(&e->numbers, "eval_accuracy", f.accuracy);
    ae_numbers_add(&e->numbers, "eval_accuracy_low", f.low);
    ae_numbers_add(&e->numbers, "eval_accuracy_high", f.high);
    ae_numbers_add(&e->numbers, "eval_margin_mean", f.margin_mean);
    ae_numbers_add(&e->numbers, "eval_reward_mean", f.reward_mean);
    ae_numbers_add(&e->numbers, "eval_reward_std", f.reward_std);
    ae_numbers_add(&e->numbers, "eval_calibration_error", f.calibration_error);
    snprintf(e->told, sizeof e->told, "held-out loss %.4f, %.1f %% right (%.1f to %.1f)", f.loss,
             100 * f.accuracy, 100 * f.low, 100 * f.high);
    return AE_OK;
}

/* The picture of `aerie plot` is made from it. */
static ae_status write_calibration(void *self, int64_t step) {
    const reward *r = self;
    char *path = ae_path_join(r->tuned.run->config->run.dir, "calibration.json");
    const ae_status st = ae_calibration_write(&r->last.calibration, step, path);
    free(path);
    return st;
}

/* Where an evaluation is due, which comes after the checkpoint of its step, and at the end. */
static bool is_measured_here(const reward *r) {
    const ae_train_keys *k = &r->tuned.run->config->train;
    const int64_t every = r->heldout.count.pairs > 0 ? k->eval_every : 0;
    return r->step == k->steps || (every > 0 && r->step % every == 0);
}

static void tell_scale(const reward *r) {
    const ae_model_config *shape = &r->tuned.inputs.shape;
    if (r->step < r->tuned.run->config->train.steps || !(shape->reward_std > 0)) return;
    ae_log(
        "rewards of %lld %s answers: standard deviation %.4g; `aerie score --reward` takes their mean, %.4g, "
        "off",
        (long long)(2 * r->last.sums.pairs), r->heldout.count.pairs > 0 ? "held-out" : "training",
        shape->reward_std, shape->reward_shift);
}

/* What cannot be measured costs no checkpoint. */
static ae_status save(void *self, ae_checkpoint_job *job) {
    reward *r = self;
    if (is_measured_here(r)) {
        const ae_status st = measure(r);
        if (st != AE_OK && st != AE_ERR_INTERRUPTED)
            ae_warn("the rewards of step %lld are not measured: %s", (long long)r->step, ae_error_message());
        if (st == AE_OK) tell_scale(r);
    }
    return ae_tuned_save(self, job);
}

static void close_all(void *self) {
    reward *r = self;
    for (size_t i = 0; i < AE_MIXTURE_SETS_MAX; i++) ae_pair_set_free(&r->sets[i]);
    ae_pair_set_free(&r->heldout);
    free(r->values);
    r->values = NULL;
    ae_tuned_close(&r->tuned);
}

static ae_objective objective_of(reward *r) {
    ae_objective o = ae_tuned_objective(r, "reward");
    o.open = open_inputs;
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
    o.subject = NULL; /* a model that gives scores has no answers */
    o.save = save;
    o.sample = write_calibration;
    o.close = close_all;
    return o;
}

ae_status ae_reward_config_check(ae_reward_config *c) {
    static const double RATE = 1e-4, LARGE_RATE = 5e-6, EPOCHS = 1;
    const ae_status st = ae_tune_config_defaults(&c->tune, RATE, LARGE_RATE, EPOCHS);
    return st == AE_OK ? ae_tune_config_check(&c->tune) : st;
}

static ae_status reward_new(reward **out, ae_reward_config *config, bool head_only, bool dry_run) {
    reward *r = *out = calloc(1, sizeof *r);
    if (!r) return AE_FAIL(AE_ERR_RESOURCE, "reward: out of memory");
    r->tuned.config = &config->tune;
    r->tuned.score_head = true;
    r->tuned.head_only = head_only;
    r->tuned.head_from = config->reward.head;
    r->tuned.rendered = config->rendered;
    r->tuned.kind = AE_KIND_PAIRS;
    r->tuned.dry_run = dry_run;
    r->keys = &config->reward;
    return AE_OK;
}

static ae_status train(ae_reward_config *config, bool head_only, bool dry_run) {
    reward *r = NULL;
    ae_status st = ae_reward_config_check(config);
    if (st == AE_OK) st = reward_new(&r, config, head_only, dry_run);
    if (st != AE_OK) return st;
    ae_objective objective = objective_of(r);
    if (head_only) objective.name = "reward-head";
    st = ae_engine_train(&config->tune.train, &objective, dry_run);
    free(r);
    return st;
}

ae_status ae_reward(ae_reward_config *config, bool dry_run) {
    return train(config, false, dry_run);
}

ae_status ae_reward_head(ae_reward_config *config, bool dry_run) {
    return train(config, true, dry_run);
}

/* ---- figures ---- */

/* The engine opens what a run would, and takes no step. */
static ae_status judge_heldout(reward *r, ae_engine *e, ae_reward_figures *f) {
    const ae_objective objective = objective_of(r);
    ae_status st;
    AE_TRY(ae_engine_open(e, &r->tuned.config->train, &objective, false));
    AE_TRY(start(r));
    r->preferred = calloc((size_t)r->heldout.count.pairs + 1, sizeof *r->preferred);
    if (!r->preferred) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "reward: out of memory"));
    AE_TRY(measure(r));
    *f = figures_of(r);
    f->preferred = r->preferred;
    r->preferred = NULL;
out:
    return st;
}

ae_status ae_reward_judge(ae_reward_config *config, ae_reward_figures *f) {
    reward *r = NULL;
    ae_engine e = {0};
    *f = (ae_reward_figures){0};
    ae_status st = reward_new(&r, config, false, true);
    if (st != AE_OK) return st;
    st = judge_heldout(r, &e, f);
    free(r->preferred);
    r->preferred = NULL;
    ae_engine_close(&e);
    free(r);
    return st;
}

void ae_reward_figures_free(ae_reward_figures *f) {
    free(f->preferred);
    *f = (ae_reward_figures){0};
}
