#ifndef AE_CORPUS_WORLD_H
#define AE_CORPUS_WORLD_H
#include "corpus/grammar.h"

/* Draws who and what a story is about and sets the slots that plots use:
 *
 *   a, b           two of the same world (children or animals), with a.he a.him a.his a.kind, b.he ...
 *   c              a small creature, with c.he c.him c.his c.trouble c.help c.safe
 *   elder          "grandmother", with elder.he elder.him elder.his elder.name ("Grandma")
 *   trait          "brave", with trait.act: a sentence of what that makes {a} do
 *   thing          "red ball", with noun, colour, use ("bounce it"), used ("bounced it")
 *   place          "the park", with see, hide, wrong1, wrong2
 *   weather        "rainy", with sky (a sentence), wear, sky.end (a sentence)
 *   time           "morning", with next ("lunch")
 *   food, foods    "apple", "apples"
 *   have gave left more sum       "five apples" and so on: gave + left = have, have + more = sum
 *   aloud          "One, two, three, four, five!" up to have
 *   skill          "swim across the pond", with skill.try, skill.fail
 *   pack1..3       three things for a trip, with pack1.event pack1.use; kin and ride for the trip
 *   shadow         what the frightening noise was, with shadow.noise */
void ae_world_draw(ae_grammar *g);

/* Draws for a tale of two in which nothing is alike, so that each question has one answer:
 *
 *   a, b           as above; each with trait, colour, noun, giver ("Grandma"), hide, home ("near the mill"),
 *                  found ("three shells")
 *   finds          "shells", what both found
 *   place, weather, time          and place.not, weather.not, time.not: others, which are not true
 *   deed1, deed2   "sang a song": what they did, in this order */
void ae_world_draw_two(ae_grammar *g);

#endif
