#include "data/render.h"

#include "data/utf8.h"

#include <stdlib.h>
#include <string.h>

ae_status ae_render_check(const ae_tokenizer *t, const char *where) {
    const ae_special_ids s = ae_tokenizer_special(t);
    const char *missing = s.bos < 0             ? "<bos>"
                          : s.start_of_turn < 0 ? "<start_of_turn>"
                          : s.end_of_turn < 0   ? "<end_of_turn>"
                                                : NULL;
    if (!missing) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: expected a tokenizer with <bos>, <start_of_turn> and <end_of_turn>, found no %s; take one that "
        "'tokenizer train' made, or give rows in token ids",
        where, missing);
}

/* ---- text ---- */

/* The spellings of control tokens that a tokenizer may know as symbols. */
static bool is_reserved(const ae_special_ids *s, int32_t id) {
    return id == s->pad || id == s->eos || id == s->bos || id == s->start_of_turn || id == s->end_of_turn;
}

static bool has_reserved(const ae_special_ids *s, const ae_ids *ids, ptrdiff_t from) {
    for (ptrdiff_t i = from; i < ids->n; i++)
        if (is_reserved(s, ids->ids[i])) return true;
    return false;
}

/* Bytes of the control token that is spelled at the text's beginning, or 0. */
static size_t spelled(const ae_tokenizer *t, const ae_special_ids *s, const char *text, size_t n) {
    const int32_t all[] = {s->pad, s->eos, s->bos, s->start_of_turn, s->end_of_turn};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i] < 0) continue;
        const char *piece = ae_tokenizer_piece(t, all[i]);
        const size_t bytes = strlen(piece);
        if (bytes > 1 && bytes <= n && memcmp(text, piece, bytes) == 0) return bytes;
    }
    return 0;
}

/* Cut inside every spelling of a control token. */
static ae_status encode_cut(const ae_tokenizer *t, const ae_special_ids *s, const char *text, size_t n,
                            ae_ids *out) {
    size_t from = 0;
    ae_status st = AE_OK;
    for (size_t at = 0; at < n && st == AE_OK; at++) {
        if (spelled(t, s, text + at, n - at) == 0) continue;
        st = ae_tokenizer_encode(t, text + from, at + 1 - from, out);
        from = at + 1;
    }
    return st == AE_OK ? ae_tokenizer_encode(t, text + from, n - from, out) : st;
}

static ae_status encode(const ae_tokenizer *t, const char *text, size_t n, ae_ids *out) {
    const ae_special_ids s = ae_tokenizer_special(t);
    const ptrdiff_t before = out->n;
    ae_status st = ae_tokenizer_encode(t, text, n, out);
    if (st != AE_OK || !has_reserved(&s, out, before)) return st;
    out->n = before;
    st = encode_cut(t, &s, text, n, out);
    if (st != AE_OK || !has_reserved(&s, out, before)) return st;
    out->n = before;
    return AE_FAIL(AE_ERR_INPUT, "tokenizer: expected text to give no control token, found one in \"%.60s\"",
                   text);
}

/* ---- turns ---- */

ae_status ae_render_user(const ae_tokenizer *t, bool first, const char *system, size_t system_bytes,
                         const char *text, size_t n, ae_ids *out) {
    const ae_special_ids s = ae_tokenizer_special(t);
    size_t bytes = 0, joined_bytes = 0;
    char *joined = ae_text_join(system, system ? system_bytes : 0, text, n, &joined_bytes), *whole = NULL;
    ae_status st;
    AE_TRY(ae_render_check(t, "tokenizer"));
    if (!joined || !(whole = malloc(joined_bytes + 6)))
        AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "turn: out of memory for %zu bytes", n + system_bytes));
    memcpy(whole, "user\n", 5);
    memcpy(whole + 5, joined, joined_bytes + 1);
    bytes = joined_bytes + 5;
    AE_TRY(first ? ae_ids_append(out, s.bos) : ae_tokenizer_encode(t, "\n", 1, out));
    AE_TRY(ae_ids_append(out, s.start_of_turn));
    AE_TRY(encode(t, whole, bytes, out));
    AE_TRY(ae_ids_append(out, s.end_of_turn));
    AE_TRY(ae_tokenizer_encode(t, "\n", 1, out));
    AE_TRY(ae_ids_append(out, s.start_of_turn));
    AE_TRY(ae_tokenizer_encode(t, "model\n", 6, out));
out:
    free(joined);
    free(whole);
    return st;
}

ae_status ae_render_answer(const ae_tokenizer *t, const char *text, size_t n, ae_ids *out) {
    ae_status st;
    ae_text_trim(&text, &n);
    AE_TRY(ae_render_check(t, "tokenizer"));
    AE_TRY(encode(t, text, n, out));
    AE_TRY(ae_ids_append(out, ae_tokenizer_special(t).end_of_turn));
out:
    return st;
}

/* ---- dialogues ---- */

void ae_rendered_free(ae_rendered *r) {
    ae_ids_free(&r->ids);
    free(r->mask);
    free(r->answers);
    *r = (ae_rendered){0};
}

/* The first n messages. `answers`, with room for each, may be NULL. */
static ae_status render_turns(const ae_tokenizer *t, const ae_dialogue *d, ptrdiff_t n, ae_ids *out,
                              ae_answer_span *answers, ptrdiff_t *n_answers) {
    const bool has_system = n > 0 && d->items[0].role == AE_ROLE_SYSTEM;
    const ae_message none = {0}, *system = has_system ? &d->items[0] : &none;
    ae_status st = AE_OK;
    for (ptrdiff_t i = has_system; i < n && st == AE_OK; i++) {
        const ae_message *m = &d->items[i];
        const bool first = i == has_system;
        const ptrdiff_t begin = out->n;
        if (m->role == AE_ROLE_USER) {
            st = ae_render_user(t, first, first ? system->text : NULL, first ? system->n : 0, m->text, m->n,
                                out);
            continue;
        }
        st = ae_render_answer(t, m->text, m->n, out);
        if (answers) answers[(*n_answers)++] = (ae_answer_span){begin, out->n, m->counts};
    }
    return st;
}

static ae_status make_mask(ae_rendered *r) {
    r->mask = calloc((size_t)r->ids.n + 1, 1);
    if (!r->mask) return AE_FAIL(AE_ERR_RESOURCE, "dialogue: out of memory for %td tokens", r->ids.n);
    for (ptrdiff_t i = 0; i < r->n_answers; i++) {
        const ae_answer_span *a = &r->answers[i];
        if (a->counts) memset(r->mask + a->begin, 1, (size_t)(a->end - a->begin));
    }
    return AE_OK;
}

ae_status ae_render_dialogue(const ae_tokenizer *t, const ae_dialogue *d, ae_rendered *r) {
    const ptrdiff_t n = ae_dialogue_answered(d);
    *r = (ae_rendered){0};
    r->answers = malloc((size_t)(n + 1) * sizeof *r->answers);
    ae_status st = r->answers ? render_turns(t, d, n, &r->ids, r->answers, &r->n_answers)
                              : AE_FAIL(AE_ERR_RESOURCE, "dialogue: out of memory for %td turns", n);
    if (st == AE_OK) st = make_mask(r);
    if (st != AE_OK) ae_rendered_free(r);
    return st;
}

ae_status ae_render_prompt(const ae_tokenizer *t, const ae_dialogue *d, ae_ids *out) {
    return render_turns(t, d, d->n, out, NULL, NULL);
}

ae_status ae_render_pair(const ae_tokenizer *t, const ae_pair *p, ae_ids *prompt, ae_ids *chosen,
                         ae_ids *rejected) {
    const ptrdiff_t last = p->chosen.n - 1;
    const ae_message *a = &p->chosen.items[last], *b = &p->rejected.items[last];
    ae_status st;
    AE_TRY(render_turns(t, &p->chosen, last, prompt, NULL, NULL));
    AE_TRY(ae_render_answer(t, a->text, a->n, chosen));
    AE_TRY(ae_render_answer(t, b->text, b->n, rejected));
out:
    return st;
}
