#ifndef AE_TRAIN_OVERRIDE_H
#define AE_TRAIN_OVERRIDE_H
#include "train/config.h"

#include <jansson.h>

/* What a run may not change when it goes on, since it would no longer be the run it was, and the way to change it all the same:
 * run.override=KEY,KEY. A key listed there that differs is taken as it is now, told in a line of the log and noted in state.json:
 *
 *   "overrides": [{"step": done when it was changed, "key": KEY, "from": before, "to": behind}, ...]
 *
 * From the next checkpoint on the new value is the run's own, so that the same command goes on. Besides keys of the configuration there are
 * data.train (hashes, weights and phases of the token sets) and data.tokenizer (hash of the tokenizer).
 *
 * Which rows come: those that the run has taken from each set are counted on, whatever the weights, the phases or train.batch_rows. Where
 * the rows themselves are others (run.seed, data.shuffle, train.row_tokens, train.carry_state, other token sets; train.batch_rows with
 * carried state) every set begins anew: its first row in the order of the seed, no carried state. Phases go by the run's steps, as
 * always. How many rows are in memory at once is chosen anew where that number depends on the key.
 *
 * The shape, and model.init, which gave it, cannot be overridden: that is another run. */
typedef struct {
    const ae_train_config *config; /* borrowed */
    int64_t step;                  /* done */
    json_t *list;                  /* of state.json */
    bool new_rows;                 /* every set begins anew */
    bool new_memory;               /* micro-batches are chosen anew */
} ae_overrides;

/* The fixed keys that are compared as they stand in the configuration, from i = 0; NULL behind the last. */
const char *ae_fixed_key(size_t i);

/* AE_ERR_USAGE names a word of run.override that is no key which may be overridden. */
ae_status ae_override_check(const ae_train_config *c);

/* `past`: the list so far, JSON; NULL: none. */
ae_status ae_overrides_init(ae_overrides *o, const ae_train_config *c, int64_t step, const char *past);
void ae_overrides_free(ae_overrides *o);
/* `key` was `then` (NULL: nothing) and is `now`: noted where it is listed, else refused with `refusal`. */
ae_status ae_override_take(ae_overrides *o, const char *key, const json_t *then, const json_t *now,
                           ae_status refusal);
/* Whether the key was ever overridden in this run. */
bool ae_override_was_taken(const ae_overrides *o, const char *key);
/* As for state.json; the caller frees it. */
ae_status ae_overrides_json(const ae_overrides *o, char **json);

#endif
