#include "core/file.h"
#include "data/tokenizer.h"
#include "formats/done.h"
#include "tests/train/rig.h"
#include "train/append.h"
#include "train/pretrain.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a run keeps when it goes on, and the explicit way round it. Runs of a constant rate: 4 steps, then on to 8. */

static train_rig rig;

static void open_it(void) {
    train_rig_open(&rig);
}
static void close_it(void) {
    train_rig_close(&rig);
}

TestSuite(override, .init = open_it, .fini = close_it);

static const char first[] = "optim.schedule=constant train.steps=4 ",
                  on[] = "optim.schedule=constant train.steps=8 ",
                  further[] = "optim.schedule=constant train.steps=9 ";

static ae_status run(const char *base, const char *more) {
    char all[500];
    snprintf(all, sizeof all, "%s%s", base, more);
    return train_rig_run(&rig, "a", all);
}

/* An entry of the newest state; the caller releases it. */
static json_t *of_state(int64_t step, const char *key) {
    char name[96];
    snprintf(name, sizeof name, "a/checkpoints/step-%06lld/state.json", (long long)step);
    json_t *state = json_load_file(train_rig_path(&rig, name), 0, NULL);
    cr_assert_not_null(state);
    json_t *value = json_incref(json_object_get(state, key));
    json_decref(state);
    return value;
}

static void noted(int64_t step, size_t n, size_t i, const char *key) {
    json_t *list = of_state(step, "overrides");
    cr_assert_eq(json_array_size(list), n, "%zu overrides", json_array_size(list));
    const json_t *entry = json_array_get(list, i);
    cr_assert_str_eq(json_string_value(json_object_get(entry, "key")), key);
    cr_assert_eq(json_integer_value(json_object_get(entry, "step")), 4);
    cr_assert_not(json_equal(json_object_get(entry, "from"), json_object_get(entry, "to")));
    json_decref(list);
}

static int64_t rows_taken(int64_t step) {
    json_t *loader = of_state(step, "loader");
    const int64_t rows = json_integer_value(json_array_get(json_object_get(loader, "rows"), 0));
    json_decref(loader);
    return rows;
}

/* ---- one key at a time ---- */

typedef struct {
    const char *change;
    int64_t rows; /* taken behind step 8, where 24 were taken behind step 4 */
} change;

static const change changes[] = {
    {"run.seed=2", 24},
    {"data.shuffle=false", 24},
    {"train.row_tokens=12", 24},
    {"train.batch_rows=3", 24 + 12},
    {"train.carry_state=true data.shuffle=false", 24},
    {"train.dtype=bf16", 48},
    {"optim.lr=2e-2", 48},
    {"optim.warmup_steps=2", 48},
    {"optim.lr_final_ratio=0.2", 48},
    {"optim.beta1=0.8", 48},
    {"optim.beta2=0.99", 48},
    {"optim.eps=1e-6", 48},
    {"optim.weight_decay=0", 48},
    {"optim.clip_norm=2", 48},
};

/* Refused with key, both values and the way out; then taken, noted, and no longer needed. */
/* The run anew up to step 4: made once, then copied. */
static void begin(const char *more) {
    static char made[64];
    char command[1600];
    if (strcmp(made, more) != 0 || !ae_path_exists(train_rig_path(&rig, "made"))) {
        ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "a")));
        ASSERT_OK(run(first, more));
        snprintf(command, sizeof command, "rm -rf '%s/made' && cp -r '%s/a' '%s/made'", rig.folder,
                 rig.folder, rig.folder);
        snprintf(made, sizeof made, "%s", more);
    } else {
        snprintf(command, sizeof command, "rm -rf '%s/a' && cp -r '%s/made' '%s/a'", rig.folder, rig.folder,
                 rig.folder);
    }
    cr_assert_eq(system(command), 0);
}

static void change_one(const change *c) {
    char key[64], with[200], hint[100];
    snprintf(key, sizeof key, "%.*s", (int)strcspn(c->change, "="), c->change);
    snprintf(hint, sizeof hint, "run.override=%s", key);
    begin(strncmp(c->change, "train.carry", 11) == 0 ? "data.shuffle=false" : "");
    ASSERT_FAILS(AE_ERR_USAGE, run(on, c->change));
    cr_assert_eq(strncmp(ae_error_message(), key, strlen(key)), 0, "found: %s", ae_error_message());
    ASSERT_SAYS("was started with");
    ASSERT_SAYS("found");
    ASSERT_SAYS(hint);
    snprintf(with, sizeof with, "%s %s", c->change, hint);
    ASSERT_OK(run(on, with));
    noted(8, 1, 0, key);
    cr_assert_eq(rows_taken(8), c->rows, "%s: %lld rows", key, (long long)rows_taken(8));
}

Test(override, of_every_key) {
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) change_one(&changes[i]);
}

Test(override, is_needed_once) {
    begin("");
    ASSERT_OK(run(on, "optim.lr=2e-2 run.override=optim.lr"));
    ASSERT_OK(run(further, "optim.lr=2e-2"));
    noted(9, 1, 0, "optim.lr");
    ASSERT_OK(run(further, "optim.lr=2e-2 run.override=optim.lr"));
    noted(9, 1, 0, "optim.lr");
}

/* Where steps done would have had other rates, the number of steps is a key of its own. */
Test(override, of_the_number_of_steps) {
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=4"));
    ASSERT_FAILS(AE_ERR_USAGE, train_rig_run(&rig, "a", "train.steps=8"));
    ASSERT_SAYS("train.steps: the run in this folder was started with 4, found 8");
    ASSERT_SAYS("run.override=train.steps");
    ASSERT_FAILS(AE_ERR_USAGE, train_rig_run(&rig, "a", "train.steps=8 run.override=optim.lr optim.lr=2e-2"));
    ASSERT_SAYS("train.steps: ");
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=8 run.override=train.steps"));
    noted(8, 1, 0, "train.steps");
    ASSERT_FAILS(AE_ERR_USAGE, train_rig_run(&rig, "a", "train.steps=6 run.override=train.steps"));
    ASSERT_SAYS("at least the 8 steps");
}

Test(override, of_several_keys) {
    ASSERT_OK(train_rig_run(&rig, "a", "train.steps=4"));
    const char *keys = "train.steps=8 optim.schedule=linear run.override=optim.schedule,train.steps";
    ASSERT_OK(train_rig_run(&rig, "a", keys));
    noted(8, 2, 0, "optim.schedule");
    noted(8, 2, 1, "train.steps");
    ASSERT_OK(train_rig_run(&rig, "a", keys));
}

Test(override, that_is_not_needed_does_nothing) {
    ASSERT_OK(run(first, "run.override=optim.lr,data.train,train.steps"));
    ASSERT_OK(run(on, "run.override=optim.lr,data.train,data.tokenizer,run.seed"));
    json_t *list = of_state(8, "overrides");
    cr_assert_eq(json_array_size(list), 0);
    json_decref(list);
    ASSERT_OK(train_rig_run(&rig, "whole", on));
    train_rig_same_checkpoint(&rig, "whole", "a", 8);
}

Test(override, names_keys_that_a_run_keeps) {
    static const char *const words[][2] = {
        {"optim.lrr", "did you mean optim.lr"},    {"train.keep", "expected a key that a run keeps"},
        {"lr", "expected a key that a run keeps"}, {"model.width", "keeps the shape"},
        {"model.init", "keeps the shape"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char more[100], key[100];
        snprintf(more, sizeof more, "run.override=run.seed,%s", words[i][0]);
        snprintf(key, sizeof key, "run.override: %s: ", words[i][0]);
        ASSERT_FAILS(AE_ERR_USAGE, run(first, more));
        ASSERT_SAYS(key);
        ASSERT_SAYS(words[i][1]);
    }
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "a")));
}

Test(override, of_a_shape_is_none) {
    ASSERT_OK(run(first, ""));
    ASSERT_FAILS(AE_ERR_USAGE, run(on, "model.width=64 run.override=run.seed"));
    ASSERT_SAYS("model.width: the run in this folder was started with 32, found 64");
    ASSERT_SAYS("another run.dir");
    cr_assert_null(strstr(ae_error_message(), "override"), "found: %s", ae_error_message());
}

/* ---- data ---- */

/* One step of a new run, "b", with the weights of "a". */
static void start_from_a(void) {
    const char *keys[] = {"train.row_tokens=24", "train.batch_rows=6", "train.steps=1", "data.shuffle=false"};
    char paths[3][700];
    ae_train_config c;
    snprintf(paths[0], sizeof paths[0], "model.init=%s", train_rig_path(&rig, "a"));
    snprintf(paths[1], sizeof paths[1], "run.dir=%s", train_rig_path(&rig, "b"));
    snprintf(paths[2], sizeof paths[2], "data.train=%s", rig.train);
    ASSERT_OK(ae_train_config_init(&c));
    for (int i = 0; i < 3; i++) ASSERT_OK(ae_config_set(&c.table, paths[i], "test"));
    for (int i = 0; i < 4; i++) ASSERT_OK(ae_config_set(&c.table, keys[i], "test"));
    ASSERT_OK(ae_pretrain(&c, false));
    ae_train_config_free(&c);
}

/* The run takes the new set from its first row on, like one that starts with the weights it has. */
Test(override, of_data_begins_it_anew) {
    ASSERT_OK(run(first, "data.shuffle=false"));
    train_rig_set(rig.train, 50, 3);
    ASSERT_FAILS(AE_ERR_INPUT, run(on, "data.shuffle=false"));
    ASSERT_SAYS("data.train: the run in this folder was started with the set of hash ");
    ASSERT_SAYS("run.override=data.train");
    start_from_a();
    ASSERT_OK(run(on, "data.shuffle=false run.override=data.train"));
    noted(8, 1, 0, "data.train");
    cr_assert_eq(rows_taken(8), 24);
    json_t *here = train_rig_metric(&rig, "a", 6), *there = train_rig_metric(&rig, "b", 0);
    cr_assert_eq(json_integer_value(json_object_get(here, "step")), 5);
    cr_assert(json_equal(json_object_get(here, "loss"), json_object_get(there, "loss")));
    json_decref(here);
    json_decref(there);
    ASSERT_OK(run(further, "data.shuffle=false"));
}

/* Which sets come how often may change without their reading being begun anew. */
Test(override, of_weights_goes_on_in_the_sets) {
    char sets[2][900];
    const char *other = train_rig_path(&rig, "other.h5");
    train_rig_set(other, 40, 5);
    for (int i = 0; i < 2; i++)
        snprintf(sets[i], sizeof sets[i], "data.train=[{\"path\":\"%s\",\"weight\":%d},\"%s\"]", rig.train,
                 1 + i, other);
    char more[1000], all[1200];
    snprintf(all, sizeof all, "%s%s", first, sets[0]);
    ASSERT_OK(train_rig_run(&rig, "a", all));
    const int64_t before = rows_taken(4);
    cr_assert_gt(before, 0);
    snprintf(all, sizeof all, "%s%s", on, sets[1]);
    ASSERT_FAILS(AE_ERR_USAGE, train_rig_run(&rig, "a", all));
    ASSERT_SAYS("run.override=data.train");
    snprintf(more, sizeof more, "%s run.override=data.train", sets[1]);
    snprintf(all, sizeof all, "%s%s", on, more);
    ASSERT_OK(train_rig_run(&rig, "a", all));
    cr_assert_gt(rows_taken(8), before + 12, "%lld after %lld", (long long)rows_taken(8), (long long)before);
}

/* ---- held-out data ---- */

static int64_t best_of_state(int64_t step) {
    json_t *best = of_state(step, "best");
    const int64_t at = json_integer_value(json_object_get(best, "step"));
    json_decref(best);
    return at;
}

/* Scores on another held-out set say nothing about those before. */
Test(override, of_heldout_data_begins_the_best_anew) {
    const char *best = train_rig_path(&rig, "a/checkpoints/best");
    char target[64] = "";
    ASSERT_OK(run(first, "train.eval_every=2 train.keep_best=true"));
    cr_assert_gt(best_of_state(4), 0);
    train_rig_set(rig.heldout, 9, 77);
    ASSERT_FAILS(AE_ERR_INPUT, run(on, "train.eval_every=8 train.keep_best=true"));
    ASSERT_SAYS("data.heldout: the run in this folder was started with \"");
    ASSERT_SAYS("run.override=data.heldout");
    ASSERT_OK(run(on, "train.eval_every=6 train.keep_best=true run.override=data.heldout"));
    noted(8, 1, 0, "data.heldout");
    cr_assert_eq(best_of_state(8), 6, "the first of the new set is its best so far");
    cr_assert_gt(readlink(best, target, sizeof target - 1), 0);
    cr_assert(strcmp(target, "step-000006") == 0 || strcmp(target, "step-000008") == 0, "%s", target);
    cr_assert_eq(rows_taken(8), 48, "the rows go on");
    ASSERT_OK(run(further, "train.keep_best=true"));
}

/* The line of an evaluation that followed the checkpoint is of the set before. */
Test(override, of_heldout_data_evaluates_again) {
    ASSERT_OK(run(first, "train.eval_every=4"));
    cr_assert_eq(best_of_state(4), 0, "saved before it was evaluated");
    train_rig_set(rig.heldout, 9, 77);
    json_t *before = train_rig_metric(&rig, "a", 4);
    ASSERT_OK(run(on, "train.eval_every=4 run.override=data.heldout"));
    json_t *after = train_rig_metric(&rig, "a", 4), *none = train_rig_metric(&rig, "a", 5);
    cr_assert_not_null(json_object_get(after, "eval_loss"));
    cr_assert_null(json_object_get(none, "eval_loss"));
    cr_assert_not(json_equal(before, after));
    json_decref(before);
    json_decref(after);
    json_decref(none);
}

Test(override, of_heldout_data_is_remembered_without_it) {
    ASSERT_OK(run(first, ""));
    ASSERT_OK(run(on, "data.heldout="));
    ASSERT_OK(run("optim.schedule=constant train.steps=10 ", ""));
    train_rig_set(rig.heldout, 9, 77);
    ASSERT_FAILS(AE_ERR_INPUT, run("optim.schedule=constant train.steps=12 ", ""));
    ASSERT_SAYS("data.heldout: ");
}

/* A run of the version before: its state says nothing of the held-out set. */
Test(override, of_heldout_data_unknown_takes_any) {
    static const char *const files[] = {"weights.h5", "optimizer.h5", "model.json", "config.yaml",
                                        "state.json"};
    ASSERT_OK(run(first, "train.eval_every=2 train.keep_best=true"));
    const int64_t best = best_of_state(4);
    const char *path = train_rig_path(&rig, "a/checkpoints/step-000004/state.json");
    json_t *state = json_load_file(path, 0, NULL);
    cr_assert_eq(json_object_del(json_object_get(state, "data"), "heldout"), 0);
    cr_assert_eq(json_dump_file(state, path, JSON_REAL_PRECISION(17)), 0);
    json_decref(state);
    ASSERT_OK(ae_done_write(train_rig_path(&rig, "a/checkpoints/step-000004"), files, 5));
    train_rig_set(rig.heldout, 9, 77);
    ASSERT_OK(run(on, "train.keep_best=true train.eval_every=8"));
    json_t *list = of_state(8, "overrides"), *data = of_state(8, "data");
    cr_assert_eq(json_array_size(list), 0);
    cr_assert_not_null(json_object_get(data, "heldout"), "known from now on");
    cr_assert_gt(best, 0);
    cr_assert_gt(best_of_state(8), 0);
    json_decref(list);
    json_decref(data);
}

/* ---- tokenizers ---- */

/* A tokenizer of so many pieces, of a text that the word decides. */
static void make_tokenizer(const char *model, const char *word, int pieces) {
    const char *text = train_rig_path(&rig, "text.txt");
    FILE *f = fopen(text, "w");
    for (int i = 0; i < 500; i++) fprintf(f, "the %d %s of the hill sing %d songs\n", i, word, i * i);
    fclose(f);
    ae_tokenizer_training a = {.inputs = &text,
                               .n_inputs = 1,
                               .output = model,
                               .text_key = "text",
                               .vocab_size = pieces,
                               .kind = "bpe",
                               .sample_bytes = 1 << 20};
    ASSERT_OK(ae_tokenizer_train(&a));
}

/* The training set with such a tokenizer; the same tokens for the same seed. */
static void set_with_tokenizer(const char *word, int pieces, int32_t seed) {
    const char *model = train_rig_path(&rig, "t.model");
    char *bytes = NULL;
    ae_token_writer *w = NULL;
    ae_token_set_info info = {.vocab_size = pieces};
    int32_t tokens[40] = {2};
    make_tokenizer(model, word, pieces);
    ASSERT_OK(ae_file_read(model, &bytes, &info.tokenizer_bytes));
    info.tokenizer = bytes;
    ASSERT_OK(ae_token_writer_open(&w, rig.train, &info));
    for (int d = 0; d < 40; d++) {
        for (int i = 1; i < 40; i++) tokens[i] = (tokens[i - 1] * 7 + d + seed) % 250;
        ASSERT_OK(ae_token_writer_add(w, tokens, NULL, 40, 80));
    }
    ASSERT_OK(ae_token_writer_finish(w, "{}"));
    free(bytes);
}

Test(override, of_the_tokenizer) {
    set_with_tokenizer("birds", 300, 0);
    ASSERT_OK(run(first, "data.heldout="));
    set_with_tokenizer("foxes", 300, 0);
    ASSERT_FAILS(AE_ERR_INPUT, run(on, "data.heldout="));
    ASSERT_SAYS("data.tokenizer: the run in this folder was started with \"");
    ASSERT_SAYS("run.override=data.tokenizer");
    ASSERT_OK(run(on, "data.heldout= run.override=data.tokenizer"));
    noted(8, 1, 0, "data.tokenizer");
    cr_assert_eq(rows_taken(8), 48, "the tokens are the same");
    ASSERT_OK(run(further, "data.heldout="));
}

Test(override, of_data_and_tokenizer_where_the_ids_fit) {
    set_with_tokenizer("birds", 300, 0);
    ASSERT_OK(run(first, "data.heldout="));
    set_with_tokenizer("foxes", 320, 1);
    ASSERT_FAILS(AE_ERR_INPUT, run(on, "data.heldout= run.override=data.train,data.tokenizer"));
    ASSERT_SAYS("data.train: expected ids that fit into the run's vocabulary of 300, found one of 320");
    set_with_tokenizer("foxes", 290, 1);
    ASSERT_FAILS(AE_ERR_INPUT, run(on, "data.heldout= run.override=data.tokenizer"));
    ASSERT_SAYS("data.train: ");
    ASSERT_FAILS(AE_ERR_INPUT, run(on, "data.heldout= run.override=data.train"));
    ASSERT_SAYS("data.tokenizer: ");
    ASSERT_OK(run(on, "data.heldout= run.override=data.train,data.tokenizer"));
    noted(8, 2, 0, "data.tokenizer");
    noted(8, 2, 1, "data.train");
    ASSERT_OK(run(further, "data.heldout="));
}

/* ---- the folder's lock ---- */

/* Another process at work there: refused before anything is read, even a checkpoint that is damaged. */
Test(override, of_the_lock_is_none) {
    FILE *other = NULL;
    ASSERT_OK(run(first, ""));
    ASSERT_OK(ae_append_lock(&other, train_rig_path(&rig, "a/metrics.jsonl"), false));
    cr_assert_eq(truncate(train_rig_path(&rig, "a/checkpoints/step-000004/weights.h5"), 1000), 0);
    ASSERT_FAILS(AE_ERR_USAGE, run(on, "run.seed=2"));
    ASSERT_SAYS("another process is writing this run");
    fclose(other);
    ASSERT_FAILS(AE_ERR_INPUT, run(on, "run.seed=2"));
}
