#include "train/warm.h"

#include "core/file.h"
#include "core/json.h"
#include "core/lock.h"
#include "core/log.h"
#include "exchange/merge.h"
#include "formats/done.h"
#include "train/rendered.h"
#include "train/run_folder.h"
#include "train/stop.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MEMBERS_MAX = 64 };

static const int64_t SEED_MAX = 9000000000000000; /* of run.seed */

typedef struct {
    char *run, *init; /* owned */
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
    int lock;                  /* of run.dir; 0: none */
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

static ae_status check_keys(const ae_reward_config *c) {
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
    return check_seeds(c);
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
    static const char *const names[] = {".",       "..",           "head",        "members",
                                        "average", "average.part", "members.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return strcmp(name, ae_rendered_folder) == 0 || strncmp(name, "members.json.", 13) == 0;
}

static ae_status check_folder(const char *dir) {
    ae_status st = ae_folder_check(dir);
    if (st != AE_OK) {
        ae_fail_prefix("run.dir");
        return st;
    }
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (!is_ours(e->d_name))
            st = AE_FAIL(AE_ERR_USAGE,
                         "run.dir: %s: expected an empty folder, or one of reward.members, found %s in it; "
                         "choose another folder",
                         dir, e->d_name);
    if (d) closedir(d);
    return st;
}

static ae_status take_folder(warm *w) {
    ae_status st = check_folder(w->dir);
    if (st != AE_OK || w->dry_run) return st;
    st = ae_folder_make(w->dir);
    return st == AE_OK ? ae_folder_lock(&w->lock, w->dir) : st;
}

/* ---- runs ---- */

/* The keys that were given, for a run of its own. */
static ae_status copy_keys(ae_reward_config *to, const ae_reward_config *from) {
    ae_status st = AE_OK;
    char *text = NULL;
    json_t *all = NULL;
    const char *section;
    const ae_field *f;
    AE_TRY(ae_config_json(&from->tune.train.table, &text));
    AE_TRY(ae_json_parse(&all, text, strlen(text), "configuration"));
    for (size_t i = 0; (f = ae_config_field(&from->tune.train.table, i, &section)) != NULL; i++) {
        char key[96], *value, *word = NULL;
        snprintf(key, sizeof key, "%s.%s", section, f->key);
        if (!ae_config_is_set(&from->tune.train.table, key)) continue;
        value = json_dumps(json_object_get(json_object_get(all, section), f->key),
                           JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
        if (value && asprintf(&word, "%s=%s", key, value) < 0) word = NULL;
        st = word ? ae_config_set(&to->tune.train.table, word, "configuration")
                  : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", key);
        free(word);
        free(value);
        if (st != AE_OK) break;
    }
out:
    json_decref(all);
    free(text);
    return st;
}

static ae_status set_text(ae_reward_config *c, const char *key, const char *value) {
    json_t *quoted = json_string(value);
    char *text = quoted ? json_dumps(quoted, JSON_ENCODE_ANY) : NULL, *word = NULL;
    json_decref(quoted);
    if (text && asprintf(&word, "%s=%s", key, text) < 0) word = NULL;
    const ae_status st = word ? ae_config_set(&c->tune.train.table, word, "reward.members")
                              : AE_FAIL(AE_ERR_USAGE, "%s: expected text in UTF-8, found %s", key, value);
    free(word);
    free(text);
    return st;
}

static ae_status set_count(ae_reward_config *c, const char *key, int64_t value) {
    char word[96];
    snprintf(word, sizeof word, "%s=%lld", key, (long long)value);
    return ae_config_set(&c->tune.train.table, word, "reward.members");
}

/* The same bits, so that members.json tells the rates that were used. */
static ae_status set_real(ae_reward_config *c, const char *key, double value) {
    char word[96];
    snprintf(word, sizeof word, "%s=%.17g", key, value);
    return ae_config_set(&c->tune.train.table, word, "reward.members");
}

/* A run below run.dir. */
static ae_status child_init(ae_reward_config *c, const warm *w, const char *run, const char *init,
                            double lr) {
    ae_status st;
    AE_TRY(ae_reward_config_init(c));
    const int64_t head_steps = c->reward.head_steps; /* the default */
    c->rendered = w->rendered;
    AE_TRY(copy_keys(c, w->config));
    AE_TRY(set_text(c, "run.dir", run));
    AE_TRY(set_text(c, "model.init", init));
    AE_TRY(set_real(c, "optim.lr", lr));
    AE_TRY(set_count(c, "reward.members", 1));
    AE_TRY(set_text(c, "reward.member_inits", ""));
    AE_TRY(set_count(c, "reward.head_steps", head_steps));
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
    AE_TRY(set_real(&c, "train.epochs", 0));
    AE_TRY(set_count(&c, "train.steps", w->config->reward.head_steps));
    AE_TRY(set_count(&c, "optim.warmup_steps", 0));
    AE_TRY(set_count(&c, "optim.decay_steps", 0));
    AE_TRY(set_text(&c, "optim.schedule", "constant"));
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
    AE_TRY(set_count(&c, "run.seed", of->seed));
    AE_TRY(set_text(&c, "reward.head", w->head));
    ae_log("member %zu of %zu: from %s, rate %.3g, seed %lld", m + 1, w->n, of->init, of->lr,
           (long long)of->seed);
    st = check_stop(ae_reward(&c, w->dry_run));
out:
    ae_tune_config_free(&c.tune);
    return st;
}

/* ---- figures ---- */

/* What decides how a run trains says nothing here; data.heldout is all that is read. */
static ae_status judge(const warm *w, const char *model, ae_reward_figures *f) {
    ae_reward_config c = {0};
    ae_status st = AE_OK;
    const char *heldout = w->config->tune.train.data.heldout;
    if (!heldout[0]) return AE_OK;
    AE_TRY(child_init(&c, w, w->average, model, w->config->tune.train.optim.lr));
    AE_TRY(set_text(&c, "data.train", heldout));
    AE_TRY(set_real(&c, "train.epochs", 0));
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
        json_array_append_new(members, row);
    }
    add_figures(average, w, &w->figures, NULL);
    return json_pack("{s:s, s:I, s:o, s:o}", "head", w->head, "heldout_pairs", (json_int_t)w->figures.pairs,
                     "members", members, "average", average);
}

static ae_status write_json(const char *folder, const char *name, const json_t *value) {
    char *path = ae_path_join(folder, name), *text = value ? ae_json_text(value) : NULL;
    const ae_status st =
        text ? ae_file_write(path, text, strlen(text)) : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    free(text);
    free(path);
    return st;
}

/* ---- the average ---- */

/* Where the model comes from, for aerie inspect; as aerie merge tells it. */
static ae_status write_origin(const ae_model_source *sources, size_t n, const char *folder) {
    json_t *models = json_array();
    for (size_t k = 0; k < n; k++) json_array_append_new(models, json_string(sources[k].folder));
    json_t *o = json_pack("{s:s, s:s, s:o}", "made_by", "aerie reward " AERIE_VERSION, "method", "mean",
                          "models", models);
    const ae_status st = write_json(folder, "merge.json", o);
    json_decref(o);
    return st;
}

/* The tensors that merging wrote, in the form of checkpoints: the same bits. */
static ae_status convert(const ae_model_config *shape, const char *folder) {
    const ae_model_options options = {.params = {.score_head = true}};
    char *from = ae_path_join(folder, "model.safetensors"), *to = ae_path_join(folder, "weights.h5");
    ae_backend be = {0};
    ae_model m = {0};
    ae_status st;
    AE_TRY(ae_backend_cpu(&be, &(ae_backend_options){.threads = 1}));
    AE_TRY(ae_model_init(&m, &be, shape, &options));
    AE_TRY(ae_model_load(&m, from, NULL));
    AE_TRY(ae_model_save(&m, to));
    remove(from);
out:
    ae_model_free(&m);
    ae_backend_free(&be);
    free(from);
    free(to);
    return st;
}

static ae_status write_small_files(const ae_model_source *s, const char *folder) {
    char *shape = NULL, *tokenizer = NULL, *path = NULL;
    size_t n = 0;
    ae_status st;
    AE_TRY(ae_model_config_to_json(&s->config, &shape));
    path = ae_path_join(folder, "model.json");
    AE_TRY(ae_file_write(path, shape, strlen(shape)));
    if (!s->tokenizer) goto out;
    free(path);
    path = ae_path_join(folder, "tokenizer.model");
    AE_TRY(ae_file_read(s->tokenizer, &tokenizer, &n));
    AE_TRY(ae_file_write(path, tokenizer, n));
out:
    free(shape);
    free(tokenizer);
    free(path);
    return st;
}

static ae_status fill_average(const ae_model_source *sources, size_t n, const char *folder) {
    static const char *const names[] = {"weights.h5", "model.json", "merge.json", "tokenizer.model"};
    const char *tensors[MEMBERS_MAX];
    ae_status st;
    for (size_t k = 0; k < n; k++) tensors[k] = sources[k].tensors;
    AE_TRY(ae_model_merge(folder, &(ae_merge_request){.method = AE_MERGE_MEAN,
                                                      .config = &sources[0].config,
                                                      .score_head = true,
                                                      .models = tensors,
                                                      .n = n}));
    AE_TRY(convert(&sources[0].config, folder));
    AE_TRY(write_small_files(&sources[0], folder));
    AE_TRY(write_origin(sources, n, folder));
    AE_TRY(ae_done_write(folder, names, sources[0].tokenizer ? 4 : 3));
out:
    return st;
}

/* Written aside; an older one stays until then. */
static ae_status write_average(const warm *w) {
    ae_model_source sources[MEMBERS_MAX] = {{0}};
    char *part = ae_path_join(w->dir, "average.part");
    ae_status st = AE_OK;
    if (ae_path_exists(part)) AE_TRY(ae_folder_remove(part));
    AE_TRY(ae_folder_make(part));
    for (size_t m = 0; m < w->n; m++) {
        bool has_head = false;
        AE_TRY(ae_run_source_open(&sources[m], w->members[m].run));
        AE_TRY(ae_model_source_verify_head(&sources[m], &has_head));
    }
    AE_TRY(fill_average(sources, w->n, part));
    if (ae_path_exists(w->average)) AE_TRY(ae_folder_remove(w->average));
    AE_TRY(ae_path_rename(part, w->average));
out:
    for (size_t m = 0; m < w->n; m++) ae_model_source_free(&sources[m]);
    free(part);
    return st;
}

/* ---- the whole ---- */

static ae_status train_all(warm *w) {
    ae_status st = train_head(w);
    for (size_t m = 0; m < w->n && st == AE_OK; m++) st = train_member(w, m);
    return st;
}

static ae_status judge_all(warm *w) {
    ae_status st = AE_OK;
    for (size_t m = 0; m < w->n && st == AE_OK; m++) st = judge(w, w->members[m].run, &w->members[m].figures);
    return st == AE_OK ? judge(w, w->average, &w->figures) : st;
}

static void forget(warm *w) {
    for (size_t m = 0; m < w->n; m++) {
        free(w->members[m].run);
        free(w->members[m].init);
        ae_reward_figures_free(&w->members[m].figures);
    }
    ae_reward_figures_free(&w->figures);
    free(w->head);
    free(w->average);
    free(w->rendered);
    if (w->lock) close(w->lock);
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
    AE_TRY(take_folder(&w));
    AE_TRY(train_all(&w));
    if (dry_run) goto out;
    AE_TRY(write_average(&w));
    AE_TRY(judge_all(&w));
    *table = table_of(&w);
    AE_TRY(write_json(w.dir, "members.json", *table));
    ae_log("average: %s", w.average);
out:
    forget(&w);
    return st;
}
