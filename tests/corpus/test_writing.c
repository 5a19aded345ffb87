#include "corpus/writing.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const ae_task task = {.name = "Leo", .thing = "red ball", .place = "park"};

static ae_grade grade(const char *text) {
    ae_grade g;
    ae_grade_text(&task, text, &g);
    cr_assert(fabs(g.reward - (0.5 * g.asked + 0.2 * g.length + 0.2 * g.variety + 0.1 * g.end)) < 1e-12);
    return g;
}

static void expect_asked(const char *text, double thirds) {
    const double asked = grade(text).asked;
    cr_assert(fabs(3 * asked - thirds) < 1e-12, "\"%s\": expected %g thirds, found %g", text, thirds,
              3 * asked);
}

Test(writing, prompts_are_read) {
    ae_task t;
    cr_assert(ae_task_parse("Write a story about Leo, an orange teddy bear and the farm.", &t));
    cr_assert_str_eq(t.name, "Leo");
    cr_assert_str_eq(t.thing, "orange teddy bear");
    cr_assert_str_eq(t.place, "farm");
    static const char *const others[] = {"",
                                         "Write a story.",
                                         "Write a story about Leo.",
                                         "Write a story about Leo, a ball and",
                                         "Write a story about , a red ball and the park.",
                                         "Write a story about Leo and the park, a ball."};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_assert(!ae_task_parse(others[i], &t), "%s", others[i]);
}

Test(writing, what_was_asked_counts) {
    expect_asked("", 0);
    expect_asked("Leo sat.", 0.5);
    expect_asked("Leo's hat and Leo.", 1);
    expect_asked("Leo, Leo, Leo, Leo", 1);
    expect_asked("Leopard, Theo, leo", 0);
    expect_asked("A red ball!", 1);
    expect_asked("The ball was red.", 1);
    expect_asked("The ball was blue.", 0.5);
    expect_asked("A red kite", 0.5);
    expect_asked("A footballer, reddish balloons, parks", 0);
    expect_asked("They went to the park.", 1);
}

Test(writing, length_rises_and_falls) {
    static const struct {
        int words;
        double length;
    } cases[] = {{0, 0}, {30, 0.5}, {60, 1}, {90, 1}, {135, 0.5}, {180, 0}, {400, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static char text[4000];
        text[0] = '\0';
        for (int k = 0; k < cases[i].words; k++) strcat(text, k % 2 ? "one " : "two, ");
        const ae_grade g = grade(text);
        cr_assert(fabs(g.length - cases[i].length) < 1e-12, "%d words: %g", cases[i].words, g.length);
        cr_assert(fabs(g.variety - (cases[i].words ? 2. / 60 : 0)) < 1e-12);
    }
}

Test(writing, variety_and_end) {
    cr_assert(fabs(grade("One one two Two don't").variety - 3. / 60) < 1e-12);
    cr_assert_eq(grade("It was fun.").end, 1);
    cr_assert_eq(grade("\"It was fun!\" \n").end, 1);
    cr_assert_eq(grade("It was fun").end, 0);
    cr_assert_eq(grade("It was \"fun\"").end, 0);
    cr_assert_eq(grade("").end, 0);
    static char many[4000];
    for (int k = 0; k < 100; k++) sprintf(many + strlen(many), "w%d ", k);
    cr_assert_eq(grade(many).variety, 1);
}

/* A tale fulfils its task; drafts are of all qualities, and few are alike. */
Test(writing, tales_and_drafts) {
    enum { N = 1000 };
    int low = 0, high = 0, alike = 0;
    double before = -1;
    for (uint64_t k = 0; k < N; k++) {
        static ae_tale t;
        static ae_text prompt, draft;
        ae_task asked, read;
        ae_grade g;
        ae_tale_tell(1, k, &t);
        ae_task_of(&t, &asked, &prompt);
        cr_assert(ae_task_parse(prompt.text, &read));
        cr_assert_str_eq(asked.name, ae_slot_get(&t.slots, "a"));
        cr_assert_str_eq(read.thing, ae_slot_get(&t.slots, "a.thing"));
        t.for_task = true;
        ae_tale_retell(&t);
        ae_grade_text(&asked, t.text.text, &g);
        cr_assert(g.asked > 0.999 && g.reward > 0.75, "%g: %s", g.reward, t.text.text);

        ae_rng rng = t.slots.rng;
        const ae_rng kept = rng;
        ae_writing_draft(&t, &rng, &draft);
        cr_assert_neq(rng.counter, kept.counter);
        cr_assert_eq(draft.n, strlen(draft.text));
        ae_grade_text(&asked, draft.text, &g);
        cr_assert(g.reward >= 0 && g.reward <= 1);
        low += g.reward < 0.5;
        high += g.reward > 0.9;
        alike += g.reward == before;
        before = g.reward;
    }
    cr_assert(low > N / 8 && high > N / 8, "%d low, %d high", low, high);
    cr_assert_lt(alike, N / 50);
}
