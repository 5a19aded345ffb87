#ifndef AE_EVAL_PREFIX_H
#define AE_EVAL_PREFIX_H
#include "model/decode.h"

/* Prompts in the order of their tokens, so that what neighbours begin with is read once: the state after it is
 * kept and forked.
 *
 * A prompt is read in pages of AE_PAGE_TOKENS from its first token on, and what is left, at least one token, is
 * its rest. Prompts share whole pages only. So the pieces in which a prompt is read, and with them the bits of
 * its state, depend on this prompt alone. */
enum { AE_PAGE_TOKENS = 64, AE_PREFIX_STATES = 16 };

typedef struct {
    const int32_t *ids;
    ptrdiff_t n; /* at least 1 */
} ae_prompt;

/* Tokens of a prompt that lie in its pages. */
static inline ptrdiff_t ae_prompt_paged(const ae_prompt *p) {
    return (p->n - 1) / AE_PAGE_TOKENS * AE_PAGE_TOKENS;
}

/* Whether a comes before b (< 0), after it (> 0) or is the same (0). */
int ae_prompt_compare(const ae_prompt *a, const ae_prompt *b);

typedef struct ae_prefix_walk ae_prefix_walk;

typedef struct {
    ptrdiff_t
        states; /* kept at most, of one sequence each; 0: nothing is shared, each prompt is read whole */
    ae_status (*check)(void *context); /* asked before every page; another status than AE_OK ends the call */
    void *context;                     /* `check` may be NULL */
} ae_prefix_options;

/* `prompts` [n] are in order and borrowed, as are the model and the decoder, whose chunk is AE_PAGE_TOKENS or
 * more. */
ae_status ae_prefix_walk_new(ae_prefix_walk **out, const ae_model *m, ae_decoder *d, const ae_prompt *prompts,
                             ptrdiff_t n, const ae_prefix_options *o);
void ae_prefix_walk_delete(ae_prefix_walk *w);

/* Sequence b of `to` becomes that of the next prompt, up to its rest. */
ae_status ae_prefix_walk_next(ae_prefix_walk *w, ae_decode_state *to, ptrdiff_t b);

/* Tokens that were read since the walk began. */
int64_t ae_prefix_walk_read(const ae_prefix_walk *w);

/* States of one sequence of `tokens` that fit in a quarter of the memory that is available, from 1 to `most`. */
ptrdiff_t ae_states_that_fit(const ae_model *m, ptrdiff_t tokens, ptrdiff_t most);

#endif
