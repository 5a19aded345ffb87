#include "data/loader.h"

#include "core/json.h"
#include "core/rng.h"
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
    int64_t taken[AE_LOADER_SETS_MAX]; /* rows from each set, this batch included */
} slot;

struct ae_loader {
    const ae_mixture *mixture;
    ae_loader_options o;
    uint64_t order_seed;
    int64_t step;                         /* the thread's next one */
    int64_t taken[AE_LOADER_SETS_MAX];    /* rows from each set before it */
    int64_t at_start[AE_LOADER_SETS_MAX]; /* the same before the first batch */
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

static const ae_phase *phase_at(const ae_mixture *m, int64_t step) {
    const ae_phase *p = m->phases;
    for (size_t i = 1; i < m->n_phases && m->phases[i].from_step <= step; i++) p = &m->phases[i];
    return p;
}

/* Row g falls on the point g * golden ratio mod 1, so that every stretch of rows holds the sets in proportion to their weights. */
static size_t draw_set(const ae_phase *p, size_t n_sets, int64_t g) {
    const double u = (double)(((uint64_t)g * UINT64_C(0x9E3779B97F4A7C15)) >> 11) * 0x1p-53;
    double total = 0, sum = 0;
    for (size_t i = 0; i < n_sets; i++) total += p->weight[i];
    size_t last = 0;
    for (size_t i = 0; i < n_sets; i++) {
        if (p->weight[i] <= 0) continue;
        last = i;
        sum += p->weight[i];
        if (u * total < sum) return i;
    }
    return last;
}

static bool has_one_set(const ae_phase *p, size_t n_sets) {
    size_t n = 0;
    for (size_t i = 0; i < n_sets; i++) n += p->weight[i] > 0;
    return n == 1;
}

/* Rows that steps 1 to `step` - 1 take from each set. */
static void count_taken(const ae_loader *l, int64_t step, int64_t *taken) {
    const ae_mixture *m = l->mixture;
    for (size_t i = 0; i < m->n_phases; i++) {
        const ae_phase *p = &m->phases[i];
        const int64_t end_step = i + 1 < m->n_phases && p[1].from_step < step ? p[1].from_step : step;
        const int64_t begin = (p->from_step - 1) * l->o.rows, end = (end_step - 1) * l->o.rows;
        if (begin >= end) break;
        if (has_one_set(p, m->n_sets)) {
            taken[draw_set(p, m->n_sets, 0)] += end - begin;
        } else {
            for (int64_t g = begin; g < end; g++) taken[draw_set(p, m->n_sets, g)]++;
        }
    }
}

static int64_t ordered_row(const ae_loader *l, size_t set, int64_t taken, int64_t n_rows) {
    const int64_t epoch = taken / n_rows, index = taken % n_rows;
    if (!l->o.shuffle) return index;
    const uint64_t stream = (uint64_t)set << 40 | (uint64_t)epoch;
    return (int64_t)ae_rng_permute(l->order_seed, stream, (uint64_t)n_rows, (uint64_t)index);
}

static ae_status fill_from_streams(ae_loader *l, slot *s) {
    ae_status st = AE_OK;
    for (ptrdiff_t b = 0; b < l->o.rows && st == AE_OK; b++)
        st = ae_stream_read(l->mixture->sets[0], l->taken[0] / l->o.rows, &s->batch, b);
    l->taken[0] += l->o.rows;
    return st;
}

static ae_status fill_from_sets(ae_loader *l, slot *s) {
    const ae_mixture *m = l->mixture;
    const ae_phase *p = phase_at(m, l->step);
    for (ptrdiff_t b = 0; b < l->o.rows; b++) {
        const size_t set = draw_set(p, m->n_sets, (l->step - 1) * l->o.rows + b);
        const int64_t n_rows = ae_rows_in_set(ae_token_set_tokens(m->sets[set]), l->o.row_tokens);
        const int64_t row = ordered_row(l, set, l->taken[set]++, n_rows);
        const ae_status st = ae_row_read(m->sets[set], row, &s->batch, b);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

static ae_status make_batch(ae_loader *l, slot *s) {
    s->batch.n_tokens = s->batch.n_targets = 0;
    const ae_status st = l->o.streams ? fill_from_streams(l, s) : fill_from_sets(l, s);
    memcpy(s->taken, l->taken, sizeof s->taken);
    l->step++;
    return st;
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

/* Positions are 32-bit numbers, and here they count as far as a document goes. */
static ae_status check_documents(const ae_token_set *s, int64_t stream_tokens) {
    const int64_t *starts = ae_token_set_doc_starts(s);
    if (stream_tokens <= INT32_MAX) return AE_OK;
    for (int64_t d = 0; d < ae_token_set_documents(s); d++)
        if (starts[d + 1] - starts[d] > INT32_MAX)
            return AE_FAIL(
                AE_ERR_INPUT,
                "%s: document %lld: expected at most %d tokens where rows carry their state, found "
                "%lld; leave out train.carry_state",
                ae_token_set_path(s), (long long)d, INT32_MAX, (long long)(starts[d + 1] - starts[d]));
    return AE_OK;
}

static ae_status check_streams(const ae_mixture *m, const ae_loader_options *o) {
    const int64_t n = ae_token_set_tokens(m->sets[0]);
    ae_status st = ae_mixture_check_streams(m);
    if (st == AE_OK && o->shuffle)
        st = AE_FAIL(AE_ERR_USAGE, "loader: expected rows in file order where they carry their state");
    if (st == AE_OK && n - 1 < o->rows)
        st =
            AE_FAIL(AE_ERR_INPUT,
                    "%s: expected more tokens than the %td streams that carry their state, found %lld; lower "
                    "train.batch_rows",
                    ae_token_set_path(m->sets[0]), o->rows, (long long)n);
    return st == AE_OK ? check_documents(m->sets[0], ae_stream_of(n, o->rows, 0).tokens) : st;
}

static ae_status check_options(const ae_mixture *m, const ae_loader_options *o, int64_t first_step) {
    if (o->rows < 1 || o->row_tokens < 1 || first_step < 1 || m->n_sets == 0 || m->n_phases == 0)
        return AE_FAIL(AE_ERR_USAGE,
                       "loader: expected rows, tokens, a step and token sets, found none of one of them");
    for (size_t i = 0; i < m->n_sets; i++)
        if (ae_rows_in_set(ae_token_set_tokens(m->sets[i]), o->row_tokens) == 0)
            return AE_FAIL(AE_ERR_INPUT, "%s: expected at least 2 tokens to train on, found %lld",
                           ae_token_set_path(m->sets[i]), (long long)ae_token_set_tokens(m->sets[i]));
    return o->streams ? check_streams(m, o) : AE_OK;
}

static ae_status read_position(ae_loader *l, const char *text) {
    json_t *root = NULL;
    ae_status st = ae_json_parse(&root, text, strlen(text), "data position");
    if (st != AE_OK) return st;
    const json_t *rows = json_object_get(root, "rows");
    if (json_array_size(rows) != l->mixture->n_sets)
        st = AE_FAIL(AE_ERR_INPUT,
                     "data position: expected rows of %zu token sets, found %zu; data.train has changed",
                     l->mixture->n_sets, json_array_size(rows));
    for (size_t i = 0; i < l->mixture->n_sets && st == AE_OK; i++) {
        l->taken[i] = json_integer_value(json_array_get(rows, i));
        if (!json_is_integer(json_array_get(rows, i)) || l->taken[i] < 0)
            st = AE_FAIL(AE_ERR_INPUT,
                         "data position: expected whole numbers of rows, found something else at %zu", i);
    }
    json_decref(root);
    return st;
}

static ae_status make_ring(ae_loader *l) {
    ae_status st = AE_OK;
    for (int i = 0; i < RING && st == AE_OK; i++)
        st = ae_batch_init(&l->ring[i].batch, l->o.rows, l->o.row_tokens);
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

ae_status ae_loader_start(ae_loader **loader, const ae_mixture *m, const ae_loader_options *o,
                          int64_t first_step, const char *position_json) {
    *loader = NULL;
    ae_status st = check_options(m, o, first_step);
    if (st != AE_OK) return st;
    ae_loader *l = calloc(1, sizeof *l);
    if (!l) return AE_FAIL(AE_ERR_RESOURCE, "loader: out of memory");
    l->mixture = m;
    l->o = *o;
    l->order_seed = ae_rng_hash(o->seed, "data.rows");
    l->step = first_step;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    if (position_json)
        st = read_position(l, position_json);
    else
        count_taken(l, first_step, l->taken);
    memcpy(l->at_start, l->taken, sizeof l->taken);
    if (st == AE_OK) st = make_ring(l);
    if (st == AE_OK) st = start_thread(l);
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

static ae_status tell_position(const int64_t *taken, size_t n_sets, char **json) {
    json_t *rows = json_array();
    for (size_t i = 0; i < n_sets; i++) json_array_append_new(rows, json_integer(taken[i]));
    json_t *root = json_pack("{s:o}", "rows", rows);
    *json = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return *json ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "data position: out of memory");
}

ae_status ae_loader_position(const ae_loader *l, char **json) {
    const int64_t *taken = l->handed ? l->ring[(l->handed - 1) % RING].taken : l->at_start;
    return tell_position(taken, l->mixture->n_sets, json);
}

ae_status ae_loader_beginning(const ae_mixture *m, char **json) {
    static const int64_t none[AE_LOADER_SETS_MAX];
    return tell_position(none, m->n_sets, json);
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
    for (int i = 0; i < RING; i++) ae_batch_free(&l->ring[i].batch);
    free(l);
}
