#include "eval/draft.h"

#include <stdlib.h>
#include <string.h>

enum { GEMMA_EOS = 1 };

size_t ae_answer_end_ids(const ae_model_config *c, const ae_tokenizer *t, int32_t ids[AE_ENDS_MAX + 2]) {
    size_t n = 0;
    for (; n < (size_t)c->n_ends; n++) ids[n] = c->ends[n];
    if (!t) {
        if (n == 0) ids[n++] = GEMMA_EOS;
        return n;
    }
    const ae_special_ids special = ae_tokenizer_special(t);
    if (special.eos >= 0) ids[n++] = special.eos;
    if (special.end_of_turn >= 0) ids[n++] = special.end_of_turn;
    return n;
}

static bool ends(const ae_answer_settings *s, int32_t id) {
    for (size_t i = 0; i < s->n_end_ids; i++)
        if (s->end_ids[i] == id) return true;
    return false;
}

/* What ends an answer stays as likely as it is: a dialogue has it in every turn. */
static void see(ae_draft *d, int32_t id) {
    if (d->seen && !ends(d->settings, id)) d->seen[id / 8] |= (uint8_t)(1 << id % 8);
}

static ae_status see_prompt(ae_draft *d, ptrdiff_t V, const ae_ids *prompt) {
    const double penalty = d->settings->repetition_penalty;
    if (penalty == 0 || penalty == 1) return AE_OK;
    d->seen = calloc((size_t)V / 8 + 1, 1);
    if (!d->seen) return AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
    for (ptrdiff_t i = 0; i < prompt->n; i++) see(d, prompt->ids[i]);
    return AE_OK;
}

ae_status ae_draft_new(ae_draft **out, const ae_answer_settings *settings, const ae_tokenizer *t, ptrdiff_t V,
                       const ae_ids *prompt, int64_t index) {
    ae_draft *d = *out = calloc(1, sizeof *d);
    if (!d) return AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
    d->settings = settings;
    d->rng = ae_rng_make(settings->seed, settings->stream + (uint64_t)index);
    d->answer.index = index;
    ae_text_stream_init(&d->stream, t);
    ae_status st = see_prompt(d, V, prompt);
    if (st == AE_OK && t) st = ae_text_stream_follow(&d->stream, prompt->ids, prompt->n);
    if (st == AE_OK) return AE_OK;
    ae_draft_delete(d);
    *out = NULL;
    return st;
}

void ae_draft_delete(ae_draft *d) {
    if (!d) return;
    ae_ids_free(&d->answer.tokens);
    free(d->answer.logprobs);
    free(d->seen);
    ae_text_stream_free(&d->stream);
    free(d);
}

ae_draw ae_draft_draw(ae_draft *d, const float *logits) {
    return (ae_draw){.logits = logits,
                     .how = &d->settings->sampling,
                     .rng = &d->rng,
                     .wants_logprob = d->settings->want_logprobs,
                     .tempered = d->settings->tempered_logprobs,
                     .seen = d->seen,
                     .penalty = d->settings->repetition_penalty};
}

static ae_status keep_logprob(ae_draft *d, double logprob) {
    const ptrdiff_t n = d->answer.tokens.n; /* already with the new token */
    if (n > d->logprob_capacity) {
        float *grown = realloc(d->answer.logprobs, (size_t)(2 * n) * sizeof *grown);
        if (!grown) return AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
        d->answer.logprobs = grown;
        d->logprob_capacity = 2 * n;
    }
    d->answer.logprobs[n - 1] = (float)logprob;
    return AE_OK;
}

/* A stop string in what came after the first `old` bytes, or across them, cuts the text and ends the
 * answer. */
static void cut_at_stop(ae_draft *d, size_t old) {
    const ae_answer_settings *s = d->settings;
    size_t from = old;
    for (size_t k = 0; k < s->n_stops; k++) {
        const size_t back = strlen(s->stops[k]) - 1;
        from = old < back ? 0 : from > old - back ? old - back : from;
    }
    const size_t at = ae_text_find_stop(d->stream.text, d->stream.n, from, s->stops, s->n_stops);
    if (at == SIZE_MAX) return;
    d->stream.text[at] = '\0';
    d->stream.n = at;
    d->cut = true;
    d->answer.end = AE_ANSWER_STOPPED;
}

/* While the answer grows, what may become part of a stop string is not certain. */
static void publish_text(ae_draft *d) {
    const ae_text_stream *s = &d->stream;
    const bool grows = d->answer.end == AE_ANSWER_GROWS;
    d->answer.text = s->text;
    d->answer.text_bytes =
        s->n - (grows ? ae_text_maybe_stop(s->text, s->n, d->settings->stops, d->settings->n_stops) : 0);
}

/* What waited for the rest of a character comes out. */
static ae_status finish_text(ae_draft *d) {
    const size_t old = d->stream.n;
    const ae_status st = ae_text_stream_finish(&d->stream);
    if (st == AE_OK) cut_at_stop(d, old);
    return st;
}

/* An end token adds no text. */
static ae_status add_text(ae_draft *d, int32_t id) {
    const size_t old = d->stream.n;
    if (d->answer.end == AE_ANSWER_STOPPED) return AE_OK;
    const ae_status st = ae_text_stream_push(&d->stream, id);
    if (st == AE_OK) cut_at_stop(d, old);
    return st;
}

ae_status ae_draft_add(ae_draft *d, int32_t id, double logprob) {
    const ae_answer_settings *s = d->settings;
    ae_answer *a = &d->answer;
    ae_status st = ae_ids_append(&a->tokens, id);
    see(d, id);
    if (st == AE_OK && s->want_logprobs) st = keep_logprob(d, logprob);
    if (ends(s, id)) a->end = AE_ANSWER_STOPPED;
    if (st == AE_OK && d->stream.tokenizer) st = add_text(d, id);
    if (a->end == AE_ANSWER_GROWS && a->tokens.n >= s->max_new) a->end = AE_ANSWER_FULL;
    if (!d->stream.tokenizer) return st;
    if (st == AE_OK && a->end != AE_ANSWER_GROWS && !d->cut) st = finish_text(d);
    publish_text(d);
    return st;
}

ae_status ae_draft_end(ae_draft *d, ae_answer_end end) {
    ae_status st = AE_OK;
    d->answer.end = end;
    if (!d->stream.tokenizer) return st;
    st = finish_text(d);
    d->answer.end = end;
    publish_text(d);
    return st;
}
