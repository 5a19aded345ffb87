#ifndef AE_CORPUS_GRAMMAR_H
#define AE_CORPUS_GRAMMAR_H
#include "core/rng.h"

#include <stdbool.h>
#include <stddef.h>

/* Text from patterns. In a pattern
 *
 *   {name}    is the slot of that name, or else the rule of that name, expanded in turn
 *   [x|y|z]   is one of the parts, each as likely; parts may nest and may be empty
 *   ^         makes the next letter a capital
 *   @         is "a " or "an ", as the next letter wants
 *
 * A slot is fixed once per story, so what it names stays the same from the first sentence to the last; a rule is
 * chosen anew each time. A name that is neither is a mistake in the tables: expansion stops the program. */

enum { AE_SLOTS_MAX = 96, AE_SLOT_BYTES = 160, AE_TEXT_BYTES = 8192 };

typedef struct {
    const char *name, *pattern;
} ae_rule;

typedef struct {
    char name[16], text[AE_SLOT_BYTES];
} ae_slot;

typedef struct {
    ae_rng rng;
    const ae_rule *rules; /* ends with a NULL name */
    ae_slot slots[AE_SLOTS_MAX];
    size_t n_slots;
} ae_grammar;

typedef struct {
    char text[AE_TEXT_BYTES]; /* always ends with a NUL */
    size_t n;
    bool capital, article;
} ae_text;

/* Expands `pattern` now and keeps the result. A slot that exists is replaced. */
void ae_slot_set(ae_grammar *g, const char *name, const char *pattern);
/* The slot "prefix.suffix", or "prefix" when the suffix is empty. */
void ae_slot_set_part(ae_grammar *g, const char *prefix, const char *suffix, const char *pattern);
const char *ae_slot_get(const ae_grammar *g, const char *name); /* NULL: there is none */
/* Appends the expansion. */
void ae_expand(ae_grammar *g, const char *pattern, ae_text *out);

#endif
