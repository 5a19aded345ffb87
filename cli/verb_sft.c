#include "cli/train_args.h"
#include "cli/verbs.h"
#include "train/sft.h"

static const char usage[] =
    "aerie sft [CONFIG.yaml] [section.key=value ...] [--dry-run] [--quiet]\n"
    "tunes a model on the answers of dialogues; the same command again goes on where the run stopped\n"
    "  aerie sft run.dir=runs/chat model.init=runs/book data.train=chat.jsonl data.heldout=heldout.jsonl";

static const ae_train_hint hints[] = {AE_TUNE_HINTS("2", "2e-4", "1e-5")};

ae_status ae_verb_sft(int argc, char **argv) {
    ae_train_command command;
    ae_sft_config config = {0};
    ae_status st = ae_sft_config_init(&config);
    if (st == AE_OK) st = ae_train_args(&command, &config.tune.train, hints, usage, argc, argv);
    if (st == AE_OK && !command.helped) st = ae_sft(&config, command.dry_run);
    ae_tune_config_free(&config.tune);
    return st;
}
