#include "data/example.h"

#include "data/render.h"
#include "data/row_keys.h"

#include <stdlib.h>
#include <string.h>

void ae_example_free(ae_example *e) {
    ae_ids_free(&e->tokens);
    ae_ids_free(&e->chosen);
    ae_ids_free(&e->rejected);
    free(e->mask);
    free(e->meta);
    *e = (ae_example){0};
}

int64_t ae_example_targets(const ae_example *e) {
    int64_t targets = e->chosen.n + e->rejected.n;
    for (ptrdiff_t i = 1; e->mask && i < e->tokens.n; i++) targets += e->mask[i];
    return targets;
}

/* ---- token ids ---- */

typedef struct {
    const json_t *row;
    const ae_example_rules *rules;
    const char *where;
} record;

static ae_status take_list(const record *r, ae_record_key field, const char *expected, const json_t **list) {
    *list = ae_record_get(r->row, r->rules->map, field);
    if (json_is_array(*list)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %s, found %s", r->where, r->rules->map->keys[field],
                   expected, ae_json_type_name(*list));
}

/* Entry i, a whole number from 0 to `most`. */
static ae_status take_entry(const record *r, ae_record_key field, const json_t *list, size_t i, int64_t most,
                            int64_t *value) {
    const json_t *v = json_array_get(list, i);
    const char *key = r->rules->map->keys[field];
    if (!json_is_integer(v))
        return AE_FAIL(AE_ERR_INPUT, "%s: %s[%zu]: expected a whole number, found %s", r->where, key, i,
                       ae_json_type_name(v));
    *value = json_integer_value(v);
    if (*value >= 0 && *value <= most) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s[%zu]: expected 0 to %lld, found %lld", r->where, key, i,
                   (long long)most, (long long)*value);
}

static ae_status take_ids(const record *r, ae_record_key field, ae_ids *ids) {
    const json_t *list = NULL;
    ae_status st = take_list(r, field, "a list of token ids", &list);
    if (st == AE_OK && json_array_size(list) == 0)
        st = AE_FAIL(AE_ERR_INPUT, "%s: %s: expected token ids, found an empty list", r->where,
                     r->rules->map->keys[field]);
    for (size_t i = 0; st == AE_OK && i < json_array_size(list); i++) {
        int64_t id = 0;
        st = take_entry(r, field, list, i, r->rules->vocab_size - 1, &id);
        if (st == AE_OK) st = ae_ids_append(ids, (int32_t)id);
    }
    return st;
}

static ae_status take_mask(const record *r, ptrdiff_t n, uint8_t **mask) {
    const json_t *list = NULL;
    ae_status st = take_list(r, AE_RECORD_LOSS_MASK, "a list of 0 and 1, one for each token", &list);
    if (st != AE_OK) return st;
    if (json_array_size(list) != (size_t)n)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected an entry for each of the %td tokens, found %zu",
                       r->where, r->rules->map->keys[AE_RECORD_LOSS_MASK], n, json_array_size(list));
    *mask = malloc((size_t)n);
    if (!*mask) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", r->where);
    for (size_t i = 0; st == AE_OK && i < (size_t)n; i++) {
        int64_t entry = 0;
        st = take_entry(r, AE_RECORD_LOSS_MASK, list, i, 1, &entry);
        (*mask)[i] = (uint8_t)entry;
    }
    return st;
}

static ae_status take_tokens(ae_example *e, const record *r) {
    ae_status st;
    if (r->rules->kind != AE_KIND_PAIRS) {
        AE_TRY(take_ids(r, AE_RECORD_TOKENS, &e->tokens));
        if (r->rules->kind == AE_KIND_CHAT) st = take_mask(r, e->tokens.n, &e->mask);
        return st;
    }
    AE_TRY(take_ids(r, AE_RECORD_PROMPT_TOKENS, &e->tokens));
    AE_TRY(take_ids(r, AE_RECORD_CHOSEN_TOKENS, &e->chosen));
    AE_TRY(take_ids(r, AE_RECORD_REJECTED_TOKENS, &e->rejected));
    AE_TRY(ae_pair_margin(r->row, r->rules->map, r->where, &e->has_margin, &e->margin));
    const bool same = e->chosen.n == e->rejected.n &&
                      memcmp(e->chosen.ids, e->rejected.ids, (size_t)e->chosen.n * sizeof(int32_t)) == 0;
    if (same)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected chosen and rejected to differ, found the same", r->where);
out:
    return st;
}

/* ---- text ---- */

static ae_status render_chat(ae_example *e, const record *r) {
    ae_dialogue d = {0};
    ae_rendered rendered = {0};
    ae_status st;
    AE_TRY(ae_chat_parse(&d, r->row, r->rules->map, r->where));
    AE_TRY(ae_render_dialogue(r->rules->tokenizer, &d, &rendered));
    e->tokens = rendered.ids;
    e->mask = rendered.mask;
    e->unused_turns = d.n - ae_dialogue_answered(&d);
    rendered.ids = (ae_ids){0};
    rendered.mask = NULL;
out:
    ae_rendered_free(&rendered);
    ae_dialogue_free(&d);
    return st;
}

static ae_status render_pair(ae_example *e, const record *r) {
    ae_pair p = {0};
    ae_status st;
    AE_TRY(ae_pair_parse(&p, r->row, r->rules->map, r->where));
    AE_TRY(ae_render_pair(r->rules->tokenizer, &p, &e->tokens, &e->chosen, &e->rejected));
    e->has_margin = p.has_margin;
    e->margin = p.margin;
out:
    ae_pair_free(&p);
    return st;
}

static ae_status render_prompt(ae_example *e, const record *r) {
    ae_dialogue d = {0};
    ae_status st;
    AE_TRY(ae_prompt_parse(&d, r->row, r->rules->map, r->where));
    AE_TRY(ae_render_prompt(r->rules->tokenizer, &d, &e->tokens));
out:
    ae_dialogue_free(&d);
    return st;
}

static ae_status render(ae_example *e, const record *r) {
    static const char *const wanted[] = {[AE_KIND_CHAT] = "tokens and loss_mask",
                                         [AE_KIND_PAIRS] = "prompt_tokens, chosen_tokens and rejected_tokens",
                                         [AE_KIND_PROMPTS] = "tokens"};
    if (!r->rules->tokenizer)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected %s, since there is no tokenizer for text, found no such keys", r->where,
                       wanted[r->rules->kind]);
    const ae_status st = ae_render_check(r->rules->tokenizer, r->where);
    if (st != AE_OK) return st;
    switch (r->rules->kind) {
    case AE_KIND_CHAT:
        return render_chat(e, r);
    case AE_KIND_PAIRS:
        return render_pair(e, r);
    default:
        return render_prompt(e, r);
    }
}

/* ---- rows ---- */

/* In one line, with as few digits as give its numbers back. */
static ae_status take_meta(ae_example *e, const record *r) {
    const json_t *meta = ae_record_get(r->row, r->rules->map, AE_RECORD_META);
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    if (r->rules->kind != AE_KIND_PROMPTS || !meta) return AE_OK;
    e->meta = json_dumps(meta, flags | JSON_REAL_PRECISION(15));
    json_t *back = e->meta ? json_loads(e->meta, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
    if (back && !json_equal(back, meta)) {
        free(e->meta);
        e->meta = json_dumps(meta, flags | JSON_REAL_PRECISION(17));
    }
    json_decref(back);
    return e->meta ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", r->where);
}

static ae_status fill(ae_example *e, const ae_example_rules *rules, const json_t *row, const char *where) {
    const record r = {row, rules, where};
    *e = (ae_example){0};
    ae_status st = ae_record_has_tokens(row, rules->map, rules->kind) ? take_tokens(e, &r) : render(e, &r);
    if (st == AE_OK) st = take_meta(e, &r);
    if (st != AE_OK) ae_example_free(e);
    return st;
}

static bool has_mapped_key(const json_t *row, const ae_record_map *m) {
    for (int f = 0; f < AE_RECORD_KEYS; f++)
        if (m->mapped[f] && ae_record_get(row, m, (ae_record_key)f)) return true;
    return false;
}

/* By the names that fields have; *row becomes what was read where that succeeds. */
static ae_status read_unmapped(ae_example *e, const ae_example_rules *rules, const char *line, size_t n,
                               const char *where, json_t **row) {
    json_t *own = NULL;
    ae_status st = ae_record_read(&own, rules->kind, rules->map, line, n, where);
    if (st == AE_OK) st = fill(e, rules, own, where);
    if (st != AE_OK) {
        json_decref(own);
        return st;
    }
    json_decref(*row);
    *row = own;
    return AE_OK;
}

/* A mapping serves files of several layouts: a row without any mapped key is read by the names that fields
 * have. Where that fails too, the message tells of the mapped ones. */
ae_status ae_example_read(ae_example *e, const ae_example_rules *rules, const char *line, size_t n,
                          const char *where) {
    ae_record_map names = {0};
    ae_example_rules by = *rules;
    json_t *row = NULL;
    ae_status st;
    *e = (ae_example){0};
    AE_TRY(ae_record_read(&row, rules->kind, rules->map, line, n, where));
    st = AE_ERR_INPUT;
    if (rules->map->text && !has_mapped_key(row, rules->map)) {
        AE_TRY(ae_record_map_init(&names, NULL));
        by.map = &names;
        st = read_unmapped(e, &by, line, n, where, &row);
        if (st != AE_OK) by.map = rules->map;
    }
    if (rules->told_key && !*rules->told_key)
        *rules->told_key = ae_row_keys_tell(row, rules->kind, by.map, line, n, where);
    if (st == AE_ERR_INPUT) st = fill(e, &by, row, where);
out:
    if (st == AE_ERR_INPUT && row) ae_row_keys_hint(row, rules->kind, by.map, line, n);
    json_decref(row);
    ae_record_map_free(&names);
    return st;
}
