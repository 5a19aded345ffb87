#include "train/reward.h"

#include "core/dims.h"
#include "core/file.h"
#include "core/log.h"
#include "core/rng.h"
#include "train/batch_dump.h"
#include "train/calibration.h"
#include "train/engine.h"
#include "train/step.h"

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
     "a reward model whose head this one begins with", AE_KEY_FREE},
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

/* log(1 + exp(x)) without overflow. */
static double softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

ae_pair_loss ae_reward_pair_loss(double chosen, double rejected, double margin, double center) {
    const double d = chosen - rejected - margin, sum = chosen + rejected, s = sigmoid(-d);
    return (ae_pair_loss){.loss = softplus(-d) + center * sum * sum,
                          .dchosen = -s + 2 * center * sum,
                          .drejected = s + 2 * center * sum};
}

typedef struct {
    ae_tuned tuned; /* first: ae_tuned_objective */
    const ae_reward_keys *keys;
    ae_pair_set sets[AE_MIXTURE_SETS_MAX];
    ae_pair_set heldout; /* without pairs where there is none */
    ae_order order;
    const ae_param *head;       /* score.weight */
    ae_calibration calibration; /* of the last evaluation */
    float *values;              /* for rewards and their gradients: 2 x rows of a micro-batch x T */
    int8_t *preferred;          /* [held-out pairs], which an evaluation fills; NULL: not asked for */
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

static ae_status make_plan(void *self) {
    reward *r = self;
    ae_tuned_weigh_sets(&r->tuned, r->order.pieces);
    return ae_tuned_plan(&r->tuned, r->heldout.count.pairs, 0, 0);
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
    ae_log("pairs: %lld, %lld held out; %lld step%s of %lld pair%s: %.3g epochs", (long long)pairs_of(r),
           (long long)r->heldout.count.pairs, (long long)k->steps, ae_plural(k->steps),
           (long long)k->batch_rows, ae_plural(k->batch_rows), epochs);
    tell_dropped("data.train", dropped);
    tell_dropped("data.heldout", r->heldout.count.dropped);
}

static ae_status start(void *self) {
    reward *r = self;
    ae_status st = AE_OK;
    const size_t places = (size_t)r->tuned.plan.micro_rows * (size_t)r->tuned.run->config->train.row_tokens;
    AE_TRY(ae_tuned_start(&r->tuned));
    r->head = ae_params_find(&r->tuned.model.params, "score.weight");
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

/* A pair's rewards, and what they cost. */
typedef struct {
    double chosen, rejected;
    ae_pair_loss loss;
} judged;

/* `values` begin with place `at` of the batch. */
static judged judge(const ae_reward_keys *keys, const ae_pair_place *p, const float *values, ptrdiff_t at,
                    ae_reward_sums *s) {
    const double chosen = (double)values[p->chosen_end - 1 - at];
    const double rejected = (double)values[p->rejected_end - 1 - at];
    const double margin = keys->margin ? (double)p->margin : 0;
    const judged j = {chosen, rejected, ae_reward_pair_loss(chosen, rejected, margin, keys->center)};
    s->loss += j.loss.loss;
    s->right += chosen > rejected ? 1 : chosen == rejected ? 0.5 : 0;
    s->margin += chosen - rejected;
    s->reward += 0.5 * (chosen + rejected);
    s->pairs++;
    return j;
}

ae_reward_sums ae_reward_gradients(const ae_reward_keys *keys, ae_model *m, ae_pass *pass,
                                   const ae_pair_batch *b, ptrdiff_t micro_rows, float *room) {
    ae_reward_sums s = {0};
    const ae_param *head = ae_params_find(&m->params, "score.weight");
    float *values = room, *dvalues = room + micro_rows * b->batch.T;
    ptrdiff_t next = 0;
    ae_micro_batches micro = ae_micro_batches_of(&b->batch, micro_rows, NULL);
    while (ae_micro_batches_next(&micro)) {
        const ptrdiff_t places = micro.batch.B * micro.batch.T;
        ae_pass_forward(pass, m, &micro.batch);
        ae_pass_values(pass, head->value, values);
        memset(dvalues, 0, (size_t)places * sizeof *dvalues);
        for (; next < b->n_pairs && b->pairs[next].chosen_begin < micro.at + places; next++) {
            const ae_pair_place *p = &b->pairs[next];
            const judged j = judge(keys, p, values, micro.at, &s);
            dvalues[p->chosen_end - 1 - micro.at] = (float)(j.loss.dchosen / (double)b->n_pairs);
            dvalues[p->rejected_end - 1 - micro.at] = (float)(j.loss.drejected / (double)b->n_pairs);
        }
        ae_pass_add_values(pass, head->value, head->grad, dvalues);
        ae_pass_backward(pass);
    }
    return s;
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
    ae_tuned_settle(&r->tuned, &w->position);
}

static ae_status dump(void *self, const void *piece, const char *path) {
    (void)self;
    return ae_batch_dump(&((const work *)piece)->pairs.batch, path);
}

/* ---- between steps ---- */

/* What an evaluation works with: in file order, as many pairs at a time as fill its rows. */
typedef struct {
    ae_pair_batch pairs;
    ae_pair_choice *choices;
    float *values;
    ae_pass *pass;
    ptrdiff_t most; /* pairs at a time */
} evaluation;

static ae_status evaluation_init(evaluation *v, const reward *r) {
    ae_status st = AE_OK;
    const ae_pass_dims n = {.B = r->tuned.plan.evaluation_rows, .T = r->heldout.T};
    const int64_t tokens = n.B * n.T, mean = r->heldout.count.tokens / r->heldout.count.pairs;
    *v = (evaluation){.most = (ptrdiff_t)ae_min(r->heldout.count.pairs, ae_max(n.B, tokens / mean))};
    v->choices = calloc((size_t)v->most, sizeof *v->choices);
    v->values = malloc((size_t)(n.B * n.T) * sizeof *v->values);
    if (!v->choices || !v->values) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "evaluation: out of memory"));
    AE_TRY(ae_pair_batch_init(&v->pairs, v->most, n.B, n.T));
    AE_TRY(ae_pass_new(&v->pass, &r->tuned.model, n, false));
out:
    return st;
}

static void evaluation_free(evaluation *v) {
    ae_pass_delete(v->pass);
    ae_pair_batch_free(&v->pairs);
    free(v->choices);
    free(v->values);
}

/* Pairs of the held-out set from `first` on, which moves past them. */
static ae_status evaluate_pairs(const reward *r, evaluation *v, int64_t *first, ae_reward_sums *s,
                                ae_calibration *c) {
    ptrdiff_t n = (ptrdiff_t)ae_min(v->most, r->heldout.count.pairs - *first);
    for (ptrdiff_t i = 0; i < n; i++)
        v->choices[i] = (ae_pair_choice){.set = &r->heldout, .pair = *first + i};
    ae_status st = ae_pair_batch_fit(&v->pairs, v->choices, &n);
    if (st == AE_OK) st = ae_pair_batch_fill(&v->pairs, v->choices, n);
    if (st != AE_OK) return st;
    const ae_batch *b = &v->pairs.batch;
    const ae_micro_batch all = {.tokens = b->tokens,
                                .targets = b->targets,
                                .positions = b->positions,
                                .weights = b->weights,
                                .B = b->B,
                                .T = b->T};
    ae_pass_forward(v->pass, &r->tuned.model, &all);
    ae_pass_values(v->pass, r->head->value, v->values);
    for (ptrdiff_t i = 0; i < v->pairs.n_pairs; i++) {
        const judged j = judge(r->keys, &v->pairs.pairs[i], v->values, 0, s);
        ae_calibration_add(c, j.chosen, j.rejected);
        if (r->preferred)
            r->preferred[*first + v->pairs.pairs[i].choice] =
                (int8_t)((j.chosen > j.rejected) - (j.chosen < j.rejected));
    }
    *first += n;
    return AE_OK;
}

static ae_status evaluate_all(const reward *r, ae_reward_sums *s, ae_calibration *c) {
    evaluation v;
    ae_status st = evaluation_init(&v, r);
    for (int64_t first = 0; first < r->heldout.count.pairs && st == AE_OK;) {
        if (*r->tuned.run->stop)
            st = AE_FAIL(AE_ERR_INTERRUPTED, "evaluation: interrupted");
        else
            st = evaluate_pairs(r, &v, &first, s, c);
    }
    evaluation_free(&v);
    return st;
}

static ae_reward_figures figures_of(const reward *r, const ae_reward_sums *s, const ae_calibration *c) {
    const double n = (double)s->pairs;
    ae_reward_figures f = {.pairs = r->heldout.count.pairs,
                           .loss = s->loss / n,
                           .accuracy = s->right / n,
                           .margin_mean = s->margin / n,
                           .reward_mean = s->reward / n,
                           .calibration_error = ae_calibration_error(c)};
    ae_share_interval(f.accuracy, n, &f.low, &f.high);
    return f;
}

static ae_status evaluate(void *self, ae_evaluation *e) {
    reward *r = self;
    ae_reward_sums s = {0};
    ae_calibration c = {0};
    const ae_status st = evaluate_all(r, &s, &c);
    if (st != AE_OK) return st;
    r->calibration = c;
    const ae_reward_figures f = figures_of(r, &s, &c);
    ae_numbers_add(&e->numbers, "eval_loss", f.loss);
    ae_numbers_add(&e->numbers, "eval_accuracy", f.accuracy);
    ae_numbers_add(&e->numbers, "eval_accuracy_low", f.low);
    ae_numbers_add(&e->numbers, "eval_accuracy_high", f.high);
    ae_numbers_add(&e->numbers, "eval_margin_mean", f.margin_mean);
    ae_numbers_add(&e->numbers, "eval_reward_mean", f.reward_mean);
    ae_numbers_add(&e->numbers, "eval_calibration_error", f.calibration_error);
    snprintf(e->told, sizeof e->told, "held-out loss %.4f, %.1f %% right (%.1f to %.1f)", f.loss,
             100 * f.accuracy, 100 * f.low, 100 * f.high);
    return AE_OK;
}

/* The picture of `aerie plot` is made from it. */
static ae_status write_calibration(void *self, int64_t step) {
    const reward *r = self;
    char *path = ae_path_join(r->tuned.run->config->run.dir, "calibration.json");
    const ae_status st = ae_calibration_write(&r->calibration, step, path);
    free(path);
    return st;
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
    ae_calibration c = {0};
    ae_reward_sums s = {0};
    ae_status st;
    AE_TRY(ae_engine_open(e, &r->tuned.config->train, &objective, false));
    AE_TRY(start(r));
    r->preferred = calloc((size_t)r->heldout.count.pairs, sizeof *r->preferred);
    if (!r->preferred) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "reward: out of memory"));
    AE_TRY(evaluate_all(r, &s, &c));
    *f = figures_of(r, &s, &c);
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
