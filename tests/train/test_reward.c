#include "core/rng.h"
#include "formats/tensors.h"
#include "tests/train/tuning.h"
#include "train/calibration.h"
#include "train/reward.h"

#include <math.h>
#include <stdlib.h>

static train_rig rig;

static void open_rig(void) {
    train_rig_open(&rig);
}

static void close_rig(void) {
    train_rig_close(&rig);
}

TestSuite(reward, .init = open_rig, .fini = close_rig, .timeout = 120);

/* ---- the formula ---- */

Test(reward, loss_of_a_pair_and_its_gradient) {
    static const double cases[][4] = {
        {0.3, -0.2, 0, 0}, {-1, 2, 0.5, 0.01}, {800, -800, 0, 0}, {-800, 800, 0, 0.1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double *c = cases[i], h = 1e-5;
        const ae_pair_loss l = ae_reward_pair_loss(c[0], c[1], c[2], c[3]);
        const double up = ae_reward_pair_loss(c[0] + h, c[1], c[2], c[3]).loss,
                     down = ae_reward_pair_loss(c[0] - h, c[1], c[2], c[3]).loss,
                     up_r = ae_reward_pair_loss(c[0], c[1] + h, c[2], c[3]).loss,
                     down_r = ae_reward_pair_loss(c[0], c[1] - h, c[2], c[3]).loss;
        cr_assert(isfinite(l.loss));
        cr_assert_float_eq(l.dchosen, (up - down) / (2 * h), 1e-6);
        cr_assert_float_eq(l.drejected, (up_r - down_r) / (2 * h), 1e-6);
    }
    cr_assert_float_eq(ae_reward_pair_loss(1, 1, 0, 0).loss, log(2), 1e-15);
    cr_assert_float_eq(ae_reward_pair_loss(2, 1, 0, 0).loss, log(1 + exp(-1)), 1e-15);
    cr_assert_float_eq(ae_reward_pair_loss(2, 1, 1, 0.5).loss, log(2) + 4.5, 1e-15);
}

Test(reward, calibration_counts_by_certainty) {
    ae_calibration c = {0};
    ae_calibration_add(&c, 5, -5); /* surely right: the last bin */
    ae_calibration_add(&c, -5, 5); /* surely wrong: the last bin */
    ae_calibration_add(&c, 1, 1);  /* not sure: the first bin, half right */
    cr_assert_eq(c.pairs[AE_CALIBRATION_BINS - 1], 2);
    cr_assert_eq(c.right[AE_CALIBRATION_BINS - 1], 1);
    cr_assert_eq(c.pairs[0], 1);
    cr_assert_eq(c.right[0], 0.5);
    cr_assert_float_eq(ae_calibration_error(&c), (2 / (1 + exp(-10)) - 1) / 3, 1e-12);
}

/* Wilson's interval for 8 of 10: 0.4902 to 0.9433. */
Test(reward, interval_of_a_share) {
    double low, high;
    ae_share_interval(0.8, 10, &low, &high);
    cr_assert_float_eq(low, 0.4902, 5e-5);
    cr_assert_float_eq(high, 0.9433, 5e-5);
    ae_share_interval(1, 3, &low, &high);
    cr_assert_float_eq(high, 1, 1e-12);
}

/* ---- runs ---- */

static void write_pairs(void) {
    cr_assert_eq(
        tuning_set(train_rig_path(&rig, "pairs.h5"), AERIE_FIXTURES "/tuning/pairs.jsonl", tuning_add_pair),
        12);
}

static ae_status train(const char *name, const char *more) {
    ae_reward_config c;
    char keys[4096];
    snprintf(keys, sizeof keys,
             "run.dir=%s data.train=%s train.threads=2 optim.schedule=constant optim.lr=1e-3 %s%s",
             train_rig_path(&rig, name), train_rig_path(&rig, "pairs.h5"),
             strstr(more, "model.init") ? "" : "model.init=" AERIE_FIXTURES "/attention ", more);
    ASSERT_OK(ae_reward_config_init(&c));
    tuning_keys(&c.tune.train, keys);
    const ae_status st = ae_reward(&c, false);
    ae_tune_config_free(&c.tune);
    return st;
}

static double number(const char *run, size_t line, const char *name) {
    return tuning_number(&rig, run, line, name);
}

static void same_steps(const char *a, const char *b, double tolerance) {
    static const char *const names[] = {"loss", "grad_norm", "accuracy", "margin_mean", "reward_mean"};
    for (size_t line = 0; line < 2; line++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            const double x = number(a, line, names[i]), y = number(b, line, names[i]);
            cr_assert_float_eq(x, y, tolerance * (1 + fabs(x)), "step %zu: %s: %.9g and %.9g", line + 1,
                               names[i], x, y);
        }
}

/* However the pairs of a step lie in rows and in micro-batches. */
Test(reward, rows_and_micro_batches_change_no_step) {
    static const char common[] = "train.batch_rows=6 train.steps=2 reward.center=0.01";
    static const char *const splits[] = {"data.pack=false train.row_tokens=64 train.micro_rows=6",
                                         "data.pack=false train.row_tokens=64 train.micro_rows=1",
                                         "train.row_tokens=64 train.micro_rows=2", "train.row_tokens=512"};
    char keys[512], name[16];
    write_pairs();
    for (int i = 0; i < 4; i++) {
        snprintf(keys, sizeof keys, "%s %s", common, splits[i]);
        snprintf(name, sizeof name, "run%d", i);
        ASSERT_OK(train(name, keys));
        if (i > 0) same_steps("run0", name, 1e-6);
    }
}

/* JSON lines give the steps of the set. */
Test(reward, json_lines_are_rendered_first) {
    static const char common[] = "train.batch_rows=6 train.steps=2 train.row_tokens=64";
    char keys[512];
    write_pairs();
    ASSERT_OK(train("set", common));
    snprintf(keys, sizeof keys, "%s data.train=" AERIE_FIXTURES "/tuning/pairs.jsonl", common);
    ASSERT_OK(train("lines", keys));
    same_steps("set", "lines", 0);
    snprintf(keys, sizeof keys, "%s data.train=" AERIE_FIXTURES "/tuning/pairs.jsonl reward.margin=true",
             common);
    ASSERT_FAILS(AE_ERR_INPUT, train("margin", keys));
    ASSERT_SAYS("expected the margin of each pair, found none");
}

static void check_resume(const char *more) {
    static const char keys[] =
        "train.batch_rows=4 train.row_tokens=128 train.checkpoint_every=3 train.keep=0";
    char all[512];
    write_pairs();
    snprintf(all, sizeof all, "%s train.steps=7 %s", keys, more);
    ASSERT_OK(train("whole", all));
    snprintf(all, sizeof all, "%s train.steps=3 %s", keys, more);
    ASSERT_OK(train("parts", all));
    snprintf(all, sizeof all, "%s train.steps=7 %s", keys, more);
    ASSERT_OK(train("parts", all));
    train_rig_same_checkpoint(&rig, "whole", "parts", 7);
}

Test(reward, a_run_that_goes_on_ends_with_the_same_bits) {
    check_resume("");
}

Test(reward, a_run_of_adapters_goes_on_with_the_same_bits) {
    check_resume("lora.rank=2 model.base_dtype=int4");
}

Test(reward, learns_its_pairs_and_judges_held_out_ones) {
    char keys[512];
    write_pairs();
    snprintf(keys, sizeof keys,
             "train.batch_rows=12 train.row_tokens=256 train.steps=40 optim.lr=1e-2 data.heldout=%s",
             train_rig_path(&rig, "pairs.h5"));
    ASSERT_OK(train("run", keys));
    const size_t last = train_rig_metric_count(&rig, "run") - 1;
    cr_assert_float_eq(number("run", last, "eval_accuracy"), 1, 1e-12);
    cr_assert_lt(number("run", last, "eval_accuracy_low"), 1);
    cr_assert_float_eq(number("run", last, "eval_accuracy_high"), 1, 1e-12);
    cr_assert_lt(number("run", last, "eval_loss"), 0.3);
    char *path = ae_path_join(train_rig_path(&rig, "run"), "calibration.json");
    cr_assert(ae_path_exists(path));
    free(path);
}

/* The picture of an evaluation is not worth the steps. */
Test(reward, a_calibration_that_cannot_be_written_ends_no_run) {
    char keys[512];
    write_pairs();
    for (int steps = 1; steps <= 3; steps += 2) {
        snprintf(keys, sizeof keys,
                 "train.batch_rows=4 train.row_tokens=64 train.steps=%d train.eval_every=1 data.heldout=%s",
                 steps, train_rig_path(&rig, "pairs.h5"));
        ASSERT_OK(train("run", keys));
        remove(train_rig_path(&rig, "run/calibration.json"));
        ASSERT_OK(ae_folder_make(train_rig_path(&rig, "run/calibration.json")));
    }
    cr_assert(ae_path_exists(train_rig_path(&rig, "run/checkpoints/step-000003/DONE")));
}

/* The head is in the model's own file, and a run goes on from it: its first loss is that of the model before. */
Test(reward, the_head_travels_with_its_backbone) {
    char keys[1024];
    write_pairs();
    snprintf(keys, sizeof keys, "train.batch_rows=12 train.row_tokens=256 train.steps=5 data.heldout=%s",
             train_rig_path(&rig, "pairs.h5"));
    ASSERT_OK(train("first", keys));
    const double loss = number("first", train_rig_metric_count(&rig, "first") - 1, "eval_loss");
    snprintf(keys, sizeof keys, "model.init=%s train.batch_rows=12 train.row_tokens=256 train.steps=1",
             train_rig_path(&rig, "first"));
    ASSERT_OK(train("second", keys));
    cr_assert_float_eq(number("second", 0, "loss"), loss, 1e-6);
}

static void add_two_pairs(ae_token_writer *w, const json_t *line) {
    static int pairs;
    if (pairs++ < 2) tuning_add_pair(w, line);
}

/* An epoch reads each pair of each set once, to one pair, where no weights are given: 14 pairs, 2 and 12. */
Test(reward, an_epoch_of_several_sets_reads_each_once) {
    char keys[1024];
    write_pairs();
    tuning_set(train_rig_path(&rig, "few.h5"), AERIE_FIXTURES "/tuning/pairs.jsonl", add_two_pairs);
    snprintf(keys, sizeof keys,
             "data.train=[\"%s\",\"%s\"] train.batch_rows=2 train.epochs=1 train.row_tokens=64",
             train_rig_path(&rig, "few.h5"), train_rig_path(&rig, "pairs.h5"));
    ASSERT_OK(train("both", keys));
    json_t *state = json_load_file(train_rig_path(&rig, "both/checkpoints/step-000007/state.json"), 0, NULL);
    const json_t *taken = json_object_get(json_object_get(state, "loader"), "rows");
    const json_int_t few = json_integer_value(json_array_get(taken, 0));
    cr_assert(few >= 1 && few <= 3, "%lld of 14 pairs", (long long)few);
    cr_assert_eq(json_integer_value(json_array_get(taken, 1)), 14 - few);
    json_decref(state);
}

Test(reward, refuses_what_is_no_set_of_pairs) {
    write_pairs();
    char keys[512];
    snprintf(keys, sizeof keys, "train.steps=1 train.row_tokens=8");
    ASSERT_FAILS(AE_ERR_INPUT, train("a", keys));
    ASSERT_SAYS("pair 0: expected at most the 8 tokens of a row for both answers with their prompt");
    ASSERT_FAILS(AE_ERR_USAGE, train("b", "train.steps=1 data.too_long=cut"));
    ASSERT_SAYS("data.too_long: expected error or drop for pairs, found cut");
}
