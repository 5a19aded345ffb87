#include "train/warm.h"

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "train/average.h"
#include "train/member_keys.h"
#include "train/rendered.h"
#include "train/run_folder.h"
#include "train/runs_folder.h"
#include "train/stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS_MAX = AE_AVERAGE_MAX };

static const int64_t SEED_MAX = 9000000000000000; /* of run.seed */

typedef struct {
    char *run, *init; /* owned */
    char *model;      /* owned: the checkpoint that counts, once it has trained */
    bool averaged;
    double lr;
    int64_t seed;
    ae_reward_figures figures; /* without pairs where nothing is held out */
} member;

typedef struct {
    ae_reward_config *config;
    bool dry_run;
    const char *dir; /* run.dir */
    char *head;      /* RUN/head */
    char *average;   /* RUN/average */
    char *rendered;  /* RUN/rendered; NULL: nothing is written */
    member members[MEMBERS_MAX];
    size_t n;
    ae_reward_figures figures; /* of the average */
    ae_runs_folder folder;     /* run.dir */
} warm;

/* ---- keys ---- */

/* run.seed, run.seed + 1, ...: each has to be one that a run may have. */
static ae_status check_seeds(const ae_reward_config *c) {
    const int64_t seed = c->tune.train.run.seed, members = c->reward.members;
    if (seed <= SEED_MAX - (members - 1)) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "run.seed: expected at most %lld, so that the seeds of %lld members are below %lld, found "
                   "%lld; give a smaller one",
                   (long long)(SEED_MAX - (members - 1)), (long long)members, (long long)SEED_MAX + 1,
                   (long long)seed);
}

static ae_status check_average(const ae_reward_config *c) {
    const int64_t average = c->reward.average, members = c->reward.members;
    if (average > members)
        return AE_FAIL(
            AE_ERR_USAGE,
            "reward.average: expected at most reward.members, %lld, found %lld; give a smaller one",
            (long long)members, (long long)average);
    if (average > 0 && average < members && !c->tune.train.data.heldout[0])
        return AE_FAIL(AE_ERR_USAGE,
                       "reward.average: expected data.heldout, which says what members are best, found none; "
                       "give it, or leave reward.average out");
    return AE_OK;
}

static ae_status check_keys(const ae_reward_config *c) {
    ae_status st = AE_OK;
    if (c->tune.lora.rank > 0)
        return AE_FAIL(
            AE_ERR_USAGE,
            "lora.rank: expected 0 with reward.members above 1, found %lld: the average of adapters "
            "is not that of the weights which they make; leave lora.rank out",
            (long long)c->tune.lora.rank);
    if (c->reward.head[0])
        return AE_FAIL(AE_ERR_USAGE,
                       "reward.head: expected none with reward.members above 1, which train a "
                       "head of their own, found %s; leave it out",
                       c->reward.head);
    AE_TRY(check_average(c));
    AE_TRY(check_seeds(c));
out:
    return st;
}

/* The next of the paths in "a, b"; *at moves on, and is NULL behind the last. */
static char *next_path(const char **at) {
    const char *begin = *at + strspn(*at, " "), *comma = strchr(begin, ',');
    size_t n = comma ? (size_t)(comma - begin) : strlen(begin);
    *at = comma ? comma + 1 : NULL;
    while (n > 0 && begin[n - 1] == ' ') n--;
    return strndup(begin, n);
}

static size_t count_paths(const char *list) {
    size_t n = list[0] != '\0';
    for (; *list; list++) n += *list == ',';
    return n;
}

/* In turn. */
static ae_status set_inits(warm *w) {
    const char *list = w->config->reward.member_inits, *at = list;
    if (count_paths(list) > w->n)
        return AE_FAIL(AE_ERR_USAGE,
                       "reward.member_inits: expected at most one for each of the %zu members, found %zu: %s",
                       w->n, count_paths(list), list);
    for (size_t m = 0; m < w->n; m++) {
        char *init = list[0] ? next_path(&at) : strdup(w->config->tune.train.model.init);
        w->members[m].init = init;
        if (!init) return AE_FAIL(AE_ERR_RESOURCE, "reward.member_inits: out of memory");
        if (!init[0])
            return AE_FAIL(AE_ERR_USAGE, "reward.member_inits: expected PATH,PATH, found \"%s\"", list);
        if (!at) at = list;
    }
    return AE_OK;
}

static ae_status plan_members(warm *w) {
    static const double rates[] = {1, 4, 10};
    const ae_train_config *c = &w->config->tune.train;
    char *folder = ae_path_join(w->dir, "members"), name[32];
    w->n = (size_t)w->config->reward.members;
    for (size_t m = 0; m < w->n; m++) {
        snprintf(name, sizeof name, "%zu", m + 1);
        w->members[m] = (member){.run = ae_path_join(folder, name),
                                 .lr = c->optim.lr * rates[m % 3],
                                 .seed = c->run.seed + (int64_t)m};
    }
    free(folder);
    return set_inits(w);
}

/* Before hours of training: models of one shape. The runs look at the rest. */
static ae_status check_inits(const warm *w) {
    ae_model_source first = {0}, other = {0};
    ae_status st = ae_run_source_open(&first, w->config->tune.train.model.init);
    for (size_t m = 0; m < w->n && st == AE_OK; m++) {
        st = ae_run_source_open(&other, w->members[m].init);
        if (st == AE_OK) st = ae_model_config_agree(&other.config, other.folder, &first.config, first.folder);
        ae_model_source_free(&other);
    }
    ae_model_source_free(&first);
    return st;
}

/* ---- the folder ---- */

static bool is_ours(const char *name) {
    static const char *const names[] = {"head",         "members",      "average",
                                        "average.part", "members.json", "report.html"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return strcmp(name, ae_rendered_folder) == 0 || strncmp(name, "members.json.", 13) == 0;
}

/* ---- runs ---- */

/* A run below run.dir. */
static ae_status child_init(ae_reward_config *c, const warm *w, const char *run, const char *init,
                            double lr) {
    ae_config *table = &c->tune.train.table;
    ae_status st;
    AE_TRY(ae_reward_config_init(c));
    const int64_t head_steps = c->reward.head_steps; /* the default */
    c->rendered = w->rendered;
    AE_TRY(ae_keys_copy(table, &w->config->tune.train.table));
    AE_TRY(ae_key_set_text(table, "run.dir", run));
    AE_TRY(ae_key_set_text(table, "model.init", init));
    AE_TRY(ae_key_set_real(table, "optim.lr", lr));
    AE_TRY(ae_key_set_count(table, "reward.members", 1));
    AE_TRY(ae_key_set_text(table, "reward.member_inits", ""));
    AE_TRY(ae_key_set_count(table, "reward.head_steps", head_steps));
    AE_TRY(ae_key_set_count(table, "reward.average", 0));
out:
    return st;
}

/* A signal that came with the last step ended that run, not all of it. */
static ae_status check_stop(ae_status st) {
    if (st != AE_OK || !*ae_stop_asked()) return st;
    return AE_FAIL(AE_ERR_INTERRUPTED, "stopped between two runs; the same command goes on");
}

/* Members that are there began with the head as it is: it does not train on beside them. */
static ae_status check_head_steps(const warm *w) {
    char *newest = NULL;
    int64_t done = -1, wanted = w->config->reward.head_steps;
    ae_status st = ae_checkpoint_newest_complete(&newest, &done, w->head);
    if (st == AE_OK && newest && done < wanted && ae_path_exists(w->members[0].run))
        st = AE_FAIL(
            AE_ERR_USAGE,
            "reward.head_steps: expected %lld, after which the members in %s began, found %lld; choose "
            "another run.dir for another head",
            (long long)done, w->dir, (long long)wanted);
    free(newest);
    return st;
}

/* A linear head on features that stand still takes the highest of the rates, and no warm-up. */
static ae_status train_head(const warm *w) {
    ae_reward_config c = {0};
    const ae_train_config *all = &w->config->tune.train;
    ae_status st;
    AE_TRY(check_head_steps(w));
    AE_TRY(child_init(&c, w, w->head, all->model.init, 10 * all->optim.lr));
    AE_TRY(ae_key_set_real(&c.tune.train.table, "train.epochs", 0));
    AE_TRY(ae_key_set_count(&c.tune.train.table, "train.steps", w->config->reward.head_steps));
    AE_TRY(ae_key_set_count(&c.tune.train.table, "optim.warmup_steps", 0));
    AE_TRY(ae_key_set_count(&c.tune.train.table, "optim.decay_steps", 0));
    AE_TRY(ae_key_set_text(&c.tune.train.table, "optim.schedule", "constant"));
    ae_log("head: %lld steps alone, rate %.3g", (long long)c.tune.train.train.steps, c.tune.train.optim.lr);
    st = check_stop(ae_reward_head(&c, w->dry_run));
out:
    ae_tune_config_free(&c.tune);
    return st;
}

static ae_status train_member(const warm *w, size_t m) {
    const member *of = &w->members[m];
    ae_reward_config c = {0};
    ae_status st;
    AE_TRY(child_init(&c, w, of->run, of->init, of->lr));
    AE_TRY(ae_key_set_count(&c.tune.train.table, "run.seed", of->seed));
    AE_TRY(ae_key_set_text(&c.tune.train.table, "reward.head", w->head));
    ae_log("member %zu of %zu: from %s, rate %.3g, seed %lld", m + 1, w->n, of->init, of->lr,
           (long long)of->seed);
    st = check_stop(ae_reward(&c, w->dry_run));
out:
    ae_tune_config_free(&c.tune);
    return st;
}

/* ---- figures ---- */

/* What decides how a run trains says nothing here; of the data only data.heldout is read, or data.train where
 * nothing is held out. */
static ae_status judge(const warm *w, const char *model, ae_reward_figures *f) {
    ae_reward_config c = {0};
    ae_status st = AE_OK;
    const char *heldout = w->config->tune.train.data.heldout;
    AE_TRY(child_init(&c, w, w->average, model, w->config->tune.train.optim.lr));
    if (heldout[0]) AE_TRY(ae_key_set_text(&c.tune.train.table, "data.train", heldout));
    AE_TRY(ae_key_set_real(&c.tune.train.table, "train.epochs", 0));
    c.tune.train.train.steps = 1;
    st = check_stop(ae_reward_judge(&c, f));
out:
    ae_tune_config_free(&c.tune);
    return st;
}

static double agreement(const ae_reward_figures *a, const ae_reward_figures *b) {
    int64_t same = 0;
    for (int64_t i = 0; i < a->pairs; i++) same += a->preferred[i] == b->preferred[i];
    return (double)same / (double)a->pairs;
}

/* With the members but for `self`. */
static double mean_agreement(const warm *w, const ae_reward_figures *f, const member *self) {
    double sum = 0;
    size_t n = 0;
    for (size_t m = 0; m < w->n; m++) {
        if (&w->members[m] == self) continue;
        sum += agreement(f, &w->members[m].figures);
        n++;
    }
    return sum / (double)n;
}

static void add_figures(json_t *row, const warm *w, const ae_reward_figures *f, const member *self) {
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"accuracy", f->accuracy},
                   {"accuracy_low", f->low},
                   {"accuracy_high", f->high},
                   {"loss", f->loss},
                   {"margin_mean", f->margin_mean},
                   {"reward_mean", f->reward_mean},
                   {"reward_std", f->reward_std},
                   {"calibration_error", f->calibration_error},
                   {"agreement", f->pairs ? mean_agreement(w, f, self) : 0}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(row, numbers[i].name, f->pairs ? ae_json_number(numbers[i].value) : json_null());
}

static json_t *table_of(const warm *w) {
    json_t *members = json_array(), *average = json_pack("{s:s}", "model", w->average);
    for (size_t m = 0; m < w->n; m++) {
        const member *of = &w->members[m];
        json_t *row = json_pack("{s:I, s:s, s:s, s:f, s:I}", "member", (json_int_t)m + 1, "run", of->run,
                                "init", of->init, "lr", of->lr, "seed", (json_int_t)of->seed);
        add_figures(row, w, &of->figures, of);
        json_object_set_new(row, "averaged", json_boolean(of->averaged));
        json_object_set_new(row, "model", json_string(of->model));
        json_array_append_new(members, row);
    }
    add_figures(average, w, &w->figures, NULL);
    return json_pack("{s:s, s:I, s:o, s:o}", "head", w->head, "heldout_pairs", (json_int_t)w->figures.pairs,
                     "members", members, "average", average);
}

/* ---- the average ---- */

static bool is_better(const ae_reward_figures *a, const ae_reward_figures *b) {
    return a->accuracy != b->accuracy ? a->accuracy > b->accuracy : a->loss < b->loss;
}

size_t ae_warm_choose(bool *chosen, const ae_reward_figures *figures, size_t n, size_t most) {
    size_t taken = 0;
    for (size_t m = 0; m < n; m++) {
        size_t better = 0;
        for (size_t k = 0; k < n; k++)
            better += is_better(&figures[k], &figures[m]) || (k < m && !is_better(&figures[m], &figures[k]));
        chosen[m] = figures[m].accuracy > 0.5 && better < most;
        taken += chosen[m];
    }
    return taken;
}

/* A member that is not better than a coin would only add noise. Without held-out pairs all are averaged. */
static ae_status choose_members(warm *w) {
    const size_t most = w->config->reward.average ? (size_t)w->config->reward.average : w->n;
    ae_reward_figures figures[MEMBERS_MAX] = {{0}};
    bool chosen[MEMBERS_MAX] = {false};
    const bool blind = w->members[0].figures.pairs == 0;
    double best = 0;
    for (size_t m = 0; m < w->n; m++) figures[m] = w->members[m].figures;
    const size_t taken = blind ? w->n : ae_warm_choose(chosen, figures, w->n, most);
    for (size_t m = 0; m < w->n; m++) {
        w->members[m].averaged = blind || chosen[m];
        if (blind) continue;
        best = fmax(best, figures[m].accuracy);
        if (taken && !(figures[m].accuracy > 0.5))
            ae_warn(
                "member %zu: left out of the average: it is right in %.2f %% of the held-out pairs, which is "
                "not above 50 %%",
                m + 1, 100 * figures[m].accuracy);
    }
    if (taken) return AE_OK;
    return AE_FAIL(
        AE_ERR_GUARD,
        "reward.members: expected a member that is right in more than 50 %% of the held-out pairs, "
        "found %.2f %% at best; look at the pairs, or choose another optim.lr and run.dir",
        100 * best);
}

static ae_status write_average(const warm *w) {
    const char *models[MEMBERS_MAX];
    size_t n = 0;
    for (size_t m = 0; m < w->n; m++)
        if (w->members[m].averaged) models[n++] = w->members[m].model;
    return ae_average_write(w->average, models, n);
}

/* ---- the whole ---- */

static ae_status train_all(warm *w) {
    ae_status st = train_head(w);
    for (size_t m = 0; m < w->n && st == AE_OK; m++) st = train_member(w, m);
    return st;
}

static ae_status judge_members(warm *w) {
    ae_status st = AE_OK;
    for (size_t m = 0; m < w->n && st == AE_OK; m++) {
        member *of = &w->members[m];
        st = ae_checkpoint_best_complete(&of->model, of->run);
        if (st == AE_OK && !of->model)
            st = AE_FAIL(AE_ERR_INPUT, "%s: expected a complete checkpoint, found none", of->run);
        if (st == AE_OK && w->config->tune.train.data.heldout[0]) st = judge(w, of->model, &of->figures);
    }
    return st;
}

static void forget(warm *w) {
    for (size_t m = 0; m < w->n; m++) {
        free(w->members[m].run);
        free(w->members[m].init);
        free(w->members[m].model);
        ae_reward_figures_free(&w->members[m].figures);
    }
    ae_reward_figures_free(&w->figures);
    free(w->head);
    free(w->average);
    free(w->rendered);
}

ae_status ae_warm(ae_reward_config *config, bool dry_run, json_t **table) {
    warm w = {.config = config, .dry_run = dry_run, .dir = config->tune.train.run.dir};
    ae_status st;
    *table = NULL;
    AE_TRY(ae_reward_config_check(config));
    AE_TRY(check_keys(config));
    w.head = ae_path_join(w.dir, "head");
    w.average = ae_path_join(w.dir, "average");
    if (!dry_run) w.rendered = ae_path_join(w.dir, ae_rendered_folder);
    AE_TRY(plan_members(&w));
    AE_TRY(check_inits(&w));
    AE_TRY(ae_runs_folder_take(&w.folder, w.dir, is_ours, "reward.members", dry_run));
    AE_TRY(train_all(&w));
    if (dry_run) goto out;
    AE_TRY(judge_members(&w));
    AE_TRY(choose_members(&w));
    AE_TRY(write_average(&w));
    AE_TRY(judge(&w, w.average, &w.figures));
    AE_TRY(ae_average_scale(w.average, w.figures.reward_mean, w.figures.reward_std));
    *table = table_of(&w);
    AE_TRY(ae_json_write_file(*table, w.dir, "members.json"));
    ae_log("average: %s", w.average);
out:
    ae_runs_folder_leave(&w.folder, st);
    forget(&w);
    return st;
}
