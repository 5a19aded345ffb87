#include "corpus/questions.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { N = 3000 };

static const char *slot(const ae_tale *t, const char *name) {
    const char *text = ae_slot_get(&t->slots, name);
    cr_assert_not_null(text, "%s", name);
    return text;
}

/* The place of `part`, which stands there once; `from` on. */
static const char *only(const char *text, const char *part) {
    const char *at = strstr(text, part);
    cr_assert_not_null(at, "\"%s\" in: %s", part, text);
    cr_assert_null(strstr(at + 1, part), "\"%s\" twice in: %s", part, text);
    return at;
}

/* The last place of `part` before `end`, NULL without one. */
static const char *before(const char *text, const char *part, const char *end) {
    const char *found = NULL;
    for (const char *at = strstr(text, part); at && at < end; at = strstr(at + 1, part)) found = at;
    return found;
}

/* Whether, of x and y, x is the one named last before `end`. */
static bool is_of(const char *text, const char *x, const char *y, const char *end) {
    const char *at_x = before(text, x, end), *at_y = before(text, y, end);
    return at_x && (!at_y || at_x > at_y);
}

Test(tales, a_function_of_seed_and_number) {
    for (uint64_t k = 0; k < 100; k++) {
        static ae_tale a, b, other;
        ae_tale_tell(5, k, &a);
        ae_tale_tell(6, k, &other);
        ae_tale_tell(5, k, &b);
        cr_assert_str_eq(a.text.text, b.text.text);
        cr_assert_str_neq(a.text.text, other.text.text);
    }
}

Test(tales, are_plain_and_short) {
    static const char *const never[] = {"  ", " .", " ,", "..", "{",  "}",         "[",
                                        "]",  "|",  "^",  "@",  "\n", " a orange", " a owl"};
    for (uint64_t k = 0; k < N; k++) {
        static ae_tale t;
        ae_tale_tell(2, k, &t);
        int words = 1;
        for (size_t i = 0; i < t.text.n; i++) words += t.text.text[i] == ' ';
        cr_assert(words >= 40 && words <= 110, "%d words: %s", words, t.text.text);
        cr_assert_eq(t.text.text[t.text.n - 1], '.');
        for (size_t i = 0; i < sizeof never / sizeof *never; i++)
            cr_assert_null(strstr(t.text.text, never[i]), "\"%s\" in: %s", never[i], t.text.text);
    }
}

/* Read from the text alone: whom a fact belongs to is whose name stands before it. */
static void facts_are_told(ae_tale *t, int friend) {
    static const struct {
        ae_fact fact;
        const char *value;
    } facts[] = {{AE_FACT_FOUND, "x.found"}, {AE_FACT_HOME, "x.home"}};
    ae_tale_point_at(t, friend);
    const char *text = t->text.text, *x = slot(t, "x"), *y = slot(t, "y");
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (t->told[facts[i].fact][friend]) {
            const char *at = only(text, slot(t, facts[i].value));
            cr_assert(is_of(text, x, y, at), "%s is not of %s: %s", facts[i].value, x, text);
        }
    char had[64], was[64];
    if (t->told[AE_FACT_TRAIT][friend]) {
        snprintf(was, sizeof was, "%s was %s", x, slot(t, "x.trait"));
        only(text, was);
        cr_assert_null(strstr(slot(t, "y.kind"), slot(t, "x.trait")));
    }
    if (!t->told[AE_FACT_THING][friend]) {
        cr_assert(!t->told[AE_FACT_HIDE][friend]);
        return;
    }
    snprintf(had, sizeof had, "%s had %s %s", x, strchr("aeiou", *slot(t, "x.noun")) ? "an" : "a",
             slot(t, "x.noun"));
    only(text, had);
    snprintf(was, sizeof was, "he %s was %s", slot(t, "x.noun"), slot(t, "x.colour"));
    only(text, was);
    snprintf(was, sizeof was, "he %s came from %s", slot(t, "x.noun"), slot(t, "x.giver"));
    only(text, was);
    cr_assert_str_neq(slot(t, "x.giver"), slot(t, "y.giver"));
    if (t->told[AE_FACT_HIDE][friend]) {
        const char *at = only(text, slot(t, "x.hide"));
        cr_assert(is_of(text, slot(t, "x.noun"), slot(t, "y.noun"), at), "%s", text);
    }
}

Test(tales, tell_their_facts) {
    int told[AE_FACTS] = {0};
    for (uint64_t k = 0; k < N; k++) {
        static ae_tale t;
        ae_tale_tell(3, k, &t);
        facts_are_told(&t, 0);
        facts_are_told(&t, 1);
        char to[64];
        snprintf(to, sizeof to, " to %s.", slot(&t, "place"));
        only(t.text.text, to);
        only(t.text.text, slot(&t, "weather"));
        only(t.text.text, slot(&t, "time"));
        cr_assert_null(strstr(t.text.text, slot(&t, "weather.not")));
        cr_assert_null(strstr(t.text.text, slot(&t, "time.not")));
        if (t.told[AE_FACT_DEEDS][0])
            cr_assert_lt(only(t.text.text, slot(&t, "deed1")), only(t.text.text, slot(&t, "deed2")));
        for (int i = 0; i < AE_FACTS; i++) told[i] += t.told[i][0] || t.told[i][1];
    }
    for (int i = 0; i < AE_FACTS; i++) cr_assert_gt(told[i], N / 3, "fact %d: %d times", i, told[i]);
}

Test(tales, held_out_combinations_are_never_trained_on) {
    static char names[2][4 * N][64];
    size_t n[2] = {0};
    for (uint64_t k = 0; k < 4 * N; k++) {
        static ae_tale t;
        ae_tale_tell(k % 2, k, &t);
        snprintf(names[t.heldout][n[t.heldout]++], 64, "%s, %s", slot(&t, "a"), slot(&t, "place"));
    }
    for (size_t i = 0; i < n[0]; i += 7)
        for (size_t j = 0; j < n[1]; j++) cr_assert_str_neq(names[0][i], names[1][j]);
    cr_assert(n[1] > N / 4 && n[1] < N / 2, "%d of %d are held out", (int)n[1], 4 * N);
}

/* Whether the text has the sentence, as a clause that may stand behind another one. */
static bool has_clause(const char *text, const char *sentence) {
    char clause[256];
    snprintf(clause, sizeof clause, "%.*s", (int)strlen(sentence) - 1, sentence);
    if (strstr(text, clause)) return true;
    *clause = (char)tolower(*clause);
    return strstr(text, clause) != NULL;
}

/* The right answer is a clause of the tale, word for word; the wrong one is not. */
static void answers_with_a_clause(const ae_tale *t, const ae_turn *turn) {
    cr_assert(has_clause(t->text.text, turn->answer.text), "\"%s\" in: %s", turn->answer.text, t->text.text);
    cr_assert(!has_clause(t->text.text, turn->wrong.text), "\"%s\" in: %s", turn->wrong.text, t->text.text);
    cr_assert_eq(turn->answer.text[turn->answer.n - 1], '.');
    cr_assert_eq(turn->wrong.text[turn->wrong.n - 1], '.');
    cr_assert_eq(turn->asked.text[turn->asked.n - 1], '?');
}

Test(questions, answers_come_from_the_tale) {
    static int asked[64];
    int followed = 0, swapped = 0;
    for (uint64_t k = 0; k < N; k++) {
        static ae_tale t;
        static ae_turn turns[AE_TURNS_MAX];
        ae_tale_tell(4, k, &t);
        ae_questions_ask(&t, turns, AE_TURNS_MAX);
        for (int i = 0; i < AE_TURNS_MAX; i++) {
            cr_assert(t.told[ae_questions[turns[i].question].fact][turns[i].friend]);
            answers_with_a_clause(&t, &turns[i]);
            asked[turns[i].question]++;
            const bool and = strncmp(turns[i].asked.text, "And ", 4) == 0;
            swapped += and&&strchr(turns[i].asked.text + 4, ' ') == NULL;
            followed += and&&strchr(turns[i].asked.text + 4, ' ') != NULL;
            cr_assert(!and || i > 0);
            for (int j = 0; j < i; j++)
                cr_assert(strcmp(turns[i].asked.text, turns[j].asked.text) != 0 || and, "%s twice",
                          turns[i].asked.text);
        }
    }
    for (size_t q = 0; q < ae_n_questions; q++)
        cr_assert_gt(asked[q], N / 20, "%s: %d times", ae_questions[q].question, asked[q]);
    cr_assert(followed > N / 20 && swapped > N / 20, "%d, %d", followed, swapped);
}

/* "He" and "she" are the friend of the question before. */
Test(questions, follow_ups_are_about_the_same_friend) {
    for (uint64_t k = 0; k < N; k++) {
        static ae_tale t;
        static ae_turn turns[AE_TURNS_MAX];
        ae_tale_tell(5, k, &t);
        ae_questions_ask(&t, turns, AE_TURNS_MAX);
        for (int i = 1; i < AE_TURNS_MAX; i++) {
            if (strncmp(turns[i].asked.text, "And ", 4) != 0) continue;
            cr_assert(ae_questions[turns[i - 1].question].of_one);
            const bool same = turns[i].friend == turns[i - 1].friend;
            cr_assert_eq(same, turns[i].question != turns[i - 1].question);
        }
    }
}

Test(questions, stray_answers_are_about_something_else) {
    for (uint64_t k = 0; k < N; k++) {
        static ae_tale t;
        static ae_turn turn;
        static ae_text stray;
        ae_tale_tell(6, k, &t);
        ae_questions_ask(&t, &turn, 1);
        ae_questions_stray(&t, &turn, &stray);
        cr_assert_str_neq(stray.text, turn.answer.text);
        cr_assert_str_neq(stray.text, turn.wrong.text);
    }
}
