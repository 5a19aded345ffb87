#ifndef AE_TRAIN_OVERRIDE_H
#define AE_TRAIN_OVERRIDE_H
#include "train/config.h"

#include <jansson.h>

/* What a run may not change when it goes on, since it would no longer be the run it was, and the way to
 * change it all the same: run.override=KEY,KEY. A listed key that differs takes its new value; a line of
 * the log tells it and state.json notes it:
 *
 *   "overrides": [{"step": done when it was changed, "key": KEY, "from": before, "to": after}, ...]
 *
 * From the next checkpoint on the new value is the run's own, so that the same command goes on. The keys
 * are those that a field table marks with AE_KEY_FIXED (core/config.h) and those that the objective names:
 * it compares facts that no key says, such as the hash of a tokenizer.
 *
 * Which rows come: those that the run has taken from each set are counted on, whatever the weights, the
 * phases or train.batch_rows. Where the rows themselves are others (keys marked AE_KEY_WORK, other token
 * sets; train.batch_rows with carried state) every set begins anew: its first row in the order of the
 * seed, no carried state. Phases go by the run's steps, as always. How many rows are in memory at once is
 * chosen anew where that number depends on the key.
 *
 * Another held-out set gives scores that do not compare with those before (AE_KEY_SCORE): the best begins
 * anew with its first evaluation.
 *
 * The shape, and model.init, which gave it, cannot be overridden: that is another run. */

/* What an objective compares itself; a list of them ends with a name of NULL. */
typedef struct {
    const char *name; /* a key, or what stands for one in run.override */
    const char *back; /* how to have it as it was */
} ae_fixed_fact;

typedef struct {
    const ae_train_config *config; /* borrowed */
    const ae_fixed_fact *facts;    /* of the objective */
    int64_t step;                  /* done */
    json_t *list;                  /* of state.json */
    size_t before;                 /* entries of it from earlier starts */
    bool new_work;                 /* the work begins anew */
    bool new_memory;               /* the plan of memory is made anew */
    bool new_score;                /* the best evaluation begins anew */
} ae_overrides;

/* AE_ERR_USAGE names a word of run.override that is no key which may be overridden. */
ae_status ae_override_check(const ae_train_config *c, const ae_fixed_fact *facts);

/* `past`: the list so far, JSON; NULL: none. */
ae_status ae_overrides_init(ae_overrides *o, const ae_train_config *c, const ae_fixed_fact *facts,
                            int64_t step, const char *past);
void ae_overrides_free(ae_overrides *o);
/* `key` was `then` (NULL: nothing) and is `now`: noted where it is listed, else refused with `refusal`. */
ae_status ae_override_take(ae_overrides *o, const char *key, const json_t *then, const json_t *now,
                           ae_status refusal);
/* The same; the message tells the values as `from` and `to`. */
ae_status ae_override_take_as(ae_overrides *o, const char *key, const json_t *then, const json_t *now,
                              const char *from, const char *to, ae_status refusal);
/* Whether the key was ever overridden in this run; and whether it is now, by this start. */
bool ae_override_was_taken(const ae_overrides *o, const char *key);
bool ae_override_is_taken(const ae_overrides *o, const char *key);
/* As for state.json; the caller frees it. */
ae_status ae_overrides_json(const ae_overrides *o, char **json);

#endif
