#define PCRE2_CODE_UNIT_WIDTH 8
#include "benchmark/filters.h"

#include "benchmark/words.h"
#include "data/utf8.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "filters: out of memory");
}

/* ---- patterns ---- */

struct ae_pattern {
    pcre2_code *code;
    pcre2_match_data *match;
    char *text;
};

ae_status ae_pattern_new(ae_pattern **out, const char *text, const char *where) {
    int error;
    PCRE2_SIZE at;
    ae_pattern *p = *out = calloc(1, sizeof *p);
    if (!p) return out_of_memory();
    p->code =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
    if (!p->code) {
        PCRE2_UCHAR words[256];
        (void)pcre2_get_error_message(error, words, sizeof words);
        ae_pattern_delete(p);
        *out = NULL;
        return AE_FAIL(AE_ERR_USAGE,
                       "%s: pattern: expected a regular expression, found one that is none at byte %zu: %s",
                       where, (size_t)at, (const char *)words);
    }
    p->match = pcre2_match_data_create_from_pattern(p->code, NULL);
    p->text = strdup(text);
    if (p->match && p->text) return AE_OK;
    ae_pattern_delete(p);
    *out = NULL;
    return out_of_memory();
}

void ae_pattern_delete(ae_pattern *p) {
    if (!p) return;
    pcre2_match_data_free(p->match);
    pcre2_code_free(p->code);
    free(p->text);
    free(p);
}

/* The next match at or after *at, which moves behind it; an empty one is not found again at its place. */
typedef struct {
    const ae_pattern *p;
    const char *subject;
    size_t n, at;
    bool after_empty;
    const PCRE2_SIZE *places; /* pairs: of the whole, then of each group */
    int groups;               /* that took part, the whole among them */
} search;

/* What PCRE2 gives up on, as it does on a search of too many steps, is not the same as no match. */
static ae_status gave_up(const search *s, int error) {
    PCRE2_UCHAR words[256];
    if (error == PCRE2_ERROR_NOMEMORY) return out_of_memory();
    (void)pcre2_get_error_message(error, words, sizeof words);
    return AE_FAIL(AE_ERR_INPUT,
                   "pattern %.200s: expected to find out whether it matches an answer of %zu bytes, found: "
                   "%s; write a simpler pattern",
                   s->p->text, s->n, (const char *)words);
}

static ae_status next_match(search *s, bool *is_one) {
    *is_one = false;
    while (s->at <= s->n) {
        const uint32_t again = s->after_empty ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0;
        const int found =
            pcre2_match(s->p->code, (PCRE2_SPTR)s->subject, s->n, s->at, again, s->p->match, NULL);
        if (found > 0) {
            s->places = pcre2_get_ovector_pointer(s->p->match);
            s->groups = found;
            s->after_empty = s->places[0] == s->places[1];
            s->at = s->places[1];
            *is_one = true;
            return AE_OK;
        }
        if (found != PCRE2_ERROR_NOMATCH) return gave_up(s, found);
        if (!s->after_empty) return AE_OK;
        s->after_empty = false;
        do s->at++; /* to the next character */
        while (s->at < s->n && ((unsigned char)s->subject[s->at] & 0xC0) == 0x80);
    }
    return AE_OK;
}

ae_status ae_pattern_cut(char **out, const ae_pattern *p, const char *subject) {
    search s = {.p = p, .subject = subject, .n = strlen(subject)};
    char *to = *out = malloc(s.n + 1);
    size_t kept = 0;
    bool is_one;
    ae_status st;
    if (!to) return out_of_memory();
    while ((st = next_match(&s, &is_one)) == AE_OK && is_one) {
        memcpy(to, subject + kept, s.places[0] - kept);
        to += s.places[0] - kept;
        kept = s.places[1];
    }
    memcpy(to, subject + kept, s.n - kept + 1);
    if (st == AE_OK) return AE_OK;
    free(*out);
    *out = NULL;
    return st;
}

/* ---- chains ---- */

struct ae_filter_chain {
    const ae_filter *filter;
    ae_pattern **patterns; /* [n_steps]; NULL of steps without one */
};

ae_status ae_filter_chain_new(ae_filter_chain **out, const ae_filter *f, const char *where) {
    ae_filter_chain *c = *out = calloc(1, sizeof *c);
    if (!c) return out_of_memory();
    c->filter = f;
    c->patterns = calloc(f->n_steps + 1, sizeof *c->patterns);
    ae_status st = c->patterns ? AE_OK : out_of_memory();
    for (size_t i = 0; st == AE_OK && i < f->n_steps; i++)
        if (f->steps[i].kind == AE_FILTER_REGEX)
            st = ae_pattern_new(&c->patterns[i], f->steps[i].pattern, where);
    if (st == AE_OK) return AE_OK;
    ae_filter_chain_delete(c);
    *out = NULL;
    return st;
}

void ae_filter_chain_delete(ae_filter_chain *c) {
    if (!c) return;
    for (size_t i = 0; c->patterns && i < c->filter->n_steps; i++) ae_pattern_delete(c->patterns[i]);
    free(c->patterns);
    free(c);
}

void ae_texts_free(ae_texts *t) {
    for (size_t i = 0; i < t->n; i++) free(t->items[i]);
    free(t->items);
    *t = (ae_texts){0};
}

/* ---- steps ---- */

static char *copy_trimmed(const char *s, size_t n) {
    ae_text_trim(&s, &n);
    return strndup(s, n);
}

/* What Python's findall gives of a match: the first group that holds something, or the whole where there are none. */
static char *match_text(const search *s, const ae_filter_step *step) {
    uint32_t count = 0;
    (void)pcre2_pattern_info(s->p->code, PCRE2_INFO_CAPTURECOUNT, &count);
    if (count == 0) return copy_trimmed(s->subject + s->places[0], s->places[1] - s->places[0]);
    for (int g = 1; g < s->groups; g++) {
        const size_t begin = s->places[2 * g], end = s->places[2 * g + 1];
        if (begin != PCRE2_UNSET && end > begin) return copy_trimmed(s->subject + begin, end - begin);
    }
    return count == 1 ? strdup("") : strdup(step->fallback);
}

static ae_status extract(char **out, const ae_pattern *p, const ae_filter_step *step, const char *answer) {
    const search start = {.p = p, .subject = answer, .n = strlen(answer)};
    search s = start;
    int matches = 0;
    bool is_one;
    ae_status st;
    while ((st = next_match(&s, &is_one)) == AE_OK && is_one) matches++;
    const int wanted = step->match < 0 ? matches + step->match : step->match;
    s = start;
    for (int i = 0; st == AE_OK && wanted < matches && i <= wanted; i++) st = next_match(&s, &is_one);
    if (st != AE_OK) return st;
    *out = wanted < 0 || wanted >= matches ? strdup(step->fallback) : match_text(&s, step);
    return *out ? AE_OK : out_of_memory();
}

static ae_status changed(char **out, const ae_filter_step *step, const ae_pattern *p, const char *answer) {
    if (step->kind == AE_FILTER_REGEX) return extract(out, p, step, answer);
    *out = step->kind == AE_FILTER_TRIM        ? copy_trimmed(answer, strlen(answer))
           : step->kind == AE_FILTER_LOWERCASE ? ae_words_lower(answer)
                                               : strdup(answer);
    return *out ? AE_OK : out_of_memory();
}

static size_t votes_for(const ae_texts *t, size_t i) {
    size_t votes = 0;
    for (size_t j = 0; j < t->n; j++) votes += strcmp(t->items[i], t->items[j]) == 0;
    return votes;
}

/* The place of what most answers say, the earliest of equals. */
static size_t most_voted(const ae_texts *t) {
    size_t best = 0, most = 0;
    for (size_t i = 0; i < t->n; i++) {
        const size_t votes = votes_for(t, i);
        if (votes > most) {
            best = i;
            most = votes;
        }
    }
    return best;
}

static void keep_first(ae_texts *t, size_t n) {
    for (; t->n > n; t->n--) free(t->items[t->n - 1]);
}

static void keep_one(ae_texts *t, size_t i) {
    char *one = t->items[i];
    t->items[i] = t->items[0];
    t->items[0] = one;
    keep_first(t, 1);
}

static ae_status step(ae_texts *t, const ae_filter_step *s, const ae_pattern *p) {
    for (size_t i = 0; i < t->n; i++) {
        char *next = NULL;
        const ae_status st = changed(&next, s, p, t->items[i]);
        if (st != AE_OK) return st;
        free(t->items[i]);
        t->items[i] = next;
    }
    if (s->kind == AE_FILTER_TAKE_FIRST) keep_first(t, 1);
    if (s->kind == AE_FILTER_TAKE_FIRST_K) keep_first(t, (size_t)s->k);
    if (s->kind == AE_FILTER_MAJORITY && t->n > 0) keep_one(t, most_voted(t));
    return AE_OK;
}

ae_status ae_filter_apply(ae_texts *out, const ae_filter_chain *c, const char *const *answers, size_t n) {
    *out = (ae_texts){.items = calloc(n + 1, sizeof *out->items)};
    ae_status st = out->items ? AE_OK : out_of_memory();
    for (; st == AE_OK && out->n < n; out->n++)
        if (!(out->items[out->n] = strdup(answers[out->n]))) st = out_of_memory();
    for (size_t i = 0; st == AE_OK && i < c->filter->n_steps; i++)
        st = step(out, &c->filter->steps[i], c->patterns[i]);
    if (st != AE_OK) ae_texts_free(out);
    return st;
}
