#include "judge/report.h"
#include "tests/judge/rig.h"

#include <math.h>
#include <string.h>

static const char *const names[] = {"a", "b", "c"};
enum { ITEMS = 40 };

static double at(const json_t *o, const char *key) {
    return json_number_value(json_object_get(o, key));
}

/* A vote that leans from -2 to 2 towards the first model. */
static void add(ae_votes *v, const ae_study *s, const char *rater, bool is_model, ae_comparison what,
                int lean, int k) {
    char view[AE_VIEW_BYTES];
    snprintf(view, sizeof view, "%032x", (unsigned)v->n + 1);
    ae_vote vote = {.view = view, .rater = rater, .is_model = is_model, .what = what, .swapped = k % 2 == 1};
    vote.choice = vote.swapped ? lean : -lean;
    vote.acceptable[0] = k % 4 == 0;
    vote.acceptable[1] = -1;
    if (k == 5) vote.comment = "shorter";
    json_t *line = ae_vote_line(s, &vote);
    cr_assert_eq(ae_votes_add(v, s, line, "test"), AE_OK, "%s", ae_error_message());
    json_decref(line);
}

typedef struct {
    char *folder;
    ae_study study;
    ae_votes votes;
} rig;

static rig rig_new(int models) {
    rig r = {.folder = temporary_folder()};
    write_study(r.folder, ITEMS, models, names);
    cr_assert_eq(ae_study_open(&r.study, r.folder), AE_OK);
    return r;
}

static void rig_free(rig *r) {
    ae_votes_free(&r->votes);
    ae_study_free(&r->study);
    remove_folder(r->folder);
}

/* Of 40 prompts a wins 20, ties 10, loses 10: two people agree on all, a model says the opposite where nobody ties. */
Test(report, two_models) {
    rig r = rig_new(2);
    json_t *report;
    for (int i = 0; i < ITEMS; i++) {
        const int lean = i < 20 ? 1 + i % 2 : i < 30 ? 0 : -1;
        const ae_comparison c = {i, 0, 1};
        add(&r.votes, &r.study, "anna", false, c, lean, i);
        add(&r.votes, &r.study, "ben", false, c, lean, i);
        add(&r.votes, &r.study, "robot", true, c, -lean, i);
    }
    cr_assert_eq(ae_judge_report(&r.study, &r.votes, &report), AE_OK);
    const json_t *groups = json_object_get(report, "groups"), *people = json_array_get(groups, 0);
    cr_assert_eq(json_array_size(groups), 2);
    const json_t *pair = json_array_get(json_object_get(people, "pairs"), 0);
    cr_assert(at(people, "votes") == 80 && at(people, "comparisons") == 40);
    cr_assert(at(pair, "wins") == 40 && at(pair, "ties") == 20 && at(pair, "losses") == 20);
    cr_assert_float_eq(at(pair, "value"), 0.625, 1e-12);
    cr_assert_float_eq(at(pair, "high") - 0.625, 1.959964 * sqrt((0.5 + 0.25 / 4 - 0.625 * 0.625) / 40),
                       1e-6);
    cr_assert_float_eq(at(json_object_get(people, "agreement"), "value"), 1, 1e-12);
    /* The first model stands on the right in odd items: of each two wins one is on the left. */
    cr_assert_float_eq(at(json_object_get(people, "left"), "value"), 0.5, 0.01);
    const json_t *acceptable = json_object_get(people, "acceptable");
    cr_assert(at(json_array_get(acceptable, 0), "votes") == 40 &&
              at(json_array_get(acceptable, 1), "votes") == 40);
    cr_assert_float_eq(at(json_array_get(acceptable, 0), "value"), 0.5, 1e-12);
    cr_assert(at(json_array_get(acceptable, 1), "value") == 0);
    cr_assert_null(json_object_get(people, "strengths"));
    cr_assert_eq(json_array_size(json_object_get(people, "by_rater")), 2);
    const json_t *comment = json_array_get(json_object_get(people, "comments"), 1);
    cr_assert_eq(json_array_size(json_object_get(people, "comments")), 2);
    cr_assert_str_eq(json_string_value(json_object_get(comment, "comment")), "shorter");
    cr_assert(strcmp(json_string_value(json_object_get(comment, "item")), "q5") == 0 &&
              at(comment, "lean") == 2);

    const json_t *robot = json_array_get(groups, 1);
    cr_assert_str_eq(json_string_value(json_object_get(robot, "kind")), "model");
    cr_assert_float_eq(at(json_array_get(json_object_get(robot, "pairs"), 0), "value"), 0.375, 1e-12);
    cr_assert_float_eq(at(json_object_get(robot, "with_people"), "value"), 0.25, 1e-12);
    cr_assert(json_is_null(json_object_get(json_object_get(robot, "agreement"), "value")));
    json_decref(report);
    rig_free(&r);
}

/* a beats b, b beats c and a beats c in two of three votes each: a chain of strengths. */
Test(report, three_models) {
    rig r = rig_new(3);
    json_t *report;
    for (ptrdiff_t i = 0; i < r.study.n_comparisons; i++)
        add(&r.votes, &r.study, "anna", false, r.study.comparisons[i],
            r.study.comparisons[i].item % 3 ? 1 : -1, (int)i);
    cr_assert_eq(ae_judge_report(&r.study, &r.votes, &report), AE_OK);
    const json_t *people = json_array_get(json_object_get(report, "groups"), 0);
    const json_t *strengths = json_object_get(people, "strengths");
    cr_assert_eq(json_array_size(json_object_get(people, "pairs")), 3);
    cr_assert(at(json_array_get(strengths, 0), "value") > 0.2 &&
              at(json_array_get(strengths, 2), "value") < -0.2);
    cr_assert_float_eq(at(json_array_get(strengths, 1), "value"), 0, 1e-6);
    cr_assert(at(json_array_get(strengths, 0), "low") < at(json_array_get(strengths, 0), "value"));
    json_decref(report);
    rig_free(&r);
}

Test(report, without_votes) {
    rig r = rig_new(2);
    json_t *report;
    cr_assert_eq(ae_judge_report(&r.study, &r.votes, &report), AE_OK);
    cr_assert_eq(json_array_size(json_object_get(report, "groups")), 0);
    json_decref(report);
    rig_free(&r);
}
