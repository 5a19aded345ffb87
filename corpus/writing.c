#include "corpus/writing.h"

#include "corpus/world.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char before[] = "Write a story about ";

static bool take(char *out, const char *from, const char *end) {
    const size_t n = (size_t)(end - from);
    if (n == 0 || n >= AE_SLOT_BYTES) return false;
    memcpy(out, from, n);
    out[n] = '\0';
    return true;
}

bool ae_task_parse(const char *prompt, ae_task *task) {
    if (strncmp(prompt, before, strlen(before)) != 0) return false;
    const char *name = prompt + strlen(before), *comma = strstr(name, ", a"),
               *and = strstr(name, " and the ");
    if (!comma || !and || and < comma) return false;
    const char *thing = strchr(comma + 2, ' '), *stop = strchr(and, '.');
    return thing && thing < and&&stop && take(task->name, name, comma) && take(task->thing, thing + 1, and) &&
           take(task->place, and+strlen(" and the "), stop);
}

void ae_task_of(ae_tale *t, ae_task *task, ae_text *prompt) {
    *prompt = (ae_text){.n = 0};
    ae_expand(&t->slots, before, prompt);
    ae_expand(&t->slots, "{a}, @{a.thing} and {place}.", prompt);
    if (!ae_task_parse(prompt->text, task)) *task = (ae_task){.name = ""};
}

/* ---- the rule ---- */

static bool in_word(char c) {
    return isalnum((unsigned char)c) || c == '\'';
}

/* How often `part` stands in the text as whole words. */
static int count(const char *text, const char *part) {
    const size_t n = strlen(part);
    int found = 0;
    for (const char *at = strstr(text, part); at && n > 0; at = strstr(at + 1, part))
        found += (at == text || !in_word(at[-1])) && !isalnum((unsigned char)at[n]);
    return found;
}

static uint64_t hash_word(const char *word, size_t n) {
    char lower[32];
    size_t i = 0;
    for (; i < n && i + 1 < sizeof lower; i++) lower[i] = (char)tolower((unsigned char)word[i]);
    lower[i] = '\0';
    return ae_rng_hash(0, lower);
}

enum { WORDS = 60, WORDS_FINE = 90, WORDS_MOST = 180 };

/* Words of the text; of the distinct ones, the first 60 are counted. */
static int count_words(const char *text, int *distinct) {
    uint64_t seen[WORDS];
    int words = 0;
    *distinct = 0;
    for (const char *p = text; *p;) {
        if (!in_word(*p)) {
            p++;
            continue;
        }
        const char *word = p;
        while (in_word(*p)) p++;
        words++;
        const uint64_t hash = hash_word(word, (size_t)(p - word));
        int i = 0;
        while (i < *distinct && seen[i] != hash) i++;
        if (i == *distinct && i < WORDS) seen[(*distinct)++] = hash;
    }
    return words;
}

static double length_of(int words) {
    if (words < WORDS) return (double)words / WORDS;
    if (words <= WORDS_FINE) return 1;
    return words < WORDS_MOST ? (double)(WORDS_MOST - words) / (WORDS_MOST - WORDS_FINE) : 0;
}

static bool ends_well(const char *text) {
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)text[n - 1])) n--;
    if (n > 1 && text[n - 1] == '"') n--;
    return n > 0 && strchr(".!?", text[n - 1]);
}

void ae_grade_text(const ae_task *task, const char *text, ae_grade *g) {
    int distinct;
    const int words = count_words(text, &distinct), named = count(text, task->name);
    const char *space = strchr(task->thing, ' ');
    char colour[AE_SLOT_BYTES];
    snprintf(colour, sizeof colour, "%.*s", space ? (int)(space - task->thing) : 0, task->thing);
    const char *noun = space ? space + 1 : task->thing;
    const double thing = 0.5 * (count(text, colour) > 0) + 0.5 * (count(text, noun) > 0);
    g->asked = ((named < 2 ? named : 2) / 2.0 + thing + (count(text, task->place) > 0)) / 3;
    g->length = length_of(words);
    g->variety = (double)distinct / WORDS;
    g->end = ends_well(text);
    g->reward = 0.5 * g->asked + 0.2 * g->length + 0.2 * g->variety + 0.1 * g->end;
}

/* ---- drafts ---- */

static bool chance(ae_tale *t, uint64_t percent) {
    return ae_rng_below(&t->slots.rng, 100) < percent;
}

/* Where sentence `k` begins, or the end of the text. */
static size_t sentence(const ae_text *text, size_t k) {
    size_t i = 0;
    for (; i < text->n && k > 0; i++)
        k -= i + 1 == text->n || (text->text[i] == '.' && text->text[i + 1] == ' ');
    while (i < text->n && text->text[i] == ' ') i++;
    return i;
}

static void append(ae_text *out, const char *text, size_t n) {
    if (out->n + n >= sizeof out->text) return;
    memcpy(out->text + out->n, text, n);
    out->n += n;
    out->text[out->n] = '\0';
}

/* The tale, or one of others about some of what was asked. */
static void retell_with_faults(ae_tale *t) {
    static ae_tale asked;
    asked = *t;
    if (chance(t, 30)) {
        ae_world_draw_two(&t->slots);
        if (chance(t, 50)) {
            ae_slot_set(&t->slots, "a.colour", ae_slot_get(&asked.slots, "a.colour"));
            ae_slot_set(&t->slots, "a.noun", ae_slot_get(&asked.slots, "a.noun"));
        }
        if (chance(t, 50)) ae_slot_set(&t->slots, "place", ae_slot_get(&asked.slots, "place"));
    } else if (chance(t, 25))
        ae_slot_set(&t->slots, "a.colour", "{b.colour}");
    else if (chance(t, 25))
        ae_slot_set(&t->slots, "place", "{place.not}");
    ae_slot_set(&t->slots, "a.thing", "{a.colour} {a.noun}");
    ae_slot_set(&t->slots, "b.thing", "{b.colour} {b.noun}");
    ae_tale_retell(t);
}

/* Cuts what follows the first `n` bytes, and spaces before it. */
static void cut(ae_text *text, size_t n) {
    while (n > 0 && text->text[n - 1] == ' ') n--;
    text->text[n] = '\0';
    text->n = n;
}

void ae_writing_draft(const ae_tale *t, ae_rng *rng, ae_text *out) {
    static ae_tale draft;
    draft = *t;
    draft.slots.rng = *rng;
    draft.for_task = true;
    retell_with_faults(&draft);
    size_t sentences = 0;
    while (sentence(&draft.text, sentences) < draft.text.n) sentences++;
    const size_t kept =
        chance(&draft, 50) ? sentences : 1 + (size_t)ae_rng_below(&draft.slots.rng, sentences);
    *out = (ae_text){.n = 0};
    for (size_t i = 0; i < kept; i++) {
        const size_t from = sentence(&draft.text, i), to = sentence(&draft.text, i + 1);
        for (int times = chance(&draft, 5) ? 2 : 1; times > 0; times--) {
            if (out->n > 0 && out->text[out->n - 1] != ' ') append(out, " ", 1);
            append(out, draft.text.text + from, to - from);
        }
    }
    cut(out, out->n);
    if (chance(&draft, 20) && out->n > 12) cut(out, out->n - 2 - (size_t)ae_rng_below(&draft.slots.rng, 8));
    *rng = draft.slots.rng;
}
