#include "core/config.h"
#include "tests/core/scratch.h"

#include <jansson.h>
#include <math.h>

typedef struct {
    int64_t steps, micro_rows;
    double lr;
    bool shuffle;
    char *dir, *datasets;
    int dtype;
} train_options;

typedef struct {
    int64_t steps_per_block;
    char *preset;
} model_options;

#define AT(field) offsetof(train_options, field)
static const ae_field train_fields[] = {
    {"steps", AE_FIELD_INT, AT(steps), "2k", 1, 1e12, NULL, "updates to do", 0},
    {"micro_rows", AE_FIELD_INT, AT(micro_rows), "0", 0, (double)INFINITY, NULL, "rows at a time; 0: chosen",
     0},
    {"lr", AE_FIELD_REAL, AT(lr), "3e-4", 0, 1, NULL, "learning rate", 0},
    {"shuffle", AE_FIELD_BOOL, AT(shuffle), "true", 0, 0, NULL, "new order each epoch", 0},
    {"dir", AE_FIELD_TEXT, AT(dir), "", 0, 0, NULL, "folder of the run", 0},
    {"datasets", AE_FIELD_TREE, AT(datasets), "[a.h5, {path: b.h5, weight: 0.5}]", 0, 0, NULL, "token sets",
     0},
    {"dtype", AE_FIELD_CHOICE, AT(dtype), "bf16", 0, 0, "f32|bf16|auto", "element type", 0},
};
static const ae_field model_fields[] = {
    {"steps_per_block", AE_FIELD_INT, offsetof(model_options, steps_per_block), "-3", -5, 5, NULL,
     "just a size", 0},
    {"preset", AE_FIELD_TEXT, offsetof(model_options, preset), "tiny", 0, 0, NULL, "shape by name", 0},
};
enum {
    N_TRAIN = sizeof train_fields / sizeof train_fields[0],
    N_MODEL = sizeof model_fields / sizeof model_fields[0]
};

static train_options train;
static model_options model;
static ae_config config;

static void begin(void) {
    scratch_make();
    config = (ae_config){.n_sections = 0};
    cr_assert_eq(ae_config_add(&config, "train", train_fields, N_TRAIN, &train), AE_OK, "%s",
                 ae_error_message());
    cr_assert_eq(ae_config_add(&config, "model", model_fields, N_MODEL, &model), AE_OK, "%s",
                 ae_error_message());
}

static void end(void) {
    ae_config_free(&config);
    scratch_remove();
}

TestSuite(config, .init = begin, .fini = end);

static ae_status read_text(const char *text) {
    return ae_config_read(&config, scratch_write("run.yaml", text, strlen(text)));
}

static void expect_refused(const char *yaml, const char *message) {
    cr_assert_eq(read_text(yaml), AE_ERR_USAGE, "%s", yaml);
    char found[2048];
    snprintf(found, sizeof found, "%s", ae_error_message());
    for (char *at; (at = strstr(found, scratch_folder)) != NULL;) {
        size_t n = strlen(scratch_folder) + 1;
        memmove(at, at + n, strlen(at + n) + 1);
    }
    cr_assert_str_eq(found, message);
}

static void set(const char *assignment) {
    cr_assert_eq(ae_config_set(&config, assignment, "command line"), AE_OK, "%s", ae_error_message());
}

static void expect_set_refused(const char *assignment, const char *message) {
    cr_assert_eq(ae_config_set(&config, assignment, "command line"), AE_ERR_USAGE, "%s", assignment);
    cr_assert_str_eq(ae_error_message(), message);
}

static void expect_defaults(void) {
    cr_assert_eq(train.steps, 2000);
    cr_assert_eq(train.micro_rows, 0);
    cr_assert_float_eq(train.lr, 3e-4, 0);
    cr_assert_eq(train.shuffle, true);
    cr_assert_str_eq(train.dir, "");
    cr_assert_str_eq(train.datasets, "[\"a.h5\",{\"path\":\"b.h5\",\"weight\":0.5}]");
    cr_assert_eq(train.dtype, 1);
    cr_assert_eq(model.steps_per_block, -3);
    cr_assert_str_eq(model.preset, "tiny");
}

Test(config, defaults) {
    expect_defaults();
    for (int i = 0; i < N_TRAIN + N_MODEL; i++) cr_assert_not(config.is_set[i]);
}

/* Two canaries: a byte that no default touches keeps both. Padding is left out. */
Test(config, defaults_cover_every_field) {
    train_options a, b;
    ae_config ca = {.n_sections = 0}, cb = {.n_sections = 0};
    memset(&a, 0xA5, sizeof a);
    memset(&b, 0x5A, sizeof b);
    cr_assert_eq(ae_config_add(&ca, "train", train_fields, N_TRAIN, &a), AE_OK);
    cr_assert_eq(ae_config_add(&cb, "train", train_fields, N_TRAIN, &b), AE_OK);
    cr_assert_eq(a.steps, b.steps);
    cr_assert_eq(a.micro_rows, b.micro_rows);
    cr_assert_float_eq(a.lr, b.lr, 0);
    cr_assert_eq(a.shuffle, b.shuffle);
    cr_assert_str_eq(a.dir, b.dir);
    cr_assert_str_eq(a.datasets, b.datasets);
    cr_assert_eq(a.dtype, b.dtype);
    ae_config_free(&ca);
    ae_config_free(&cb);
    cr_assert_null(a.dir);
}

Test(config, file_is_read) {
    cr_assert_eq(
        read_text("# a run\ntrain:\n  steps: 64k\n  lr: 1e-3\n  shuffle: false\n  dir: 'runs/a b'\n"
                  "  datasets:\n    - x.h5\n    - {path: y.h5, weight: 2, on: true, note: null, id: '7'}\n"
                  "  dtype: f32\nmodel:\n"),
        AE_OK, "%s", ae_error_message());
    cr_assert_eq(train.steps, 64000);
    cr_assert_float_eq(train.lr, 1e-3, 0);
    cr_assert_eq(train.shuffle, false);
    cr_assert_str_eq(train.dir, "runs/a b");
    cr_assert_str_eq(train.datasets,
                     "[\"x.h5\",{\"path\":\"y.h5\",\"weight\":2,\"on\":true,\"note\":null,\"id\":\"7\"}]");
    cr_assert_eq(train.dtype, 0);
    cr_assert(ae_config_is_set(&config, "train.steps"));
    cr_assert_not(ae_config_is_set(&config, "train.micro_rows"));
    cr_assert_not(ae_config_is_set(&config, "train.none"));
    cr_assert_not(ae_config_is_set(&config, "model.preset"));
}

Test(config, empty_files_change_nothing) {
    cr_assert_eq(read_text(""), AE_OK);
    cr_assert_eq(read_text("# nothing\n"), AE_OK);
    cr_assert_eq(read_text("train:\nmodel: {}\n"), AE_OK, "%s", ae_error_message());
    expect_defaults();
}

Test(config, unknown_keys_are_refused) {
    expect_refused("train:\n  stepz: 3\n",
                   "unknown key \"train.stepz\": did you mean \"train.steps\"? (run.yaml:2)");
    expect_refused("model:\n  lr: 3\n", "unknown key \"model.lr\": did you mean \"train.lr\"? (run.yaml:2)");
    expect_refused("train:\n  qqqqqqqq: 3\n",
                   "unknown key \"train.qqqqqqqq\": --help lists the keys (run.yaml:2)");
    expect_refused("trian:\n  steps: 3\n", "unknown section \"trian\": did you mean \"train\"? (run.yaml:1)");
    expect_refused("\nelsewhere: {}\n", "unknown section \"elsewhere\": --help lists the keys (run.yaml:2)");
}

Test(config, wrong_values_are_refused) {
    expect_refused("train:\n\n  steps: 0\n", "train.steps: expected 1 to 1e12, found 0 (run.yaml:3)");
    expect_refused(
        "train:\n  steps: 1.5\n",
        "train.steps: expected a whole number such as 1000, 1e3, 64k or 2M, found \"1.5\" (run.yaml:2)");
    expect_refused("train: {micro_rows: -1}\n",
                   "train.micro_rows: expected at least 0, found -1 (run.yaml:1)");
    expect_refused("train: {lr: 1.5}\n", "train.lr: expected 0 to 1, found 1.5 (run.yaml:1)");
    expect_refused("train: {lr: .nan}\n", "train.lr: expected a number, found \".nan\" (run.yaml:1)");
    expect_refused("train: {lr: }\n", "train.lr: expected a number, found nothing (run.yaml:1)");
    expect_refused("train: {shuffle: yes}\n",
                   "train.shuffle: expected true or false, found \"yes\" (run.yaml:1)");
    expect_refused("train: {dtype: fp32}\n",
                   "train.dtype: expected one of f32|bf16|auto, found \"fp32\" (run.yaml:1)");
    expect_refused("train: {dtype: f}\n",
                   "train.dtype: expected one of f32|bf16|auto, found \"f\" (run.yaml:1)");
    expect_refused("train: {dir: [a]}\n", "train.dir: expected a single value, found a list (run.yaml:1)");
    expect_refused("train: {steps: {a: 1}}\n",
                   "train.steps: expected a single value, found a map (run.yaml:1)");
    expect_refused("train: {dir: \"a\\0b\"}\n",
                   "train.dir: expected text, found a NUL byte in it (run.yaml:1)");
}

Test(config, wrong_structure_is_refused) {
    expect_refused("train:\n  steps: 1\n  lr: 0\n  steps: 2\n",
                   "train.steps: expected it once, found it twice (run.yaml:4, first at line 2)");
    expect_refused("train: {}\nmodel: {}\ntrain: {}\n",
                   "train: expected it once, found it twice (run.yaml:3, first at line 1)");
    expect_refused("- train\n", "run.yaml:1: expected `section:` with `key: value` lines below it");
    expect_refused(
        "train: 5\n",
        "train: expected `key: value` lines below it, found a single value or a list (run.yaml:1)");
    expect_refused("train: {[a]: 5}\n",
                   "run.yaml:1: expected `key: value` inside train, found a list or a map as key");
    expect_refused("train: {}\n---\nmodel: {}\n", "run.yaml:3: expected one YAML document, found a second");
    expect_refused("train: {datasets: {a: 1, a: 2}}\n",
                   "train.datasets: expected a value with scalar keys, each once, and no more than 100000 "
                   "parts and 16 MB of text, found something else (run.yaml:1)");
    expect_refused("train: {datasets: &x [*x]}\n",
                   "train.datasets: expected a value with scalar keys, each once, and no more than 100000 "
                   "parts and 16 MB of text, found something else (run.yaml:1)");
}

/* Ten lines that stand for 10^9 values; those of a key that is not read cost nothing. */
Test(config, aliases_of_aliases_are_bounded) {
    char text[4096] = "train:\n  datasets:\n    - &a0 x\n";
    for (int i = 1; i < 10; i++) {
        size_t n = strlen(text);
        n += (size_t)snprintf(text + n, sizeof text - n, "    - &a%d [", i);
        for (int k = 0; k < 10; k++) n += (size_t)snprintf(text + n, sizeof text - n, "*a%d,", i - 1);
        snprintf(text + n, sizeof text - n, "]\n");
    }
    expect_refused(text, "train.datasets: expected a value with scalar keys, each once, and no more than "
                         "100000 parts and 16 MB of text, found something "
                         "else (run.yaml:2)");
    cr_assert_eq(read_text("train: {datasets: [&a x.h5, *a, *a]}\n"), AE_OK, "%s", ae_error_message());
    cr_assert_str_eq(train.datasets, "[\"x.h5\",\"x.h5\",\"x.h5\"]");
}

/* A text of 100 kB that a hundred thousand aliases could stand for. */
Test(config, aliases_of_long_texts_are_bounded) {
    enum { LONG = 100000, TIMES = 200 };
    char *text = calloc(LONG + 8 * TIMES + 100, 1);
    strcpy(text, "train: {datasets: [&a \"");
    memset(text + strlen(text), 'x', LONG);
    strcat(text, "\"");
    for (int i = 0; i < TIMES; i++) strcat(text, ", *a");
    strcat(text, "]}\n");
    expect_refused(
        text, "train.datasets: expected a value with scalar keys, each once, and no more than 100000 parts "
              "and 16 MB of text, found something else (run.yaml:1)");
    free(text);
}

/* 100 kB of brackets took half a minute. */
Test(config, deep_nesting_is_refused_at_once, .timeout = 5) {
    enum { DEEP = 200000 };
    char *text = calloc(DEEP + 100, 1);
    strcpy(text, "# deep\ntrain: {datasets: ");
    memset(text + strlen(text), '[', DEEP);
    expect_refused(text,
                   "run.yaml:2: expected lists and maps no more than 66 deep in each other, found more");
    free(text);
    char fits[512] = "train: {datasets: ";
    for (int i = 0; i < 64; i++) strcat(fits, "[");
    for (int i = 0; i < 64; i++) strcat(fits, "]");
    strcat(fits, "}\n");
    cr_assert_eq(read_text(fits), AE_OK, "%s", ae_error_message());
}

Test(config, what_is_no_yaml_is_refused) {
    cr_assert_eq(read_text("train:\n  steps: [1,\n"), AE_ERR_USAGE);
    cr_assert_message("run.yaml:3: expected YAML, found an error");
    cr_assert_eq(read_text("train:\n\tsteps: 1\n"), AE_ERR_USAGE);
    cr_assert_message("run.yaml:2:");
    cr_assert_eq(read_text("train:\n  dir: \xff\xfe\n"), AE_ERR_USAGE);
    cr_assert_message("run.yaml:2:");
    cr_assert_eq(ae_config_read(&config, scratch_path("none.yaml")), AE_ERR_INPUT);
}

Test(config, overrides) {
    set("train.steps=5");
    set("train.steps=1e3");
    set("train.micro_rows=8192");
    set("train.datasets=[p, q]");
    set("train.dtype=auto");
    set("train.shuffle=false");
    set("model.preset=a: b # c");
    set("train.dir=\"quoted \\u00e4\"");
    cr_assert_eq(train.steps, 1000);
    cr_assert_eq(train.micro_rows, 8192);
    cr_assert_str_eq(train.datasets, "[\"p\",\"q\"]");
    cr_assert_eq(train.dtype, 2);
    cr_assert_eq(train.shuffle, false);
    cr_assert_str_eq(model.preset, "a: b # c");
    cr_assert_str_eq(train.dir, "quoted \xc3\xa4");
    cr_assert(ae_config_is_set(&config, "model.preset"));
    set("model.preset=");
    cr_assert_str_eq(model.preset, "");
    set("train.dir=null");
    cr_assert_str_eq(train.dir, "");
    set("train.datasets=");
    cr_assert_str_eq(train.datasets, "");
    set("train.datasets=one.h5");
    cr_assert_str_eq(train.datasets, "\"one.h5\"");
    cr_assert_eq(ae_config_reset(&config, "train.datasets"), AE_OK);
    cr_assert_str_eq(train.datasets, "[\"a.h5\",{\"path\":\"b.h5\",\"weight\":0.5}]");
    cr_assert_not(ae_config_is_set(&config, "train.datasets"));
}

Test(config, wrong_overrides_are_refused) {
    expect_set_refused("train.steps", "\"train.steps\": expected section.key=value (command line)");
    expect_set_refused("train.stepz=3",
                       "unknown key \"train.stepz\": did you mean \"train.steps\"? (command line)");
    expect_set_refused("steps=3", "unknown key \"steps\": did you mean \"train.steps\"? (command line)");
    expect_set_refused("=3", "unknown key \"\": --help lists the keys (command line)");
    expect_set_refused("train.steps=0", "train.steps: expected 1 to 1e12, found 0 (command line)");
    expect_set_refused("train.lr=", "train.lr: expected a number, found nothing (command line)");
    expect_set_refused("train.dir=\xff",
                       "train.dir: expected text in UTF-8, found other bytes (command line)");
    expect_set_refused("train.datasets=[a",
                       "train.datasets: expected a YAML value, found \"[a\" (command line)");
    expect_defaults();
}

Test(config, whole_numbers) {
    const struct {
        const char *text;
        int64_t value;
    } good[] = {{"7", 7},
                {"+7", 7},
                {"1000", 1000},
                {"1e3", 1000},
                {"64k", 64000},
                {"2M", 2000000},
                {"1.5k", 1500},
                {"1G", 1000000000},
                {"0.5k", 500},
                {"1e12", 1000000000000},
                {"999999999999", 999999999999}};
    const char *bad[] = {"1e13", "k",  "1kk", "0x10", "1 000", "1_000", "1.0.0",
                         "--1",  "1e", "ten", "1K",   "inf",   "nan",   "0.0001k"};
    char assignment[64];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(assignment, sizeof assignment, "train.steps=%s", good[i].text);
        set(assignment);
        cr_assert_eq(train.steps, good[i].value, "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(assignment, sizeof assignment, "train.steps=%s", bad[i]);
        cr_assert_eq(ae_config_set(&config, assignment, "command line"), AE_ERR_USAGE, "%s", bad[i]);
    }
    set("train.micro_rows=9007199254740993"); /* 2^53 + 1 */
    cr_assert_eq(train.micro_rows, 9007199254740993);
    cr_assert_eq(ae_config_set(&config, "train.micro_rows=1e19", "command line"), AE_ERR_USAGE);
    set("model.steps_per_block=-5");
    cr_assert_eq(model.steps_per_block, -5);
}

Test(config, written_file_reads_back_the_same) {
    char *before = NULL, *after = NULL;
    set("train.lr=0.1");
    set("train.steps=123456789012");
    set("train.dir=C:\\x \"y\" #z \xc3\xa4 {");
    set("model.preset=null and void");
    set("train.datasets={a: [1, -2.5, null, true, '5', \"\"], \"b c\": {}}");
    cr_assert_eq(ae_config_json(&config, &before), AE_OK);
    cr_assert_eq(ae_config_write(&config, scratch_path("copy.yaml")), AE_OK, "%s", ae_error_message());
    ae_config_free(&config);
    config = (ae_config){.n_sections = 0};
    cr_assert_eq(ae_config_add(&config, "train", train_fields, N_TRAIN, &train), AE_OK);
    cr_assert_eq(ae_config_add(&config, "model", model_fields, N_MODEL, &model), AE_OK);
    cr_assert_eq(ae_config_read(&config, scratch_path("copy.yaml")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_config_json(&config, &after), AE_OK);
    cr_assert_str_eq(after, before);
    for (int i = 0; i < N_TRAIN + N_MODEL; i++) cr_assert(config.is_set[i]);
    free(before);
    free(after);
}

Test(config, written_file_is_readable) {
    char *text = NULL;
    size_t n = 0;
    set("train.lr=0.1");
    cr_assert_eq(ae_config_write(&config, scratch_path("copy.yaml")), AE_OK);
    cr_assert_eq(ae_file_read(scratch_path("copy.yaml"), &text, &n), AE_OK);
    cr_assert_not_null(strstr(text, "train:\n  steps: 2000\n"), "%s", text);
    cr_assert_not_null(strstr(text, "  lr: 0.1\n"), "%s", text);
    cr_assert_not_null(strstr(text, "  dtype: \"bf16\"\n"), "%s", text);
    free(text);
    cr_assert_eq(ae_config_write(&config, "/dev/full"), AE_ERR_RESOURCE);
}

Test(config, json_has_every_key) {
    char *text = NULL;
    cr_assert_eq(ae_config_json(&config, &text), AE_OK);
    json_t *root = json_loads(text, 0, NULL);
    cr_assert_not_null(root);
    cr_assert_eq(json_object_size(json_object_get(root, "train")), N_TRAIN);
    cr_assert_eq(json_object_size(json_object_get(root, "model")), N_MODEL);
    cr_assert_eq(json_array_size(json_object_get(json_object_get(root, "train"), "datasets")), 2);
    json_decref(root);
    free(text);
}

Test(config, help_is_aligned) {
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    ae_config_help(&config, f);
    fclose(f);
    cr_assert_not_null(strstr(text, "  train.steps            int     2k "), "%s", text);
    cr_assert_not_null(strstr(text, "  model.steps_per_block  int     -3 "), "%s", text);
    cr_assert_not_null(strstr(text, " 1 to 1e12 "), "%s", text);
    cr_assert_not_null(strstr(text, " f32|bf16|auto  element type\n"), "%s", text);
    free(text);
}

Test(config, wrong_tables_are_defects) {
    static const ae_field wrong[] = {{"n", AE_FIELD_INT, 0, "9", 0, 5, NULL, "", 0}};
    int64_t n = 0;
    ae_config c = {.n_sections = 0};
    cr_assert_eq(ae_config_add(&c, "x", wrong, 1, &n), AE_ERR_DEFECT);
    cr_assert_message("x.n: expected 0 to 5, found 9");
    c.n_sections = AE_CONFIG_SECTIONS_MAX;
    for (int i = 0; i < AE_CONFIG_SECTIONS_MAX; i++) c.sections[i].n_fields = 0;
    cr_assert_eq(ae_config_add(&c, "x", wrong, 1, &n), AE_ERR_DEFECT);
}

Test(config, nearest_words) {
    const char *words[] = {"train.steps", "train.lr", "optim.beta1", "optim.beta2"};
    cr_assert_str_eq(ae_nearest_word("train.setps", words, 4), "train.steps");
    cr_assert_str_eq(ae_nearest_word("optim.beta", words, 4), "optim.beta1");
    cr_assert_null(ae_nearest_word("data.vocabulary", words, 4));
    cr_assert_null(ae_nearest_word("", words, 4));
    cr_assert_null(ae_nearest_word("x", NULL, 0));
}

Test(config, fields_over_all_sections) {
    const char *section = NULL;
    for (size_t i = 0; i < N_TRAIN; i++) {
        cr_assert_eq(ae_config_field(&config, i, &section), &train_fields[i]);
        cr_assert_str_eq(section, "train");
    }
    for (size_t i = 0; i < N_MODEL; i++) {
        cr_assert_eq(ae_config_field(&config, N_TRAIN + i, &section), &model_fields[i]);
        cr_assert_str_eq(section, "model");
    }
    cr_assert_null(ae_config_field(&config, N_TRAIN + N_MODEL, &section));
}
