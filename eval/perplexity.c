#include "eval/perplexity.h"

#include "data/rows.h"
#include "data/tokenizer.h"
#include "model/decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_TOKENS = 1 << 16 };
static const double LN2 = 0.69314718055994530942;

/* ---- bytes of text ---- */

typedef struct {
    ae_token_set *set;
    ae_tokenizer *tokenizer; /* NULL when the set carries none */
    int32_t *tokens;         /* [CHUNK_TOKENS] */
    uint8_t *mask;
    int64_t document; /* the one that the walk is in */
    int64_t bytes;    /* of tokens that do not count */
    bool unknown;     /* a masked token whose text cannot be known */
} walk;

/* Adds the tokens [first, first + n) that are in the walk's buffers. */
static void walk_chunk(walk *w, int64_t first, int64_t n) {
    const int64_t *starts = ae_token_set_doc_starts(w->set);
    int64_t documents = ae_token_set_documents(w->set);
    for (int64_t i = 0; i < n; i++) {
        while (w->document + 1 < documents && starts[w->document + 1] <= first + i) w->document++;
        bool opens = starts[w->document] == first + i;
        if (!opens && w->mask[i]) continue;
        if (w->tokenizer) w->bytes += ae_tokenizer_token_bytes(w->tokenizer, w->tokens[i]);
        if (!w->tokenizer && !opens) w->unknown = true;
    }
}

static ae_status walk_all(walk *w) {
    ae_status st = AE_OK;
    int64_t total = ae_token_set_tokens(w->set);
    size_t tokenizer_bytes;
    const void *tokenizer = ae_token_set_tokenizer(w->set, &tokenizer_bytes);
    if (tokenizer)
        AE_TRY(ae_tokenizer_from_bytes(&w->tokenizer, tokenizer, tokenizer_bytes, ae_token_set_path(w->set)));
    w->tokens = malloc(CHUNK_TOKENS * sizeof *w->tokens);
    w->mask = malloc(CHUNK_TOKENS);
    if (!w->tokens || !w->mask) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "evaluation: out of memory"));
    for (int64_t first = 0; first < total; first += CHUNK_TOKENS) {
        int64_t n = ae_min(CHUNK_TOKENS, total - first);
        AE_TRY(ae_token_set_read(w->set, first, n, w->tokens, w->mask));
        walk_chunk(w, first, n);
    }
out:
    free(w->tokens);
    free(w->mask);
    ae_tokenizer_delete(w->tokenizer);
    return st;
}

ae_status ae_token_set_target_bytes(ae_token_set *set, int64_t *bytes) {
    const int64_t *doc_bytes = ae_token_set_doc_bytes(set);
    *bytes = -1;
    if (!doc_bytes) return AE_OK;
    walk w = {.set = set};
    ae_status st = walk_all(&w);
    if (st != AE_OK || w.unknown) return st;
    int64_t sum = -w.bytes;
    for (int64_t d = 0; d < ae_token_set_documents(set); d++) sum += doc_bytes[d];
    *bytes = ae_max(sum, 0);
    return AE_OK;
}

/* ---- the measure ---- */

ae_status ae_perplexity_prepare(ae_perplexity_plan *p, ae_token_set *set, ptrdiff_t B, ptrdiff_t T) {
    *p = (ae_perplexity_plan){.set = set, .B = B, .T = T};
    return ae_token_set_target_bytes(set, &p->text_bytes);
}

void ae_perplexity_carry(ae_perplexity_plan *p) {
    p->carry = true;
    p->T *= p->B;
    p->B = 1;
}

static int64_t count_targets(const float *weights, ptrdiff_t n) {
    int64_t count = 0;
    for (ptrdiff_t i = 0; i < n; i++) count += weights[i] != 0;
    return count;
}

/* Where the rows end in their documents. */
static ptrdiff_t furthest(const ae_batch *batch, ptrdiff_t n) {
    ptrdiff_t most = 0;
    for (ptrdiff_t i = 0; i < n; i++) most = ae_max(most, (ptrdiff_t)batch->positions[i] + 1);
    return most;
}

static ae_status add_rows(ae_perplexity *r, const ae_perplexity_plan *p, const ae_model *m, ae_pass *pass,
                          ae_decode_state *state, ae_batch *batch, int64_t first, ptrdiff_t rows) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        ae_status st =
            p->carry ? ae_row_read_on(p->set, first + i, batch, i) : ae_row_read(p->set, first + i, batch, i);
        if (st != AE_OK) return st;
    }
    double nats = 0;
    int64_t targets = count_targets(batch->weights, rows * p->T);
    if (targets == 0 && !p->carry) return AE_OK;
    if (p->carry) {
        const ae_status st = ae_decode_state_reserve(state, furthest(batch, rows * p->T));
        if (st != AE_OK) return st;
    }
    const ae_carried_rows carried = {.before = state, .after = state};
    ae_micro_batch b = {.tokens = batch->tokens,
                        .targets = batch->targets,
                        .positions = batch->positions,
                        .weights = batch->weights,
                        .B = rows,
                        .T = p->T,
                        .carried = p->carry ? &carried : NULL};
    ae_model_score_pass(m, pass, &b, &nats, NULL, 0, NULL, NULL);
    r->nats += nats;
    r->targets += targets;
    return m->be->sync(m->be);
}

ae_status ae_perplexity_measure(ae_perplexity *r, const ae_perplexity_plan *p, const ae_model *m,
                                ae_pass *pass, const atomic_int *stop) {
    ae_status st = AE_OK;
    ae_batch batch = {0};
    ae_decode_state state = {0};
    int64_t rows = ae_rows_in_set(ae_token_set_tokens(p->set), p->T);
    *r = (ae_perplexity){0};
    AE_TRY(ae_batch_init(&batch, p->B, p->T));
    if (p->carry) AE_TRY(ae_decode_state_init(&state, m, 1));
    for (int64_t first = 0; first < rows; first += p->B) {
        if (stop && *stop) AE_TRY(AE_FAIL(AE_ERR_INTERRUPTED, "evaluation: interrupted"));
        AE_TRY(add_rows(r, p, m, pass, &state, &batch, first, (ptrdiff_t)ae_min(p->B, rows - first)));
    }
    r->loss = r->targets > 0 ? r->nats / (double)r->targets : (double)NAN;
    r->bits_per_byte = p->text_bytes > 0 ? r->nats / LN2 / (double)p->text_bytes : (double)NAN;
out:
    ae_decode_state_free(&state);
    ae_batch_free(&batch);
    return st;
}
