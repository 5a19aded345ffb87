#ifndef AE_CORPUS_TALES_H
#define AE_CORPUS_TALES_H
#include "corpus/grammar.h"

/* A tale is a story of 40 to 110 words about two friends, made for questions: it states facts, and of what can be asked
 * (their things, colours, homes, ...) the two never have the same. */

typedef enum {
    AE_FACT_FRIEND,
    AE_FACT_PLACE,
    AE_FACT_WEATHER,
    AE_FACT_TIME,
    AE_FACT_THING,
    AE_FACT_TRAIT,
    AE_FACT_FOUND,
    AE_FACT_HOME,
    AE_FACT_HIDE,
    AE_FACT_DEEDS,
    AE_FACTS
} ae_fact;

typedef struct {
    ae_text text; /* one paragraph */
    ae_grammar
        slots; /* ae_world_draw_two's, those of ae_tale_point_at, and the numbers that go on from here */
    bool told[AE_FACTS][2]; /* of a, of b; of both where a fact is of neither */
    bool heldout;
    bool for_task; /* a retelling lets a have the thing, as a writing task asks */
} ae_tale;

/* Tale `number` under `seed`: a pure function of both. Whether it is held out depends on the first name and the
 * place alone, whatever the seed: about one combination of ten is, and training never sees those. */
void ae_tale_tell(uint64_t seed, uint64_t number, ae_tale *t);

/* Tells it once more in other words, with the slots as they are. */
void ae_tale_retell(ae_tale *t);

/* Sets the slots x, x.he, x.noun, ... to those of one friend (0: a, 1: b) and y, y.he, ... to those of the other one. */
void ae_tale_point_at(ae_tale *t, int friend);

#endif
