#include "core/log.h"
#include "rlhf/preferences.h"
#include "tests/train/at_sync.h"
#include "tests/train/tuning.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static train_rig rig;

static void open_rig(void) {
    train_rig_open(&rig);
    cr_assert_eq(
        tuning_set(train_rig_path(&rig, "pairs.h5"), AERIE_FIXTURES "/tuning/pairs.jsonl", tuning_add_pair),
        12);
}

static void close_rig(void) {
    train_rig_close(&rig);
}

TestSuite(preferences, .init = open_rig, .fini = close_rig, .timeout = 300);

/* Tunes the fixture `attention` on its 12 pairs with those keys and `more`. */
static ae_status tune_or_look(const char *name, const char *more, bool dry_run) {
    ae_rlhf_config c;
    char keys[8192];
    snprintf(keys, sizeof keys,
             "run.dir=%s model.init=" AERIE_FIXTURES "/attention data.train=%s train.threads=2 "
             "train.row_tokens=64 optim.schedule=constant optim.lr=1e-3 %s",
             train_rig_path(&rig, name), train_rig_path(&rig, "pairs.h5"), more);
    ASSERT_OK(ae_rlhf_config_init(&c));
    tuning_keys(&c.tune.train, keys);
    const ae_status st = ae_preferences_train(&c, dry_run);
    ae_rlhf_config_free(&c);
    return st;
}

static ae_status tune(const char *name, const char *more) {
    return tune_or_look(name, more, false);
}

static double number(const char *run, size_t line, const char *name) {
    return tuning_number(&rig, run, line, name);
}

static char *in_run(const char *run, const char *name) {
    return ae_path_join(train_rig_path(&rig, run), name);
}

/* ---- against the trace ---- */

static void check_trace(const char *run, const char *method, double tolerance) {
    static const char *const names[] = {"loss", "grad_norm"};
    json_t *trace = json_load_file(AERIE_FIXTURES "/tuning/trace.json", 0, NULL);
    const json_t *expected = json_object_get(trace, method);
    for (size_t i = 0; i < 4; i++)
        for (int k = 0; k < 2; k++) {
            const double want = json_number_value(json_array_get(json_object_get(expected, names[k]), i));
            const double got = number(run, i, names[k]);
            cr_assert_float_eq(got, want, tolerance * want, "%s, step %zu: %s %.9g, expected %.9g", run,
                               i + 1, names[k], got, want);
        }
    json_decref(trace);
}

Test(preferences, follow_the_trace) {
    static const char *const methods[] = {"dpo", "ipo"};
    for (int i = 0; i < 2; i++)
        for (int micro = 1; micro <= 3; micro++) {
            char name[32], more[256];
            snprintf(name, sizeof name, "%s-%d", methods[i], micro);
            snprintf(more, sizeof more,
                     "rl.method=%s train.batch_rows=3 train.micro_rows=%d train.steps=4 "
                     "data.shuffle=false data.pack=false",
                     methods[i], micro);
            ASSERT_OK(tune(name, more));
            check_trace(name, methods[i], 2e-5);
        }
}

/* ---- the start ---- */

/* A policy that never moves, through the first epoch and its evaluations: rho is 0 to the bit. */
static void check_start(const char *name, const char *more) {
    char keys[1024];
    snprintf(keys, sizeof keys,
             "optim.lr=0 train.batch_rows=4 train.steps=3 train.row_tokens=128 train.eval_every=1 "
             "data.heldout=%s %s",
             train_rig_path(&rig, "pairs.h5"), more);
    ASSERT_OK(tune(name, keys));
    for (size_t line = 0; line < 6; line++) {
        const bool step = line % 2 == 0;
        cr_assert(number(name, line, step ? "chosen_logratio" : "eval_chosen_logratio") == 0, "%s", name);
        cr_assert(number(name, line, step ? "rejected_logratio" : "eval_rejected_logratio") == 0, "%s", name);
        cr_assert(number(name, line, step ? "accuracy" : "eval_accuracy") == 0.5);
        if (strstr(more, "kto")) continue;
        cr_assert_float_eq(number(name, line, step ? "loss" : "eval_loss"), log(2), 1e-9);
    }
}

Test(preferences, start_at_the_reference_to_the_bit) {
    check_start("full", "rl.method=dpo");
    check_start("micro", "rl.method=dpo train.micro_rows=1");
    check_start("temperature", "rl.method=dpo rl.temperature=0.8");
    check_start("kto", "rl.method=kto");
    check_start("bf16", "rl.method=dpo train.dtype=bf16");
    check_start("adapters", "rl.method=dpo lora.rank=2 model.base_dtype=int8");
    check_start("also", "rl.method=dpo lora.rank=2 lora.also=embeddings,norms model.base_dtype=int4");
    /* a model of its own, though it is the same one */
    check_start("loaded", "rl.method=dpo rl.reference=" AERIE_FIXTURES "/../fixtures/attention");
    check_start("beside", "rl.method=dpo lora.rank=2 model.base_dtype=int8 "
                          "rl.reference=" AERIE_FIXTURES "/../fixtures/attention");
}

/* ---- splits ---- */

static void same_steps(const char *a, const char *b, double tolerance) {
    static const char *const names[] = {"loss",        "grad_norm",       "accuracy",
                                        "margin_mean", "chosen_logratio", "rejected_logratio"};
    for (size_t line = 0; line < 3; line++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            const double x = number(a, line, names[i]), y = number(b, line, names[i]);
            cr_assert_float_eq(x, y, tolerance * (1 + fabs(x)), "%s, step %zu: %s: %.9g and %.9g", b,
                               line + 1, names[i], x, y);
        }
}

/* To 1e-6. The large optim.eps makes steps follow the gradient, not its signs. */
Test(preferences, rows_and_micro_batches_change_no_step) {
    static const char *const methods[] = {"dpo", "ipo", "kto"};
    static const char *const splits[] = {"data.pack=false train.micro_rows=6",
                                         "data.pack=false train.micro_rows=1", "train.micro_rows=2",
                                         "train.row_tokens=512"};
    for (int m = 0; m < 3; m++)
        for (int i = 0; i < 4; i++) {
            char keys[512], name[16], first[16];
            snprintf(keys, sizeof keys,
                     "rl.method=%s train.batch_rows=6 train.steps=3 optim.lr=1e-3 optim.eps=1 "
                     "train.checkpoint_every=1 train.keep=0 %s",
                     methods[m], splits[i]);
            snprintf(name, sizeof name, "%s%d", methods[m], i);
            snprintf(first, sizeof first, "%s0", methods[m]);
            ASSERT_OK(tune(name, keys));
            if (i == 0) continue;
            const double error = train_rig_gradient_difference(&rig, first, name);
            cr_assert(error < 1e-6, "%s, %s: %g", methods[m], splits[i], error);
            same_steps(first, name, 1e-6);
        }
}

/* JSON lines give the steps of the set. */
Test(preferences, json_lines_are_rendered_first) {
    ASSERT_OK(tune("set", "rl.method=dpo train.batch_rows=4 train.steps=3"));
    ASSERT_OK(tune("lines", "rl.method=dpo train.batch_rows=4 train.steps=3 "
                            "data.train=" AERIE_FIXTURES "/tuning/pairs.jsonl"));
    same_steps("set", "lines", 0);
}

/* ---- resume ---- */

static void remove_scores(const char *run) {
    char *path = in_run(run, "reference.h5");
    cr_assert_eq(unlink(path), 0, "%s: not there", path);
    free(path);
}

/* `then`: what happens to the run between its parts. */
static void check_resume(const char *more, void (*then)(const char *run)) {
    static const char keys[] =
        "train.batch_rows=4 train.row_tokens=128 train.checkpoint_every=4 train.keep=0 "
        "train.eval_every=2";
    char all[1024];
    const char *heldout = train_rig_path(&rig, "pairs.h5");
    snprintf(all, sizeof all, "%s data.heldout=%s train.steps=7 %s", keys, heldout, more);
    ASSERT_OK(tune("whole", all));
    snprintf(all, sizeof all, "%s data.heldout=%s train.steps=4 %s", keys, heldout, more);
    ASSERT_OK(tune("parts", all));
    if (then) then("parts");
    snprintf(all, sizeof all, "%s data.heldout=%s train.steps=7 %s", keys, heldout, more);
    ASSERT_OK(tune("parts", all));
    train_rig_same_checkpoint(&rig, "whole", "parts", 7);
    train_rig_same_metrics(&rig, "whole", "parts");
    ae_folder_remove(train_rig_path(&rig, "whole"));
    ae_folder_remove(train_rig_path(&rig, "parts"));
}

Test(preferences, a_run_that_goes_on_ends_with_the_same_bits) {
    check_resume("rl.method=dpo", NULL);
    check_resume("rl.method=kto train.micro_rows=1", NULL);
    check_resume("rl.method=ipo lora.rank=2 lora.also=embeddings model.base_dtype=int4", NULL);
}

/* The reference is the model that the run began with, not what it is now. */
Test(preferences, scores_that_are_gone_are_made_again) {
    check_resume("rl.method=dpo", remove_scores);
    check_resume("rl.method=dpo lora.rank=2 lora.also=embeddings model.base_dtype=int4", remove_scores);
    check_resume("rl.method=dpo rl.reference=" AERIE_FIXTURES "/tiny", remove_scores);
}

/* ---- scores in parts ---- */

static char *scores_file;

/* Once the first of them are saved. */
static void stop_when_saved(void) {
    if (!ae_path_exists(scores_file)) return;
    train_rig_at_sync = NULL;
    raise(SIGTERM);
}

/* Whether the program says this while it tunes. */
static bool tuning_says(const char *name, const char *keys, const char *words) {
    char *path = ae_path_join(rig.folder, "said"), *said = NULL;
    size_t n = 0;
    const int before = dup(STDERR_FILENO), file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    cr_assert(before >= 0 && file >= 0);
    dup2(file, STDERR_FILENO);
    ae_log_quiet(false);
    const ae_status st = tune(name, keys);
    ae_log_quiet(true);
    dup2(before, STDERR_FILENO);
    close(before);
    close(file);
    ASSERT_OK(st);
    ASSERT_OK(ae_file_read(path, &said, &n));
    const bool says = strstr(said, words) != NULL;
    free(said);
    free(path);
    return says;
}

/* 24 pairs, 4 at a time: a signal after the first ones leaves 20 to the next start. Scores and steps are those of a
 * run that was left alone. */
static void check_parts(const char *more) {
    char keys[1024];
    snprintf(keys, sizeof keys, "train.batch_rows=4 train.row_tokens=128 train.steps=4 data.heldout=%s %s",
             train_rig_path(&rig, "pairs.h5"), more);
    ASSERT_OK(tune("whole", keys));
    scores_file = in_run("parts", "reference.h5");
    train_rig_at_sync = stop_when_saved;
    ASSERT_FAILS(AE_ERR_INTERRUPTED, tune("parts", keys));
    ASSERT_SAYS("the same command goes on with its scores");
    cr_assert(tuning_says("parts", keys, "scores 20 pairs"));
    train_rig_same_checkpoint(&rig, "whole", "parts", 4);
    train_rig_same_metrics(&rig, "whole", "parts");
    free(scores_file);
    ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "whole")));
    ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "parts")));
}

Test(preferences, an_interrupted_reference_goes_on_where_it_was) {
    check_parts("rl.method=dpo");
    check_parts("rl.method=dpo rl.reference=" AERIE_FIXTURES "/tiny");
}

static void damage_scores(const char *run) {
    char *path = in_run(run, "reference.h5");
    ASSERT_OK(ae_file_write(path, "no HDF5", 7));
    free(path);
}

Test(preferences, scores_that_cannot_be_read_are_made_again) {
    check_resume("rl.method=dpo", damage_scores);
}

static ino_t file_number(const char *path) {
    struct stat s;
    cr_assert_eq(stat(path, &s), 0, "%s: not there", path);
    return s.st_ino;
}

/* Scores of a start that came to no checkpoint serve the next one as they are; those of another temperature do
 * not fit, and a new file takes their place. */
Test(preferences, scores_are_kept_where_they_fit) {
    static const char keys[] = "rl.method=dpo train.batch_rows=4 train.steps=2 optim.lr=0";
    static const char *const more[] = {"", "rl.temperature=0.5"};
    char all[256];
    for (int i = 0; i < 2; i++) {
        char *from = in_run("first", "reference.h5"), *to = in_run("second", "reference.h5");
        snprintf(all, sizeof all, "%s %s", keys, more[i]);
        ASSERT_OK(tune("first", keys));
        ASSERT_OK(ae_folder_make(train_rig_path(&rig, "second")));
        const ino_t scores = file_number(from);
        cr_assert_eq(rename(from, to), 0);
        ASSERT_OK(tune("second", all));
        cr_assert(number("second", 0, "chosen_logratio") == 0);
        cr_assert_eq(file_number(to) == scores, i == 0);
        ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "first")));
        ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "second")));
        free(from);
        free(to);
    }
}

/* ---- references ---- */

/* Another reference gives other ratios, and the shape is its own. */
Test(preferences, a_reference_of_its_own) {
    ASSERT_OK(
        tune("run", "rl.method=dpo train.batch_rows=12 train.steps=1 rl.reference=" AERIE_FIXTURES "/tiny"));
    cr_assert(fabs(number("run", 0, "chosen_logratio")) > 0.01);
}

/* A run of adapters, merged with its base: at its end the policy is such a reference. */
Test(preferences, a_reference_with_adapters) {
    char keys[512];
    ASSERT_OK(tune("adapters", "rl.method=dpo train.batch_rows=12 train.steps=3 lora.rank=2 optim.lr=1e-2"));
    snprintf(keys, sizeof keys, "rl.method=dpo train.batch_rows=12 train.steps=1 rl.reference=%s",
             train_rig_path(&rig, "adapters"));
    ASSERT_OK(tune("run", keys));
    /* to there: what the run of adapters has gained so far, the other way round */
    cr_assert_lt(number("run", 0, "margin_mean"), -number("adapters", 2, "margin_mean"));
    cr_assert_lt(number("run", 0, "margin_mean"), -0.05);
}

Test(preferences, refuse_a_reference_that_does_not_fit) {
    char keys[1024];
    ASSERT_OK(train_rig_run(&rig, "small", ""));
    snprintf(keys, sizeof keys, "rl.method=dpo train.batch_rows=4 train.steps=1 rl.reference=%s",
             train_rig_path(&rig, "small"));
    ASSERT_FAILS(AE_ERR_INPUT, tune("a", keys));
    ASSERT_SAYS("expected the vocabulary of the model, 64, found 40");
    ASSERT_FAILS(AE_ERR_INPUT, tune("b", "rl.method=dpo train.steps=1 rl.reference=/nowhere"));
    ASSERT_SAYS("rl.reference");
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "b")));
}

/* A run whose reference has moved on meanwhile. */
Test(preferences, keep_their_reference) {
    char keys[1024];
    const char *steps =
        "rl.method=dpo train.batch_rows=4 train.steps=%d train.checkpoint_every=1 rl.reference=%s";
    ASSERT_OK(tune("reference", "rl.method=dpo train.batch_rows=4 train.steps=1"));
    snprintf(keys, sizeof keys, steps, 1, train_rig_path(&rig, "reference"));
    ASSERT_OK(tune("run", keys));
    ASSERT_OK(tune("reference", "rl.method=dpo train.batch_rows=4 train.steps=2"));
    snprintf(keys, sizeof keys, steps, 2, train_rig_path(&rig, "reference"));
    ASSERT_FAILS(AE_ERR_INPUT, tune("run", keys));
    ASSERT_SAYS("expected the reference that the run began with, found another model");
}

/* ---- what comes of it ---- */

Test(preferences, are_learnt) {
    static const char *const methods[] = {"dpo", "ipo", "kto"};
    for (int m = 0; m < 3; m++) {
        char keys[512];
        snprintf(keys, sizeof keys,
                 "rl.method=%s train.batch_rows=12 train.row_tokens=256 train.steps=20 optim.lr=3e-3 "
                 "data.heldout=%s",
                 methods[m], train_rig_path(&rig, "pairs.h5"));
        ASSERT_OK(tune(methods[m], keys));
        const size_t last = train_rig_metric_count(&rig, methods[m]) - 1;
        cr_assert_float_eq(number(methods[m], last, "eval_accuracy"), 1, 1e-12);
        cr_assert_lt(number(methods[m], last, "eval_accuracy_low"), 1);
        cr_assert_gt(number(methods[m], last, "eval_margin_mean"), 0);
        cr_assert_lt(number(methods[m], last, "eval_loss"), number(methods[m], 0, "loss"));
    }
}

/* The nll keeps the chosen answers likely. */
Test(preferences, nll_raises_the_chosen_answers) {
    static const char keys[] = "train.batch_rows=12 train.row_tokens=256 train.steps=10";
    char more[256];
    for (int weight = 0; weight <= 2; weight += 2) {
        snprintf(more, sizeof more, "rl.method=dpo dpo.nll=%d %s", weight, keys);
        ASSERT_OK(tune(weight ? "with" : "without", more));
    }
    cr_assert_gt(number("with", 9, "chosen_logratio"), number("without", 9, "chosen_logratio"));
}

/* ---- bad input ---- */

static void add_alike(ae_token_writer *w, const json_t *line) {
    int32_t ids[128];
    uint8_t mask[128];
    int64_t n = 0, prompt = 0;
    append_ids(json_object_get(line, "prompt_tokens"), ids, &n);
    prompt = n;
    append_ids(json_object_get(line, "chosen_tokens"), ids, &n);
    for (int64_t t = 0; t < n; t++) mask[t] = t >= prompt;
    for (int k = 0; k < 2; k++) ASSERT_OK(ae_token_writer_add(w, ids, mask, n, 0));
}

static void add_unmarked(ae_token_writer *w, const json_t *line) {
    static const char *const answers[] = {"chosen_tokens", "rejected_tokens"};
    for (int k = 0; k < 2; k++) {
        int32_t ids[128];
        uint8_t mask[128] = {0};
        int64_t n = 0;
        append_ids(json_object_get(line, "prompt_tokens"), ids, &n);
        append_ids(json_object_get(line, answers[k]), ids, &n);
        if (k == 0) mask[n - 1] = 1;
        ASSERT_OK(ae_token_writer_add(w, ids, mask, n, 0));
    }
}

Test(preferences, refuse_pairs_that_teach_nothing) {
    char keys[512];
    const char *path = train_rig_path(&rig, "bad.h5");
    snprintf(keys, sizeof keys, "rl.method=dpo train.batch_rows=4 train.steps=1 data.train=%s", path);
    tuning_set(path, AERIE_FIXTURES "/tuning/pairs.jsonl", add_alike);
    ASSERT_FAILS(AE_ERR_INPUT, tune("alike", keys));
    ASSERT_SAYS("expected chosen and rejected to differ, found the same");
    tuning_set(path, AERIE_FIXTURES "/tuning/pairs.jsonl", add_unmarked);
    ASSERT_FAILS(AE_ERR_INPUT, tune("unmarked", keys));
    ASSERT_SAYS("expected tokens that count in both answers, found none");
}

typedef struct {
    ae_status status;
    const char *keys, *says;
} fault;

Test(preferences, refuse_keys_by_their_names) {
    static const fault faults[] = {
        {AE_ERR_INPUT, "train.row_tokens=8", "pair 0: expected at most the 8 tokens of a row"},
        {AE_ERR_USAGE, "data.too_long=cut", "data.too_long: expected error or drop for pairs, found cut"},
        {AE_ERR_USAGE, "rl.rewards=[]", "rl.rewards: expected a method that writes answers"},
        {AE_ERR_USAGE, "rl.samples=4", "rl.samples: expected a method that writes answers"},
        {AE_ERR_USAGE, "rl.guard_kl=3", "rl.guard_kl"},
        {AE_ERR_USAGE, "rl.share_prompts=false", "rl.share_prompts: expected a method that writes answers"},
        {AE_ERR_USAGE, "kto.good=2", "kto.good: expected rl.method=kto beside it, found dpo"},
        {AE_ERR_USAGE, "rl.method=ipo dpo.smoothing=0.1", "dpo.smoothing: expected rl.method=dpo"},
        {AE_ERR_USAGE, "rl.method=kto dpo.nll=1", "dpo.nll"},
        {AE_ERR_USAGE, "model.base_dtype=int8", "model.base_dtype: expected lora.rank or an rl.reference"},
        {AE_ERR_USAGE, "rl.beta=0", "rl.beta: expected more than 0"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char keys[512];
        snprintf(keys, sizeof keys, "rl.method=dpo train.steps=1 %s", faults[i].keys);
        ASSERT_FAILS(faults[i].status, tune("run", keys));
        ASSERT_SAYS(faults[i].says);
    }
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "run")));
}

/* Its configuration does not say how prompts are read, which means nothing here. */
Test(preferences, a_run_older_than_a_key_goes_on) {
    static const char keys[] = "rl.method=dpo train.batch_rows=4 train.steps=";
    char more[128];
    for (int steps = 1; steps <= 3; steps++) {
        snprintf(more, sizeof more, "%s%d", keys, steps);
        ASSERT_OK(tune("old", more));
        if (steps == 1) tuning_forget(&rig, "old", 1, "rl", "share_prompts");
    }
    snprintf(more, sizeof more, "%s3", keys);
    ASSERT_OK(tune("new", more));
    train_rig_same_checkpoint(&rig, "old", "new", 3);
}

Test(preferences, a_dry_run_writes_nothing) {
    ASSERT_OK(tune_or_look("dry", "rl.method=dpo train.steps=1", true));
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "dry")));
}
