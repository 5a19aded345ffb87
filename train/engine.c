#include "train/engine.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/threads.h"
#include "ops/limits/limits.h"
#include "train/loop.h"
#include "train/outputs.h"
#include "train/report.h"
#include "train/stop.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the folder ---- */

/* Where folders have no locks, the file of a new folder has one. */
ae_status ae_engine_lock(ae_engine *e, const ae_train_config *config) {
    const char *dir = config->run.dir;
    char *metrics = ae_path_join(dir, "metrics.jsonl");
    *e = (ae_engine){0};
    ae_status st = ae_made_folder_init(&e->folder, dir);
    if (st == AE_OK && ae_path_is_folder(dir)) st = ae_folder_lock(&e->lock, dir);
    if (st == AE_OK) st = ae_metrics_lock(&e->metrics, metrics, e->folder.made);
    if (st != AE_OK) e->folder.made = false;
    free(metrics);
    return st;
}

/* What a start that failed has made goes again. */
static void remove_made(const ae_engine *e, const char *dir) {
    char *metrics = ae_path_join(dir, "metrics.jsonl");
    if (e->folder.made && ae_file_size(metrics) == 0) remove(metrics);
    ae_made_folder_undo(&e->folder, dir);
    free(metrics);
}

/* ---- inputs ---- */

static ae_status take_overrides(ae_run_state *s, const ae_overrides *o) {
    free(s->overrides);
    s->overrides = NULL;
    s->seed = (uint64_t)o->config->run.seed;
    return ae_overrides_json(o, &s->overrides);
}

static ae_status check_maker(const ae_engine *e) {
    const char *then = e->state.objective, *now = e->objective.name;
    if (then ? now && strcmp(then, now) == 0 : !now) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "run.dir: %s: the run in this folder was made by %s, not by %s; choose another run.dir",
                   e->config->run.dir, then ? then : "pretrain", now ? now : "pretrain");
}

static void forget_best(ae_engine *e) {
    ae_run_state *s = &e->state;
    e->new_score = true;
    if (s->best_step > 0)
        ae_warn(
            "run.override: scores do not compare with those up to here: the best evaluation (so far that of "
            "step %lld) and checkpoints/best begin anew",
            (long long)s->best_step);
    s->best_step = 0;
    s->best_score = 0;
}

/* Before the objective opens its inputs, which may take long and write into the folder. */
static ae_status look_back(ae_engine *e, ae_overrides *o) {
    ae_status st = AE_OK;
    ae_run_state *s = &e->state;
    char *path = ae_path_join(e->checkpoint, "state.json");
    AE_TRY(ae_run_state_read(s, path));
    AE_TRY(check_maker(e));
    AE_TRY(ae_overrides_init(o, e->config, e->objective.facts, s->step, s->overrides));
    AE_TRY(ae_resume_check_keys(s, o));
out:
    free(path);
    return st;
}

/* The engine compares the keys, the objective what they lead to. */
static ae_status go_on(ae_engine *e, ae_overrides *o) {
    ae_status st = AE_OK;
    ae_run_state *s = &e->state;
    e->facts.step = s->step;
    e->facts.seed = (uint64_t)e->config->run.seed;
    AE_TRY(ae_resume_check_steps(s, o));
    if (e->objective.resume) AE_TRY(e->objective.resume(e->objective.self, s->own, o));
    AE_TRY(take_overrides(s, o));
    if (o->new_score) forget_best(e);
    if (strcmp(s->kernels, e->be.kernels) != 0)
        ae_warn("the run was made with %s kernels and goes on with %s: the same to rounding, not to the bit",
                s->kernels, e->be.kernels);
out:
    return st;
}

static ae_status begin(ae_engine *e) {
    e->state.seed = e->facts.seed = (uint64_t)e->config->run.seed;
    return e->objective.begin ? e->objective.begin(e->objective.self) : AE_OK;
}

static ae_status open_objective(ae_engine *e, bool in_folder) {
    e->is_open = true;
    e->facts = (ae_run_facts){.config = e->config,
                              .be = &e->be,
                              .checkpoint = e->checkpoint,
                              .writes = in_folder,
                              .stop = ae_stop_asked()};
    return e->objective.open(e->objective.self, &e->facts);
}

static ae_status open_benchmarks(ae_engine *e) {
    const ae_objective *o = &e->objective;
    const ae_eval_keys *keys = &e->config->eval;
    if (!keys->tasks[0]) return AE_OK;
    if (!o->subject)
        return AE_FAIL(AE_ERR_USAGE, "eval.tasks: expected none with this verb, whose model has no answers");
    if (!ae_objective_evaluates(o))
        return AE_FAIL(AE_ERR_USAGE,
                       "eval.tasks: expected data.heldout beside it, found none: tasks are asked "
                       "when a run is evaluated");
    const ae_subject s = o->subject(o->self);
    return ae_benchmarks_open(&e->benchmarks, keys, s.tokenizer, s.vocab);
}

ae_status ae_engine_open(ae_engine *e, const ae_train_config *config, const ae_objective *objective,
                         bool in_folder) {
    ae_status st = AE_OK;
    ae_overrides o = {0};
    e->config = config;
    e->objective = *objective;
    e->saved_step = -1;
    ae_stop_reset();
    AE_TRY(ae_override_check(config, objective->facts));
    if (in_folder) AE_TRY(ae_run_inspect(config->run.dir, objective->files, &e->kind, &e->checkpoint));
    const ae_backend_options options = {.threads = ae_threads_start((int)config->train.threads),
                                        .dtype = ae_train_dtype(config)};
    AE_TRY(ae_backend_cpu(&e->be, &options));
    if (e->checkpoint) AE_TRY(look_back(e, &o));
    AE_TRY(open_objective(e, in_folder));
    AE_TRY(e->checkpoint ? go_on(e, &o) : begin(e));
    AE_TRY(ae_run_state_set(&e->state.kernels, e->be.kernels));
    if (objective->name) AE_TRY(ae_run_state_set(&e->state.objective, objective->name));
    if (objective->score) AE_TRY(ae_run_state_set(&e->state.score, objective->score));
    e->state.order = objective->key_order;
    free(e->state.config);
    e->state.config = NULL;
    AE_TRY(ae_config_json(&config->table, &e->state.config));
    AE_TRY(open_benchmarks(e));
    if (objective->plan) AE_TRY(objective->plan(objective->self));
out:
    ae_overrides_free(&o);
    return st;
}

/* ---- memory ---- */

static ae_status make_optimizer(ae_engine *e) {
    ae_status st = AE_OK;
    char *path = NULL;
    ae_optim_param *params = NULL;
    ptrdiff_t n = 0;
    const ae_adamw_options options = ae_train_adamw(e->config);
    AE_TRY(e->objective.parameters(e->objective.self, &params, &n));
    AE_TRY(ae_optimizer_init(&e->optimizer, &e->be, &options, params, n));
    if (!e->checkpoint) goto out;
    path = ae_path_join(e->checkpoint, "optimizer.h5");
    AE_TRY(ae_optimizer_load(&e->optimizer, path));
out:
    free(path);
    free(params);
    return st;
}

ae_status ae_engine_start(ae_engine *e) {
    ae_status st = AE_OK;
    e->peak_flops = ae_measure_peak_flops(e->be.dtype);
    if (e->checkpoint) e->saved_step = e->state.step;
    AE_TRY(e->objective.start(e->objective.self));
    AE_TRY(make_optimizer(e));
    AE_TRY(ae_saver_new(&e->saver, &e->optimizer));
    AE_TRY(ae_prefetch_start(&e->prefetch, &e->objective));
    AE_TRY(ae_outputs_open(e));
out:
    return st;
}

void ae_engine_close(ae_engine *e) {
    ae_saver_delete(e->saver);
    ae_metrics_close(&e->metrics);
    ae_events_close(&e->events);
    ae_prefetch_stop(e->prefetch);
    ae_optimizer_free(&e->optimizer);
    ae_numbers_free(&e->gradients.numbers);
    ae_benchmarks_close(e->benchmarks);
    if (e->is_open) e->objective.close(e->objective.self);
    ae_run_state_free(&e->state);
    free(e->checkpoint);
    if (e->lock) close(e->lock);
    ae_backend_free(&e->be);
    *e = (ae_engine){0};
}

/* ---- the whole ---- */

static void tell_start(const ae_engine *e) {
    const ae_train_config *c = e->config;
    if (e->checkpoint && e->state.step == c->train.steps) {
        ae_log("run: %s has done all of its %lld step%s; a larger train.steps goes on where the schedule "
               "allows it",
               c->run.dir, (long long)c->train.steps, ae_plural(c->train.steps));
    } else if (e->checkpoint) {
        ae_log("run: %s goes on after step %lld of %lld", c->run.dir, (long long)e->state.step,
               (long long)c->train.steps);
    } else {
        ae_log("run: %s%s", c->run.dir,
               e->kind == AE_RUN_RESTART ? " has no complete checkpoint and starts from the beginning" : "");
    }
}

/* Before anything is read or told. */
static ae_status check_place(const char *dir) {
    const ae_status st = ae_folder_check(dir);
    if (st != AE_OK) ae_fail_prefix("run.dir");
    return st;
}

ae_status ae_engine_train(const ae_train_config *config, const ae_objective *objective, bool dry_run) {
    ae_status st = AE_OK;
    ae_engine e = {0};
    bool runs = false;
    const double began = ae_now_s();
    AE_TRY(check_place(config->run.dir));
    if (!dry_run) AE_TRY(ae_engine_lock(&e, config));
    AE_TRY(ae_engine_open(&e, config, objective, true));
    tell_start(&e);
    if (objective->report) objective->report(objective->self);
    if (dry_run) goto out;
    AE_TRY(ae_engine_start(&e));
    runs = true;
    ae_log("ready after %.2f s", ae_now_s() - began);
    AE_TRY(ae_loop_run(&e));
out:
    if (st != AE_OK && !runs) remove_made(&e, config->run.dir);
    ae_engine_close(&e);
    return st;
}
