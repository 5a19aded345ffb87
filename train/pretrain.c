#include "train/pretrain.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "train/loop.h"
#include "train/report.h"
#include "train/run.h"

const ae_checkpoint_name ae_pretrain_files[] = {{"weights.h5", false},
                                                {"model.json", false},
                                                {"tokenizer.model", true},
                                                {"carry.h5", true},
                                                {NULL, false}};

static void tell_start(const ae_run *run) {
    const ae_train_config *c = run->config;
    if (run->checkpoint && run->state.step == c->train.steps) {
        ae_log("run: %s has done all of its %lld steps; a larger train.steps goes on where the schedule "
               "allows it",
               c->run.dir, (long long)c->train.steps);
    } else if (run->checkpoint) {
        ae_log("run: %s goes on after step %lld of %lld", c->run.dir, (long long)run->state.step,
               (long long)c->train.steps);
    } else {
        ae_log("run: %s%s", c->run.dir,
               run->kind == AE_RUN_RESTART ? " has no complete checkpoint and starts from the beginning"
                                           : "");
    }
}

/* Before anything is read or told. */
static ae_status check_place(const char *dir) {
    const ae_status st = ae_folder_check(dir);
    if (st != AE_OK) ae_fail_prefix("run.dir");
    return st;
}

ae_status ae_pretrain(const ae_train_config *config, bool dry_run) {
    ae_status st = AE_OK;
    ae_run run = {0};
    const double began = ae_now_s();
    AE_TRY(ae_train_config_check(config, true));
    AE_TRY(check_place(config->run.dir));
    if (!dry_run) AE_TRY(ae_run_lock(&run, config));
    AE_TRY(ae_run_open(&run, config, true));
    tell_start(&run);
    ae_report_plan(&run);
    if (!dry_run) {
        AE_TRY(ae_run_start(&run));
        ae_log("ready after %.2f s", ae_now_s() - began);
        AE_TRY(ae_loop_run(&run));
    }
out:
    ae_run_close(&run);
    return st;
}
