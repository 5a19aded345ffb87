#include "core/file.h"
#include "core/h5.h"
#include "core/machine.h"
#include "data/prepare.h"
#include "data/tokenizer.h"
#include "formats/done.h"
#include "tests/train/at_sync.h"
#include "tests/train/rig.h"
#include "train/checkpoint.h"
#include "train/loop.h"
#include "train/pretrain.h"
#include "train/state.h"

#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static train_rig rig;

static void open_it(void) {
    train_rig_open(&rig);
}
static void close_it(void) {
    train_rig_close(&rig);
}

TestSuite(run, .init = open_it, .fini = close_it);

static bool exists(const char *name) {
    return ae_path_exists(train_rig_path(&rig, name));
}

static double number(const char *run, size_t line, const char *key) {
    json_t *object = train_rig_metric(&rig, run, line), *value = json_object_get(object, key);
    cr_assert(json_is_number(value), "%s is no number in line %zu", key, line + 1);
    double x = json_number_value(value);
    json_decref(object);
    return x;
}

Test(run, learns_and_tells) {
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=40 train.eval_every=20 train.checkpoint_every=20"));
    cr_assert_eq(train_rig_metric_count(&rig, "a"), 42);
    cr_assert_lt(number("a", 41, "eval_loss"), number("a", 0, "loss") - 1, "it learns");
    cr_assert_float_eq(number("a", 0, "loss"), log(RIG_VOCAB), 1.5, "and starts near chance");
    cr_assert_eq(number("a", 0, "step"), 1);
    cr_assert_eq(number("a", 0, "tokens"), 6 * 24);
    cr_assert_float_eq(number("a", 0, "lr"), 1e-2 / 3, 1e-9);
    cr_assert_float_eq(number("a", 40, "lr"), 1e-3, 1e-9);
    static const char *const more[] = {"grad_norm", "tokens_per_s", "flops_fraction", "step_s",
                                       "peak_rss_bytes"};
    for (size_t i = 0; i < 5; i++) cr_assert_gt(number("a", 0, more[i]), 0.0, "%s", more[i]);
    cr_assert_gt(number("a", 20, "bits_per_byte"), 0.0);
    cr_assert(exists("a/config.yaml"));
    cr_assert(exists("a/checkpoints/step-000020/DONE"));
    cr_assert(exists("a/checkpoints/step-000040/DONE"));
}

/* Stops behind 1, 4 (a checkpoint), 6 (an evaluation) and 11 of 12 steps: with a constant rate a run of fewer steps is the same run. */
Test(run, stopped_and_resumed_equals_never_stopped) {
    static const char *const stops[] = {
        "train.steps=1 optim.schedule=constant", "train.steps=4 optim.schedule=constant",
        "train.steps=6 optim.schedule=constant", "train.steps=11 optim.schedule=constant"};
    ASSERT_OK(train_rig_run(&rig, "whole", "optim.schedule=constant train.eval_every=6"));
    for (size_t i = 0; i < 4; i++) ASSERT_OK(train_rig_run(&rig, "parts", stops[i]));
    ASSERT_OK(train_rig_run(&rig, "parts", "optim.schedule=constant"));
    train_rig_same_checkpoint(&rig, "whole", "parts", 12);
}

static void wait_for_lines(const char *run, size_t n) {
    char name[64];
    snprintf(name, sizeof name, "%s/metrics.jsonl", run);
    for (int i = 0; i < 3000; i++, usleep(1000))
        if (ae_file_size(train_rig_path(&rig, name)) > 0 && train_rig_metric_count(&rig, run) >= n) return;
}

static void *interrupt_later(void *signal_number) {
    wait_for_lines("stopped", 5);
    kill(getpid(), *(int *)signal_number);
    return NULL;
}

static void stop_and_go_on(int number) {
    pthread_t thread;
    const char *keys = "train.steps=150 train.checkpoint_every=50 train.eval_every=30";
    pthread_create(&thread, NULL, interrupt_later, &number);
    ASSERT_FAILS(AE_ERR_INTERRUPTED, train_rig_run(&rig, "stopped", keys));
    pthread_join(thread, NULL);
    cr_assert_lt(train_rig_metric_count(&rig, "stopped"), 150);
    ASSERT_OK(train_rig_run(&rig, "stopped", keys));
    ASSERT_OK(train_rig_run(&rig, "whole", keys));
    train_rig_same_checkpoint(&rig, "whole", "stopped", 150);
    train_rig_same_metrics(&rig, "whole", "stopped");
}

Test(run, a_signal_saves_and_the_run_goes_on_exactly) {
    stop_and_go_on(SIGINT);
}

Test(run, sigterm_is_the_same) {
    stop_and_go_on(SIGTERM);
}

/* As if the machine had gone off: what came behind the checkpoint is on the disk, and half a line. */
Test(run, a_run_that_died_between_checkpoints_leaves_no_gap_and_nothing_twice) {
    ASSERT_OK(train_rig_run(&rig, "whole", ""));
    ASSERT_OK(train_rig_run(&rig, "died", ""));
    ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "died/checkpoints/step-000012")));
    FILE *f = fopen(train_rig_path(&rig, "died/metrics.jsonl"), "a");
    fputs("{\"step\": 13, \"lo", f);
    fclose(f);
    ASSERT_OK(train_rig_run(&rig, "died", ""));
    train_rig_same_checkpoint(&rig, "whole", "died", 12);
    train_rig_same_metrics(&rig, "whole", "died");
}

/* ---- metrics that were lost ---- */

static char *metrics_of(const char *run, size_t *n) {
    char *bytes;
    ASSERT_OK(ae_file_read(train_rig_path(&rig, run), &bytes, n));
    return bytes;
}

static void copy_metrics(const char *from, const char *to, size_t n) {
    size_t all;
    char *bytes = metrics_of(from, &all);
    cr_assert_leq(n, all);
    ASSERT_OK(ae_file_write(train_rig_path(&rig, to), bytes, n));
    free(bytes);
}

/* Where line `i` starts. */
static size_t start_of(const char *run, size_t i) {
    size_t n, at = 0;
    char *bytes = metrics_of(run, &n);
    while (i-- > 0) at += strcspn(bytes + at, "\n") + 1;
    free(bytes);
    return at;
}

/* The steps of a run's lines, an evaluation half behind its step. */
static void assert_lines(const char *run, size_t n, const double *steps) {
    cr_assert_eq(train_rig_metric_count(&rig, run), n, "found %zu lines", train_rig_metric_count(&rig, run));
    for (size_t i = 0; i < n; i++) {
        json_t *line = train_rig_metric(&rig, run, i);
        const double part = json_object_get(line, "eval_loss") ? 0.5 : 0;
        cr_assert_eq((double)json_integer_value(json_object_get(line, "step")) + part, steps[i], "line %zu",
                     i + 1);
        json_decref(line);
    }
}

static double best_loss(const char *run, int64_t *step) {
    char name[64];
    ae_run_state s;
    snprintf(name, sizeof name, "%s/checkpoints/step-000012/state.json", run);
    ASSERT_OK(ae_run_state_read(&s, train_rig_path(&rig, name)));
    const double loss = s.best_score;
    *step = s.best_step;
    ae_run_state_free(&s);
    return loss;
}

static void same_best(const char *a, const char *b) {
    int64_t x, y;
    cr_assert_eq(best_loss(a, &x), best_loss(b, &y));
    cr_assert_eq(x, y);
}

static const char *const EIGHT = "train.steps=8 optim.schedule=constant train.keep_best=true",
                         *const TWELVE = "optim.schedule=constant train.keep_best=true";

/* To step 8: the lines of the steps and of the evaluations of 3, 6 and, since it is the last, 8. */
static void eight_steps(const char *run) {
    ASSERT_OK(train_rig_run(&rig, run, EIGHT));
    cr_assert_eq(train_rig_metric_count(&rig, run), 11);
}

Test(run, lost_metrics_cost_lines_and_nothing_else) {
    const double after[] = {9, 9.5, 10, 11, 12, 12.5};
    const double cut[] = {1, 2, 3, 3.5, 4, 9, 9.5, 10, 11, 12, 12.5};
    eight_steps("whole");
    eight_steps("gone");
    eight_steps("middle");
    eight_steps("end");
    cr_assert_eq(remove(train_rig_path(&rig, "gone/metrics.jsonl")), 0);
    copy_metrics("whole/metrics.jsonl", "middle/metrics.jsonl", start_of("whole/metrics.jsonl", 5) + 9);
    copy_metrics("whole/metrics.jsonl", "end/metrics.jsonl", start_of("whole/metrics.jsonl", 5));
    ASSERT_OK(train_rig_run(&rig, "whole", TWELVE));
    ASSERT_OK(train_rig_run(&rig, "gone", TWELVE));
    ASSERT_OK(train_rig_run(&rig, "middle", TWELVE));
    ASSERT_OK(train_rig_run(&rig, "end", TWELVE));
    static const char *const runs[] = {"gone", "middle", "end"};
    for (size_t i = 0; i < 3; i++) {
        train_rig_same_checkpoint(&rig, "whole", runs[i], 12);
        same_best("whole", runs[i]);
    }
    assert_lines("gone", 6, after);
    assert_lines("middle", 11, cut);
    assert_lines("end", 11, cut);
}

/* A newer checkpoint, whose offset fits the new file, is damaged: the older one's is that of the file that was lost. */
Test(run, an_older_checkpoint_goes_on_with_metrics_made_anew) {
    eight_steps("whole");
    eight_steps("a");
    cr_assert_eq(remove(train_rig_path(&rig, "a/metrics.jsonl")), 0);
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=40 optim.schedule=constant train.keep_best=true"));
    ASSERT_OK(train_rig_run(&rig, "whole", "train.steps=40 optim.schedule=constant train.keep_best=true"));
    for (int step = 12; step <= 40; step++) {
        char name[64];
        snprintf(name, sizeof name, "a/checkpoints/step-%06d", step);
        if (exists(name)) ASSERT_OK(ae_folder_remove(train_rig_path(&rig, name)));
    }
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=40 optim.schedule=constant train.keep_best=true"));
    train_rig_same_checkpoint(&rig, "whole", "a", 40);
    const size_t all = train_rig_metric_count(&rig, "whole"), left = train_rig_metric_count(&rig, "a");
    for (size_t i = 1; i <= left; i++)
        cr_assert_eq(number("a", left - i, "step"), number("whole", all - i, "step"), "line %zu from the end",
                     i);
}

Test(run, a_folder_in_place_of_the_metrics_is_refused) {
    eight_steps("a");
    cr_assert_eq(remove(train_rig_path(&rig, "a/metrics.jsonl")), 0);
    ASSERT_OK(ae_folder_make(train_rig_path(&rig, "a/metrics.jsonl")));
    ASSERT_FAILS(AE_ERR_USAGE, train_rig_run(&rig, "a", TWELVE));
    ASSERT_SAYS("a/metrics.jsonl");
}

Test(run, a_finished_run_does_nothing_more) {
    ASSERT_OK(train_rig_run(&rig, "a", ""));
    ASSERT_OK(train_rig_run(&rig, "b", ""));
    ASSERT_OK(train_rig_run(&rig, "b", ""));
    train_rig_same_metrics(&rig, "a", "b");
}

Test(run, threads_do_not_change_a_bit) {
    ASSERT_OK(train_rig_run(&rig, "one", "train.threads=1"));
    ASSERT_OK(train_rig_run(&rig, "two", "train.threads=2"));
    train_rig_same_checkpoint(&rig, "one", "two", 12);
    train_rig_same_metrics(&rig, "one", "two");
}

Test(run, threads_do_not_change_a_bit_of_bfloat16) {
    ASSERT_OK(train_rig_run(&rig, "one", "train.dtype=bf16 train.threads=1"));
    ASSERT_OK(train_rig_run(&rig, "two", "train.dtype=bf16 train.threads=2 train.recompute_mlps=2"));
    train_rig_same_checkpoint(&rig, "one", "two", 12);
    train_rig_same_metrics(&rig, "one", "two");
}

Test(run, recomputing_does_not_change_a_bit) {
    ASSERT_OK(train_rig_run(&rig, "kept", "train.recompute=0"));
    ASSERT_OK(train_rig_run(&rig, "again", "train.recompute=3"));
    train_rig_same_checkpoint(&rig, "kept", "again", 12);
    train_rig_same_metrics(&rig, "kept", "again");
}

Test(run, a_damaged_checkpoint_is_passed_over) {
    ASSERT_OK(train_rig_run(&rig, "whole", ""));
    ASSERT_OK(train_rig_run(&rig, "hurt", ""));
    FILE *f = fopen(train_rig_path(&rig, "hurt/checkpoints/step-000012/weights.h5"), "r+b");
    fseek(f, -8, SEEK_END);
    fputc(fgetc(f) ^ 1, f);
    fclose(f);
    char *newest = NULL;
    ASSERT_OK(ae_checkpoint_newest_intact(train_rig_path(&rig, "hurt"), ae_pretrain_files, true, &newest));
    cr_assert_not_null(strstr(newest, "step-000008"));
    free(newest);
    ASSERT_OK(train_rig_run(&rig, "hurt", ""));
    train_rig_same_checkpoint(&rig, "whole", "hurt", 12);
    train_rig_same_metrics(&rig, "whole", "hurt");
}

/* The last of all is not taken for a run that has none: nothing is trained anew over what is there. */
Test(run, damaged_checkpoints_only_are_refused) {
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=4 optim.schedule=constant"));
    const char *weights = train_rig_path(&rig, "a/checkpoints/step-000004/weights.h5");
    cr_assert_eq(truncate(weights, 1000), 0);
    ASSERT_FAILS(AE_ERR_INPUT, train_rig_run(&rig, "a", "train.steps=4 optim.schedule=constant"));
    ASSERT_SAYS("found 1 that cannot be read or are damaged");
    cr_assert_eq(train_rig_metric_count(&rig, "a"), 6, "and nothing was touched");
    cr_assert_eq(remove(train_rig_path(&rig, "a/checkpoints/step-000004/DONE")), 0);
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=4 optim.schedule=constant"));
    cr_assert_eq(train_rig_metric_count(&rig, "a"), 6, "without DONE it was never there");
}

Test(run, a_start_killed_at_its_first_file_starts_again) {
    ASSERT_OK(ae_folder_make(train_rig_path(&rig, "a")));
    fclose(fopen(train_rig_path(&rig, "a/metrics.jsonl"), "w"));
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=1 optim.schedule=constant"));
    cr_assert(exists("a/checkpoints/step-000001/DONE"));
    ASSERT_OK(ae_folder_make(train_rig_path(&rig, "b")));
    FILE *f = fopen(train_rig_path(&rig, "b/metrics.jsonl"), "w");
    fputs("{}\n", f);
    fclose(f);
    ASSERT_FAILS(AE_ERR_USAGE, train_rig_run(&rig, "b", "train.steps=1 optim.schedule=constant"));
    ASSERT_SAYS("found other files");
}

/* config.yaml is written aside first. */
Test(run, a_start_killed_at_its_second_file_starts_again) {
    ASSERT_OK(ae_folder_make(train_rig_path(&rig, "a")));
    fclose(fopen(train_rig_path(&rig, "a/metrics.jsonl"), "w"));
    fclose(fopen(train_rig_path(&rig, "a/config.yaml.4711-0.part"), "w"));
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=1 optim.schedule=constant"));
    cr_assert(exists("a/checkpoints/step-000001/DONE"));
    cr_assert(!exists("a/config.yaml.4711-0.part"));
}

Test(run, keeps_the_newest_checkpoints) {
    ASSERT_OK(train_rig_run(&rig, "a", "train.checkpoint_every=2 train.keep=2"));
    cr_assert(exists("a/checkpoints/step-000012/DONE"));
    cr_assert(exists("a/checkpoints/step-000010/DONE"));
    cr_assert_not(exists("a/checkpoints/step-000008"));
    cr_assert_not(exists("a/checkpoints/step-000002"));
}

Test(run, what_would_break_exactness_is_refused_by_its_key) {
    static const char *const keys[] = {
        "run.seed=2",       "data.shuffle=false",    "train.row_tokens=12",  "train.batch_rows=3",
        "optim.lr=2e-2",    "optim.schedule=linear", "optim.warmup_steps=2", "optim.lr_final_ratio=0.2",
        "optim.beta2=0.99", "optim.clip_norm=2",     "optim.weight_decay=0", "model.width=16",
        "model.pattern=ra", "train.steps=20",        "train.steps=6",
    };
    ASSERT_OK(train_rig_run(&rig, "a", ""));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char key[64];
        snprintf(key, sizeof key, "%.*s", (int)strcspn(keys[i], "="), keys[i]);
        ASSERT_FAILS(AE_ERR_USAGE, train_rig_run(&rig, "a", keys[i]));
        ASSERT_SAYS(key);
    }
    cr_assert_eq(train_rig_metric_count(&rig, "a"), 16, "and nothing was touched");
}

Test(run, other_tokens_are_refused) {
    ASSERT_OK(train_rig_run(&rig, "a", ""));
    train_rig_set(rig.train, 60, 3);
    ASSERT_FAILS(AE_ERR_INPUT, train_rig_run(&rig, "a", ""));
    ASSERT_SAYS("data.train");
}

Test(run, a_folder_with_other_things_is_refused) {
    ASSERT_FAILS(AE_ERR_USAGE, train_rig_run(&rig, "", ""));
    ASSERT_SAYS("run.dir");
    cr_assert_not(exists("metrics.jsonl"));
}

Test(run, a_refused_start_leaves_no_folder) {
    ASSERT_FAILS(AE_ERR_INPUT, train_rig_run(&rig, "a", "data.train=/nonexistent.h5"));
    ASSERT_FAILS(AE_ERR_USAGE, train_rig_run(&rig, "a", "optim.warmup_steps=13"));
    cr_assert_not(exists("a"));
}

Test(run, a_dry_run_writes_nothing) {
    ae_train_config c;
    train_rig_config(&rig, &c, "a", "");
    ASSERT_OK(ae_pretrain(&c, true));
    ae_train_config_free(&c);
    cr_assert_not(exists("a"));
}

Test(run, starts_from_another_run) {
    ASSERT_OK(train_rig_run(&rig, "a", ""));
    ae_train_config c;
    char init[700];
    ASSERT_OK(ae_train_config_init(&c));
    snprintf(init, sizeof init, "model.init=%s", train_rig_path(&rig, "a"));
    ASSERT_OK(ae_config_set(&c.table, init, "test"));
    snprintf(init, sizeof init, "run.dir=%s", train_rig_path(&rig, "b"));
    ASSERT_OK(ae_config_set(&c.table, init, "test"));
    snprintf(init, sizeof init, "data.train=%s", rig.train);
    ASSERT_OK(ae_config_set(&c.table, init, "test"));
    ASSERT_OK(ae_config_set(&c.table, "train.row_tokens=24", "test"));
    ASSERT_OK(ae_config_set(&c.table, "train.steps=2", "test"));
    ASSERT_OK(ae_pretrain(&c, false));
    cr_assert_lt(number("b", 0, "loss"), number("a", 0, "loss") - 0.5, "%g %g", number("b", 0, "loss"),
                 number("a", 0, "loss"));
    ASSERT_OK(ae_config_set(&c.table, "model.width=64", "test"));
    ASSERT_FAILS(AE_ERR_USAGE, ae_pretrain(&c, false));
    ASSERT_SAYS("model.width");
    ae_train_config_free(&c);
}

/* ---- with a tokenizer ---- */

/* Token sets with a tokenizer in place of those without one. */
static void prepare_text(void) {
    char text[300], model[300];
    snprintf(text, sizeof text, "%s/text.txt", rig.folder);
    snprintf(model, sizeof model, "%s/t.model", rig.folder);
    FILE *f = fopen(text, "w");
    for (int i = 0; i < 500; i++) fprintf(f, "the %d birds of the hill sing %d songs\n", i, i * i);
    fclose(f);
    const char *inputs[] = {text};
    ae_tokenizer_training a = {
        .inputs = inputs, .n_inputs = 1, .output = model, .text_key = "text", .vocab_size = 300};
    a.kind = "bpe";
    a.sample_bytes = 1 << 20;
    ASSERT_OK(ae_tokenizer_train(&a));
    ae_prepare_options p = {
        .inputs = inputs, .n_inputs = 1, .tokenizer = model, .output = rig.folder, .text_key = "text"};
    p.heldout = 0.1;
    p.force = true;
    p.threads = 1;
    ae_prepare_report report;
    ASSERT_OK(ae_data_prepare(&p, &report));
}

/* The sample is there, the same on every run, and the checkpoint carries the tokenizer. */
Test(run, samples_after_evaluations) {
    char *first, *again;
    size_t n;
    prepare_text();
    const char *keys = "train.eval_every=6 train.sample_tokens=12 train.sample_prompt=the";
    ASSERT_OK(train_rig_run(&rig, "a", keys));
    ASSERT_OK(train_rig_run(&rig, "b", keys));
    ASSERT_OK(ae_file_read(train_rig_path(&rig, "a/samples/step-000006.txt"), &first, &n));
    ASSERT_OK(ae_file_read(train_rig_path(&rig, "b/samples/step-000006.txt"), &again, &n));
    cr_assert_str_eq(first, again);
    cr_assert_eq(strncmp(first, "the", 3), 0);
    cr_assert(exists("a/samples/step-000012.txt"));
    cr_assert(exists("a/checkpoints/step-000012/tokenizer.model"));
    free(first);
    free(again);
}

static ae_status run_from(const char *init, const char *name, const char *steps) {
    ae_train_config c;
    char key[700];
    const char *const more[] = {steps, "optim.schedule=constant", "train.row_tokens=24",
                                "train.sample_tokens=12"};
    ASSERT_OK(ae_train_config_init(&c));
    snprintf(key, sizeof key, "model.init=%s", train_rig_path(&rig, init));
    ASSERT_OK(ae_config_set(&c.table, key, "test"));
    snprintf(key, sizeof key, "run.dir=%s", train_rig_path(&rig, name));
    ASSERT_OK(ae_config_set(&c.table, key, "test"));
    snprintf(key, sizeof key, "data.train=%s", rig.train);
    ASSERT_OK(ae_config_set(&c.table, key, "test"));
    snprintf(key, sizeof key, "data.heldout=%s", rig.heldout);
    ASSERT_OK(ae_config_set(&c.table, key, "test"));
    for (size_t i = 0; i < 4; i++) ASSERT_OK(ae_config_set(&c.table, more[i], "test"));
    ae_status st = ae_pretrain(&c, false);
    ae_train_config_free(&c);
    return st;
}

/* Written again with another token, its checksums in order: only the set's own hash knows. */
static void change_token(const char *path) {
    const int32_t id = RIG_VOCAB - 1;
    const hsize_t at = 1000;
    const hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), set = H5Dopen2(f, "tokens", H5P_DEFAULT),
                space = H5Dget_space(set), one = H5Screate(H5S_SCALAR);
    H5Sselect_elements(space, H5S_SELECT_SET, 1, &at);
    cr_assert_geq(H5Dwrite(set, H5T_NATIVE_INT32, one, space, H5P_DEFAULT, &id), 0);
    H5Sclose(one);
    H5Sclose(space);
    H5Dclose(set);
    cr_assert_geq(H5Fclose(f), 0);
}

Test(run, a_token_set_that_changed_is_refused_at_the_start) {
    change_token(rig.train);
    ASSERT_FAILS(AE_ERR_INPUT, train_rig_run(&rig, "a", ""));
    ASSERT_SAYS("train.h5: content_hash: ");
    ASSERT_SAYS("copy or prepare it again");
    cr_assert_not(exists("a"));
}

Test(run, a_heldout_set_that_changed_is_refused_at_the_start) {
    train_rig_set(rig.heldout, 60, 2);
    change_token(rig.heldout);
    ASSERT_FAILS(AE_ERR_INPUT, train_rig_run(&rig, "a", ""));
    ASSERT_SAYS("heldout.h5: content_hash: ");
}

/* The sets carry none here: model.init brought the tokenizer, and after a stop the checkpoint does. */
Test(run, a_tokenizer_that_came_with_the_model_outlives_a_stop) {
    prepare_text();
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=1 optim.schedule=constant"));
    train_rig_set(rig.train, 60, 1);
    train_rig_set(rig.heldout, 9, 2);
    ASSERT_OK(run_from("a", "b", "train.steps=2"));
    cr_assert(exists("b/checkpoints/step-000002/tokenizer.model"));
    ASSERT_OK(run_from("a", "b", "train.steps=3"));
    cr_assert(exists("b/checkpoints/step-000003/tokenizer.model"));
    cr_assert(exists("b/samples/step-000003.txt"));
}

/* A sanitizer's own memory is not planned for. */
#ifndef __SANITIZE_ADDRESS__
Test(run, the_plan_foretells_the_peak) {
    ae_train_config c;
    ae_engine engine = {0};
    ae_pretraining p = {0};
    const ae_objective objective = ae_pretraining_objective(&p);
    train_rig_config(
        &rig, &c, "a",
        "model.width=128 model.recurrent_width=128 model.mlp_width=384 model.vocab=4096 train.steps=1 "
        "train.row_tokens=1024 train.batch_rows=4 optim.warmup_steps=0");
    ASSERT_OK(ae_engine_open(&engine, &c, &objective, true));
    ASSERT_OK(ae_engine_start(&engine));
    ASSERT_OK(ae_loop_run(&engine));
    double foretold = (double)p.plan.peak_bytes, found = (double)ae_peak_rss_bytes();
    ae_engine_close(&engine);
    ae_train_config_free(&c);
    cr_assert_gt(foretold, 1e8);
    cr_assert_float_eq(foretold, found, 0.1 * found, "%.0f MB foretold, %.0f MB found", foretold / 1e6,
                       found / 1e6);
}
#endif

/* ---- not finite ---- */

/* Weights that are numbers, and overflow: what is none is refused when it is read. */
static void poison(const char *run) {
    char name[64];
    float bad[32];
    for (int i = 0; i < 32; i++) bad[i] = 3.4e38f;
    snprintf(name, sizeof name, "%s/checkpoints/step-000012", run);
    char *folder = strdup(train_rig_path(&rig, name)), *path = ae_path_join(folder, "weights.h5");
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t set = H5Dopen2(file, "model.final_norm.weight", H5P_DEFAULT);
    cr_assert_geq(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, bad), 0);
    H5Dclose(set);
    H5Fclose(file);
    static const char *const files[] = {"weights.h5", "optimizer.h5", "model.json", "config.yaml",
                                        "state.json"};
    ASSERT_OK(ae_done_write(folder, files, sizeof files / sizeof *files));
    free(path);
    free(folder);
}

Test(run, steps_that_are_not_finite_are_skipped_and_then_stop_the_run) {
    char init[700];
    ae_train_config c;
    ASSERT_OK(train_rig_run(&rig, "a", ""));
    poison("a");
    ASSERT_OK(ae_train_config_init(&c));
    static const char *const keys[] = {"train.row_tokens=24", "train.skip_limit=3", "train.batch_rows=6"};
    for (size_t i = 0; i < 3; i++) ASSERT_OK(ae_config_set(&c.table, keys[i], "test"));
    snprintf(init, sizeof init, "model.init=%s", train_rig_path(&rig, "a"));
    ASSERT_OK(ae_config_set(&c.table, init, "test"));
    snprintf(init, sizeof init, "run.dir=%s", train_rig_path(&rig, "b"));
    ASSERT_OK(ae_config_set(&c.table, init, "test"));
    snprintf(init, sizeof init, "data.train=%s", rig.train);
    ASSERT_OK(ae_config_set(&c.table, init, "test"));
    ASSERT_FAILS(AE_ERR_GUARD, ae_pretrain(&c, false));
    ASSERT_SAYS("bad-batch-step-3.h5");
    cr_assert_eq(train_rig_metric_count(&rig, "b"), 3);
    json_t *line = train_rig_metric(&rig, "b", 2);
    cr_assert(json_is_true(json_object_get(line, "skipped")));
    cr_assert(json_is_null(json_object_get(line, "loss")));
    json_decref(line);
    hid_t file;
    int64_t shape[2];
    const char *path = train_rig_path(&rig, "b/bad-batch-step-3.h5");
    ASSERT_OK(ae_h5_open(&file, path));
    ASSERT_OK(ae_h5_shape(file, path, "tokens", 2, shape));
    cr_assert(shape[0] == 6 && shape[1] == 24);
    ae_h5_close(file, path);
    ae_train_config_free(&c);
}

/* ---- a full disk ---- */

Test(run, a_full_disk_leaves_the_newest_checkpoint_and_nothing_half_written) {
    struct rlimit old, low;
    signal(SIGXFSZ, SIG_IGN);
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=4 optim.schedule=constant"));
    getrlimit(RLIMIT_FSIZE, &old);
    low = old;
    low.rlim_cur = 20000; /* the metrics fit, the weights do not */
    setrlimit(RLIMIT_FSIZE, &low);
    ASSERT_FAILS(AE_ERR_RESOURCE, train_rig_run(&rig, "a", "train.steps=8 optim.schedule=constant"));
    ASSERT_SAYS("step-000008");
    setrlimit(RLIMIT_FSIZE, &old);
    cr_assert(exists("a/checkpoints/step-000004/DONE"));
    cr_assert_not(exists("a/checkpoints/step-000008"));
    cr_assert_not(exists("a/checkpoints/step-000008.partial"));
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=8 optim.schedule=constant"));
    ASSERT_OK(train_rig_run(&rig, "b", "train.steps=8 optim.schedule=constant"));
    train_rig_same_checkpoint(&rig, "a", "b", 8);
}

/* ---- a first start that fails ---- */

static const struct rlimit no_file_grows = {0, RLIM_INFINITY};

/* In the middle of a start. */
static void fill_disk(void) {
    setrlimit(RLIMIT_FSIZE, &no_file_grows);
}

static void put_and_fill_disk(void) {
    train_rig_at_sync = NULL;
    ASSERT_OK(ae_file_write(train_rig_path(&rig, "run/precious"), "mine", 4));
    fill_disk();
}

static void fail_to_start(void (*in_the_middle)(void)) {
    struct rlimit old;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    train_rig_at_sync = in_the_middle;
    ASSERT_FAILS(AE_ERR_RESOURCE, train_rig_run(&rig, "run", ""));
    train_rig_at_sync = NULL;
    setrlimit(RLIMIT_FSIZE, &old);
}

Test(run, a_first_start_that_fails_leaves_no_folder) {
    fail_to_start(fill_disk);
    cr_assert_not(exists("run"));
}

/* The folder was there, empty, and somebody put a file into it meanwhile. */
Test(run, a_first_start_that_fails_leaves_what_is_not_its_own) {
    ASSERT_OK(ae_folder_make(train_rig_path(&rig, "run")));
    fail_to_start(put_and_fill_disk);
    cr_assert(exists("run/precious"));
    cr_assert_not(exists("run/config.yaml"));
    cr_assert_not(exists("run/metrics.jsonl"));
    remove(train_rig_path(&rig, "run/precious"));
    ASSERT_OK(train_rig_run(&rig, "run", "train.steps=3"));
}
