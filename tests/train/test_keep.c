#include "core/file.h"
#include "tests/train/rig.h"
#include "train/run_folder.h"

#include <string.h>
#include <unistd.h>

/* Which checkpoints stay, and which of them is the best. */

static train_rig rig;

static void open_it(void) {
    train_rig_open(&rig);
}
static void close_it(void) {
    train_rig_close(&rig);
}

TestSuite(keep, .init = open_it, .fini = close_it);

/* A rate at which the loss only rises, so that the best is long past at the end. */
static const char wild[] = "train.steps=16 train.checkpoint_every=2 optim.schedule=constant optim.lr=1 ";

static ae_status run(const char *name, const char *more) {
    char all[400];
    snprintf(all, sizeof all, "%s%s", wild, more);
    return train_rig_run(&rig, name, all);
}

static void holds(const char *name, const int64_t *steps, size_t n) {
    ae_checkpoint_list l;
    ASSERT_OK(ae_checkpoint_list_steps(&l, train_rig_path(&rig, name)));
    cr_assert_eq(l.n, n, "%zu checkpoints, expected %zu", l.n, n);
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(l.steps[i], steps[i], "step %lld, expected %lld", (long long)l.steps[i],
                     (long long)steps[i]);
    ae_checkpoint_list_free(&l);
}

static void best_is(const char *name, int64_t step) {
    char link[64], target[64] = "", want[64];
    snprintf(link, sizeof link, "%s/checkpoints/best", name);
    snprintf(want, sizeof want, "step-%06lld", (long long)step);
    cr_assert_gt(readlink(train_rig_path(&rig, link), target, sizeof target - 1), 0);
    cr_assert_str_eq(target, want);
}

Test(keep, the_newest) {
    ASSERT_OK(run("a", "train.keep=2"));
    holds("a", (int64_t[]){14, 16}, 2);
    cr_assert_lt(readlink(train_rig_path(&rig, "a/checkpoints/best"), (char[8]){0}, 8), 0);
}

Test(keep, every_so_many_steps_for_good) {
    ASSERT_OK(run("a", "train.keep=1 train.keep_every=5 train.checkpoint_every=4"));
    holds("a", (int64_t[]){5, 10, 15, 16}, 4);
}

Test(keep, all) {
    ASSERT_OK(run("a", "train.keep=0 train.checkpoint_every=4"));
    holds("a", (int64_t[]){4, 8, 12, 16}, 4);
}

/* Steps 3, 6, 9, ... are evaluated: the best of them has a checkpoint whether one was due or not. */
Test(keep, the_best) {
    ASSERT_OK(run("a", "train.keep=1 train.keep_best=true"));
    const int64_t best = train_rig_best_step(&rig, "a");
    cr_assert(best < 15, "the best is at step %lld: nothing to see", (long long)best);
    holds("a", (int64_t[]){best, 16}, 2);
    best_is("a", best);
    ae_model_source source;
    ASSERT_OK(ae_run_source_open(&source, train_rig_path(&rig, "a/checkpoints/best")));
    ae_model_source_free(&source);
}

/* Each evaluation is better than the one before it, the last one too, behind which no checkpoint comes. */
Test(keep, the_best_only_while_it_is_that) {
    ASSERT_OK(run("a", "train.keep=1 train.keep_best=true optim.lr=1e-2"));
    cr_assert_eq(train_rig_best_step(&rig, "a"), 16);
    holds("a", (int64_t[]){16}, 1);
    best_is("a", 16);
}

/* Stops behind every kind of step; one of them lies between the best and its end. */
Test(keep, the_best_outlives_stops) {
    ASSERT_OK(run("whole", "train.keep=1 train.keep_best=true"));
    for (int steps = 1; steps <= 16; steps++) {
        char more[80];
        snprintf(more, sizeof more, "train.keep=1 train.keep_best=true train.steps=%d", steps);
        if (steps % 3 == 0 || steps % 5 == 0 || steps == 16) ASSERT_OK(run("parts", more));
    }
    const int64_t best = train_rig_best_step(&rig, "whole");
    ae_checkpoint_list l;
    ASSERT_OK(ae_checkpoint_list_steps(&l, train_rig_path(&rig, "parts")));
    cr_assert_eq(l.n, best == 16 ? 1 : 2);
    ae_checkpoint_list_free(&l);
    best_is("whole", best);
    best_is("parts", train_rig_best_step(&rig, "parts"));
    train_rig_same_checkpoint(&rig, "whole", "parts", 16);
}

/* The evaluation came after the checkpoint and before the machine went off: its line is all that tells of it. */
Test(keep, the_best_is_known_from_its_line) {
    ASSERT_OK(run("a", "train.steps=6 train.checkpoint_every=6 train.keep_best=true optim.lr=1e-2"));
    ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "a/checkpoints/best")));
    ASSERT_OK(run("a", "train.steps=6 train.checkpoint_every=6 train.keep_best=true optim.lr=1e-2"));
    best_is("a", 6);
}
