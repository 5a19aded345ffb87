#include "data/utf8.h"
#include "rlhf/reward_kind.h"
#include "rlhf/rule_text.h"

#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

/* Rewards by rules. The formulas stand in rlhf/rewards.h. */

/* What keys of all rules say. */
typedef struct {
    char *where;
    char *field; /* of meta; NULL: none is read */
    char *pattern;
    bool ignore_case, strip, last;
    int mode;                        /* of words */
    int64_t target, min, max, scale; /* 0: not given */
    json_t *list;
    /* of regex: what is compiled */
    regex_t regex;
    char *compiled; /* the pattern; NULL: none */
} rule;

enum { WORDS_COUNT, WORDS_ALL, WORDS_ANY, WORDS_NONE };

static void rule_close(void *self) {
    rule *r = self;
    if (!r) return;
    if (r->compiled) regfree(&r->regex);
    free(r->compiled);
    free(r->where);
    free(r->field);
    free(r->pattern);
    json_decref(r->list);
    free(r);
}

static ae_status no_memory(const char *where) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
}

/* Makes the rule and reads the keys that several kinds have. `field` NULL: there is no default. */
static ae_status rule_new(void **self, const json_t *o, const char *where, const char *field, rule **out) {
    rule *r = calloc(1, sizeof *r);
    ae_status st = AE_OK;
    *self = *out = r;
    if (!r) return no_memory(where);
    r->strip = r->last = true;
    r->where = strdup(where);
    if (field) r->field = strdup(field);
    if (!r->where || (field && !r->field)) return no_memory(where);
    AE_TRY(ae_reward_key_text(o, "field", where, &r->field));
    AE_TRY(ae_reward_key_bool(o, "ignore_case", where, &r->ignore_case));
    AE_TRY(ae_reward_key_bool(o, "strip", where, &r->strip));
    AE_TRY(ae_reward_key_bool(o, "last", where, &r->last));
out:
    return st;
}

/* ---- what meta says ---- */

/* meta[field], which has to be there. */
static ae_status meta_value(const rule *r, const json_t *meta, const char *expected, const json_t **value) {
    *value = json_object_get(meta, r->field);
    if (*value) return AE_OK;
    if (!meta)
        return AE_FAIL(AE_ERR_INPUT, "%s: meta.%s: expected %s, found no meta", r->where, r->field, expected);
    return AE_FAIL(AE_ERR_INPUT, "%s: meta.%s: expected %s, found %s", r->where, r->field, expected,
                   json_is_object(meta) ? "no such key" : ae_json_type_name(meta));
}

static ae_status refuse_value(const rule *r, const char *expected, const json_t *v) {
    return AE_FAIL(AE_ERR_INPUT, "%s: meta.%s: expected %s, found %s", r->where, r->field, expected,
                   ae_json_type_name(v));
}

/* Text, or a number as text, which the caller frees; NULL: it is neither, or there is no memory. */
static char *text_of(const json_t *v) {
    if (json_is_string(v)) return strdup(json_string_value(v));
    return json_is_number(v) ? json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;
}

/* The same of meta[field]. */
static ae_status meta_text(const rule *r, const json_t *meta, char **text) {
    static const char expected[] = "text or a number";
    const json_t *v = NULL;
    *text = NULL;
    const ae_status st = meta_value(r, meta, expected, &v);
    if (st != AE_OK) return st;
    if (!json_is_string(v) && !json_is_number(v)) return refuse_value(r, expected, v);
    *text = text_of(v);
    return *text ? AE_OK : no_memory(r->where);
}

static ae_status needs_text(const void *self, const json_t *meta) {
    char *text = NULL;
    const ae_status st = meta_text(self, meta, &text);
    free(text);
    return st;
}

/* ---- exact ---- */

static ae_status exact_open(void **self, const json_t *o, const char *where, const ae_rewards_facts *facts) {
    rule *r;
    (void)facts;
    return rule_new(self, o, where, "answer", &r);
}

/* A copy of the text as it is compared; NULL: no memory. */
static char *comparable(const rule *r, const char *text, size_t n, size_t *m) {
    if (r->strip) ae_text_trim(&text, &n);
    char *copy = malloc(n + 1);
    if (!copy) return NULL;
    memcpy(copy, text, n);
    copy[n] = '\0';
    if (r->ignore_case) ae_fold_case(copy, n);
    *m = n;
    return copy;
}

static ae_status exact_of(rule *r, const ae_reward_input *in, double *reward) {
    char *wanted = NULL, *a = NULL, *b = NULL;
    size_t m = 0, n = 0;
    ae_status st;
    AE_TRY(meta_text(r, in->meta, &wanted));
    a = comparable(r, in->answer, in->answer_bytes, &m);
    b = comparable(r, wanted, strlen(wanted), &n);
    if (a && b)
        *reward = m == n && memcmp(a, b, n) == 0;
    else
        st = no_memory(r->where);
out:
    free(wanted);
    free(a);
    free(b);
    return st;
}

/* ---- number ---- */

static ae_status meta_number(const rule *r, const json_t *meta, double *x) {
    static const char expected[] = "a number, or text with one";
    const json_t *v = NULL;
    const ae_status st = meta_value(r, meta, expected, &v);
    if (st != AE_OK) return st;
    if (json_is_number(v))
        *x = json_number_value(v);
    else if (!json_is_string(v))
        return refuse_value(r, expected, v);
    else if (!ae_number_in(json_string_value(v), json_string_length(v), true, x))
        return AE_FAIL(AE_ERR_INPUT, "%s: meta.%s: expected %s, found \"%.60s\"", r->where, r->field,
                       expected, json_string_value(v));
    return AE_OK;
}

static ae_status needs_number(const void *self, const json_t *meta) {
    double x;
    return meta_number(self, meta, &x);
}

static ae_status number_of(rule *r, const ae_reward_input *in, double *reward) {
    double wanted = 0, found = 0;
    const ae_status st = meta_number(r, in->meta, &wanted);
    if (st == AE_OK)
        *reward =
            ae_number_in(in->answer, in->answer_bytes, r->last, &found) && found >= wanted && found <= wanted;
    return st;
}

/* ---- regex ---- */

/* The pattern of the last call is kept, which is that of all where the list has it. */
static ae_status compile(rule *r, const char *pattern, ae_status refusal) {
    if (r->compiled && strcmp(r->compiled, pattern) == 0) return AE_OK;
    if (r->compiled) regfree(&r->regex);
    free(r->compiled);
    r->compiled = NULL;
    const int error =
        regcomp(&r->regex, pattern, REG_EXTENDED | REG_NOSUB | (r->ignore_case ? REG_ICASE : 0));
    if (error != 0) {
        char why[128];
        regerror(error, &r->regex, why, sizeof why);
        return AE_FAIL(refusal, "%s: expected a POSIX extended regular expression, found \"%.60s\": %s",
                       r->where, pattern, why);
    }
    r->compiled = strdup(pattern);
    if (r->compiled) return AE_OK;
    regfree(&r->regex);
    return no_memory(r->where);
}

static ae_status regex_open(void **self, const json_t *o, const char *where, const ae_rewards_facts *facts) {
    rule *r;
    (void)facts;
    ae_status st = rule_new(self, o, where, NULL, &r);
    if (st == AE_OK) st = ae_reward_key_text(o, "pattern", where, &r->pattern);
    if (st != AE_OK) return st;
    if (!r->pattern == !r->field)
        return AE_FAIL(AE_ERR_USAGE,
                       "%s: expected pattern, or field for a pattern in each prompt's meta, found %s", where,
                       r->field ? "both" : "neither");
    return r->pattern ? compile(r, r->pattern, AE_ERR_USAGE) : AE_OK;
}

static ae_status regex_needs(const void *self, const json_t *meta) {
    const rule *r = self;
    rule try = {.where = r->where};
    char *text = NULL;
    if (!r->field) return AE_OK;
    ae_status st = meta_text(r, meta, &text);
    if (st == AE_OK) st = compile(&try, text, AE_ERR_INPUT);
    if (try.compiled) regfree(&try.regex);
    free(try.compiled);
    free(text);
    return st;
}

static ae_status regex_of(rule *r, const ae_reward_input *in, double *reward) {
    char *pattern = NULL;
    ae_status st = r->field ? meta_text(r, in->meta, &pattern) : AE_OK;
    if (st == AE_OK && pattern) st = compile(r, pattern, AE_ERR_INPUT);
    if (st == AE_OK) *reward = regexec(&r->regex, in->answer, 0, NULL, 0) == 0;
    free(pattern);
    return st;
}

/* ---- length ---- */

static ae_status length_open(void **self, const json_t *o, const char *where, const ae_rewards_facts *facts) {
    enum { MOST = 1000000000 };
    rule *r;
    (void)facts;
    ae_status st = rule_new(self, o, where, NULL, &r);
    if (st != AE_OK) return st;
    AE_TRY(ae_reward_key_int(o, "target", where, 1, MOST, &r->target));
    AE_TRY(ae_reward_key_int(o, "min", where, 1, MOST, &r->min));
    AE_TRY(ae_reward_key_int(o, "max", where, 1, MOST, &r->max));
    AE_TRY(ae_reward_key_int(o, "scale", where, 1, MOST, &r->scale));
    if ((r->target > 0) == (r->min > 0 || r->max > 0))
        st = AE_FAIL(AE_ERR_USAGE, "%s: expected target, or min and max or one of them, found %s", where,
                     r->target ? "both" : "neither");
    else if (r->max > 0 && r->max < r->min)
        st = AE_FAIL(AE_ERR_USAGE, "%s.max: expected at least min, %lld, found %lld", where,
                     (long long)r->min, (long long)r->max);
    if (r->scale == 0) r->scale = r->target ? r->target : r->max ? r->max : r->min;
out:
    return st;
}

static ae_status length_of(rule *r, const ae_reward_input *in, double *reward) {
    const int64_t n = (int64_t)in->given->n;
    const int64_t over = r->max && n > r->max ? n - r->max : 0, under = n < r->min ? r->min - n : 0;
    if (r->target)
        *reward = fmax(0, 1 - fabs((double)(n - r->target)) / (double)r->scale);
    else
        *reward = 0 - fmin(1, (double)(over + under) / (double)r->scale);
    return AE_OK;
}

/* ---- words ---- */

static bool is_word(const json_t *v) {
    return json_is_number(v) || json_string_length(v) > 0;
}

static bool is_word_list(const json_t *v, bool one_is_fine) {
    size_t i;
    const json_t *w;
    if (is_word(v)) return one_is_fine;
    if (json_array_size(v) == 0) return false;
    json_array_foreach(v, i, w) if (!is_word(w)) return false;
    return true;
}

static ae_status words_open(void **self, const json_t *o, const char *where, const ae_rewards_facts *facts) {
    static const char *const modes[] = {"count", "all", "any", "none"};
    const json_t *list = json_object_get(o, "list");
    rule *r;
    (void)facts;
    ae_status st = rule_new(self, o, where, NULL, &r);
    if (st == AE_OK) st = ae_reward_key_choice(o, "mode", where, modes, 4, &r->mode);
    if (st != AE_OK) return st;
    if (json_is_null(list)) list = NULL;
    if (!list == !r->field)
        return AE_FAIL(AE_ERR_USAGE, "%s: expected list, or field for words in each prompt's meta, found %s",
                       where, list ? "both" : "neither");
    if (list && !is_word_list(list, false))
        return AE_FAIL(AE_ERR_USAGE, "%s.list: expected a list of words, found %s", where,
                       json_is_array(list) ? "an entry that is none, or no entry" : ae_json_type_name(list));
    r->list = list ? json_deep_copy(list) : NULL;
    return list && !r->list ? no_memory(where) : AE_OK;
}

static ae_status meta_words(const rule *r, const json_t *meta, const json_t **words) {
    static const char expected[] = "a word or a list of words";
    const ae_status st = meta_value(r, meta, expected, words);
    if (st != AE_OK || is_word_list(*words, true)) return st;
    return refuse_value(r, expected, *words);
}

static ae_status words_need(const void *self, const json_t *meta) {
    const rule *r = self;
    const json_t *words;
    return r->field ? meta_words(r, meta, &words) : AE_OK;
}

static ae_status count_word(const rule *r, const char *text, size_t n, const json_t *word, size_t *found) {
    char *folded = text_of(word);
    if (!folded) return no_memory(r->where);
    const size_t m = strlen(folded);
    ae_fold_case(folded, m);
    *found += ae_word_in(text, n, folded, m);
    free(folded);
    return AE_OK;
}

static double words_reward(int mode, size_t found, size_t wanted) {
    switch (mode) {
    case WORDS_ALL:
        return found == wanted;
    case WORDS_ANY:
        return found > 0;
    case WORDS_NONE:
        return found == 0;
    default:
        return (double)found / (double)wanted;
    }
}

static ae_status words_of(rule *r, const ae_reward_input *in, double *reward) {
    const json_t *words = r->list;
    size_t found = 0, m = 0;
    const rule as_it_stands = {.ignore_case = true};
    char *text = NULL;
    ae_status st = AE_OK;
    if (r->field) AE_TRY(meta_words(r, in->meta, &words));
    text = comparable(&as_it_stands, in->answer, in->answer_bytes, &m);
    if (!text) AE_TRY(no_memory(r->where));
    if (is_word(words)) AE_TRY(count_word(r, text, m, words, &found));
    for (size_t i = 0; i < json_array_size(words); i++)
        AE_TRY(count_word(r, text, m, json_array_get(words, i), &found));
    *reward = words_reward(r->mode, found, is_word(words) ? 1 : json_array_size(words));
out:
    free(text);
    return st;
}

/* ---- the kinds ---- */

#define RULE_GIVE(kind)                                                                                      \
    static ae_status kind##_give(void *self, const ae_reward_input *in, ptrdiff_t n, double *rewards) {      \
        ae_status st = AE_OK;                                                                                \
        for (ptrdiff_t i = 0; i < n && st == AE_OK; i++) st = kind##_of(self, &in[i], &rewards[i]);          \
        return st;                                                                                           \
    }
RULE_GIVE(exact)
RULE_GIVE(number)
RULE_GIVE(regex)
RULE_GIVE(length)
RULE_GIVE(words)

static const char *const exact_keys[] = {"field", "ignore_case", "strip", NULL};
static const char *const number_keys[] = {"field", "last", NULL};
static const char *const regex_keys[] = {"pattern", "field", "ignore_case", NULL};
static const char *const length_keys[] = {"target", "scale", "min", "max", NULL};
static const char *const words_keys[] = {"list", "field", "mode", NULL};

const ae_reward_kind ae_reward_exact = {.name = "exact",
                                        .keys = exact_keys,
                                        .reads_text = true,
                                        .needs_text = true,
                                        .reads_meta = true,
                                        .open = exact_open,
                                        .check_meta = needs_text,
                                        .give = exact_give,
                                        .close = rule_close};
const ae_reward_kind ae_reward_number = {.name = "number",
                                         .keys = number_keys,
                                         .reads_text = true,
                                         .needs_text = true,
                                         .reads_meta = true,
                                         .open = exact_open,
                                         .check_meta = needs_number,
                                         .give = number_give,
                                         .close = rule_close};
const ae_reward_kind ae_reward_regex = {.name = "regex",
                                        .keys = regex_keys,
                                        .reads_text = true,
                                        .needs_text = true,
                                        .reads_meta = true,
                                        .open = regex_open,
                                        .check_meta = regex_needs,
                                        .give = regex_give,
                                        .close = rule_close};
const ae_reward_kind ae_reward_length = {
    .name = "length", .keys = length_keys, .open = length_open, .give = length_give, .close = rule_close};
const ae_reward_kind ae_reward_words = {.name = "words",
                                        .keys = words_keys,
                                        .reads_text = true,
                                        .needs_text = true,
                                        .reads_meta = true,
                                        .open = words_open,
                                        .check_meta = words_need,
                                        .give = words_give,
                                        .close = rule_close};
