#include "eval/text_stream.h"

#include "core/dims.h"
#include "data/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A character has at most 4 bytes, each a token of its own: what waits longer will not become one. */
enum { WAITING_MAX = 8 };

/* Of a prompt: enough to find a token with text among control tokens. */
enum { CONTEXT_MAX = 64 };

/* Tokens that add no text but spaces pile up behind the anchor: beyond PILE_MAX of them the last PILE_KEPT
 * stay. */
enum { PILE_MAX = 64, PILE_KEPT = 2 * WAITING_MAX };

void ae_text_stream_init(ae_text_stream *s, const ae_tokenizer *t) {
    *s = (ae_text_stream){.tokenizer = t};
}

/* Ids that have no piece, of a table larger than the tokenizer, end what can be decoded. */
ae_status ae_text_stream_follow(ae_text_stream *s, const int32_t *ids, ptrdiff_t n) {
    ptrdiff_t first = n;
    while (first > 0 && n - first < CONTEXT_MAX && ids[first - 1] < ae_tokenizer_size(s->tokenizer)) first--;
    const ae_status st = ae_ids_extend(&s->window, ids + first, n - first);
    s->context = s->anchor = s->window.n;
    return st;
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

/* The tokens that were new become the context of the next ones: decoding depends on the neighbour to the
 * left, and drops leading spaces at the very start. So tokens of nothing but spaces are no context alone, and
 * those before them stay. */
static void slide(ae_text_stream *s, bool only_spaces) {
    const ptrdiff_t fresh = s->window.n - s->context;
    if (only_spaces) {
        s->context = s->window.n;
        return;
    }
    memmove(s->window.ids, s->window.ids + s->context, (size_t)fresh * sizeof *s->window.ids);
    s->window.n = s->context = s->anchor = fresh;
}

/* Takes tokens out from behind the anchor: with it in front, a text has begun with and without them. Where no
 * text has begun, the first few become the anchor: one of them may be the space that decoding drops. */
static void thin_out(ae_text_stream *s) {
    if (s->window.n <= s->anchor + PILE_MAX) return;
    if (s->anchor == 0) s->anchor = PILE_KEPT;
    const ptrdiff_t dropped = s->window.n - PILE_KEPT - s->anchor;
    int32_t *behind = s->window.ids + s->anchor;
    memmove(behind, behind + dropped, PILE_KEPT * sizeof *behind);
    s->window.n -= dropped;
    s->context = ae_max(s->anchor, s->context - dropped);
}

/* Where the two begin to differ, at a character: the end of `before`, unless that ends in half a character
 * that `after` has whole. */
static size_t shared_bytes(const char *before, size_t n_before, const char *after, size_t n_after) {
    size_t n = 0;
    while (n < n_before && n < n_after && before[n] == after[n]) n++;
    while (n > 0 && n < n_after && ((unsigned char)after[n] & 0xc0) == 0x80) n--;
    return n;
}

static ae_status flush(ae_text_stream *s, bool all) {
    char *before = NULL, *after = NULL;
    size_t n_before = 0, n_after = 0;
    ae_status st;
    AE_TRY(ae_tokenizer_decode(s->tokenizer, s->window.ids, s->context, &before, &n_before));
    AE_TRY(ae_tokenizer_decode(s->tokenizer, s->window.ids, s->window.n, &after, &n_after));
    const size_t shared = shared_bytes(before, n_before, after, n_after);
    if (n_after <= shared) goto out; /* a control token adds nothing */
    const bool patient = !all && s->window.n - s->context < WAITING_MAX;
    if (patient && ends_in_half_character(after, n_after)) goto out;
    AE_TRY(append(s, after + shared, n_after - shared));
    slide(s, ae_text_is_blank(after + shared, n_after - shared));
out:
    free(before);
    free(after);
    return st;
}

ae_status ae_text_stream_push(ae_text_stream *s, int32_t id) {
    ae_status st = ae_ids_append(&s->window, id);
    if (st == AE_OK) st = flush(s, false);
    thin_out(s);
    return st;
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
