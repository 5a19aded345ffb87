#ifndef AE_CLI_DATA_VERBS_H
#define AE_CLI_DATA_VERBS_H
#include "core/status.h"

/* Parts of `aerie data` in files of their own. */
ae_status ae_verb_data_prepare(int argc, char **argv);
ae_status ae_verb_data_render(int argc, char **argv);

#endif
