#include "eval/likelihoods.h"

#include "model/logits.h"
#include "ops/linear.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Tokens of a continuation that are read together when it is read alone. */
enum { PIECE_TOKENS = 512 };

/* Continuations of `width` tokens, the last one not counted, wait here until as many are there as are read side
 * by side. Shorter ones are filled up: what follows a place does not reach it. */
typedef struct {
    ptrdiff_t width, room, n;
    ae_decode_state state; /* made when it is first used */
    int32_t tokens[AE_LINEAR_EACH];
    ptrdiff_t requests[AE_LINEAR_EACH];
} pool;

static const ptrdiff_t widths[] = {1, 2, 3, 4, 6, 8, 12, 16, 21, AE_LINEAR_EACH / 2};
enum { POOLS = sizeof widths / sizeof *widths };

typedef struct {
    const ae_model *model;
    const ae_likelihood_request *requests;
    const ae_likelihood_options *options;
    ptrdiff_t n;
    ptrdiff_t *order;     /* [n]: requests by context, then by continuation */
    ae_prompt *contexts;  /* [n]: of the requests in order, or each context once */
    ae_likelihood *found; /* [n]: sums so far */
    ae_decoder *decoder;
    ae_prefix_walk *walk;
    ae_decode_state after; /* of two sequences: behind a context, and what a long continuation makes of it */
    pool pools[POOLS];
    float *logits;     /* [AE_LINEAR_EACH, V] */
    int64_t read;      /* tokens, beside those of the walk */
    ptrdiff_t longest; /* of the requests, in tokens */
} run;

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "likelihoods: out of memory");
}

static ae_status check(const run *r) {
    return r->options->check ? r->options->check(r->options->context) : AE_OK;
}

/* ---- from logits to log-probabilities ---- */

typedef struct {
    double logprob;
    bool likeliest;
} target;

static target target_of(const float *logits, ptrdiff_t V, int32_t id) {
    const float top = ae_logit_top(logits, V), x = logits[id];
    if (!(fabsf(top) <= AE_LOGIT_STEEPEST)) return (target){(double)NAN, false};
    const ae_logit_law law = ae_logit_law_of((double)top, 1);
    const double sum = ae_logit_exp_sum(NULL, logits, V, &law);
    ptrdiff_t first = 0;
    while (first < V && !(logits[first] >= top)) first++;
    return (target){(double)x - ((double)top + log(sum)), first == id};
}

/* Place after place of one continuation: logits [rows, V] and the tokens that come there. */
static ae_status add_targets(run *r, ptrdiff_t request, const float *logits, const int32_t *ids,
                             ptrdiff_t rows) {
    const ptrdiff_t V = r->model->config.V;
    target t[AE_LINEAR_EACH];
    assert(rows <= AE_LINEAR_EACH);
#pragma omp parallel for num_threads(r->model->be->threads) schedule(dynamic)
    for (ptrdiff_t i = 0; i < rows; i++) t[i] = target_of(logits + i * V, V, ids[i]);
    ae_likelihood *l = &r->found[request];
    for (ptrdiff_t i = 0; i < rows; i++) {
        l->logprob += t[i].logprob;
        l->greedy = l->greedy && t[i].likeliest;
        l->tokens++;
    }
    if (isfinite(l->logprob)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "likelihoods: expected a log-probability, found none: the numbers inside the "
                   "model overflow; are these its weights?");
}

static ae_status fetch(run *r, ptrdiff_t first, ptrdiff_t rows) {
    ae_decoder_place_logits(r->decoder, first, rows, r->logits);
    return r->model->be->sync(r->model->be);
}

/* Places from `first` on of what was read last are followed by ids [n]. */
static ae_status add_places(run *r, ptrdiff_t request, ptrdiff_t first, const int32_t *ids, ptrdiff_t n) {
    ae_status st = AE_OK;
    for (ptrdiff_t i = 0, rows; st == AE_OK && i < n; i += rows) {
        rows = ae_min(AE_LINEAR_EACH, n - i);
        st = fetch(r, first + i, rows);
        if (st == AE_OK) st = add_targets(r, request, r->logits, ids + i, rows);
    }
    return st;
}

static ae_status finish(const run *r, ptrdiff_t request) {
    return r->options->done(r->options->context, request, &r->found[request]);
}

/* ---- continuations ---- */

static pool *pool_for(run *r, ptrdiff_t inputs) {
    for (size_t i = 0; i < POOLS; i++)
        if (inputs <= widths[i]) return &r->pools[i];
    return NULL;
}

static ae_status empty_pool(run *r, pool *p) {
    const ptrdiff_t n = p->n;
    ae_status st = n > 0 ? check(r) : AE_OK;
    if (st != AE_OK || n == 0) return st;
    st = ae_decoder_read(r->decoder, &p->state, 0, n, p->tokens, p->width);
    r->read += n * p->width;
    p->n = 0;
    for (ptrdiff_t i = 0; st == AE_OK && i < n; i++) {
        const ae_likelihood_request *q = &r->requests[p->requests[i]];
        st = add_places(r, p->requests[i], i * p->width, q->continuation + 1, q->n_continuation - 1);
        if (st == AE_OK) st = finish(r, p->requests[i]);
    }
    return st;
}

static ae_status join_pool(run *r, pool *p, ptrdiff_t request) {
    const ae_likelihood_request *q = &r->requests[request];
    if (!p->state.model) {
        const ae_status st = ae_decode_state_init(&p->state, r->model, p->room);
        if (st != AE_OK) return st;
    }
    const ae_status st = ae_decode_state_copy(&p->state, p->n, &r->after, 0);
    if (st != AE_OK) return st;
    for (ptrdiff_t t = 0; t < p->width; t++)
        p->tokens[p->n * p->width + t] = q->continuation[ae_min(t, q->n_continuation - 1)];
    p->requests[p->n++] = request;
    return p->n == p->room ? empty_pool(r, p) : AE_OK;
}

static ae_status read_long(run *r, ptrdiff_t request) {
    const ae_likelihood_request *q = &r->requests[request];
    const ptrdiff_t inputs = q->n_continuation - 1;
    ae_status st = ae_decode_state_copy(&r->after, 1, &r->after, 0);
    for (ptrdiff_t at = 0, n; st == AE_OK && at < inputs; at += n) {
        n = ae_min(PIECE_TOKENS, inputs - at);
        st = check(r);
        if (st == AE_OK) st = ae_decoder_read(r->decoder, &r->after, 1, 1, q->continuation + at, n);
        if (st != AE_OK) break;
        r->read += n;
        st = add_places(r, request, 0, q->continuation + at + 1, n);
    }
    return st == AE_OK ? finish(r, request) : st;
}

/* A request whose context has been read, with the logits behind it. */
static ae_status continue_with(run *r, ptrdiff_t request, const float *behind) {
    const ae_likelihood_request *q = &r->requests[request];
    const ptrdiff_t inputs = q->n_continuation - 1;
    r->found[request] = (ae_likelihood){.greedy = true};
    ae_status st = add_targets(r, request, behind, q->continuation, 1);
    if (st != AE_OK) return st;
    if (inputs == 0) return finish(r, request);
    pool *p = pool_for(r, inputs);
    return p ? join_pool(r, p, request) : read_long(r, request);
}

/* ---- contexts ---- */

static ae_prompt context_of(const ae_likelihood_request *q) {
    return (ae_prompt){q->context, q->n_context};
}

/* Requests of one context, from place i of the order on. */
static ptrdiff_t count_same(const run *r, ptrdiff_t i) {
    const ae_prompt first = context_of(&r->requests[r->order[i]]);
    ptrdiff_t n = 1;
    for (; !r->options->alone && i + n < r->n; n++) {
        const ae_prompt next = context_of(&r->requests[r->order[i + n]]);
        if (ae_prompt_compare(&first, &next) != 0) break;
    }
    return n;
}

/* The rest of a context; the logits behind it go to `behind`. */
static ae_status read_rest(run *r, const ae_prompt *p, float *behind) {
    const ptrdiff_t paged = ae_prompt_paged(p), rest = p->n - paged;
    const ae_status st = ae_decoder_read(r->decoder, &r->after, 0, 1, p->ids + paged, rest);
    if (st != AE_OK) return st;
    r->read += rest;
    ae_decoder_place_logits(r->decoder, rest - 1, 1, behind);
    return r->model->be->sync(r->model->be);
}

static ae_status run_context(run *r, ptrdiff_t i, ptrdiff_t n, float *behind) {
    const ae_prompt p = context_of(&r->requests[r->order[i]]);
    ae_status st = check(r);
    if (st == AE_OK) st = ae_prefix_walk_next(r->walk, &r->after, 0);
    if (st == AE_OK) st = read_rest(r, &p, behind);
    for (ptrdiff_t k = 0; st == AE_OK && k < n; k++) st = continue_with(r, r->order[i + k], behind);
    return st;
}

static ae_status run_all(run *r, float *behind) {
    ae_status st = AE_OK;
    for (ptrdiff_t i = 0, n; st == AE_OK && i < r->n; i += n) {
        n = count_same(r, i);
        st = run_context(r, i, n, behind);
    }
    for (size_t i = 0; st == AE_OK && i < POOLS; i++) st = empty_pool(r, &r->pools[i]);
    return st;
}

/* ---- the run ---- */

static int by_tokens(const void *a, const void *b) {
    const ae_likelihood_request *x = *(const ae_likelihood_request *const *)a,
                                *y = *(const ae_likelihood_request *const *)b;
    const ae_prompt cx = context_of(x), cy = context_of(y);
    const int contexts = ae_prompt_compare(&cx, &cy);
    if (contexts != 0) return contexts;
    return (x > y) - (x < y);
}

static ae_status sort_requests(run *r) {
    const size_t n = (size_t)r->n;
    const ae_likelihood_request **sorted = malloc((n + 1) * sizeof *sorted);
    r->order = malloc((n + 1) * sizeof *r->order);
    r->contexts = malloc((n + 1) * sizeof *r->contexts);
    r->found = calloc(n + 1, sizeof *r->found);
    if (sorted && r->order && r->contexts && r->found) {
        for (size_t i = 0; i < n; i++) sorted[i] = &r->requests[i];
        qsort(sorted, n, sizeof *sorted, by_tokens);
        for (size_t i = 0; i < n; i++) r->order[i] = sorted[i] - r->requests;
    }
    const bool fine = sorted && r->order && r->contexts && r->found;
    free(sorted);
    return fine ? AE_OK : out_of_memory();
}

/* The walk goes over each context once. */
static ae_status start_walk(run *r) {
    ptrdiff_t n = 0;
    for (ptrdiff_t i = 0; i < r->n; i += count_same(r, i))
        r->contexts[n++] = context_of(&r->requests[r->order[i]]);
    const ae_prefix_options how = {
        .states = r->options->alone ? 0 : ae_states_that_fit(r->model, r->longest, AE_PREFIX_STATES),
        .check = r->options->check,
        .context = r->options->context};
    return ae_prefix_walk_new(&r->walk, r->model, r->decoder, r->contexts, n, &how);
}

static ae_status make_pools(run *r) {
    const ptrdiff_t batch =
        r->options->batch > 0 ? ae_min(r->options->batch, AE_LINEAR_EACH) : AE_LINEAR_EACH;
    const ae_status st = ae_decoder_new(&r->decoder, r->model, AE_LINEAR_EACH, PIECE_TOKENS);
    if (st != AE_OK) return st;
    for (size_t i = 0; i < POOLS; i++) {
        const ptrdiff_t most = ae_min(batch, ae_decoder_together(r->decoder, widths[i]));
        r->pools[i].width = widths[i];
        r->pools[i].room = ae_min(most, ae_max(1, ae_states_that_fit(r->model, r->longest, 1 << 20) / POOLS));
    }
    return AE_OK;
}

static void end_run(run *r) {
    ae_prefix_walk_delete(r->walk);
    ae_decoder_delete(r->decoder);
    ae_decode_state_free(&r->after);
    for (size_t i = 0; i < POOLS; i++) ae_decode_state_free(&r->pools[i].state);
    free(r->order);
    free(r->contexts);
    free(r->found);
    free(r->logits);
}

static void count_cost(ae_likelihood_cost *cost, const run *r) {
    if (!cost) return;
    *cost = (ae_likelihood_cost){.read = r->read + ae_prefix_walk_read(r->walk)};
    for (ptrdiff_t i = 0; i < r->n; i++)
        cost->asked += r->requests[i].n_context + r->requests[i].n_continuation - 1;
}

ae_status ae_likelihoods(const ae_model *m, const ae_likelihood_request *requests, ptrdiff_t n,
                         const ae_likelihood_options *o, ae_likelihood_cost *cost) {
    run r = {.model = m, .requests = requests, .options = o, .n = n};
    const size_t V = (size_t)m->config.V;
    for (ptrdiff_t i = 0; i < n; i++)
        r.longest = ae_max(r.longest, requests[i].n_context + requests[i].n_continuation);
    ae_status st = sort_requests(&r);
    float *behind = malloc(V * sizeof *behind);
    r.logits = malloc(V * AE_LINEAR_EACH * sizeof *r.logits);
    if (st == AE_OK && (!behind || !r.logits)) st = out_of_memory();
    if (st == AE_OK) st = make_pools(&r);
    if (st == AE_OK) st = ae_decode_state_init(&r.after, m, 2);
    if (st == AE_OK) st = start_walk(&r);
    if (st == AE_OK) st = run_all(&r, behind);
    if (st == AE_OK) count_cost(cost, &r);
    free(behind);
    end_run(&r);
    return st;
}
