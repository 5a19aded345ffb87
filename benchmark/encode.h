#ifndef AE_BENCHMARK_ENCODE_H
#define AE_BENCHMARK_ENCODE_H
#include "benchmark/task.h"
#include "data/tokenizer.h"

/* Token ids of what a model is asked, as lm-eval 0.4.13 makes them:
 *
 *   pair     white space at the end of a context moves to its continuation; the continuation's ids are those of
 *            both together without the first ones, as many as the context has. An empty context is <bos>
 *   prompt   <bos> and the encoding of the context
 *   rolling  <bos> is the context, <bos> and the encoding of the text the continuation
 *
 * With `chat` a context is a dialogue in turns (data/render.h), which ends where the model answers, and the
 * target_delimiter is left out of continuations. */
typedef struct {
    const ae_tokenizer *tokenizer; /* has <bos> */
    int64_t vocab;                 /* of the model, which must have all ids of the tokenizer that come up */
    bool bos;                      /* contexts that are not empty begin with <bos> */
    bool chat;
    /* Tokens that the model is given at most, as lm-eval cuts them off the left; 0: nothing is cut. A rolling text is
     * cut into windows. */
    ptrdiff_t max_length;
} ae_encoding;

/* A context and what follows it, as ids in a list. */
typedef struct {
    ptrdiff_t context, n_context;           /* ids [context, context + n_context) */
    ptrdiff_t continuation, n_continuation; /* 0 of a prompt */
    bool cut;                               /* tokens of the context were left out */
} ae_encoded;

/* The context of choice c and its continuation, appended to `ids`. `before` (NULL: none) is a choice of the same
 * request whose ids are there: equal contexts are kept once. With `alone` the context is empty. `where` names the
 * document in messages. AE_ERR_INPUT for a continuation without a token of its own. */
ae_status ae_encode_choice(ae_encoded *e, ae_ids *ids, const ae_encoding *how, const ae_task *leaf,
                           const ae_request *r, ptrdiff_t c, const ae_encoded *before, bool alone,
                           const char *where);

/* What an answer of up to `max_new` tokens follows. */
ae_status ae_encode_prompt(ae_encoded *e, ae_ids *ids, const ae_encoding *how, const ae_request *r,
                           int max_new, const char *where);

/* The first `prompt` tokens of a text, and the `answer` tokens behind them as a continuation; of a shorter text
 * n_continuation is 0. */
ae_status ae_encode_recall(ae_encoded *e, ae_ids *ids, const ae_encoding *how, const char *text,
                           ptrdiff_t prompt, ptrdiff_t answer, const char *where);

/* A text in windows, one after the other in *windows [*n], which the caller frees. */
ae_status ae_encode_rolling(ae_encoded **windows, ptrdiff_t *n, ae_ids *ids, const ae_encoding *how,
                            const char *text, const char *where);

#endif
