#include "data/pairs.h"

#include "core/dims.h"
#include "data/best_fit.h"
#include "data/document.h"
#include "data/row_name.h"

#include <stdlib.h>
#include <string.h>

ae_status ae_pair_batch_init(ae_pair_batch *b, ptrdiff_t pairs, ptrdiff_t rows, ptrdiff_t row_tokens) {
    *b = (ae_pair_batch){.rows_max = rows, .T = row_tokens, .pairs_max = pairs};
    b->pairs = calloc((size_t)pairs, sizeof *b->pairs);
    ae_status st = b->pairs ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "batch of %td pairs: out of memory", pairs);
    if (st == AE_OK) st = ae_batch_init(&b->batch, rows, row_tokens);
    if (st != AE_OK) ae_pair_batch_free(b);
    return st;
}

void ae_pair_batch_free(ae_pair_batch *b) {
    ae_batch_free(&b->batch);
    free(b->pairs);
    *b = (ae_pair_batch){0};
}

/* ---- the pairs of a set ---- */

static int64_t tokens_of(const ae_token_set *s, int64_t pair) {
    const int64_t *starts = ae_token_set_doc_starts(s);
    return starts[2 * pair + 2] - starts[2 * pair];
}

static ae_status check_set(const ae_token_set *s) {
    const char *path = ae_token_set_path(s);
    if (!ae_token_set_has_mask(s) || ae_token_set_documents(s) == 0 || ae_token_set_documents(s) % 2 != 0)
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: expected pairs of answers, found a set of another kind; `aerie data prepare --kind "
            "pairs` makes them",
            path);
    return AE_OK;
}

static ae_status refuse_long(const ae_pair_set *p, int64_t pair, int64_t tokens) {
    char name[1024];
    ae_row_name(name, sizeof name, p->set, pair, "pair");
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected at most the %td tokens of a row for both answers with their prompt, found "
                   "%lld; raise train.row_tokens, or set data.too_long to drop",
                   name, p->T, (long long)tokens);
}

static ae_status list_usable(ae_pair_set *p, ae_too_long too_long) {
    const int64_t n = ae_token_set_documents(p->set) / 2;
    for (int64_t pair = 0; pair < n; pair++) {
        const int64_t tokens = tokens_of(p->set, pair);
        if (tokens > p->T && too_long == AE_TOO_LONG_ERROR) return refuse_long(p, pair, tokens);
        p->count.dropped += tokens > p->T;
        if (tokens > p->T) continue;
        p->usable[p->count.pairs++] = pair;
        p->count.tokens += tokens;
        p->count.longest = ae_max(p->count.longest, tokens);
    }
    if (p->count.pairs > 0) return AE_OK;
    char name[1024];
    ae_set_name(name, sizeof name, p->set);
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a pair that fits a row of %td tokens, found none", name, p->T);
}

ae_status ae_pair_set_init(ae_pair_set *p, ae_token_set *set, ptrdiff_t T, ae_too_long too_long, bool alone) {
    *p = (ae_pair_set){.set = set, .T = T, .alone = alone};
    if (too_long == AE_TOO_LONG_CUT)
        return AE_FAIL(AE_ERR_USAGE,
                       "data.too_long: expected error or drop for pairs, found cut: an answer is "
                       "judged at its end");
    ae_status st = check_set(set);
    if (st != AE_OK) return st;
    p->usable = malloc((size_t)(ae_token_set_documents(set) / 2) * sizeof *p->usable);
    st = p->usable ? list_usable(p, too_long)
                   : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", ae_token_set_path(set));
    if (st != AE_OK) ae_pair_set_free(p);
    return st;
}

void ae_pair_set_free(ae_pair_set *p) {
    free(p->usable);
    *p = (ae_pair_set){0};
}

/* ---- batches ---- */

typedef struct {
    ae_token_set *set;
    int64_t pair, tokens;
    ptrdiff_t at; /* its place among the choices */
    ptrdiff_t row;
} placing;

static int longest_first(const void *a, const void *b) {
    const placing *x = a, *y = b;
    if (x->tokens != y->tokens) return x->tokens > y->tokens ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

static int by_row(const void *a, const void *b) {
    const placing *x = a, *y = b;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

static ptrdiff_t choose_rows(placing *p, ptrdiff_t n, ptrdiff_t T, bool alone, ptrdiff_t *room) {
    ptrdiff_t rows = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        p[i].row = alone ? rows++ : ae_best_fit(room, &rows, (ptrdiff_t)p[i].tokens, T);
    return rows;
}

/* Document `doc` from place i on; *end is where it ends. */
static ae_status put_document(ae_batch *b, ae_token_set *s, int64_t doc, ptrdiff_t i, ptrdiff_t *end) {
    ae_document d = {0};
    const ae_status st = ae_document_read(&d, s, doc, INT64_MAX);
    if (st == AE_OK) ae_batch_put_example(b, i, d.ids, d.mask, (ptrdiff_t)d.n);
    *end = i + (ptrdiff_t)d.n;
    ae_document_free(&d);
    return st;
}

static ae_status put_pair(ae_pair_batch *b, const placing *p, ptrdiff_t i, ptrdiff_t *end) {
    ae_pair_place *place = &b->pairs[b->n_pairs++];
    const float *margins = ae_token_set_margins(p->set);
    *place = (ae_pair_place){.chosen_begin = i, .margin = margins ? margins[p->pair] : 0, .choice = p->at};
    ae_status st = put_document(&b->batch, p->set, 2 * p->pair, i, &place->chosen_end);
    place->rejected_begin = place->chosen_end;
    if (st == AE_OK)
        st = put_document(&b->batch, p->set, 2 * p->pair + 1, place->rejected_begin, &place->rejected_end);
    *end = place->rejected_end;
    return st;
}

/* Places of rows of T tokens as those of rows cut to `cut`. */
static void move_places(ae_pair_batch *b, ptrdiff_t cut) {
    for (ptrdiff_t i = 0; i < b->n_pairs; i++) {
        ae_pair_place *p = &b->pairs[i];
        const ptrdiff_t back = p->chosen_begin / b->T * (b->T - cut);
        p->chosen_begin -= back;
        p->chosen_end -= back;
        p->rejected_begin -= back;
        p->rejected_end -= back;
    }
}

static ae_status fill_rows(ae_pair_batch *b, const placing *p, ptrdiff_t n) {
    ae_status st = AE_OK;
    ptrdiff_t used = 0;
    for (ptrdiff_t k = 0; k < n && st == AE_OK;) {
        const ptrdiff_t row = p[k].row, row_begin = row * b->T;
        ptrdiff_t i = row_begin;
        for (; k < n && p[k].row == row && st == AE_OK; k++) st = put_pair(b, &p[k], i, &i);
        if (st == AE_OK) ae_batch_put_padding(&b->batch, i, row_begin + b->T);
        used = ae_max(used, i - row_begin);
    }
    if (st != AE_OK) return st;
    ae_batch_cut(&b->batch, used);
    move_places(b, b->batch.T);
    return AE_OK;
}

/* The choices longest first, each with its row. The caller frees *out. */
static ae_status place_pairs(placing **out, const ae_pair_choice *choices, ptrdiff_t n, ptrdiff_t T,
                             ptrdiff_t *rows) {
    placing *p = *out = calloc((size_t)n, sizeof *p);
    ptrdiff_t *room = malloc((size_t)n * sizeof *room);
    const ae_status st = p && room ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "batch of pairs: out of memory");
    for (ptrdiff_t i = 0; i < n && st == AE_OK; i++) {
        const ae_pair_set *from = choices[i].set;
        const int64_t pair = from->usable[choices[i].pair];
        p[i] = (placing){.set = from->set, .pair = pair, .tokens = tokens_of(from->set, pair), .at = i};
    }
    if (st == AE_OK) {
        qsort(p, (size_t)n, sizeof *p, longest_first);
        *rows = choose_rows(p, n, T, choices[0].set->alone, room);
    }
    free(room);
    return st;
}

/* As many pairs as rows always fit, so that this ends. */
ae_status ae_pair_batch_fit(const ae_pair_batch *b, const ae_pair_choice *choices, ptrdiff_t *n) {
    *n = ae_min(*n, b->pairs_max);
    for (;;) {
        placing *p = NULL;
        ptrdiff_t rows = 0;
        const ae_status st = place_pairs(&p, choices, *n, b->T, &rows);
        free(p);
        if (st != AE_OK || rows <= b->rows_max) return st;
        *n = ae_max(b->rows_max, *n * b->rows_max / rows);
    }
}

ae_status ae_pair_batch_fill(ae_pair_batch *b, const ae_pair_choice *choices, ptrdiff_t n) {
    placing *p = NULL;
    ae_status st = place_pairs(&p, choices, n, b->T, &b->batch.B);
    if (st == AE_OK) {
        qsort(p, (size_t)n, sizeof *p, by_row);
        b->n_pairs = 0;
        b->batch.T = b->T;
        b->batch.n_tokens = b->batch.n_targets = 0;
        st = fill_rows(b, p, n);
    }
    free(p);
    return st;
}
