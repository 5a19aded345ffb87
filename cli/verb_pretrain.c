#include "cli/train_args.h"
#include "cli/verbs.h"
#include "train/pretrain.h"

static const char usage[] =
    "aerie pretrain [CONFIG.yaml] [section.key=value ...] [--dry-run] [--quiet]\n"
    "trains a model on token sets; the same command again goes on where the run stopped\n"
    "  aerie pretrain run.dir=runs/book data.train=book/train.h5 data.heldout=book/heldout.h5 "
    "model.preset=small-5m";

ae_status ae_verb_pretrain(int argc, char **argv) {
    ae_train_command command;
    ae_train_config config = {0};
    ae_status st = ae_train_config_init(&config);
    if (st == AE_OK) st = ae_train_args(&command, &config, NULL, usage, argc, argv);
    if (st == AE_OK && !command.helped) st = ae_pretrain(&config, command.dry_run);
    ae_train_config_free(&config);
    return st;
}
