#ifndef AE_TRAIN_MEMBER_KEYS_H
#define AE_TRAIN_MEMBER_KEYS_H
#include "core/config.h"

#include <stdint.h>

/* The keys of a run that another one makes: those that were given there, and some of its own. */

/* Gives `to` every key that was given to `from`, a table of the same sections. */
ae_status ae_keys_copy(ae_config *to, const ae_config *from);

/* Values as they are: text that YAML would read otherwise, numbers with all their bits. */
ae_status ae_key_set_text(ae_config *c, const char *key, const char *value);
ae_status ae_key_set_count(ae_config *c, const char *key, int64_t value);
ae_status ae_key_set_real(ae_config *c, const char *key, double value);

#endif
