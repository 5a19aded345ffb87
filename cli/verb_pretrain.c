#include "cli/train_args.h"
#include "cli/verbs.h"
#include "train/pretrain.h"

static const char usage[] =
    "aerie pretrain [CONFIG.yaml] [section.key=value ...] [--dry-run]\n"
    "trains a model on token sets; the same command again goes on where the run stopped\n"
    "  aerie pretrain run.dir=runs/book data.train=book/train.h5 data.heldout=book/heldout.h5 "
    "model.preset=small-5m";

ae_status ae_verb_pretrain(int argc, char **argv) {
    ae_status st = AE_OK;
    bool dry_run = false, help = false;
    ae_arg_list words = {0};
    ae_train_config config = {0};
    const ae_arg flags[] = {
        {.name = "dry-run",
         .type = AE_ARG_FLAG,
         .to = &dry_run,
         .help = "check everything, show the plan, write nothing"},
    };
    AE_TRY(ae_train_config_init(&config));
    AE_TRY(ae_args_parse(argc, argv, flags, sizeof flags / sizeof *flags, &words, &help));
    if (help) {
        ae_train_help(&config, usage, flags, sizeof flags / sizeof *flags);
        goto out;
    }
    AE_TRY(ae_train_args(&config, &words));
    AE_TRY(ae_pretrain(&config, dry_run));
out:
    ae_train_config_free(&config);
    ae_arg_list_free(&words);
    return st;
}
