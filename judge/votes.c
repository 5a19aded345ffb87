#include "judge/votes.h"

#include "core/file.h"
#include "data/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEY_BYTES = AE_RATER_BYTES_MAX + 96 };

static const char *text_of(const json_t *line, const char *key) {
    return json_string_value(json_object_get(line, key));
}

ae_status ae_rater_check(const char *name) {
    const size_t n = name ? strlen(name) : 0;
    bool fine = n > 0 && n <= AE_RATER_BYTES_MAX && ae_utf8_prefix(name, n) == n;
    for (size_t i = 0; fine && i < n; i++) fine = (unsigned char)name[i] >= ' ' && name[i] != 127;
    if (fine && name[0] != ' ' && name[n - 1] != ' ') return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "rater: expected a name of 1 to %d bytes without control characters and blanks at its ends, found %s",
        AE_RATER_BYTES_MAX, n == 0 ? "none" : "another");
}

/* ---- a line ---- */

static ae_status read_text(const json_t *line, const char *key, const char *where, const char **text) {
    *text = text_of(line, key);
    if (*text) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected text, found %s", where, key,
                   ae_json_type_name(json_object_get(line, key)));
}

static ae_status read_view(const json_t *line, const char *where, const char **view) {
    const ae_status st = read_text(line, "view", where, view);
    if (st != AE_OK) return st;
    const size_t n = strlen(*view);
    if (n == AE_VIEW_BYTES - 1 && strspn(*view, "0123456789abcdef") == n) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: view: expected %d hexadecimal digits, found another text", where,
                   AE_VIEW_BYTES - 1);
}

static ae_status read_side(const ae_study *s, const json_t *line, const char *key, const char *where,
                           int *model) {
    const char *name;
    const ae_status st = read_text(line, key, where, &name);
    if (st != AE_OK) return st;
    *model = ae_study_find_model(s, name);
    if (*model >= 0) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected a model of the study, found %s", where, key, name);
}

static ae_status read_what(ae_vote *v, const ae_study *s, const char *where) {
    const char *id;
    int left = 0, right = 0;
    ae_status st = read_text(v->line, "item", where, &id);
    if (st == AE_OK) st = read_side(s, v->line, "left", where, &left);
    if (st == AE_OK) st = read_side(s, v->line, "right", where, &right);
    if (st != AE_OK) return st;
    v->swapped = left > right;
    v->what =
        (ae_comparison){ae_study_find_item(s, id), v->swapped ? right : left, v->swapped ? left : right};
    if (v->what.item < 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: item: expected one of the study, found %s", where, id);
    if (left != right && ae_study_answer(s, v->what.item, left) && ae_study_answer(s, v->what.item, right))
        return AE_OK;
    if (left != right)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected two models that answered item %s, found %s and %s", where,
                       id, s->models[left], s->models[right]);
    return AE_FAIL(AE_ERR_INPUT, "%s: right: expected another model than on the left, found the same", where);
}

static ae_status read_acceptable(ae_vote *v, int side, const char *key, const char *where) {
    const json_t *value = json_object_get(v->line, key);
    v->acceptable[side] = json_is_true(value) ? 1 : json_is_false(value) ? 0 : -1;
    if (!value || json_is_boolean(value) || json_is_null(value)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected true, false or null, found %s", where, key,
                   ae_json_type_name(value));
}

static ae_status read_choice(ae_vote *v, const char *where) {
    int64_t choice = 0;
    const ae_status st = ae_json_int(v->line, "choice", where, &choice);
    if (st != AE_OK) return st;
    v->choice = (int)choice;
    if (choice >= -2 && choice <= 2) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: choice: expected -2 to 2, found %lld", where, (long long)choice);
}

/* Names of models and items may be the same in another study, whose answers are others. */
static ae_status check_study(const ae_vote *v, const ae_study *s, const char *where) {
    int64_t found = 0;
    const ae_status st = ae_json_int(v->line, "items_crc32", where, &found);
    if (st != AE_OK || found == s->items_crc32) return st;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: items_crc32: expected that of this study, %lld, found %lld; the vote is about other "
                   "answers",
                   where, (long long)s->items_crc32, (long long)found);
}

static ae_status read_vote(ae_vote *v, const ae_study *s, const char *where) {
    const char *kind;
    ae_status st;
    AE_TRY(read_text(v->line, "kind", where, &kind));
    v->is_model = strcmp(kind, "model") == 0;
    if (!v->is_model && strcmp(kind, "person") != 0)
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: kind: expected person or model, found %s", where, kind));
    AE_TRY(read_what(v, s, where));
    AE_TRY(check_study(v, s, where));
    AE_TRY(read_choice(v, where));
    AE_TRY(read_acceptable(v, 0, "left_acceptable", where));
    AE_TRY(read_acceptable(v, 1, "right_acceptable", where));
    v->comment = text_of(v->line, "comment");
    v->judge = text_of(v->line, "judge");
    v->log_odds = json_number_value(json_object_get(v->line, "log_odds"));
out:
    return st;
}

/* ---- the list ---- */

static void key_of(char key[KEY_BYTES], const char *rater, const ae_comparison *c) {
    snprintf(key, KEY_BYTES, "%s\n%td %d %d", rater, c->item, c->a, c->b);
}

static const ae_vote *numbered(const ae_votes *v, const json_t *number) {
    return number ? &v->items[json_integer_value(number)] : NULL;
}

const ae_vote *ae_votes_of_view(const ae_votes *v, const char *view) {
    return numbered(v, json_object_get(v->views, view));
}

const ae_vote *ae_votes_find(const ae_votes *v, const char *rater, const ae_comparison *c) {
    char key[KEY_BYTES];
    key_of(key, rater, c);
    return numbered(v, json_object_get(v->comparisons, key));
}

const ae_vote *ae_votes_last(const ae_votes *v, const char *rater) {
    for (size_t i = v->n; i > 0; i--)
        if (v->items[i - 1].stands && strcmp(v->items[i - 1].rater, rater) == 0) return &v->items[i - 1];
    return NULL;
}

static void take_back(ae_votes *v, const ae_vote *vote) {
    char key[KEY_BYTES];
    if (!vote || !vote->stands) return;
    key_of(key, vote->rater, &vote->what);
    json_object_del(v->comparisons, key);
    v->items[vote - v->items].stands = false;
}

static ae_status push(ae_votes *v, ae_vote *vote) {
    char key[KEY_BYTES];
    if (v->n == v->capacity) {
        const size_t capacity = v->capacity ? 2 * v->capacity : 64;
        ae_vote *grown = realloc(v->items, capacity * sizeof *grown);
        if (!grown) return AE_FAIL(AE_ERR_RESOURCE, "votes: out of memory");
        v->items = grown;
        v->capacity = capacity;
    }
    take_back(v, ae_votes_find(v, vote->rater, &vote->what)); /* the last one counts */
    vote->stands = true;
    key_of(key, vote->rater, &vote->what);
    json_object_set_new(v->comparisons, key, json_integer((json_int_t)v->n));
    json_object_set_new(v->views, vote->view, json_integer((json_int_t)v->n));
    v->items[v->n] = *vote;
    json_incref(v->items[v->n++].line);
    return AE_OK;
}

ae_status ae_votes_add(ae_votes *v, const ae_study *s, json_t *line, const char *where) {
    ae_vote vote = {.line = line};
    ae_status st;
    if (!v->views) v->views = json_object();
    if (!v->comparisons) v->comparisons = json_object();
    if (!json_is_object(line))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected an object, found %s", where, ae_json_type_name(line));
    AE_TRY(read_view(line, where, &vote.view));
    AE_TRY(read_text(line, "rater", where, &vote.rater));
    st = ae_rater_check(vote.rater);
    if (st != AE_OK) ae_fail_prefix("%s", where);
    if (st != AE_OK) goto out;
    const ae_vote *before = ae_votes_of_view(v, vote.view);
    if (json_is_true(json_object_get(line, "undone"))) {
        take_back(v, before);
    } else {
        AE_TRY(read_vote(&vote, s, where));
        if (before)
            AE_TRY(
                AE_FAIL(AE_ERR_INPUT, "%s: view: expected a new one, found that of an earlier vote", where));
        AE_TRY(push(v, &vote));
    }
out:
    return st;
}

typedef struct {
    ae_votes *votes;
    const ae_study *study;
} reading;

static ae_status take_line(void *context, json_t *line, const char *where) {
    const reading *r = context;
    return ae_votes_add(r->votes, r->study, line, where);
}

ae_status ae_votes_read(ae_votes *v, const ae_study *s, size_t *whole_bytes) {
    char *path = ae_path_join(s->folder, "votes.jsonl");
    size_t n = 0;
    *v = (ae_votes){.views = json_object(), .comparisons = json_object()};
    const ae_status st = ae_json_whole_lines(path, take_line, &(reading){v, s}, &n);
    if (whole_bytes) *whole_bytes = n;
    if (st != AE_OK) ae_votes_free(v);
    free(path);
    return st;
}

void ae_votes_free(ae_votes *v) {
    for (size_t i = 0; i < v->n; i++) json_decref(v->items[i].line);
    free(v->items);
    json_decref(v->views);
    json_decref(v->comparisons);
    *v = (ae_votes){0};
}

/* ---- a vote ---- */

int ae_vote_lean(const ae_vote *v) {
    return v->swapped ? v->choice : -v->choice;
}

double ae_vote_score(const ae_vote *v) {
    const int lean = ae_vote_lean(v);
    return lean > 0 ? 1 : lean < 0 ? 0 : 0.5;
}

static json_t *acceptable(int said) {
    return said < 0 ? json_null() : json_boolean(said);
}

json_t *ae_vote_line(const ae_study *s, const ae_vote *v) {
    const char *a = s->models[v->what.a], *b = s->models[v->what.b];
    char now[32];
    struct tm utc;
    const time_t t = time(NULL);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &utc));
    json_t *line =
        json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:o}", "view", v->view, "items_crc32",
                  (json_int_t)s->items_crc32, "rater", v->rater, "kind", v->is_model ? "model" : "person",
                  "item", ae_study_id(s, v->what.item), "left", v->swapped ? b : a, "right",
                  v->swapped ? a : b, "choice", v->choice, "left_acceptable", acceptable(v->acceptable[0]),
                  "right_acceptable", acceptable(v->acceptable[1]));
    if (v->comment && v->comment[0]) json_object_set_new(line, "comment", json_string(v->comment));
    if (v->judge) json_object_set_new(line, "judge", json_string(v->judge));
    if (v->judge) json_object_set_new(line, "log_odds", ae_json_number(v->log_odds));
    json_object_set_new(line, "time", json_string(now));
    return line;
}
