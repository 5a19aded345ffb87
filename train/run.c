#include "train/run.h"

#include "core/file.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/threads.h"
#include "data/hash.h"
#include "model/views.h"
#include "ops/limits/limits.h"
#include "train/checkpoint.h"
#include "train/pretrain.h"
#include "train/run_folder.h"
#include "train/samples.h"
#include "train/step.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t ae_run_step_tokens(const ae_run *run) {
    return run->config->train.batch_rows * run->config->train.row_tokens;
}

/* ---- inputs ---- */

/* 0 without data: a plan can be made for a shape alone. */
static int64_t data_vocab(const ae_run *run) {
    return run->data.n_sets > 0 ? ae_token_set_vocab_size(run->data.sets[0]) : 0;
}

/* The vocabulary and, where both carry one, the tokenizer of the held-out set are those of training. */
static ae_status open_heldout(ae_run *run) {
    const char *path = run->config->data.heldout;
    if (!path[0]) return AE_OK;
    ae_status st = ae_token_set_open(&run->heldout, path);
    if (st != AE_OK) return st;
    long long ours = ae_token_set_vocab_size(run->data.sets[0]),
              theirs = ae_token_set_vocab_size(run->heldout);
    if (ours == theirs) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "data.heldout: %s: expected a vocabulary of %lld as in data.train, found %lld; prepare both with one "
        "tokenizer",
        path, ours, theirs);
}

/* A tokenizer's bytes from `set`, or from model.init's file; opened once, compared with the one there is. */
static ae_status take_tokenizer(ae_run *run, const void *bytes, size_t n, const char *where) {
    if (!bytes) return AE_OK;
    if (!run->tokenizer) return ae_tokenizer_from_bytes(&run->tokenizer, bytes, n, where);
    size_t ours;
    const void *held = ae_tokenizer_bytes(run->tokenizer, &ours);
    if (ours == n && memcmp(held, bytes, n) == 0) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected the tokenizer of data.train, found another; prepare the text again with "
                   "that one",
                   where);
}

static ae_status take_set_tokenizer(ae_run *run, const ae_token_set *set) {
    size_t n = 0;
    if (!set) return AE_OK;
    const void *bytes = ae_token_set_tokenizer(set, &n);
    return take_tokenizer(run, bytes, n, ae_token_set_path(set));
}

static ae_status open_data(ae_run *run) {
    ae_status st = AE_OK;
    if (!run->config->data.train[0]) return AE_OK;
    AE_TRY(ae_mixture_open(&run->data, run->config->data.train));
    if (run->config->train.carry_state) AE_TRY(ae_mixture_check_streams(&run->data));
    AE_TRY(open_heldout(run));
    for (size_t i = 0; i < run->data.n_sets; i++) AE_TRY(take_set_tokenizer(run, run->data.sets[i]));
    AE_TRY(take_set_tokenizer(run, run->heldout));
out:
    return st;
}

static ae_status take_source_tokenizer(ae_run *run) {
    char *bytes = NULL;
    size_t n = 0;
    if (!run->source.tokenizer) return AE_OK;
    ae_status st = ae_file_read(run->source.tokenizer, &bytes, &n);
    if (st == AE_OK) st = take_tokenizer(run, bytes, n, run->source.tokenizer);
    free(bytes);
    return st;
}

/* model.init: shape, vocabulary and tokenizer come along, so no key may say otherwise. */
static ae_status open_source(ae_run *run) {
    ae_status st = AE_OK;
    const char *init = run->config->model.init;
    int64_t vocab = data_vocab(run);
    AE_TRY(ae_run_source_open(&run->source, init));
    AE_TRY(ae_model_source_verify(&run->source));
    run->shape = run->source.config;
    if (vocab > run->shape.V)
        AE_TRY(AE_FAIL(AE_ERR_INPUT,
                       "model.init: %s: expected a vocabulary of at least data.train's %lld, found %lld; "
                       "prepare the text with this model's tokenizer",
                       init, (long long)vocab, (long long)run->shape.V));
    AE_TRY(take_source_tokenizer(run));
out:
    return st;
}

static ae_status resolve_shape(ae_run *run) {
    if (run->config->model.init[0]) return open_source(run);
    return ae_model_config_resolve(&run->shape, &run->config->model, data_vocab(run));
}

/* A fresh start knows only what it is going to be. A plan alone need not read the sets for their hashes. */
static ae_status fresh_state(ae_run *run, bool writes) {
    ae_status st = AE_OK;
    ae_run_state *s = &run->state;
    s->seed = (uint64_t)run->config->run.seed;
    if (writes) AE_TRY(ae_resume_data(&run->data, &s->data));
    AE_TRY(ae_run_state_set(&s->kernels, run->be.kernels));
    AE_TRY(resolve_shape(run));
out:
    return st;
}

/* Other sets may have fewer ids than the model has rows for. */
static ae_status check_shape(ae_run *run, ae_overrides *o) {
    const int64_t vocab = data_vocab(run);
    const bool other_sets = ae_override_was_taken(o, "data.train");
    if (other_sets && vocab > run->shape.V)
        return AE_FAIL(
            AE_ERR_INPUT,
            "data.train: expected ids that fit into the run's vocabulary of %lld, found one of %lld; "
            "prepare the text with tokenizer.model of the checkpoint",
            (long long)run->shape.V, (long long)vocab);
    if (run->config->model.init[0]) return AE_OK; /* the key itself was compared */
    ae_model_config now;
    ae_status st = ae_model_config_resolve(&now, &run->config->model, other_sets ? run->shape.V : vocab);
    return st == AE_OK ? ae_resume_check_model(&run->shape, &now, o) : st;
}

/* The sets may carry none, where model.init brought it. */
static ae_status take_checkpoint_tokenizer(ae_run *run, ae_overrides *o) {
    char *bytes = NULL;
    size_t n = 0;
    if (!run->source.tokenizer || !run->tokenizer) return take_source_tokenizer(run);
    ae_status st = ae_file_read(run->source.tokenizer, &bytes, &n);
    if (st == AE_OK)
        st = ae_resume_check_tokenizer(ae_fnv(AE_FNV_START, bytes, n), ae_tokenizer_hash(run->tokenizer), o);
    free(bytes);
    return st;
}

/* What was overridden becomes the run's own. */
static ae_status take_overrides(ae_run *run, const ae_overrides *o, const char *data) {
    ae_status st = AE_OK;
    ae_run_state *s = &run->state;
    free(s->overrides);
    s->overrides = NULL;
    AE_TRY(ae_overrides_json(o, &s->overrides));
    AE_TRY(ae_run_state_set(&s->data, data));
    s->seed = (uint64_t)run->config->run.seed;
    if (o->new_memory) s->micro_rows = 0;
    run->new_rows = o->new_rows;
    if (!o->new_rows) goto out;
    free(s->loader);
    s->loader = NULL;
    AE_TRY(ae_row_source_beginning(&run->data, &s->loader));
out:
    return st;
}

static ae_status checkpoint_state(ae_run *run) {
    ae_status st = AE_OK;
    ae_overrides o = {0};
    char *data = NULL, *path = ae_path_join(run->checkpoint, "state.json");
    AE_TRY(ae_run_state_read(&run->state, path));
    AE_TRY(ae_overrides_init(&o, run->config, run->state.step, run->state.overrides));
    AE_TRY(ae_resume_check_keys(&run->state, &o));
    AE_TRY(ae_run_source_open(&run->source, run->checkpoint));
    run->shape = run->source.config;
    AE_TRY(take_checkpoint_tokenizer(run, &o));
    AE_TRY(ae_resume_data(&run->data, &data));
    AE_TRY(ae_resume_check_data(&run->state, data, &o));
    AE_TRY(check_shape(run, &o));
    AE_TRY(take_overrides(run, &o, data));
    if (strcmp(run->state.kernels, run->be.kernels) != 0)
        ae_warn("the run was made with %s kernels and goes on with %s: the same to rounding, not to the bit",
                run->state.kernels, run->be.kernels);
    AE_TRY(ae_run_state_set(&run->state.kernels, run->be.kernels));
out:
    ae_overrides_free(&o);
    free(path);
    free(data);
    return st;
}

/* A resumed run keeps the micro-batch it had: the order of its sums depends on it. */
static ptrdiff_t wanted_micro_rows(const ae_run *run) {
    int64_t asked = run->config->train.micro_rows, before = run->state.micro_rows;
    if (asked == 0) return (ptrdiff_t)before;
    if (before != 0 && asked != before)
        ae_warn("train.micro_rows: %lld, and %lld up to here: the same to rounding, not to the bit",
                (long long)asked, (long long)before);
    return (ptrdiff_t)asked;
}

/* A state is the last `window` keys: without a window it would be all of them. */
static ae_status check_carry(const ae_run *run) {
    const ae_model_config *c = &run->shape;
    if (!run->config->train.carry_state || !ae_model_attends(c) || c->W > 0) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "train.carry_state: expected an attention window, found %s; set model.window or leave "
                   "out train.carry_state",
                   c->W < 0 ? "none" : "one of 0");
}

static int64_t heldout_rows(const ae_run *run) {
    if (!run->heldout) return 0;
    return ae_max(
        1, ae_rows_in_set(ae_token_set_tokens(run->heldout), (ptrdiff_t)run->config->train.row_tokens));
}

static ae_status make_plan(ae_run *run) {
    const ae_train_keys *t = &run->config->train;
    bool limited;
    const size_t available = ae_plan_available(t->memory_gb, &limited);
    run->request = (ae_plan_request){
        .be = &run->be,
        .model = &run->shape,
        .row_tokens = (ptrdiff_t)t->row_tokens,
        .batch_rows = (ptrdiff_t)t->batch_rows,
        .micro_rows = wanted_micro_rows(run),
        .recompute_blocks = (ptrdiff_t)ae_min((ptrdiff_t)t->recompute, run->shape.blocks),
        .recompute_mlps = (ptrdiff_t)ae_min((ptrdiff_t)t->recompute_mlps, run->shape.blocks),
        .heldout_rows = heldout_rows(run),
        .sample_tokens = run->heldout ? ae_sample_prompt_tokens(run) : 0,
        .carry = t->carry_state,
        .program_bytes = ae_rss_bytes(),
        .available_bytes = available,
        .limit = limited ? "train.memory_gb" : NULL,
    };
    ae_status st = ae_plan_make(&run->plan, &run->request);
    run->be.pack_at_use = run->plan.pack_at_use;
    run->state.micro_rows = run->plan.micro_rows;
    run->state.recompute_blocks = run->plan.recompute_blocks;
    return st;
}

ae_status ae_run_lock(ae_run *run, const ae_train_config *config) {
    char *metrics = ae_path_join(config->run.dir, "metrics.jsonl");
    *run = (ae_run){0};
    ae_status st = ae_path_is_folder(config->run.dir) ? ae_folder_lock(&run->lock, config->run.dir) : AE_OK;
    if (st == AE_OK) st = ae_metrics_lock(&run->metrics, metrics, false);
    free(metrics);
    return st;
}

ae_status ae_run_open(ae_run *run, const ae_train_config *config, bool in_folder) {
    ae_status st = AE_OK;
    run->config = config;
    run->saved_step = -1;
    AE_TRY(ae_override_check(config));
    if (in_folder) AE_TRY(ae_run_inspect(config->run.dir, ae_pretrain_files, &run->kind, &run->checkpoint));
    const ae_backend_options options = {.threads = ae_threads_start((int)config->train.threads),
                                        .dtype = ae_train_dtype(config)};
    AE_TRY(ae_backend_cpu(&run->be, &options));
    AE_TRY(open_data(run));
    AE_TRY(run->checkpoint ? checkpoint_state(run) : fresh_state(run, in_folder));
    free(run->state.config);
    run->state.config = NULL;
    AE_TRY(ae_config_json(&config->table, &run->state.config));
    AE_TRY(check_carry(run));
    AE_TRY(make_plan(run));
out:
    return st;
}

/* ---- memory and weights ---- */

static ae_status make_weights(ae_run *run) {
    return run->source.tensors ? ae_model_load(&run->model, run->source.tensors)
                               : ae_model_set_initial(&run->model, run->state.seed);
}

static ae_status make_optimizer(ae_run *run) {
    ae_status st = AE_OK;
    char *path = NULL;
    ae_optim_param *params = NULL;
    ptrdiff_t n = 0;
    ae_adamw_options options = ae_train_adamw(run->config);
    AE_TRY(ae_step_optim_params(&run->model, &params, &n));
    AE_TRY(ae_optimizer_init(&run->optimizer, &run->be, &options, params, n));
    if (!run->checkpoint) goto out;
    path = ae_path_join(run->checkpoint, "optimizer.h5");
    AE_TRY(ae_optimizer_load(&run->optimizer, path));
out:
    free(path);
    free(params);
    return st;
}

static ae_status make_carry(ae_run *run) {
    ae_status st = AE_OK;
    char *path = NULL;
    const ae_train_keys *t = &run->config->train;
    if (!t->carry_state) return AE_OK;
    AE_TRY(ae_carry_init(&run->carry, &run->model, (ptrdiff_t)t->batch_rows, (ptrdiff_t)t->row_tokens));
    if (!run->checkpoint || run->new_rows) return AE_OK;
    path = ae_path_join(run->checkpoint, "carry.h5");
    AE_TRY(ae_carry_load(&run->carry, path));
out:
    free(path);
    return st;
}

static ae_status make_memory(ae_run *run) {
    ae_status st = AE_OK;
    ae_pass_dims n = {.B = run->plan.micro_rows,
                      .T = (ptrdiff_t)run->config->train.row_tokens,
                      .recompute_blocks = run->plan.recompute_blocks,
                      .recompute_mlps = run->plan.recompute_mlps};
    AE_TRY(ae_model_init(&run->model, &run->be, &run->shape, true));
    AE_TRY(ae_pass_new(&run->pass, &run->model, n, true));
    AE_TRY(make_weights(run));
    AE_TRY(make_optimizer(run));
    AE_TRY(ae_saver_new(&run->saver, &run->optimizer));
    AE_TRY(make_carry(run));
    if (run->heldout)
        AE_TRY(ae_perplexity_prepare(&run->evaluation, run->heldout, run->plan.evaluation_rows, n.T));
    if (run->config->train.carry_state) ae_perplexity_carry(&run->evaluation);
out:
    return st;
}

static ae_status start_loader(ae_run *run) {
    const ae_train_config *c = run->config;
    const ae_row_options o = {.rows = (ptrdiff_t)c->train.batch_rows,
                              .row_tokens = (ptrdiff_t)c->train.row_tokens,
                              .seed = run->state.seed,
                              .shuffle = c->data.shuffle};
    ae_row_source rows;
    const ae_status st = c->train.carry_state ? ae_row_source_streams(&rows, &run->data, &o)
                                              : ae_row_source_sets(&rows, &run->data, &o);
    if (st != AE_OK) return st;
    return ae_loader_start(&run->loader, rows, run->state.step + 1, run->state.loader);
}

/* ---- the folder ---- */

ae_checkpoint_keep ae_run_keep(const ae_run *run) {
    const ae_train_keys *t = &run->config->train;
    return (ae_checkpoint_keep){.newest = t->keep,
                                .best_step = t->keep_best ? run->state.best_step : 0,
                                .marked_step = t->keep_best ? run->marked_step : 0,
                                .every = t->keep_every};
}

void ae_run_mark_best(ae_run *run) {
    const char *dir = run->config->run.dir;
    run->marked_step = run->config->train.keep_best ? run->state.best_step : 0;
    ae_checkpoint_mark_best(dir, run->marked_step);
    const ae_checkpoint_keep keep = ae_run_keep(run);
    ae_checkpoint_prune(dir, run->saved_step, &keep);
}

/* Events of a start that never reached a checkpoint would stand beside those of this one. */
static void remove_left(const char *dir, bool with_events) {
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        const bool is_events = strncmp(e->d_name, "events.out.tfevents.", 20) == 0;
        if (!(is_events && with_events) && !ae_run_is_partial_config(e->d_name)) continue;
        char *path = ae_path_join(dir, e->d_name);
        remove(path);
        free(path);
    }
    if (d) closedir(d);
}

/* Lines that cannot be gone on from are cut off; they stay in a copy. */
static ae_status copy_metrics(const char *metrics) {
    char *copy = malloc(strlen(metrics) + sizeof ".before"), *bytes = NULL;
    size_t n = 0;
    ae_status st =
        copy ? ae_file_read(metrics, &bytes, &n) : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", metrics);
    if (st == AE_OK) {
        sprintf(copy, "%s.before", metrics);
        st = ae_file_write(copy, bytes, n);
    }
    if (st == AE_OK)
        ae_warn("%s: lines from which the run does not go on are cut off; %s has the whole file", metrics,
                copy);
    free(bytes);
    free(copy);
    return st;
}

/* Its lines are only told of: what trains comes from the checkpoint. */
static ae_status keep_metrics(ae_run *run, const char *metrics) {
    ae_run_state *s = &run->state;
    ae_metrics_mark mark = {s->step, s->evaluated_step, s->metrics_offset};
    ae_metrics_gap gap;
    if (!run->checkpoint) return ae_file_size(metrics) > 0 ? copy_metrics(metrics) : AE_OK;
    const ae_status st = ae_metrics_find_end(metrics, &mark, &gap);
    if (st != AE_OK) return st;
    ae_metrics_tell_gap(metrics, &gap);
    s->metrics_offset = mark.offset;
    return gap.cuts ? copy_metrics(metrics) : AE_OK;
}

/* The line of an evaluation that followed the checkpoint stays, and its figures go into the events again. */
static ae_status keep_evaluation(ae_run *run, const char *metrics, json_t **line) {
    ae_run_state *s = &run->state;
    *line = NULL;
    if (!run->checkpoint || s->evaluated_step == s->step) return AE_OK;
    return ae_metrics_find_evaluation(metrics, s->step, &s->metrics_offset, line);
}

static ae_status note_evaluation(ae_run *run, const json_t *line) {
    if (!line) return AE_OK;
    const json_t *bits = json_object_get(line, "bits_per_byte");
    const double loss = json_number_value(json_object_get(line, "eval_loss"));
    ae_run_state_evaluated(&run->state, loss);
    return ae_events_evaluation(&run->events, run->state.step, loss,
                                json_is_number(bits) ? json_number_value(bits) : (double)NAN);
}

/* A folder that was empty may have been taken, and its run even ended, since. */
static ae_status lock_folder(ae_run *run, const char *metrics) {
    ae_run_kind kind = AE_RUN_NEW;
    char *checkpoint = NULL;
    ae_status st = run->lock ? AE_OK : ae_folder_lock(&run->lock, run->config->run.dir);
    if (st != AE_OK || run->metrics.file) return st;
    st = ae_metrics_lock(&run->metrics, metrics, true);
    if (st == AE_OK && run->kind == AE_RUN_NEW)
        st = ae_run_inspect(run->config->run.dir, ae_pretrain_files, &kind, &checkpoint);
    free(checkpoint);
    if (st == AE_OK && kind != AE_RUN_NEW)
        st = AE_FAIL(AE_ERR_USAGE,
                     "run.dir: %s: another process has started a run there meanwhile; the same command again "
                     "goes on with it, or choose another run.dir",
                     run->config->run.dir);
    if (st != AE_OK) ae_metrics_close(&run->metrics);
    return st;
}

/* What a start has made so far. */
typedef struct {
    bool folder, config;
} made;

static ae_status open_outputs(ae_run *run, made *m) {
    ae_status st = AE_OK;
    const char *dir = run->config->run.dir;
    ae_run_state *s = &run->state;
    char *config = ae_path_join(dir, "config.yaml"), *metrics = ae_path_join(dir, "metrics.jsonl");
    json_t *line = NULL;
    m->folder = !ae_path_exists(dir);
    AE_TRY(ae_folder_make(dir));
    AE_TRY(lock_folder(run, metrics));
    AE_TRY(keep_metrics(run, metrics));
    AE_TRY(keep_evaluation(run, metrics, &line));
    AE_TRY(ae_metrics_open(&run->metrics, metrics, s->metrics_offset));
    AE_TRY(ae_config_write(&run->config->table, config));
    m->config = true;
    AE_TRY(ae_checkpoint_clean(dir));
    remove_left(dir, !run->checkpoint);
    AE_TRY(ae_events_open(&run->events, dir, s->events_name, s->events_offset));
    AE_TRY(ae_run_state_set(&s->events_name, ae_events_name(&run->events)));
    AE_TRY(note_evaluation(run, line));
    ae_run_mark_best(run);
out:
    json_decref(line);
    free(config);
    free(metrics);
    return st;
}

static void remove_from(const char *dir, const char *name) {
    char *path = ae_path_join(dir, name);
    remove(path);
    free(path);
}

/* By name: whatever else is in the folder somebody has put there meanwhile. */
static void take_back(const ae_run *run, const made *m) {
    const char *dir = run->config->run.dir;
    remove_from(dir, "metrics.jsonl");
    if (m->config) remove_from(dir, "config.yaml");
    if (run->events.path) remove(run->events.path);
    if (m->folder) rmdir(dir);
}

/* What a first start has made is taken back when the start fails; without its lock the folder belongs to another process. */
static ae_status make_folder(ae_run *run) {
    made m = {0};
    ae_status st = open_outputs(run, &m);
    if (st != AE_OK && run->kind == AE_RUN_NEW && run->metrics.file) take_back(run, &m);
    return st;
}

ae_status ae_run_start(ae_run *run) {
    ae_status st = AE_OK;
    run->peak_flops = ae_measure_peak_flops(run->be.dtype);
    if (run->checkpoint) run->saved_step = run->state.step;
    AE_TRY(make_memory(run));
    AE_TRY(start_loader(run));
    AE_TRY(make_folder(run));
out:
    return st;
}

void ae_run_close(ae_run *run) {
    ae_saver_delete(run->saver);
    ae_metrics_close(&run->metrics);
    ae_events_close(&run->events);
    ae_loader_stop(run->loader);
    ae_optimizer_free(&run->optimizer);
    ae_carry_free(&run->carry);
    ae_pass_delete(run->pass);
    ae_model_free(&run->model);
    ae_mixture_close(&run->data);
    ae_token_set_close(run->heldout);
    ae_tokenizer_delete(run->tokenizer);
    ae_model_source_free(&run->source);
    ae_run_state_free(&run->state);
    free(run->checkpoint);
    if (run->lock) close(run->lock);
    ae_backend_free(&run->be);
    *run = (ae_run){0};
}
