#include "train/pretrain.h"

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "model/views.h"
#include "train/batch_dump.h"
#include "train/benchmarks.h"
#include "train/engine.h"
#include "train/report.h"
#include "train/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const ae_checkpoint_name ae_pretrain_files[] = {{"weights.h5", false},
                                                {"model.json", false},
                                                {"tokenizer.model", true},
                                                {"carry.h5", true},
                                                {NULL, false}};

/* People and scripts know DONE and state.json so. */
static const char *const file_order[] = {"weights.h5",  "optimizer.h5", "model.json",
                                         "config.yaml", "state.json",   NULL};
static const char *const key_order[] = {
    "step",   "tokens",        "skipped_in_row", "evaluated_step",   "best", "metrics_offset",
    "events", "events_offset", "micro_rows",     "recompute_blocks", "rng",  "kernels",
    "loader", "data",          "config",         "overrides",        NULL};

static const ae_fixed_fact facts[] = {
    {"data.train", "give it the same sets in the same order, with the same weights"},
    {"data.heldout", "give it the set of that hash"},
    {"data.tokenizer", "prepare the text with tokenizer.model of the checkpoint"},
    {NULL, NULL}};

int64_t ae_pretrain_step_tokens(const ae_train_config *c) {
    return c->train.batch_rows * c->train.row_tokens;
}

/* ---- inputs ---- */

/* Pairs have answers that are not to be learnt, prompts have none. */
static ae_status check_kind(const ae_token_set *s) {
    const ae_data_kind kind = s ? ae_token_set_kind(s) : AE_KIND_TEXT;
    if (kind != AE_KIND_PAIRS && kind != AE_KIND_PROMPTS) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a set of text or dialogues, found one of %s; %s",
                   ae_token_set_path(s), ae_data_kind_name(kind),
                   kind == AE_KIND_PAIRS ? "`aerie reward` trains on pairs"
                                         : "give one that `aerie data prepare` made of text or of dialogues");
}

static ae_status open_inputs(void *self, const ae_run_facts *run) {
    ae_pretraining *p = self;
    p->run = run;
    ae_status st = ae_inputs_open_data(&p->inputs, run->config);
    for (size_t i = 0; i < p->inputs.data.n_sets && st == AE_OK; i++) st = check_kind(p->inputs.data.sets[i]);
    return st == AE_OK ? check_kind(p->inputs.heldout) : st;
}

/* A plan alone need not read the sets for their hashes. */
static ae_status begin(void *self) {
    ae_pretraining *p = self;
    const ae_status st = p->run->writes ? ae_inputs_facts(&p->inputs, &p->facts) : AE_OK;
    return st == AE_OK ? ae_inputs_begin(&p->inputs, p->run->config) : st;
}

/* ---- a run that goes on ---- */

static ae_status read_keys(ae_pretraining *p, const json_t *state, const char *path) {
    ae_status st = AE_OK;
    const json_t *rows = json_object_get(state, "loader"), *data = json_object_get(state, "data");
    AE_TRY(ae_json_int(state, "micro_rows", path, &p->micro_rows));
    if (p->micro_rows < 0)
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: micro_rows: expected 0 or more, found %lld", path,
                       (long long)p->micro_rows));
    if (!json_is_object(rows) || !json_is_object(data))
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: %s: expected an object, found none", path,
                       json_is_object(rows) ? "data" : "loader"));
    p->position = json_dumps(rows, JSON_COMPACT);
    if (!p->position) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path));
out:
    return st;
}

/* Where the rows themselves are others, every set begins anew. */
static ae_status take_overrides(ae_pretraining *p, const ae_overrides *o) {
    const bool carries = p->run->config->train.carry_state;
    if (o->new_memory) p->micro_rows = 0;
    p->new_rows = o->new_work || (carries && ae_override_is_taken(o, "train.batch_rows"));
    if (!p->new_rows) return AE_OK;
    free(p->position);
    return ae_row_source_beginning(&p->inputs.data, &p->position);
}

static ae_status resume(void *self, const json_t *state, ae_overrides *o) {
    ae_pretraining *p = self;
    ae_status st = AE_OK;
    char *path = ae_path_join(p->run->checkpoint, "state.json");
    AE_TRY(read_keys(p, state, path));
    AE_TRY(ae_inputs_resume(&p->inputs, p->run->config, p->run->checkpoint, json_object_get(state, "data"), o,
                            &p->facts));
    AE_TRY(take_overrides(p, o));
out:
    free(path);
    return st;
}

/* ---- the plan ---- */

/* A resumed run keeps the micro-batch it had: the order of its sums depends on it. */
static ptrdiff_t wanted_micro_rows(const ae_pretraining *p) {
    const int64_t asked = p->run->config->train.micro_rows, before = p->micro_rows;
    if (asked == 0) return (ptrdiff_t)before;
    if (before != 0 && asked != before)
        ae_warn("train.micro_rows: %lld, and %lld up to here: the same to rounding, not to the bit",
                (long long)asked, (long long)before);
    return (ptrdiff_t)asked;
}

/* A state is the last `window` keys: without a window it would be all of them. */
static ae_status check_carry(const ae_pretraining *p) {
    const ae_model_config *c = &p->inputs.shape;
    if (!p->run->config->train.carry_state || !ae_model_attends(c) || c->W > 0) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "train.carry_state: expected an attention window, found %s; set model.window or leave "
                   "out train.carry_state",
                   c->W < 0 ? "none" : "one of 0");
}

static int64_t heldout_rows(const ae_pretraining *p) {
    const ae_token_set *set = p->inputs.heldout;
    if (!set) return 0;
    return ae_max(1, ae_rows_in_set(ae_token_set_tokens(set), (ptrdiff_t)p->run->config->train.row_tokens));
}

static ae_status make_plan(void *self) {
    ae_pretraining *p = self;
    const ae_train_config *c = p->run->config;
    const ae_train_keys *t = &c->train;
    const ae_model_config *shape = &p->inputs.shape;
    ae_status st = check_carry(p);
    if (st != AE_OK) return st;
    p->request = (ae_plan_request){
        .be = p->run->be,
        .model = shape,
        .options = p->planned ? *p->planned : (ae_model_options){.training = true},
        .row_tokens = (ptrdiff_t)t->row_tokens,
        .batch_rows = (ptrdiff_t)t->batch_rows,
        .micro_rows = wanted_micro_rows(p),
        .recompute_blocks = (ptrdiff_t)ae_min((ptrdiff_t)t->recompute, shape->blocks),
        .recompute_mlps = (ptrdiff_t)ae_min((ptrdiff_t)t->recompute_mlps, shape->blocks),
        .heldout_rows = heldout_rows(p),
        .sample_tokens = p->inputs.heldout ? ae_sample_prompt_tokens(c, p->inputs.tokenizer) : 0,
        .sample_new = t->sample_tokens,
        .carry = t->carry_state,
    };
    ae_benchmarks_plan(&c->eval, &p->request);
    ae_plan_limit(&p->request, "train.memory_gb", t->memory_gb);
    st = ae_plan_make(&p->plan, &p->request);
    p->micro_rows = p->plan.micro_rows;
    p->recompute_blocks = p->plan.recompute_blocks;
    return st;
}

/* ---- what is told before the first step ---- */

static void tell_model(const ae_pretraining *p) {
    const ae_model_config *c = &p->inputs.shape;
    char count[32];
    ptrdiff_t attention = 0;
    for (ptrdiff_t i = 0; i < c->blocks; i++) attention += c->pattern[i] == AE_ATTENTION;
    ae_format_count(count, sizeof count, (double)p->plan.parameters);
    ae_log("model: %s parameters; width %td, %td recurrent and %td attention blocks, vocabulary %td", count,
           c->D, c->blocks - attention, attention, c->V);
}

static void tell_data(const ae_pretraining *p) {
    const ae_train_config *c = p->run->config;
    const ae_mixture *data = &p->inputs.data;
    char count[32], heldout[32];
    double tokens = 0;
    for (size_t i = 0; i < data->n_sets; i++) tokens += (double)ae_token_set_tokens(data->sets[i]);
    const double epochs = (double)c->train.steps * (double)ae_pretrain_step_tokens(c) / tokens;
    ae_format_count(count, sizeof count, tokens);
    ae_format_count(heldout, sizeof heldout,
                    p->inputs.heldout ? (double)ae_token_set_tokens(p->inputs.heldout) : 0);
    ae_log("data: %s tokens in %zu %s, %s held out; %lld step%s of %lld tokens: %.3g epoch%s", count,
           data->n_sets, data->n_sets == 1 ? "set" : "sets", heldout, (long long)c->train.steps,
           ae_plural(c->train.steps), (long long)ae_pretrain_step_tokens(c), epochs, ae_plural_real(epochs));
}

static void warn_of_short_sets(const ae_pretraining *p) {
    const ae_mixture *data = &p->inputs.data;
    const int64_t T = p->run->config->train.row_tokens;
    for (size_t i = 0; i < data->n_sets && !p->run->config->train.carry_state; i++) {
        const int64_t targets = ae_token_set_tokens(data->sets[i]) - 1;
        if (targets < T)
            ae_warn(
                "train.row_tokens: a row of %lld is longer than all of %s, %lld tokens: the rest of each row "
                "is padding, which takes as long; shorten the row",
                (long long)T, ae_token_set_path(data->sets[i]), (long long)targets + 1);
    }
}

static void report(const void *self) {
    const ae_pretraining *p = self;
    tell_model(p);
    ae_report_machine(p->run->be);
    tell_data(p);
    warn_of_short_sets(p);
    ae_plan_tell(&p->plan, &p->request);
}

/* ---- memory and weights ---- */

static ae_status make_model(ae_pretraining *p) {
    ae_status st = AE_OK;
    const ae_pass_dims n = {.B = p->plan.micro_rows,
                            .T = (ptrdiff_t)p->run->config->train.row_tokens,
                            .recompute_blocks = p->plan.recompute_blocks,
                            .recompute_mlps = p->plan.recompute_mlps};
    const ae_model_options options = {.training = true, .pack_at_use = p->plan.pack_at_use};
    AE_TRY(ae_model_init(&p->model, p->run->be, &p->inputs.shape, &options));
    AE_TRY(ae_pass_new(&p->pass, &p->model, n, true));
    AE_TRY(p->inputs.source.tensors ? ae_model_load(&p->model, p->inputs.source.tensors, NULL)
                                    : ae_model_set_initial(&p->model, p->run->seed));
out:
    return st;
}

static ae_status make_carry(ae_pretraining *p) {
    ae_status st = AE_OK;
    char *path = NULL;
    const ae_train_keys *t = &p->run->config->train;
    if (!t->carry_state) return AE_OK;
    AE_TRY(ae_carry_init(&p->carry, &p->model, (ptrdiff_t)t->batch_rows, (ptrdiff_t)t->row_tokens));
    if (!p->run->checkpoint || p->new_rows) return AE_OK;
    path = ae_path_join(p->run->checkpoint, "carry.h5");
    AE_TRY(ae_carry_load(&p->carry, path));
out:
    free(path);
    return st;
}

static ae_status open_rows(ae_pretraining *p) {
    ae_status st = AE_OK;
    const ae_train_config *c = p->run->config;
    const ae_row_options o = {.rows = (ptrdiff_t)c->train.batch_rows,
                              .row_tokens = (ptrdiff_t)c->train.row_tokens,
                              .seed = p->run->seed,
                              .shuffle = c->data.shuffle};
    AE_TRY(c->train.carry_state ? ae_row_source_streams(&p->rows, &p->inputs.data, &o)
                                : ae_row_source_sets(&p->rows, &p->inputs.data, &o));
    AE_TRY(p->rows.begin(p->rows.self, p->run->step + 1, p->position));
    if (!p->position) AE_TRY(p->rows.position(p->rows.self, &p->position));
out:
    return st;
}

static ae_status start(void *self) {
    ae_pretraining *p = self;
    ae_status st = AE_OK;
    const ae_train_keys *t = &p->run->config->train;
    AE_TRY(make_model(p));
    AE_TRY(make_carry(p));
    if (p->inputs.heldout)
        AE_TRY(ae_perplexity_prepare(&p->evaluation, p->inputs.heldout, p->plan.evaluation_rows,
                                     (ptrdiff_t)t->row_tokens));
    if (t->carry_state) ae_perplexity_carry(&p->evaluation);
    AE_TRY(open_rows(p));
out:
    return st;
}

static ae_status parameters(void *self, ae_optim_param **params, ptrdiff_t *n) {
    return ae_step_optim_params(&((ae_pretraining *)self)->model, params, n);
}

/* ---- steps: rows of a global batch, and where they end ---- */

typedef struct {
    ae_batch batch;
    char *position; /* of the rows after it, JSON */
} work;

static void free_work(void *self, void *piece) {
    work *w = piece;
    (void)self;
    if (!w) return;
    ae_batch_free(&w->batch);
    free(w->position);
    free(w);
}

static ae_status new_work(void *self, void **piece) {
    const ae_train_keys *t = &((ae_pretraining *)self)->run->config->train;
    work *w = calloc(1, sizeof *w);
    *piece = w;
    if (!w) return AE_FAIL(AE_ERR_RESOURCE, "loader: out of memory");
    return ae_batch_init(&w->batch, (ptrdiff_t)t->batch_rows, (ptrdiff_t)t->row_tokens);
}

static ae_status next(void *self, void *piece) {
    const ae_pretraining *p = self;
    work *w = piece;
    w->batch.n_tokens = w->batch.n_targets = 0;
    free(w->position);
    w->position = NULL;
    const ae_status st = p->rows.fill(p->rows.self, &w->batch);
    return st == AE_OK ? p->rows.position(p->rows.self, &w->position) : st;
}

/* Where rows carry their state, it is moved on. */
static ae_status gradients(void *self, void *piece, ae_gradients *g) {
    ae_pretraining *p = self;
    work *w = piece;
    const bool carries = p->run->config->train.carry_state;
    const ae_batch own = carries ? ae_carry_begin(&p->carry, &w->batch) : w->batch;
    const double loss = ae_step_gradients_on(&p->model, p->pass, &own, p->plan.micro_rows,
                                             carries ? &p->carry.rows : NULL, NULL);
    ae_numbers_add(&g->numbers, "loss", loss);
    g->finite = isfinite(loss);
    g->empty = w->batch.n_targets == 0 ? "its batch has no counted target" : NULL;
    g->tokens = w->batch.n_tokens;
    g->flops = p->plan.flops_per_token * (double)w->batch.n_tokens;
    return AE_OK;
}

/* The work's end becomes the run's: a checkpoint after this step goes on from there. A step that did not
 * come out finite leaves no state to carry. */
static void settled(void *self, void *piece, bool counted) {
    ae_pretraining *p = self;
    work *w = piece;
    free(p->position);
    p->position = w->position;
    w->position = NULL;
    if (p->run->config->train.carry_state) ae_carry_end(&p->carry, counted || w->batch.n_targets == 0);
}

static ae_status dump(void *self, const void *piece, const char *path) {
    (void)self;
    return ae_batch_dump(&((const work *)piece)->batch, path);
}

/* ---- between steps ---- */

static bool evaluates(const void *self) {
    return ((const ae_pretraining *)self)->inputs.heldout != NULL;
}

static ae_subject subject(const void *self) {
    const ae_pretraining *p = self;
    return (ae_subject){&p->model, p->inputs.tokenizer, p->inputs.shape.V};
}

static ae_status measure(ae_pretraining *p, ae_perplexity *r) {
    ae_pass *pass = NULL;
    const ae_pass_dims n = {.B = p->evaluation.B, .T = p->evaluation.T};
    ae_status st = ae_pass_new(&pass, &p->model, n, false);
    if (st == AE_OK) st = ae_perplexity_measure(r, &p->evaluation, &p->model, pass, p->run->stop);
    ae_pass_delete(pass);
    return st;
}

static ae_status evaluate(void *self, ae_evaluation *e) {
    ae_perplexity r;
    char bits[48] = "";
    const ae_status st = measure(self, &r);
    if (st != AE_OK) return st;
    ae_numbers_add(&e->numbers, "eval_loss", r.loss);
    ae_numbers_add(&e->numbers, "bits_per_byte", r.bits_per_byte);
    if (isfinite(r.bits_per_byte)) snprintf(bits, sizeof bits, ", %.4f bits per byte", r.bits_per_byte);
    snprintf(e->told, sizeof e->told, "held-out loss %.4f%s", r.loss, bits);
    return AE_OK;
}

static ae_status sample(void *self, int64_t step) {
    const ae_pretraining *p = self;
    return ae_sample_write(p->run, step, &p->model, p->inputs.tokenizer);
}

static ae_status write_weights(void *model, const char *path) {
    return ae_model_save(model, path);
}

static ae_status write_carry(void *carry, const char *path) {
    return ae_carry_save(carry, path);
}

static ae_status save(void *self, ae_checkpoint_job *job) {
    ae_pretraining *p = self;
    ae_status st = AE_OK;
    char *shape = NULL;
    size_t n = 0;
    const void *tokenizer = p->inputs.tokenizer ? ae_tokenizer_bytes(p->inputs.tokenizer, &n) : NULL;
    AE_TRY(ae_checkpoint_add_later(job, "weights.h5", write_weights, &p->model));
    AE_TRY(ae_model_config_to_json(&p->inputs.shape, &shape));
    AE_TRY(ae_checkpoint_add_bytes(job, "model.json", shape, strlen(shape)));
    if (tokenizer) AE_TRY(ae_checkpoint_add_bytes(job, "tokenizer.model", tokenizer, n));
    if (p->run->config->train.carry_state) AE_TRY(ae_checkpoint_add(job, "carry.h5", write_carry, &p->carry));
out:
    free(shape);
    return st;
}

static ae_status keys(void *self, json_t *state) {
    const ae_pretraining *p = self;
    json_t *rows = p->position ? json_loads(p->position, 0, NULL) : json_null();
    json_t *own =
        json_pack("{s:I, s:I, s:o, s:O}", "micro_rows", (json_int_t)p->micro_rows, "recompute_blocks",
                  (json_int_t)p->recompute_blocks, "loader", rows, "data", p->facts);
    const bool whole = own && json_object_update(state, own) == 0;
    json_decref(own);
    return whole ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "state of the run: out of memory");
}

/* ---- the value ---- */

static void close_all(void *self) {
    ae_pretraining *p = self;
    ae_row_source_free(&p->rows);
    ae_carry_free(&p->carry);
    ae_pass_delete(p->pass);
    ae_model_free(&p->model);
    ae_inputs_close(&p->inputs);
    json_decref(p->facts);
    free(p->position);
    *p = (ae_pretraining){0};
}

ae_objective ae_pretraining_objective(ae_pretraining *p) {
    return (ae_objective){.self = p,
                          .files = ae_pretrain_files,
                          .file_order = file_order,
                          .key_order = key_order,
                          .facts = facts,
                          .score = "eval_loss",
                          .open = open_inputs,
                          .begin = begin,
                          .resume = resume,
                          .plan = make_plan,
                          .report = report,
                          .start = start,
                          .parameters = parameters,
                          .new_work = new_work,
                          .next = next,
                          .free_work = free_work,
                          .gradients = gradients,
                          .settled = settled,
                          .dump = dump,
                          .evaluates = evaluates,
                          .evaluate = evaluate,
                          .subject = subject,
                          .sample = sample,
                          .save = save,
                          .keys = keys,
                          .close = close_all};
}

ae_status ae_pretrain(const ae_train_config *config, bool dry_run) {
    ae_pretraining p = {0};
    const ae_objective objective = ae_pretraining_objective(&p);
    const ae_status st = ae_train_config_check(config, true);
    return st == AE_OK ? ae_engine_train(config, &objective, dry_run) : st;
}
