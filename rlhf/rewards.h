#ifndef AE_RLHF_REWARDS_H
#define AE_RLHF_REWARDS_H
#include "data/tokenizer.h"
#include "ops/backend.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What answers are worth: rl.rewards, a list of sources whose rewards are weighted and summed,
 *
 *   total = sum_i weight_i r_i
 *
 * [{kind: ..., name?: TEXT, weight?: x, ...}, ...]; weight is 1 by default and may be negative. A name is of letters,
 * digits, "_", "-" and ".", and not "mean" or "std"; a source without one is called after its kind, the second of a kind KIND2, and so on.
 *
 *   exact   {field?: "answer", ignore_case?: false, strip?: true}
 *           1 where the answer's text equals meta[field], else 0
 *   number  {field?: "answer", last?: true}
 *           1 where the last number of the answer (last: false: the first) equals that of meta[field], else 0
 *   regex   {pattern: TEXT | field: TEXT, ignore_case?: false}
 *           1 where the POSIX extended regular expression matches somewhere in the answer, else 0
 *   length  {target: N, scale?: N}       max(0, 1 - |n - N| / scale), scale = N by default
 *           {min?: N, max?: N, scale?: N}    -min(1, d / scale), d tokens outside of [min, max]; scale = max, else min
 *           n: the answer's tokens, its end among them
 *   words   {list: [TEXT, ...] | field: TEXT, mode?: count}
 *           count: the share of the words that stand in the answer; all, any, none: 1 where that many do, else 0
 *   model   {path: M, adapter?: A, dtype?: f32|bf16|int8|int4|auto}     a reward model: rlhf/model_reward.h
 *   program {command: TEXT | [TEXT, ...], folder?: PATH, workers?: 1, timeout_s?: 60, on_error?: stop|skip}     a program:
 *           rlhf/program_reward.h
 *
 * `field` is a key of the prompt's meta; a prompt without it is AE_ERR_INPUT. Rules read the text of the answer
 * without control tokens; they need a tokenizer, length apart. */
typedef struct ae_rewards ae_rewards;

typedef struct {
    const ae_backend *be;          /* of reward models; may be NULL where there are none */
    const ae_tokenizer *tokenizer; /* of the policy; NULL: token ids only */
    bool texts;                    /* prompt and answer come as text every time: rules need no tokenizer */
    int64_t vocab_size;            /* of the policy */
    ptrdiff_t longest; /* tokens of a prompt with its answer, where that is known: sizes the passes */
    /* Asked while programs work and between passes (signals): another status than AE_OK ends the call with it. May be
     * NULL. */
    ae_status (*check)(void);
} ae_rewards_facts;

typedef struct {
    const int32_t *tokens; /* [n_prompt + n] the prompt, then the answer with the token that ended it */
    ptrdiff_t n_prompt, n;
    bool truncated; /* it did not end by itself */
    /* The text of both; NULL: made here from the tokens. The answer's without control tokens. The prompt's is what the
     * user wrote last (ae_rewarded_text). */
    const char *prompt, *answer;
    size_t prompt_bytes, answer_bytes;
    const char *meta; /* JSON of the prompt; NULL: none */
    size_t meta_bytes;
} ae_rewarded_answer;

typedef struct {
    double total;  /* 0 without a reward */
    bool has;      /* false where a source left the answer out */
    double *parts; /* [sources], the caller's memory: r_i before its weight; NaN where it was left out */
} ae_reward_of;

/* Reads the list, JSON text, which has an entry; "" stands for no list, and every total is 0. Verifies the files of
 * reward models and whether programs are there, but takes no memory for them and starts none. The facts are copied;
 * what they point to is borrowed until the end. AE_ERR_USAGE "rl.rewards[i]...: expected ..., found ..."; AE_ERR_INPUT
 * for a reward model that is none, or of another tokenizer, and for a program that is not there. */
ae_status ae_rewards_open(ae_rewards **r, const char *list_json, const ae_rewards_facts *facts);
/* Loads reward models and starts programs. The first ae_rewards_give does it where it was not done. */
ae_status ae_rewards_start(ae_rewards *r);
/* What that takes, and what giving takes beside it, but for texts. */
size_t ae_rewards_bytes(const ae_rewards *r);

size_t ae_rewards_sources(const ae_rewards *r);
const char *ae_rewards_name(const ae_rewards *r, size_t i);
const char *ae_rewards_kind(const ae_rewards *r, size_t i);
/* The folder of the first reward model, where a critic may begin; NULL: there is none. */
const char *ae_rewards_model_path(const ae_rewards *r);

/* Whether a prompt's meta (NULL: none) has what the rules ask for: AE_ERR_INPUT, without the prompt's place. To be
 * asked of every prompt before a run. */
ae_status ae_rewards_check_meta(const ae_rewards *r, const char *meta, size_t meta_bytes);

/* out [n]. The reward of an answer does not depend, to the bit, on the others of the call, programs apart.
 * AE_ERR_INPUT for a total that is not finite: it names the source, its weight and its reward. */
ae_status ae_rewards_give(ae_rewards *r, const ae_rewarded_answer *answers, ptrdiff_t n, ae_reward_of *out);

/* Ends programs and frees everything; NULL is fine. */
void ae_rewards_close(ae_rewards *r);

/* The text of the user's last message in a prompt of turns (data/render.h), else of the whole prompt, without its
 * control tokens. The system message stands before the first message of the user and cannot be told from it. The
 * caller frees it. */
ae_status ae_rewarded_text(const ae_tokenizer *t, const int32_t *prompt, ptrdiff_t n, char **text,
                           size_t *n_bytes);

#endif
