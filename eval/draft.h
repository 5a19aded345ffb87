#ifndef AE_EVAL_DRAFT_H
#define AE_EVAL_DRAFT_H
#include "eval/generator.h"
#include "eval/text_stream.h"

/* An answer in the making: takes tokens, and says when it has ended. */
typedef struct ae_draft {
    ae_answer answer;
    const ae_answer_settings *settings; /* borrowed */
    ae_rng rng;
    ae_text_stream stream; /* without a tokenizer it stays empty */
    bool cut;              /* a stop string ended the text */
    uint8_t *seen;         /* of ae_draw, with a repetition penalty, else NULL */
    ptrdiff_t logprob_capacity;
    /* the generator's own: what the answer belongs to, how much of it a poll has given, its place in a
     * list */
    struct request *request;
    ptrdiff_t given_tokens;
    size_t given_bytes;
    struct ae_draft *next;
} ae_draft;

/* Answer `index` to `prompt`, of a model with a vocabulary of V; `t` may be NULL. */
ae_status ae_draft_new(ae_draft **out, const ae_answer_settings *settings, const ae_tokenizer *t, ptrdiff_t V,
                       const ae_ids *prompt, int64_t index);
void ae_draft_delete(ae_draft *d);

/* The draw of the next token, from logits [V]; both are borrowed. */
ae_draw ae_draft_draw(ae_draft *d, const float *logits);

/* Adds a token; answer.end says whether it was the last. */
ae_status ae_draft_add(ae_draft *d, int32_t id, double logprob);
/* Ends an answer that grows. */
ae_status ae_draft_end(ae_draft *d, ae_answer_end end);

#endif
