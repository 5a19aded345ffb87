#ifndef AE_EVAL_GENERATOR_H
#define AE_EVAL_GENERATOR_H
#include "data/tokenizer.h"
#include "model/decode.h"
#include "model/sampler.h"

#include <stdbool.h>

/* Answers to prompts that come and go while others are being answered: submit, step, poll, cancel. An answer
 * depends on its prompt and its settings only, not on what runs beside it; an answer that ends or is
 * cancelled makes room at once. One thread drives a generator; any thread may cancel. */
typedef struct ae_generator ae_generator;

typedef struct {
    ptrdiff_t capacity; /* answers that grow at once */
    ptrdiff_t
        prompt_tokens; /* prompts are read in chunks of at most so many; 0: AE_PREFILL_CHUNK, the most */
    ptrdiff_t tokens; /* of a prompt and its answer, for the plan of memory where states grow; 0: not known */
    /* Asked before a prompt is read and before every token; another status than AE_OK ends the step with it.
     * May be NULL. */
    ae_status (*check)(void *context);
    void *context;
} ae_generator_options;

/* How the answers to a submission are made. */
typedef struct {
    ae_sampling sampling;
    /* Of tokens that the prompt or the answer has already, those that end an answer left out; of a state that
     * the prompt follows nothing is known. 0 and 1: none. */
    double repetition_penalty;
    uint64_t seed, stream; /* answer i draws from stream `stream + i` */
    int64_t max_new;
    const char *const *stops; /* not empty strings; they need a tokenizer */
    size_t n_stops;
    const int32_t *end_ids; /* tokens that end an answer */
    size_t n_end_ids;
    bool want_logprobs;
    bool tempered_logprobs; /* of the law at the temperature, which is above 0; else at 1 */
} ae_answer_settings;

/* The ids that end an answer: those that the model's files name, <eos> and <end_of_turn>. Where there is
 * neither a tokenizer nor such a name it is Gemma's <eos>: its other ids may mean anything there. */
size_t ae_answer_end_ids(const ae_model_config *c, const ae_tokenizer *t, int32_t ids[AE_ENDS_MAX + 2]);

typedef struct {
    uint64_t id; /* the caller's name for it, of no other submission */
    const int32_t *prompt;
    ptrdiff_t n_prompt; /* at least 1 */
    /* The prompt follows what sequence `sequence` of `state` has read; NULL: nothing. The state may hold
     * several sequences, and is copied. */
    const ae_decode_state *state;
    ptrdiff_t sequence;
    int64_t answers; /* to this prompt, which is read once; 0 counts as 1 */
    ae_answer_settings settings;
} ae_submission;

typedef enum {
    AE_ANSWER_GROWS,
    AE_ANSWER_STOPPED,   /* by an end token or a stop string */
    AE_ANSWER_FULL,      /* max_new tokens */
    AE_ANSWER_CANCELLED, /* it has what came before */
    AE_ANSWER_OVERFLOWED /* the model's logits are NaN */
} ae_answer_end;

typedef struct {
    uint64_t id;   /* of the submission */
    int64_t index; /* among its answers, from 0 */
    ae_answer_end end;
    ae_ids tokens;   /* new ones; the token that ended the answer is among them */
    float *logprobs; /* [tokens.n], or NULL */
    /* Without what ends it (a stop string, control tokens), in whole characters; while it grows without what
     * may become part of a stop string. NULL without a tokenizer. */
    const char *text;
    size_t text_bytes;
    ptrdiff_t told_tokens; /* how much of the above an earlier poll gave */
    size_t told_bytes;
} ae_answer;

/* Memory beside a model with adapters of that rank (0: without), texts and tokens left out: states, decoder
 * and logits. A submission with several answers or a state takes a state of one sequence and a row of logits
 * more until its last answer has begun. */
size_t ae_generator_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t adapter_rank,
                          const ae_generator_options *o);

/* Borrows model and tokenizer. `t` may be NULL: answers then have no text. Where it has fewer pieces than the
 * model has rows, rows without a piece are never drawn. AE_ERR_RESOURCE when it does not fit in memory. */
ae_status ae_generator_new(ae_generator **out, const ae_model *m, const ae_tokenizer *t,
                           const ae_generator_options *o);
void ae_generator_delete(ae_generator *g);

/* Puts a submission at the end of the queue, with copies of all that it points at. */
ae_status ae_generator_submit(ae_generator *g, const ae_submission *s);

/* Ends all answers of a submission, those that wait too, before the next token. Answers that have ended
 * already stay as they are, and an id that is not there is ignored. From any thread. */
ae_status ae_generator_cancel(ae_generator *g, uint64_t id);

/* Begins answers that wait while there is room, then adds a token to every answer that grows. Nothing to do
 * is AE_OK. After another status the generator can only be deleted, unless it was `check` that ended the
 * step. */
ae_status ae_generator_step(ae_generator *g);

/* Answers that have not ended: those that wait and those that grow. */
int64_t ae_generator_unfinished(const ae_generator *g);

/* Answers that grow, and their tokens so far. */
int64_t ae_generator_growing(const ae_generator *g, int64_t *tokens);

/* The next answer that has ended, each once and in the order in which they ended; then, with `growing`, those
 * that have grown since they were polled. NULL when there is none left. Valid until the next call of submit,
 * poll, step or delete. */
const ae_answer *ae_generator_poll(ae_generator *g, bool growing);

#endif
