#include "cli/train_args.h"

#include <string.h>

ae_status ae_train_args(ae_train_config *c, const ae_arg_list *words) {
    ae_status st = AE_OK;
    for (size_t i = 0; i < words->n && st == AE_OK; i++)
        if (!strchr(words->items[i], '=')) st = ae_config_read(&c->table, words->items[i]);
    for (size_t i = 0; i < words->n && st == AE_OK; i++)
        if (strchr(words->items[i], '=')) st = ae_config_set(&c->table, words->items[i], "command line");
    return st;
}

void ae_train_help(const ae_train_config *c, const char *usage, const ae_arg *flags, size_t n_flags) {
    ae_args_help(usage, flags, n_flags, stdout);
    puts("\nkeys (type, default, range)");
    ae_config_help(&c->table, stdout);
}
