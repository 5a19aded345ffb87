#ifndef AE_CLI_SCORE_REWARDS_H
#define AE_CLI_SCORE_REWARDS_H
#include "cli/results.h"
#include "core/file.h"

/* `aerie score --rewards`: what rl.rewards gives to answers, for who wants to try it before a run. */
typedef struct {
    const char *rewards; /* the list as one would write it for rl.rewards, or a YAML file with that key */
    const char *model;   /* whose tokenizer makes the tokens; NULL: text alone */
    int64_t threads;
} ae_score_rewards;

/* For each line {"answer": s, "prompt"?: s, "meta"?: any, "truncated"?: bool} a line {"reward": x, "parts":
 * {NAME: x, ...}}, null where there is no reward. AE_ERR_INPUT "FILE:LINE: ..." for a bad line. */
ae_status ae_score_rewards_run(const ae_score_rewards *o, ae_reader *in, ae_results *out);

#endif
