#include "data/mixture.h"

#include "core/config.h"
#include "core/json.h"

#include <math.h>
#include <string.h>

static const char WHERE[] = "data.train";

static ae_status check_keys(const json_t *o, const char *const *known, size_t n) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)o, key, value) {
        bool found = false;
        for (size_t i = 0; i < n; i++) found = found || strcmp(key, known[i]) == 0;
        if (found) continue;
        const char *near = ae_nearest_word(key, known, n);
        return AE_FAIL(AE_ERR_USAGE, "%s: unknown key '%s'; %s%s", WHERE, key,
                       near ? "did you mean " : "expected ", near ? near : known[0]);
    }
    return AE_OK;
}

/* The sets of one mixture must speak of the same ids. */
static ae_status check_agreement(const ae_token_set *a, const ae_token_set *b) {
    if (ae_token_set_vocab_size(a) != ae_token_set_vocab_size(b))
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: expected a vocabulary of %lld as in %s, found %lld; prepare both with one tokenizer",
            ae_token_set_path(b), (long long)ae_token_set_vocab_size(a), ae_token_set_path(a),
            (long long)ae_token_set_vocab_size(b));
    size_t na = 0, nb = 0;
    const void *ta = ae_token_set_tokenizer(a, &na), *tb = ae_token_set_tokenizer(b, &nb);
    if (!ta || !tb || (na == nb && memcmp(ta, tb, na) == 0)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected the tokenizer of %s, found another; prepare both with one tokenizer",
                   ae_token_set_path(b), ae_token_set_path(a));
}

static ae_status check_with_all(const ae_mixture *m, const ae_token_set *s) {
    for (size_t i = 0; i < m->n_sets; i++) {
        const ae_status st = check_agreement(m->sets[i], s);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

/* The place of a set in the mixture; opened when it is new. */
static ae_status find_set(ae_mixture *m, const char *path, size_t *at) {
    for (*at = 0; *at < m->n_sets; ++*at)
        if (strcmp(ae_token_set_path(m->sets[*at]), path) == 0) return AE_OK;
    if (m->n_sets == AE_MIXTURE_SETS_MAX)
        return AE_FAIL(AE_ERR_USAGE, "%s: expected at most %d token sets, found more", WHERE,
                       AE_MIXTURE_SETS_MAX);
    ae_token_set *s = NULL;
    ae_status st = ae_token_set_open(&s, path);
    if (st == AE_OK) st = check_with_all(m, s);
    if (st == AE_OK)
        m->sets[m->n_sets++] = s;
    else
        ae_token_set_close(s);
    return st;
}

static ae_status read_weight(const json_t *value, double *weight) {
    *weight = value ? json_number_value(value) : 1;
    if ((!value || json_is_number(value)) && isfinite(*weight) && *weight >= 0) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%s: weight: expected a number of 0 or more, found another value", WHERE);
}

/* One entry: a path, or {path, weight}. */
static ae_status add_entry(ae_mixture *m, ae_phase *p, const json_t *entry) {
    static const char *const keys[] = {"path", "weight"};
    const bool is_object = json_is_object(entry);
    const char *path = json_string_value(is_object ? json_object_get(entry, "path") : entry);
    ae_status st = is_object ? check_keys(entry, keys, 2) : AE_OK;
    if (st != AE_OK) return st;
    if (!path || !*path)
        return AE_FAIL(AE_ERR_USAGE,
                       "%s: expected the path of a token set or {path, weight}, found something else", WHERE);
    double weight = 1;
    size_t at = 0;
    st = read_weight(is_object ? json_object_get(entry, "weight") : NULL, &weight);
    if (st == AE_OK) st = find_set(m, path, &at);
    if (st == AE_OK) p->weight[at] += weight;
    m->weighted |= is_object && json_object_get(entry, "weight");
    return st;
}

/* A path, one {path, weight} or a list of them. */
static ae_status read_sets(ae_mixture *m, ae_phase *p, const json_t *sets) {
    ae_status st = AE_OK;
    if (!json_is_array(sets)) {
        st = add_entry(m, p, sets);
    } else {
        for (size_t i = 0; i < json_array_size(sets) && st == AE_OK; i++)
            st = add_entry(m, p, json_array_get(sets, i));
    }
    double sum = 0;
    for (size_t i = 0; i < m->n_sets; i++) sum += p->weight[i];
    if (st != AE_OK || (sum > 0 && isfinite(sum))) return st;
    return AE_FAIL(AE_ERR_USAGE, "%s: expected a token set with a weight above 0, found none", WHERE);
}

static ae_status read_phase(ae_mixture *m, const json_t *o) {
    static const char *const keys[] = {"from_step", "sets"};
    if (!json_is_object(o) || !json_object_get(o, "sets"))
        return AE_FAIL(AE_ERR_USAGE, "%s: expected phases {from_step, sets}, found something else among them",
                       WHERE);
    const ae_status st = check_keys(o, keys, 2);
    if (st != AE_OK) return st;
    if (m->n_phases == AE_MIXTURE_PHASES_MAX)
        return AE_FAIL(AE_ERR_USAGE, "%s: expected at most %d phases, found more", WHERE,
                       AE_MIXTURE_PHASES_MAX);
    ae_phase *p = &m->phases[m->n_phases];
    const json_t *from = json_object_get(o, "from_step");
    p->from_step = from ? json_integer_value(from) : 1;
    const int64_t before = m->n_phases ? p[-1].from_step : 0;
    if (p->from_step <= before || (m->n_phases == 0 && p->from_step != 1))
        return AE_FAIL(AE_ERR_USAGE, "%s: from_step: expected %s%lld, found %lld", WHERE,
                       m->n_phases ? "more than " : "", (long long)(m->n_phases ? before : 1),
                       (long long)p->from_step);
    m->n_phases++;
    return read_sets(m, p, json_object_get(o, "sets"));
}

static bool has_phases(const json_t *tree) {
    const json_t *first = json_array_get(tree, 0);
    return json_object_get(first, "sets") || json_object_get(first, "from_step");
}

static ae_status read_tree(ae_mixture *m, const json_t *tree) {
    ae_status st = AE_OK;
    if (has_phases(tree)) {
        for (size_t i = 0; i < json_array_size(tree) && st == AE_OK; i++)
            st = read_phase(m, json_array_get(tree, i));
        return st;
    }
    m->n_phases = 1;
    m->phases[0].from_step = 1;
    return read_sets(m, &m->phases[0], tree);
}

ae_status ae_mixture_open(ae_mixture *m, const char *tree) {
    json_t *root = NULL;
    *m = (ae_mixture){0};
    const char *text = tree ? tree : "";
    const bool is_json = *text && strchr("\"[{", *text) != NULL;
    if (!is_json) root = json_string(text); /* a bare path */
    ae_status st = is_json ? ae_json_parse(&root, text, strlen(text), WHERE) : AE_OK;
    if (st == AE_OK) st = read_tree(m, root);
    json_decref(root);
    if (st != AE_OK) ae_mixture_close(m);
    return st;
}

ae_status ae_mixture_check_streams(const ae_mixture *m) {
    if (m->n_sets == 1) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "%s: expected one token set, found %zu: with train.carry_state a row continues the row "
                   "before it, so sets cannot take turns; prepare them into one set",
                   WHERE, m->n_sets);
}

void ae_mixture_close(ae_mixture *m) {
    for (size_t i = 0; i < m->n_sets; i++) ae_token_set_close(m->sets[i]);
    *m = (ae_mixture){0};
}

/* ---- which set a row comes from ---- */

static const ae_phase *phase_at(const ae_mixture *m, int64_t step) {
    const ae_phase *p = m->phases;
    for (size_t i = 1; i < m->n_phases && m->phases[i].from_step <= step; i++) p = &m->phases[i];
    return p;
}

/* Row g falls on the point g * golden ratio mod 1, so that every stretch of rows holds the sets in proportion
 * to their weights. */
static size_t draw_set(const ae_phase *p, size_t n_sets, int64_t g) {
    const double u = (double)(((uint64_t)g * UINT64_C(0x9E3779B97F4A7C15)) >> 11) * 0x1p-53;
    double total = 0, sum = 0;
    for (size_t i = 0; i < n_sets; i++) total += p->weight[i];
    size_t last = 0;
    for (size_t i = 0; i < n_sets; i++) {
        if (p->weight[i] <= 0) continue;
        last = i;
        sum += p->weight[i];
        if (u * total < sum) return i;
    }
    return last;
}

static bool has_one_set(const ae_phase *p, size_t n_sets) {
    size_t n = 0;
    for (size_t i = 0; i < n_sets; i++) n += p->weight[i] > 0;
    return n == 1;
}

size_t ae_mixture_draw(const ae_mixture *m, int64_t step, int64_t row) {
    return draw_set(phase_at(m, step), m->n_sets, row);
}

void ae_mixture_count(const ae_mixture *m, int64_t step, ptrdiff_t rows, int64_t *taken) {
    for (size_t i = 0; i < m->n_phases; i++) {
        const ae_phase *p = &m->phases[i];
        const int64_t end_step = i + 1 < m->n_phases && p[1].from_step < step ? p[1].from_step : step;
        const int64_t begin = (p->from_step - 1) * rows, end = (end_step - 1) * rows;
        if (begin >= end) break;
        if (has_one_set(p, m->n_sets)) {
            taken[draw_set(p, m->n_sets, 0)] += end - begin;
        } else {
            for (int64_t g = begin; g < end; g++) taken[draw_set(p, m->n_sets, g)]++;
        }
    }
}
