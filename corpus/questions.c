#include "corpus/questions.h"

#include <assert.h>

/* clang-format off */
const ae_question ae_questions[] = {
    {"who", AE_FACT_FRIEND, false, "Who was {a}'s friend?", "{his.big} friend was @{b.kind} named {b}.", "{his.big} friend was @{a.kind} named {a}.", NULL},
    {"where", AE_FACT_PLACE, false, "Where did they go?", "They went to {place}.", "They went to {place.not}.", NULL},
    {"yes-no", AE_FACT_PLACE, false, "Did they go to [{place}|{place.not}]?", "They went to {place}.", "They went to {place.not}.", NULL},
    {"weather", AE_FACT_WEATHER, false, "How was the weather?", "The weather was {weather}.", "The weather was {weather.not}.", NULL},
    {"when", AE_FACT_TIME, false, "When did they go to {place}?", "One {time} they went to {place}.", "One {time.not} they went to {place}.", NULL},

    {"who", AE_FACT_THING, false, "Who did the {x.noun} come from?", "The {x.noun} came from {x.giver}.", "The {x.noun} came from {y.giver}.", NULL},
    {"what", AE_FACT_THING, true, "What did {x} have?", "{x} had @{x.noun}.", "{x} had @{y.noun}.", "And what did {x.he} have?"},
    {"colour", AE_FACT_THING, false, "What colour was the {x.noun}?", "The {x.noun} was {x.colour}.", "The {x.noun} was {y.colour}.", NULL},
    {"either-or", AE_FACT_THING, false, "Was the {x.noun} [{x.colour} or {y.colour}|{y.colour} or {x.colour}]?", "The {x.noun} was {x.colour}.", "The {x.noun} was {y.colour}.", NULL},
    {"yes-no", AE_FACT_THING, false, "Was the {x.noun} [{x.colour}|{y.colour}]?", "The {x.noun} was {x.colour}.", "The {x.noun} was {y.colour}.", NULL},

    {"what", AE_FACT_TRAIT, true, "What was {x} like?", "{x} was {x.trait}.", "{x} was {y.trait}.", "And what was {x.he} like?"},

    {"how many", AE_FACT_FOUND, true, "How many {finds} did {x} find?", "{x} found {x.found}.", "{x} found {y.found}.", "And how many {finds} did {x.he} find?"},
    {"where", AE_FACT_HOME, true, "Where did {x} live?", "{x} lived {x.home}.", "{x} lived {y.home}.", "And where did {x.he} live?"},
    {"where", AE_FACT_HIDE, false, "Where did they leave the {x.noun}?", "They left the {x.noun} {x.hide}.", "They left the {x.noun} {y.hide}.", NULL},
    {"first", AE_FACT_DEEDS, false, "What did they do first?", "First they {deed1}.", "First they {deed2}.", NULL},
    {"then", AE_FACT_DEEDS, false, "What did they do then?", "Then they {deed2}.", "Then they {deed1}.", NULL},
};
const size_t ae_n_questions = sizeof ae_questions / sizeof *ae_questions;
/* clang-format on */

static size_t draw(ae_tale *t, size_t n) {
    return (size_t)ae_rng_below(&t->slots.rng, n);
}

static void expand(ae_tale *t, const char *pattern, ae_text *out) {
    *out = (ae_text){.n = 0};
    ae_expand(&t->slots, pattern, out);
}

static bool of_both(const ae_question *q) {
    return q->fact == AE_FACT_FRIEND || q->fact == AE_FACT_PLACE || q->fact == AE_FACT_WEATHER ||
           q->fact == AE_FACT_TIME || q->fact == AE_FACT_DEEDS;
}

static bool was_asked(const ae_turn *turns, size_t n, size_t question, int friend) {
    for (size_t i = 0; i < n; i++)
        if (turns[i].question == question && (turns[i].friend == friend || of_both(&ae_questions[question])))
            return true;
    return false;
}

static void ask(ae_tale *t, ae_turn *turn, const char *pattern) {
    const ae_question *q = &ae_questions[turn->question];
    ae_tale_point_at(t, turn->friend);
    expand(t, pattern, &turn->asked);
    expand(t, q->answer, &turn->answer);
    expand(t, q->wrong, &turn->wrong);
}

/* The same question of the other friend, or another one of the same friend, who is then only "he" or "she". */
static bool follow_up(ae_tale *t, ae_turn *turns, size_t i) {
    if (i == 0 || !ae_questions[turns[i - 1].question].of_one) return false;
    const ae_turn *before = &turns[i - 1];
    if (draw(t, 2) == 0 && t->told[ae_questions[before->question].fact][1 - before->friend] &&
        !was_asked(turns, i, before->question, 1 - before->friend)) {
        turns[i].question = before->question;
        turns[i].friend = 1 - before->friend;
        ask(t, &turns[i], "And {x}?");
        return true;
    }
    const size_t start = draw(t, ae_n_questions);
    for (size_t k = 0; k < ae_n_questions; k++) {
        const size_t q = (start + k) % ae_n_questions;
        if (!ae_questions[q].followup || !t->told[ae_questions[q].fact][before->friend] ||
            was_asked(turns, i, q, before->friend))
            continue;
        turns[i].question = q;
        turns[i].friend = before->friend;
        ask(t, &turns[i], ae_questions[q].followup);
        return true;
    }
    return false;
}

void ae_questions_ask(ae_tale *t, ae_turn *turns, size_t n) {
    assert(n <= AE_TURNS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (draw(t, 4) > 0 && follow_up(t, turns, i)) continue;
        do {
            turns[i].question = draw(t, ae_n_questions);
            turns[i].friend = (int)draw(t, 2);
        } while (!t->told[ae_questions[turns[i].question].fact][turns[i].friend] ||
                 was_asked(turns, i, turns[i].question, turns[i].friend));
        ask(t, &turns[i], ae_questions[turns[i].question].question);
    }
}

void ae_questions_stray(ae_tale *t, const ae_turn *turn, ae_text *out) {
    size_t q;
    int friend;
    do {
        q = draw(t, ae_n_questions);
        friend = (int)draw(t, 2);
    } while (!t->told[ae_questions[q].fact][friend] ||
             ae_questions[q].fact == ae_questions[turn->question].fact);
    ae_tale_point_at(t, friend);
    expand(t, ae_questions[q].answer, out);
}
