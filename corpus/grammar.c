#include "corpus/grammar.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expand_span(ae_grammar *g, const char *p, const char *end, ae_text *out);

static void broken(const char *what, const char *at, size_t n) {
    fprintf(stderr, "aerie-stories: the tables hold %s: \"%.*s\"\n", what, (int)n, at);
    abort();
}

static void put_raw(ae_text *out, char c) {
    if (out->n + 1 >= sizeof out->text) broken("a pattern without end", out->text, 60);
    out->text[out->n++] = c;
    out->text[out->n] = '\0';
}

static void put_letter(ae_text *out, char c) {
    put_raw(out, out->capital ? (char)toupper((unsigned char)c) : c);
    out->capital = false;
}

static void put(ae_text *out, char c) {
    if (out->article && isalnum((unsigned char)c)) {
        out->article = false;
        put_letter(out, 'a');
        if (strchr("aeiou", c)) put_raw(out, 'n');
        put_raw(out, ' ');
    }
    if (isalnum((unsigned char)c))
        put_letter(out, c);
    else
        put_raw(out, c);
}

static const char *find(const ae_grammar *g, const char *name, size_t n) {
    for (size_t i = 0; i < g->n_slots; i++)
        if (strlen(g->slots[i].name) == n && memcmp(g->slots[i].name, name, n) == 0) return g->slots[i].text;
    for (const ae_rule *r = g->rules; r->name; r++)
        if (strlen(r->name) == n && memcmp(r->name, name, n) == 0) return r->pattern;
    broken("no slot and no rule of this name", name, n);
    return NULL;
}

/* The place of the bracket that closes the one at `open`. */
static const char *closing(const char *open, const char *end) {
    int depth = 0;
    for (const char *p = open; p < end; p++) {
        depth += *p == '[';
        depth -= *p == ']';
        if (depth == 0) return p;
    }
    broken("an open bracket", open, (size_t)(end - open));
    return end;
}

/* The bar that ends the part starting at `p`, or `end`. */
static const char *part_end(const char *p, const char *end) {
    int depth = 0;
    for (; p < end; p++) {
        depth += *p == '[';
        depth -= *p == ']';
        if (depth == 0 && *p == '|') return p;
    }
    return end;
}

static void expand_choice(ae_grammar *g, const char *p, const char *end, ae_text *out) {
    uint64_t parts = 1;
    for (const char *bar = part_end(p, end); bar < end; bar = part_end(bar + 1, end)) parts++;
    for (uint64_t skip = ae_rng_below(&g->rng, parts); skip > 0; skip--) p = part_end(p, end) + 1;
    expand_span(g, p, part_end(p, end), out);
}

static void expand_span(ae_grammar *g, const char *p, const char *end, ae_text *out) {
    for (; p < end; p++) {
        if (*p == '^')
            out->capital = true;
        else if (*p == '@')
            out->article = true;
        else if (*p == '[') {
            const char *close = closing(p, end);
            expand_choice(g, p + 1, close, out);
            p = close;
        } else if (*p == '{') {
            const char *close = memchr(p, '}', (size_t)(end - p));
            if (!close) broken("an open brace", p, (size_t)(end - p));
            ae_expand(g, find(g, p + 1, (size_t)(close - p - 1)), out);
            p = close;
        } else
            put(out, *p);
    }
}

void ae_expand(ae_grammar *g, const char *pattern, ae_text *out) {
    expand_span(g, pattern, pattern + strlen(pattern), out);
}

const char *ae_slot_get(const ae_grammar *g, const char *name) {
    for (size_t i = 0; i < g->n_slots; i++)
        if (strcmp(g->slots[i].name, name) == 0) return g->slots[i].text;
    return NULL;
}

void ae_slot_set(ae_grammar *g, const char *name, const char *pattern) {
    ae_text value; /* clearing all of it would take most of the time */
    value.text[0] = '\0';
    value.n = 0;
    value.capital = value.article = false;
    ae_expand(g, pattern, &value);
    size_t i = 0;
    while (i < g->n_slots && strcmp(g->slots[i].name, name) != 0) i++;
    assert(i < AE_SLOTS_MAX && strlen(name) < sizeof g->slots[i].name && value.n < AE_SLOT_BYTES);
    if (i == g->n_slots) g->n_slots++;
    snprintf(g->slots[i].name, sizeof g->slots[i].name, "%s", name);
    memcpy(g->slots[i].text, value.text, value.n + 1);
}

void ae_slot_set_part(ae_grammar *g, const char *prefix, const char *suffix, const char *pattern) {
    char name[sizeof g->slots[0].name];
    const int n = snprintf(name, sizeof name, "%s%s%s", prefix, *suffix ? "." : "", suffix);
    assert(n > 0 && (size_t)n < sizeof name);
    (void)n;
    ae_slot_set(g, name, pattern);
}
