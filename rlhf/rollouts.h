#ifndef AE_RLHF_ROLLOUTS_H
#define AE_RLHF_ROLLOUTS_H
#include "data/tokenizer.h"
#include "model/model.h"
#include "rlhf/answers.h"

#include <stdatomic.h>

/* Answers that models write to prompts, drawn from softmax(logits / temperature), nothing cut or penalised. A
 * prompt is read once for all of a writer's answers to it, and an answer that has ended makes room at once. An
 * answer is a function of the model, its prompt, the seed, the name, the round and its place: whatever else is
 * written beside it, however many at a time, with any number of threads. */
typedef struct {
    const ae_model *writers[AE_RL_WRITERS]; /* NULL where it writes nothing */
    int64_t counts[AE_RL_WRITERS];          /* answers of each to a prompt */
    const ae_tokenizer *tokenizer;          /* NULL: answers have no text */
    double temperature;
    int64_t max_new;
    uint64_t seed;
    const char *name;       /* of what they are for: answers of other names are others */
    int64_t round;          /* the same of rounds */
    ptrdiff_t capacity;     /* answers that grow at once */
    ptrdiff_t longest;      /* tokens of a prompt */
    bool want_drawn;        /* log-probabilities of the policy's answers, at the temperature */
    const atomic_int *stop; /* once it is not 0: AE_ERR_INTERRUPTED; may be NULL */
} ae_rollouts;

typedef struct {
    const int32_t *tokens;
    ptrdiff_t n;
    int64_t document; /* its number in a token set */
    ptrdiff_t place;  /* among the prompts of the round */
} ae_rollout_prompt;

/* Writes all of them into a set, which the caller frees: the answers to a prompt stand together, those of the
 * policy first, then of the anchor, then of the reference. `prompt` of an answer is the number in the list. The
 * arrays of the set are not taken. Where logits are NaN: AE_ERR_GUARD of the policy and of the anchor,
 * AE_ERR_INPUT of the reference, which does not learn. */
ae_status ae_rollouts_write(const ae_rollouts *r, const ae_rollout_prompt *prompts, ptrdiff_t n,
                            ae_written_set *s);

/* Memory that it takes beside the models, texts and tokens left out. */
size_t ae_rollouts_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t adapter_rank,
                         ptrdiff_t capacity, ptrdiff_t longest, int64_t max_new);

#endif
