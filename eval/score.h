#ifndef AE_EVAL_SCORE_H
#define AE_EVAL_SCORE_H
#include "eval/request.h"
#include "model/model.h"

/* Log-probabilities of sequences, one pass for each, so that a sequence's numbers do not depend on its
 * neighbours. The memory of the pass grows with the longest sequence and is used again. */
typedef struct ae_scorer ae_scorer;

/* `top` most likely tokens of every place are asked for; 0: none. `m` is borrowed. */
ae_status ae_scorer_new(ae_scorer **s, const ae_model *m, ptrdiff_t top);
void ae_scorer_delete(ae_scorer *s);

/* Scores of one sequence, valid until the next call. Entry t is about token t + 1. */
typedef struct {
    ptrdiff_t n;               /* T - 1 */
    const float *logprobs;     /* [n], nats; NaN where token t + 1 starts a document */
    const int32_t *top_ids;    /* [n, top], best first */
    const float *top_logprobs; /* [n, top] */
} ae_scores;

/* tokens, positions [T]: positions count from 0 in each document. A sequence whose pass does not fit in
 * memory is AE_ERR_RESOURCE; one with a log-probability that is no number AE_ERR_INPUT. */
ae_status ae_scorer_run(ae_scorer *s, const int32_t *tokens, const int32_t *positions, ptrdiff_t T,
                        ae_scores *out);

/* The reward of tokens [T], one document: the scalar head of the model, which has to have one, at the last of
 * them, less the model's reward_shift. Memory and errors as above. */
ae_status ae_scorer_reward(ae_scorer *s, const int32_t *tokens, ptrdiff_t T, double *reward);

/* The answer to one line of a score request: {"logprobs", "sum", "count", "top"?}. The caller owns
 * *answer. */
ae_status ae_score_line(ae_scorer *s, const json_t *request, const ae_request_rules *rules, const char *where,
                        json_t **answer);

#endif
