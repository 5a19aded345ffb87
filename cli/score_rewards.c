#include "cli/score_rewards.h"

#include "cli/interrupt.h"
#include "core/json.h"
#include "core/threads.h"
#include "core/yaml.h"
#include "data/json_line.h"
#include "data/render.h"
#include "data/utf8.h"
#include "rlhf/rewards.h"
#include "train/run_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 256 };

/* ---- the list ---- */

static yaml_node_t *value_of(yaml_document_t *doc, const yaml_node_t *map, const char *key) {
    if (!map || map->type != YAML_MAPPING_NODE) return NULL;
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
        const yaml_node_t *k = yaml_document_get_node(doc, p->key);
        if (k->type == YAML_SCALAR_NODE && strcmp(ae_yaml_text(k), key) == 0)
            return yaml_document_get_node(doc, p->value);
    }
    return NULL;
}

/* The JSON text of a list in YAML, or of an entry without one, which ae_rewards_open refuses; of a map, that of its
 * key rl.rewards. The caller frees it. */
static ae_status list_of(const char *text, size_t n, const char *where, char **json) {
    yaml_document_t doc;
    ae_status st = ae_yaml_parse(&doc, text, n, where);
    if (st != AE_OK) return st;
    const yaml_node_t *node = yaml_document_get_root_node(&doc);
    if (node && node->type == YAML_MAPPING_NODE && !value_of(&doc, node, "kind"))
        node = value_of(&doc, value_of(&doc, node, "rl"), "rewards");
    const bool has_entries = node && node->type != YAML_SCALAR_NODE;
    json_t *value = has_entries ? ae_yaml_to_json(&doc, node) : NULL;
    *json = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (!*json)
        st = AE_FAIL(AE_ERR_USAGE,
                     "%s: expected a list of rewards, [{kind: ..., ...}, ...], or a file with rl.rewards, "
                     "found none",
                     where);
    json_decref(value);
    yaml_document_delete(&doc);
    return st;
}

/* Whether a word that names no file was meant to: "nofile.yaml", "runs/grpo". */
static bool is_like_a_path(const char *word) {
    static const char *const endings[] = {".yaml", ".yml", ".json"};
    const size_t n = strlen(word);
    if (strpbrk(word, "[{\n") || strstr(word, ": ")) return false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t m = strlen(endings[i]);
        if (n > m && strcmp(word + n - m, endings[i]) == 0) return true;
    }
    return strchr(word, '/') != NULL;
}

static ae_status read_list(const char *given, char **json) {
    char *text = NULL;
    size_t n = 0;
    if (!ae_path_exists(given) && !is_like_a_path(given))
        return list_of(given, strlen(given), "--rewards", json);
    ae_status st = ae_file_read(given, &text, &n);
    if (st == AE_OK) st = list_of(text, n, given, json);
    free(text);
    return st;
}

/* ---- rows ---- */

/* The answers of one call, and what they point to. */
typedef struct {
    ae_rewarded_answer answers[AT_ONCE];
    ae_reward_of rewards[AT_ONCE];
    json_t *rows[AT_ONCE];
    ae_ids tokens[AT_ONCE];
    char *meta[AT_ONCE];
    double *parts; /* [AT_ONCE, sources] */
    ptrdiff_t n;
} batch;

typedef struct {
    ae_rewards *rewards;
    ae_backend be;
    ae_tokenizer *tokenizer;
    size_t sources;
    batch rows;
} scoring;

static void batch_clear(batch *b) {
    for (ptrdiff_t i = 0; i < b->n; i++) {
        json_decref(b->rows[i]);
        free(b->meta[i]);
        ae_ids_free(&b->tokens[i]);
        b->tokens[i] = (ae_ids){0};
    }
    b->n = 0;
}

static ae_status text_of(const json_t *row, const char *key, const char *where, bool needed,
                         const char **text, size_t *n) {
    const json_t *v = json_object_get(row, key);
    *text = "";
    *n = 0;
    if (!v && !needed) return AE_OK;
    if (!json_is_string(v))
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected text, found %s", where, key, ae_json_type_name(v));
    *text = json_string_value(v);
    *n = json_string_length(v);
    return AE_OK;
}

/* The tokens of a dialogue of one message and its answer. */
static ae_status make_tokens(const ae_tokenizer *t, ae_rewarded_answer *a, ae_ids *ids) {
    ae_status st;
    AE_TRY(ae_render_user(t, true, NULL, 0, a->prompt, a->prompt_bytes, ids));
    a->n_prompt = ids->n;
    AE_TRY(ae_render_answer(t, a->answer, a->answer_bytes, ids));
    if (a->truncated) ids->n--; /* it did not come to its <end_of_turn> */
    a->n = ids->n - a->n_prompt;
    a->tokens = ids->ids;
out:
    return st;
}

/* Adds the row of a line; the batch has room. */
static ae_status add_row(scoring *s, const char *line, size_t n, const char *where) {
    static const char *const keys[] = {"prompt", "answer", "meta", "truncated"};
    batch *b = &s->rows;
    ae_rewarded_answer *a = &b->answers[b->n];
    json_t *row = NULL;
    ae_status st = ae_json_line(&row, line, n, keys, 4, where);
    if (st != AE_OK) return st;
    *a = (ae_rewarded_answer){.truncated = json_is_true(json_object_get(row, "truncated"))};
    b->rows[b->n] = row;
    b->tokens[b->n] = (ae_ids){0};
    b->rewards[b->n].parts = b->parts + (size_t)b->n * s->sources;
    const json_t *meta = json_object_get(row, "meta");
    a->meta = b->meta[b->n] = meta ? json_dumps(meta, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    a->meta_bytes = a->meta ? strlen(a->meta) : 0;
    b->n++;
    AE_TRY(text_of(row, "prompt", where, false, &a->prompt, &a->prompt_bytes));
    AE_TRY(text_of(row, "answer", where, true, &a->answer, &a->answer_bytes));
    st = ae_rewards_check_meta(s->rewards, a->meta, a->meta_bytes);
    if (st == AE_OK && s->tokenizer) st = make_tokens(s->tokenizer, a, &b->tokens[b->n - 1]);
    if (st != AE_OK) ae_fail_prefix("%s", where);
out:
    return st;
}

static ae_status write_row(const scoring *s, const ae_reward_of *r, const ae_results *out) {
    json_t *parts = json_object(), *line;
    for (size_t i = 0; i < s->sources; i++)
        json_object_set_new(parts, ae_rewards_name(s->rewards, i), ae_json_number(r->parts[i]));
    line = json_pack("{s:o, s:o}", "reward", ae_json_number(r->has ? r->total : (double)NAN), "parts", parts);
    if (!line) return AE_FAIL(AE_ERR_RESOURCE, "rewards: out of memory");
    const ae_status st = ae_json_write_line(line, out->file, out->name);
    json_decref(line);
    return st;
}

static ae_status reward_rows(scoring *s, ae_results *out) {
    batch *b = &s->rows;
    ae_status st = ae_rewards_give(s->rewards, b->answers, b->n, b->rewards);
    for (ptrdiff_t i = 0; i < b->n && st == AE_OK; i++) st = write_row(s, &b->rewards[i], out);
    if (st == AE_OK) st = ae_results_flush(out);
    batch_clear(b);
    return st;
}

static ae_status reward_lines(scoring *s, ae_reader *in, ae_results *out) {
    ae_status st = AE_OK;
    for (;;) {
        char *line = NULL, where[AE_WHERE_BYTES];
        size_t n = 0;
        AE_TRY(ae_reader_line(in, &line, &n));
        AE_TRY(ae_interrupt_check());
        if (!line) break;
        if (ae_text_is_blank(line, n)) continue;
        snprintf(where, sizeof where, "%s:%lld", ae_reader_name(in), (long long)ae_reader_line_number(in));
        AE_TRY(add_row(s, line, n, where));
        if (s->rows.n == AT_ONCE) AE_TRY(reward_rows(s, out));
    }
    st = reward_rows(s, out);
out:
    return st;
}

/* ---- */

static ae_status open_tokenizer(scoring *s, const char *model, int64_t *vocabulary) {
    ae_run_model source;
    ae_status st = ae_run_model_open(&source, model, NULL);
    if (st != AE_OK) return st;
    const char *path = ae_run_model_tokenizer(&source);
    if (!path)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected a model with a tokenizer, found tokenizer.model missing",
                     model);
    *vocabulary = source.base.config.V;
    if (st == AE_OK) st = ae_tokenizer_open(&s->tokenizer, path);
    if (st == AE_OK) st = ae_render_check(s->tokenizer, path);
    ae_run_model_free(&source);
    return st;
}

/* Without tokens there is no length to tell and nothing for a model to read. */
static ae_status check_tokens(const scoring *s) {
    for (size_t i = 0; i < s->sources && !s->tokenizer; i++) {
        const char *kind = ae_rewards_kind(s->rewards, i);
        if (strcmp(kind, "length") == 0 || strcmp(kind, "model") == 0)
            return AE_FAIL(
                AE_ERR_USAGE,
                "--model: expected a model whose tokenizer makes the tokens that rl.rewards[%zu] (%s) "
                "reads, found none",
                i, kind);
    }
    return AE_OK;
}

ae_status ae_score_rewards_run(const ae_score_rewards *o, ae_reader *in, ae_results *out) {
    ae_rewards_facts facts = {.texts = true, .check = ae_interrupt_check};
    scoring *s = calloc(1, sizeof *s);
    char *list = NULL;
    ae_status st = AE_OK;
    if (!s) return AE_FAIL(AE_ERR_RESOURCE, "rewards: out of memory");
    AE_TRY(read_list(o->rewards, &list));
    AE_TRY(ae_backend_cpu(&s->be, &(ae_backend_options){.threads = ae_threads_start((int)o->threads)}));
    if (o->model) AE_TRY(open_tokenizer(s, o->model, &facts.vocab_size));
    facts.be = &s->be;
    facts.tokenizer = s->tokenizer;
    AE_TRY(ae_rewards_open(&s->rewards, list, &facts));
    s->sources = ae_rewards_sources(s->rewards);
    AE_TRY(check_tokens(s));
    s->rows.parts = calloc((size_t)AT_ONCE * (s->sources + 1), sizeof *s->rows.parts);
    if (!s->rows.parts) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "rewards: out of memory"));
    AE_TRY(ae_rewards_start(s->rewards));
    AE_TRY(reward_lines(s, in, out));
out:
    batch_clear(&s->rows);
    free(s->rows.parts);
    ae_rewards_close(s->rewards);
    ae_tokenizer_delete(s->tokenizer);
    ae_backend_free(&s->be);
    free(list);
    free(s);
    return st;
}
