#include "train/saver.h"

#include "core/threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ae_saver {
    ae_optimizer *optimizer;
    ae_checkpoint_job job;
    pthread_t thread;
    bool has_thread; /* to be joined */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    ptrdiff_t written; /* parameters that may change; under the lock, like all below */
    bool busy;
    ae_status failure;
    char message[AE_MESSAGE_BYTES];
};

static void set_written(ae_saver *s, ptrdiff_t n) {
    pthread_mutex_lock(&s->lock);
    s->written = n;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void on_written(void *saver, ptrdiff_t i) {
    set_written(saver, i + 1);
}

/* The optimiser's: returns when parameter i may change. */
static void wait_for_written(void *saver, ptrdiff_t i) {
    ae_saver *s = saver;
    pthread_mutex_lock(&s->lock);
    while (s->busy && s->written <= i) pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void *write_checkpoint(void *saver) {
    ae_saver *s = saver;
    const ae_status st = ae_checkpoint_write(&s->job, (ae_optimizer_call){on_written, s});
    pthread_mutex_lock(&s->lock);
    s->failure = st;
    if (st != AE_OK) snprintf(s->message, sizeof s->message, "%s", ae_error_message());
    s->busy = false;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

ae_status ae_saver_new(ae_saver **saver, ae_optimizer *optimizer) {
    ae_saver *s = calloc(1, sizeof *s);
    *saver = s;
    if (!s) return AE_FAIL(AE_ERR_RESOURCE, "saver of checkpoints: out of memory");
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->optimizer = optimizer;
    optimizer->before = (ae_optimizer_call){wait_for_written, s};
    return AE_OK;
}

bool ae_saver_is_busy(ae_saver *s) {
    pthread_mutex_lock(&s->lock);
    const bool busy = s->busy;
    pthread_mutex_unlock(&s->lock);
    return busy;
}

ae_status ae_saver_wait(ae_saver *s) {
    if (!s->has_thread) return AE_OK;
    pthread_join(s->thread, NULL);
    s->has_thread = false;
    ae_checkpoint_job_free(&s->job);
    return s->failure == AE_OK ? AE_OK : AE_FAIL(s->failure, "%s", s->message);
}

ae_status ae_saver_check(ae_saver *s) {
    return ae_saver_is_busy(s) ? AE_OK : ae_saver_wait(s);
}

/* Signals are for the thread that runs the training. */
static ae_status start_thread(ae_saver *s) {
    sigset_t all, before;
    sigfillset(&all);
    s->written = 0;
    s->busy = true;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = ae_thread_start(&s->thread, write_checkpoint, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->has_thread = error == 0;
    if (!error) return AE_OK;
    s->busy = false;
    return AE_FAIL(AE_ERR_RESOURCE, "saver of checkpoints: no thread: %s", strerror(error));
}

ae_status ae_saver_start(ae_saver *s, ae_checkpoint_job *job) {
    ae_status st = ae_saver_wait(s);
    s->job = *job;
    *job = (ae_checkpoint_job){0};
    s->job.optimizer = *s->optimizer;
    if (st == AE_OK) st = start_thread(s);
    if (st == AE_OK) return st;
    ae_checkpoint_give_up(&s->job);
    ae_checkpoint_job_free(&s->job);
    return st;
}

void ae_saver_delete(ae_saver *s) {
    if (!s) return;
    if (s->has_thread) pthread_join(s->thread, NULL);
    ae_checkpoint_job_free(&s->job);
    s->optimizer->before = (ae_optimizer_call){0};
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
