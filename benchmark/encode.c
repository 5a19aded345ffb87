#include "benchmark/encode.h"

#include "core/dims.h"
#include "data/render.h"
#include "data/utf8.h"

#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(const char *where) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
}

/* ---- text to ids ---- */

static ae_status add_text(ae_ids *ids, const ae_encoding *how, const char *text, size_t n,
                          const char *where) {
    const ptrdiff_t first = ids->n;
    const ae_status st = ae_tokenizer_encode(how->tokenizer, text, n, ids);
    if (st != AE_OK) {
        ae_fail_prefix("%s", where);
        return st;
    }
    for (ptrdiff_t i = first; i < ids->n; i++)
        if (ids->ids[i] >= how->vocab)
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: the tokenizer gives id %d, the model has %lld: they do not belong together",
                           where, (int)ids->ids[i], (long long)how->vocab);
    return AE_OK;
}

static ae_status add_bos(ae_ids *ids, const ae_encoding *how) {
    return ae_ids_append(ids, ae_tokenizer_special(how->tokenizer).bos);
}

/* ---- turns ---- */

static ae_status add_turn(ae_dialogue *d, const ae_task_turn *t, const char *context, const char *where) {
    static const ae_role roles[] = {[AE_TURN_SYSTEM] = AE_ROLE_SYSTEM,
                                    [AE_TURN_USER] = AE_ROLE_USER,
                                    [AE_TURN_ASSISTANT] = AE_ROLE_MODEL};
    return ae_dialogue_add(d, roles[t->role], true, context + t->begin, t->end - t->begin, where);
}

/* The turns of the request; where contexts differ the last one is what context c has from its place on. */
static ae_status add_turns(ae_ids *ids, const ae_encoding *how, const ae_request *r, const char *context,
                           const char *where) {
    ae_dialogue d = {0};
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < r->n_turns; i++) {
        ae_task_turn t = r->turns[i];
        if (i + 1 == r->n_turns) t.end = r->partial ? strlen(context) : t.end;
        st = add_turn(&d, &t, context, where);
    }
    if (st == AE_OK) st = ae_render_prompt(how->tokenizer, &d, ids);
    ae_dialogue_free(&d);
    return st;
}

/* ---- pairs ---- */

static const char OPENING[] = "model\n"; /* of the turn that a dialogue ends with */

/* What a context has before the text that its continuation is encoded with, and that text. */
typedef struct {
    ae_ids before;
    const char *text;
    const char *continuation;
} parts;

static ae_status parts_of(parts *p, const ae_encoding *how, const ae_task *leaf, const ae_request *r,
                          ptrdiff_t c, bool alone, const char *where) {
    const size_t delimiter = strlen(leaf->target_delimiter);
    *p = (parts){.text = alone ? "" : r->contexts[c], .continuation = r->continuations[c]};
    if (how->chat) p->continuation += delimiter;
    if (how->chat && !alone) {
        ae_ids opening = {0};
        p->text = OPENING;
        ae_status st = add_turns(&p->before, how, r, r->contexts[c], where);
        if (st == AE_OK) st = add_text(&opening, how, OPENING, strlen(OPENING), where);
        p->before.n -= opening.n;
        ae_ids_free(&opening);
        return st;
    }
    return p->text[0] == '\0' || how->bos ? add_bos(&p->before, how) : AE_OK;
}

/* Bytes of a text without the white space at its end. */
static size_t without_end(const char *text) {
    const char *s = text;
    size_t n = strlen(text);
    ae_text_trim(&s, &n);
    return n > 0 ? (size_t)(s - text) + n : 0;
}

/* Ids of the context into `context`, and of both together into `whole`. */
static ae_status encode_both(ae_ids *context, ae_ids *whole, const parts *p, const ae_encoding *how,
                             const char *where) {
    const size_t n = strlen(p->text), kept = without_end(p->text), m = strlen(p->continuation);
    char *both = malloc(n + m + 1);
    if (!both) return out_of_memory(where);
    memcpy(both, p->text, n);
    memcpy(both + n, p->continuation, m + 1);
    ae_status st = ae_ids_extend(context, p->before.ids, p->before.n);
    if (st == AE_OK) st = ae_ids_extend(whole, p->before.ids, p->before.n);
    if (st == AE_OK) st = add_text(context, how, both, kept, where);
    if (st == AE_OK) st = add_text(whole, how, both, n + m, where);
    free(both);
    return st;
}

/* Ids that are there already, from `before` on, or appended. */
static ae_status place_context(ae_encoded *e, ae_ids *ids, const int32_t *context, ptrdiff_t n,
                               const ae_encoded *before) {
    e->n_context = n;
    if (before && before->n_context == n &&
        memcmp(ids->ids + before->context, context, (size_t)n * sizeof *context) == 0) {
        e->context = before->context;
        return AE_OK;
    }
    e->context = ids->n;
    return ae_ids_extend(ids, context, n);
}

static ae_status place(ae_encoded *e, ae_ids *ids, const ae_ids *context, const ae_ids *whole,
                       const ae_encoding *how, const ae_encoded *before, const char *where) {
    const ptrdiff_t n = whole->n - context->n, most = how->max_length;
    if (n <= 0)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a continuation with a token of its own, found none: it becomes part "
                       "of the context's last one",
                       where);
    if (most > 0 && n > most)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a continuation of at most %td tokens (--max-length), found %td", where,
                       most, n);
    const ptrdiff_t cut = most > 0 ? ae_max(0, whole->n - (most + 1)) : 0;
    /* what is cut off is of the context, which keeps a token at least */
    const ae_status st = place_context(e, ids, whole->ids + cut, context->n - cut, before);
    e->cut = cut > 0;
    e->continuation = ids->n;
    e->n_continuation = n;
    return st == AE_OK ? ae_ids_extend(ids, whole->ids + context->n, n) : st;
}

ae_status ae_encode_choice(ae_encoded *e, ae_ids *ids, const ae_encoding *how, const ae_task *leaf,
                           const ae_request *r, ptrdiff_t c, const ae_encoded *before, bool alone,
                           const char *where) {
    ae_ids context = {0}, whole = {0};
    parts p;
    *e = (ae_encoded){0};
    ae_status st = parts_of(&p, how, leaf, r, c, alone, where);
    if (st == AE_OK) st = encode_both(&context, &whole, &p, how, where);
    if (st == AE_OK) st = place(e, ids, &context, &whole, how, before, where);
    ae_ids_free(&p.before);
    ae_ids_free(&context);
    ae_ids_free(&whole);
    return st;
}

/* ---- prompts ---- */

ae_status ae_encode_prompt(ae_encoded *e, ae_ids *ids, const ae_encoding *how, const ae_request *r,
                           int max_new, const char *where) {
    const ptrdiff_t first = ids->n;
    const char *context = r->contexts[0];
    ae_status st;
    if (how->chat) {
        st = add_turns(ids, how, r, context, where);
    } else {
        st = how->bos || context[0] == '\0' ? add_bos(ids, how) : AE_OK;
        if (st == AE_OK) st = add_text(ids, how, context, strlen(context), where);
    }
    if (st != AE_OK) return st;
    const ptrdiff_t n = ids->n - first, most = how->max_length - max_new;
    if (how->max_length > 0 && most < 1)
        return AE_FAIL(AE_ERR_USAGE, "--max-length: expected more than the %d tokens of an answer, found %td",
                       max_new, how->max_length);
    const ptrdiff_t cut = how->max_length > 0 ? ae_max(0, n - most) : 0;
    *e = (ae_encoded){.context = first + cut, .n_context = n - cut, .cut = cut > 0};
    return AE_OK;
}

/* ---- recall ---- */

/* Tokens of the front of a text, [wanted] or more, or of all of it: what comes behind changes the last few at most. */
static ae_status add_front(ae_ids *ids, const ae_encoding *how, const char *text, ptrdiff_t wanted,
                           const char *where) {
    enum { SPARE = 64, BYTES_EACH = 16 };
    const ptrdiff_t first = ids->n, all = (ptrdiff_t)strlen(text);
    const ptrdiff_t front = (wanted + SPARE) * BYTES_EACH;
    if (front < all) {
        const size_t edge = ae_text_edge(text, (size_t)front);
        const ae_status st = add_text(ids, how, text, edge, where);
        if (st != AE_OK || ids->n - first >= wanted + SPARE) return st;
        ids->n = first;
    }
    return add_text(ids, how, text, (size_t)all, where);
}

ae_status ae_encode_recall(ae_encoded *e, ae_ids *ids, const ae_encoding *how, const char *text,
                           ptrdiff_t prompt, ptrdiff_t answer, const char *where) {
    const ptrdiff_t first = ids->n;
    ae_status st = how->bos || text[0] == '\0' ? add_bos(ids, how) : AE_OK;
    const ptrdiff_t begin = ids->n;
    if (st == AE_OK) st = add_front(ids, how, text, prompt + answer, where);
    if (st != AE_OK) return st;
    const bool fits = ids->n - begin >= prompt + answer;
    if (fits) ids->n = begin + prompt + answer;
    *e = (ae_encoded){.context = first,
                      .n_context = fits ? begin - first + prompt : ids->n - first,
                      .continuation = begin + prompt,
                      .n_continuation = fits ? answer : 0};
    return AE_OK;
}

/* ---- rolling ---- */

/* Window after window of up to `most` targets: the first follows <bos>, each other as much of what came before as fits. */
static void cut_windows(ae_encoded *windows, ptrdiff_t n, ptrdiff_t first, ptrdiff_t tokens, ptrdiff_t most) {
    ptrdiff_t done = 0;
    for (ptrdiff_t w = 0; w < n; w++) {
        const ptrdiff_t targets = ae_min(most, tokens - done), end = done + targets,
                        begin = ae_max(-1, end - most - 1);
        windows[w] = (ae_encoded){.context = first + begin,
                                  .n_context = done - begin,
                                  .continuation = first + done,
                                  .n_continuation = targets};
        done = end;
    }
}

ae_status ae_encode_rolling(ae_encoded **windows, ptrdiff_t *n, ae_ids *ids, const ae_encoding *how,
                            const char *text, const char *where) {
    ae_status st = add_bos(ids, how); /* the context of the first window */
    const ptrdiff_t first = ids->n;
    if (st == AE_OK && how->bos) st = add_bos(ids, how);
    if (st == AE_OK) st = add_text(ids, how, text, strlen(text), where);
    if (st != AE_OK) return st;
    const ptrdiff_t tokens = ids->n - first, most = how->max_length > 0 ? how->max_length : tokens;
    if (tokens == 0) return AE_FAIL(AE_ERR_INPUT, "%s: expected a text, found an empty one", where);
    *n = ae_ceil_div(tokens, most);
    *windows = calloc((size_t)*n, sizeof **windows);
    if (!*windows) return out_of_memory(where);
    cut_windows(*windows, *n, first, tokens, most);
    return AE_OK;
}
