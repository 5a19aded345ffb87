#include "train/override.h"

#include "core/json.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is fixed ---- */

enum { NAME_BYTES = 96 };

/* A key by its field, or a fact of the objective. */
typedef struct {
    unsigned marks;   /* 0: it is no fixed key */
    const char *back; /* NULL: "set it back" */
} fixed_key;

/* The dotted name of fixed key `i` of the table; NULL where field `i` is free. */
static const ae_field *fixed_field(const ae_train_config *c, size_t i, char *name, bool *more) {
    const char *section;
    const ae_field *f = ae_config_field(&c->table, i, &section);
    *more = f != NULL;
    if (!f || !(f->fixed & AE_KEY_FIXED)) return NULL;
    snprintf(name, NAME_BYTES, "%s.%s", section, f->key);
    return f;
}

static fixed_key find_key(const ae_train_config *c, const ae_fixed_fact *facts, const char *word) {
    fixed_key k = {0};
    char name[NAME_BYTES];
    bool more = true;
    for (size_t i = 0; more && k.marks == 0; i++) {
        const ae_field *f = fixed_field(c, i, name, &more);
        if (f && strcmp(name, word) == 0) k.marks = f->fixed;
    }
    for (; facts && facts->name; facts++)
        if (strcmp(facts->name, word) == 0) k = (fixed_key){k.marks | AE_KEY_FIXED, facts->back};
    return k;
}

/* ---- run.override ---- */

static const char BETWEEN[] = ", ";

/* The next word of the list at *at, which moves past it; NULL at its end. */
static const char *next_word(const char **at, size_t *n) {
    const char *word = *at + strspn(*at, BETWEEN);
    *n = strcspn(word, BETWEEN);
    *at = word + *n;
    return *n > 0 ? word : NULL;
}

static bool is_listed(const ae_train_config *c, const char *key) {
    size_t n;
    const char *at = c->run.override, *word;
    while ((word = next_word(&at, &n)) != NULL)
        if (strlen(key) == n && strncmp(key, word, n) == 0) return true;
    return false;
}

typedef struct {
    char names[AE_CONFIG_FIELDS_MAX][NAME_BYTES];
    const char *words[2 * AE_CONFIG_FIELDS_MAX];
    size_t n;
} word_list;

static void list_words(word_list *l, const ae_train_config *c, const ae_fixed_fact *facts) {
    bool more = true;
    l->n = 0;
    for (size_t i = 0; more; i++)
        if (fixed_field(c, i, l->names[l->n], &more)) {
            l->words[l->n] = l->names[l->n];
            l->n++;
        }
    for (; facts && facts->name && l->n < 2 * AE_CONFIG_FIELDS_MAX; facts++) l->words[l->n++] = facts->name;
}

static ae_status unknown_word(const ae_train_config *c, const ae_fixed_fact *facts, const char *word) {
    word_list *l = malloc(sizeof *l);
    if (!l) return AE_FAIL(AE_ERR_RESOURCE, "run.override: out of memory");
    list_words(l, c, facts);
    const char *near = ae_nearest_word(word, l->words, l->n);
    const ae_status st =
        AE_FAIL(AE_ERR_USAGE,
                "run.override: %s: expected a key that a run keeps when it goes on, found another%s%s; "
                "leave it out",
                word, near ? "; did you mean " : "", near ? near : "");
    free(l);
    return st;
}

/* Keys of adapters and of the weights beside them. */
static bool is_of_adapters(const char *key) {
    return strncmp(key, "lora.", 5) == 0 || strcmp(key, "model.base_dtype") == 0;
}

static bool is_of_shape(const char *key) {
    return strncmp(key, "model.", 6) == 0 && !is_of_adapters(key);
}

static ae_status check_word(const ae_train_config *c, const ae_fixed_fact *facts, const char *word) {
    const fixed_key key = find_key(c, facts, word);
    if (key.marks == 0) return unknown_word(c, facts, word);
    if (!(key.marks & AE_KEY_FINAL)) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "run.override: %s: %s with; choose another run.dir", word,
                   is_of_adapters(word)
                       ? "adapters keep the rank, scale, targets and base that they were started"
                   : is_of_shape(word) ? "a run keeps the shape it was started"
                                       : "a run keeps what it was started");
}

ae_status ae_override_check(const ae_train_config *c, const ae_fixed_fact *facts) {
    size_t n;
    const char *at = c->run.override, *word;
    ae_status st = AE_OK;
    while (st == AE_OK && (word = next_word(&at, &n)) != NULL) {
        char *copy = strndup(word, n);
        st = copy ? check_word(c, facts, copy) : AE_FAIL(AE_ERR_RESOURCE, "run.override: out of memory");
        free(copy);
    }
    return st;
}

/* ---- what differs ---- */

ae_status ae_overrides_init(ae_overrides *o, const ae_train_config *c, const ae_fixed_fact *facts,
                            int64_t step, const char *past) {
    ae_status st = AE_OK;
    *o = (ae_overrides){.config = c, .facts = facts, .step = step};
    if (past)
        st = ae_json_parse(&o->list, past, strlen(past), "state.json: overrides");
    else if (!(o->list = json_array()))
        st = AE_FAIL(AE_ERR_RESOURCE, "run.override: out of memory");
    o->before = json_array_size(o->list);
    return st;
}

void ae_overrides_free(ae_overrides *o) {
    json_decref(o->list);
    *o = (ae_overrides){0};
}

static char *text_of(const json_t *value) {
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    return text ? text : strdup("nothing");
}

static ae_status refuse(const fixed_key *k, const char *key, const char *then, const char *now,
                        ae_status refusal) {
    if (k->marks && !(k->marks & AE_KEY_FINAL))
        return AE_FAIL(
            refusal,
            "%s: the run in this folder was started with %s, found %s; %s, choose another run.dir, or go "
            "on with run.override=%s",
            key, then, now, k->back ? k->back : "set it back", key);
    const bool is_init = strcmp(key, "model.init") == 0;
    const char *why =
        is_of_adapters(key) ? ": adapters keep the rank, scale, targets and base that they were started with"
        : is_of_shape(key) && !is_init ? ", where model.init may start from a model of that shape"
                                       : "";
    return AE_FAIL(refusal,
                   "%s: the run in this folder was started with %s, found %s; set it back, or choose another "
                   "run.dir%s",
                   key, then, now, why);
}

static ae_status note(ae_overrides *o, const char *key, const json_t *then, const json_t *now) {
    json_t *entry =
        json_pack("{s:I, s:s, s:O?, s:O?}", "step", (json_int_t)o->step, "key", key, "from", then, "to", now);
    if (json_array_append_new(o->list, entry) == 0) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "run.override: out of memory");
}

ae_status ae_override_take_as(ae_overrides *o, const char *key, const json_t *then, const json_t *now,
                              const char *from, const char *to, ae_status refusal) {
    const fixed_key k = find_key(o->config, o->facts, key);
    if (!k.marks || (k.marks & AE_KEY_FINAL) || !is_listed(o->config, key))
        return refuse(&k, key, from, to, refusal);
    ae_log("run.override: %s is %s after step %lld, was %s", key, to, (long long)o->step, from);
    o->new_work |= (k.marks & AE_KEY_WORK) != 0;
    o->new_memory |= (k.marks & AE_KEY_MEMORY) != 0;
    o->new_score |= (k.marks & AE_KEY_SCORE) != 0;
    return note(o, key, then, now);
}

ae_status ae_override_take(ae_overrides *o, const char *key, const json_t *then, const json_t *now,
                           ae_status refusal) {
    char *from = text_of(then), *to = text_of(now);
    const ae_status st = from && to ? ae_override_take_as(o, key, then, now, from, to, refusal)
                                    : AE_FAIL(AE_ERR_RESOURCE, "run.override: out of memory");
    free(from);
    free(to);
    return st;
}

static bool is_taken_from(const ae_overrides *o, size_t i, const char *key) {
    for (; i < json_array_size(o->list); i++) {
        const char *taken = json_string_value(json_object_get(json_array_get(o->list, i), "key"));
        if (taken && strcmp(taken, key) == 0) return true;
    }
    return false;
}

bool ae_override_was_taken(const ae_overrides *o, const char *key) {
    return is_taken_from(o, 0, key);
}

bool ae_override_is_taken(const ae_overrides *o, const char *key) {
    return is_taken_from(o, o->before, key);
}

ae_status ae_overrides_json(const ae_overrides *o, char **json) {
    *json = json_dumps(o->list, JSON_COMPACT | JSON_REAL_PRECISION(17));
    return *json ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "run.override: out of memory");
}
