#ifndef AE_TRAIN_PLACES_H
#define AE_TRAIN_PLACES_H
#include "train/config.h"

/* Relative paths of a run that goes on from another working directory. */

/* Of the configuration that a run has written down: relative paths of data.train and of keys marked AE_KEY_PLACE
 * that lead nowhere from here are taken from run.from, where the run was started; AE_ERR_INPUT where they lead
 * nowhere from there either, unless AE_KEY_START says that they may be gone. */
ae_status ae_places_find(ae_train_config *c);
/* run.from becomes the working directory. */
ae_status ae_places_note(ae_train_config *c);

#endif
