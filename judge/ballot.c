#include "judge/ballot.h"

#include "core/file.h"
#include "core/lock.h"
#include "core/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the file ---- */

static ae_status open_file(ae_ballot *b, size_t whole_bytes) {
    struct stat s;
    const bool is_new = !ae_path_exists(b->path);
    b->file = open(b->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (b->file < 0 || fstat(b->file, &s) != 0) return ae_output_failed(b->path);
    b->bytes = whole_bytes;
    if ((size_t)s.st_size > whole_bytes && ftruncate(b->file, (off_t)whole_bytes) != 0)
        return ae_output_failed(b->path);
    return is_new ? ae_path_sync(b->study.folder) : AE_OK;
}

static ae_status lock_study(int *lock, const char *folder) {
    const ae_status st = ae_folder_lock(lock, folder);
    if (st != AE_ERR_USAGE) return st;
    return AE_FAIL(
        AE_ERR_USAGE,
        "%s: this study is being served already, or a model judges it; votes go to the address that was "
        "printed, or end that process first",
        folder);
}

ae_status ae_ballot_open(ae_ballot *b, const char *folder) {
    size_t whole = 0;
    ae_status st;
    *b = (ae_ballot){.file = -1};
    AE_TRY(ae_study_open(&b->study, folder));
    AE_TRY(lock_study(&b->lock, folder));
    AE_TRY(ae_votes_read(&b->votes, &b->study, &whole));
    b->path = ae_path_join(folder, "votes.jsonl");
    AE_TRY(open_file(b, whole));
out:
    if (st != AE_OK) ae_ballot_close(b);
    return st;
}

void ae_ballot_close(ae_ballot *b) {
    if (b->file >= 0) close(b->file);
    if (b->lock > 0) close(b->lock);
    ae_votes_free(&b->votes);
    ae_study_free(&b->study);
    free(b->path);
    *b = (ae_ballot){.file = -1};
}

static bool write_all(int fd, const char *text, size_t n) {
    while (n > 0) {
        const ssize_t k = write(fd, text, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        text += k;
        n -= (size_t)k;
    }
    return true;
}

/* Line and its end, synced; nothing of it where that fails. */
static ae_status append(ae_ballot *b, const json_t *line) {
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    if (!text) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", b->path);
    const size_t n = strlen(text);
    text[n] = '\n'; /* in the place of its NUL */
    const bool written = write_all(b->file, text, n + 1) && fdatasync(b->file) == 0;
    free(text);
    if (written) {
        b->bytes += n + 1;
        return AE_OK;
    }
    const ae_status st = ae_output_failed(b->path);
    if (ftruncate(b->file, (off_t)b->bytes) != 0)
        return AE_FAIL(AE_ERR_RESOURCE, "%s: a line could not be written, and what was of it not be cut off",
                       b->path);
    return st;
}

static ae_status add_line(ae_ballot *b, json_t *line) {
    ae_status st = append(b, line);
    if (st == AE_OK) st = ae_votes_add(&b->votes, &b->study, line, b->path);
    json_decref(line);
    return st;
}

ae_status ae_ballot_add(ae_ballot *b, const ae_vote *vote) {
    return add_line(b, ae_vote_line(&b->study, vote));
}

/* ---- views ---- */

ae_status ae_view_draw(char view[AE_VIEW_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[(AE_VIEW_BYTES - 1) / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return AE_FAIL(AE_ERR_RESOURCE, "views: expected random numbers of the system, found none");
    for (size_t i = 0; i < sizeof bytes; i++) {
        view[2 * i] = digits[bytes[i] >> 4];
        view[2 * i + 1] = digits[bytes[i] & 15];
    }
    view[AE_VIEW_BYTES - 1] = '\0';
    return AE_OK;
}

bool ae_view_is_swapped(const ae_study *s, const char *view) {
    return ae_rng_hash(s->seed, view) & 1;
}

/* ---- requests ---- */

/* Whether the name may vote: a model's name is not for people. */
static ae_status check_rater(const ae_ballot *b, const char *name) {
    const ae_status st = ae_rater_check(name);
    if (st != AE_OK) return st;
    const ae_vote *last = ae_votes_last(&b->votes, name);
    if (!last || !last->is_model) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "rater: expected the name of a person, found %s, a model that judged this study", name);
}

static ptrdiff_t count_done(const ae_ballot *b, const char *rater) {
    ptrdiff_t n = 0;
    for (size_t i = 0; i < b->votes.n; i++)
        n += b->votes.items[i].stands && strcmp(b->votes.items[i].rater, rater) == 0;
    return n;
}

static json_t *progress(const ae_ballot *b, const char *rater) {
    return json_pack("{s:I, s:I}", "done", (json_int_t)count_done(b, rater), "total",
                     (json_int_t)b->study.n_comparisons);
}

static ae_status whole_reply(json_t *reply, json_t **out) {
    *out = reply;
    return reply ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "reply: out of memory");
}

static void put_texts(const ae_study *s, json_t *reply, const char *view, const ae_comparison *c) {
    const bool swapped = ae_view_is_swapped(s, view);
    const json_t *left = ae_study_answer(s, c->item, swapped ? c->b : c->a);
    const json_t *right = ae_study_answer(s, c->item, swapped ? c->a : c->b);
    json_object_set_new(reply, "left", json_deep_copy(left));
    json_object_set_new(reply, "right", json_deep_copy(right));
    json_object_set_new(reply, "prompt",
                        json_deep_copy(json_object_get(ae_study_item(s, c->item), "prompt")));
}

ae_status ae_ballot_next(const ae_ballot *b, const char *rater, json_t **reply) {
    char view[AE_VIEW_BYTES];
    const ptrdiff_t total = b->study.n_comparisons;
    ptrdiff_t at = 0;
    *reply = NULL;
    ae_status st = check_rater(b, rater);
    if (st == AE_OK) st = ae_view_draw(view);
    if (st != AE_OK) return st;
    ae_comparison c = {0};
    for (; at < total; at++) {
        c = b->study.comparisons[at];
        if (!ae_votes_find(&b->votes, rater, &c)) break;
    }
    const ae_vote *last = ae_votes_last(&b->votes, rater);
    json_t *r = progress(b, rater);
    json_object_set_new(r, "undo", last ? json_string(last->view) : json_null());
    json_object_set_new(r, "view", at < total ? json_string(view) : json_null());
    json_object_set_new(r, "at", json_integer((json_int_t)at));
    if (at < total) put_texts(&b->study, r, view, &c);
    return whole_reply(r, reply);
}

static bool is_same(const ae_comparison *x, const ae_comparison *y) {
    return x->item == y->item && x->a == y->a && x->b == y->b;
}

/* Whether a vote that is there says what a request says. */
static bool says_the_same(const ae_vote *there, const ae_vote *asked) {
    const char *a = there->comment ? there->comment : "", *b = asked->comment ? asked->comment : "";
    return strcmp(there->rater, asked->rater) == 0 && there->choice == asked->choice &&
           is_same(&there->what, &asked->what) && there->acceptable[0] == asked->acceptable[0] &&
           there->acceptable[1] == asked->acceptable[1] && strcmp(a, b) == 0;
}

/* AE_OK where the vote is new; *again where it is there already. */
static ae_status check_before(const ae_ballot *b, const ae_vote *vote, bool *again) {
    const ae_vote *of_view = ae_votes_of_view(&b->votes, vote->view);
    *again = of_view && of_view->stands && says_the_same(of_view, vote);
    if (*again) return AE_OK;
    if (of_view)
        return AE_FAIL(AE_ERR_USAGE, "view: expected one without a vote, found one %s",
                       of_view->stands ? "with another vote" : "whose vote was taken back");
    if (ae_votes_find(&b->votes, vote->rater, &vote->what))
        return AE_FAIL(AE_ERR_USAGE, "at: expected a comparison that %s has not judged, found a vote on it",
                       vote->rater);
    return AE_OK;
}

/* The value is text, or where that may be, absent or null. */
static ae_status check_text(const json_t *request, const char *key, bool needed) {
    const json_t *value = json_object_get(request, key);
    if (json_is_string(value) || (!needed && (!value || json_is_null(value)))) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected text, found %s", key, ae_json_type_name(value));
}

static ae_status check_at(const ae_ballot *b, const json_t *request, ptrdiff_t *at) {
    const ptrdiff_t n = b->study.n_comparisons;
    int64_t found = 0;
    const ae_status st = ae_json_int(request, "at", "vote", &found);
    *at = (ptrdiff_t)found;
    if (st != AE_OK || (found >= 0 && found < n)) return st;
    return AE_FAIL(AE_ERR_INPUT, "at: expected 0 to %td, found %lld", n - 1, (long long)found);
}

/* Reads the request into a line as the file has it. */
static ae_status read_request(const ae_ballot *b, const json_t *request, json_t **line) {
    static const char *const said[] = {"choice", "left_acceptable", "right_acceptable"};
    ptrdiff_t at = 0;
    ae_status st;
    AE_TRY(check_text(request, "view", true));
    AE_TRY(check_text(request, "rater", true));
    AE_TRY(check_text(request, "comment", false));
    AE_TRY(check_at(b, request, &at));
    ae_vote vote = {.view = json_string_value(json_object_get(request, "view")),
                    .rater = json_string_value(json_object_get(request, "rater")),
                    .comment = json_string_value(json_object_get(request, "comment")),
                    .what = b->study.comparisons[at]};
    AE_TRY(check_rater(b, vote.rater));
    vote.swapped = ae_view_is_swapped(&b->study, vote.view);
    *line = ae_vote_line(&b->study, &vote);
    if (!*line) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "vote: out of memory"));
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        json_t *value = json_object_get(request, said[i]);
        json_object_set(*line, said[i], value ? value : json_null());
    }
out:
    return st;
}

ae_status ae_ballot_vote(ae_ballot *b, const json_t *request, json_t **reply) {
    ae_votes one = {0}; /* the request, read as a line of the file is */
    json_t *line = NULL;
    bool again = false;
    ae_status st;
    *reply = NULL;
    AE_TRY(read_request(b, request, &line));
    AE_TRY(ae_votes_add(&one, &b->study, line, "vote"));
    AE_TRY(check_before(b, &one.items[0], &again));
    if (!again) AE_TRY(add_line(b, json_incref(line)));
    AE_TRY(whole_reply(progress(b, one.items[0].rater), reply));
out:
    ae_votes_free(&one);
    json_decref(line);
    return st;
}

static ae_status take_back(ae_ballot *b, const ae_vote *vote) {
    json_t *line = ae_vote_line(&b->study, vote);
    json_t *undo =
        json_pack("{s:O, s:O, s:b, s:O}", "view", json_object_get(line, "view"), "rater",
                  json_object_get(line, "rater"), "undone", 1, "time", json_object_get(line, "time"));
    json_decref(line);
    return add_line(b, undo);
}

ae_status ae_ballot_undo(ae_ballot *b, const json_t *request, json_t **reply) {
    const char *rater = json_string_value(json_object_get(request, "rater"));
    const char *view = json_string_value(json_object_get(request, "view"));
    *reply = NULL;
    ae_status st = check_rater(b, rater);
    if (st != AE_OK) return st;
    const ae_vote *vote = view ? ae_votes_of_view(&b->votes, view) : NULL;
    if (!vote || strcmp(vote->rater, rater) != 0)
        return AE_FAIL(AE_ERR_INPUT, "view: expected that of a vote of %s, found another", rater);
    json_t *comment = vote->comment ? json_string(vote->comment) : json_null();
    if (vote->stands && vote != ae_votes_last(&b->votes, rater))
        st = AE_FAIL(AE_ERR_USAGE, "view: expected that of the last vote of %s, found an earlier one", rater);
    else if (vote->stands)
        st = take_back(b, vote);
    json_t *r = st == AE_OK ? progress(b, rater) : NULL;
    if (r) json_object_set(r, "comment", comment);
    json_decref(comment);
    return st == AE_OK ? whole_reply(r, reply) : st;
}
