#ifndef AE_CLI_TRAIN_ARGS_H
#define AE_CLI_TRAIN_ARGS_H
#include "cli/args.h"
#include "train/config.h"

/* `[CONFIG.yaml] [section.key=value ...]` of a command with flags of its own, and its help. */
ae_status ae_train_words(ae_train_config *c, const ae_arg_list *words);
/* What a verb does otherwise than the table of keys says; a list of them ends with a key of NULL. */
typedef struct {
    const char *key;             /* dotted */
    const char *fallback, *help; /* as the help shows them */
} ae_train_hint;
/* `hints` may be NULL. */
void ae_train_help(const ae_train_config *c, const ae_train_hint *hints, const char *usage,
                   const ae_arg *flags, size_t n_flags);

/* The arguments of a verb that trains: `[CONFIG.yaml] [section.key=value ...] [--dry-run] [--quiet]`, the
 * file first, then assignments over it. A word without "=" is a file; a second one is AE_ERR_USAGE. */
typedef struct {
    bool dry_run;
    bool helped; /* --help was asked for and has been printed: usage, flags, then every key */
} ae_train_command;
ae_status ae_train_args(ae_train_command *command, ae_train_config *c, const ae_train_hint *hints,
                        const char *usage, int argc, char **argv);

/* The hints of a verb that tunes: `epochs`, and `rate` for models up to a width of 1024, `large_rate` beyond. */
/* clang-format off */
#define AE_TUNE_HINTS(epochs, rate, large_rate) \
    {"data.train", "", "token set or file of JSON lines; or a list of {path, weight}; or phases " \
                       "[{from_step, sets: [..]}, ..]"}, \
    {"data.heldout", "", "token set or file of JSON lines to evaluate on; empty: no evaluation"}, \
    {"train.steps", "", "updates of the whole run; not given: train.epochs says how many"}, \
    {"train.epochs", epochs, "times that the examples are read, where train.steps is not given"}, \
    {"optim.lr", rate, "highest learning rate; by default " large_rate " for models wider than 1024; with " \
                       "lora.rank ten times that"}, \
    {NULL, NULL, NULL}
/* clang-format on */

#endif
