#ifndef AE_CLI_ARGS_H
#define AE_CLI_ARGS_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Flags of a verb by a table: `--name value`, `--name=value`, repeated flags, "did you mean" for a flag that
 * is not in the table, and the --help text.
 *
 *     const char *output = NULL;
 *     int64_t size = 8192;
 *     bool force = false, help = false;
 *     ae_arg_list inputs = {0};
 *     const ae_arg table[] = {
 *         {.name = "input", .type = AE_ARG_WORDS, .to = &inputs, .value = "F", .help = "text files"},
 *         {.name = "output", .type = AE_ARG_TEXT, .to = &output, .help = "where to write"},
 *         {.name = "vocab-size", .type = AE_ARG_INT, .to = &size, .fallback = "8192", .help = "pieces"},
 *         {.name = "force", .type = AE_ARG_FLAG, .to = &force, .help = "replace what exists"},
 *     };
 *     AE_TRY(ae_args_parse(argc, argv, table, sizeof table / sizeof *table, NULL, &help));
 *
 * Destinations keep what they held when their flag is not given, so they are set to the defaults before.
 * Texts point into argv. */

typedef enum {
    AE_ARG_FLAG, /* bool: no value */
    AE_ARG_TEXT, /* const char *: the next word, whatever it is */
    AE_ARG_INT,  /* int64_t: 1000, 1e3, 64k, 2M (powers of 1000) */
    AE_ARG_REAL, /* double */
    AE_ARG_LIST, /* ae_arg_list: one word each time the flag is given (--stop A --stop B) */
    AE_ARG_WORDS /* ae_arg_list: every word up to the next flag, at least one (--input A B C) */
} ae_arg_type;

typedef struct {
    const char **items; /* pointers into argv */
    size_t n;
} ae_arg_list;
void ae_arg_list_free(ae_arg_list *l);

typedef struct {
    const char *name; /* without the dashes */
    ae_arg_type type;
    void *to;
    double min, max;      /* inclusive, for numbers; both 0: any */
    const char *value;    /* placeholder in the help: "F", "N"; NULL: one by type */
    const char *fallback; /* default as shown in the help; NULL: none shown */
    const char *help;     /* one line */
    bool *given;          /* set to true when the flag is on the command line; may be NULL */
    bool escapes; /* of a text: \n, \t, \r and \\ are read as in C, since a shell passes them on unread */
    bool rare;    /* a word of no flag is not taken to be meant for this one */
} ae_arg;

/* Flags that many verbs have: --quiet, --model M, --adapter A, --threads N, --shard-bytes N (which is
 * AE_SHARD_BYTES unless given). */
ae_arg ae_arg_quiet(bool *to);
ae_arg ae_arg_model(const char **to);
ae_arg ae_arg_adapter(const char **to);
ae_arg ae_arg_threads(int64_t *to);
ae_arg ae_arg_shard_bytes(int64_t *to);
#define AE_SHARD_BYTES 5000000000

/* argv[0] is the verb. Words that belong to no flag go to `words`, in order; NULL: none are allowed, and a
 * fault names the flags that may have been meant: the first of the table that take a word, are not rare and
 * were not given.
 * "-" is a word, what follows "--" is words. `--help` or `-h` sets *help and ends the reading. Faults are
 * AE_ERR_USAGE, among them an --output that is the file of another flag. */
ae_status ae_args_parse(int argc, char **argv, const ae_arg *table, size_t n, ae_arg_list *words, bool *help);

/* AE_ERR_USAGE "--name is missing: HELP" when `missing`; for flags that a verb cannot do without. */
ae_status ae_args_require(const ae_arg *table, size_t n, const char *name, bool missing);

/* "usage: ..." and the table, aligned, and below it how numbers may be written where a flag takes a whole
 * one. `usage` may hold several lines. */
void ae_args_help(const char *usage, const ae_arg *table, size_t n, FILE *out);
/* The same without the note, for a verb with more to list. */
void ae_args_list(const char *usage, const ae_arg *table, size_t n, FILE *out);
#define AE_ARGS_NUMBERS_NOTE "\nWhole numbers may be written 64k, 4M, 5G (powers of 1000) or 1e6.\n"

/* Verbs with parts: `aerie data prepare ...`. Runs the part that argv[1] names with argv + 1; --help lists
 * those with a help text, and so does no part at all, on stderr, which is AE_ERR_USAGE without a message. */
typedef struct {
    const char *name;
    ae_status (*run)(int argc, char **argv);
    const char *help; /* NULL: not listed */
} ae_subverb;
ae_status ae_args_subverb(int argc, char **argv, const ae_subverb *table, size_t n);

#endif
