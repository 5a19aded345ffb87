#include "../eval/small_tokenizer.h"
#include "core/json.h"
#include "data/render.h"
#include "rlhf/best_of_n.h"
#include "rlhf/best_of_n_lines.h"
#include "rlhf/best_of_n_run.h"
#include "rlhf/best_of_n_table.h"
#include "tests/rlhf/online_rig.h"
#include "train/sft.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROMPTS = 24, N = 6 };

static train_rig rig;

static void open_rig(void) {
    online_rig_open(&rig);
}

static void close_rig(void) {
    train_rig_close(&rig);
}

TestSuite(best_of_n_run, .init = open_rig, .fini = close_rig, .timeout = 120);

/* *table may be NULL. */
static ae_status run_with(const char *name, const char *more, bool dry_run, json_t **table) {
    ae_rlhf_config c;
    json_t *made = NULL;
    char keys[2048];
    snprintf(keys, sizeof keys,
             "rl.method=best_of_n run.dir=%s data.train=%s model.init=" AERIE_FIXTURES
             "/tiny train.threads=1 "
             "rl.max_new=12 train.row_tokens=48 train.batch_rows=1 rl.samples=6 "
             "rl.rewards=[{\"kind\":\"length\",\"target\":5}] %s",
             train_rig_path(&rig, name), train_rig_path(&rig, "prompts.h5"), more);
    ASSERT_OK(ae_rlhf_config_init(&c));
    tuning_keys(&c.tune.train, keys);
    const ae_status st = ae_best_of_n(&c, dry_run, &made);
    ae_rlhf_config_free(&c);
    if (table)
        *table = made;
    else
        json_decref(made);
    return st;
}

static ae_status ask(const char *name, const char *more) {
    return run_with(name, more, false, NULL);
}

static char *text_of(const char *run, const char *file, size_t *n) {
    char *path = ae_path_join(train_rig_path(&rig, run), file), *text = NULL;
    ASSERT_OK(ae_file_read(path, &text, n));
    free(path);
    return text;
}

static void same_file(const char *a, const char *b, const char *file) {
    size_t n, m;
    char *x = text_of(a, file, &n), *y = text_of(b, file, &m);
    cr_assert(n > 0 && n == m && memcmp(x, y, n) == 0, "%s of %s and %s differ", file, a, b);
    free(x);
    free(y);
}

/* ---- the same bytes ---- */

static void kill_early(const char *name, const char *answers) {
    const pid_t child = fork();
    int status;
    if (child == 0) _exit(ask(name, ""));
    while (ae_file_size(answers) < 1 && waitpid(child, &status, WNOHANG) == 0) usleep(100);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_assert(ae_file_size(answers) > 0);
}

Test(best_of_n_run, goes_on_with_the_same_bytes) {
    const char *answers = train_rig_path(&rig, "parts/answers.jsonl");
    size_t whole, part;
    ASSERT_OK(ask("whole", ""));
    kill_early("parts", answers);
    free(text_of("parts", "answers.jsonl", &part));
    free(text_of("whole", "answers.jsonl", &whole));
    cr_assert(part < whole, "it was not killed in time");
    FILE *f = fopen(answers, "ab"); /* as a full disk leaves it */
    fputs("{\"prompt\": nu", f);
    fclose(f);
    ASSERT_OK(ask("parts", ""));
    same_file("whole", "parts", "answers.jsonl");
    same_file("whole", "parts", "best.jsonl");
    ASSERT_OK(ask("parts", ""));
    same_file("whole", "parts", "answers.jsonl");
}

Test(best_of_n_run, an_answer_does_not_depend_on_what_is_written_beside_it) {
    ASSERT_OK(ask("one", ""));
    ASSERT_OK(ask("seven", "train.batch_rows=7 train.threads=3"));
    same_file("one", "seven", "answers.jsonl");
    ASSERT_OK(ask("other", "run.seed=2"));
    size_t n, m;
    char *x = text_of("one", "answers.jsonl", &n), *y = text_of("other", "answers.jsonl", &m);
    cr_assert(n != m || memcmp(x, y, n) != 0);
    free(x);
    free(y);
}

/* ---- what it says ---- */

static double at(const json_t *table, size_t i, const char *name) {
    const json_t *x = json_object_get(json_array_get(json_object_get(table, "table"), i), name);
    cr_assert(json_is_number(x), "%s", name);
    return json_number_value(x);
}

/* The mean and the mean of the best, by the lines. */
static void sum_lines(const char *run, double *mean, double *best) {
    size_t n;
    char *text = text_of(run, "answers.jsonl", &n);
    *mean = *best = 0;
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL && line[0];) {
        json_t *o = json_loads(line, 0, NULL);
        const json_t *all = json_object_get(o, "all");
        cr_assert_eq(json_array_size(all), N);
        for (size_t i = 0; i < N; i++) {
            const double x = json_number_value(json_array_get(all, i));
            *mean += x / (N * PROMPTS);
            cr_assert(i == 0 || x <= json_number_value(json_array_get(all, i - 1)), "the best is first");
        }
        *best += json_number_value(json_array_get(all, 0)) / PROMPTS;
        cr_assert_eq(json_number_value(json_object_get(o, "reward")),
                     json_number_value(json_array_get(all, 0)));
        json_decref(o);
    }
    free(text);
}

Test(best_of_n_run, one_is_the_mean_and_all_the_best) {
    static const int64_t counts[] = {1, 2, 4, 6};
    enum { ROWS = 4 };
    json_t *table = NULL, *read = NULL;
    double mean, best;
    ASSERT_OK(run_with("run", "", false, &table));
    sum_lines("run", &mean, &best);
    cr_assert_eq(json_array_size(json_object_get(table, "table")), ROWS);
    cr_assert_float_eq(at(table, 0, "reward"), mean, 1e-12);
    cr_assert_float_eq(at(table, ROWS - 1, "reward"), best, 1e-12);
    cr_assert_eq(at(table, 0, "kl_bound"), 0);
    for (size_t i = 0; i < ROWS; i++) {
        cr_assert_eq(at(table, i, "n"), counts[i]);
        cr_assert_float_eq(at(table, i, "kl_bound"), ae_best_of_n_kl_bound(counts[i]), 1e-15);
        cr_assert(at(table, i, "reward_low") < at(table, i, "reward") &&
                  at(table, i, "reward") < at(table, i, "reward_high"));
        cr_assert(i == 0 || at(table, i, "reward") > at(table, i - 1, "reward"));
    }
    ASSERT_OK(ae_json_load(&read, train_rig_path(&rig, "run/best_of_n.json")));
    cr_assert(json_equal(read, table));
    json_decref(read);
    json_decref(table);
}

Test(best_of_n_run, intervals_are_those_of_the_mean_over_prompts) {
    enum { MANY = 400 };
    double rewards[MANY], sum = 0, squares = 0;
    ae_best_of_n_row rows[AE_BEST_OF_N_ROWS];
    size_t n;
    ae_rng r = ae_rng_make(5, 1);
    for (int i = 0; i < MANY; i++) {
        rewards[i] = ae_rng_normal(&r);
        sum += rewards[i];
        squares += rewards[i] * rewards[i];
    }
    const double mean = sum / MANY, half = 1.96 * sqrt((squares / MANY - mean * mean) / MANY);
    ASSERT_OK(ae_best_of_n_table(rows, &n, rewards, MANY, 1));
    cr_assert_eq(n, 1);
    cr_assert_float_eq(rows[0].reward, mean, 1e-12);
    cr_assert_float_eq(rows[0].low, mean - half, 0.15 * half);
    cr_assert_float_eq(rows[0].high, mean + half, 0.15 * half);
}

Test(best_of_n_run, sft_trains_on_the_best_answers) {
    ae_sft_config c;
    char keys[1024];
    ASSERT_OK(ask("run", ""));
    snprintf(keys, sizeof keys,
             "run.dir=%s data.train=%s model.init=" AERIE_FIXTURES
             "/tiny train.threads=1 train.row_tokens=48 "
             "train.batch_rows=1 train.steps=1",
             train_rig_path(&rig, "tuned"), train_rig_path(&rig, "run/best.jsonl"));
    ASSERT_OK(ae_sft_config_init(&c));
    tuning_keys(&c.tune.train, keys);
    ASSERT_OK(ae_sft(&c, false));
    ae_tune_config_free(&c.tune);
    cr_assert(tuning_number(&rig, "tuned", 0, "answer_tokens") > 0);
}

/* ---- lines ---- */

static ae_written answered(const char *text, bool truncated, const ae_ids *prompt) {
    ae_written w = {.seen = {.n = 2, .truncated = truncated}, .n_prompt = prompt->n};
    w.tokens = calloc((size_t)prompt->n + 2, sizeof *w.tokens);
    memcpy(w.tokens, prompt->ids, (size_t)prompt->n * sizeof *w.tokens);
    w.text = strdup(text);
    w.text_bytes = strlen(text);
    return w;
}

static void assert_line(const ae_tokenizer *t, const ae_written *answers, const double *rewards, ptrdiff_t n,
                        const char *expected) {
    json_t *line = NULL, *wanted = json_loads(expected, 0, NULL);
    const char *key;
    json_t *value;
    cr_assert_not_null(wanted, "%s", expected);
    ASSERT_OK(ae_best_of_n_line(&line, t, answers, rewards, n));
    json_object_foreach(wanted, key, value) {
        char *found = json_dumps(json_object_get(line, key), JSON_ENCODE_ANY);
        cr_assert(json_equal(json_object_get(line, key), value), "%s: found %s", key, found);
        free(found);
    }
    json_decref(wanted);
    json_decref(line);
}

Test(best_of_n_run, the_best_answer_is_a_row_of_chat) {
    ae_tokenizer *t = small_tokenizer();
    ae_ids prompt = {0};
    ASSERT_OK(ae_render_user(t, true, NULL, 0, "a red ball", 10, &prompt));
    ASSERT_OK(ae_render_answer(t, "a dog", 5, &prompt));
    ASSERT_OK(ae_render_user(t, false, NULL, 0, "a cat", 5, &prompt));
    ae_written w[] = {answered("bad", false, &prompt), answered("good", false, &prompt),
                      answered("none", true, &prompt), answered("as good", false, &prompt)};
    const double rewards[] = {-1, 2, NAN, 2}, cut_best[] = {-1, 0, 3, 0};
    assert_line(
        t, w, rewards, 4,
        "{\"prompt\": \"a cat\", \"answer\": \"good\", \"reward\": 2.0, \"all\": [2.0, 2.0, -1.0, null], "
        "\"answers\": [\"good\", \"as good\", \"bad\", \"none\"], \"tokens\": [2, 2, 2, 2], "
        "\"truncated\": [false, false, false, true], \"row\": {\"messages\": ["
        "{\"role\": \"user\", \"content\": \"a red ball\"}, {\"role\": \"assistant\", \"content\": \"a "
        "dog\"}, {\"role\": \"user\", \"content\": \"a cat\"}, {\"role\": \"assistant\", \"content\": "
        "\"good\"}]}}");
    assert_line(t, w, cut_best, 4, "{\"answer\": \"none\", \"row\": null}");
    for (int i = 0; i < 4; i++) {
        free(w[i].tokens);
        free(w[i].text);
    }
    ae_ids_free(&prompt);
    ae_tokenizer_delete(t);
}

/* ---- bad input ---- */

/* The first number of a matrix changes its sign: norms and biases stay as they are. */
static void change_matrix(char *text) {
    enum { LAST = 3, SIGN = 0x80 };
    uint64_t header;
    memcpy(&header, text, sizeof header);
    json_t *tensors = json_loadb(text + sizeof header, header, 0, NULL);
    const json_t *matrix = json_object_get(tensors, "model.layers.0.mlp_block.down_proj.weight"),
                 *at = json_array_get(json_object_get(matrix, "data_offsets"), 0);
    cr_assert(json_is_integer(at));
    text[sizeof header + header + (size_t)json_integer_value(at) + LAST] ^= (char)SIGN;
    json_decref(tensors);
}

static void copy_model(const char *name, bool changes) {
    static const char *const files[] = {"config.json", "model.safetensors"};
    ASSERT_OK(ae_folder_make(train_rig_path(&rig, name)));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *from = ae_path_join(AERIE_FIXTURES "/tiny", files[i]), *text = NULL,
             *to = ae_path_join(train_rig_path(&rig, name), files[i]);
        size_t n;
        ASSERT_OK(ae_file_read(from, &text, &n));
        if (changes && i == 1) change_matrix(text);
        ASSERT_OK(ae_file_write(to, text, n));
        free(from);
        free(to);
        free(text);
    }
}

Test(best_of_n_run, refuses_other_keys) {
    static const struct {
        const char *keys, *says;
    } faults[] = {{"run.seed=2", "run.seed: expected what the answers in "},
                  {"rl.samples=5", "rl.samples: "},
                  {"rl.temperature=0.5", "rl.temperature: "},
                  {"train.steps=3", "train.steps: expected no such key"},
                  {"lora.rank=2", "lora.rank: expected no such key"},
                  {"rl.kl_horizon=10", "rl.kl_horizon: expected no such key"},
                  {"rl.guard_entropy=1", "rl.guard_entropy: expected no such key"},
                  {"rl.guard_length=9", "rl.guard_length: expected no such key"},
                  {"optim.beta2=0.9", "optim.beta2: expected no such key"},
                  {"data.shuffle=false", "data.shuffle: expected no such key"},
                  {"grpo.std=true", "grpo.std: expected no such key"},
                  {"rl.rewards=", "rl.rewards: expected what answers are worth"}};
    ASSERT_OK(run_with("dry", "", true, NULL));
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "dry")));
    ASSERT_OK(ask("run", ""));
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        ASSERT_FAILS(AE_ERR_USAGE, ask("run", faults[i].keys));
        ASSERT_SAYS(faults[i].says);
    }
    ASSERT_FAILS(AE_ERR_RESOURCE, ask("small", "train.memory_gb=0.001"));
    ASSERT_OK(ask("masked", "rl.truncated=mask rl.max_new=1"));
}

Test(best_of_n_run, other_matrices_are_another_model) {
    char keys[512];
    snprintf(keys, sizeof keys, "model.init=%s", train_rig_path(&rig, "model"));
    copy_model("model", false);
    ASSERT_OK(ask("run", keys));
    ASSERT_OK(ask("run", keys));
    copy_model("model", true);
    ASSERT_FAILS(AE_ERR_USAGE, ask("run", keys));
    ASSERT_SAYS("model.init: expected what the answers in ");
}
