#ifndef AE_EVAL_GENERATE_H
#define AE_EVAL_GENERATE_H
#include "data/tokenizer.h"
#include "model/decode.h"
#include "model/sampler.h"

#include <stdbool.h>

/* Answers to many prompts, some at once: a sequence that ends makes room for the next prompt at once. An answer depends on its
 * prompt, its number and the settings only, not on what runs beside it. */

typedef struct {
    ae_sampling sampling;
    uint64_t seed; /* answer i draws from stream i */
    int64_t max_new;
    const char *const *stops; /* not empty strings; they need a tokenizer */
    size_t n_stops;
    const int32_t *end_ids; /* tokens that end an answer */
    size_t n_end_ids;
    bool want_logprobs;
    ptrdiff_t batch; /* sequences at once */
    ptrdiff_t
        prompt_tokens; /* a prompt is read in pieces of at most so many; 0: AE_PREFILL_CHUNK, the most */
} ae_generation;

typedef struct {
    ae_ids tokens;   /* new ones; the token that ended the answer is among them */
    float *logprobs; /* [tokens.n], or NULL */
    const char *text;
    size_t
        text_bytes; /* without what ends it (a stop string, control tokens); `text` is NULL without a tokenizer */
    bool stopped; /* by an end token or a stop string; else by max_new */
} ae_answer;

/* Where prompts come from and answers go to. Any failure ends the run with its status; AE_ERR_INPUT of `next` only when the prompts
 * before it are answered. */
typedef struct {
    /* Appends the next prompt's ids, at least one; *more is false when there is none left. */
    ae_status (*next)(void *context, ae_ids *prompt, bool *more);
    /* Answers in the order of the prompts. */
    ae_status (*done)(void *context, const ae_answer *answer);
    /* Certain text of an answer as it grows, in whole characters; for batches of 1. May be NULL. */
    ae_status (*piece)(void *context, const char *text, size_t n);
    /* Asked before every token. */
    ae_status (*check)(void *context);
    void *context;
} ae_generate_io;

/* Memory of ae_generate beside the model, texts and tokens left out: states, decoder and logits. */
size_t ae_generate_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t batch,
                         ptrdiff_t prompt_tokens);

/* `t` may be NULL: answers then have no text. Where it has fewer pieces than the model has rows, rows without a piece are never drawn.
 * AE_ERR_INPUT when logits are no numbers. AE_ERR_RESOURCE when the batch does not fit in memory. */
ae_status ae_generate(const ae_model *m, const ae_tokenizer *t, const ae_generation *how,
                      const ae_generate_io *io);

#endif
