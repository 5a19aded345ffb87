#include "core/file.h"
#include "core/json.h"
#include "exchange/adapter_parts.h"
#include "formats/done.h"
#include "model/params_match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char ae_adapter_head[] = "score.weight";

/* ---- lists of text, up to a NULL ---- */

void ae_adapter_list_free(char **list) {
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) free(list[i]);
    free(list);
}

ae_status ae_adapter_list_add(char ***list, const char *text, const char *where) {
    size_t n = 0;
    while (*list != NULL && (*list)[n] != NULL) n++;
    char **longer = realloc(*list, (n + 2) * sizeof *longer), *copy = strdup(text);
    if (longer != NULL) {
        *list = longer;
        longer[n] = copy;
        longer[n + 1] = NULL;
    }
    if (longer != NULL && copy != NULL) return AE_OK;
    if (longer == NULL) free(copy);
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
}

void ae_adapter_take_lists(ae_adapter_source *s) {
    s->options.adapters.on = (const char *const *)s->targets;
    s->options.train = (const char *const *)s->train;
}

static ae_status add_patterns(char ***list, const json_t *o, const char *key, const char *where) {
    const json_t *from = json_object_get(o, key), *item;
    size_t i;
    ae_status st = AE_OK;
    json_array_foreach(from, i, item) {
        const char *text = json_string_value(item);
        if (text == NULL || *text == '\0' || strlen(text) != json_string_length(item))
            return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected patterns of names, found something else", where,
                           key);
        st = ae_adapter_list_add(list, text, where);
        if (st != AE_OK) break;
    }
    return st;
}

/* ---- adapter.json ---- */

static ae_status expect(const json_t *o, const char *key, bool is, const char *kind, const char *where) {
    if (is) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %s, found %s", where, key, kind,
                   json_object_get(o, key) != NULL ? "something else" : "no such key");
}

static ae_status check_kinds(const json_t *o, const char *where) {
    static const char *const lists[] = {"targets", "whole"}, *const answers[] = {"rslora", "score_head"},
                             *const texts[] = {"base", "base_fingerprint"};
    ae_status st = AE_OK;
    for (int i = 0; i < 2; i++) {
        AE_TRY(expect(o, lists[i], json_is_array(json_object_get(o, lists[i])), "a list of patterns", where));
        AE_TRY(
            expect(o, answers[i], json_is_boolean(json_object_get(o, answers[i])), "true or false", where));
        AE_TRY(expect(o, texts[i], json_is_string(json_object_get(o, texts[i])), "text", where));
    }
out:
    return st;
}

static ae_status read_adapters(ae_adapter_options *a, const json_t *o, const char *where) {
    int64_t format = 0, rank = 0;
    ae_status st;
    AE_TRY(ae_json_int(o, "format", where, &format));
    if (format != 1)
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: format: expected 1, found %lld: another version wrote it", where,
                       (long long)format));
    AE_TRY(ae_json_int(o, "rank", where, &rank));
    if (rank < 0 || rank > AE_ADAPTER_RANK_MAX)
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: rank: expected 0 to %d, found %lld", where, AE_ADAPTER_RANK_MAX,
                       (long long)rank));
    AE_TRY(ae_json_real(o, "alpha", where, &a->alpha));
    AE_TRY(check_kinds(o, where));
    a->rank = (ptrdiff_t)rank;
    a->by_root = json_is_true(json_object_get(o, "rslora"));
out:
    return st;
}

static ae_status read_hash(char hash[AE_FINGERPRINT_BYTES], const json_t *o, const char *key,
                           const char *where) {
    const char *text = json_string_value(json_object_get(o, key));
    const bool is = text != NULL && strlen(text) == AE_FINGERPRINT_BYTES - 1 &&
                    strspn(text, "0123456789abcdef") == AE_FINGERPRINT_BYTES - 1;
    if (is) memcpy(hash, text, AE_FINGERPRINT_BYTES);
    return expect(o, key, is, "16 hexadecimal digits", where);
}

static ae_status read_fingerprint(ae_adapter_source *s, const json_t *o, const char *where) {
    const ae_status st = read_hash(s->fingerprint, o, "base_fingerprint", where);
    const bool has_sample = json_object_get(o, "base_sample") != NULL;
    return st == AE_OK && has_sample ? read_hash(s->sample, o, "base_sample", where) : st;
}

/* What trained: all adapters, the head, and what adapter.json names. */
static ae_status read_lists(ae_adapter_source *s, const json_t *o, const char *where) {
    const ptrdiff_t rank = s->options.adapters.rank;
    ae_status st;
    AE_TRY(add_patterns(&s->targets, o, "targets", where));
    if (rank > 0) AE_TRY(ae_adapter_list_add(&s->train, ae_adapter_pattern, where));
    if (s->options.score_head) AE_TRY(ae_adapter_list_add(&s->train, ae_adapter_head, where));
    AE_TRY(add_patterns(&s->train, o, "whole", where));
    AE_TRY(expect(o, "targets", (s->targets != NULL) == (rank > 0),
                  rank > 0 ? "patterns" : "none with rank 0", where));
    AE_TRY(expect(o, "whole", s->train != NULL, "something that trained", where));
    ae_adapter_take_lists(s);
out:
    return st;
}

static ae_status read_json(ae_adapter_source *s) {
    char *path = ae_path_join(s->folder, ae_adapter_file);
    json_t *o = NULL;
    ae_status st;
    AE_TRY(ae_json_load(&o, path));
    AE_TRY(read_adapters(&s->options.adapters, o, path));
    s->options.score_head = json_is_true(json_object_get(o, "score_head"));
    AE_TRY(read_fingerprint(s, o, path));
    AE_TRY(read_lists(s, o, path));
    s->base = strdup(json_string_value(json_object_get(o, "base")));
    if (s->base == NULL) st = AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
out:
    json_decref(o);
    free(path);
    return st;
}

/* What a head gives is shifted as the model.json beside it says. */
static ae_status read_reward_scale(ae_adapter_source *s) {
    char *path = ae_path_join(s->folder, "model.json"), *text = NULL;
    size_t n = 0;
    ae_model_config c = {0};
    ae_status st = AE_OK;
    if (!s->options.score_head || !ae_path_exists(path)) goto out;
    AE_TRY(ae_file_read(path, &text, &n));
    AE_TRY(ae_model_config_from_json(&c, text, path));
    s->reward_shift = c.reward_shift;
    s->reward_std = c.reward_std;
out:
    free(text);
    free(path);
    return st;
}

/* ---- opening ---- */

bool ae_adapter_is_there(const char *folder) {
    return ae_path_has(folder, ae_adapter_file) || ae_path_has(folder, ae_peft_config_file);
}

/* The contents of small files, but of the weights only their size. */
static ae_status check_small_files(const ae_adapter_source *s) {
    ae_done d;
    ae_status st;
    AE_TRY(ae_done_read(&d, s->folder));
    AE_TRY(ae_done_check(&d, s->folder, ae_adapter_file, false, true));
    AE_TRY(ae_done_check(&d, s->folder, "tokenizer.model", true, true));
    AE_TRY(ae_done_check(&d, s->folder, "model.json", true, true));
    AE_TRY(ae_done_check(&d, s->folder, "weights.h5", false, false));
out:
    ae_done_free(&d);
    return st;
}

static ae_status open_checkpoint(ae_adapter_source *s) {
    ae_status st;
    s->tensors = ae_path_join(s->folder, "weights.h5");
    if (!ae_path_has(s->folder, "DONE"))
        AE_TRY(AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a complete checkpoint, found one without DONE: its writing was cut off; "
                       "take an earlier one",
                       s->folder));
    AE_TRY(check_small_files(s));
    AE_TRY(read_json(s));
    AE_TRY(read_reward_scale(s));
    if (ae_path_has(s->folder, "tokenizer.model")) s->tokenizer = ae_path_join(s->folder, "tokenizer.model");
out:
    return st;
}

ae_status ae_adapter_source_open(ae_adapter_source *s, const char *folder) {
    ae_status st;
    *s = (ae_adapter_source){.folder = ae_path_join("", folder)};
    if (ae_path_has(folder, ae_adapter_file))
        st = open_checkpoint(s);
    else if (ae_path_has(folder, ae_peft_config_file))
        st = ae_peft_open(s);
    else
        st =
            AE_FAIL(AE_ERR_INPUT, "%s: expected an adapter: a folder with %s, or with %s of PEFT; found none",
                    folder, ae_adapter_file, ae_peft_config_file);
    if (st != AE_OK) ae_adapter_source_free(s);
    return st;
}

void ae_adapter_source_free(ae_adapter_source *s) {
    free(s->folder);
    free(s->tensors);
    free(s->tokenizer);
    free(s->base);
    ae_adapter_list_free(s->targets);
    ae_adapter_list_free(s->train);
    ae_adapter_list_free(s->modules);
    ae_adapter_list_free(s->saved);
    *s = (ae_adapter_source){0};
}

ae_status ae_adapter_tensors_open(ae_tensors **out, const ae_adapter_source *s) {
    return s->kind == AE_ADAPTER_PEFT ? ae_tensors_open_adapter(out, s->tensors)
                                      : ae_tensors_open(out, s->tensors);
}

/* ---- whether it belongs to a base ---- */

/* Whether they are as they were written, as far as that can be known. */
static ae_status check_weights(const ae_adapter_source *s) {
    ae_tensors *t = NULL;
    ae_done d = {0};
    bool covered = false;
    ae_status st;
    if (s->kind == AE_ADAPTER_CHECKPOINT) {
        AE_TRY(ae_done_read(&d, s->folder));
        AE_TRY(ae_done_check(&d, s->folder, "weights.h5", false, true));
    } else {
        AE_TRY(ae_adapter_tensors_open(&t, s));
        AE_TRY(ae_tensors_check_data(t, &covered));
    }
out:
    ae_tensors_close(t);
    ae_done_free(&d);
    return st;
}

/* A pattern that finds nothing in the base is a fault of the adapter's file. */
static ae_status make_table(ae_params *params, const ae_adapter_source *s, const ae_model_source *base) {
    const ae_status st = ae_params_init_with(params, &base->config, &s->options);
    if (st != AE_ERR_USAGE) return st;
    ae_fail_prefix("%s: beside %s", s->folder, base->folder);
    return AE_ERR_INPUT;
}

static ae_status other_base(const ae_adapter_source *s, const ae_model_source *base, const char *what,
                            const char *wanted, const char *found) {
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected the base that it was trained on, %s (%s %s), found %s (%s); give that base "
                   "as --model (a run's as model.init)",
                   s->folder, s->base, what, wanted, base->folder, found);
}

/* The sample tells a base from what this or another adapter was merged into, which may have its norms. */
static ae_status check_base(const ae_adapter_source *s, const ae_params *params,
                            const ae_model_source *base) {
    ae_tensors *t = NULL;
    char found[AE_FINGERPRINT_BYTES];
    ae_status st;
    if (s->fingerprint[0] == '\0') return AE_OK;
    AE_TRY(ae_tensors_open(&t, base->tensors));
    AE_TRY(ae_tensors_fingerprint(params, t, found));
    if (strcmp(found, s->fingerprint) != 0) AE_TRY(other_base(s, base, "fingerprint", s->fingerprint, found));
    if (s->sample[0] == '\0') goto out;
    AE_TRY(ae_tensors_sample(params, t, found));
    if (found[0] != '\0' && strcmp(found, s->sample) != 0)
        AE_TRY(other_base(s, base, "sample of matrices", s->sample, found));
out:
    ae_tensors_close(t);
    return st;
}

/* Refuses every other tensor: it would replace a value of the base, and nothing would say so. */
static ae_status check_tensors(const ae_adapter_source *s, const ae_params *params) {
    static const ae_params_match_options beside = {.lacks_frozen = true};
    ae_tensors *t = NULL;
    ae_status st;
    AE_TRY(ae_adapter_tensors_open(&t, s));
    for (ptrdiff_t i = 0; i < ae_tensors_count(t); i++) {
        const ae_param *p = ae_params_find(params, ae_tensors_name(t, i));
        if (p == NULL || !p->trainable)
            AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: %.200s: a tensor that %s names nowhere", s->tensors,
                           ae_tensors_name(t, i), s->kind == AE_ADAPTER_PEFT ? "the base" : ae_adapter_file));
    }
    if (s->kind == AE_ADAPTER_PEFT) AE_TRY(ae_peft_check_modules(s, params));
    AE_TRY(ae_params_fit(params, t, s->tensors, &beside));
out:
    ae_tensors_close(t);
    return st;
}

ae_status ae_adapter_source_verify(const ae_adapter_source *s, const ae_model_source *base) {
    ae_params params = {0};
    ae_status st;
    AE_TRY(check_weights(s));
    AE_TRY(make_table(&params, s, base));
    AE_TRY(check_base(s, &params, base));
    AE_TRY(check_tensors(s, &params));
out:
    ae_params_free(&params);
    return st;
}
