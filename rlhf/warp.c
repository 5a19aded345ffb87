#include "rlhf/warp.h"

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "rlhf/online.h"
#include "train/average.h"
#include "train/member_keys.h"
#include "train/rendered.h"
#include "train/run_folder.h"
#include "train/runs_folder.h"
#include "train/stop.h"

#include <stdlib.h>
#include <string.h>

enum { FRONTIER_STEPS = 5 }; /* e = 0, 1/5, ... 1 */

static const int64_t SEED_MAX = 9000000000000000; /* of run.seed */
static const char made_by[] = "aerie rlhf";

typedef struct {
    char *run;
    char *model; /* its last checkpoint, once it has trained */
    int64_t seed;
} member;

typedef struct {
    char *merged, *next;
    const char *start; /* of its members; borrowed */
    member members[AE_AVERAGE_MAX];
} warp_round;

typedef struct {
    ae_rlhf_config *config;
    bool dry_run;
    const char *dir; /* run.dir */
    char *rendered;  /* RUN/rendered; NULL: nothing is written */
    char *final, *point;
    warp_round *rounds;
    size_t n, n_members;
    ae_runs_folder folder; /* run.dir */
} warp;

/* ---- keys ---- */

/* run.seed, run.seed + 1, ...: each has to be one that a run may have. */
static ae_status check_seeds(const ae_rlhf_config *c) {
    const int64_t seed = c->tune.train.run.seed, runs = c->keys.warp.members * c->keys.warp.rounds;
    if (seed <= SEED_MAX - (runs - 1)) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "run.seed: expected at most %lld, so that the seeds of %lld runs are below %lld, found "
                   "%lld; give a smaller one",
                   (long long)(SEED_MAX - (runs - 1)), (long long)runs, (long long)SEED_MAX + 1,
                   (long long)seed);
}

static ae_status check_keys(const ae_rlhf_config *c) {
    if (c->tune.lora.rank > 0)
        return AE_FAIL(AE_ERR_USAGE,
                       "lora.rank: expected 0 with rl.method=warp, found %lld: the merge of adapters is not "
                       "that of the weights which they make; leave lora.rank out",
                       (long long)c->tune.lora.rank);
    return check_seeds(c);
}

/* ---- the folder ---- */

static bool begins(const char *name, const char *with) {
    return strncmp(name, with, strlen(with)) == 0;
}

static bool is_ours(const char *name) {
    static const char *const names[] = {"final", "final.part", "point", "point.part", "report.html"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return strcmp(name, ae_rendered_folder) == 0 || begins(name, "round-") || begins(name, "warp.json");
}

static char *numbered(const char *folder, const char *name, size_t number) {
    char text[64];
    snprintf(text, sizeof text, "%s-%zu", name, number);
    return ae_path_join(folder, text);
}

static void plan_round(warp *w, size_t r) {
    const ae_train_config *c = &w->config->tune.train;
    warp_round *of = &w->rounds[r];
    char *folder = numbered(w->dir, "round", r + 1);
    of->merged = ae_path_join(folder, "merged");
    of->next = ae_path_join(folder, "next");
    of->start = r > 0 ? w->rounds[r - 1].next : c->model.init;
    for (size_t m = 0; m < w->n_members; m++)
        of->members[m] = (member){.run = numbered(folder, "member", m + 1),
                                  .seed = c->run.seed + (int64_t)(r * w->n_members + m)};
    free(folder);
}

static ae_status plan_rounds(warp *w) {
    w->n = (size_t)w->config->keys.warp.rounds;
    w->n_members = (size_t)w->config->keys.warp.members;
    w->rounds = calloc(w->n, sizeof *w->rounds);
    if (!w->rounds) return AE_FAIL(AE_ERR_RESOURCE, "warp.rounds: out of memory");
    for (size_t r = 0; r < w->n; r++) plan_round(w, r);
    w->final = ae_path_join(w->dir, "final");
    w->point = ae_path_join(w->dir, "point");
    if (!w->dry_run) w->rendered = ae_path_join(w->dir, ae_rendered_folder);
    return AE_OK;
}

/* ---- runs ---- */

static const char *reference_of(const warp *w) {
    const char *given = w->config->keys.rl.reference;
    return given[0] ? given : w->config->tune.train.model.init;
}

/* A run below run.dir. What says how runs are merged is no part of it. */
static ae_status child_init(ae_rlhf_config *c, const warp *w, const char *run, const char *init) {
    ae_config *table = &c->tune.train.table;
    ae_status st;
    AE_TRY(ae_rlhf_config_init(c));
    const ae_warp_keys defaults = c->keys.warp;
    c->rendered = w->rendered;
    AE_TRY(ae_keys_copy(table, &w->config->tune.train.table));
    AE_TRY(ae_key_set_text(table, "run.dir", run));
    AE_TRY(ae_key_set_text(table, "model.init", init));
    AE_TRY(ae_key_set_text(table, "rl.reference", reference_of(w)));
    AE_TRY(ae_key_set_count(table, "warp.members", defaults.members));
    AE_TRY(ae_key_set_count(table, "warp.rounds", defaults.rounds));
    AE_TRY(ae_key_set_real(table, "warp.eta", defaults.eta));
out:
    return st;
}

/* A signal that came with the last step ended that run, not all of it. */
static ae_status check_stop(ae_status st) {
    if (st != AE_OK || !*ae_stop_asked()) return st;
    return AE_FAIL(AE_ERR_INTERRUPTED, "stopped between two runs; the same command goes on");
}

/* The checkpoint of a run that has done all of its steps. */
static ae_status find_last(member *of, int64_t steps, const char *why) {
    int64_t done = -1;
    const ae_status st = ae_checkpoint_newest_complete(&of->model, &done, of->run);
    if (st != AE_OK || done == steps) return st;
    return AE_FAIL(AE_ERR_USAGE, "train.steps: %s: expected %lld, %s, found %lld; choose another run.dir",
                   of->run, (long long)done, why, (long long)steps);
}

/* Of a round that is merged its keys are compared alone. */
static ae_status train_member(const warp *w, size_t r, size_t m, bool merged) {
    member *of = &w->rounds[r].members[m];
    ae_rlhf_config c = {0};
    ae_status st;
    AE_TRY(child_init(&c, w, of->run, w->rounds[r].start));
    AE_TRY(ae_key_set_count(&c.tune.train.table, "run.seed", of->seed));
    if (!merged)
        ae_log("round %zu of %zu, member %zu of %zu: from %s, seed %lld", r + 1, w->n, m + 1, w->n_members,
               w->rounds[r].start, (long long)of->seed);
    AE_TRY(check_stop(merged ? ae_online_check(&c) : ae_online_train(&c, w->dry_run)));
    if (!w->dry_run)
        AE_TRY(find_last(of, c.tune.train.train.steps,
                         merged ? "after which it was merged" : "which it has done"));
out:
    ae_rlhf_config_free(&c);
    return st;
}

/* ---- merges ---- */

static bool is_whole(const char *folder) {
    return ae_path_has(folder, "DONE");
}

static ae_status read_origin(json_t **origin, const char *folder) {
    char *path = ae_path_join(folder, "merge.json");
    const ae_status st = ae_json_load(origin, path);
    free(path);
    return st;
}

static ae_status check_members(const warp *w, const warp_round *of) {
    json_t *origin = NULL;
    const ae_status st = read_origin(&origin, of->merged);
    const size_t then = json_array_size(json_object_get(origin, "models"));
    json_decref(origin);
    if (st != AE_OK || then == w->n_members) return st;
    return AE_FAIL(AE_ERR_USAGE,
                   "warp.members: expected %zu, of which %s was made, found %zu; choose another run.dir",
                   then, of->merged, w->n_members);
}

static ae_status check_eta(const warp *w, const warp_round *of) {
    const double eta = w->config->keys.warp.eta;
    json_t *origin = NULL;
    double then = 0;
    ae_status st = read_origin(&origin, of->next);
    if (st == AE_OK) st = ae_json_real(origin, "amount", of->next, &then);
    json_decref(origin);
    if (st != AE_OK || then == eta) return st;
    return AE_FAIL(AE_ERR_USAGE,
                   "warp.eta: expected %g, with which %s was made, found %g; choose another run.dir", then,
                   of->next, eta);
}

static ae_status merge_members(const warp *w, const warp_round *of) {
    const char *models[AE_AVERAGE_MAX];
    for (size_t m = 0; m < w->n_members; m++) models[m] = of->members[m].model;
    return ae_merged_write(of->merged, &(ae_merged){.method = AE_MERGE_SLERP,
                                                    .models = models,
                                                    .n = w->n_members,
                                                    .base = of->start,
                                                    .amount = -1,
                                                    .made_by = made_by});
}

/* A part of the way from one model to another. */
static ae_status write_between(const char *to, const char *from, const char *towards, double part) {
    return ae_merged_write(to, &(ae_merged){.method = AE_MERGE_LERP,
                                            .models = &towards,
                                            .n = 1,
                                            .base = from,
                                            .amount = part,
                                            .made_by = made_by});
}

/* A round that was merged stays as it is. */
static ae_status check_merged(const warp *w, const warp_round *of) {
    ae_status st = AE_OK;
    if (is_whole(of->merged)) AE_TRY(check_members(w, of));
    if (is_whole(of->next)) AE_TRY(check_eta(w, of));
out:
    return st;
}

static ae_status train_round(const warp *w, size_t r) {
    const warp_round *of = &w->rounds[r];
    const bool merged = is_whole(of->merged);
    ae_status st;
    AE_TRY(check_merged(w, of));
    for (size_t m = 0; m < w->n_members; m++) AE_TRY(train_member(w, r, m, merged));
    if (!merged) AE_TRY(merge_members(w, of));
    if (!is_whole(of->next)) AE_TRY(write_between(of->next, of->start, of->merged, w->config->keys.warp.eta));
    if (!merged) ae_log("round %zu of %zu: merged into %s", r + 1, w->n, of->merged);
out:
    return st;
}

/* The same bits; an older one is of fewer rounds. */
static ae_status write_final(const warp *w) {
    const char *last = w->rounds[w->n - 1].merged;
    return ae_merged_write(
        w->final, &(ae_merged){.method = AE_MERGE_MEAN, .models = &last, .n = 1, .made_by = made_by});
}

/* ---- the frontier ---- */

/* The law of all of them is that of the runs; who teaches them is no matter. */
static ae_status judge(const warp *w, const char *model, json_t **figures) {
    ae_rlhf_config c = {0};
    ae_config *table = &c.tune.train.table;
    ae_status st;
    AE_TRY(child_init(&c, w, w->point, model));
    AE_TRY(ae_key_set_text(table, "rl.method", "reinforce"));
    AE_TRY(ae_key_set_text(table, "reinforce.baseline", "batch"));
    AE_TRY(ae_key_set_count(table, "rl.samples", 1));
    AE_TRY(ae_key_set_real(table, "rl.temperature", w->config->keys.rl.temperature));
    AE_TRY(ae_key_set_real(table, "train.epochs", 0));
    AE_TRY(ae_key_set_count(table, "train.steps", 1));
    AE_TRY(check_stop(ae_online_judge(&c, figures)));
out:
    ae_rlhf_config_free(&c);
    return st;
}

/* theta_sft + e (theta_last - theta_sft); both ends as they are. */
static ae_status judge_point(const warp *w, double e, json_t **figures) {
    const char *sft = w->config->tune.train.model.init;
    ae_status st;
    if (e == 0) return judge(w, sft, figures);
    if (e == 1) return judge(w, w->final, figures);
    st = write_between(w->point, sft, w->final, e);
    if (st == AE_OK) st = judge(w, w->point, figures);
    if (ae_path_exists(w->point)) ae_folder_remove(w->point);
    return st;
}

/* The numbers of an evaluation, without the "eval_" before their names. */
static json_t *row_of(double e, const json_t *figures) {
    json_t *row = json_pack("{s:f}", "e", e), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)figures, name, value)
        json_object_set(row, name + (begins(name, "eval_") ? strlen("eval_") : 0), value);
    return row;
}

static ae_status measure_frontier(const warp *w, json_t *frontier) {
    if (!w->config->tune.train.data.heldout[0]) {
        ae_warn("data.heldout: not given, so that nothing says what the frontier is");
        return AE_OK;
    }
    for (int i = 0; i <= FRONTIER_STEPS; i++) {
        const double e = (double)i / FRONTIER_STEPS;
        json_t *figures = NULL;
        const ae_status st = judge_point(w, e, &figures);
        if (st == AE_OK) json_array_append_new(frontier, row_of(e, figures));
        json_decref(figures);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

/* ---- the whole ---- */

static json_t *round_json(const warp *w, size_t r) {
    const warp_round *of = &w->rounds[r];
    json_t *members = json_array();
    for (size_t m = 0; m < w->n_members; m++)
        json_array_append_new(members,
                              json_pack("{s:s, s:I, s:s}", "run", of->members[m].run, "seed",
                                        (json_int_t)of->members[m].seed, "model", of->members[m].model));
    return json_pack("{s:I, s:s, s:o, s:s, s:s}", "round", (json_int_t)r + 1, "start", of->start, "members",
                     members, "merged", of->merged, "next", of->next);
}

static ae_status make_table(const warp *w, json_t **table) {
    json_t *rounds = json_array(), *frontier = json_array();
    const ae_status st = measure_frontier(w, frontier);
    for (size_t r = 0; r < w->n; r++) json_array_append_new(rounds, round_json(w, r));
    *table = json_pack("{s:s, s:s, s:s, s:o, s:o}", "sft", w->config->tune.train.model.init, "reference",
                       reference_of(w), "final", w->final, "rounds", rounds, "frontier", frontier);
    return st;
}

static void forget(warp *w) {
    for (size_t r = 0; w->rounds && r < w->n; r++) {
        free(w->rounds[r].merged);
        free(w->rounds[r].next);
        for (size_t m = 0; m < w->n_members; m++) {
            free(w->rounds[r].members[m].run);
            free(w->rounds[r].members[m].model);
        }
    }
    free(w->rounds);
    free(w->rendered);
    free(w->final);
    free(w->point);
}

/* Members differ in their seeds and where they start, so one of them stands for all. */
static ae_status tell_plan(const warp *w) {
    const ae_status st = train_member(w, 0, 0, false);
    if (st == AE_OK)
        ae_log("%zu round%s of %zu such runs, one after another", w->n, ae_plural((int64_t)w->n),
               w->n_members);
    return st;
}

ae_status ae_warp(ae_rlhf_config *config, bool dry_run, json_t **table) {
    warp w = {.config = config, .dry_run = dry_run, .dir = config->tune.train.run.dir};
    ae_status st;
    *table = NULL;
    AE_TRY(ae_rlhf_config_defaults(config));
    AE_TRY(ae_rlhf_config_check(config));
    AE_TRY(check_keys(config));
    AE_TRY(plan_rounds(&w));
    AE_TRY(ae_runs_folder_take(&w.folder, w.dir, is_ours, "rl.method=warp", dry_run));
    if (dry_run) {
        st = tell_plan(&w);
        goto out;
    }
    for (size_t r = 0; r < w.n; r++) AE_TRY(train_round(&w, r));
    AE_TRY(write_final(&w));
    AE_TRY(make_table(&w, table));
    AE_TRY(ae_json_write_file(*table, w.dir, "warp.json"));
    ae_log("final: %s", w.final);
out:
    ae_runs_folder_leave(&w.folder, st);
    forget(&w);
    return st;
}
