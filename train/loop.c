#include "train/loop.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "train/outputs.h"
#include "train/report.h"
#include "train/stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- saving ---- */

/* A link needs its target: while that may still be on its way, the link stays where it is. */
static void mark_best(ae_engine *e) {
    const int64_t best = e->state.best_step;
    const bool has_save = best != e->state.step || e->saved_step == best;
    if (!e->config->train.keep_best || e->marked_step == best || !has_save) return;
    if (ae_saver_is_busy(e->saver)) return;
    ae_outputs_mark_best(e);
}

static ae_status write_config(void *engine, const char *path) {
    return ae_config_write(&((ae_engine *)engine)->config->table, path);
}

static ae_status write_state(void *engine, const char *path) {
    return ae_run_state_write(&((ae_engine *)engine)->state, path);
}

/* The engine's files and keys, and those of the objective. */
static ae_status add_files(ae_engine *e, ae_checkpoint_job *job) {
    ae_status st = AE_OK;
    const ae_objective *o = &e->objective;
    json_decref(e->state.own);
    e->state.own = json_object();
    if (o->keys) AE_TRY(o->keys(o->self, e->state.own));
    if (o->save) AE_TRY(o->save(o->self, job));
    AE_TRY(ae_checkpoint_add(job, "config.yaml", write_config, e));
    AE_TRY(ae_checkpoint_add(job, "state.json", write_state, e));
out:
    return st;
}

/* What is small is written here, the rest by a thread while the run goes on. */
static ae_status start_checkpoint(ae_engine *e) {
    ae_checkpoint_job job;
    const ae_checkpoint_keep keep = ae_outputs_keep(e);
    ae_status st = ae_checkpoint_begin(&job, e->config->run.dir, e->state.step, &keep);
    job.order = e->objective.file_order;
    if (st == AE_OK) st = add_files(e, &job);
    if (st == AE_OK) return ae_saver_start(e->saver, &job);
    ae_checkpoint_give_up(&job);
    ae_checkpoint_job_free(&job);
    return st;
}

static ae_status save(ae_engine *e) {
    ae_status st = AE_OK;
    if (e->saved_step == e->state.step) return AE_OK;
    AE_TRY(ae_saver_wait(e->saver));
    mark_best(e);
    AE_TRY(ae_metrics_sync(&e->metrics));
    AE_TRY(ae_events_sync(&e->events));
    e->state.metrics_offset = e->metrics.offset;
    e->state.events_offset = e->events.offset;
    AE_TRY(start_checkpoint(e));
    e->saved_step = e->state.step;
out:
    return st;
}

/* RUN/save.now asks for a checkpoint; it goes when there is one. */
static ae_status save_when_asked(ae_engine *e) {
    ae_status st = AE_OK;
    char *path = ae_path_join(e->config->run.dir, "save.now");
    const bool asked = ae_path_exists(path);
    if (asked && !e->save_asked) AE_TRY(save(e));
    e->save_asked = asked && ae_saver_is_busy(e->saver);
    if (asked && !e->save_asked) {
        AE_TRY(ae_saver_wait(e->saver));
        remove(path);
    }
out:
    free(path);
    return st;
}

/* At the end of a run. */
static ae_status all_saved(ae_engine *e) {
    ae_status st = ae_saver_wait(e->saver);
    if (st == AE_OK) mark_best(e);
    return st == AE_OK ? save_when_asked(e) : st;
}

/* ---- evaluating ---- */

/* What only shows how far a run is, samples and pictures, is not worth the run. */
static ae_status show(const ae_engine *e) {
    const ae_objective *o = &e->objective;
    const ae_status st = o->sample ? o->sample(o->self, e->state.step) : AE_OK;
    if (st != AE_ERR_USAGE && st != AE_ERR_INPUT && st != AE_ERR_RESOURCE) return st;
    ae_warn("no sample of step %lld: %s", (long long)e->state.step, ae_error_message());
    return AE_OK;
}

/* Answers that cannot be had this time do not cost the run. */
static ae_status ask_benchmarks(const ae_engine *e, ae_evaluation *r) {
    if (!e->benchmarks) return AE_OK;
    const ae_subject s = e->objective.subject(e->objective.self);
    const ae_status st = ae_benchmarks_ask(e->benchmarks, s.model, e->state.step, e->facts.stop, &r->numbers,
                                           r->told, sizeof r->told);
    if (st != AE_ERR_INPUT && st != AE_ERR_RESOURCE) return st;
    ae_warn("eval.tasks: no answers this time: %s", ae_error_message());
    return AE_OK;
}

static ae_status evaluate(ae_engine *e) {
    ae_evaluation r = {0};
    const ae_objective *o = &e->objective;
    ae_stop_evaluating(true);
    ae_status st = o->evaluate(o->self, &r);
    if (st == AE_OK) st = ask_benchmarks(e, &r);
    ae_stop_evaluating(false);
    if (st == AE_OK) st = ae_report_evaluation(e, &r);
    if (st == AE_OK) st = show(e);
    ae_numbers_free(&r.numbers);
    return st;
}

/* An evaluation that fails ends the run, but costs none of its steps. */
static ae_status evaluate_or_save(ae_engine *e) {
    const ae_status st = evaluate(e);
    if (st == AE_OK || st == AE_ERR_INTERRUPTED || e->state.step == 0) return st;
    char *why = strdup(ae_error_message());
    ae_status saved = save(e);
    if (saved == AE_OK) saved = all_saved(e);
    if (saved != AE_OK) ae_warn("step %lld is not saved: %s", (long long)e->state.step, ae_error_message());
    const ae_status failed = AE_FAIL(st, "%s", why ? why : "evaluation: out of memory");
    free(why);
    return failed;
}

/* The best so far is kept, whether its step has a checkpoint already or gets one now. */
static ae_status keep_best(ae_engine *e) {
    const ae_run_state *s = &e->state;
    if (!e->config->train.keep_best || s->best_step == 0 || s->best_step != s->step) return AE_OK;
    ae_status st = save(e);
    if (st == AE_OK) mark_best(e);
    return st;
}

/* ---- steps ---- */

/* Where the bad piece of work went, for the message; the caller frees *path. */
static ae_status dump(const ae_engine *e, const void *work, char **path) {
    char name[64];
    const ae_objective *o = &e->objective;
    snprintf(name, sizeof name, "bad-batch-step-%lld.h5", (long long)e->state.step);
    *path = o->dump ? ae_path_join(e->config->run.dir, name) : NULL;
    return o->dump ? o->dump(o->self, work, *path) : AE_OK;
}

static ae_status guard(ae_engine *e, const ae_step_result *r, const void *work) {
    ae_run_state *s = &e->state;
    const ae_gradients *g = &e->gradients;
    if (!r->skipped) {
        s->skipped_in_row = 0;
        return AE_OK;
    }
    s->skipped_in_row++;
    const char *why = g->empty ? g->empty : "its loss or gradient is not finite";
    ae_warn("step %lld is skipped: %s (%s %g, norm %g)", (long long)s->step, why, g->numbers.items[0].name,
            g->numbers.items[0].value, r->grad_norm);
    if (s->skipped_in_row < e->config->train.skip_limit) return AE_OK;
    const char *remedy = g->remedy  ? g->remedy
                         : g->empty ? "look at the data"
                                    : "lower optim.lr or look at the data";
    char *path = NULL;
    ae_status st = dump(e, work, &path);
    if (st == AE_OK)
        st = AE_FAIL(AE_ERR_GUARD,
                     "training: %lld step%s in a row %s skipped, the last one (%lld) because %s; %s%s%s%s",
                     (long long)s->skipped_in_row, ae_plural(s->skipped_in_row),
                     s->skipped_in_row == 1 ? "was" : "were", (long long)s->step, why,
                     path ? "its batch is in " : "", path ? path : "", path ? "; " : "", remedy);
    free(path);
    return st;
}

/* The run ends where a guard of the objective says so, with all steps up to here. */
static ae_status save_guarded(ae_engine *e) {
    char *why = strdup(ae_error_message());
    ae_status st = save(e);
    if (st == AE_OK) st = all_saved(e);
    if (st != AE_OK) ae_warn("step %lld is not saved: %s", (long long)e->state.step, ae_error_message());
    st = AE_FAIL(AE_ERR_GUARD, "%s", why ? why : "training: out of memory");
    free(why);
    return st;
}

/* All gradients of a step are there when ae_step_judge looks at them: it is where processes that share a
 * step will sum theirs. */
static ae_status learn(ae_engine *e, void *work, ae_step_result *r) {
    ae_status st = AE_OK;
    const ae_objective *o = &e->objective;
    const ae_schedule schedule = ae_train_schedule(e->config);
    const double lr = ae_schedule_lr(&schedule, e->state.step + 1);
    ae_numbers_clear(&e->gradients.numbers);
    e->gradients = (ae_gradients){.numbers = e->gradients.numbers};
    st = o->gradients(o->self, work, &e->gradients);
    if (st != AE_OK) return st == AE_ERR_GUARD ? save_guarded(e) : st;
    AE_TRY(e->be.sync(&e->be)); /* nothing of such a step goes into the weights */
    if (e->gradients.numbers.n == 0)
        AE_TRY(AE_FAIL(AE_ERR_DEFECT, "step %lld: expected a number of the objective's, found none",
                       (long long)e->state.step + 1));
    const double rate = e->gradients.rate > 0 ? e->gradients.rate : 1;
    *r = ae_step_judge(&e->optimizer, e->gradients.finite, lr * rate);
    ae_step_finish(&e->optimizer, r);
    if (o->settled) o->settled(o->self, work, !r->skipped);
    AE_TRY(e->be.sync(&e->be));
out:
    return st;
}

static ae_status one_step(ae_engine *e, ae_progress *bar) {
    ae_status st = AE_OK;
    char detail[160];
    void *work;
    ae_run_state *s = &e->state;
    ae_step_result r;
    const double start = ae_now_s();
    AE_TRY(ae_prefetch_next(e->prefetch, &work));
    AE_TRY(learn(e, work, &r));
    const double seconds = ae_now_s() - start;
    s->step++;
    s->tokens += e->gradients.tokens;
    AE_TRY(ae_report_step(e, &r, seconds));
    AE_TRY(guard(e, &r, work));
    ae_report_detail(detail, sizeof detail, e, &r, seconds);
    ae_progress_show(bar, s->step, detail);
out:
    return st;
}

/* ---- the run ---- */

static bool is_due(const ae_engine *e, int64_t every) {
    int64_t step = e->state.step;
    return step > 0 && (step == e->config->train.steps || (every > 0 && step % every == 0));
}

/* Step 0, where no line tells it yet. */
static bool is_untold_start(const ae_engine *e) {
    return e->objective.from_start && e->state.step == 0 && e->metrics.offset == 0;
}

static bool is_unevaluated(const ae_engine *e) {
    return ae_objective_evaluates(&e->objective) && e->state.evaluated_step != e->state.step &&
           is_due(e, e->config->train.eval_every);
}

static bool must_evaluate(const ae_engine *e) {
    if (*e->facts.stop || !ae_objective_evaluates(&e->objective)) return false;
    return is_untold_start(e) || is_unevaluated(e);
}

/* What comes between steps; also first thing after a resume, for an evaluation that the stop prevented. */
static ae_status between(ae_engine *e) {
    ae_status st = AE_OK;
    const ae_train_keys *t = &e->config->train;
    AE_TRY(ae_saver_check(e->saver));
    mark_best(e);
    if (is_due(e, t->checkpoint_every) || is_due(e, t->keep_every)) AE_TRY(save(e));
    AE_TRY(save_when_asked(e));
    if (must_evaluate(e)) {
        AE_TRY(evaluate_or_save(e));
        AE_TRY(keep_best(e));
    }
out:
    return st;
}

/* Nothing is left to do. */
static bool is_finished(const ae_engine *e) {
    const ae_run_state *s = &e->state;
    return s->step == e->config->train.steps &&
           (!ae_objective_evaluates(&e->objective) || s->evaluated_step == s->step);
}

/* A stop that came too late to leave anything undone is none. */
static ae_status stopped(ae_engine *e) {
    ae_status st = save(e);
    if (st == AE_OK) st = all_saved(e);
    if (st != AE_OK || is_finished(e)) return st;
    if (e->state.step == 0)
        return AE_FAIL(AE_ERR_INTERRUPTED, "stopped before the first step; the same command goes on");
    if (is_unevaluated(e))
        return AE_FAIL(AE_ERR_INTERRUPTED,
                       "stopped at step %lld of %lld, saved, before the end of its evaluation; the same "
                       "command evaluates it and goes on",
                       (long long)e->state.step, (long long)e->config->train.steps);
    return AE_FAIL(AE_ERR_INTERRUPTED, "stopped at step %lld of %lld, all saved; the same command goes on",
                   (long long)e->state.step, (long long)e->config->train.steps);
}

static ae_status all_steps(ae_engine *e, ae_progress *bar) {
    ae_status st = AE_OK;
    AE_TRY(between(e));
    while (e->state.step < e->config->train.steps && !*e->facts.stop) {
        AE_TRY(one_step(e, bar));
        AE_TRY(between(e));
    }
    AE_TRY(all_saved(e));
    AE_TRY(ae_metrics_sync(&e->metrics));
    AE_TRY(ae_events_sync(&e->events));
out:
    if (st == AE_ERR_INTERRUPTED || (st == AE_OK && *e->facts.stop)) return stopped(e);
    return st;
}

ae_status ae_loop_run(ae_engine *e) {
    ae_stop_actions before;
    ae_progress bar;
    ae_stop_catch(&before);
    ae_progress_init(&bar, "train", e->state.step, e->config->train.steps);
    ae_status st = all_steps(e, &bar);
    ae_progress_end(&bar);
    ae_stop_signals_restore(&before);
    return st;
}
