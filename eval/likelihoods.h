#ifndef AE_EVAL_LIKELIHOODS_H
#define AE_EVAL_LIKELIHOODS_H
#include "eval/prefix.h"

#include <stdbool.h>

/* How likely a model finds continuations: for each request
 *
 *   logprob = sum_t log p(continuation[t] | context, continuation[0 .. t-1])     in nats
 *
 * What contexts begin with is read once (eval/prefix.h), a context once for all its continuations, whose states
 * are forked from the one after it. Continuations of up to half of AE_LINEAR_EACH tokens are read
 * side by side.
 *
 * The bits of a result depend on its request alone, not on the other requests, their order, `batch`, `alone` or
 * the number of threads: a context is read in pages and its rest, a continuation apart from it, each in pieces
 * that its own length gives, and products of one sequence or with rows of their own bits. */
typedef struct {
    const int32_t *context; /* at least one token */
    ptrdiff_t n_context;
    const int32_t *continuation; /* at least one token; the last one is a target only */
    ptrdiff_t n_continuation;
} ae_likelihood_request;

typedef struct {
    double logprob;
    bool greedy;      /* every token of the continuation is the likeliest one, the smallest id among equals */
    ptrdiff_t tokens; /* of the continuation */
} ae_likelihood;

typedef struct {
    ptrdiff_t batch; /* continuations that are read side by side at most; 0: AE_LINEAR_EACH */
    bool alone;      /* nothing is shared: every request reads its own context */
    /* Called once for each request, in an order of its own. Another status than AE_OK ends the run with it. */
    ae_status (*done)(void *context, ptrdiff_t request, const ae_likelihood *l);
    ae_status (*check)(void *context); /* asked before each piece; may be NULL */
    void *context;
} ae_likelihood_options;

/* Tokens that went through the model, and those that requests read one by one would have taken. */
typedef struct {
    int64_t read, asked;
} ae_likelihood_cost;

/* `cost` may be NULL. AE_ERR_RESOURCE when states do not fit in memory: as many as do are held at once, and one
 * of each kind is needed. AE_ERR_INPUT where logits are no numbers. */
ae_status ae_likelihoods(const ae_model *m, const ae_likelihood_request *requests, ptrdiff_t n,
                         const ae_likelihood_options *o, ae_likelihood_cost *cost);

#endif
