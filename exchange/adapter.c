#include "exchange/adapter.h"

#include "core/file.h"
#include "core/json.h"
#include "formats/done.h"
#include "model/params_match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RANK_MAX = 1 << 16 };

static const char all_adapters[] = "*.lora_?.weight", head[] = "score.weight";

/* ---- lists of text, up to a NULL ---- */

static void free_list(char **list) {
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) free(list[i]);
    free(list);
}

static size_t count(char *const *list) {
    size_t n = 0;
    while (list[n] != NULL) n++;
    return n;
}

static ae_status append(char **list, const char *text, const char *where) {
    char *copy = strdup(text);
    if (copy == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    list[count(list)] = copy;
    return AE_OK;
}

/* The list of a key is appended to `list`, which has room for it. */
static ae_status append_patterns(char **list, const json_t *o, const char *key, const char *where) {
    const json_t *from = json_object_get(o, key), *item;
    size_t i;
    ae_status st = AE_OK;
    json_array_foreach(from, i, item) {
        const char *text = json_string_value(item);
        if (text == NULL || *text == '\0' || strlen(text) != json_string_length(item))
            return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected patterns of names, found something else", where,
                           key);
        st = append(list, text, where);
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
    if (rank < 0 || rank > RANK_MAX)
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: rank: expected 0 to %d, found %lld", where, RANK_MAX,
                       (long long)rank));
    AE_TRY(ae_json_real(o, "alpha", where, &a->alpha));
    AE_TRY(check_kinds(o, where));
    a->rank = (ptrdiff_t)rank;
    a->by_root = json_is_true(json_object_get(o, "rslora"));
out:
    return st;
}

static ae_status read_fingerprint(ae_adapter_source *s, const json_t *o, const char *where) {
    const char *text = json_string_value(json_object_get(o, "base_fingerprint"));
    const bool is = strlen(text) == AE_FINGERPRINT_BYTES - 1 &&
                    strspn(text, "0123456789abcdef") == AE_FINGERPRINT_BYTES - 1;
    if (is) memcpy(s->fingerprint, text, AE_FINGERPRINT_BYTES);
    return expect(o, "base_fingerprint", is, "16 hexadecimal digits", where);
}

/* What trained: all adapters, the head, and what adapter.json names. */
static ae_status read_lists(ae_adapter_source *s, const json_t *o, const char *where) {
    const size_t targets = json_array_size(json_object_get(o, "targets")),
                 whole = json_array_size(json_object_get(o, "whole"));
    const ptrdiff_t rank = s->options.adapters.rank;
    ae_status st;
    s->targets = calloc(targets + 1, sizeof *s->targets);
    s->train = calloc(whole + 3, sizeof *s->train);
    if (s->targets == NULL || s->train == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    AE_TRY(append_patterns(s->targets, o, "targets", where));
    if (rank > 0) AE_TRY(append(s->train, all_adapters, where));
    if (s->options.score_head) AE_TRY(append(s->train, head, where));
    AE_TRY(append_patterns(s->train, o, "whole", where));
    AE_TRY(
        expect(o, "targets", (targets > 0) == (rank > 0), rank > 0 ? "patterns" : "none with rank 0", where));
    AE_TRY(expect(o, "whole", s->train[0] != NULL, "something that trained", where));
    s->options.adapters.on = (const char *const *)s->targets;
    s->options.train = (const char *const *)s->train;
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

/* ---- opening ---- */

bool ae_adapter_is_there(const char *folder) {
    return ae_path_has(folder, ae_adapter_file);
}

/* As of a model: small files are read whole, weights are only as long. */
static ae_status check_small_files(const ae_adapter_source *s) {
    ae_done d;
    ae_status st;
    AE_TRY(ae_done_read(&d, s->folder));
    AE_TRY(ae_done_check(&d, s->folder, ae_adapter_file, false, true));
    AE_TRY(ae_done_check(&d, s->folder, "tokenizer.model", true, true));
    AE_TRY(ae_done_check(&d, s->folder, "weights.h5", false, false));
out:
    ae_done_free(&d);
    return st;
}

ae_status ae_adapter_source_open(ae_adapter_source *s, const char *folder) {
    ae_status st;
    *s = (ae_adapter_source){.folder = ae_path_join("", folder),
                             .tensors = ae_path_join(folder, "weights.h5")};
    if (!ae_adapter_is_there(folder))
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: expected an adapter: a folder with %s; found none", folder,
                       ae_adapter_file));
    if (!ae_path_has(folder, "DONE"))
        AE_TRY(AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a complete checkpoint, found one without DONE: its writing was cut off; "
                       "take an earlier one",
                       folder));
    AE_TRY(check_small_files(s));
    AE_TRY(read_json(s));
    if (ae_path_has(folder, "tokenizer.model")) s->tokenizer = ae_path_join(folder, "tokenizer.model");
out:
    if (st != AE_OK) ae_adapter_source_free(s);
    return st;
}

void ae_adapter_source_free(ae_adapter_source *s) {
    free(s->folder);
    free(s->tensors);
    free(s->tokenizer);
    free(s->base);
    free_list(s->targets);
    free_list(s->train);
    *s = (ae_adapter_source){0};
}

ae_status ae_adapter_tensors_open(ae_tensors **out, const ae_adapter_source *s) {
    return ae_tensors_open(out, s->tensors);
}

/* ---- whether it belongs to a base ---- */

static ae_status check_weights_file(const ae_adapter_source *s) {
    ae_done d;
    ae_status st = ae_done_read(&d, s->folder);
    if (st == AE_OK) st = ae_done_check(&d, s->folder, "weights.h5", false, true);
    ae_done_free(&d);
    return st;
}

/* A pattern that finds nothing in the base is a fault of the adapter's file. */
static ae_status make_table(ae_params *params, const ae_adapter_source *s, const ae_model_source *base) {
    const ae_status st = ae_params_init_with(params, &base->config, &s->options);
    if (st != AE_ERR_USAGE) return st;
    ae_fail_prefix("%s: beside %s: ", s->folder, base->folder);
    return AE_ERR_INPUT;
}

static ae_status check_base(const ae_adapter_source *s, const ae_params *params,
                            const ae_model_source *base) {
    ae_tensors *t = NULL;
    char found[AE_FINGERPRINT_BYTES];
    ae_status st;
    AE_TRY(ae_tensors_open(&t, base->tensors));
    AE_TRY(ae_tensors_fingerprint(params, t, found));
    if (strcmp(found, s->fingerprint) != 0)
        st = AE_FAIL(AE_ERR_INPUT,
                     "%s: expected the base that it was trained on, %s (fingerprint %s), found %s (%s)",
                     s->folder, s->base, s->fingerprint, base->folder, found);
out:
    ae_tensors_close(t);
    return st;
}

/* Nothing else than what trained: the rest would take the place of the base's values in silence. */
static ae_status check_tensors(const ae_adapter_source *s, const ae_params *params) {
    static const ae_params_match_options beside = {.lacks_frozen = true};
    ae_tensors *t = NULL;
    ae_status st;
    AE_TRY(ae_tensors_open(&t, s->tensors));
    for (ptrdiff_t i = 0; i < ae_tensors_count(t); i++) {
        const ae_param *p = ae_params_find(params, ae_tensors_name(t, i));
        if (p == NULL || !p->trainable)
            AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: %s: a tensor that %s names nowhere", s->tensors,
                           ae_tensors_name(t, i), ae_adapter_file));
    }
    AE_TRY(ae_params_fit(params, t, s->tensors, &beside));
out:
    ae_tensors_close(t);
    return st;
}

ae_status ae_adapter_source_verify(const ae_adapter_source *s, const ae_model_source *base) {
    ae_params params = {0};
    ae_status st;
    AE_TRY(check_weights_file(s));
    AE_TRY(make_table(&params, s, base));
    AE_TRY(check_base(s, &params, base));
    AE_TRY(check_tensors(s, &params));
out:
    ae_params_free(&params);
    return st;
}
