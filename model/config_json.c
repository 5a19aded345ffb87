#include "model/config_json.h"

#include <stdlib.h>
#include <string.h>

/* The native form: every size by a spelled-out key, one letter a block. */
typedef struct {
    const char *key;
    size_t offset;
} json_field;

#define AT(member) offsetof(ae_model_config, member)

static const json_field size_fields[] = {
    {"vocab", AT(V)}, {"width", AT(D)},       {"recurrent_width", AT(C)}, {"mlp_width", AT(E)},
    {"heads", AT(N)}, {"key_heads", AT(G)},   {"head_size", AT(H)},       {"window", AT(W)},
    {"taps", AT(K)},  {"blocks", AT(blocks)},
};
static const json_field real_fields[] = {
    {"rope_theta", AT(rope_theta)},
    {"rope_share", AT(rope_share)},
    {"norm_eps", AT(norm_eps)},
    {"soft_cap", AT(soft_cap)},
};
enum {
    N_SIZES = sizeof size_fields / sizeof *size_fields,
    N_REALS = sizeof real_fields / sizeof *real_fields
};

static void pattern_letters(const ae_model_config *c, char letters[AE_BLOCKS_MAX + 1]) {
    for (ptrdiff_t i = 0; i < c->blocks; i++) letters[i] = c->pattern[i] == AE_ATTENTION ? 'a' : 'r';
    letters[c->blocks] = '\0';
}

static bool holds(const json_t *list, int32_t id) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_integer_value(json_array_get(list, i)) == id) return true;
    return false;
}

static int add_once(json_t *list, int32_t id) {
    return holds(list, id) ? 0 : json_array_append_new(list, json_integer(id));
}

json_t *ae_model_ends_json(const ae_model_config *c, const int32_t *first, size_t n) {
    json_t *list = json_array();
    int failed = 0;
    for (size_t i = 0; i < n; i++)
        if (first[i] >= 0) failed |= add_once(list, first[i]);
    for (ptrdiff_t i = 0; i < c->n_ends; i++) failed |= add_once(list, c->ends[i]);
    if (!failed) return list;
    json_decref(list);
    return NULL;
}

int ae_model_reward_scale_add(const ae_model_config *c, json_t *o) {
    if (!(c->reward_std > 0)) return 0;
    int failed = json_object_set_new(o, "reward_shift", json_real(c->reward_shift));
    failed |= json_object_set_new(o, "reward_std", json_real(c->reward_std));
    return failed;
}

ae_status ae_model_reward_scale_read(ae_model_config *c, const json_t *o, const char *where) {
    ae_status st = AE_OK;
    if (!json_object_get(o, "reward_std")) return AE_OK;
    AE_TRY(ae_json_real(o, "reward_shift", where, &c->reward_shift));
    AE_TRY(ae_json_real(o, "reward_std", where, &c->reward_std));
    if (!(c->reward_std > 0))
        st = AE_FAIL(AE_ERR_INPUT, "%s: reward_std: expected a number above 0, found %g", where,
                     c->reward_std);
out:
    return st;
}

static ae_status read_ends(ae_model_config *c, const json_t *o, const char *where) {
    const json_t *list = json_object_get(o, "ends"), *id;
    size_t i;
    if (list != NULL && !json_is_array(list))
        return AE_FAIL(AE_ERR_INPUT, "%s: ends: expected a list of ids, found something else", where);
    json_array_foreach(list, i, id) {
        const json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= c->V)
            return AE_FAIL(AE_ERR_INPUT, "%s: ends: expected ids below %td, found something else", where,
                           c->V);
        if (!ae_model_config_add_end(c, (int32_t)value))
            return AE_FAIL(AE_ERR_INPUT, "%s: ends: expected at most %d ids, found more", where, AE_ENDS_MAX);
    }
    return AE_OK;
}

ae_status ae_model_config_to_json(const ae_model_config *c, char **text) {
    char letters[AE_BLOCKS_MAX + 1];
    pattern_letters(c, letters);
    json_t *o = json_object();
    int failed = 0;
    for (int i = 0; i < N_SIZES; i++) {
        const ptrdiff_t *at = (const void *)((const char *)c + size_fields[i].offset);
        failed |= json_object_set_new(o, size_fields[i].key, json_integer(*at));
    }
    for (int i = 0; i < N_REALS; i++) {
        const double *at = (const void *)((const char *)c + real_fields[i].offset);
        failed |= json_object_set_new(o, real_fields[i].key, json_real(*at));
    }
    failed |= json_object_set_new(o, "pattern", json_string(letters));
    failed |= json_object_set_new(o, "scale_embeddings", json_boolean(c->scale_embeddings));
    if (c->scale_exact) failed |= json_object_set_new(o, "scale_exact", json_true());
    if (c->no_biases) failed |= json_object_set_new(o, "biases", json_false());
    if (c->n_ends > 0) failed |= json_object_set_new(o, "ends", ae_model_ends_json(c, NULL, 0));
    failed |= ae_model_reward_scale_add(c, o);
    *text = failed == 0 ? ae_json_text(o) : NULL;
    json_decref(o);
    return *text != NULL ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "the model's configuration: out of memory");
}

static ae_status read_pattern(ae_model_config *c, const json_t *o, const char *where) {
    const char *letters = json_string_value(json_object_get(o, "pattern"));
    if (letters == NULL || strspn(letters, "ra") != strlen(letters) || strlen(letters) != (size_t)c->blocks)
        return AE_FAIL(AE_ERR_INPUT, "%s: pattern: expected %td letters r or a, one a block, found %s", where,
                       c->blocks, letters != NULL ? letters : "no text");
    for (ptrdiff_t i = 0; i < c->blocks; i++) c->pattern[i] = letters[i] == 'a' ? AE_ATTENTION : AE_RECURRENT;
    return AE_OK;
}

/* Absent: what shapes without that field were. */
static ae_status read_flag(const json_t *o, const char *key, const char *where, bool *value) {
    const json_t *found = json_object_get(o, key);
    if (found == NULL) return AE_OK;
    if (!json_is_boolean(found))
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected true or false, found neither", where, key);
    *value = json_is_true(found);
    return AE_OK;
}

static ae_status read_flags(ae_model_config *c, const json_t *o, const char *where) {
    bool biases = true;
    ae_status st;
    if (json_object_get(o, "scale_embeddings") == NULL)
        return AE_FAIL(AE_ERR_INPUT, "%s: scale_embeddings: expected true or false, found neither", where);
    AE_TRY(read_flag(o, "scale_embeddings", where, &c->scale_embeddings));
    AE_TRY(read_flag(o, "scale_exact", where, &c->scale_exact));
    AE_TRY(read_flag(o, "biases", where, &biases));
    c->no_biases = !biases;
out:
    return st;
}

static ae_status read_fields(ae_model_config *c, const json_t *o, const char *where) {
    ae_status st = AE_OK;
    for (int i = 0; i < N_SIZES; i++) {
        int64_t value = 0;
        AE_TRY(ae_json_int(o, size_fields[i].key, where, &value));
        *(ptrdiff_t *)(void *)((char *)c + size_fields[i].offset) = (ptrdiff_t)value;
    }
    for (int i = 0; i < N_REALS; i++)
        AE_TRY(ae_json_real(o, real_fields[i].key, where,
                            (double *)(void *)((char *)c + real_fields[i].offset)));
    AE_TRY(read_flags(c, o, where));
    if (c->blocks < 1 || c->blocks > AE_BLOCKS_MAX)
        return AE_FAIL(AE_ERR_INPUT, "%s: blocks: expected 1 to %d, found %td", where, AE_BLOCKS_MAX,
                       c->blocks);
    AE_TRY(read_pattern(c, o, where));
    AE_TRY(ae_model_config_check(c, where));
    AE_TRY(read_ends(c, o, where));
    AE_TRY(ae_model_reward_scale_read(c, o, where));
out:
    return st;
}

ae_status ae_model_config_from_json(ae_model_config *c, const char *text, const char *where) {
    json_t *root = NULL;
    ae_status st = ae_json_parse(&root, text, strlen(text), where);
    if (st != AE_OK) return st;
    *c = (ae_model_config){0};
    st = json_is_object(root)
             ? read_fields(c, root, where)
             : AE_FAIL(AE_ERR_INPUT, "%s: expected a JSON object, found something else", where);
    json_decref(root);
    return st;
}

/* ---- comparing ---- */

static ae_status differ(const char *where, const char *key, const char *want, const char *found,
                        const char *want_where) {
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %s as in %s, found %s", where, key, want, want_where,
                   found);
}

static ae_status agree_in_numbers(const ae_model_config *c, const char *where, const ae_model_config *want,
                                  const char *want_where) {
    char a[32], b[32];
    for (int i = 0; i < N_SIZES; i++) {
        const ptrdiff_t *x = (const void *)((const char *)want + size_fields[i].offset);
        const ptrdiff_t *y = (const void *)((const char *)c + size_fields[i].offset);
        snprintf(a, sizeof a, "%td", *x);
        snprintf(b, sizeof b, "%td", *y);
        if (*x != *y) return differ(where, size_fields[i].key, a, b, want_where);
    }
    for (int i = 0; i < N_REALS; i++) {
        const double *x = (const void *)((const char *)want + real_fields[i].offset);
        const double *y = (const void *)((const char *)c + real_fields[i].offset);
        snprintf(a, sizeof a, "%.9g", *x);
        snprintf(b, sizeof b, "%.9g", *y);
        if (*x != *y) return differ(where, real_fields[i].key, a, b, want_where);
    }
    return AE_OK;
}

static const char *yes_or_no(bool x) {
    return x ? "yes" : "no";
}

ae_status ae_model_config_agree(const ae_model_config *c, const char *where, const ae_model_config *want,
                                const char *want_where) {
    const ae_status st = agree_in_numbers(c, where, want, want_where);
    if (st != AE_OK) return st;
    char a[AE_BLOCKS_MAX + 1], b[AE_BLOCKS_MAX + 1];
    pattern_letters(want, a);
    pattern_letters(c, b);
    if (strcmp(a, b) != 0) return differ(where, "pattern", a, b, want_where);
    if (c->scale_embeddings != want->scale_embeddings)
        return differ(where, "scale_embeddings", yes_or_no(want->scale_embeddings),
                      yes_or_no(c->scale_embeddings), want_where);
    if (c->scale_exact != want->scale_exact)
        return differ(where, "scale_exact", yes_or_no(want->scale_exact), yes_or_no(c->scale_exact),
                      want_where);
    if (c->no_biases == want->no_biases) return AE_OK;
    return differ(where, "biases", yes_or_no(!want->no_biases), yes_or_no(!c->no_biases), want_where);
}
