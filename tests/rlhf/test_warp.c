#include "core/json.h"
#include "exchange/merge.h"
#include "formats/tensors.h"
#include "model/params.h"
#include "rlhf/warp.h"
#include "tests/rlhf/online_rig.h"
#include "train/run_folder.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Rounds of runs on a tiny model that is rewarded for the length of its answers. */

static train_rig rig;

static void open_rig(void) {
    online_rig_open(&rig);
}

static void close_rig(void) {
    train_rig_close(&rig);
}

TestSuite(warp, .init = open_rig, .fini = close_rig, .timeout = 240);

/* *table may be NULL. */
static ae_status run_with(const char *name, const char *more, bool dry_run, json_t **table) {
    ae_rlhf_config c;
    json_t *made = NULL;
    char keys[1024];
    snprintf(keys, sizeof keys, "rl.method=warp train.steps=4 warp.rounds=2 rl.samples=4 data.heldout=%s %s",
             train_rig_path(&rig, "unseen.h5"), more);
    online_rig_config(&rig, &c, name, keys);
    const ae_status st = ae_warp(&c, dry_run, &made);
    ae_rlhf_config_free(&c);
    if (table)
        *table = made;
    else
        json_decref(made);
    return st;
}

static ae_status train(const char *name, const char *more) {
    return run_with(name, more, false, NULL);
}

/* ---- weights ---- */

static const char tiny[] = AERIE_FIXTURES "/tiny";

/* Of a model, or of what ae_model_merge wrote. */
static char *tensors_of(const char *path) {
    ae_model_source s;
    if (ae_path_has(path, "model.safetensors")) return ae_path_join("", path);
    ASSERT_OK(ae_run_source_open(&s, path));
    char *tensors = ae_path_join("", s.tensors);
    ae_model_source_free(&s);
    return tensors;
}

static float *read_model(const char *path, int64_t *total) {
    ae_model_source s;
    ae_params p;
    ae_tensors *t = NULL;
    char *tensors = tensors_of(path);
    ASSERT_OK(ae_run_source_open(&s, tiny));
    ASSERT_OK(ae_params_init(&p, &s.config));
    ASSERT_OK(ae_tensors_open(&t, tensors));
    *total = 0;
    for (ptrdiff_t i = 0; i < p.n; i++) *total += p.items[i].n;
    float *values = malloc((size_t)*total * sizeof *values), *at = values;
    for (ptrdiff_t i = 0; i < p.n; at += p.items[i++].n)
        ASSERT_OK(ae_tensors_read(t, p.items[i].name, p.items[i].rank, p.items[i].shape, at));
    ae_tensors_close(t);
    ae_params_free(&p);
    ae_model_source_free(&s);
    free(tensors);
    return values;
}

static void same_model(const char *a, const char *b) {
    int64_t n, m;
    float *x = read_model(a, &n), *y = read_model(b, &m);
    cr_assert(n == m && memcmp(x, y, (size_t)n * sizeof *x) == 0, "%s and %s differ", a, b);
    free(x);
    free(y);
}

static void same_paths(const char *run, const char *other, const char *name) {
    char *a = ae_path_join(train_rig_path(&rig, run), name),
         *b = ae_path_join(train_rig_path(&rig, other), name);
    same_model(a, b);
    free(a);
    free(b);
}

/* What aerie merge writes. */
static void merge(const char *to, ae_merge_method method, double amount, const char *base,
                  const char *const *models, size_t n) {
    ae_model_source shape;
    char *tensors[3] = {NULL}, *of_base = tensors_of(base);
    for (size_t k = 0; k < n; k++) tensors[k] = tensors_of(models[k]);
    ASSERT_OK(ae_run_source_open(&shape, tiny));
    ASSERT_OK(ae_folder_make(to));
    ASSERT_OK(ae_model_merge(to, &(ae_merge_request){.method = method,
                                                     .config = &shape.config,
                                                     .models = (const char *const *)tensors,
                                                     .n = n,
                                                     .base = of_base,
                                                     .amount = amount}));
    ae_model_source_free(&shape);
    for (size_t k = 0; k < n; k++) free(tensors[k]);
    free(of_base);
}

/* ---- rounds ---- */

Test(warp, rounds_are_what_aerie_merge_makes_of_their_members) {
    ASSERT_OK(train("run", ""));
    for (int r = 1; r <= 2; r++) {
        char members[2][320], merged[320], next[320], base[320], by_hand[64], moved[64];
        snprintf(base, sizeof base, "%s", r == 1 ? tiny : train_rig_path(&rig, "run/round-1/next"));
        for (int m = 0; m < 2; m++)
            snprintf(members[m], sizeof members[m], "%s/round-%d/member-%d", train_rig_path(&rig, "run"), r,
                     m + 1);
        snprintf(merged, sizeof merged, "%s/round-%d/merged", train_rig_path(&rig, "run"), r);
        snprintf(next, sizeof next, "%s/round-%d/next", train_rig_path(&rig, "run"), r);
        snprintf(by_hand, sizeof by_hand, "by-hand-%d", r);
        snprintf(moved, sizeof moved, "moved-%d", r);
        merge(train_rig_path(&rig, by_hand), AE_MERGE_SLERP, -1, base,
              (const char *const[]){members[0], members[1]}, 2);
        same_model(merged, train_rig_path(&rig, by_hand));
        merge(train_rig_path(&rig, moved), AE_MERGE_LERP, 0.3, base, (const char *const[]){merged}, 1);
        same_model(next, train_rig_path(&rig, moved));
    }
    same_model(train_rig_path(&rig, "run/final"), train_rig_path(&rig, "run/round-2/merged"));
    same_model(train_rig_path(&rig, "run"), train_rig_path(&rig, "run/final"));
}

/* Other orders of prompts; the anchor is what holds them. */
Test(warp, members_are_runs_of_their_own) {
    ASSERT_OK(train("run", "warp.rounds=1 warp.mu=0.2 data.heldout="));
    ASSERT_OK(train("free", "warp.rounds=1 warp.mu=1 data.heldout="));
    cr_assert_neq(tuning_number(&rig, "run/round-1/member-1", 0, "entropy"),
                  tuning_number(&rig, "run/round-1/member-2", 0, "entropy"));
    cr_assert_eq(tuning_number(&rig, "run/round-1/member-1", 0, "kl"), 0, "all begin as the reference");
    cr_assert(tuning_number(&rig, "run/round-1/member-1", 3, "kl") > 0);
    cr_assert_eq(tuning_number(&rig, "run/round-1/member-1", 0, "beta"), 0.1);
    cr_assert_neq(tuning_number(&rig, "run/round-1/member-1", 3, "grad_norm"),
                  tuning_number(&rig, "free/round-1/member-1", 3, "grad_norm"));
}

/* ---- the same bits ---- */

static void wait_for(const char *path, pid_t child) {
    int status;
    while (!ae_path_exists(path) && waitpid(child, &status, WNOHANG) == 0) usleep(200);
}

/* Kills at once what trains into `name`, when `path` is there. */
static void kill_at(const char *name, const char *path) {
    const pid_t child = fork();
    if (child == 0) _exit(train(name, "train.checkpoint_every=1"));
    wait_for(path, child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_assert(ae_path_exists(path), "%s", path);
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "parts/warp.json")), "it was not killed in time");
}

Test(warp, killed_rounds_go_on_with_the_same_bits) {
    static const char *const names[] = {
        "round-1/member-2", "round-1/merged", "round-1/next", "round-2/member-1",
        "round-2/member-2", "round-2/merged", "final"};
    ASSERT_OK(train("whole", "train.checkpoint_every=1"));
    kill_at("parts", train_rig_path(&rig, "parts/round-1/member-2/checkpoints/step-000002"));
    kill_at("parts", train_rig_path(&rig, "parts/round-2/member-1/checkpoints/step-000001"));
    ASSERT_OK(train("parts", "train.checkpoint_every=1"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) same_paths("whole", "parts", names[i]);
    train_rig_same_checkpoint(&rig, "whole/round-2/member-2", "parts/round-2/member-2", 4);
}

Test(warp, further_rounds_join_and_other_keys_do_not) {
    static const struct {
        const char *keys, *says;
    } faults[] = {{"train.steps=5", "train.steps: "},
                  {"train.steps=5", "after which it was merged"},
                  {"warp.eta=0.5", "warp.eta: expected 0.3"},
                  {"warp.members=3", "warp.members: expected 2"},
                  {"warp.mu=0.02", "warp.mu"},
                  {"lora.rank=2", "lora.rank: expected 0"},
                  {"rl.kl=exact", "rl.kl: expected reward"},
                  {"run.seed=8999999999999999", "run.seed"}};
    ASSERT_OK(train("whole", ""));
    ASSERT_OK(train("run", "warp.rounds=1"));
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const ae_status st = train("run", faults[i].keys);
        cr_assert_eq(st, AE_ERR_USAGE, "%s: %d: %s", faults[i].keys, (int)st, ae_error_message());
        ASSERT_SAYS(faults[i].says);
    }
    ASSERT_OK(train("run", ""));
    same_paths("whole", "run", "final");
}

Test(warp, a_dry_run_writes_nothing) {
    ASSERT_OK(run_with("dry", "", true, NULL));
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "dry")));
    ASSERT_OK(ae_folder_make(train_rig_path(&rig, "taken/other")));
    ASSERT_FAILS(AE_ERR_USAGE, train("taken", ""));
    ASSERT_SAYS("found other in it");
}

/* ---- the frontier ---- */

static double at(const json_t *table, size_t i, const char *name) {
    return json_number_value(json_object_get(json_array_get(json_object_get(table, "frontier"), i), name));
}

/* Divergence grows with the square of the way, reward at first with the way itself. */
Test(warp, on_the_way_back_the_divergence_stays_under_the_straight_line) {
    enum { POINTS = 6 };
    json_t *table = NULL, *read = NULL;
    char keys[512];
    online_rig_prompts(&rig, "many.h5", 64, 3);
    snprintf(keys, sizeof keys,
             "train.steps=12 optim.lr=1e-3 warp.rounds=1 rl.eval_prompts=64 data.heldout=%s",
             train_rig_path(&rig, "many.h5"));
    ASSERT_OK(run_with("run", keys, false, &table));
    cr_assert_eq(json_array_size(json_object_get(table, "frontier")), POINTS);
    cr_assert_eq(at(table, 0, "kl"), 0, "the start itself, to the bit");
    const double end = at(table, POINTS - 1, "kl");
    cr_assert(end > 0.2, "%g nats", end);
    for (size_t i = 0; i < POINTS; i++) {
        const double e = at(table, i, "e");
        cr_assert_float_eq(e, (double)i / (POINTS - 1), 1e-12);
        cr_assert_eq(at(table, i, "answers"), 64);
        if (i > 0 && i < POINTS - 1)
            cr_assert(at(table, i, "kl") > 0 && at(table, i, "kl") < e * end, "e %g: %g of %g nats", e,
                      at(table, i, "kl"), end);
    }
    cr_assert(at(table, POINTS - 1, "reward") > at(table, 0, "reward"));
    ASSERT_OK(ae_json_load(&read, train_rig_path(&rig, "run/warp.json")));
    cr_assert_eq(at(read, POINTS - 1, "kl"), end);
    json_decref(read);
    json_decref(table);
    cr_assert_not(ae_path_exists(train_rig_path(&rig, "run/point")));
}
