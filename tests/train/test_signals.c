#include "core/file.h"
#include "tests/train/at_sync.h"
#include "tests/train/rig.h"
#include "train/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static train_rig rig;

static void open_it(void) {
    train_rig_open(&rig);
}
static void close_it(void) {
    train_rig_close(&rig);
}
TestSuite(signals, .init = open_it, .fini = close_it);

static const int *numbers; /* sent at the first sync of the loop, 0 at the end */
static volatile int sent;

/* Not when the run is still being set up. */
static bool has_lines(const char *metrics) {
    return ae_file_size(train_rig_path(&rig, metrics)) > 0;
}

static void send_all(void) {
    if (!has_lines("stopped/metrics.jsonl") || sent++) return;
    for (const int *number = numbers; *number; number++) kill(getpid(), *number);
}

static void expect_saved_stop(const int *all) {
    static const char keys[] = "train.steps=50 train.checkpoint_every=5 train.eval_every=0";
    numbers = all;
    sent = 0;
    train_rig_at_sync = send_all;
    ASSERT_FAILS(AE_ERR_INTERRUPTED, train_rig_run(&rig, "stopped", keys));
    train_rig_at_sync = NULL;
    cr_assert(sent > 0);
    cr_assert_lt(train_rig_metric_count(&rig, "stopped"), 50);
    ASSERT_OK(train_rig_run(&rig, "stopped", keys));
    ASSERT_OK(train_rig_run(&rig, "whole", keys));
    train_rig_same_checkpoint(&rig, "whole", "stopped", 50);
}

/* What a closed terminal sends. */
Test(signals, hang_up_twice_saves) {
    expect_saved_stop((const int[]){SIGHUP, SIGHUP, 0});
}

/* A scheduler warns, and then means it. */
Test(signals, a_warning_and_an_end_save) {
    expect_saved_stop((const int[]){SIGUSR1, SIGUSR1, SIGTERM, 0});
}

Test(signals, limits_and_power_save) {
    expect_saved_stop((const int[]){SIGXCPU, SIGUSR2, SIGPWR, 0});
}

Test(signals, a_second_interrupt_ends_at_once, .exit_code = AE_ERR_INTERRUPTED) {
    numbers = (const int[]){SIGINT, SIGINT, 0};
    train_rig_at_sync = send_all;
    train_rig_run(&rig, "stopped", "train.steps=50 train.checkpoint_every=5");
}

Test(signals, what_the_caller_ignores_does_not_stop_a_run) {
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    numbers = (const int[]){SIGINT, SIGHUP, 0};
    train_rig_at_sync = send_all;
    ASSERT_OK(train_rig_run(&rig, "stopped", "train.steps=12"));
    cr_assert(sent > 0);
}

/* The last evaluation is told: nothing is left but to close the files. */
static void send_at_the_end(void) {
    if (!has_lines("late/metrics.jsonl")) return;
    json_t *last = train_rig_metric(&rig, "late", 15); /* of 12 steps and 4 evaluations */
    if (last) sent = sent || kill(getpid(), SIGTERM) == 0;
    json_decref(last);
}

Test(signals, one_behind_the_last_step_leaves_a_finished_run) {
    train_rig_at_sync = send_at_the_end;
    ASSERT_OK(train_rig_run(&rig, "late", "train.steps=12"));
    cr_assert(sent > 0);
}

static int errno_after;

static void send_without_stderr(void) {
    if (!has_lines("stopped/metrics.jsonl") || sent++) return;
    const int err = dup(STDERR_FILENO);
    close(STDERR_FILENO); /* the handler's own write fails */
    errno = EDOM;
    raise(SIGUSR1);
    errno_after = errno;
    dup2(err, STDERR_FILENO);
    close(err);
}

/* The call that a signal came into may be about to look at errno. */
Test(signals, errno_is_kept) {
    train_rig_at_sync = send_without_stderr;
    ASSERT_FAILS(AE_ERR_INTERRUPTED,
                 train_rig_run(&rig, "stopped", "train.steps=50 train.checkpoint_every=5"));
    cr_assert_eq(errno_after, EDOM);
}
