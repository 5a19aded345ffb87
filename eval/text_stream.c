#include "eval/text_stream.h"

#include "core/dims.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A character has at most 4 bytes, each a token of its own: what waits longer will not become one. */
enum { WAITING_MAX = 8 };

void ae_text_stream_init(ae_text_stream *s, const ae_tokenizer *t) {
    *s = (ae_text_stream){.tokenizer = t};
}

void ae_text_stream_free(ae_text_stream *s) {
    ae_ids_free(&s->window);
    free(s->text);
    *s = (ae_text_stream){0};
}

static ae_status append(ae_text_stream *s, const char *text, size_t n) {
    if (!s->text || s->n + n + 1 > s->capacity) {
        const size_t capacity = 2 * (s->n + n) + 64;
        char *grown = realloc(s->text, capacity);
        if (!grown) return AE_FAIL(AE_ERR_RESOURCE, "text of an answer: out of memory");
        s->text = grown;
        s->capacity = capacity;
    }
    memcpy(s->text + s->n, text, n);
    s->n += n;
    s->text[s->n] = '\0';
    return AE_OK;
}

/* The decoder writes U+FFFD for bytes that are no character yet. */
static bool ends_in_half_character(const char *text, size_t n) {
    return n >= 3 && memcmp(text + n - 3, "\xEF\xBF\xBD", 3) == 0;
}

/* The tokens that were new become the context of the next ones: decoding depends on the neighbour to the left (a leading space is
 * dropped at the very start only). */
static void slide(ae_text_stream *s) {
    const ptrdiff_t fresh = s->window.n - s->context;
    memmove(s->window.ids, s->window.ids + s->context, (size_t)fresh * sizeof *s->window.ids);
    s->window.n = s->context = fresh;
}

static ae_status flush(ae_text_stream *s, bool all) {
    char *before = NULL, *after = NULL;
    size_t n_before = 0, n_after = 0;
    ae_status st;
    AE_TRY(ae_tokenizer_decode(s->tokenizer, s->window.ids, s->context, &before, &n_before));
    AE_TRY(ae_tokenizer_decode(s->tokenizer, s->window.ids, s->window.n, &after, &n_after));
    if (n_after <= n_before) goto out; /* a control token adds nothing */
    const bool patient = !all && s->window.n - s->context < WAITING_MAX;
    if (patient && ends_in_half_character(after, n_after)) goto out;
    AE_TRY(append(s, after + n_before, n_after - n_before));
    slide(s);
out:
    free(before);
    free(after);
    return st;
}

ae_status ae_text_stream_push(ae_text_stream *s, int32_t id) {
    ae_ids_append(&s->window, id);
    return flush(s, false);
}

ae_status ae_text_stream_finish(ae_text_stream *s) {
    const ae_status st = s->window.n > s->context ? flush(s, true) : AE_OK;
    return st == AE_OK && !s->text ? append(s, "", 0) : st;
}

size_t ae_text_find_stop(const char *text, size_t n, size_t from, const char *const *stops, size_t n_stops) {
    size_t first = SIZE_MAX;
    for (size_t k = 0; k < n_stops; k++) {
        const char *at = from < n ? memmem(text + from, n - from, stops[k], strlen(stops[k])) : NULL;
        if (at && (size_t)(at - text) < first) first = (size_t)(at - text);
    }
    return first;
}

size_t ae_text_maybe_stop(const char *text, size_t n, const char *const *stops, size_t n_stops) {
    size_t most = 0;
    for (size_t k = 0; k < n_stops; k++) {
        size_t length = (size_t)ae_min((ptrdiff_t)strlen(stops[k]) - 1, (ptrdiff_t)n);
        while (length > most && memcmp(text + n - length, stops[k], length) != 0) length--;
        if (length > most) most = length;
    }
    return most;
}
