#include "core/file.h"
#include "core/h5.h"
#include "tests/train/rig.h"
#include "train/carry.h"
#include "train/pretrain.h"

#include <math.h>
#include <string.h>

static train_rig rig;

static void open_it(void) {
    train_rig_open(&rig);
}
static void close_it(void) {
    train_rig_close(&rig);
}

TestSuite(carry, .init = open_it, .fini = close_it);

static const char keys[] = "data.shuffle=false train.carry_state=true optim.schedule=constant ";

static ae_status run(const char *name, const char *more) {
    char all[400];
    snprintf(all, sizeof all, "%s%s", keys, more);
    return train_rig_run(&rig, name, all);
}

/* Stops behind 4 (a checkpoint) and 11 of 12 steps; documents go on across every one of them. */
Test(carry, stopped_and_resumed_equals_never_stopped) {
    ASSERT_OK(run("whole", "train.row_tokens=5"));
    ASSERT_OK(run("parts", "train.row_tokens=5 train.steps=4"));
    ASSERT_OK(run("parts", "train.row_tokens=5 train.steps=11"));
    ASSERT_OK(run("parts", "train.row_tokens=5"));
    train_rig_same_checkpoint(&rig, "whole", "parts", 12);
}

Test(carry, threads_and_recomputing_change_no_bit) {
    ASSERT_OK(run("one", "train.threads=1"));
    ASSERT_OK(run("two", "train.threads=2"));
    ASSERT_OK(run("again", "train.recompute=3"));
    train_rig_same_checkpoint(&rig, "one", "two", 12);
    train_rig_same_metrics(&rig, "one", "two");
    train_rig_same_checkpoint(&rig, "one", "again", 12);
}

static double number(const char *name, size_t line, const char *key) {
    json_t *object = train_rig_metric(&rig, name, line), *value = json_object_get(object, key);
    cr_assert(json_is_number(value), "%s is no number in line %zu", key, line + 1);
    const double x = json_number_value(value);
    json_decref(object);
    return x;
}

/* A state belongs to its row, however the rows of a step are dealt out. */
Test(carry, micro_batches_give_the_same_losses) {
    ASSERT_OK(run("one", "train.micro_rows=1 train.row_tokens=5"));
    ASSERT_OK(run("four", "train.micro_rows=4 train.row_tokens=5"));
    const size_t lines = train_rig_metric_count(&rig, "one");
    for (size_t i = 0; i < lines; i++) {
        json_t *line = train_rig_metric(&rig, "one", i);
        const char *key = json_object_get(line, "loss") ? "loss" : "eval_loss";
        cr_assert_float_eq(number("one", i, key), number("four", i, key), 1e-4);
        json_decref(line);
    }
}

/* Held-out text is predicted from all of its document: with a learning rate of 0 the same model, whatever a row holds. */
Test(carry, held_out_loss_does_not_depend_on_the_rows) {
    const char *still = "optim.lr=0 train.steps=1 train.row_tokens=%d";
    double loss[2];
    static const int rows[] = {5, 300};
    for (int i = 0; i < 2; i++) {
        char name[16], more[120];
        snprintf(name, sizeof name, "r%d", i);
        snprintf(more, sizeof more, still, rows[i]);
        ASSERT_OK(run(name, more));
        loss[i] = number(name, train_rig_metric_count(&rig, name) - 1, "eval_loss");
    }
    cr_assert_float_eq(loss[0], loss[1], 1e-5);
}

Test(carry, what_it_cannot_go_with_is_refused_by_its_key) {
    ASSERT_FAILS(AE_ERR_USAGE, train_rig_run(&rig, "a", "train.carry_state=true"));
    ASSERT_SAYS("expected data.shuffle=false");
    ASSERT_FAILS(AE_ERR_USAGE, run("a", "model.window=-1"));
    ASSERT_SAYS("train.carry_state: expected an attention window, found none");
    ASSERT_FAILS(AE_ERR_INPUT, run("a", "train.batch_rows=10000 train.row_tokens=1 train.micro_rows=1"));
    ASSERT_SAYS("lower train.batch_rows");
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "a")));
    ASSERT_OK(run("a", "train.steps=1"));
    ASSERT_FAILS(AE_ERR_USAGE, train_rig_run(&rig, "a", "data.shuffle=false optim.schedule=constant"));
    ASSERT_SAYS("train.carry_state");
}

Test(carry, a_checkpoint_without_its_state_is_refused) {
    ASSERT_OK(run("a", "train.steps=1"));
    const char *carry = train_rig_path(&rig, "a/checkpoints/step-000001/carry.h5");
    hid_t file = -1;
    int32_t positions[6];
    const int64_t shape[] = {6};
    ASSERT_OK(ae_h5_open(&file, carry));
    ASSERT_OK(ae_h5_read(file, carry, "positions", H5T_NATIVE_INT32, 1, shape, positions));
    ASSERT_OK(ae_h5_close(file, carry));
    for (int i = 0; i < 6; i++) cr_assert(positions[i] > 0 && positions[i] <= 24);
    cr_assert_eq(remove(carry), 0);
    ASSERT_FAILS(AE_ERR_INPUT, run("a", ""));
}

/* ---- the carry by itself ---- */

static ae_batch batch_of(int32_t *positions, ptrdiff_t B, ptrdiff_t T) {
    return (ae_batch){.positions = positions, .B = B, .T = T};
}

static void expect_positions(const ae_batch *b, const int32_t *want) {
    cr_assert_arr_eq(b->positions, want, (size_t)(b->B * b->T) * sizeof *want);
}

/* What a pass would leave. */
static void advance(ae_carry *c, const ae_batch *b, bool finite) {
    for (ptrdiff_t row = 0; row < b->B; row++)
        c->rows.after->positions[row] = b->positions[(row + 1) * b->T - 1] + 1;
    ae_carry_end(c, finite);
}

/* Row 0 stays in one document, row 1 comes to another. */
Test(carry, rows_that_lost_their_state_count_from_where_they_are) {
    ae_backend be;
    ae_model m;
    ae_carry c;
    ae_train_config config;
    ae_model_config shape;
    train_rig_config(&rig, &config, "a", "");
    ASSERT_OK(ae_backend_cpu(&be, &(ae_backend_options){.threads = 1}));
    ASSERT_OK(ae_model_config_resolve(&shape, &config.model, RIG_VOCAB));
    ASSERT_OK(ae_model_init(&m, &be, &shape, &(ae_model_options){0}));
    ASSERT_OK(ae_carry_init(&c, &m, 2, 3));
    int32_t first[] = {0, 1, 2, 0, 1, 2}, second[] = {3, 4, 5, 3, 4, 5}, third[] = {6, 7, 8, 6, 0, 1},
            fourth[] = {9, 10, 11, 2, 3, 4};
    ae_batch b = batch_of(first, 2, 3), own = ae_carry_begin(&c, &b);
    expect_positions(&own, first);
    advance(&c, &own, true);
    b = batch_of(second, 2, 3), own = ae_carry_begin(&c, &b);
    expect_positions(&own, second);
    advance(&c, &own, false);
    b = batch_of(third, 2, 3), own = ae_carry_begin(&c, &b);
    expect_positions(&own, (int32_t[]){0, 1, 2, 0, 0, 1});
    advance(&c, &own, true);
    b = batch_of(fourth, 2, 3), own = ae_carry_begin(&c, &b);
    expect_positions(&own, (int32_t[]){3, 4, 5, 2, 3, 4});
    ae_carry_free(&c);
    ae_model_free(&m);
    ae_backend_free(&be);
    ae_train_config_free(&config);
}
