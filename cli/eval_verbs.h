#ifndef AE_CLI_EVAL_VERBS_H
#define AE_CLI_EVAL_VERBS_H
#include "core/status.h"

/* Parts of `aerie eval` that need no model. */
ae_status ae_verb_eval_ls(int argc, char **argv);
ae_status ae_verb_eval_validate(int argc, char **argv);
ae_status ae_verb_eval_show(int argc, char **argv);
ae_status ae_verb_eval_compare(int argc, char **argv);
ae_status ae_verb_eval_classifier(int argc, char **argv);

/* Asks a model: also `aerie eval --model M ..`, without the name of a part. */
ae_status ae_verb_eval_run(int argc, char **argv);

#endif
