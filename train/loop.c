#include "train/loop.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/h5.h"
#include "core/log.h"
#include "core/process.h"
#include "train/checkpoint.h"
#include "train/report.h"
#include "train/samples.h"
#include "train/step.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- signals ---- */

static volatile sig_atomic_t stop_asked, insisted;

static void on_signal(int number) {
    static const char line[] = "\nstopping after this step; once more stops at once, without saving\n";
    const int before = errno;
    const bool insists = ae_stop_signal_insists(number);
    if (insisted && insists) _exit(AE_ERR_INTERRUPTED);
    insisted |= insists;
    if (!stop_asked && write(STDERR_FILENO, line, sizeof line - 1) < 0) { /* nobody to tell */
    }
    stop_asked = 1;
    errno = before;
}

/* ---- saving ---- */

/* A link needs its target: while that may still be on its way, the link stays where it is. */
static void mark_best(ae_run *run) {
    const int64_t best = run->state.best_step;
    const bool has_save = best != run->state.step || run->saved_step == best;
    if (!run->config->train.keep_best || run->marked_step == best || !has_save) return;
    if (ae_saver_is_busy(run->saver)) return;
    ae_run_mark_best(run);
}

static ae_status write_weights(void *run, const char *path) {
    return ae_model_save(&((ae_run *)run)->model, path);
}

static ae_status write_config(void *run, const char *path) {
    return ae_config_write(&((ae_run *)run)->config->table, path);
}

static ae_status write_state(void *run, const char *path) {
    return ae_run_state_write(&((ae_run *)run)->state, path);
}

static ae_status write_carry(void *run, const char *path) {
    return ae_carry_save(&((ae_run *)run)->carry, path);
}

static ae_status add_files(ae_run *run, ae_checkpoint_job *job) {
    ae_status st = AE_OK;
    char *shape = NULL;
    size_t n = 0;
    const void *tokenizer = run->tokenizer ? ae_tokenizer_bytes(run->tokenizer, &n) : NULL;
    AE_TRY(ae_checkpoint_add_later(job, "weights.h5", write_weights, run));
    AE_TRY(ae_model_config_to_json(&run->shape, &shape));
    AE_TRY(ae_checkpoint_add_bytes(job, "model.json", shape, strlen(shape)));
    AE_TRY(ae_checkpoint_add(job, "config.yaml", write_config, run));
    AE_TRY(ae_checkpoint_add(job, "state.json", write_state, run));
    if (tokenizer) AE_TRY(ae_checkpoint_add_bytes(job, "tokenizer.model", tokenizer, n));
    if (run->config->train.carry_state) AE_TRY(ae_checkpoint_add(job, "carry.h5", write_carry, run));
out:
    free(shape);
    return st;
}

/* What is small is written here, the rest by a thread while the run goes on. */
static ae_status start_checkpoint(ae_run *run) {
    ae_checkpoint_job job;
    const ae_checkpoint_keep keep = ae_run_keep(run);
    ae_status st = ae_checkpoint_begin(&job, run->config->run.dir, run->state.step, &keep);
    if (st == AE_OK) st = add_files(run, &job);
    if (st == AE_OK) return ae_saver_start(run->saver, &job);
    ae_checkpoint_give_up(&job);
    ae_checkpoint_job_free(&job);
    return st;
}

static ae_status save(ae_run *run) {
    ae_status st = AE_OK;
    ae_run_state *s = &run->state;
    if (run->saved_step == s->step) return AE_OK;
    AE_TRY(ae_saver_wait(run->saver));
    mark_best(run);
    AE_TRY(ae_metrics_sync(&run->metrics));
    AE_TRY(ae_events_sync(&run->events));
    s->metrics_offset = run->metrics.offset;
    s->events_offset = run->events.offset;
    free(s->loader);
    s->loader = NULL;
    AE_TRY(ae_loader_position(run->loader, &s->loader));
    AE_TRY(start_checkpoint(run));
    run->saved_step = s->step;
out:
    return st;
}

/* RUN/save.now asks for a checkpoint; it goes when there is one. */
static ae_status save_when_asked(ae_run *run) {
    ae_status st = AE_OK;
    char *path = ae_path_join(run->config->run.dir, "save.now");
    const bool asked = ae_path_exists(path);
    if (asked && !run->save_asked) AE_TRY(save(run));
    run->save_asked = asked && ae_saver_is_busy(run->saver);
    if (asked && !run->save_asked) {
        AE_TRY(ae_saver_wait(run->saver));
        remove(path);
    }
out:
    free(path);
    return st;
}

/* At the end of a run. */
static ae_status all_saved(ae_run *run) {
    ae_status st = ae_saver_wait(run->saver);
    if (st == AE_OK) mark_best(run);
    return st == AE_OK ? save_when_asked(run) : st;
}

/* ---- evaluating ---- */

static ae_status measure(ae_run *run, ae_perplexity *r) {
    ae_pass *pass = NULL;
    ae_pass_dims n = {.B = run->evaluation.B, .T = run->evaluation.T};
    ae_status st = ae_pass_new(&pass, &run->model, n, false);
    if (st == AE_OK) st = ae_perplexity_measure(r, &run->evaluation, &run->model, pass, &stop_asked);
    ae_pass_delete(pass);
    return st;
}

static ae_status evaluate(ae_run *run) {
    ae_perplexity r;
    ae_status st = measure(run, &r);
    if (st == AE_OK) st = ae_report_evaluation(run, &r);
    if (st == AE_OK) st = ae_sample_write(run, &stop_asked);
    return st;
}

/* The best so far is kept, whether its step has a checkpoint already or gets one now. */
static ae_status keep_best(ae_run *run) {
    const ae_run_state *s = &run->state;
    if (!run->config->train.keep_best || s->best_step != s->step) return AE_OK;
    ae_status st = save(run);
    if (st == AE_OK) mark_best(run);
    return st;
}

/* ---- steps ---- */

static ae_status write_batch(hid_t file, const char *path, const ae_batch *b) {
    ae_status st = AE_OK;
    const int64_t shape[] = {b->B, b->T};
    AE_TRY(ae_h5_write(file, path, "tokens", H5T_NATIVE_INT32, 2, shape, b->tokens));
    AE_TRY(ae_h5_write(file, path, "targets", H5T_NATIVE_INT32, 2, shape, b->targets));
    AE_TRY(ae_h5_write(file, path, "positions", H5T_NATIVE_INT32, 2, shape, b->positions));
    AE_TRY(ae_h5_write(file, path, "weights", H5T_NATIVE_FLOAT, 2, shape, b->weights));
out:
    return st;
}

/* The batch as it was given to the model; the caller frees *path. */
static ae_status dump_batch(const ae_run *run, const ae_batch *b, char **path) {
    char name[64];
    hid_t file = -1;
    snprintf(name, sizeof name, "bad-batch-step-%lld.h5", (long long)run->state.step);
    *path = ae_path_join(run->config->run.dir, name);
    ae_status st = ae_h5_create(&file, *path);
    if (st != AE_OK) return st;
    st = write_batch(file, *path, b);
    ae_status closed = ae_h5_close(file, *path);
    return st == AE_OK ? closed : st;
}

static ae_status guard(ae_run *run, const ae_step_result *r, const ae_batch *b) {
    ae_run_state *s = &run->state;
    if (!r->skipped) {
        s->skipped_in_row = 0;
        return AE_OK;
    }
    s->skipped_in_row++;
    const char *why =
        b->n_targets == 0 ? "its batch has no counted target" : "its loss or gradient is not finite";
    ae_warn("step %lld is skipped: %s (loss %g, norm %g)", (long long)s->step, why, r->loss, r->grad_norm);
    if (s->skipped_in_row < run->config->train.skip_limit) return AE_OK;
    char *path = NULL;
    ae_status st = dump_batch(run, b, &path);
    if (st == AE_OK)
        st = AE_FAIL(
            AE_ERR_GUARD,
            "training: %lld steps in a row were skipped, the last one (%lld) because %s; its batch is in %s; "
            "lower optim.lr or look at the data",
            (long long)s->skipped_in_row, (long long)s->step, why, path);
    free(path);
    return st;
}

/* Where rows carry their state, it is moved on; a step that did not come out finite leaves none. */
static ae_status train_on(ae_run *run, const ae_batch *batch, ae_step_result *r) {
    const ae_schedule schedule = ae_train_schedule(run->config);
    const double lr = ae_schedule_lr(&schedule, run->state.step + 1);
    const bool carries = run->config->train.carry_state;
    ae_batch own = *batch;
    if (carries) own = ae_carry_begin(&run->carry, batch);
    const double loss = ae_step_gradients_on(&run->model, run->pass, &own, run->plan.micro_rows,
                                             carries ? &run->carry.rows : NULL, NULL);
    const ae_status st = run->be.sync(&run->be); /* nothing of such a step goes into the weights */
    if (st != AE_OK) return st;
    *r = ae_step_update(&run->optimizer, loss, lr);
    if (carries) ae_carry_end(&run->carry, !r->skipped || batch->n_targets == 0);
    return run->be.sync(&run->be);
}

static ae_status one_step(ae_run *run, ae_progress *bar) {
    ae_status st = AE_OK;
    char detail[160];
    const ae_batch *batch;
    ae_run_state *s = &run->state;
    double start = ae_now_s();
    AE_TRY(ae_loader_next(run->loader, &batch));
    ae_step_result r;
    AE_TRY(train_on(run, batch, &r));
    double seconds = ae_now_s() - start;
    s->step++;
    s->tokens += batch->n_tokens;
    AE_TRY(ae_report_step(run, &r, batch->n_tokens, seconds));
    AE_TRY(guard(run, &r, batch));
    ae_report_detail(detail, sizeof detail, &r, (double)batch->n_tokens / seconds);
    ae_progress_show(bar, s->step, detail);
out:
    return st;
}

/* ---- the run ---- */

static bool is_due(const ae_run *run, int64_t every) {
    int64_t step = run->state.step;
    return step > 0 && (step == run->config->train.steps || (every > 0 && step % every == 0));
}

/* What comes between steps; also first thing after a resume, for an evaluation that the stop prevented. */
static ae_status between(ae_run *run) {
    ae_status st = AE_OK;
    const ae_train_keys *t = &run->config->train;
    AE_TRY(ae_saver_check(run->saver));
    mark_best(run);
    if (is_due(run, t->checkpoint_every) || is_due(run, t->keep_every)) AE_TRY(save(run));
    AE_TRY(save_when_asked(run));
    bool evaluated = run->state.evaluated_step == run->state.step;
    if (!stop_asked && run->heldout && !evaluated && is_due(run, t->eval_every)) {
        AE_TRY(evaluate(run));
        AE_TRY(keep_best(run));
    }
out:
    return st;
}

/* Nothing is left to do. */
static bool is_finished(const ae_run *run) {
    const ae_run_state *s = &run->state;
    return s->step == run->config->train.steps && (!run->heldout || s->evaluated_step == s->step);
}

/* A stop that came too late to leave anything undone is none. */
static ae_status stopped(ae_run *run) {
    ae_status st = save(run);
    if (st == AE_OK) st = all_saved(run);
    if (st != AE_OK || is_finished(run)) return st;
    return AE_FAIL(AE_ERR_INTERRUPTED, "stopped at step %lld of %lld, all saved; the same command goes on",
                   (long long)run->state.step, (long long)run->config->train.steps);
}

static ae_status all_steps(ae_run *run, ae_progress *bar) {
    ae_status st = AE_OK;
    AE_TRY(between(run));
    while (run->state.step < run->config->train.steps && !stop_asked) {
        AE_TRY(one_step(run, bar));
        AE_TRY(between(run));
    }
    AE_TRY(all_saved(run));
    AE_TRY(ae_metrics_sync(&run->metrics));
    AE_TRY(ae_events_sync(&run->events));
out:
    if (st == AE_ERR_INTERRUPTED || (st == AE_OK && stop_asked)) return stopped(run);
    return st;
}

ae_status ae_loop_run(ae_run *run) {
    ae_stop_actions before;
    ae_progress bar;
    stop_asked = insisted = 0;
    ae_stop_signals_catch(on_signal, SA_RESTART, &before);
    ae_progress_init(&bar, "train", run->state.step, run->config->train.steps);
    ae_status st = all_steps(run, &bar);
    ae_progress_end(&bar);
    ae_stop_signals_restore(&before);
    return st;
}
