#include "tests/train/toy.h"
#include "train/engine.h"

#include <stdio.h>

/* train_toy KEY=VALUE...: trains the toy, as a verb of the program would. */
/* The section of keys that the objective has beside those of every run. */
static ae_status add_keys(toy *t, ae_config *table) {
    static const ae_field fields[] = {{"counted", AE_FIELD_INT, offsetof(toy_keys, counted), "3", 0,
                                       TOY_TOKENS - 1, NULL, "token that is counted", AE_KEY_FIXED}};
    return ae_config_add(table, "toy", fields, 1, &t->keys);
}

int main(int argc, char **argv) {
    ae_train_config config = {0};
    toy t = {0};
    const ae_objective objective = toy_objective(&t);
    ae_status st = ae_train_config_init(&config);
    if (st == AE_OK) st = add_keys(&t, &config.table);
    for (int i = 1; i < argc && st == AE_OK; i++) st = ae_config_set(&config.table, argv[i], "command line");
    if (st == AE_OK) st = ae_engine_train(&config, &objective, false);
    if (st != AE_OK) fprintf(stderr, "aerie: %s\n", ae_error_message());
    ae_train_config_free(&config);
    return (int)st;
}
