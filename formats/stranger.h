#ifndef AE_FORMATS_STRANGER_H
#define AE_FORMATS_STRANGER_H
#include "core/status.h"

/* What stands where a model was expected: AE_ERR_INPUT "PATH: expected a model (...), found an adapter of
 * PEFT; merge it ...". For paths that are no model: they are only named. */
ae_status ae_no_model(const char *path);
/* The same for a folder with config.json but without weights that can be read. */
ae_status ae_no_weights(const char *folder);

#endif
