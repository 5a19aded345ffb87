#include "train/prefetch.h"

#include "core/threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pieces 0, 1, ... go round a ring. The caller holds number `handed` - 1, the thread is ahead by all
 * others. */
struct ae_prefetch {
    ae_objective objective; /* a copy */
    void *ring[AE_PREFETCH_PIECES];
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t made, handed; /* under the lock, like all below */
    bool stop;
    ae_status failure;
    char message[AE_MESSAGE_BYTES];
};

static bool wait_for_room(ae_prefetch *p) {
    pthread_mutex_lock(&p->lock);
    while (!p->stop && p->made - p->handed >= AE_PREFETCH_PIECES - 1)
        pthread_cond_wait(&p->changed, &p->lock);
    const bool go_on = !p->stop;
    pthread_mutex_unlock(&p->lock);
    return go_on;
}

static void *make_pieces(void *prefetch) {
    ae_prefetch *p = prefetch;
    ae_status st = AE_OK;
    while (st == AE_OK && wait_for_room(p)) {
        st = p->objective.next(p->objective.self, p->ring[p->made % AE_PREFETCH_PIECES]);
        pthread_mutex_lock(&p->lock);
        p->made += st == AE_OK;
        p->failure = st;
        if (st != AE_OK) snprintf(p->message, sizeof p->message, "%s", ae_error_message());
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

/* Signals are for the thread that runs the training. */
static ae_status start_thread(ae_prefetch *p) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = ae_thread_start(&p->thread, make_pieces, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    p->has_thread = error == 0;
    return error ? AE_FAIL(AE_ERR_RESOURCE, "work: no thread: %s", strerror(error)) : AE_OK;
}

static ae_status new_piece(const ae_objective *o, void **piece) {
    if (o->new_work) return o->new_work(o->self, piece);
    *piece = calloc(1, o->piece_bytes);
    return *piece ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "work: out of memory");
}

ae_status ae_prefetch_start(ae_prefetch **prefetch, const ae_objective *objective) {
    ae_status st = AE_OK;
    *prefetch = NULL;
    ae_prefetch *p = calloc(1, sizeof *p);
    if (!p) return AE_FAIL(AE_ERR_RESOURCE, "work: out of memory");
    p->objective = *objective;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    for (int i = 0; i < AE_PREFETCH_PIECES; i++) AE_TRY(new_piece(objective, &p->ring[i]));
    AE_TRY(start_thread(p));
    *prefetch = p;
out:
    if (st != AE_OK) ae_prefetch_stop(p);
    return st;
}

ae_status ae_prefetch_next(ae_prefetch *p, void **work) {
    ae_status st = AE_OK;
    *work = NULL;
    pthread_mutex_lock(&p->lock);
    while (p->made == p->handed && p->failure == AE_OK) pthread_cond_wait(&p->changed, &p->lock);
    if (p->made > p->handed)
        *work = p->ring[p->handed++ % AE_PREFETCH_PIECES];
    else
        st = AE_FAIL(p->failure, "%s", p->message);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return st;
}

void ae_prefetch_stop(ae_prefetch *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (p->has_thread) pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    for (int i = 0; i < AE_PREFETCH_PIECES; i++) {
        if (p->objective.free_work)
            p->objective.free_work(p->objective.self, p->ring[i]);
        else
            free(p->ring[i]);
    }
    free(p);
}
