#ifndef AE_RLHF_PROMPTS_H
#define AE_RLHF_PROMPTS_H
#include "data/packing.h"
#include "rlhf/rewards.h"

/* The prompts of one token set that leave room for an answer: documents of at most `most` tokens. */
typedef struct {
    ae_token_set *set; /* borrowed */
    int64_t *usable;   /* [n] numbers of documents */
    int64_t n, dropped;
    int64_t longest; /* tokens, of those that are used */
} ae_prompt_set;

/* `row_tokens` holds a prompt and its answer of up to `max_new` tokens. `too_long`: error or drop; a prompt is not
 * cut. AE_ERR_INPUT names the set, and the prompt, where there is none or one that does not fit. */
ae_status ae_prompt_set_init(ae_prompt_set *p, ae_token_set *set, int64_t row_tokens, int64_t max_new,
                             ae_too_long too_long);
/* Whether each prompt has what the rewards ask for: AE_ERR_INPUT with its place. */
ae_status ae_prompt_set_check_meta(const ae_prompt_set *p, const ae_rewards *r);
void ae_prompt_set_free(ae_prompt_set *p);

#endif
