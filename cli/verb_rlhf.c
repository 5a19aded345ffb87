#include "cli/rlhf_tables.h"
#include "cli/train_args.h"
#include "cli/verbs.h"
#include "rlhf/best_of_n_run.h"
#include "rlhf/online.h"
#include "rlhf/preferences.h"
#include "rlhf/stray_keys.h"
#include "rlhf/warp.h"

static const char usage[] =
    "aerie rlhf [CONFIG.yaml] [section.key=value ...] [--dry-run] [--quiet]\n"
    "learns from rewards of the answers that the model writes, or from pairs of answers; the same command "
    "again\ngoes on where the run stopped\n"
    "  aerie rlhf rl.method=reinforce run.dir=runs/rl model.init=runs/chat data.train=prompts.jsonl "
    "data.heldout=heldout.jsonl \\\n"
    "      rl.rewards='[{kind: exact}]' rl.max_new=64 train.row_tokens=1024 train.batch_rows=32\n"
    "  aerie rlhf rl.method=jbond run.dir=runs/jbond model.init=runs/chat data.train=prompts.jsonl "
    "lora.rank=8 \\\n"
    "      rl.rewards='[{kind: model, path: runs/reward}]'\n"
    "  aerie rlhf rl.method=warp run.dir=runs/warp model.init=runs/chat data.train=prompts.jsonl "
    "data.heldout=heldout.jsonl \\\n"
    "      rl.rewards='[{kind: model, path: runs/reward}]' train.steps=200\n"
    "  aerie rlhf rl.method=best_of_n run.dir=runs/best model.init=runs/chat data.train=prompts.jsonl "
    "rl.samples=16 \\\n"
    "      rl.rewards='[{kind: model, path: runs/reward}]'\n"
    "  aerie rlhf rl.method=distill distill.teacher=runs/large run.dir=runs/small model.init=runs/chat "
    "data.train=prompts.jsonl\n"
    "  aerie rlhf rl.method=dpo run.dir=runs/dpo model.init=runs/chat data.train=pairs.jsonl "
    "data.heldout=heldout.jsonl\n"
    "rewards, methods and guards: docs/interfaces.md, \"RLHF\"";

static const ae_train_hint hints[] = {
    {"data.train", "",
     "token set of prompts (dpo, ipo, kto: of pairs) or file of JSON lines; or a list of {path, weight}; or "
     "phases [{from_step, sets: [..]}, ..]"},
    {"data.heldout", "",
     "token set or file of JSON lines, of the same kind, to evaluate on; empty: no evaluation"},
    {"model.base_dtype", "f32",
     "with lora.rank: how the weights that do not train are kept; else the reference"},
    {"train.batch_rows", "8", "prompts of a round of answers; pairs of a step"},
    {"train.steps", "", "updates of the whole run; not given: train.epochs says how many"},
    {"train.epochs", "1", "times that the prompts are read, where train.steps is not given"},
    {"optim.lr", "1e-4",
     "highest learning rate; by default 1e-6 for models wider than 1024; with lora.rank ten "
     "times that"},
    {"rl.beta", "0.05",
     "weight of the divergence from the reference, in units of the reward; grpo 0.04, warp, "
     "online_dpo, dpo, ipo and kto 0.1 by default"},
    {"rl.samples", "4",
     "answers of the policy to a prompt; best_of_n 16, grpo 8, online_dpo 2, ppo, bond, jbond, warp "
     "and distill 1 by default"},
    {"rl.temperature", "1", "of the answers, and of all laws that are compared; warp 0.9 by default"},
    {"rl.kl", "reward",
     "how the divergence enters: taken from the reward, or as a loss, exact or estimated; grpo k3 "
     "by default"},
    {NULL, NULL, NULL}};

static ae_status train_warp(ae_rlhf_config *config, bool dry_run) {
    json_t *table = NULL;
    const ae_status st = ae_warp(config, dry_run, &table);
    if (st == AE_OK && table) ae_print_frontier(table);
    json_decref(table);
    return st;
}

static ae_status best_of_n(ae_rlhf_config *config, bool dry_run) {
    json_t *table = NULL;
    const ae_status st = ae_best_of_n(config, dry_run, &table);
    if (st == AE_OK && table) ae_print_best_of_n(table);
    json_decref(table);
    return st;
}

static ae_status train(ae_rlhf_config *config, bool dry_run) {
    const int method = config->keys.rl.method;
    const ae_status st = ae_rl_stray_keys_check(config);
    if (st != AE_OK) return st;
    if (method == AE_RL_WARP) return train_warp(config, dry_run);
    if (method == AE_RL_BEST_OF_N) return best_of_n(config, dry_run);
    return ae_rl_is_offline(method) ? ae_preferences_train(config, dry_run)
                                    : ae_online_train(config, dry_run);
}

ae_status ae_verb_rlhf(int argc, char **argv) {
    ae_rlhf_config config = {0};
    ae_train_command command;
    ae_status st;
    AE_TRY(ae_rlhf_config_init(&config));
    AE_TRY(ae_train_args(&command, &config.tune.train, hints, usage, argc, argv));
    if (!command.helped) st = train(&config, command.dry_run);
out:
    ae_rlhf_config_free(&config);
    return st;
}
