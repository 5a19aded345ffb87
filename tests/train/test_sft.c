#include "formats/tensors.h"
#include "tests/train/tuning.h"
#include "train/sft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static train_rig rig;

static void open_rig(void) {
    train_rig_open(&rig);
}

static void close_rig(void) {
    train_rig_close(&rig);
}

TestSuite(sft, .init = open_rig, .fini = close_rig, .timeout = 120);

/* ---- the example sets ---- */

static void add_example(ae_token_writer *w, const json_t *line) {
    int32_t ids[64], counts[64];
    uint8_t mask[64];
    int64_t n = 0, m = 0;
    append_ids(json_object_get(line, "tokens"), ids, &n);
    append_ids(json_object_get(line, "loss_mask"), counts, &m);
    for (int64_t i = 0; i < n; i++) mask[i] = (uint8_t)counts[i];
    ASSERT_OK(ae_token_writer_add(w, ids, mask, n, 0));
}

static void write_examples(const char *path) {
    cr_assert_eq(tuning_set(path, AERIE_FIXTURES "/tuning/sft.jsonl", add_example), 12);
}

/* Tunes the fixture `attention` with those keys and `more`. */
static ae_status tune(const char *name, const char *more) {
    ae_sft_config c;
    char keys[8192];
    snprintf(keys, sizeof keys,
             "run.dir=%s model.init=" AERIE_FIXTURES "/attention train.threads=2 "
             "optim.schedule=constant optim.lr=1e-3 %s",
             train_rig_path(&rig, name), more);
    ASSERT_OK(ae_sft_config_init(&c));
    tuning_keys(&c.tune.train, keys);
    const ae_status st = ae_sft(&c, false);
    ae_tune_config_free(&c.tune);
    return st;
}

static char *keys_with(const char *more) {
    static char keys[4096];
    snprintf(keys, sizeof keys, "data.train=%s %s", train_rig_path(&rig, "examples.h5"), more);
    return keys;
}

static double number(const char *run, size_t line, const char *name) {
    return tuning_number(&rig, run, line, name);
}

/* ---- against the trace ---- */

static void check_trace(const char *run, const char *average, double tolerance) {
    char *text = NULL;
    size_t n = 0;
    ASSERT_OK(ae_file_read(AERIE_FIXTURES "/tuning/trace.json", &text, &n));
    json_t *trace = json_loads(text, 0, NULL);
    const json_t *expected = json_object_get(trace, average);
    for (size_t i = 0; i < 4; i++) {
        const double loss = json_number_value(json_array_get(json_object_get(expected, "loss"), i));
        const double norm = json_number_value(json_array_get(json_object_get(expected, "grad_norm"), i));
        cr_assert_float_eq(number(run, i, "loss"), loss, tolerance * loss,
                           "step %zu: loss %.9g, expected %.9g", i + 1, number(run, i, "loss"), loss);
        cr_assert_float_eq(number(run, i, "grad_norm"), norm, tolerance * norm,
                           "step %zu: norm %.9g, expected %.9g", i + 1, number(run, i, "grad_norm"), norm);
    }
    json_decref(trace);
    free(text);
}

Test(sft, follows_the_trace) {
    static const char *const averages[] = {"tokens", "answers"};
    write_examples(train_rig_path(&rig, "examples.h5"));
    for (int i = 0; i < 2; i++)
        for (int micro = 1; micro <= 3; micro++) {
            char name[32], more[256], trace[32];
            snprintf(name, sizeof name, "%s-%d", averages[i], micro);
            snprintf(trace, sizeof trace, "sft_%s", averages[i]);
            snprintf(more, sizeof more,
                     "sft.average=%s train.batch_rows=3 train.micro_rows=%d train.steps=4 "
                     "data.shuffle=false data.pack=false train.row_tokens=48",
                     averages[i], micro);
            ASSERT_OK(tune(name, keys_with(more)));
            check_trace(name, trace, 2e-5);
        }
}

/* In bfloat16 the losses are those of float32 to some parts in a hundred, and other numbers. */
Test(sft, follows_the_trace_in_bfloat16) {
    static const char keys[] = "train.batch_rows=3 train.steps=4 data.shuffle=false data.pack=false "
                               "train.row_tokens=48";
    char more[256];
    write_examples(train_rig_path(&rig, "examples.h5"));
    snprintf(more, sizeof more, "%s train.dtype=bf16", keys);
    ASSERT_OK(tune("bf16", keys_with(more)));
    check_trace("bf16", "sft_tokens", 3e-2);
    ASSERT_OK(tune("f32", keys_with(keys)));
    cr_assert_neq(number("bf16", 3, "loss"), number("f32", 3, "loss"));
}

/* JSON lines are rendered into the run's folder, once. */
Test(sft, json_lines_are_rendered_first) {
    static const char keys[] = "data.train=" AERIE_FIXTURES "/tuning/sft.jsonl data.heldout=" AERIE_FIXTURES
                               "/tuning/sft.jsonl train.batch_rows=3 train.steps=4 data.shuffle=false "
                               "data.pack=false train.row_tokens=48";
    ASSERT_OK(tune("lines", keys));
    check_trace("lines", "sft_tokens", 2e-5);
    char *folder = ae_path_join(train_rig_path(&rig, "lines"), "rendered");
    cr_assert(ae_path_is_folder(folder));
    free(folder);
    ASSERT_OK(tune("lines", keys)); /* which is done already */
    ASSERT_FAILS(AE_ERR_INPUT,
                 tune("pairs", "data.train=" AERIE_FIXTURES "/tuning/pairs.jsonl train.steps=1"));
    ASSERT_SAYS("pairs.jsonl:1: ");
}

/* ---- packing ---- */

/* All twelve in rows of their own, and packed: one step over all of them is the same step. */
Test(sft, packing_changes_no_step) {
    static const char *const averages[] = {"tokens", "answers"};
    write_examples(train_rig_path(&rig, "examples.h5"));
    for (int i = 0; i < 2; i++) {
        char more[256];
        snprintf(more, sizeof more,
                 "sft.average=%s train.batch_rows=12 train.steps=1 data.pack=false train.row_tokens=48",
                 averages[i]);
        ASSERT_OK(tune("alone", keys_with(more)));
        snprintf(more, sizeof more, "sft.average=%s train.batch_rows=1 train.epochs=1 train.row_tokens=256",
                 averages[i]);
        ASSERT_OK(tune("packed", keys_with(more)));
        cr_assert_eq(train_rig_metric_count(&rig, "packed"), 1);
        const double loss = number("alone", 0, "loss"), norm = number("alone", 0, "grad_norm");
        cr_assert_float_eq(number("packed", 0, "loss"), loss, 1e-6 * loss);
        cr_assert_float_eq(number("packed", 0, "grad_norm"), norm, 1e-5 * norm);
        cr_assert_eq(number("packed", 0, "answer_tokens"), number("alone", 0, "answer_tokens"));
        ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "alone")));
        ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "packed")));
    }
}

Test(sft, answers_weigh_alike) {
    ae_batch b;
    ASSERT_OK(ae_batch_init(&b, 2, 8));
    static const float weights[] = {0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1};
    static const float expected[] = {0, 0.5f, 0.5f, 0, 1, 0, 0, 0, 0.25f, 0.25f, 0.25f, 0.25f, 0, 0, 0, 1};
    memcpy(b.weights, weights, sizeof weights);
    b.n_targets = 8;
    cr_assert_eq(ae_sft_weigh(&b, AE_SFT_TOKENS), 8);
    cr_assert_arr_eq(b.weights, weights, sizeof weights);
    cr_assert_eq(ae_sft_weigh(&b, AE_SFT_ANSWERS), 4);
    cr_assert_arr_eq(b.weights, expected, sizeof expected);
    ae_batch_free(&b);
}

/* Nothing is computed where nothing counts. */
Test(sft, a_batch_without_targets_has_no_gradients) {
    ae_batch b;
    ASSERT_OK(ae_batch_init(&b, 1, 8));
    cr_assert(isnan(ae_sft_gradients(NULL, NULL, &b, 0, 1)));
    ae_batch_free(&b);
}

/* ---- runs ---- */

static const char small[] = "train.batch_rows=2 train.row_tokens=40 train.checkpoint_every=3 train.keep=0 "
                            "train.eval_every=4 run.seed=5";

static char *small_run(const char *more) {
    static char keys[2048];
    snprintf(keys, sizeof keys, "%s data.heldout=%s %s", small, train_rig_path(&rig, "examples.h5"), more);
    return keys_with(keys);
}

/* Stopped after 3 steps, where a checkpoint is, and gone on with. */
static void check_resume(const char *more) {
    char keys[512], *checkpoint = NULL;
    write_examples(train_rig_path(&rig, "examples.h5"));
    snprintf(keys, sizeof keys, "train.steps=7 %s", more);
    ASSERT_OK(tune("whole", small_run(keys)));
    snprintf(keys, sizeof keys, "train.steps=3 %s", more);
    ASSERT_OK(tune("parts", small_run(keys)));
    snprintf(keys, sizeof keys, "train.steps=7 %s", more);
    ASSERT_OK(tune("parts", small_run(keys)));
    train_rig_same_checkpoint(&rig, "whole", "parts", 7);
    free(checkpoint);
}

Test(sft, a_run_that_goes_on_ends_with_the_same_bits) {
    check_resume("sft.average=answers");
}

Test(sft, a_run_of_adapters_goes_on_with_the_same_bits) {
    check_resume("lora.rank=3 lora.also=norms model.base_dtype=int8");
}

Test(sft, adapters_in_bfloat16_go_on_with_the_same_bits) {
    check_resume("lora.rank=2 model.base_dtype=int4 train.dtype=bf16");
}

/* Beside a frozen base the checkpoint holds what trains and nothing else. */
Test(sft, the_checkpoint_of_adapters_holds_them_alone) {
    write_examples(train_rig_path(&rig, "examples.h5"));
    ASSERT_OK(tune("lora", small_run("train.steps=2 lora.rank=2 lora.targets=q_proj,down_proj")));
    ae_tensors *t = NULL;
    char *path = ae_path_join(train_rig_path(&rig, "lora"), "checkpoints/step-000002/weights.h5");
    ASSERT_OK(ae_tensors_open(&t, path));
    for (ptrdiff_t i = 0; i < ae_tensors_count(t); i++)
        cr_assert_not_null(strstr(ae_tensors_name(t, i), ".lora_"), "%s", ae_tensors_name(t, i));
    cr_assert_geq(ae_tensors_count(t), 4);
    ae_tensors_close(t);
    free(path);
}

Test(sft, learns_its_examples) {
    write_examples(train_rig_path(&rig, "examples.h5"));
    ASSERT_OK(tune("run", small_run("train.steps=60 optim.lr=3e-2")));
    const size_t last = train_rig_metric_count(&rig, "run") - 1;
    cr_assert_lt(number("run", last, "eval_loss"), 1);
}

/* The held-out loss is that of the first step of a run over the same examples. */
Test(sft, the_held_out_loss_counts_answers_only) {
    write_examples(train_rig_path(&rig, "examples.h5"));
    ASSERT_OK(tune("run", small_run("train.steps=1 optim.lr=0")));
    ASSERT_OK(tune("whole", keys_with("train.batch_rows=1 train.row_tokens=256 train.steps=1")));
    const double loss = number("whole", 0, "loss");
    cr_assert_float_eq(number("run", 1, "eval_loss"), loss, 1e-6 * loss);
}

/* ---- mixtures and lengths ---- */

static void write_text(const char *path) {
    ae_token_writer *w = NULL;
    int32_t ids[200];
    for (int i = 0; i < 200; i++) ids[i] = i * i % 64;
    ASSERT_OK(ae_token_writer_open(&w, path, &(ae_token_set_info){.vocab_size = 64}));
    ASSERT_OK(ae_token_writer_add(w, ids, NULL, 200, 0));
    ASSERT_OK(ae_token_writer_finish(w, "{}"));
}

/* Of the 48 rows of an epoch about 36 are text, whose tokens are no answers; the examples have 77 at most. */
Test(sft, rows_of_text_are_mixed_in) {
    char keys[1024];
    write_examples(train_rig_path(&rig, "examples.h5"));
    write_text(train_rig_path(&rig, "text.h5"));
    snprintf(keys, sizeof keys,
             "data.train=[{\"path\":\"%s\",\"weight\":1},{\"path\":\"%s\",\"weight\":3}] "
             "train.batch_rows=4 train.epochs=1 data.pack=false train.row_tokens=40",
             train_rig_path(&rig, "examples.h5"), train_rig_path(&rig, "text.h5"));
    ASSERT_OK(tune("mixed", keys));
    cr_assert_eq(train_rig_metric_count(&rig, "mixed"), 12);
    double counted = 0;
    for (size_t i = 0; i < 12; i++) counted += number("mixed", i, "answer_tokens");
    cr_assert(counted > 0 && counted <= 2 * 77, "%g", counted);
}

/* Two examples, and documents whose last three of thirty tokens count. */
static void write_few(const char *path) {
    ae_token_writer *w = NULL;
    int32_t ids[30];
    uint8_t mask[30] = {0};
    for (int i = 0; i < 30; i++) ids[i] = 2 + i;
    for (int i = 27; i < 30; i++) mask[i] = 1;
    ASSERT_OK(ae_token_writer_open(&w, path, &(ae_token_set_info){.vocab_size = 64, .has_mask = true}));
    for (int i = 0; i < 2; i++) ASSERT_OK(ae_token_writer_add(w, ids, mask, 30, 0));
    ASSERT_OK(ae_token_writer_finish(w, "{}"));
}

static int64_t rows_taken(const char *state_of, size_t set) {
    json_t *state = json_load_file(train_rig_path(&rig, state_of), 0, NULL);
    const json_t *rows = json_object_get(json_object_get(state, "loader"), "rows");
    const int64_t n = json_integer_value(json_array_get(rows, set));
    json_decref(state);
    return n;
}

/* An epoch reads each example of each set once, to one row, where no weights are given: 14 rows, 2 and 12. */
Test(sft, an_epoch_of_several_sets_reads_each_once) {
    char keys[1024];
    write_examples(train_rig_path(&rig, "examples.h5"));
    write_few(train_rig_path(&rig, "few.h5"));
    snprintf(keys, sizeof keys,
             "data.train=[\"%s\",\"%s\"] train.batch_rows=2 train.epochs=1 data.pack=false "
             "train.row_tokens=40 train.checkpoint_every=3 train.keep=0",
             train_rig_path(&rig, "few.h5"), train_rig_path(&rig, "examples.h5"));
    ASSERT_OK(tune("both", keys));
    cr_assert_eq(train_rig_metric_count(&rig, "both"), 7);
    const int64_t few = rows_taken("both/checkpoints/step-000007/state.json", 0);
    cr_assert(few >= 1 && few <= 3, "%lld of 14 rows", (long long)few);
    cr_assert_eq(rows_taken("both/checkpoints/step-000007/state.json", 1), 14 - few);
    ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "both/checkpoints/step-000007")));
    ASSERT_OK(tune("both", keys));
    cr_assert_eq(rows_taken("both/checkpoints/step-000007/state.json", 0), few);
}

Test(sft, examples_that_are_never_drawn_are_refused) {
    char keys[1024];
    write_examples(train_rig_path(&rig, "examples.h5"));
    write_text(train_rig_path(&rig, "text.h5"));
    snprintf(keys, sizeof keys,
             "data.train=[{\"path\":\"%s\",\"weight\":0},\"%s\"] train.epochs=1 train.row_tokens=40",
             train_rig_path(&rig, "examples.h5"), train_rig_path(&rig, "text.h5"));
    ASSERT_FAILS(AE_ERR_USAGE, tune("never", keys));
    ASSERT_SAYS("expected a weight above 0 for a set of examples");
}

/* A cut leaves the prompts alone: there is nothing to learn, and nothing to measure. */
Test(sft, sets_whose_targets_are_all_cut_off_are_refused) {
    char keys[1024];
    write_examples(train_rig_path(&rig, "examples.h5"));
    write_few(train_rig_path(&rig, "few.h5"));
    snprintf(keys, sizeof keys, "data.train=%s data.too_long=cut train.steps=1 train.row_tokens=16",
             train_rig_path(&rig, "few.h5"));
    ASSERT_FAILS(AE_ERR_INPUT, tune("a", keys));
    ASSERT_SAYS("few.h5: expected a token that counts in what rows of 16 tokens keep of the examples");
    snprintf(keys, sizeof keys, "data.heldout=%s data.too_long=cut train.steps=1 train.row_tokens=16",
             train_rig_path(&rig, "few.h5"));
    ASSERT_FAILS(AE_ERR_INPUT, tune("b", keys_with(keys)));
    ASSERT_SAYS("data.heldout: ");
    ASSERT_SAYS("few.h5: expected a token that counts in what rows of 16 tokens keep of the examples");
}

Test(sft, refuses_what_cannot_be_tuned) {
    write_examples(train_rig_path(&rig, "examples.h5"));
    write_text(train_rig_path(&rig, "text.h5"));
    char keys[512];
    snprintf(keys, sizeof keys, "data.train=%s train.steps=2", train_rig_path(&rig, "text.h5"));
    ASSERT_FAILS(AE_ERR_INPUT, tune("a", keys));
    ASSERT_SAYS("expected examples with a loss mask, found plain text");
    ASSERT_FAILS(AE_ERR_INPUT, tune("b", keys_with("train.row_tokens=16")));
    ASSERT_SAYS("example 2: expected at most the 16 tokens of a row, found 30");
    ASSERT_FAILS(AE_ERR_USAGE, tune("c", keys_with("model.base_dtype=int4")));
    ASSERT_SAYS("model.base_dtype: expected f32 where all parameters train");
    ASSERT_FAILS(AE_ERR_USAGE, tune("d", keys_with("lora.rank=2 lora.targets=q_prjo")));
    ASSERT_SAYS("lora.targets: expected all, or some of");
    ASSERT_FAILS(AE_ERR_USAGE, tune("e", keys_with("lora.rank=2 lora.also=everything")));
    ASSERT_SAYS("lora.also: expected some of");
    ASSERT_FAILS(AE_ERR_USAGE, tune("e", keys_with("lora.rank=2 lora.also=norms,control")));
    ASSERT_SAYS("found \"control\": rows of control tokens do not train by themselves");
    static const char *const strays[] = {"lora.targets=nonsense", "lora.targets=q_proj", "lora.also=norms",
                                         "lora.alpha=16", "lora.rslora=true"};
    for (size_t i = 0; i < sizeof strays / sizeof *strays; i++) {
        char expected[64];
        ASSERT_FAILS(AE_ERR_USAGE, tune("g", keys_with(strays[i])));
        snprintf(expected, sizeof expected, "%.*s: expected lora.rank beside it",
                 (int)strcspn(strays[i], "="), strays[i]);
        ASSERT_SAYS(expected);
    }
    ASSERT_FAILS(AE_ERR_USAGE, tune("h", keys_with("sft.exact_match=5 train.sample_tokens=0")));
    ASSERT_SAYS("sft.exact_match: expected train.sample_tokens above 0");
    ASSERT_FAILS(AE_ERR_USAGE, tune("h", keys_with("sft.exact_match=5")));
    ASSERT_SAYS("sft.exact_match: expected data.heldout beside it");
    ASSERT_FAILS(AE_ERR_USAGE, tune("f", keys_with("train.steps=3 train.epochs=5 train.row_tokens=64")));
    ASSERT_SAYS("leave out train.steps, or give train.epochs=0");
}

Test(sft, cuts_and_drops_when_asked) {
    write_examples(train_rig_path(&rig, "examples.h5"));
    ASSERT_OK(tune("cut", keys_with("train.row_tokens=16 data.too_long=cut train.steps=1")));
    ASSERT_OK(tune("drop", keys_with("train.row_tokens=16 data.too_long=drop train.steps=1")));
    ASSERT_FAILS(AE_ERR_INPUT,
                 tune("none", keys_with("train.row_tokens=2 data.too_long=drop train.steps=1")));
}

/* A model that has learnt its examples by heart answers them as they are, end of turn and all. */
Test(sft, answers_held_out_dialogues) {
    write_examples(train_rig_path(&rig, "examples.h5"));
    ASSERT_OK(tune("run", small_run("train.batch_rows=12 train.steps=150 train.eval_every=150 optim.lr=3e-2 "
                                    "optim.schedule=linear sft.exact_match=100")));
    const size_t last = train_rig_metric_count(&rig, "run") - 1;
    cr_assert_gt(number("run", last, "eval_exact_match"), 0.7);
    cr_assert_leq(number("run", last, "eval_exact_match"), 1);
}
