#include "core/file.h"
#include "exchange/source.h"
#include "tests/train/rig.h"
#include "train/run_folder.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Checkpoints that are written while training goes on. */

static train_rig rig;

static void open_it(void) {
    train_rig_open(&rig);
}
static void close_it(void) {
    train_rig_close(&rig);
}

TestSuite(saver, .init = open_it, .fini = close_it);

/* Steps of a few tokens and many parameters: a step takes a fraction of what writing takes, so updates must wait. */
static const char hasty[] =
    "model.width=128 model.recurrent_width=128 model.mlp_width=384 model.vocab=4096 train.row_tokens=4 "
    "train.batch_rows=1 train.checkpoint_every=1 train.eval_every=0 optim.schedule=constant ";

static ae_status run(const char *name, const char *more) {
    char all[500];
    snprintf(all, sizeof all, "%s%s", hasty, more);
    return train_rig_run(&rig, name, all);
}

/* Against runs that stopped there, so that nothing went on while they were written. */
Test(saver, holds_what_there_was_at_its_step) {
    ASSERT_OK(run("on", "train.steps=6"));
    for (int step = 1; step <= 6; step++) {
        char steps[32];
        snprintf(steps, sizeof steps, "train.steps=%d", step);
        ASSERT_OK(run("stopped", steps));
        train_rig_same_checkpoint(&rig, "on", "stopped", step);
    }
}

Test(saver, writes_a_carried_state_before_it_moves_on) {
    const char *keys = "data.shuffle=false train.carry_state=true train.steps=%d";
    char more[96];
    snprintf(more, sizeof more, keys, 4);
    ASSERT_OK(run("on", more));
    for (int step = 1; step <= 4; step++) {
        char *bytes[2];
        size_t n[2];
        const char *names[] = {"on", "stopped"};
        snprintf(more, sizeof more, keys, step);
        ASSERT_OK(run("stopped", more));
        for (int i = 0; i < 2; i++) {
            char name[64];
            snprintf(name, sizeof name, "%s/checkpoints/step-%06d/carry.h5", names[i], step);
            ASSERT_OK(ae_file_read(train_rig_path(&rig, name), &bytes[i], &n[i]));
        }
        cr_assert(n[0] == n[1] && memcmp(bytes[0], bytes[1], n[0]) == 0, "step %d", step);
        free(bytes[0]);
        free(bytes[1]);
    }
}

/* ---- on request ---- */

static void *ask(void *unused) {
    const char *metrics = train_rig_path(&rig, "a/metrics.jsonl"),
               *request = train_rig_path(&rig, "a/save.now");
    (void)unused;
    for (int i = 0; i < 5000 && ae_file_size(metrics) < 500; i++) usleep(1000);
    fclose(fopen(request, "w"));
    return NULL;
}

Test(saver, saves_when_it_is_asked_to) {
    pthread_t thread;
    pthread_create(&thread, NULL, ask, NULL);
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=60 train.checkpoint_every=0 train.eval_every=0"));
    pthread_join(thread, NULL);
    ae_checkpoint_list l;
    ASSERT_OK(ae_checkpoint_list_steps(&l, train_rig_path(&rig, "a")));
    cr_assert_eq(l.n, 2, "%zu checkpoints", l.n);
    cr_assert_eq(l.steps[1], 60);
    cr_assert(l.steps[0] > 0 && l.steps[0] < 60);
    ae_checkpoint_list_free(&l);
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "a/save.now")));
}

Test(saver, a_request_at_the_end_is_answered_too) {
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=2 optim.schedule=constant"));
    fclose(fopen(train_rig_path(&rig, "a/save.now"), "w"));
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=2 optim.schedule=constant"));
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "a/save.now")));
}

/* ---- failing ---- */

/* The thread's failure reaches the run at the next step, long before its end. */
Test(saver, a_full_disk_stops_the_run) {
    struct rlimit old, low;
    signal(SIGXFSZ, SIG_IGN);
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=4 optim.schedule=constant"));
    getrlimit(RLIMIT_FSIZE, &old);
    low = old;
    low.rlim_cur = 30000; /* the metrics fit, the weights do not */
    setrlimit(RLIMIT_FSIZE, &low);
    ASSERT_FAILS(AE_ERR_RESOURCE, train_rig_run(&rig, "a", "train.steps=60 optim.schedule=constant"));
    ASSERT_SAYS("step-000008");
    setrlimit(RLIMIT_FSIZE, &old);
    cr_assert_lt(train_rig_metric_count(&rig, "a"), 40);
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "a/checkpoints/step-000008.partial")));
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=12 optim.schedule=constant"));
    ASSERT_OK(train_rig_run(&rig, "b", "train.steps=12 optim.schedule=constant"));
    train_rig_same_checkpoint(&rig, "a", "b", 12);
}
