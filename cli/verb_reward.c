#include "cli/train_args.h"
#include "cli/verbs.h"
#include "core/json.h"
#include "core/log.h"
#include "train/warm.h"

#include <stdio.h>

static const char usage[] =
    "aerie reward [CONFIG.yaml] [section.key=value ...] [--dry-run] [--quiet] [--json]\n"
    "trains a reward model on pairs of answers; the same command again goes on where the run stopped\n"
    "  aerie reward run.dir=runs/reward model.init=runs/chat data.train=pairs.jsonl "
    "data.heldout=heldout.jsonl\n"
    "reward.members=6 trains six, one after another, and averages their weights: run.dir/average";

static const ae_train_hint hints[] = {AE_TUNE_HINTS("1", "1e-4", "5e-6")};

static double number(const json_t *row, const char *key) {
    return json_number_value(json_object_get(row, key));
}

static void print_figures(const json_t *row) {
    if (json_is_null(json_object_get(row, "accuracy"))) {
        printf("       -                           -          -");
        return;
    }
    printf("  %6.2f %% (%5.2f to %6.2f)  %7.4f  %8.2f %%", 100 * number(row, "accuracy"),
           100 * number(row, "accuracy_low"), 100 * number(row, "accuracy_high"), number(row, "loss"),
           100 * number(row, "agreement"));
}

static void print_table(const json_t *table) {
    size_t i;
    json_t *row;
    printf(
        "member         lr    seed  held-out accuracy (95 %%)    loss  agreement  averaged  started from\n");
    json_array_foreach(json_object_get(table, "members"), i, row) {
        printf("%-6zu  %9.3g  %6lld", i + 1, number(row, "lr"), (long long)number(row, "seed"));
        print_figures(row);
        printf("  %-8s  %s\n", json_is_true(json_object_get(row, "averaged")) ? "yes" : "no",
               json_string_value(json_object_get(row, "init")));
    }
    printf("average                  ");
    print_figures(json_object_get(table, "average"));
    putchar('\n');
}

static ae_status train_members(ae_reward_config *config, bool dry_run, bool json) {
    json_t *table = NULL;
    ae_status st = ae_warm(config, dry_run, &table);
    if (st == AE_OK && table && json) st = ae_json_write_line(table, stdout, "standard output");
    if (st == AE_OK && table && !json) print_table(table);
    json_decref(table);
    return st;
}

/* What is about several members would be ignored in silence. A run's own configuration has all keys, those
 * of members with their defaults. */
static ae_status check_single(const ae_reward_config *c, int64_t head_steps, bool json) {
    if (c->reward.head_steps != head_steps)
        return AE_FAIL(AE_ERR_USAGE,
                       "reward.head_steps: expected reward.members of 2 or more beside it, found 1; give "
                       "reward.members or leave it out");
    if (c->reward.member_inits[0])
        return AE_FAIL(AE_ERR_USAGE, "reward.member_inits: expected reward.members of 2 or more beside it, "
                                     "found 1");
    if (c->reward.average)
        return AE_FAIL(AE_ERR_USAGE,
                       "reward.average: expected reward.members of 2 or more beside it, found 1");
    if (json)
        return AE_FAIL(AE_ERR_USAGE, "--json: expected reward.members of 2 or more, of which it prints the "
                                     "table, found 1; metrics.jsonl has the figures of one run");
    return AE_OK;
}

static ae_status train(ae_reward_config *config, int64_t head_steps, bool dry_run, bool json) {
    if (config->reward.members > 1) return train_members(config, dry_run, json);
    const ae_status st = check_single(config, head_steps, json);
    return st == AE_OK ? ae_reward(config, dry_run) : st;
}

ae_status ae_verb_reward(int argc, char **argv) {
    ae_arg_list words = {0};
    ae_reward_config config = {0};
    bool dry_run = false, quiet = false, json = false, help = false;
    const ae_arg flags[] = {
        {.name = "dry-run",
         .type = AE_ARG_FLAG,
         .to = &dry_run,
         .help = "check everything, show the plan, write nothing"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &json, .help = "the table of members as one JSON object"},
        ae_arg_quiet(&quiet),
    };
    const size_t n = sizeof flags / sizeof *flags;
    ae_status st;
    AE_TRY(ae_reward_config_init(&config));
    const int64_t head_steps = config.reward.head_steps; /* the default */
    AE_TRY(ae_args_parse(argc, argv, flags, n, &words, &help));
    if (help) {
        ae_train_help(&config.tune.train, hints, usage, flags, n);
        goto out;
    }
    ae_log_quiet(quiet);
    AE_TRY(ae_train_words(&config.tune.train, &words));
    st = train(&config, head_steps, dry_run, json);
out:
    ae_arg_list_free(&words);
    ae_tune_config_free(&config.tune);
    return st;
}
