#ifndef AE_EVAL_REWARDS_H
#define AE_EVAL_REWARDS_H
#include "data/example.h"
#include "eval/score.h"

/* Rewards of rows of JSON lines (docs/interfaces.md, "Dialogues, pairs and prompts"). */

typedef struct {
    const ae_record_map *map;
    const ae_tokenizer *tokenizer; /* NULL: rows in token ids only */
    int64_t vocab_size;            /* of the model */
    bool *told_key;                /* as in ae_example_rules */
} ae_reward_rules;

/* Of a dialogue {"reward": x}, of a pair {"chosen": x, "rejected": y}; a row with a key of answers to choose
 * from is a pair. The reward is read where the last answer ends: at the last token of text rendered. Rows of
 * token ids: at the last token that counts by loss_mask, at the last of all without one; of a pair at the
 * last token of each answer. One pass for each answer, so that neighbours do not matter.
 *
 * AE_ERR_INPUT "where: ..." for a bad row. The caller owns *answer. */
ae_status ae_reward_line(ae_scorer *s, const ae_reward_rules *rules, const char *line, size_t n,
                         const char *where, json_t **answer);

#endif
