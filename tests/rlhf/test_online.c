#include "rlhf/online.h"
#include "tests/rlhf/online_rig.h"
#include "train/run_folder.h"

#include <math.h>
#include <stdlib.h>

/* Runs of reinforcement learning on a tiny model that is rewarded for the length of its answers. */

static train_rig rig;

static void open_rig(void) {
    online_rig_open(&rig);
}

static void close_rig(void) {
    train_rig_close(&rig);
}

TestSuite(online, .init = open_rig, .fini = close_rig, .timeout = 180);

/* Later words overrule earlier ones. */
static ae_status run_with(const char *name, const char *more, bool dry_run) {
    ae_rlhf_config c;
    online_rig_config(&rig, &c, name, more);
    const ae_status st = ae_online_train(&c, dry_run);
    ae_rlhf_config_free(&c);
    return st;
}

static ae_status train(const char *name, const char *more) {
    return run_with(name, more, false);
}

static double number(const char *run, size_t line, const char *name) {
    return tuning_number(&rig, run, line, name);
}

/* ---- the same bits ---- */

static void same_files(const char *a, const char *b, int64_t step) {
    static const char *const names[] = {"anchor.h5", "critic.h5", "answers.h5"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *x = NULL, *y = NULL, name[128];
        size_t n = 0, m = 0;
        snprintf(name, sizeof name, "checkpoints/step-%06d/%s", (int)step, names[i]);
        char *first = ae_path_join(train_rig_path(&rig, a), name),
             *other = ae_path_join(train_rig_path(&rig, b), name);
        cr_assert_eq(ae_path_exists(first), ae_path_exists(other), "%s", name);
        if (ae_path_exists(first)) {
            ASSERT_OK(ae_file_read(first, &x, &n));
            ASSERT_OK(ae_file_read(other, &y, &m));
            cr_assert(n == m && memcmp(x, y, n) == 0, "%s differs", name);
        }
        free(x);
        free(y);
        free(first);
        free(other);
    }
}

static bool has_file(const char *run, int64_t step, const char *file) {
    char name[64];
    snprintf(name, sizeof name, "%s/checkpoints/step-%06d", run, (int)step);
    return ae_path_has(train_rig_path(&rig, name), file);
}

static const char *const kinds[] = {
    "rl.method=reinforce rl.samples=2 rl.guard_length=2 rl.guard_action=slow",
    "rl.method=reinforce rl.samples=2 reinforce.baseline=running rl.kl_target=1 rl.kl_horizon=100",
    "rl.method=grpo rl.samples=2 rl.passes=3 rl.entropy_bonus=0.01",
    "rl.method=ppo rl.passes=2 rl.samples=2",
    "rl.method=jbond",
    "rl.method=jbond lora.rank=2 lora.also=norms",
    "rl.method=online_dpo rl.passes=2",
    "rl.method=warp warp.mu=0.1",
    "rl.method=grpo rl.samples=2 rl.passes=2 rl.rollout_dtype=int8 grpo.resample=true",
    "rl.method=grpo rl.samples=3 rl.passes=2 rl.share_prompts=false",
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Stops after 5 of 6 steps: of two or three passes over the same answers one is left. */
Test(online, a_run_that_goes_on_ends_with_the_same_bits) {
    for (int i = 0; i < KINDS; i++) {
        char keys[512], whole[32], parts[32];
        snprintf(whole, sizeof whole, "whole%d", i);
        snprintf(parts, sizeof parts, "parts%d", i);
        snprintf(keys, sizeof keys, "train.steps=6 %s", kinds[i]);
        ASSERT_OK(train(whole, keys));
        snprintf(keys, sizeof keys, "train.steps=5 %s", kinds[i]);
        ASSERT_OK(train(parts, keys));
        cr_assert_eq(has_file(parts, 5, "answers.h5"), strstr(kinds[i], "passes") != NULL, "%s", kinds[i]);
        snprintf(keys, sizeof keys, "train.steps=6 %s", kinds[i]);
        ASSERT_OK(train(parts, keys));
        train_rig_same_checkpoint(&rig, whole, parts, 6);
        train_rig_same_metrics(&rig, whole, parts);
        same_files(whole, parts, 6);
    }
}

/* Whether two files of checkpoints are the same. */
static bool same_bytes(const char *a, const char *b) {
    char *x = NULL, *y = NULL;
    size_t n = 0, m = 0;
    ASSERT_OK(ae_file_read(train_rig_path(&rig, a), &x, &n));
    ASSERT_OK(ae_file_read(train_rig_path(&rig, b), &y, &m));
    const bool same = n == m && memcmp(x, y, n) == 0;
    free(x);
    free(y);
    return same;
}

/* With eta 1 it is the policy after each step, with eta 0 the policy as it began. */
Test(online, an_anchor_follows_the_policy) {
    static const char *const adapters[] = {"", " lora.rank=2"};
    for (int i = 0; i < 2; i++) {
        char keys[256];
        snprintf(keys, sizeof keys, "rl.method=jbond train.steps=2 train.checkpoint_every=1 jbond.eta=1%s",
                 adapters[i]);
        ASSERT_OK(train("near", keys));
        snprintf(keys, sizeof keys, "rl.method=jbond train.steps=2 train.checkpoint_every=1 jbond.eta=0%s",
                 adapters[i]);
        ASSERT_OK(train("still", keys));
        static const char first[] = "near/checkpoints/step-000001/", last[] = "near/checkpoints/step-000002/";
        char anchor[64], policy[64], earlier[64];
        snprintf(anchor, sizeof anchor, "%sanchor.h5", last);
        snprintf(policy, sizeof policy, "%sweights.h5", last);
        snprintf(earlier, sizeof earlier, "%sanchor.h5", first);
        cr_assert(same_bytes(anchor, policy) && !same_bytes(anchor, earlier));
        cr_assert(
            same_bytes("still/checkpoints/step-000001/anchor.h5", "still/checkpoints/step-000002/anchor.h5"));
        cr_assert_not(same_bytes("still/checkpoints/step-000002/anchor.h5", policy));
        ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "near")));
        ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "still")));
    }
}

Test(online, threads_change_no_bit) {
    for (int i = 3; i < 6; i += 2) {
        char keys[512];
        snprintf(keys, sizeof keys, "train.steps=3 train.threads=1 %s", kinds[i]);
        ASSERT_OK(train("one", keys));
        snprintf(keys, sizeof keys, "train.steps=3 train.threads=3 %s", kinds[i]);
        ASSERT_OK(train("three", keys));
        train_rig_same_checkpoint(&rig, "one", "three", 3);
        same_files("one", "three", 3);
        ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "one")));
        ASSERT_OK(ae_folder_remove(train_rig_path(&rig, "three")));
    }
}

/* Gradients to 1e-6. The large optim.eps makes steps follow the gradient, not its signs. */
static void same_steps(const char *a, const char *b, double tolerance) {
    static const char *const names[] = {"reward_mean", "kl", "entropy", "loss", "grad_norm"};
    const double error = train_rig_gradient_difference(&rig, a, b);
    cr_assert(error < 1e-6, "%s: %g of the gradient's norm", b, error);
    for (size_t line = 0; line < 2; line++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            const double x = number(a, line, names[i]), y = number(b, line, names[i]);
            cr_assert_float_eq(x, y, tolerance * (1 + fabs(x)), "%s, step %zu: %s: %.9g and %.9g", b,
                               line + 1, names[i], x, y);
        }
}

/* Rows in memory at once: the same sums in another order. */
Test(online, micro_batches_change_rounding_alone) {
    for (int k = 0; k < KINDS; k++)
        for (int rows = 4; rows > 0; rows -= 3) {
            char keys[512], name[32], whole[32];
            snprintf(keys, sizeof keys,
                     "train.steps=2 train.checkpoint_every=1 optim.eps=1 optim.lr=0.1 rl.samples=3 %s "
                     "train.micro_rows=%d",
                     kinds[k], rows);
            snprintf(name, sizeof name, "kind%d-%d", k, rows);
            snprintf(whole, sizeof whole, "kind%d-4", k);
            ASSERT_OK(train(name, keys));
            if (rows < 4) same_steps(whole, name, 1e-6);
        }
}

/* A prompt once for its three answers, and once for each of them. */
Test(online, shared_prompts_change_rounding_alone) {
    static const char *const methods[] = {"reinforce", "grpo rl.kl=exact", "ppo", "online_dpo"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        char keys[256], shared[16], apart[16];
        snprintf(shared, sizeof shared, "shared%zu", i);
        snprintf(apart, sizeof apart, "apart%zu", i);
        for (int off = 0; off < 2; off++) {
            snprintf(keys, sizeof keys,
                     "train.steps=2 train.checkpoint_every=1 optim.eps=1 optim.lr=0.1 rl.samples=3 "
                     "rl.method=%s rl.share_prompts=%s",
                     methods[i], off ? "false" : "true");
            ASSERT_OK(train(off ? apart : shared, keys));
        }
        same_steps(shared, apart, 1e-5);
        for (size_t line = 0; line < 2; line++) {
            cr_assert_eq(number(shared, line, "length_mean"), number(apart, line, "length_mean"));
            cr_assert_lt(number(shared, line, "tokens"), number(apart, line, "tokens"));
        }
    }
}

/* It may say how its prompts are read, and goes on with the same bits where that is as it was. */
Test(online, a_run_older_than_a_key_goes_on) {
    static const char *const given[] = {"", " rl.share_prompts=false"};
    ASSERT_OK(train("whole", "rl.method=grpo rl.share_prompts=false train.steps=2"));
    for (int i = 0; i < 2; i++) {
        char keys[128], run[16];
        snprintf(run, sizeof run, "old%d", i);
        ASSERT_OK(train(run, "rl.method=grpo rl.share_prompts=false train.steps=1"));
        tuning_forget(&rig, run, 1, "rl", "share_prompts");
        snprintf(keys, sizeof keys, "rl.method=grpo train.steps=2%s", given[i]);
        ASSERT_OK(train(run, keys));
    }
    train_rig_same_checkpoint(&rig, "whole", "old1", 2);
}

/* ---- what a step does ---- */

Test(online, first_passes_have_ratios_of_exactly_1) {
    static const char *const adapters[] = {"", " lora.rank=2", " lora.rank=2 model.base_dtype=int8"};
    for (int i = 0; i < 3; i++) {
        char keys[256], run[16];
        snprintf(run, sizeof run, "run%d", i);
        snprintf(keys, sizeof keys, "rl.method=grpo rl.passes=2 train.steps=4%s", adapters[i]);
        ASSERT_OK(train(run, keys));
        cr_assert_eq(number(run, 0, "kl"), 0, "the policy begins as the reference");
        cr_assert_eq(number(run, 0, "ratio_mean"), 1);
        cr_assert_neq(number(run, 1, "ratio_mean"), 1);
        cr_assert_eq(number(run, 2, "ratio_mean"), 1);
        cr_assert(number(run, 1, "kl") > 0);
        cr_assert_eq(number(run, 0, "reward_mean"), number(run, 1, "reward_mean"), "the same answers");
        cr_assert_eq(number(run, 0, "reward_mean"), number(run, 0, "reward_length"));
        cr_assert_eq(number(run, 0, "length_mean"), number(run, 1, "length_mean"));
        cr_assert_neq(number(run, 1, "length_mean"), number(run, 2, "length_mean"));
    }
}

static double evaluated(const char *run, const char *name, bool last) {
    double value = NAN;
    for (size_t i = 0; i < train_rig_metric_count(&rig, run); i++) {
        json_t *m = train_rig_metric(&rig, run, i);
        const json_t *x = json_object_get(m, name);
        if (x && (last || isnan(value))) value = json_number_value(x);
        json_decref(m);
    }
    cr_assert(!isnan(value), "%s has no %s", run, name);
    return value;
}

Test(online, answers_become_better) {
    char keys[512];
    snprintf(keys, sizeof keys, "rl.method=reinforce train.steps=40 train.eval_every=2 data.heldout=%s",
             train_rig_path(&rig, "unseen.h5"));
    ASSERT_OK(train("run", keys));
    const double first = evaluated("run", "eval_reward", false), last = evaluated("run", "eval_reward", true);
    cr_assert(first < 0.25 && last > 0.4, "%g to %g", first, last);
    cr_assert(evaluated("run", "eval_kl", true) > 0.5);
    cr_assert(evaluated("run", "eval_length", true) < evaluated("run", "eval_length", false));
}

/* A teacher of another shape. */
Test(online, a_policy_comes_nearer_to_its_teacher) {
    char keys[512];
    snprintf(keys, sizeof keys,
             "rl.method=distill distill.teacher=" AERIE_FIXTURES "/attention rl.rewards= train.steps=30 "
             "train.eval_every=5 data.heldout=%s",
             train_rig_path(&rig, "unseen.h5"));
    ASSERT_OK(train("run", keys));
    const double first = evaluated("run", "eval_kl", false), last = evaluated("run", "eval_kl", true);
    cr_assert(first > 0 && last < 0.8 * first, "%g to %g", first, last);
}

/* One that is given, in the place of the policy's own beginning. */
Test(online, a_reference_of_its_own) {
    ASSERT_OK(train("own", "rl.reference=" AERIE_FIXTURES "/hawk train.steps=1"));
    cr_assert(number("own", 0, "kl") > 0.1);
    ASSERT_OK(train("adapters", "rl.reference=" AERIE_FIXTURES "/hawk train.steps=1 lora.rank=2"));
    cr_assert_float_eq(number("adapters", 0, "kl"), number("own", 0, "kl"), 1e-4);
    ASSERT_OK(train("rounded", "model.base_dtype=int8 train.steps=1"));
    const double kl = number("rounded", 0, "kl");
    cr_assert(kl > 0 && kl < 0.1, "the same reference in integers: %g", kl);
}

/* Evaluations draw the same numbers each time, and training does not. */
Test(online, evaluations_of_one_policy_are_the_same) {
    char keys[512];
    snprintf(keys, sizeof keys,
             "rl.method=reinforce train.steps=3 train.eval_every=1 optim.lr=0 data.heldout=%s",
             train_rig_path(&rig, "unseen.h5"));
    ASSERT_OK(train("run", keys));
    cr_assert_eq(evaluated("run", "eval_reward", false), evaluated("run", "eval_reward", true));
    cr_assert_eq(evaluated("run", "eval_length", false), evaluated("run", "eval_length", true));
    cr_assert_eq(evaluated("run", "eval_kl", true), 0);
    cr_assert_neq(number("run", 1, "entropy"), number("run", 3, "entropy"));
}

/* The step of each evaluation, -1 after the last. */
static void steps_evaluated(const char *run, int64_t *steps, size_t n) {
    size_t found = 0;
    for (size_t i = 0; i < train_rig_metric_count(&rig, run); i++) {
        json_t *m = train_rig_metric(&rig, run, i);
        if (json_object_get(m, "eval_reward") && found < n)
            steps[found++] = json_integer_value(json_object_get(m, "step"));
        json_decref(m);
    }
    while (found < n) steps[found++] = -1;
}

Test(online, a_run_knows_where_it_started) {
    char keys[512];
    int64_t steps[4];
    snprintf(keys, sizeof keys, "rl.method=reinforce train.steps=2 data.heldout=%s",
             train_rig_path(&rig, "unseen.h5"));
    ASSERT_OK(train("run", keys));
    ASSERT_OK(train("plain", "rl.method=reinforce train.steps=2"));
    steps_evaluated("run", steps, 4);
    cr_assert(steps[0] == 0 && steps[1] == 2 && steps[2] == -1);
    cr_assert_eq(evaluated("run", "eval_kl", false), 0);
    cr_assert(!has_file("run", 0, "state.json") && has_file("run", 2, "state.json"), "the start is kept");
    cr_assert_eq(tuning_number(&rig, "run", 2, "reward_mean"), number("plain", 1, "reward_mean"));
    snprintf(keys, sizeof keys, "rl.method=reinforce train.steps=3 data.heldout=%s",
             train_rig_path(&rig, "unseen.h5"));
    ASSERT_OK(train("run", keys));
    steps_evaluated("run", steps, 4);
    cr_assert(steps[0] == 0 && steps[1] == 2 && steps[2] == 3 && steps[3] == -1);
}

/* Without its lines, a run that goes on takes what is left, the start among them. */
Test(online, the_start_is_not_cut_off) {
    char keys[512], *text = NULL;
    size_t n = 0;
    int64_t steps[3];
    snprintf(keys, sizeof keys, "rl.method=reinforce train.steps=2 data.heldout=%s",
             train_rig_path(&rig, "unseen.h5"));
    ASSERT_OK(train("run", keys));
    char *path = ae_path_join(train_rig_path(&rig, "run"), "metrics.jsonl");
    ASSERT_OK(ae_file_read(path, &text, &n));
    const char *first = memchr(text, '\n', n),
               *second = memchr(first + 1, '\n', n - (size_t)(first + 1 - text));
    ASSERT_OK(ae_file_write(path, text, (size_t)(second + 1 - text)));
    snprintf(keys, sizeof keys, "rl.method=reinforce train.steps=3 data.heldout=%s",
             train_rig_path(&rig, "unseen.h5"));
    ASSERT_OK(train("run", keys));
    steps_evaluated("run", steps, 3);
    cr_assert(steps[0] == 0 && steps[1] == 3, "%lld, %lld", (long long)steps[0], (long long)steps[1]);
    free(text);
    free(path);
}

/* Sums over the lines of an evaluation. */
typedef struct {
    double n, reward, kl, tokens, truncated;
} line_sums;

static line_sums sums_of(const char *run, int step) {
    char name[64], *text = NULL;
    size_t size = 0;
    line_sums s = {0};
    snprintf(name, sizeof name, "evaluations/step-%06d.jsonl", step);
    char *path = ae_path_join(train_rig_path(&rig, run), name);
    ASSERT_OK(ae_file_read(path, &text, &size));
    for (char *at = text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        json_t *o = json_loadb(at, (size_t)(end - at), 0, NULL);
        const double reward = json_number_value(json_object_get(o, "reward"));
        cr_assert(json_is_null(json_object_get(o, "prompt")) && json_is_null(json_object_get(o, "answer")));
        cr_assert_eq(json_number_value(json_object_get(json_object_get(o, "rewards"), "length")), reward);
        s.n++;
        s.reward += reward;
        s.kl += json_number_value(json_object_get(o, "kl"));
        s.tokens += json_number_value(json_object_get(o, "tokens"));
        s.truncated += json_is_true(json_object_get(o, "truncated"));
        json_decref(o);
    }
    free(path);
    free(text);
    return s;
}

Test(online, an_evaluation_leaves_a_line_a_prompt) {
    char keys[512];
    snprintf(keys, sizeof keys, "rl.method=reinforce train.steps=3 data.heldout=%s",
             train_rig_path(&rig, "unseen.h5"));
    ASSERT_OK(train("run", keys));
    for (int last = 0; last < 2; last++) {
        const line_sums s = sums_of("run", last ? 3 : 0);
        cr_assert_eq(s.n, 8);
        cr_assert_float_eq(s.reward / 8, evaluated("run", "eval_reward", last), 1e-7);
        cr_assert_float_eq(s.kl / 8, evaluated("run", "eval_kl", last), 1e-7);
        cr_assert_float_eq(s.tokens / 8, evaluated("run", "eval_length", last), 1e-7);
        cr_assert_float_eq(s.truncated / 8, evaluated("run", "eval_truncated", last), 1e-7);
    }
}

Test(online, beta_follows_its_target) {
    ASSERT_OK(train("run", "rl.method=reinforce rl.samples=2 train.steps=3 rl.kl_target=1 rl.kl_horizon=80"));
    double beta = 0.05;
    for (size_t i = 0; i < 3; i++) {
        cr_assert_float_eq(number("run", i, "beta"), beta, 1e-9, "before step %zu", i + 1);
        const double off = number("run", i, "kl") - 1;
        beta *= 1 + fmin(fmax(off, -0.2), 0.2) * 8 / 80;
    }
}

/* Of answers that are cut all are left out. */
Test(online, masked_answers_teach_nothing) {
    ASSERT_FAILS(
        AE_ERR_GUARD,
        train("run", "rl.method=grpo rl.max_new=1 rl.truncated=mask train.steps=9 train.skip_limit=2"));
    ASSERT_SAYS(
        "none of its answers counts; rl.truncated=mask leaves out answers that are cut: raise rl.max_new");
    ASSERT_OK(train("kept", "rl.method=grpo rl.max_new=2 rl.truncated=penalise train.steps=1"));
    ASSERT_OK(train("plain", "rl.method=grpo rl.max_new=2 train.steps=1"));
    cr_assert_neq(number("kept", 0, "grad_norm"), number("plain", 0, "grad_norm"));
    cr_assert_eq(number("kept", 0, "reward_mean"), number("plain", 0, "reward_mean"));
}

/* ---- guards ---- */

Test(online, a_guard_stops_the_run_with_its_steps_saved) {
    static const char keys[] = "rl.method=reinforce train.steps=9 rl.guard_kl=0.3";
    ASSERT_FAILS(AE_ERR_GUARD, train("run", keys));
    ASSERT_SAYS("rl.guard_kl: step ");
    ASSERT_SAYS("above the bound of 0.3");
    char *checkpoint = NULL;
    ASSERT_OK(ae_checkpoint_newest_complete(&checkpoint, NULL, train_rig_path(&rig, "run")));
    cr_assert_not_null(checkpoint);
    free(checkpoint);
    ASSERT_FAILS(AE_ERR_GUARD, train("run", keys));
    ASSERT_OK(train("run", "rl.method=reinforce train.steps=9 rl.guard_kl=0"));
    ASSERT_OK(train("whole", "rl.method=reinforce train.steps=9"));
    train_rig_same_checkpoint(&rig, "whole", "run", 9);
}

/* Logits are NaN after the first update, and the second step cannot write its answers. */
Test(online, a_policy_that_overflows_stops_the_run_with_its_steps_saved) {
    int64_t step = 0;
    char *checkpoint = NULL;
    ASSERT_FAILS(AE_ERR_GUARD,
                 train("run", "rl.method=reinforce train.steps=9 optim.lr=100 optim.clip_norm=0"));
    ASSERT_SAYS("the policy's logits are NaN");
    ASSERT_OK(ae_checkpoint_newest_complete(&checkpoint, &step, train_rig_path(&rig, "run")));
    cr_assert_geq(step, 1);
    free(checkpoint);
}

Test(online, a_guard_slows_the_run) {
    ASSERT_OK(train("kl", "rl.method=reinforce train.steps=4 rl.guard_kl=0.01 rl.guard_action=slow"));
    cr_assert_eq(number("kl", 0, "beta"), 0.05);
    cr_assert_float_eq(number("kl", 3, "beta"), 0.075, 1e-9);
    ASSERT_OK(train("length", "rl.method=reinforce train.steps=3 rl.guard_length=2 rl.guard_action=slow"));
    cr_assert_float_eq(number("length", 0, "lr"), 1.5e-3, 1e-9);
    cr_assert_float_eq(number("length", 2, "lr"), 1.5e-3, 1e-9);
    ASSERT_FAILS(AE_ERR_GUARD, train("entropy", "rl.method=reinforce train.steps=3 rl.guard_entropy=9"));
    ASSERT_SAYS("rl.guard_entropy: step 1");
}

/* Answers that another copy wrote have no numbers of the one that writes now. */
Test(online, another_copy_begins_a_round) {
    ASSERT_OK(train("run", "rl.method=grpo rl.passes=2 train.steps=3"));
    ASSERT_OK(train("run", "rl.method=grpo rl.passes=2 train.steps=4 rl.rollout_dtype=int8 "
                           "run.override=rl.rollout_dtype"));
    cr_assert_eq(number("run", 3, "ratio_mean"), 1);
}

/* The first 8 answers have a reward whose gradient is no number. */
Test(online, a_step_that_is_left_out_leaves_no_mean) {
    static const char program[] = "#!/bin/sh\nn=0\nwhile read -r line; do\n"
                                  "  id=${line#*:} n=$((n + 1))\n"
                                  "  [ $n -le 8 ] && r=1e300 || r=1\n"
                                  "  echo \"{\\\"id\\\":${id%%,*},\\\"reward\\\":$r}\"\ndone\n";
    char keys[1024];
    const char *path = train_rig_path(&rig, "judge");
    ASSERT_OK(ae_file_write(path, program, strlen(program)));
    snprintf(keys, sizeof keys,
             "rl.method=reinforce reinforce.baseline=running rl.samples=2 train.steps=2 "
             "rl.rewards=[{\"kind\":\"program\",\"command\":[\"sh\",\"%s\"]}]",
             path);
    ASSERT_OK(train("run", keys));
    json_t *left_out = train_rig_metric(&rig, "run", 0), *next = train_rig_metric(&rig, "run", 1);
    cr_assert(json_is_true(json_object_get(left_out, "skipped")));
    cr_assert_null(json_object_get(next, "skipped"));
    cr_assert(json_is_number(json_object_get(next, "grad_norm")));
    json_decref(left_out);
    json_decref(next);
}

/* ---- bad input ---- */

typedef struct {
    ae_status st;
    const char *keys, *says;
} fault;

Test(online, faults_by_their_keys) {
    static const fault faults[] = {
        {AE_ERR_USAGE, "rl.rewards=", "rl.rewards: expected what answers are worth"},
        {AE_ERR_USAGE, "rl.samples=1", "rl.samples"},
        {AE_ERR_USAGE, "rl.method=best_of_n", "rl.method: expected reinforce"},
        {AE_ERR_USAGE, "rl.method=dpo", "found dpo"},
        {AE_ERR_INPUT, "train.row_tokens=15", "raise train.row_tokens to "},
        {AE_ERR_INPUT, "train.row_tokens=15", "prompt"},
        {AE_ERR_USAGE, "data.too_long=cut", "found cut"},
        {AE_ERR_RESOURCE, "train.memory_gb=0.001", "train.memory_gb"},
        {AE_ERR_INPUT, "rl.reference=nowhere", "rl.reference"},
        {AE_ERR_USAGE, "rl.rollout_dtype=int8 lora.rank=2 model.base_dtype=int8", "rl.rollout_dtype"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        ASSERT_FAILS(faults[i].st, train("run", faults[i].keys));
        ASSERT_SAYS(faults[i].says);
        cr_assert_not(ae_path_has(train_rig_path(&rig, "run"), "checkpoints"));
    }
    ASSERT_OK(train("dropped", "train.row_tokens=15 data.too_long=drop train.steps=1"));
    ASSERT_OK(run_with("dry", "", true));
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "dry")));
}

/* The reference of a run is the model that it began with. */
Test(online, another_reference_is_refused) {
    char keys[512];
    ASSERT_OK(train("base", "train.steps=1"));
    snprintf(keys, sizeof keys, "model.init=%s train.steps=2", train_rig_path(&rig, "base"));
    ASSERT_OK(train("run", keys));
    ASSERT_OK(train("base", "train.steps=2"));
    snprintf(keys, sizeof keys, "model.init=%s train.steps=3", train_rig_path(&rig, "base"));
    ASSERT_FAILS(AE_ERR_INPUT, train("run", keys));
    ASSERT_SAYS("expected the reference that the run was started with");
}

/* A reference of adapters has learnt since: the base is the same, the model is not. */
Test(online, other_adapters_are_another_reference) {
    char first[512], second[512];
    ASSERT_OK(train("adapters", "lora.rank=2 train.steps=1"));
    snprintf(first, sizeof first, "rl.reference=%s train.steps=1", train_rig_path(&rig, "adapters"));
    snprintf(second, sizeof second, "rl.reference=%s train.steps=2", train_rig_path(&rig, "adapters"));
    ASSERT_OK(train("run", first));
    ASSERT_OK(train("more", first));
    ASSERT_OK(train("more", second));
    ASSERT_OK(train("adapters", "lora.rank=2 train.steps=2"));
    ASSERT_FAILS(AE_ERR_INPUT, train("run", second));
    ASSERT_SAYS("rl.reference: expected the reference that the run was started with");
    snprintf(second, sizeof second, "rl.reference=%s/checkpoints/step-000001 train.steps=2",
             train_rig_path(&rig, "adapters"));
    ASSERT_OK(train("run", second));
    train_rig_same_checkpoint(&rig, "more", "run", 2);
}
