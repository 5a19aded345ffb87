#include "corpus/tales.h"

#include "corpus/world.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const ae_rule rules[] = {
    {"begin", "[Once upon a time there was|There was once|Long ago, there lived|Not far from here lived] @{a.kind} named {a}. "
              "{his.big} friend was @{b.kind} named {b}. "
              "One {time} they went to {place}. The weather was {weather}."},
    {"his.big", "^{a.his}"},
    {"end", "[They were happy.|They were good friends.|They laughed a lot.|They had a good day.]"},
    {0},
};

/* Each is told of x and y, who are a and b or b and a. Answers repeat a clause of these word for word where they can: a
 * small model that finds the place where a clause began before can go on with it. */
static const struct {
    const char *of_one, *of_both;
} sentences[AE_FACTS] = {
    [AE_FACT_THING] = {"{x} had @{x.noun}. The {x.noun} was {x.colour}. The {x.noun} came from {x.giver}.",
                       "{x} had @{x.noun}[, and|.] {y} had @{y.noun}. The {x.noun} was {x.colour}, and the {y.noun} was {y.colour}. "
                       "The {x.noun} came from {x.giver}, and the {y.noun} came from {y.giver}."},
    [AE_FACT_TRAIT] = {"{x} was {x.trait}.", "{x} was {x.trait}[, but|, and|.] {y} was {y.trait}."},
    [AE_FACT_FOUND] = {"{x} found {x.found}.", "{x} found {x.found}[, and|.] {y} found {y.found}."},
    [AE_FACT_HOME]  = {"{x} lived {x.home}.", "{x} lived {x.home}[, and|.] {y} lived {y.home}."},
    [AE_FACT_HIDE]  = {"They left the {x.noun} {x.hide}.",
                       "They left the {x.noun} {x.hide}[, and they|. They] left the {y.noun} {y.hide}."},
    [AE_FACT_DEEDS] = {NULL, "First they {deed1}[, and then they|. Then they] {deed2}."},
};
/* clang-format on */

void ae_tale_point_at(ae_tale *t, int friend) {
    static const char *const parts[] = {"",     "kind",  "he",    "him",  "his",  "trait", "colour",
                                        "noun", "thing", "found", "home", "hide", "giver"};
    static const char *const who[] = {"a", "b"}, *const as[] = {"x", "y"};
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            char from[16];
            snprintf(from, sizeof from, "{%s%s%s}", who[k ^ friend], *parts[i] ? "." : "", parts[i]);
            ae_slot_set_part(&t->slots, as[k], parts[i], from);
        }
}

/* Of one friend three times out of four; what both have is harder to keep apart. */
static void tell(ae_tale *t, ae_fact fact) {
    int friend = (int)ae_rng_below(&t->slots.rng, 2);
    bool both = ae_rng_below(&t->slots.rng, 4) == 0 || !sentences[fact].of_one;
    if (fact == AE_FACT_THING && t->for_task) friend = 0;
    if (fact == AE_FACT_HIDE) { /* the things that were told of */
        both = t->told[AE_FACT_THING][0] && t->told[AE_FACT_THING][1];
        if (!both) friend = t->told[AE_FACT_THING][1];
    }
    ae_tale_point_at(t, friend);
    ae_expand(&t->slots, " ", &t->text);
    ae_expand(&t->slots, both ? sentences[fact].of_both : sentences[fact].of_one, &t->text);
    t->told[fact][friend] = true;
    t->told[fact][1 - friend] = both;
}

static bool held_out(const ae_grammar *g) {
    char text[2 * AE_SLOT_BYTES];
    snprintf(text, sizeof text, "%s, %s", ae_slot_get(g, "a"), ae_slot_get(g, "place"));
    return ae_rng_hash(0, text) % 10 == 0;
}

static void shuffle(ae_rng *rng, ae_fact *facts, size_t n) {
    for (size_t i = n; i > 1; i--) {
        const size_t k = (size_t)ae_rng_below(rng, i);
        const ae_fact kept = facts[k];
        facts[k] = facts[i - 1];
        facts[i - 1] = kept;
    }
}

void ae_tale_tell(uint64_t seed, uint64_t number, ae_tale *t) {
    *t = (ae_tale){.slots = {.rng = ae_rng_make(seed, ae_rng_hash(number, "tale")), .rules = rules}};
    ae_world_draw_two(&t->slots);
    ae_slot_set(&t->slots, "a.thing", "{a.colour} {a.noun}");
    ae_slot_set(&t->slots, "b.thing", "{b.colour} {b.noun}");
    t->heldout = held_out(&t->slots);
    ae_tale_retell(t);
}

void ae_tale_retell(ae_tale *t) {
    ae_rng *rng = &t->slots.rng;
    t->text = (ae_text){.n = 0};
    memset(t->told, 0, sizeof t->told);

    /* Of five facts the first three are told; where a thing is hidden comes after it, at the end. */
    ae_fact facts[] = {AE_FACT_TRAIT, AE_FACT_FOUND, AE_FACT_HOME, AE_FACT_HIDE, AE_FACT_DEEDS};
    enum { FACTS = sizeof facts / sizeof *facts, TOLD = 3 };
    shuffle(rng, facts, FACTS);
    const size_t thing = (size_t)ae_rng_below(rng, TOLD);
    bool hide = false;
    ae_expand(&t->slots, "{begin}", &t->text);
    for (int i = 0; i < 2; i++)
        t->told[AE_FACT_FRIEND][i] = t->told[AE_FACT_PLACE][i] = t->told[AE_FACT_WEATHER][i] =
            t->told[AE_FACT_TIME][i] = true;
    for (size_t i = 0; i < TOLD; i++) {
        if (i == thing) tell(t, AE_FACT_THING);
        if (facts[i] == AE_FACT_HIDE)
            hide = true;
        else
            tell(t, facts[i]);
    }
    if (hide) tell(t, AE_FACT_HIDE);
    ae_expand(&t->slots, " {end}", &t->text);
}
