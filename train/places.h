#ifndef AE_TRAIN_PLACES_H
#define AE_TRAIN_PLACES_H
#include "train/config.h"

#include <jansson.h>

/* Relative paths of a run that goes on from another working directory. */

/* Of the configuration that a run has written down: relative paths of keys marked AE_KEY_PLACE, also those within trees,
 * that lead nowhere from here are taken from run.from, where the run was started; AE_ERR_INPUT where they lead nowhere
 * from there either, unless AE_KEY_START says that they may be gone. Programs of rl.rewards get that folder to work in
 * where they have none and their command names something in it. Keys of the n words "section.key=value" in `given` stay
 * as they are: those count from here. */
ae_status ae_places_find(ae_train_config *c, const char *const *given, size_t n);
/* run.from becomes the working directory. */
ae_status ae_places_note(ae_train_config *c);

/* Whether trees of such a key are the same but for how their paths are written: those of `then` count from `from`,
 * where that run was started ("": from here), those of `now` from here. */
bool ae_places_same(const json_t *then, const char *from, const json_t *now);

#endif
