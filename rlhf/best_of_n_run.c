#include "rlhf/best_of_n_run.h"

#include "core/dims.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/threads.h"
#include "rlhf/best_of_n_lines.h"
#include "rlhf/best_of_n_table.h"
#include "rlhf/prompts.h"
#include "rlhf/reference_scores.h"
#include "rlhf/rewards.h"
#include "rlhf/rollouts.h"
#include "rlhf/stray_keys.h"
#include "train/append.h"
#include "train/rendered.h"
#include "train/run_model.h"
#include "train/runs_folder.h"
#include "train/stop.h"
#include "train/tuned.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    ae_rlhf_config *config;
    bool dry_run;
    ae_backend be;
    ae_run_facts facts;
    ae_tuned tuned; /* for its inputs */
    ae_prompt_set sets[AE_MIXTURE_SETS_MAX];
    int64_t prompts, dropped;
    ptrdiff_t longest, capacity;
    ae_rewards *rewards;
    ae_run_model source;
    ae_model model;
    ae_runs_folder folder; /* run.dir */
    char *answers, *best;
    FILE *out;
    int64_t done, offset; /* prompts that have a line, and where the last one ends */
} asking;

static const ae_rl_common_keys *keys_of(const asking *a) {
    return &a->config->keys.rl;
}

/* ---- keys ---- */

static ae_status check_keys(const ae_rlhf_config *c) {
    const ae_status st = ae_best_of_n_stray_keys_check(c);
    if (st != AE_OK || c->keys.rl.rewards[0]) return st;
    return AE_FAIL(AE_ERR_USAGE, "rl.rewards: expected what answers are worth, by which the best is chosen, "
                                 "found none; add rl.rewards='[{kind: exact}]' or others");
}

static bool is_ours(const char *name) {
    static const char *const names[] = {"answers.jsonl", "best.jsonl", "asked.json", "best_of_n.json",
                                        ae_rendered_folder};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0) return true;
    return false;
}

/* ---- inputs ---- */

static ae_status open_prompts(asking *a) {
    const ae_tune_config *c = &a->config->tune;
    const ae_mixture *m = &a->tuned.inputs.data;
    ae_status st = AE_OK;
    if (m->weighted || m->n_phases > 1)
        return AE_FAIL(AE_ERR_USAGE, "data.train: expected sets without weights and phases with "
                                     "rl.method=best_of_n, which answers every prompt once, found some");
    for (size_t i = 0; i < m->n_sets && st == AE_OK; i++) {
        st = ae_prompt_set_init(&a->sets[i], m->sets[i], c->train.train.row_tokens, keys_of(a)->max_new,
                                (ae_too_long)c->examples.too_long);
        a->prompts += a->sets[i].n;
        a->dropped += a->sets[i].dropped;
        a->longest = ae_max(a->longest, (ptrdiff_t)a->sets[i].longest);
    }
    return st;
}

static ae_status open_inputs(asking *a) {
    const ae_train_config *c = &a->config->tune.train;
    const ae_backend_options options = {.threads = ae_threads_start((int)c->train.threads),
                                        .dtype = ae_train_dtype(c)};
    ae_status st;
    AE_TRY(ae_backend_cpu(&a->be, &options));
    a->facts = (ae_run_facts){.config = c,
                              .be = &a->be,
                              .writes = !a->dry_run,
                              .seed = (uint64_t)c->run.seed,
                              .stop = ae_stop_asked()};
    AE_TRY(ae_tuned_open(&a->tuned, &a->facts));
    AE_TRY(ae_tuned_objective(&a->tuned, "rlhf").begin(&a->tuned));
    AE_TRY(open_prompts(a));
out:
    return st;
}

static ae_status check_stop(void) {
    if (!*ae_stop_asked()) return AE_OK;
    return AE_FAIL(AE_ERR_INTERRUPTED, "rewards: interrupted; the same command goes on");
}

static ae_status open_rewards(asking *a) {
    const ae_rewards_facts facts = {.be = &a->be,
                                    .tokenizer = a->tuned.inputs.tokenizer,
                                    .vocab_size = a->tuned.inputs.shape.V,
                                    .longest = a->longest + (ptrdiff_t)keys_of(a)->max_new,
                                    .check = check_stop};
    ae_status st = ae_rewards_open(&a->rewards, keys_of(a)->rewards, &facts);
    for (size_t i = 0; i < a->tuned.inputs.data.n_sets && st == AE_OK; i++)
        st = ae_prompt_set_check_meta(&a->sets[i], a->rewards);
    return st;
}

/* ---- memory ---- */

static ae_model_options options_of(const asking *a) {
    const ae_model_options o = {.weights = (ae_weight_type)keys_of(a)->rollout_dtype};
    return ae_run_model_options(&a->source, &o);
}

static ae_status model_bytes(const asking *a, size_t *bytes) {
    const ae_model_options o = options_of(a);
    ae_params params = {0};
    const ae_status st = ae_params_init_with(&params, &a->source.base.config, &o.params);
    if (st != AE_OK) return st;
    *bytes = ae_model_value_bytes(&params, &a->be, &o) + ae_model_packed_bytes(&params, &a->be, &o) +
             ae_rewards_bytes(a->rewards);
    ae_params_free(&params);
    return AE_OK;
}

static size_t answers_bytes(const asking *a) {
    return ae_rollouts_bytes(&a->be, &a->source.base.config, a->source.adapter.options.adapters.rank,
                             a->capacity, a->longest, keys_of(a)->max_new);
}

/* As many answers at a time as there is memory for. */
static ae_status plan_memory(asking *a) {
    enum { MOST = 512, FEWEST = 1 };
    const ae_train_keys *k = &a->config->tune.train.train;
    ae_plan_request r = {0};
    size_t fixed = 0;
    char needed[32], there[32];
    const ae_status st = model_bytes(a, &fixed);
    if (st != AE_OK) return st;
    ae_plan_limit(&r, "train.memory_gb", k->memory_gb);
    a->capacity = (ptrdiff_t)ae_min(MOST, k->batch_rows * keys_of(a)->samples);
    while (a->capacity > FEWEST && fixed + answers_bytes(a) > r.available_bytes) a->capacity /= 2;
    if (fixed + answers_bytes(a) <= r.available_bytes) return AE_OK;
    ae_format_bytes(needed, sizeof needed, fixed + answers_bytes(a));
    ae_format_bytes(there, sizeof there, r.available_bytes);
    return AE_FAIL(AE_ERR_RESOURCE, "%s: expected at least %s for the model and one answer, found %s",
                   r.limit ? r.limit : "memory", needed, there);
}

static ae_status open_model(asking *a) {
    ae_status st;
    AE_TRY(ae_run_model_open(&a->source, a->config->tune.train.model.init, NULL));
    AE_TRY(ae_run_model_verify(&a->source));
    AE_TRY(plan_memory(a));
out:
    return st;
}

static void tell(const asking *a) {
    ae_log("best of %lld: %s writes %lld answers to each of %lld prompts, %td at a time",
           (long long)keys_of(a)->samples, a->config->tune.train.model.init, (long long)keys_of(a)->samples,
           (long long)a->prompts, a->capacity);
    for (size_t i = 0; i < ae_rewards_sources(a->rewards); i++)
        ae_log("reward: %s (%s)", ae_rewards_name(a->rewards, i), ae_rewards_kind(a->rewards, i));
    if (a->dropped > 0)
        ae_warn("data.too_long: %lld prompt%s left out, with no room for an answer", (long long)a->dropped,
                a->dropped == 1 ? " is" : "s are");
}

/* ---- what the answers depend on ---- */

static json_t *asked_of(const asking *a, const char *model) {
    const ae_rl_common_keys *k = keys_of(a);
    return json_pack("{s:s, s:O, s:I, s:I, s:f, s:I, s:s, s:I, s:I, s:f}", "model.init", model, "data.train",
                     json_object_get(a->tuned.facts, "sets"), "run.seed", (json_int_t)a->facts.seed,
                     "rl.samples", (json_int_t)k->samples, "rl.temperature", k->temperature, "rl.max_new",
                     (json_int_t)k->max_new, "rl.rewards", k->rewards, "rl.rollout_dtype",
                     (json_int_t)k->rollout_dtype, "rl.truncated", (json_int_t)k->truncated,
                     "rl.truncated_penalty", k->truncated_penalty);
}

static ae_status compare_asked(const json_t *then, const json_t *now, const char *dir) {
    const char *key;
    json_t *value;
    json_object_foreach(
        (json_t *)(uintptr_t)now, key,
        value) if (!json_equal(value,
                               json_object_get(
                                   then, key))) return AE_FAIL(AE_ERR_USAGE,
                                                               "%s: expected what the answers in %s were "
                                                               "written with, found another; choose "
                                                               "another run.dir",
                                                               key, dir);
    return AE_OK;
}

static ae_status check_asked(const asking *a) {
    const char *dir = a->config->tune.train.run.dir;
    char model[AE_REFERENCE_IDENTITY_BYTES], *path = ae_path_join(dir, "asked.json");
    json_t *then = NULL, *now = NULL;
    ae_status st;
    AE_TRY(
        ae_reference_identity(model, &a->source.base, a->source.adapted ? a->source.adapter.tensors : NULL));
    now = asked_of(a, model);
    if (!ae_path_exists(path)) {
        st = ae_json_write_file(now, dir, "asked.json");
        goto out;
    }
    AE_TRY(ae_json_load(&then, path));
    AE_TRY(compare_asked(then, now, dir));
out:
    json_decref(then);
    json_decref(now);
    free(path);
    return st;
}

/* ---- answers ---- */

/* Prompts [first, first + n) of all sets, one after another. */
typedef struct {
    ae_rollout_prompt *prompts;
    const char **meta;
    size_t *meta_bytes;
    ptrdiff_t n;
} piece;

static void piece_free(piece *p) {
    for (ptrdiff_t i = 0; i < p->n; i++) free((void *)(uintptr_t)p->prompts[i].tokens);
    free(p->prompts);
    free(p->meta);
    free(p->meta_bytes);
}

static ae_status take_prompt(const asking *a, piece *p, int64_t at) {
    size_t set = 0;
    int64_t in_set = at;
    while (in_set >= a->sets[set].n) in_set -= a->sets[set++].n;
    const ae_prompt_set *s = &a->sets[set];
    const int64_t document = s->usable[in_set], *starts = ae_token_set_doc_starts(s->set);
    const int64_t n = starts[document + 1] - starts[document];
    int32_t *ids = malloc((size_t)n * sizeof *ids);
    if (!ids) return AE_FAIL(AE_ERR_RESOURCE, "prompts: out of memory");
    p->prompts[p->n] = (ae_rollout_prompt){ids, (ptrdiff_t)n, document, (ptrdiff_t)at};
    p->meta[p->n] = ae_token_set_meta(s->set, document, &p->meta_bytes[p->n]);
    p->n++;
    return ae_token_set_read(s->set, starts[document], n, ids, NULL);
}

static ae_status take_piece(const asking *a, piece *p, int64_t first, int64_t n) {
    *p = (piece){.prompts = calloc((size_t)n, sizeof *p->prompts),
                 .meta = calloc((size_t)n, sizeof *p->meta),
                 .meta_bytes = calloc((size_t)n, sizeof *p->meta_bytes)};
    if (!p->prompts || !p->meta || !p->meta_bytes) return AE_FAIL(AE_ERR_RESOURCE, "prompts: out of memory");
    ae_status st = AE_OK;
    for (int64_t i = 0; i < n && st == AE_OK; i++) st = take_prompt(a, p, first + i);
    return st;
}

static ae_status write_answers(const asking *a, const piece *p, ae_written_set *s) {
    const ae_rl_common_keys *k = keys_of(a);
    const ae_rollouts r = {.writers = {[AE_RL_REFERENCE] = &a->model},
                           .counts = {[AE_RL_REFERENCE] = k->samples},
                           .tokenizer = a->tuned.inputs.tokenizer,
                           .temperature = k->temperature,
                           .max_new = k->max_new,
                           .seed = a->facts.seed,
                           .name = "rl.best_of_n",
                           .capacity = a->capacity,
                           .longest = a->longest,
                           .stop = a->facts.stop};
    return ae_rollouts_write(&r, p->prompts, p->n, s);
}

/* What counts for the choice; NaN where there is none. */
static double settled(const ae_rl_common_keys *k, const ae_written *w, const ae_reward_of *r) {
    if (!r->has || (w->seen.truncated && k->truncated == AE_RL_MASK)) return (double)NAN;
    return r->total - (w->seen.truncated && k->truncated == AE_RL_PENALISE ? k->truncated_penalty : 0);
}

static ae_status reward(const asking *a, const piece *p, const ae_written_set *s, double *rewards) {
    const size_t n = (size_t)s->n, sources = ae_rewards_sources(a->rewards);
    ae_rewarded_answer *answers = calloc(n, sizeof *answers);
    ae_reward_of *given = calloc(n, sizeof *given);
    double *parts = calloc(n * sources, sizeof *parts);
    ae_status st = answers && given && parts ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "rewards: out of memory");
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        const ae_written *w = &s->items[i];
        answers[i] = (ae_rewarded_answer){.tokens = w->tokens,
                                          .n_prompt = w->n_prompt,
                                          .n = w->seen.n,
                                          .truncated = w->seen.truncated,
                                          .answer = w->text,
                                          .answer_bytes = w->text_bytes,
                                          .meta = p->meta[w->seen.prompt],
                                          .meta_bytes = p->meta_bytes[w->seen.prompt]};
        given[i].parts = parts + i * sources;
    }
    if (st == AE_OK) st = ae_rewards_give(a->rewards, answers, s->n, given);
    for (size_t i = 0; st == AE_OK && i < n; i++) rewards[i] = settled(keys_of(a), &s->items[i], &given[i]);
    free(answers);
    free(given);
    free(parts);
    return st;
}

static ae_status write_lines(asking *a, const ae_written_set *s, const double *rewards) {
    const ptrdiff_t N = (ptrdiff_t)keys_of(a)->samples;
    ae_status st = AE_OK;
    for (ptrdiff_t i = 0; i < s->n && st == AE_OK; i += N) {
        json_t *line = NULL;
        st = ae_best_of_n_line(&line, a->tuned.inputs.tokenizer, s->items + i, rewards + i, N);
        if (st == AE_OK) st = ae_json_write_line(line, a->out, a->answers);
        json_decref(line);
    }
    return ae_append_commit(a->out, a->answers, st == AE_OK, &a->offset) == AE_OK ? st : AE_ERR_RESOURCE;
}

static ae_status answer_piece(asking *a, int64_t first, int64_t n) {
    piece p = {0};
    ae_written_set s = {0};
    double *rewards = calloc((size_t)(n * keys_of(a)->samples), sizeof *rewards);
    ae_status st;
    if (!rewards) return AE_FAIL(AE_ERR_RESOURCE, "rewards: out of memory");
    AE_TRY(take_piece(a, &p, first, n));
    AE_TRY(write_answers(a, &p, &s));
    AE_TRY(reward(a, &p, &s, rewards));
    AE_TRY(write_lines(a, &s, rewards));
    a->done = first + n;
out:
    ae_written_set_free(&s);
    piece_free(&p);
    free(rewards);
    return st;
}

static ae_status answer_all(asking *a) {
    const int64_t each = a->config->tune.train.train.batch_rows;
    ae_progress bar;
    ae_status st = AE_OK;
    ae_progress_init(&bar, "best of n", a->done, a->prompts);
    bar.unit = "prompt";
    while (a->done < a->prompts && st == AE_OK) {
        st = *a->facts.stop ? AE_FAIL(AE_ERR_INTERRUPTED, "interrupted; the same command goes on")
                            : answer_piece(a, a->done, ae_min(each, a->prompts - a->done));
        ae_progress_show(&bar, a->done, "");
    }
    ae_progress_end(&bar);
    return st == AE_OK ? ae_append_sync(a->out, a->answers) : st;
}

/* Goes on behind the last whole line. */
static ae_status open_answers(asking *a) {
    ae_status st = ae_best_of_n_count_lines(a->answers, &a->done, &a->offset);
    if (st != AE_OK) return st;
    if (a->done > a->prompts)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected at most %lld lines, found %lld; choose another run.dir",
                       a->answers, (long long)a->prompts, (long long)a->done);
    if (a->done > 0) ae_log("run: %s goes on after prompt %lld", a->answers, (long long)a->done);
    return ae_append_open(&a->out, a->answers, a->offset);
}

/* ---- the table ---- */

static json_t *rows_of(const ae_best_of_n_row *rows, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:I, s:f, s:f, s:f, s:f}", "n", (json_int_t)rows[i].n,
                                              "reward", rows[i].reward, "reward_low", rows[i].low,
                                              "reward_high", rows[i].high, "kl_bound", rows[i].kl));
    return list;
}

static ae_status make_table(const asking *a, json_t **table) {
    const int64_t N = keys_of(a)->samples;
    ae_best_of_n_row rows[AE_BEST_OF_N_ROWS];
    ae_best_of_n_rewards r;
    size_t n = 0;
    ae_status st = ae_best_of_n_read(&r, a->answers, N, a->best);
    if (st == AE_OK && r.prompts > 0) st = ae_best_of_n_table(rows, &n, r.sorted, r.prompts, N);
    free(r.sorted);
    if (st != AE_OK) return st;
    if (r.left_out > 0)
        ae_warn("%lld prompt%s without a reward of each answer left out of the table", (long long)r.left_out,
                r.left_out == 1 ? " is" : "s are");
    *table = json_pack("{s:s, s:I, s:I, s:I, s:s, s:s, s:o}", "model", a->config->tune.train.model.init,
                       "prompts", (json_int_t)r.prompts, "left_out", (json_int_t)r.left_out, "best_rows",
                       (json_int_t)r.rows, "answers", a->answers, "best", a->best, "table", rows_of(rows, n));
    return ae_json_write_file(*table, a->config->tune.train.run.dir, "best_of_n.json");
}

/* ---- the whole ---- */

static ae_status work(asking *a, json_t **table) {
    const ae_model_options o = options_of(a);
    ae_status st;
    AE_TRY(ae_run_model_load(&a->model, &a->be, &a->source, &o));
    AE_TRY(ae_rewards_start(a->rewards));
    AE_TRY(check_asked(a));
    AE_TRY(open_answers(a));
    AE_TRY(answer_all(a));
    AE_TRY(make_table(a, table));
    ae_log("best answers: %s", a->best);
out:
    return st;
}

static void forget(asking *a) {
    if (a->out) fclose(a->out);
    ae_rewards_close(a->rewards);
    ae_model_free(&a->model);
    ae_run_model_free(&a->source);
    for (size_t i = 0; i < AE_MIXTURE_SETS_MAX; i++) ae_prompt_set_free(&a->sets[i]);
    ae_tuned_close(&a->tuned);
    ae_backend_free(&a->be);
    free(a->answers);
    free(a->best);
    free(a);
}

ae_status ae_best_of_n(ae_rlhf_config *config, bool dry_run, json_t **table) {
    const char *dir = config->tune.train.run.dir;
    asking *a = calloc(1, sizeof *a);
    ae_stop_actions before;
    ae_status st;
    *table = NULL;
    if (!a) return AE_FAIL(AE_ERR_RESOURCE, "rlhf: out of memory");
    a->config = config;
    a->dry_run = dry_run;
    a->tuned = (ae_tuned){
        .config = &config->tune, .kind = AE_KIND_PROMPTS, .rendered = config->rendered, .dry_run = dry_run};
    a->answers = ae_path_join(dir, "answers.jsonl");
    a->best = ae_path_join(dir, "best.jsonl");
    ae_stop_reset();
    AE_TRY(check_keys(config));
    AE_TRY(ae_rlhf_config_defaults(config));
    AE_TRY(ae_rlhf_config_check(config));
    AE_TRY(ae_runs_folder_take(&a->folder, dir, is_ours, "rl.method=best_of_n", dry_run));
    AE_TRY(open_inputs(a));
    AE_TRY(open_rewards(a));
    AE_TRY(open_model(a));
    tell(a);
    if (dry_run) goto out;
    ae_stop_catch(&before);
    st = work(a, table);
    ae_stop_signals_restore(&before);
out:
    ae_runs_folder_leave(&a->folder, st);
    forget(a);
    return st;
}
