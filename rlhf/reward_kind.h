#ifndef AE_RLHF_REWARD_KIND_H
#define AE_RLHF_REWARD_KIND_H
#include "core/json.h"
#include "rlhf/rewards.h"

/* A kind of rewards as a value: a source of rl.rewards is one of these with what its keys say. */

/* An answer as a source sees it. Texts end with a NUL; without a tokenizer they are NULL. */
typedef struct {
    const ae_rewarded_answer *given;
    const char *prompt, *answer;
    size_t prompt_bytes, answer_bytes;
    const json_t *meta; /* NULL: none */
} ae_reward_input;

typedef struct {
    const char *name;
    const char *const *keys; /* of its own, up to a NULL */
    bool reads_text, reads_meta;
    bool needs_text; /* and there has to be a tokenizer */
    /* `o` has no other keys than these, kind, name and weight; `where` is "rl.rewards[i]", of which the source keeps a
     * copy if it needs one. What *self is after a failure is closed too. */
    ae_status (*open)(void **self, const json_t *o, const char *where, const ae_rewards_facts *facts);
    ae_status (*start)(void *self);                                /* may be NULL */
    size_t (*bytes)(const void *self);                             /* may be NULL: little */
    ae_status (*check_meta)(const void *self, const json_t *meta); /* may be NULL */
    ae_status (*give)(void *self, const ae_reward_input *in, ptrdiff_t n, double *rewards); /* NaN: none */
    void (*close)(void *self);                                                              /* NULL is fine */
} ae_reward_kind;

extern const ae_reward_kind ae_reward_exact, ae_reward_number, ae_reward_regex, ae_reward_length,
    ae_reward_words, ae_reward_program, ae_reward_model;

/* Keys of a source. Absent or null leaves *out as it was; AE_ERR_USAGE "where.key: expected ..., found ...". */
ae_status ae_reward_key_text(const json_t *o, const char *key, const char *where,
                             char **out); /* replaces it */
ae_status ae_reward_key_bool(const json_t *o, const char *key, const char *where, bool *out);
ae_status ae_reward_key_real(const json_t *o, const char *key, const char *where, double min, double max,
                             double *out);
ae_status ae_reward_key_int(const json_t *o, const char *key, const char *where, int64_t min, int64_t max,
                            int64_t *out);
/* One of n words, whose place goes to *out. */
ae_status ae_reward_key_choice(const json_t *o, const char *key, const char *where, const char *const *words,
                               size_t n, int *out);

#endif
