#include "rlhf/rewards.h"

#include "core/config.h"
#include "rlhf/model_reward.h"
#include "rlhf/program_reward.h"
#include "rlhf/reward_kind.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const ae_reward_kind *const kinds[] = {&ae_reward_exact,  &ae_reward_number, &ae_reward_regex,
                                              &ae_reward_length, &ae_reward_words,  &ae_reward_model,
                                              &ae_reward_program};
enum { KINDS = sizeof kinds / sizeof *kinds, MOST_SOURCES = 64, MOST_KEYS = 16 };

typedef struct {
    const ae_reward_kind *kind;
    void *self;
    char *name;
    double weight;
} source;

struct ae_rewards {
    ae_rewards_facts facts;
    source *sources;
    size_t n;
    bool reads_text, reads_meta; /* some source does */
    bool started;
};

/* ---- the list ---- */

static ae_status refuse_kind(const char *where, const char *found) {
    static const char *const strange[][2] = {
        {"process", "rewards of single steps (process reward models) are not in this version"},
        {"prm", "rewards of single steps (process reward models) are not in this version"},
        {"tool", "tools are not in this version; a program may run what an answer asks for: kind program"},
        {"tools", "tools are not in this version; a program may run what an answer asks for: kind program"},
        {"judge", "ask a judge from a program: kind program"},
        {"llm", "ask another model from a program: kind program"},
    };
    const char *names[KINDS];
    char list[128] = "";
    for (size_t i = 0, used = 0; i < KINDS; i++) {
        names[i] = kinds[i]->name;
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        if (strcmp(found, strange[i][0]) == 0)
            return AE_FAIL(AE_ERR_USAGE, "%s.kind: expected one of %s, found '%s': %s", where, list, found,
                           strange[i][1]);
    const char *near = ae_nearest_word(found, names, KINDS);
    return AE_FAIL(AE_ERR_USAGE, "%s.kind: expected one of %s, found '%s'%s%s%s", where, list, found,
                   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static ae_status find_kind(const json_t *o, const char *where, const ae_reward_kind **kind) {
    const json_t *v = json_object_get(o, "kind");
    if (!json_is_string(v))
        return AE_FAIL(AE_ERR_USAGE, "%s.kind: expected the kind of the reward, such as exact, found %s",
                       where, ae_json_type_name(v));
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(json_string_value(v), kinds[i]->name) == 0) {
            *kind = kinds[i];
            return AE_OK;
        }
    return refuse_kind(where, json_string_value(v));
}

static ae_status check_keys(const json_t *o, const char *where, const ae_reward_kind *kind) {
    const char *known[MOST_KEYS] = {"kind", "name", "weight"}, *key;
    size_t n = 3;
    json_t *value;
    for (const char *const *k = kind->keys; *k; k++) known[n++] = *k;
    json_object_foreach((json_t *)o, key, value) {
        bool found = false;
        for (size_t i = 0; i < n; i++) found = found || strcmp(key, known[i]) == 0;
        if (found) continue;
        const char *near = ae_nearest_word(key, known, n);
        return AE_FAIL(AE_ERR_USAGE, "%s: unknown key '%s' of kind %s; %s%s", where, key, kind->name,
                       near ? "did you mean " : "expected such as ", near ? near : kind->keys[0]);
    }
    return AE_OK;
}

static bool is_taken(const ae_rewards *r, const char *name) {
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->sources[i].name, name) == 0) return true;
    return false;
}

/* KIND, or KIND2 and so on where that is taken. */
static char *name_of_kind(const ae_rewards *r, const char *kind) {
    char name[64];
    snprintf(name, sizeof name, "%s", kind);
    for (int i = 2; is_taken(r, name); i++) snprintf(name, sizeof name, "%s%d", kind, i);
    return strdup(name);
}

static bool is_name(const char *s) {
    for (const char *c = s; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_-.", *c)) return false;
    return *s != '\0';
}

static ae_status read_name(const ae_rewards *r, source *s, const json_t *o, const char *where) {
    const ae_status st = ae_reward_key_text(o, "name", where, &s->name);
    if (st != AE_OK) return st;
    if (!s->name) s->name = name_of_kind(r, s->kind->name);
    if (!s->name) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    if (!is_name(s->name))
        return AE_FAIL(AE_ERR_USAGE, "%s.name: expected letters, digits, '_', '-' and '.', found '%s'", where,
                       s->name);
    if (strcmp(s->name, "mean") == 0 || strcmp(s->name, "std") == 0)
        return AE_FAIL(AE_ERR_USAGE,
                       "%s.name: expected another name, since metrics have a reward_%s, found '%s'", where,
                       s->name, s->name);
    if (is_taken(r, s->name))
        return AE_FAIL(AE_ERR_USAGE, "%s.name: expected a name of its own, found '%s' again", where, s->name);
    return AE_OK;
}

static ae_status check_tokenizer(const ae_rewards *r, const char *where, const ae_reward_kind *kind) {
    if (!kind->needs_text || r->facts.tokenizer || r->facts.texts) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%s: expected a tokenizer, since %s reads text; found a policy without one",
                   where, kind->name);
}

/* The next source, which counts from here on: it is closed even where it is half open. */
static ae_status add_source(ae_rewards *r, const json_t *o, const char *where) {
    source s = {.weight = 1};
    ae_status st = AE_OK;
    if (!json_is_object(o))
        return AE_FAIL(AE_ERR_USAGE, "%s: expected {kind: ..., ...}, found %s", where, ae_json_type_name(o));
    AE_TRY(find_kind(o, where, &s.kind));
    AE_TRY(check_keys(o, where, s.kind));
    AE_TRY(ae_reward_key_real(o, "weight", where, -1e9, 1e9, &s.weight));
    AE_TRY(read_name(r, &s, o, where));
    AE_TRY(check_tokenizer(r, where, s.kind));
    r->reads_text |= s.kind->reads_text;
    r->reads_meta |= s.kind->reads_meta;
    st = s.kind->open(&s.self, o, where, &r->facts);
    r->sources[r->n++] = s;
    return st;
out:
    free(s.name);
    return st;
}

static ae_status read_list(ae_rewards *r, const json_t *list) {
    const size_t n = json_array_size(list);
    if (json_object_size(list) > 0)
        return AE_FAIL(AE_ERR_USAGE,
                       "rl.rewards: expected a list [{kind: ..., ...}, ...], found one mapping; put it "
                       "in [ ]");
    if (!json_is_array(list))
        return AE_FAIL(AE_ERR_USAGE, "rl.rewards: expected a list [{kind: ..., ...}, ...], found %s",
                       ae_json_type_name(list));
    if (n == 0)
        return AE_FAIL(AE_ERR_USAGE,
                       "rl.rewards: expected at least one entry, such as {kind: exact}, found an empty "
                       "list");
    if (n > MOST_SOURCES)
        return AE_FAIL(AE_ERR_USAGE, "rl.rewards: expected at most %d entries, found %zu", MOST_SOURCES, n);
    r->sources = calloc(n + 1, sizeof *r->sources);
    if (!r->sources) return AE_FAIL(AE_ERR_RESOURCE, "rl.rewards: out of memory");
    for (size_t i = 0; i < n; i++) {
        char where[64];
        snprintf(where, sizeof where, "rl.rewards[%zu]", i);
        const ae_status st = add_source(r, json_array_get(list, i), where);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

ae_status ae_rewards_open(ae_rewards **out, const char *list_json, const ae_rewards_facts *facts) {
    json_t *list = NULL;
    ae_status st = AE_OK;
    ae_rewards *r = *out = calloc(1, sizeof *r);
    if (!r) return AE_FAIL(AE_ERR_RESOURCE, "rl.rewards: out of memory");
    r->facts = *facts;
    if (!list_json || !*list_json) return AE_OK;
    if (ae_json_parse(&list, list_json, strlen(list_json), "rl.rewards") != AE_OK) st = AE_ERR_USAGE;
    if (st == AE_OK) st = read_list(r, list);
    json_decref(list);
    if (st == AE_OK) return AE_OK;
    ae_rewards_close(r);
    *out = NULL;
    return st;
}

ae_status ae_rewards_start(ae_rewards *r) {
    ae_status st = AE_OK;
    if (r->started) return AE_OK;
    for (size_t i = 0; i < r->n && st == AE_OK; i++)
        if (r->sources[i].kind->start) st = r->sources[i].kind->start(r->sources[i].self);
    r->started = st == AE_OK;
    return st;
}

void ae_rewards_close(ae_rewards *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n; i++) {
        r->sources[i].kind->close(r->sources[i].self);
        free(r->sources[i].name);
    }
    free(r->sources);
    free(r);
}

/* ---- what there is ---- */

size_t ae_rewards_bytes(const ae_rewards *r) {
    size_t bytes = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->sources[i].kind->bytes) bytes += r->sources[i].kind->bytes(r->sources[i].self);
    return bytes;
}

size_t ae_rewards_sources(const ae_rewards *r) {
    return r->n;
}

const char *ae_rewards_name(const ae_rewards *r, size_t i) {
    return r->sources[i].name;
}

const char *ae_rewards_kind(const ae_rewards *r, size_t i) {
    return r->sources[i].kind->name;
}

const char *ae_rewards_model_path(const ae_rewards *r) {
    for (size_t i = 0; i < r->n; i++)
        if (r->sources[i].kind == &ae_reward_model) return ae_model_reward_path(r->sources[i].self);
    return NULL;
}

/* ---- giving ---- */

static ae_status read_meta(const char *meta, size_t n, json_t **out) {
    *out = NULL;
    if (!meta || n == 0) return AE_OK;
    return ae_json_parse(out, meta, n, "meta");
}

ae_status ae_rewards_check_meta(const ae_rewards *r, const char *meta, size_t meta_bytes) {
    json_t *read = NULL;
    if (!r->reads_meta) return AE_OK;
    ae_status st = read_meta(meta, meta_bytes, &read);
    for (size_t i = 0; i < r->n && st == AE_OK; i++)
        if (r->sources[i].kind->check_meta) st = r->sources[i].kind->check_meta(r->sources[i].self, read);
    json_decref(read);
    return st;
}

/* The answers as sources see them, and the texts that were made for it. */
typedef struct {
    ae_reward_input *items;
    char **texts; /* [2 n] prompt and answer; NULL where they were given */
    ptrdiff_t n;
} inputs;

static void inputs_free(inputs *in) {
    for (ptrdiff_t i = 0; i < in->n; i++) {
        if (in->items) json_decref((json_t *)in->items[i].meta);
        if (in->texts) free(in->texts[2 * i]);
        if (in->texts) free(in->texts[2 * i + 1]);
    }
    free(in->items);
    free(in->texts);
}

static ae_status read_texts(const ae_tokenizer *t, const ae_rewarded_answer *a, ae_reward_input *x,
                            char **texts) {
    ae_status st = AE_OK;
    x->prompt = a->prompt;
    x->prompt_bytes = a->prompt_bytes;
    x->answer = a->answer;
    x->answer_bytes = a->answer_bytes;
    if (!x->prompt && t) {
        AE_TRY(ae_rewarded_text(t, a->tokens, a->n_prompt, &texts[0], &x->prompt_bytes));
        x->prompt = texts[0];
    }
    if (!x->answer && t) {
        AE_TRY(ae_tokenizer_decode(t, a->tokens + a->n_prompt, a->n, &texts[1], &x->answer_bytes));
        x->answer = texts[1];
    }
out:
    return st;
}

static ae_status inputs_make(inputs *in, const ae_rewards *r, const ae_rewarded_answer *answers,
                             ptrdiff_t n) {
    ae_status st = AE_OK;
    in->n = n;
    in->items = calloc((size_t)n + 1, sizeof *in->items);
    in->texts = calloc(2 * (size_t)n + 1, sizeof *in->texts);
    if (!in->items || !in->texts) return AE_FAIL(AE_ERR_RESOURCE, "rewards of %td answers: out of memory", n);
    for (ptrdiff_t i = 0; i < n && st == AE_OK; i++) {
        ae_reward_input *x = &in->items[i];
        json_t *meta = NULL;
        x->given = &answers[i];
        if (r->reads_text) st = read_texts(r->facts.tokenizer, &answers[i], x, &in->texts[2 * i]);
        if (st == AE_OK && r->reads_meta) st = read_meta(answers[i].meta, answers[i].meta_bytes, &meta);
        x->meta = meta;
    }
    return st;
}

/* A weight or a reward of many digits may lead out of the numbers. */
static ae_status add_part(const ae_rewards *r, size_t i, double part, ae_reward_of *out) {
    const source *s = &r->sources[i];
    out->parts[i] = part;
    out->has = out->has && isfinite(part);
    out->total = out->has ? out->total + s->weight * part : 0;
    if (isfinite(out->total)) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "rl.rewards[%zu] (%s): expected a finite sum of rewards, found that weight %g times reward %g "
        "makes it infinite; give a smaller weight or rewards",
        i, s->name, s->weight, part);
}

/* Source i of all answers: its part of each, and its share of the totals. */
static ae_status give_of(ae_rewards *r, size_t i, const inputs *in, double *rewards, ae_reward_of *out) {
    const source *s = &r->sources[i];
    for (ptrdiff_t k = 0; k < in->n; k++) rewards[k] = NAN;
    ae_status st = s->kind->give(s->self, in->items, in->n, rewards);
    for (ptrdiff_t k = 0; k < in->n && st == AE_OK; k++) st = add_part(r, i, rewards[k], &out[k]);
    if (st != AE_OK && st != AE_ERR_INTERRUPTED && strncmp(ae_error_message(), "rl.rewards", 10) != 0)
        ae_fail_prefix("rl.rewards[%zu] (%s)", i, s->name);
    return st;
}

ae_status ae_rewards_give(ae_rewards *r, const ae_rewarded_answer *answers, ptrdiff_t n, ae_reward_of *out) {
    inputs in = {0};
    double *rewards = NULL;
    ae_status st;
    AE_TRY(ae_rewards_start(r));
    AE_TRY(inputs_make(&in, r, answers, n));
    rewards = malloc(((size_t)n + 1) * sizeof *rewards);
    if (!rewards) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "rewards of %td answers: out of memory", n));
    for (ptrdiff_t k = 0; k < n; k++) {
        out[k].total = 0;
        out[k].has = true;
    }
    for (size_t i = 0; i < r->n; i++) AE_TRY(give_of(r, i, &in, rewards, out));
out:
    free(rewards);
    inputs_free(&in);
    return st;
}
