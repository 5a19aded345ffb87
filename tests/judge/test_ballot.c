#include "judge/ballot.h"
#include "tests/judge/rig.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *const names[] = {"north", "south"};
enum { ITEMS = 6 };

typedef struct {
    char *folder;
    ae_ballot ballot;
} rig;

static rig rig_new(void) {
    rig r = {.folder = temporary_folder()};
    write_study(r.folder, ITEMS, 2, names);
    cr_assert_eq(ae_ballot_open(&r.ballot, r.folder), AE_OK);
    return r;
}

static void rig_free(rig *r) {
    ae_ballot_close(&r->ballot);
    remove_folder(r->folder);
}

static void reopen(rig *r) {
    ae_ballot_close(&r->ballot);
    cr_assert_eq(ae_ballot_open(&r->ballot, r->folder), AE_OK);
}

static json_t *next(rig *r, const char *rater) {
    json_t *reply = NULL;
    cr_assert_eq(ae_ballot_next(&r->ballot, rater, &reply), AE_OK);
    return reply;
}

/* A vote on the view of `reply`. */
static json_t *request(const json_t *reply, const char *rater, int choice) {
    return json_pack("{s:O, s:O, s:s, s:i, s:b, s:s}", "view", json_object_get(reply, "view"), "at",
                     json_object_get(reply, "at"), "rater", rater, "choice", choice, "left_acceptable", 1,
                     "comment", "so");
}

/* The status; *done is how many the rater has judged then. */
static ae_status send(rig *r, const json_t *asked, int *done) {
    json_t *reply = NULL;
    const ae_status st = ae_ballot_vote(&r->ballot, asked, &reply);
    if (done) *done = (int)json_integer_value(json_object_get(reply, "done"));
    json_decref(reply);
    return st;
}

static void vote(rig *r, const char *rater, int choice) {
    json_t *reply = next(r, rater), *asked = request(reply, rater, choice);
    cr_assert_eq(send(r, asked, NULL), AE_OK, "%s", ae_error_message());
    json_decref(asked);
    json_decref(reply);
}

static size_t lines_of(const rig *r) {
    char *text;
    size_t n, lines = 0;
    cr_assert_eq(ae_file_read(r->ballot.path, &text, &n), AE_OK);
    for (size_t i = 0; i < n; i++) lines += text[i] == '\n';
    free(text);
    return lines;
}

static int done_of(rig *r, const char *rater) {
    json_t *reply = next(r, rater);
    const int done = (int)json_integer_value(json_object_get(reply, "done"));
    json_decref(reply);
    return done;
}

/* The reply hides the models, and the side of each answer is the one in the file. */
Test(ballot, blind_and_true) {
    rig r = rig_new();
    int swapped = 0;
    for (int i = 0; i < ITEMS; i++) {
        json_t *reply = next(&r, "anna"), *asked = request(reply, "anna", i % 5 - 2);
        const char *left = json_string_value(json_object_get(reply, "left"));
        cr_assert_null(strstr(json_string_value(json_object_get(reply, "view")), "north"));
        cr_assert_null(json_object_get(reply, "models"));
        cr_assert_eq(send(&r, asked, NULL), AE_OK);
        const ae_vote *v = ae_votes_last(&r.ballot.votes, "anna");
        const char *named = json_string_value(json_object_get(v->line, "left"));
        cr_assert_str_eq(strstr(left, " of ") + 4, named);
        cr_assert_eq(ae_vote_lean(v), strcmp(named, "north") == 0 ? 2 - i % 5 : i % 5 - 2);
        cr_assert(v->acceptable[0] == 1 && v->acceptable[1] == -1 && strcmp(v->comment, "so") == 0);
        swapped += v->swapped;
        json_decref(asked);
        json_decref(reply);
    }
    json_t *end = next(&r, "anna");
    cr_assert(json_is_null(json_object_get(end, "view")) && !json_object_get(end, "left"));
    cr_assert_eq(json_integer_value(json_object_get(end, "done")), ITEMS);
    json_decref(end);
    rig_free(&r);
}

/* Of many views half have the second model on the left. */
Test(ballot, sides_are_drawn_anew) {
    rig r = rig_new();
    enum { VIEWS = 4000 };
    int swapped = 0;
    for (int i = 0; i < VIEWS; i++) {
        char view[AE_VIEW_BYTES];
        cr_assert_eq(ae_view_draw(view), AE_OK);
        swapped += ae_view_is_swapped(&r.ballot.study, view);
    }
    cr_assert(abs(swapped - VIEWS / 2) < 4 * 32, "%d", swapped); /* 4 standard errors */
    rig_free(&r);
}

Test(ballot, the_same_again_is_no_second_vote) {
    rig r = rig_new();
    json_t *reply = next(&r, "anna"), *asked = request(reply, "anna", 2), *other = request(reply, "anna", 1);
    int done = 0;
    cr_assert(send(&r, asked, &done) == AE_OK && done == 1);
    cr_assert(send(&r, asked, &done) == AE_OK && done == 1);
    reopen(&r); /* a server that was started again knows it too */
    cr_assert(send(&r, asked, &done) == AE_OK && done == 1);
    cr_assert_eq(lines_of(&r), 1);
    cr_assert_eq(send(&r, other, NULL), AE_ERR_USAGE); /* the view has another vote */
    char view[AE_VIEW_BYTES];
    cr_assert_eq(ae_view_draw(view), AE_OK);
    json_object_set_new(other, "view", json_string(view));
    cr_assert_eq(send(&r, other, NULL), AE_ERR_USAGE); /* another view of what is judged */
    cr_assert_eq(lines_of(&r), 1);
    json_decref(other);
    json_decref(asked);
    json_decref(reply);
    rig_free(&r);
}

static ae_status undo(rig *r, const char *rater, const char *view) {
    json_t *reply = NULL, *asked = json_pack("{s:s, s:s}", "rater", rater, "view", view);
    const ae_status st = ae_ballot_undo(&r->ballot, asked, &reply);
    json_decref(reply);
    json_decref(asked);
    return st;
}

Test(ballot, undo) {
    rig r = rig_new();
    vote(&r, "anna", 1);
    vote(&r, "ben", 1);
    json_t *reply = next(&r, "anna"), *asked = request(reply, "anna", 2);
    const char *view = json_string_value(json_object_get(reply, "view"));
    const char *first = json_string_value(json_object_get(reply, "undo"));
    cr_assert_eq(send(&r, asked, NULL), AE_OK);
    cr_assert_eq(undo(&r, "anna", first), AE_ERR_USAGE); /* not the last */
    cr_assert_eq(undo(&r, "ben", view), AE_ERR_INPUT);   /* not his */
    cr_assert_eq(undo(&r, "anna", view), AE_OK);
    cr_assert_eq(undo(&r, "anna", view), AE_OK); /* again, after a reply that was lost */
    cr_assert_eq(lines_of(&r), 4);
    reopen(&r);
    cr_assert(done_of(&r, "anna") == 1 && done_of(&r, "ben") == 1);
    cr_assert_eq(send(&r, asked, NULL), AE_ERR_USAGE); /* a vote that arrives late stays taken back */
    json_t *again = next(&r, "anna");
    cr_assert(json_equal(json_object_get(again, "at"), json_object_get(reply, "at")));
    cr_assert(!json_equal(json_object_get(again, "view"), json_object_get(reply, "view")));
    json_decref(again);
    json_decref(asked);
    json_decref(reply);
    rig_free(&r);
}

/* A line without its end was never answered: it is no vote, and the next line does not join it. */
Test(ballot, a_line_that_was_being_written) {
    rig r = rig_new();
    vote(&r, "anna", 1);
    const int fd = open(r.ballot.path, O_WRONLY | O_APPEND);
    cr_assert(write(fd, "{\"view\":\"00", 11) == 11);
    close(fd);
    reopen(&r);
    cr_assert_eq(done_of(&r, "anna"), 1);
    vote(&r, "anna", -2);
    reopen(&r);
    cr_assert(done_of(&r, "anna") == 2 && lines_of(&r) == 2);
    rig_free(&r);
}

/* A disk that is full halfway through a line: no vote, and nothing of it in the file. */
Test(ballot, no_room_to_write) {
    rig r = rig_new();
    vote(&r, "anna", 1);
    json_t *reply = next(&r, "anna"), *asked = request(reply, "anna", 2);
    struct rlimit all, few = {.rlim_cur = r.ballot.bytes + 20, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert(getrlimit(RLIMIT_FSIZE, &all) == 0);
    few.rlim_max = all.rlim_max;
    cr_assert(setrlimit(RLIMIT_FSIZE, &few) == 0);
    const ae_status st = send(&r, asked, NULL);
    cr_assert(setrlimit(RLIMIT_FSIZE, &all) == 0);
    cr_assert_eq(st, AE_ERR_RESOURCE);
    cr_assert(done_of(&r, "anna") == 1 && lines_of(&r) == 1);
    cr_assert_eq(send(&r, asked, NULL), AE_OK);
    reopen(&r);
    cr_assert_eq(done_of(&r, "anna"), 2);
    json_decref(asked);
    json_decref(reply);
    rig_free(&r);
}

Test(ballot, one_at_a_time) {
    rig r = rig_new();
    ae_ballot second;
    cr_assert_eq(ae_ballot_open(&second, r.folder), AE_ERR_USAGE);
    cr_assert(strstr(ae_error_message(), "being served already"), "%s", ae_error_message());
    rig_free(&r);
}

static void refused(rig *r, const char *key, json_t *value, ae_status st, const char *words) {
    json_t *reply = next(r, "anna"), *asked = request(reply, "anna", 1);
    if (value)
        json_object_set_new(asked, key, value);
    else
        json_object_del(asked, key);
    cr_assert_eq(send(r, asked, NULL), st, "%s", key);
    cr_assert(strstr(ae_error_message(), words), "%s: %s", key, ae_error_message());
    json_decref(asked);
    json_decref(reply);
}

Test(ballot, what_is_refused) {
    rig r = rig_new();
    ae_vote model = {
        .view = "00000000000000000000000000000000", .rater = "robot", .is_model = true, .choice = 1};
    model.what = r.ballot.study.comparisons[0];
    cr_assert_eq(ae_ballot_add(&r.ballot, &model), AE_OK);
    refused(&r, "at", NULL, AE_ERR_INPUT, "at: expected a whole number");
    refused(&r, "at", json_integer(ITEMS), AE_ERR_INPUT, "expected 0 to 5, found 6");
    refused(&r, "at", json_integer(-1), AE_ERR_INPUT, "found -1");
    refused(&r, "choice", NULL, AE_ERR_INPUT, "choice: expected a whole number");
    refused(&r, "choice", json_integer(3), AE_ERR_INPUT, "expected -2 to 2, found 3");
    refused(&r, "choice", json_real(0.5), AE_ERR_INPUT, "choice: expected a whole number");
    refused(&r, "view", json_string("../../etc"), AE_ERR_INPUT, "hexadecimal");
    refused(&r, "view", NULL, AE_ERR_INPUT, "view: expected text");
    refused(&r, "rater", json_string(""), AE_ERR_INPUT, "rater: expected a name");
    refused(&r, "rater", json_string("a\nb"), AE_ERR_INPUT, "control characters");
    refused(&r, "rater", json_string("robot"), AE_ERR_USAGE, "a model that judged this study");
    refused(&r, "left_acceptable", json_string("yes"), AE_ERR_INPUT, "expected true, false or null");
    refused(&r, "comment", json_integer(1), AE_ERR_INPUT, "comment: expected text");
    cr_assert_eq(lines_of(&r), 1);
    rig_free(&r);
}

static void bad_file(const char *line, const char *words) {
    rig r = rig_new();
    vote(&r, "anna", 1);
    const int fd = open(r.ballot.path, O_WRONLY | O_APPEND);
    cr_assert(write(fd, line, strlen(line)) == (ssize_t)strlen(line) && write(fd, "\n", 1) == 1);
    close(fd);
    ae_ballot_close(&r.ballot);
    cr_assert_eq(ae_ballot_open(&r.ballot, r.folder), AE_ERR_INPUT);
    cr_assert(strstr(ae_error_message(), "votes.jsonl:2: "), "%s", ae_error_message());
    cr_assert(strstr(ae_error_message(), words), "%s", ae_error_message());
    remove_folder(r.folder);
}

#define LINE(item, left, right, kind)                                                                        \
    "{\"view\":\"0123456789abcdef0123456789abcdef\",\"rater\":\"x\",\"kind\":\"" kind "\",\"item\":\"" item  \
    "\",\"left\":\"" left "\",\"right\":\"" right "\",\"choice\":1,\"items_crc32\":1}"

Test(ballot, files_that_are_refused) {
    bad_file("[1]", "expected an object");
    bad_file("{", "expected JSON");
    bad_file(LINE("q9", "north", "south", "person"), "item: expected one of the study, found q9");
    bad_file(LINE("q1", "north", "west", "person"), "right: expected a model of the study, found west");
    bad_file(LINE("q1", "south", "south", "person"), "found the same");
    bad_file(LINE("q1", "south", "north", "dog"), "expected person or model, found dog");
    bad_file(LINE("q1", "south", "north", "person"), "items_crc32: expected that of this study");
}
