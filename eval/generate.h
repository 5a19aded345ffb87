#ifndef AE_EVAL_GENERATE_H
#define AE_EVAL_GENERATE_H
#include "eval/generator.h"

/* Answers to many prompts that share their settings, in the order of the prompts: a client of
 * eval/generator.h. */

typedef struct {
    ae_answer_settings each; /* answer i draws from stream `stream + i` */
    ptrdiff_t batch;         /* answers that grow at once */
    ptrdiff_t prompt_tokens; /* as ae_generator_options */
} ae_generation;

/* Where prompts come from and answers go to. Any failure ends the run with its status; AE_ERR_INPUT of `next`
 * only when the prompts before it are answered. */
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

/* Memory of ae_generate beside a model with adapters of that rank (0: without), texts and tokens left out. */
size_t ae_generate_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t adapter_rank,
                         ptrdiff_t batch, ptrdiff_t prompt_tokens, int64_t max_new);

/* `t` may be NULL, as of ae_generator_new. AE_ERR_INPUT when logits are no numbers. AE_ERR_RESOURCE when the
 * batch does not fit in memory. */
ae_status ae_generate(const ae_model *m, const ae_tokenizer *t, const ae_generation *how,
                      const ae_generate_io *io);

#endif
