#include "train/tuned.h"

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "exchange/adapter.h"
#include "train/benchmarks.h"
#include "train/provenance.h"
#include "train/rendered.h"
#include "train/report.h"
#include "train/run_folder.h"
#include "train/run_model.h"
#include "train/step.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const ae_checkpoint_name ae_tuned_files[] = {{"weights.h5", false},
                                             {"model.json", false},
                                             {"tokenizer.model", true},
                                             {"adapter.json", true},
                                             {NULL, false}};

const ae_fixed_fact ae_tuned_facts[] = {
    {"data.train", "give it examples of those hashes, in that order"},
    {"data.tokenizer", "prepare the examples with tokenizer.model of the checkpoint"},
    {"data.heldout", "give it the set of that hash"},
    {NULL, NULL}};

static bool has_adapters(const ae_tuned *t) {
    return t->config->lora.rank > 0;
}

/* What trains lies in checkpoints alone, beside a base. */
static bool trains_part(const ae_tuned *t) {
    return has_adapters(t) || t->head_only;
}

/* ---- inputs ---- */

/* The patterns of what trains beside frozen weights. */
static ae_status list_trains(ae_tuned *t) {
    if (!trains_part(t)) return AE_OK;
    size_t n = 0;
    t->trains = calloc(t->patterns.n_whole + 4, sizeof *t->trains);
    if (!t->trains) return AE_FAIL(AE_ERR_RESOURCE, "lora: out of memory");
    if (has_adapters(t)) t->trains[n++] = ae_adapter_pattern;
    if (t->score_head) t->trains[n++] = "score.weight";
    for (size_t i = 0; i < t->patterns.n_whole; i++) t->trains[n++] = t->patterns.whole[i];
    return AE_OK;
}

ae_model_options ae_tuned_model_options(const ae_tuned *t) {
    const ae_lora_keys *k = &t->config->lora;
    ae_model_options o = {.training = true,
                          .params = {.score_head = t->score_head, .train = (const char *const *)t->trains},
                          .pack_at_use = t->plan.pack_at_use};
    if (!has_adapters(t)) return o;
    o.params.adapters = (ae_adapter_options){.rank = (ptrdiff_t)k->rank,
                                             .alpha = k->alpha,
                                             .by_root = k->rslora,
                                             .on = (const char *const *)t->patterns.adapted};
    o.weights = (ae_weight_type)t->config->base.base_dtype;
    return o;
}

ae_status ae_tuned_options(ae_tuned *t, ae_model_options *o) {
    ae_status st = ae_lora_patterns_make(&t->patterns, &t->config->lora);
    if (st == AE_OK) st = list_trains(t);
    if (st == AE_OK) *o = ae_tuned_model_options(t);
    return st;
}

/* The folder of what is rendered. */
static ae_status rendered_folder(ae_tuned *t, char **folder) {
    if (t->rendered || !t->dry_run) {
        *folder = t->rendered ? ae_path_join("", t->rendered)
                              : ae_path_join(t->run->config->run.dir, ae_rendered_folder);
        return AE_OK;
    }
    const char *base = getenv("TMPDIR");
    t->scratch = ae_path_join(base && base[0] ? base : "/tmp", "aerie-rendered-XXXXXX");
    *folder = mkdtemp(t->scratch) ? ae_path_join(t->scratch, ae_rendered_folder) : NULL;
    if (*folder) return AE_OK;
    const ae_status st =
        AE_FAIL(AE_ERR_USAGE, "%s: cannot make a temporary folder: %s; set TMPDIR to one that may be written",
                t->scratch, strerror(errno));
    free(t->scratch);
    t->scratch = NULL;
    return st;
}

/* Rows of text are rendered with the tokenizer of the model: of the checkpoint that the run goes on from, or
 * of model.init. */
static ae_status render_data(ae_tuned *t) {
    ae_status st = AE_OK;
    const ae_train_config *c = t->run->config;
    char *folder = NULL;
    ae_model_source source = {0};
    AE_TRY(ae_run_source_open(&source, t->run->checkpoint ? t->run->checkpoint : c->model.init));
    AE_TRY(rendered_folder(t, &folder));
    const ae_rendering r = {.folder = folder,
                            .kind = t->kind,
                            .mapping = t->config->examples.map,
                            .tokenizer = source.tokenizer,
                            .vocab_size = source.config.V};
    AE_TRY(ae_render_files(&t->sets[0], c->data.train, &r));
    if (c->data.heldout[0]) AE_TRY(ae_render_files(&t->sets[1], c->data.heldout, &r));
    t->inputs.train_sets = t->sets[0];
    t->inputs.heldout_set = t->sets[1];
out:
    free(folder);
    ae_model_source_free(&source);
    return st;
}

/* A set of another kind; a set that does not tell its kind may be made elsewhere. */
static ae_status check_kind(const ae_token_set *s, ae_data_kind kind) {
    const ae_data_kind found = ae_token_set_kind(s);
    if (found == kind || found == AE_KIND_TEXT) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT, "%s: expected a set of %s, found one of %s; `aerie data prepare --kind %s` makes them",
        ae_token_set_path(s), ae_data_kind_name(kind), ae_data_kind_name(found), ae_data_kind_name(kind));
}

static ae_status check_kinds(const ae_tuned *t) {
    ae_status st = t->inputs.heldout ? check_kind(t->inputs.heldout, t->kind) : AE_OK;
    for (size_t i = 0; i < t->inputs.data.n_sets && st == AE_OK; i++)
        st = check_kind(t->inputs.data.sets[i], t->kind);
    return st;
}

ae_status ae_tuned_open(ae_tuned *t, const ae_run_facts *run) {
    ae_status st = AE_OK;
    ae_model_options options;
    t->run = run;
    AE_TRY(ae_tuned_options(t, &options));
    t->inputs.score_head = t->score_head;
    AE_TRY(render_data(t));
    AE_TRY(ae_inputs_open_data(&t->inputs, run->config));
    AE_TRY(check_kinds(t));
out:
    return st;
}

static ae_status begin(void *self) {
    ae_tuned *t = self;
    const ae_status st = t->run->writes ? ae_inputs_facts(&t->inputs, &t->facts) : AE_OK;
    return st == AE_OK ? ae_inputs_begin(&t->inputs, t->run->config) : st;
}

static ae_status read_keys(ae_tuned *t, const json_t *state, const char *path) {
    ae_status st = AE_OK;
    const json_t *position = json_object_get(state, "loader"), *data = json_object_get(state, "data");
    AE_TRY(ae_json_int(state, "micro_rows", path, &t->micro_rows));
    if (t->micro_rows < 0 || !json_is_object(position) || !json_is_object(data))
        AE_TRY(AE_FAIL(AE_ERR_INPUT,
                       "%s: expected micro_rows of 0 or more, and objects loader and data, found "
                       "something else; take another checkpoint",
                       path));
    t->position = json_dumps(position, JSON_COMPACT);
    if (!t->position) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path));
out:
    return st;
}

static ae_status resume(void *self, const json_t *state, ae_overrides *o) {
    ae_tuned *t = self;
    ae_status st = AE_OK;
    char *path = ae_path_join(t->run->checkpoint, "state.json");
    AE_TRY(read_keys(t, state, path));
    AE_TRY(ae_inputs_resume(&t->inputs, t->run->config, t->run->checkpoint, json_object_get(state, "data"), o,
                            &t->facts));
    /* what rows cut off or do not hold is no part of the held-out set */
    o->new_score |=
        t->config->examples.too_long != AE_TOO_LONG_ERROR && ae_override_is_taken(o, "train.row_tokens");
    if (o->new_memory) t->micro_rows = 0;
    if (o->new_work) {
        free(t->position);
        t->position = NULL;
        AE_TRY(ae_row_source_beginning(&t->inputs.data, &t->position));
    }
out:
    free(path);
    return st;
}

/* ---- the plan ---- */

/* A resumed run keeps the micro-batch it had: the order of its sums depends on it. */
static ptrdiff_t wanted_micro_rows(const ae_tuned *t) {
    const int64_t asked = t->run->config->train.micro_rows, before = t->micro_rows;
    if (asked == 0) return (ptrdiff_t)before;
    if (before != 0 && asked != before)
        ae_warn("train.micro_rows: %lld, and %lld up to here: the same to rounding, not to the bit",
                (long long)asked, (long long)before);
    return (ptrdiff_t)asked;
}

ae_status ae_tuned_plan(ae_tuned *t, int64_t heldout_rows, ptrdiff_t prompt_tokens, int64_t max_new,
                        ptrdiff_t answers) {
    const ae_train_keys *k = &t->run->config->train;
    const ae_model_config *shape = &t->inputs.shape;
    t->request = (ae_plan_request){
        .be = t->run->be,
        .model = shape,
        .options = ae_tuned_model_options(t),
        .row_tokens = (ptrdiff_t)k->row_tokens,
        .batch_rows = t->step_rows > 0 ? t->step_rows : (ptrdiff_t)k->batch_rows,
        .micro_rows = wanted_micro_rows(t),
        .recompute_blocks = (ptrdiff_t)ae_min((ptrdiff_t)k->recompute, shape->blocks),
        .recompute_mlps = (ptrdiff_t)ae_min((ptrdiff_t)k->recompute_mlps, shape->blocks),
        .heldout_rows = heldout_rows,
        .sample_tokens = prompt_tokens,
        .sample_new = max_new,
        .sample_answers = answers,
        .beside = t->beside,
    };
    ae_benchmarks_plan(&t->run->config->eval, &t->request);
    ae_plan_limit(&t->request, "train.memory_gb", k->memory_gb);
    const ae_status st = ae_plan_make(&t->plan, &t->request);
    t->micro_rows = t->plan.micro_rows;
    t->recompute_blocks = t->plan.recompute_blocks;
    return st;
}

static bool trains_table(const ae_tuned *t) {
    for (size_t i = 0; i < t->patterns.n_whole; i++)
        if (strcmp(t->patterns.whole[i], "model.embed_tokens.weight") == 0) return true;
    return false;
}

/* Turn markers that the base never read keep the random rows that they began with where the table is frozen. */
static void warn_of_markers(const ae_tuned *t) {
    if (!has_adapters(t) || t->run->checkpoint || trains_table(t) || !ae_source_is_fresh(&t->inputs.source))
        return;
    ae_warn("lora.also: %s was pretrained on text, so its table knows no turn markers; lora.also=embeddings "
            "lets their rows learn, and all others",
            t->run->config->model.init);
}

void ae_tuned_report(const ae_tuned *t) {
    const ae_lora_keys *k = &t->config->lora;
    char count[32];
    ae_format_count(count, sizeof count, (double)t->plan.parameters);
    ae_log("model: %s, %s parameters", t->run->config->model.init, count);
    if (has_adapters(t))
        ae_log("adapters: rank %lld, scale %.4g; the weights beside them are kept in %s", (long long)k->rank,
               k->rslora ? k->alpha / sqrt((double)k->rank) : k->alpha / (double)k->rank,
               ae_weight_type_name((ae_weight_type)t->config->base.base_dtype));
    warn_of_markers(t);
    ae_report_machine(t->run->be);
    ae_plan_tell(&t->plan, &t->request);
}

void ae_tuned_weigh_sets(ae_tuned *t, const int64_t *pieces) {
    ae_mixture *m = &t->inputs.data;
    if (m->weighted || m->n_phases != 1) return;
    for (size_t i = 0; i < m->n_sets; i++)
        if (pieces[i] == 0) return;
    for (size_t i = 0; i < m->n_sets; i++) m->phases[0].weight[i] *= (double)pieces[i];
}

/* A rate that rises and falls needs some steps. */
static void warn_few_steps(const ae_tuned *t) {
    enum { FEW = 20 };
    const int64_t steps = t->run->config->train.steps;
    const double epochs = t->config->length.epochs;
    if (epochs == 0 || steps >= FEW) return;
    ae_warn(
        "train.epochs: %g epoch%s of this data are only %lld step%s, in which little is learnt; a smaller "
        "train.batch_rows%s makes more of them",
        epochs, epochs == 1 ? "" : "s", (long long)steps, ae_plural(steps),
        t->kind == AE_KIND_CHAT && t->config->examples.pack ? " or train.row_tokens" : "");
}

static void tell_epochs(const ae_token_set *set, double epochs) {
    ae_log("%s: %.3g epoch%s", ae_token_set_path(set), epochs, ae_plural_real(epochs));
}

double ae_tuned_report_epochs(const ae_tuned *t, const int64_t *pieces) {
    const ae_mixture *m = &t->inputs.data;
    const ae_train_keys *k = &t->run->config->train;
    int64_t taken[AE_MIXTURE_SETS_MAX] = {0}, all_taken = 0, all = 0;
    warn_few_steps(t);
    ae_mixture_count(m, k->steps + 1, (ptrdiff_t)k->batch_rows, taken);
    for (size_t i = 0; i < m->n_sets; i++) {
        if (pieces[i] == 0) continue;
        all_taken += taken[i];
        all += pieces[i];
        if (m->n_sets > 1) tell_epochs(m->sets[i], (double)taken[i] / (double)pieces[i]);
    }
    return (double)all_taken / (double)all;
}

double ae_tuned_flops_per_token(const ae_tuned *t) {
    if (t->head_only) return t->plan.flops_per_token / 3;
    return has_adapters(t) ? t->plan.flops_per_token * 2 / 3 : t->plan.flops_per_token;
}

/* ---- memory and weights ---- */

/* Integers round the values of the matrices that a run began with; norms do not tell them apart. */
static ae_status check_matrices(const ae_tuned *t, const ae_adapter_source *a, const ae_model_source *base) {
    char found[AE_FINGERPRINT_BYTES];
    ae_tensors *tensors = NULL;
    ae_status st;
    if (a->sample[0] == '\0') return AE_OK;
    AE_TRY(ae_tensors_open(&tensors, base->tensors));
    AE_TRY(ae_tensors_sample(&t->model.params, tensors, found));
    if (found[0] == '\0')
        AE_TRY(AE_FAIL(AE_ERR_INPUT,
                       "model.init: %s: expected the base that the run was started with, found its matrices "
                       "as integers; give that base",
                       base->folder));
out:
    ae_tensors_close(tensors);
    return st;
}

/* Whether a run goes on beside the base that it began with. */
static ae_status check_base(const ae_tuned *t, const ae_model_source *base) {
    ae_adapter_source adapter = {0};
    if (!t->run->checkpoint) return AE_OK;
    ae_status st = ae_adapter_source_open(&adapter, t->run->checkpoint);
    if (st == AE_OK) st = ae_adapter_source_verify(&adapter, base);
    if (st == AE_OK) st = check_matrices(t, &adapter, base);
    ae_adapter_source_free(&adapter);
    return st;
}

static ae_status describe_adapter(ae_tuned *t, const ae_model_source *base) {
    char fingerprint[AE_FINGERPRINT_BYTES], sample[AE_FINGERPRINT_BYTES];
    ae_tensors *tensors = NULL;
    ae_status st;
    AE_TRY(ae_model_fingerprint(&t->model, fingerprint));
    AE_TRY(ae_tensors_open(&tensors, base->tensors));
    AE_TRY(ae_tensors_sample(&t->model.params, tensors, sample));
    AE_TRY(ae_adapter_json(&t->adapter, &t->model, base->folder, fingerprint, sample));
out:
    ae_tensors_close(tensors);
    return st;
}

/* The weights that do not train come from model.init, also when a run goes on. */
static ae_status load_frozen(ae_tuned *t) {
    ae_status st = AE_OK;
    ae_model_source base = {0};
    const ae_params_options added = {.score_head = t->score_head};
    const ae_params_match_options lacks = {.lacks_added = true};
    AE_TRY(ae_run_source_open(&base, t->run->config->model.init));
    AE_TRY(ae_model_source_verify_with(&base, &added));
    AE_TRY(check_base(t, &base));
    AE_TRY(ae_model_load(&t->model, base.tensors, &lacks));
    AE_TRY(describe_adapter(t, &base));
out:
    ae_model_source_free(&base);
    return st;
}

static ae_status load_weights(ae_tuned *t) {
    ae_status st = AE_OK;
    char *path = NULL;
    const ae_params_match_options lacks = {.lacks_added = !t->run->checkpoint};
    const ae_params_match_options trained = {.lacks_frozen = true};
    AE_TRY(ae_model_set_added_initial(&t->model, t->run->seed));
    if (!trains_part(t)) return ae_model_load(&t->model, t->inputs.source.tensors, &lacks);
    AE_TRY(load_frozen(t));
    if (!t->run->checkpoint) return AE_OK;
    path = ae_path_join(t->run->checkpoint, "weights.h5");
    AE_TRY(ae_model_load(&t->model, path, &trained));
out:
    free(path);
    return st;
}

/* The head of another reward model; of one with adapters it lies among these. */
static ae_status load_head(ae_tuned *t) {
    ae_status st = AE_OK;
    ae_run_model from = {0};
    ae_tensors *tensors = NULL;
    const ae_param *p = ae_params_find(&t->model.params, "score.weight");
    float *values = malloc((size_t)p->n * sizeof *values);
    if (!values) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "the head: out of memory"));
    AE_TRY(ae_run_model_open(&from, t->head_from, NULL));
    AE_TRY(ae_run_model_verify(&from));
    if (!from.score_head)
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "reward.head: %s: expected a reward model, found none: it has no %s",
                       t->head_from, p->name));
    const bool beside = from.adapted && from.adapter.options.score_head;
    AE_TRY(ae_tensors_open(&tensors, beside ? from.adapter.tensors : from.base.tensors));
    AE_TRY(ae_tensors_read(tensors, p->name, p->rank, p->shape, values));
    t->run->be->upload(t->run->be, p->value, values, (size_t)p->n * sizeof *values);
    st = t->run->be->sync(t->run->be);
out:
    ae_tensors_close(tensors);
    ae_run_model_free(&from);
    free(values);
    return st;
}

ae_status ae_tuned_start(ae_tuned *t) {
    ae_status st = AE_OK;
    const ae_pass_dims n = {.B = t->plan.micro_rows,
                            .T = (ptrdiff_t)t->run->config->train.row_tokens,
                            .recompute_blocks = t->plan.recompute_blocks,
                            .recompute_mlps = t->plan.recompute_mlps,
                            .kl_width = t->beside.kl_width};
    const ae_model_options options = ae_tuned_model_options(t);
    AE_TRY(ae_model_init(&t->model, t->run->be, &t->inputs.shape, &options));
    AE_TRY(ae_pass_new(&t->pass, &t->model, n, true));
    AE_TRY(load_weights(t));
    if (t->head_from && t->head_from[0] && !t->run->checkpoint) AE_TRY(load_head(t));
out:
    return st;
}

/* ---- checkpoints ---- */

static ae_status write_weights(void *model, const char *path) {
    return ae_model_save(model, path);
}

ae_status ae_tuned_save(void *self, ae_checkpoint_job *job) {
    ae_tuned *t = self;
    ae_status st = AE_OK;
    char *shape = NULL;
    size_t n = 0;
    const void *tokenizer = t->inputs.tokenizer ? ae_tokenizer_bytes(t->inputs.tokenizer, &n) : NULL;
    AE_TRY(ae_checkpoint_add_later(job, "weights.h5", write_weights, &t->model));
    AE_TRY(ae_model_config_to_json(&t->inputs.shape, &shape));
    AE_TRY(ae_checkpoint_add_bytes(job, "model.json", shape, strlen(shape)));
    if (tokenizer) AE_TRY(ae_checkpoint_add_bytes(job, "tokenizer.model", tokenizer, n));
    if (t->adapter) AE_TRY(ae_checkpoint_add_bytes(job, ae_adapter_file, t->adapter, strlen(t->adapter)));
out:
    free(shape);
    return st;
}

static ae_status keys(void *self, json_t *state) {
    const ae_tuned *t = self;
    json_t *position = t->position ? json_loads(t->position, 0, NULL) : json_null();
    json_t *own =
        json_pack("{s:I, s:I, s:o, s:O}", "micro_rows", (json_int_t)t->micro_rows, "recompute_blocks",
                  (json_int_t)t->recompute_blocks, "loader", position, "data", t->facts);
    const bool whole = own && json_object_update(state, own) == 0;
    json_decref(own);
    return whole ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "state of the run: out of memory");
}

void ae_tuned_close(ae_tuned *t) {
    ae_pass_delete(t->pass);
    ae_model_free(&t->model);
    ae_inputs_close(&t->inputs);
    ae_lora_patterns_free(&t->patterns);
    free(t->trains);
    free(t->adapter);
    for (int i = 0; i < 2; i++) free(t->sets[i]);
    if (t->scratch) ae_folder_remove(t->scratch);
    free(t->scratch);
    json_decref(t->facts);
    free(t->position);
    *t = (ae_tuned){.config = t->config,
                    .score_head = t->score_head,
                    .head_only = t->head_only,
                    .head_from = t->head_from,
                    .rendered = t->rendered,
                    .kind = t->kind};
}

/* ---- what the objectives have in common ---- */

void ae_tuned_settle(ae_tuned *t, char **position) {
    free(t->position);
    t->position = *position;
    *position = NULL;
}

static ae_status parameters(void *self, ae_optim_param **params, ptrdiff_t *n) {
    return ae_step_optim_params(&((ae_tuned *)self)->model, params, n);
}

static bool evaluates(const void *self) {
    return ((const ae_tuned *)self)->inputs.heldout != NULL;
}

static ae_subject subject(const void *self) {
    const ae_tuned *t = self;
    return (ae_subject){&t->model, t->inputs.tokenizer, t->inputs.shape.V};
}

ae_objective ae_tuned_objective(void *self, const char *name) {
    return (ae_objective){.self = self,
                          .name = name,
                          .files = ae_tuned_files,
                          .facts = ae_tuned_facts,
                          .score = "eval_loss",
                          .begin = begin,
                          .resume = resume,
                          .parameters = parameters,
                          .evaluates = evaluates,
                          .subject = subject,
                          .save = ae_tuned_save,
                          .keys = keys};
}
