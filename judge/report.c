#include "judge/report.h"

#include "judge/alpha.h"
#include "judge/ratio.h"
#include "judge/strength.h"

#include <stdlib.h>
#include <string.h>

enum { LEVELS = 5 };

/* Votes that stand, of raters that belong together. */
typedef struct {
    const ae_study *study;
    const ae_vote **votes; /* in the order of their items */
    size_t n;
    bool is_model;
    const char *name;
} group;

static int by_item(const void *x, const void *y) {
    const ae_vote *a = *(const ae_vote *const *)x, *b = *(const ae_vote *const *)y;
    return a->what.item != b->what.item ? (a->what.item > b->what.item) - (a->what.item < b->what.item)
                                        : (a > b) - (a < b);
}

/* Those of one rater; `rater` NULL: of all people. */
static ae_status group_init(group *g, const ae_study *s, const ae_votes *v, const char *rater) {
    *g = (group){.study = s, .votes = calloc(v->n + 1, sizeof *g->votes), .name = rater ? rater : "people"};
    if (!g->votes) return AE_FAIL(AE_ERR_RESOURCE, "report: out of memory");
    for (size_t i = 0; i < v->n; i++) {
        const ae_vote *vote = &v->items[i];
        if (!vote->stands || (rater ? strcmp(vote->rater, rater) != 0 : vote->is_model)) continue;
        g->votes[g->n++] = vote;
        g->is_model = vote->is_model;
    }
    qsort(g->votes, g->n, sizeof *g->votes, by_item);
    return AE_OK;
}

static void group_free(group *g) {
    free(g->votes);
    *g = (group){0};
}

/* ---- shares ---- */

/* The score of a vote in the question that is asked; false: the vote says nothing to it. */
typedef bool score_fn(const ae_vote *v, const ae_comparison *which, double *score);

static bool score_pair(const ae_vote *v, const ae_comparison *which, double *score) {
    *score = ae_vote_score(v);
    return v->what.a == which->a && v->what.b == which->b;
}

static bool score_left(const ae_vote *v, const ae_comparison *which, double *score) {
    (void)which;
    *score = v->choice < 0 ? 1 : v->choice > 0 ? 0 : 0.5;
    return true;
}

static bool score_acceptable(const ae_vote *v, const ae_comparison *which, double *score) {
    const int left = v->swapped ? v->what.b : v->what.a, right = v->swapped ? v->what.a : v->what.b;
    const int said = which->a == left ? v->acceptable[0] : which->a == right ? v->acceptable[1] : -1;
    *score = said;
    return said >= 0;
}

static void put_estimate(json_t *to, const ae_estimate *e, const char *value, const char *low,
                         const char *high) {
    if (value) json_object_set_new(to, value, ae_json_number(e->value));
    json_object_set_new(to, low, ae_json_number(e->low));
    json_object_set_new(to, high, ae_json_number(e->high));
}

static ae_status put_ratio(json_t *to, const ae_ratio *r) {
    ae_share share;
    json_int_t prompts = 0;
    const ae_status st = ae_ratio_share(r, &share);
    if (st != AE_OK) return st;
    for (ptrdiff_t u = 0; u < r->units; u++) prompts += r->counts[u] > 0;
    json_object_set_new(to, "prompts", json_integer(prompts));
    json_object_set_new(to, "votes", json_integer((json_int_t)share.votes));
    put_estimate(to, &share.normal, "value", "low", "high");
    put_estimate(to, &share.resampled, NULL, "resampled_low", "resampled_high");
    return AE_OK;
}

static ae_status put_share(json_t *to, const group *g, score_fn *score_of, ae_comparison which) {
    ae_ratio r;
    double score = 0;
    ae_status st = ae_ratio_init(&r, g->study->n_items);
    if (st != AE_OK) return st;
    for (size_t i = 0; i < g->n; i++)
        if (score_of(g->votes[i], &which, &score)) ae_ratio_add(&r, g->votes[i]->what.item, score);
    st = put_ratio(to, &r);
    ae_ratio_free(&r);
    return st;
}

/* ---- the parts of a group ---- */

static json_t *leans_of(const int64_t *leans) {
    json_t *list = json_array();
    for (int i = 0; i < LEVELS; i++) json_array_append_new(list, json_integer(leans[i]));
    return list;
}

static ae_status add_pair(json_t *pairs, const group *g, int a, int b) {
    int64_t leans[LEVELS] = {0};
    for (size_t i = 0; i < g->n; i++)
        if (g->votes[i]->what.a == a && g->votes[i]->what.b == b) leans[ae_vote_lean(g->votes[i]) + 2]++;
    json_t *pair =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:o}", "a", g->study->models[a], "b", g->study->models[b],
                  "wins", (json_int_t)(leans[3] + leans[4]), "ties", (json_int_t)leans[2], "losses",
                  (json_int_t)(leans[0] + leans[1]), "leans", leans_of(leans));
    json_array_append_new(pairs, pair);
    return put_share(pair, g, score_pair, (ae_comparison){0, a, b});
}

static ae_status put_pairs(json_t *to, const group *g) {
    json_t *pairs = json_array();
    ae_status st = AE_OK;
    json_object_set_new(to, "pairs", pairs);
    for (int a = 0; st == AE_OK && a < g->study->n_models; a++)
        for (int b = a + 1; st == AE_OK && b < g->study->n_models; b++) st = add_pair(pairs, g, a, b);
    return st;
}

static ae_status put_strengths(json_t *to, const group *g) {
    const int models = g->study->n_models;
    ae_estimate found[AE_STUDY_MODELS_MAX];
    ae_duel *duels = calloc(g->n + 1, sizeof *duels);
    if (!duels) return AE_FAIL(AE_ERR_RESOURCE, "report: out of memory");
    for (size_t i = 0; i < g->n; i++) {
        const ae_vote *v = g->votes[i];
        duels[i] = (ae_duel){v->what.item, v->what.a, v->what.b, ae_vote_score(v)};
    }
    const ae_status st = ae_strengths(found, duels, (ptrdiff_t)g->n, models);
    free(duels);
    if (st != AE_OK) return st;
    json_t *list = json_array();
    for (int i = 0; i < models; i++) {
        json_t *row = json_pack("{s:s}", "model", g->study->models[i]);
        put_estimate(row, &found[i], "value", "low", "high");
        json_array_append_new(list, row);
    }
    json_object_set_new(to, "strengths", list);
    return AE_OK;
}

static ae_status put_acceptable(json_t *to, const group *g) {
    json_t *list = json_array();
    ae_status st = AE_OK;
    json_object_set_new(to, "acceptable", list);
    for (int i = 0; st == AE_OK && i < g->study->n_models; i++) {
        json_t *row = json_pack("{s:s}", "model", g->study->models[i]);
        json_array_append_new(list, row);
        st = put_share(row, g, score_acceptable, (ae_comparison){0, i, i});
    }
    return st;
}

/* The unit is a comparison, its ratings what raters lean to. */
static ae_status put_agreement(json_t *to, const group *g) {
    const int pairs = ae_study_pairs(g->study), models = g->study->n_models;
    const ptrdiff_t units = g->study->n_items * pairs;
    ptrdiff_t judged = 0;
    ae_estimate alpha;
    int32_t *counts = calloc((size_t)units * LEVELS, sizeof *counts);
    if (!counts) return AE_FAIL(AE_ERR_RESOURCE, "report: out of memory");
    for (size_t i = 0; i < g->n; i++) {
        const ae_vote *v = g->votes[i];
        const ptrdiff_t pair = v->what.a * (2 * models - v->what.a - 1) / 2 + v->what.b - v->what.a - 1;
        counts[(v->what.item * pairs + pair) * LEVELS + ae_vote_lean(v) + 2]++;
    }
    for (ptrdiff_t u = 0; u < units; u++) {
        int32_t n = 0;
        for (int c = 0; c < LEVELS; c++) n += counts[u * LEVELS + c];
        judged += n > 0;
    }
    const ae_status st = ae_alpha_ordinal(&alpha, counts, units, LEVELS);
    free(counts);
    if (st != AE_OK) return st;
    json_t *agreement = json_object();
    put_estimate(agreement, &alpha, "value", "low", "high");
    json_object_set_new(to, "comparisons", json_integer((json_int_t)judged));
    json_object_set_new(to, "agreement", agreement);
    return AE_OK;
}

static int side_of(const ae_vote *v) {
    const int lean = ae_vote_lean(v);
    return (lean > 0) - (lean < 0);
}

/* Each vote of the model beside each of people on the same comparison. */
static ae_status put_with_people(json_t *to, const group *g, const group *people) {
    ae_ratio r;
    json_t *share = json_object();
    size_t from = 0;
    json_object_set_new(to, "with_people", share);
    ae_status st = ae_ratio_init(&r, g->study->n_items);
    if (st != AE_OK) return st;
    for (size_t i = 0; i < g->n; i++) {
        const ae_comparison *c = &g->votes[i]->what;
        while (from < people->n && people->votes[from]->what.item < c->item) from++;
        for (size_t k = from; k < people->n && people->votes[k]->what.item == c->item; k++) {
            const ae_comparison *d = &people->votes[k]->what;
            if (c->a == d->a && c->b == d->b)
                ae_ratio_add(&r, c->item, side_of(g->votes[i]) == side_of(people->votes[k]));
        }
    }
    st = put_ratio(share, &r);
    ae_ratio_free(&r);
    return st;
}

/* ---- raters ---- */

static ae_status add_rater(json_t *list, const ae_study *s, const ae_votes *v, const char *rater) {
    group own;
    size_t ties = 0;
    json_t *row = json_object(), *left = json_object(), *rate = json_object();
    json_array_append_new(list, row);
    json_object_set_new(row, "rater", json_string(rater));
    json_object_set_new(row, "left", left);
    json_object_set_new(row, "rate", s->n_models == 2 ? rate : json_null());
    ae_status st = group_init(&own, s, v, rater);
    for (size_t i = 0; st == AE_OK && i < own.n; i++) ties += own.votes[i]->choice == 0;
    json_object_set_new(row, "votes", json_integer((json_int_t)own.n));
    json_object_set_new(row, "ties", json_integer((json_int_t)ties));
    if (st == AE_OK) st = put_share(left, &own, score_left, (ae_comparison){0});
    if (st == AE_OK && s->n_models == 2) st = put_share(rate, &own, score_pair, (ae_comparison){0, 0, 1});
    if (s->n_models != 2) json_decref(rate);
    group_free(&own);
    return st;
}

/* Whether a vote is the first of its rater that stands. */
static bool is_first(const ae_votes *v, size_t at) {
    if (!v->items[at].stands) return false;
    for (size_t i = 0; i < at; i++)
        if (v->items[i].stands && strcmp(v->items[i].rater, v->items[at].rater) == 0) return false;
    return true;
}

static ae_status put_raters(json_t *to, const group *g, const ae_votes *v) {
    json_t *list = json_array();
    ae_status st = AE_OK;
    json_object_set_new(to, "by_rater", list);
    for (size_t i = 0; st == AE_OK && i < v->n; i++) {
        const ae_vote *vote = &v->items[i];
        const bool belongs = g->is_model ? strcmp(vote->rater, g->name) == 0 : !vote->is_model;
        if (belongs && is_first(v, i)) st = add_rater(list, g->study, v, vote->rater);
    }
    return st;
}

static void put_comments(json_t *to, const group *g) {
    json_t *list = json_array();
    for (size_t i = 0; i < g->n; i++) {
        const ae_vote *v = g->votes[i];
        if (v->comment)
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:s, s:s, s:i, s:s}", "rater", v->rater, "item",
                                ae_study_id(g->study, v->what.item), "a", g->study->models[v->what.a], "b",
                                g->study->models[v->what.b], "lean", ae_vote_lean(v), "comment", v->comment));
    }
    json_object_set_new(to, "comments", list);
}

/* ---- all ---- */

static ae_status add_group(json_t *groups, const group *g, const group *people, const ae_votes *v) {
    json_t *to = json_pack("{s:s, s:s, s:I}", "raters", g->name, "kind", g->is_model ? "model" : "person",
                           "votes", (json_int_t)g->n);
    json_t *left = json_object();
    ae_status st;
    json_array_append_new(groups, to);
    AE_TRY(put_agreement(to, g));
    AE_TRY(put_pairs(to, g));
    if (g->study->n_models > 2) AE_TRY(put_strengths(to, g));
    json_object_set(to, "left", left);
    AE_TRY(put_share(left, g, score_left, (ae_comparison){0}));
    AE_TRY(put_acceptable(to, g));
    if (g->is_model) AE_TRY(put_with_people(to, g, people));
    AE_TRY(put_raters(to, g, v));
    put_comments(to, g);
out:
    json_decref(left);
    return st;
}

static ae_status add_groups(json_t *groups, const ae_study *s, const ae_votes *v) {
    group people = {0};
    ae_status st = group_init(&people, s, v, NULL);
    if (st == AE_OK && people.n > 0) st = add_group(groups, &people, &people, v);
    for (size_t i = 0; st == AE_OK && i < v->n; i++) {
        group one = {0};
        if (!v->items[i].is_model || !is_first(v, i)) continue;
        st = group_init(&one, s, v, v->items[i].rater);
        if (st == AE_OK) st = add_group(groups, &one, &people, v);
        group_free(&one);
    }
    group_free(&people);
    return st;
}

ae_status ae_judge_report(const ae_study *s, const ae_votes *v, json_t **report) {
    json_t *models = json_array(), *groups = json_array();
    for (int i = 0; i < s->n_models; i++) json_array_append_new(models, json_string(s->models[i]));
    *report =
        json_pack("{s:s, s:o, s:I, s:I, s:o}", "study", s->folder, "models", models, "items",
                  (json_int_t)s->n_items, "comparisons", (json_int_t)s->n_comparisons, "groups", groups);
    if (!*report) return AE_FAIL(AE_ERR_RESOURCE, "report: out of memory");
    const ae_status st = add_groups(groups, s, v);
    if (st == AE_OK) return AE_OK;
    json_decref(*report);
    *report = NULL;
    return st;
}
