#ifndef AE_CORPUS_STORIES_H
#define AE_CORPUS_STORIES_H
#include "corpus/grammar.h"

/* Story `number` under `seed`: a pure function of both. Printable ASCII, paragraphs ending in newlines except the last. */
void ae_story(uint64_t seed, uint64_t number, ae_text *out);

/* The same, and the slots it was told with: those of the world, "plot" and "moral". */
void ae_story_with(uint64_t seed, uint64_t number, ae_text *out, ae_grammar *slots);

#endif
