#include "cli/train_args.h"

#include "core/file.h"

#include <string.h>

/* A second file would change keys of the first unseen. */
static ae_status find_file(const ae_arg_list *words, const char **file) {
    *file = NULL;
    for (size_t i = 0; i < words->n; i++) {
        const char *word = words->items[i];
        if (strchr(word, '=')) continue;
        if (*file)
            return AE_FAIL(AE_ERR_USAGE,
                           "%s: expected one CONFIG.yaml, found %s before it; give the keys of one of them "
                           "as section.key=value",
                           word, *file);
        *file = word;
    }
    if (*file && ae_path_is_folder(*file) && ae_path_has(*file, "config.yaml"))
        return AE_FAIL(AE_ERR_USAGE,
                       "%s: expected a CONFIG.yaml, found a folder; did you mean %s/config.yaml?", *file,
                       *file);
    return AE_OK;
}

ae_status ae_train_args(ae_train_config *c, const ae_arg_list *words) {
    const char *file = NULL;
    ae_status st = find_file(words, &file);
    if (st == AE_OK && file) st = ae_config_read(&c->table, file);
    for (size_t i = 0; i < words->n && st == AE_OK; i++)
        if (strchr(words->items[i], '=')) st = ae_config_set(&c->table, words->items[i], "command line");
    return st;
}

void ae_train_help(const ae_train_config *c, const char *usage, const ae_arg *flags, size_t n_flags) {
    ae_args_list(usage, flags, n_flags, stdout);
    puts("\nkeys (type, default, range)");
    ae_config_help(&c->table, stdout);
    fputs(AE_ARGS_NUMBERS_NOTE, stdout);
}
