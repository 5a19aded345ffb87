#ifndef AE_CLI_TRAIN_ARGS_H
#define AE_CLI_TRAIN_ARGS_H
#include "cli/args.h"
#include "train/config.h"

/* `[CONFIG.yaml] [section.key=value ...] [--flags]` of the verbs that train: the file first, then assignments over it. A word without
 * "=" is a file; a second one is AE_ERR_USAGE. */
ae_status ae_train_args(ae_train_config *c, const ae_arg_list *words);

/* usage, flags, then every key by its field table; to standard output. */
void ae_train_help(const ae_train_config *c, const char *usage, const ae_arg *flags, size_t n_flags);

#endif
