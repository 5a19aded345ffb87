#include "cli/train_args.h"
#include "cli/verbs.h"
#include "train/reward.h"

static const char usage[] =
    "aerie reward [CONFIG.yaml] [section.key=value ...] [--dry-run]\n"
    "trains a reward model on pairs of answers; the same command again goes on where the run stopped\n"
    "  aerie reward run.dir=runs/reward model.init=runs/chat data.train=pairs.jsonl "
    "data.heldout=heldout.jsonl";

ae_status ae_verb_reward(int argc, char **argv) {
    ae_train_command command;
    ae_reward_config config = {0};
    ae_status st = ae_reward_config_init(&config);
    if (st == AE_OK) st = ae_train_args(&command, &config.tune.train, usage, argc, argv);
    if (st == AE_OK && !command.helped) st = ae_reward(&config, command.dry_run);
    ae_tune_config_free(&config.tune);
    return st;
}
