#include "core/rng.h"
#include "data/order.h"
#include "data/row_name.h"
#include "data/row_source.h"

#include <stdlib.h>
#include <string.h>

/* The sources of token sets: rows cut where they fall, streams, packed examples. */
typedef struct {
    const ae_mixture *mixture;
    ae_row_options o;
    ae_order order;
    /* [n_sets], or NULL: a set without a packing gives rows that are cut where they fall */
    ae_packing *packings;
} sets;

static void sets_free(void *self) {
    sets *s = self;
    for (size_t i = 0; s->packings && i < s->mixture->n_sets; i++) ae_packing_free(&s->packings[i]);
    free(s->packings);
    free(s);
}

static ae_status sets_position(const void *self, char **json) {
    return ae_order_position(&((const sets *)self)->order, json);
}

ae_status ae_row_source_beginning(const ae_mixture *m, char **json) {
    return ae_order_beginning(m->n_sets, json);
}

static bool is_packed(const sets *s, size_t set) {
    return s->packings && s->packings[set].first;
}

static int64_t rows_in(const sets *s, size_t set) {
    if (is_packed(s, set)) return s->packings[set].count.rows;
    return ae_rows_in_set(ae_token_set_tokens(s->mixture->sets[set]), s->o.row_tokens);
}

static ae_status sets_begin(void *self, int64_t first_step, const char *position) {
    sets *s = self;
    for (size_t i = 0; i < s->mixture->n_sets; i++) s->order.pieces[i] = rows_in(s, i);
    return ae_order_begin(&s->order, first_step, position);
}

/* ---- batches ---- */

static ae_status fill_row(sets *s, ae_batch *b, ptrdiff_t at) {
    const ae_ordered next = ae_order_next(&s->order, at);
    ae_token_set *from = s->mixture->sets[next.set];
    return is_packed(s, next.set) ? ae_packing_read(&s->packings[next.set], from, next.piece, b, at)
                                  : ae_row_read(from, next.piece, b, at);
}

static ae_status sets_fill(void *self, ae_batch *b) {
    sets *s = self;
    ae_status st = AE_OK;
    for (ptrdiff_t at = 0; at < s->o.rows && st == AE_OK; at++) st = fill_row(s, b, at);
    ae_order_end_step(&s->order);
    return st;
}

static ae_status streams_fill(void *self, ae_batch *b) {
    sets *s = self;
    ae_status st = AE_OK;
    for (ptrdiff_t at = 0; at < s->o.rows && st == AE_OK; at++)
        st = ae_stream_read(s->mixture->sets[0], s->order.taken[0] / s->o.rows, b, at);
    s->order.taken[0] += s->o.rows;
    return st;
}

/* ---- what fits a source ---- */

static ae_status check_options(const ae_mixture *m, const ae_row_options *o) {
    const char *missing = o->rows <= 0                         ? "row in a step"
                          : o->row_tokens <= 0                 ? "token in a row"
                          : m->n_sets == 0 || m->n_phases == 0 ? "token set"
                                                               : NULL;
    if (!missing) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "rows: expected at least one %s, found none", missing);
}

static ae_status check_tokens(const ae_mixture *m) {
    for (size_t i = 0; i < m->n_sets; i++)
        if (ae_token_set_tokens(m->sets[i]) < 2)
            return AE_FAIL(AE_ERR_INPUT, "%s: expected at least 2 tokens to train on, found %lld",
                           ae_token_set_path(m->sets[i]), (long long)ae_token_set_tokens(m->sets[i]));
    return AE_OK;
}

/* Positions are 32-bit numbers, and in streams they count as far as a document goes. */
static ae_status check_documents(const ae_token_set *s, int64_t stream_tokens) {
    const int64_t *starts = ae_token_set_doc_starts(s);
    if (stream_tokens <= INT32_MAX) return AE_OK;
    for (int64_t d = 0; d < ae_token_set_documents(s); d++)
        if (starts[d + 1] - starts[d] > INT32_MAX)
            return AE_FAIL(
                AE_ERR_INPUT,
                "%s: document %lld: expected at most %d tokens where rows carry their state, found "
                "%lld; leave out train.carry_state",
                ae_token_set_path(s), (long long)d, INT32_MAX, (long long)(starts[d + 1] - starts[d]));
    return AE_OK;
}

static ae_status check_streams(const ae_mixture *m, const ae_row_options *o) {
    const int64_t n = ae_token_set_tokens(m->sets[0]);
    ae_status st = ae_mixture_check_streams(m);
    if (st == AE_OK && o->shuffle)
        st = AE_FAIL(AE_ERR_USAGE, "rows: expected rows in file order where they carry their state");
    if (st == AE_OK && n - 1 < o->rows)
        st =
            AE_FAIL(AE_ERR_INPUT,
                    "%s: expected more tokens than the %td streams that carry their state, found %lld; lower "
                    "train.batch_rows",
                    ae_token_set_path(m->sets[0]), o->rows, (long long)n);
    return st == AE_OK ? check_documents(m->sets[0], ae_stream_of(n, o->rows, 0).tokens) : st;
}

/* ---- making them ---- */

static ae_status sets_new(ae_row_source *source, const ae_mixture *m, const ae_row_options *o) {
    *source = (ae_row_source){0};
    const ae_status st = check_options(m, o);
    if (st != AE_OK) return st;
    sets *s = calloc(1, sizeof *s);
    if (!s) return AE_FAIL(AE_ERR_RESOURCE, "rows: out of memory");
    s->mixture = m;
    s->o = *o;
    s->order = (ae_order){
        .mixture = m, .per_step = o->rows, .seed = ae_rng_hash(o->seed, "data.rows"), .shuffle = o->shuffle};
    *source = (ae_row_source){.B = o->rows,
                              .T = o->row_tokens,
                              .self = s,
                              .begin = sets_begin,
                              .fill = sets_fill,
                              .position = sets_position,
                              .free = sets_free};
    return AE_OK;
}

ae_status ae_row_source_sets(ae_row_source *source, const ae_mixture *m, const ae_row_options *o) {
    ae_status st = sets_new(source, m, o);
    if (st == AE_OK) st = check_tokens(m);
    if (st != AE_OK) ae_row_source_free(source);
    return st;
}

ae_status ae_row_source_streams(ae_row_source *source, const ae_mixture *m, const ae_row_options *o) {
    ae_status st = ae_row_source_sets(source, m, o);
    if (st == AE_OK) st = check_streams(m, o);
    if (st != AE_OK)
        ae_row_source_free(source);
    else
        source->fill = streams_fill;
    return st;
}

static ae_status pack_set(sets *s, size_t i, const ae_example_options *e) {
    ae_token_set *set = s->mixture->sets[i];
    const ae_packing_options o = {.T = s->o.row_tokens,
                                  .too_long = e->too_long,
                                  .alone = e->alone,
                                  .shuffle = s->o.shuffle,
                                  .seed = ae_rng_hash(s->o.seed, "data.packing")};
    const ae_status st = ae_packing_make(&s->packings[i], set, &o);
    const ae_packing_count *c = &s->packings[i].count;
    if (st != AE_OK || (c->rows > 0 && c->has_targets)) return st;
    char name[1024];
    ae_set_name(name, sizeof name, set);
    if (c->rows > 0)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a token that counts in what rows of %td tokens keep of the examples, "
                       "found none; raise train.row_tokens",
                       name, s->o.row_tokens);
    return AE_FAIL(AE_ERR_INPUT, "%s: expected an example that fits a row of %td tokens, found none", name,
                   s->o.row_tokens);
}

ae_status ae_row_source_examples(ae_row_source *source, const ae_mixture *m, const ae_row_options *o,
                                 const ae_example_options *e, ae_packing_count *counts) {
    ae_status st = AE_OK;
    AE_TRY(sets_new(source, m, o));
    if (e->text_apart) AE_TRY(check_tokens(m));
    sets *s = source->self;
    s->packings = calloc(m->n_sets, sizeof *s->packings);
    if (!s->packings) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "rows: out of memory"));
    for (size_t i = 0; i < m->n_sets; i++) {
        if (!e->text_apart || ae_token_set_has_mask(m->sets[i])) AE_TRY(pack_set(s, i, e));
        if (counts) counts[i] = s->packings[i].count;
    }
out:
    if (st != AE_OK) ae_row_source_free(source);
    return st;
}
