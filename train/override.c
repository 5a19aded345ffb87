#include "train/override.h"

#include "core/json.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is fixed ---- */

typedef enum { GO_ON, BEGIN_ANEW, BEGIN_ANEW_IF_CARRIED } row_effect;

typedef struct {
    const char *name;
    row_effect rows;
    bool memory;      /* decides how many rows fit at once */
    bool is_derived;  /* compared by what it leads to, not as it stands */
    bool is_final;    /* cannot be overridden */
    const char *back; /* how to have it as it was; NULL: "set it back" */
} fixed_key;

static const fixed_key fixed[] = {
    {.name = "run.seed", .rows = BEGIN_ANEW},
    {.name = "model.init", .is_final = true},
    {.name = "data.shuffle", .rows = BEGIN_ANEW},
    {.name = "train.dtype", .memory = true},
    {.name = "train.row_tokens", .rows = BEGIN_ANEW, .memory = true},
    {.name = "train.batch_rows", .rows = BEGIN_ANEW_IF_CARRIED, .memory = true},
    {.name = "train.carry_state", .rows = BEGIN_ANEW, .memory = true},
    {.name = "optim.lr"},
    {.name = "optim.schedule"},
    {.name = "optim.warmup_steps"},
    {.name = "optim.decay_steps"},
    {.name = "optim.lr_final_ratio"},
    {.name = "optim.beta1"},
    {.name = "optim.beta2"},
    {.name = "optim.eps"},
    {.name = "optim.weight_decay"},
    {.name = "optim.clip_norm"},
    {.name = "train.steps", .is_derived = true},
    {.name = "data.train", .is_derived = true, .back = "give it sets of those hashes, in that order"},
    {.name = "data.tokenizer",
     .is_derived = true,
     .back = "prepare the text with tokenizer.model of the checkpoint"},
};

enum { N_FIXED = sizeof fixed / sizeof *fixed };

const char *ae_fixed_key(size_t i) {
    for (size_t k = 0; k < N_FIXED; k++)
        if (!fixed[k].is_derived && i-- == 0) return fixed[k].name;
    return NULL;
}

static const fixed_key *find_key(const char *name) {
    for (size_t i = 0; i < N_FIXED; i++)
        if (strcmp(fixed[i].name, name) == 0) return &fixed[i];
    return NULL;
}

/* ---- run.override ---- */

static const char BETWEEN[] = ", ";

/* The next word of the list at *at, which moves behind it; NULL at its end. */
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

/* "model.width" and the like: why not, rather than what was meant. */
static ae_status check_word(const char *word) {
    const char *words[N_FIXED];
    const fixed_key *key = find_key(word);
    if (key && !key->is_final) return AE_OK;
    if (key || strncmp(word, "model.", 6) == 0)
        return AE_FAIL(AE_ERR_USAGE,
                       "run.override: %s: a run keeps the shape it was started with; choose another run.dir",
                       word);
    for (size_t i = 0; i < N_FIXED; i++) words[i] = fixed[i].name;
    const char *near = ae_nearest_word(word, words, N_FIXED);
    return AE_FAIL(AE_ERR_USAGE,
                   "run.override: %s: expected a key that a run keeps when it goes on, found another%s%s; "
                   "leave it out",
                   word, near ? "; did you mean " : "", near ? near : "");
}

ae_status ae_override_check(const ae_train_config *c) {
    size_t n;
    const char *at = c->run.override, *word;
    ae_status st = AE_OK;
    while (st == AE_OK && (word = next_word(&at, &n)) != NULL) {
        char *copy = strndup(word, n);
        st = copy ? check_word(copy) : AE_FAIL(AE_ERR_RESOURCE, "run.override: out of memory");
        free(copy);
    }
    return st;
}

/* ---- what differs ---- */

ae_status ae_overrides_init(ae_overrides *o, const ae_train_config *c, int64_t step, const char *past) {
    *o = (ae_overrides){.config = c, .step = step};
    if (past) return ae_json_parse(&o->list, past, strlen(past), "state.json: overrides");
    o->list = json_array();
    return o->list ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "run.override: out of memory");
}

void ae_overrides_free(ae_overrides *o) {
    json_decref(o->list);
    *o = (ae_overrides){0};
}

static char *text_of(const json_t *value) {
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    return text ? text : strdup("nothing");
}

static ae_status refuse(const char *key, const char *then, const char *now, ae_status refusal) {
    const fixed_key *k = find_key(key);
    if (k && !k->is_final)
        return AE_FAIL(
            refusal,
            "%s: the run in this folder was started with %s, found %s; %s, choose another run.dir, or go "
            "on with run.override=%s",
            key, then, now, k->back ? k->back : "set it back", key);
    return AE_FAIL(refusal,
                   "%s: the run in this folder was started with %s, found %s; set it back, or choose another "
                   "run.dir, where model.init may start from a model of that shape",
                   key, then, now);
}

static ae_status note(ae_overrides *o, const fixed_key *key, const json_t *then, const json_t *now) {
    o->new_rows |=
        key->rows == BEGIN_ANEW || (key->rows == BEGIN_ANEW_IF_CARRIED && o->config->train.carry_state);
    o->new_memory |= key->memory;
    json_t *entry = json_pack("{s:I, s:s, s:O?, s:O?}", "step", (json_int_t)o->step, "key", key->name, "from",
                              then, "to", now);
    if (json_array_append_new(o->list, entry) == 0) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "run.override: out of memory");
}

ae_status ae_override_take(ae_overrides *o, const char *key, const json_t *then, const json_t *now,
                           ae_status refusal) {
    char *from = text_of(then), *to = text_of(now);
    ae_status st = AE_OK;
    if (!from || !to) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "run.override: out of memory"));
    if (!find_key(key) || !is_listed(o->config, key)) AE_TRY(refuse(key, from, to, refusal));
    ae_log("run.override: %s is %s behind step %lld, was %s", key, to, (long long)o->step, from);
    AE_TRY(note(o, find_key(key), then, now));
out:
    free(from);
    free(to);
    return st;
}

bool ae_override_was_taken(const ae_overrides *o, const char *key) {
    size_t i;
    const json_t *entry;
    json_array_foreach(o->list, i, entry) {
        const char *taken = json_string_value(json_object_get(entry, "key"));
        if (taken && strcmp(taken, key) == 0) return true;
    }
    return false;
}

ae_status ae_overrides_json(const ae_overrides *o, char **json) {
    *json = json_dumps(o->list, JSON_COMPACT | JSON_REAL_PRECISION(17));
    return *json ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "run.override: out of memory");
}
