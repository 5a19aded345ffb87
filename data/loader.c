#include "data/loader.h"

#include "core/threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Batches 0, 1, ... go round a ring. The caller holds number `handed` - 1, the thread is ahead by up to RING - 1 of them. */
enum { RING = 4 };

typedef struct {
    ae_batch batch;
    char *position; /* after it */
} slot;

struct ae_loader {
    ae_row_source source;
    char *at_start; /* the position before the first batch */
    slot ring[RING];

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t made, handed; /* under the lock, like all below */
    bool stop;
    ae_status failure;
    char message[AE_MESSAGE_BYTES];
};

static ae_status make_batch(ae_loader *l, slot *s) {
    free(s->position);
    s->position = NULL;
    s->batch.n_tokens = s->batch.n_targets = 0;
    const ae_status st = l->source.fill(l->source.self, &s->batch);
    return st == AE_OK ? l->source.position(l->source.self, &s->position) : st;
}

static bool wait_for_room(ae_loader *l) {
    pthread_mutex_lock(&l->lock);
    while (!l->stop && l->made - l->handed >= RING - 1) pthread_cond_wait(&l->changed, &l->lock);
    const bool go_on = !l->stop;
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

static void *make_batches(void *loader) {
    ae_loader *l = loader;
    ae_status st = AE_OK;
    while (st == AE_OK && wait_for_room(l)) {
        st = make_batch(l, &l->ring[l->made % RING]);
        pthread_mutex_lock(&l->lock);
        l->made += st == AE_OK;
        l->failure = st;
        if (st != AE_OK) snprintf(l->message, sizeof l->message, "%s", ae_error_message());
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
    }
    return NULL;
}

static ae_status make_ring(ae_loader *l) {
    ae_status st = AE_OK;
    for (int i = 0; i < RING && st == AE_OK; i++)
        st = ae_batch_init(&l->ring[i].batch, l->source.B, l->source.T);
    return st;
}

/* Signals are for the thread that runs the training. */
static ae_status start_thread(ae_loader *l) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = ae_thread_start(&l->thread, make_batches, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    l->has_thread = error == 0;
    return error ? AE_FAIL(AE_ERR_RESOURCE, "loader: no thread: %s", strerror(error)) : AE_OK;
}

static ae_status begin(ae_loader *l, int64_t first_step, const char *position) {
    ae_status st = AE_OK;
    if (first_step < 1)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "loader: expected a first step of 1 or more, found %lld",
                       (long long)first_step));
    AE_TRY(l->source.begin(l->source.self, first_step, position));
    AE_TRY(l->source.position(l->source.self, &l->at_start));
    AE_TRY(make_ring(l));
    AE_TRY(start_thread(l));
out:
    return st;
}

ae_status ae_loader_start(ae_loader **loader, ae_row_source source, int64_t first_step,
                          const char *position) {
    *loader = NULL;
    ae_loader *l = calloc(1, sizeof *l);
    if (!l) {
        ae_row_source_free(&source);
        return AE_FAIL(AE_ERR_RESOURCE, "loader: out of memory");
    }
    l->source = source;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    const ae_status st = begin(l, first_step, position);
    if (st == AE_OK)
        *loader = l;
    else
        ae_loader_stop(l);
    return st;
}

ae_status ae_loader_next(ae_loader *l, const ae_batch **batch) {
    ae_status st = AE_OK;
    *batch = NULL;
    pthread_mutex_lock(&l->lock);
    while (l->made == l->handed && l->failure == AE_OK) pthread_cond_wait(&l->changed, &l->lock);
    if (l->made > l->handed)
        *batch = &l->ring[l->handed++ % RING].batch;
    else
        st = AE_FAIL(l->failure, "%s", l->message);
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    return st;
}

/* The slot of the batch that the caller holds is not the thread's. */
ae_status ae_loader_position(const ae_loader *l, char **json) {
    *json = strdup(l->handed == 0 ? l->at_start : l->ring[(l->handed - 1) % RING].position);
    return *json ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "data position: out of memory");
}

void ae_loader_stop(ae_loader *l) {
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (l->has_thread) pthread_join(l->thread, NULL);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    for (int i = 0; i < RING; i++) {
        ae_batch_free(&l->ring[i].batch);
        free(l->ring[i].position);
    }
    ae_row_source_free(&l->source);
    free(l->at_start);
    free(l);
}
