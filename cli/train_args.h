#ifndef AE_CLI_TRAIN_ARGS_H
#define AE_CLI_TRAIN_ARGS_H
#include "cli/args.h"
#include "train/config.h"

/* `[CONFIG.yaml] [section.key=value ...]` of a command with flags of its own, and its help. */
ae_status ae_train_words(ae_train_config *c, const ae_arg_list *words);
void ae_train_help(const ae_train_config *c, const char *usage, const ae_arg *flags, size_t n_flags);

/* The arguments of a verb that trains: `[CONFIG.yaml] [section.key=value ...] [--dry-run]`, the file first,
 * then assignments over it. A word without "=" is a file; a second one is AE_ERR_USAGE. */
typedef struct {
    bool dry_run;
    bool helped; /* --help was asked for and has been printed: usage, flags, then every key */
} ae_train_command;
ae_status ae_train_args(ae_train_command *command, ae_train_config *c, const char *usage, int argc,
                        char **argv);

#endif
