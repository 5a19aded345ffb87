#include "data/packing.h"

#include "core/rng.h"
#include "data/document.h"
#include "data/row_name.h"

#include <stdlib.h>
#include <string.h>

/* Rows by the room they have left: a stack for every room, and a bit for each stack that is not empty. */
typedef struct {
    ptrdiff_t T;
    int64_t *top;   /* [T + 1] -1: none */
    int64_t *below; /* [rows] */
    uint64_t *bits; /* [T / 64 + 1] */
} rooms;

/* What packing works with. */
typedef struct {
    const int64_t *starts; /* [n + 1] of the set's documents */
    int64_t n;
    ptrdiff_t T;
    ae_too_long too_long;
    bool alone;
    int64_t *by_length; /* [n] those that are packed, longest first */
    int64_t *row_of;    /* [n] -1: left out */
    int64_t n_packed, rows;
    rooms rooms;
} packer;

static int64_t length_of(const packer *k, int64_t example) {
    const int64_t n = k->starts[example + 1] - k->starts[example];
    return n > k->T && k->too_long == AE_TOO_LONG_CUT ? k->T : n;
}

static bool is_packed(const packer *k, int64_t example) {
    const int64_t n = length_of(k, example);
    return n > 0 && n <= k->T;
}

/* ---- rooms ---- */

static ae_status rooms_init(rooms *r, ptrdiff_t T, int64_t rows_max) {
    r->T = T;
    r->top = malloc((size_t)(T + 1) * sizeof *r->top);
    r->below = malloc((size_t)rows_max * sizeof *r->below);
    r->bits = calloc((size_t)(T / 64 + 1), sizeof *r->bits);
    if (!r->top || !r->below || !r->bits) return AE_FAIL(AE_ERR_RESOURCE, "packing examples: out of memory");
    for (ptrdiff_t i = 0; i <= T; i++) r->top[i] = -1;
    return AE_OK;
}

static void rooms_free(rooms *r) {
    free(r->top);
    free(r->below);
    free(r->bits);
}

static void put_row(rooms *r, int64_t row, int64_t room) {
    r->below[row] = r->top[room];
    r->top[room] = row;
    r->bits[room / 64] |= UINT64_C(1) << room % 64;
}

static int64_t take_row(rooms *r, int64_t room) {
    const int64_t row = r->top[room];
    r->top[room] = r->below[row];
    if (r->top[room] < 0) r->bits[room / 64] &= ~(UINT64_C(1) << room % 64);
    return row;
}

/* The least room of n or more that a row has; -1 when none has. */
static int64_t least_room(const rooms *r, int64_t n) {
    uint64_t word = r->bits[n / 64] >> n % 64 << n % 64;
    for (int64_t i = n / 64;; word = r->bits[i]) {
        if (word) return 64 * i + __builtin_ctzll(word);
        if (++i > r->T / 64) return -1;
    }
}

/* ---- the packing ---- */

static ae_status refuse_long(const packer *k, const ae_token_set *s, int64_t e, int64_t n) {
    char name[1024];
    ae_row_name(name, sizeof name, s, e, "example");
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected at most the %td tokens of a row, found %lld; raise train.row_tokens, or set "
                   "data.too_long to cut or drop",
                   name, k->T, (long long)n);
}

/* Counts what becomes of the examples that exceed a row. */
static ae_status count_long(packer *k, ae_packing_count *c, const ae_token_set *s) {
    for (int64_t e = 0; e < k->n; e++) {
        const int64_t n = k->starts[e + 1] - k->starts[e];
        if (n > k->T && k->too_long == AE_TOO_LONG_ERROR) return refuse_long(k, s, e, n);
        const bool cut = n > k->T && k->too_long == AE_TOO_LONG_CUT, dropped = n > k->T && !cut;
        c->cut += cut;
        c->cut_tokens += cut ? n - k->T : 0;
        c->dropped += dropped;
        c->dropped_tokens += dropped ? n : 0;
        c->examples += is_packed(k, e);
        c->tokens += is_packed(k, e) ? length_of(k, e) : 0;
    }
    return AE_OK;
}

static ae_status count_targets(const packer *k, ae_packing_count *c, ae_token_set *s) {
    ae_status st = AE_OK;
    ae_document d = {0};
    for (int64_t e = 0; e < k->n && st == AE_OK; e++) {
        const bool cut = k->starts[e + 1] - k->starts[e] > k->T;
        if (!is_packed(k, e) || (c->has_targets && !cut)) continue;
        st = ae_document_read(&d, s, e, k->T);
        /* the first token of an example is no target */
        const bool found = st == AE_OK && memchr(d.mask + 1, 1, (size_t)d.n - 1) != NULL;
        c->has_targets |= found;
        c->cut_untrained += cut && !found;
    }
    ae_document_free(&d);
    return st;
}

/* by_length, by counting; ends[n] is where the examples of n tokens end in it. */
static ae_status sort_by_length(packer *k, bool shuffle, uint64_t seed) {
    int64_t *ends = calloc((size_t)k->T + 1, sizeof *ends);
    if (!ends) return AE_FAIL(AE_ERR_RESOURCE, "packing examples: out of memory");
    for (int64_t e = 0; e < k->n; e++)
        if (is_packed(k, e)) ends[length_of(k, e)]++;
    for (ptrdiff_t n = k->T; n > 0; n--) {
        const int64_t these = ends[n];
        ends[n] = k->n_packed;
        k->n_packed += these;
    }
    for (int64_t i = 0; i < k->n; i++) {
        const int64_t e = shuffle ? (int64_t)ae_rng_permute(seed, 0, (uint64_t)k->n, (uint64_t)i) : i;
        if (is_packed(k, e)) k->by_length[ends[length_of(k, e)]++] = e;
    }
    free(ends);
    return AE_OK;
}

/* row_of, by rows in the order in which they are begun. */
static void fit(packer *k) {
    for (int64_t i = 0; i < k->n; i++) k->row_of[i] = -1;
    for (int64_t i = 0; i < k->n_packed; i++) {
        const int64_t e = k->by_length[i], n = length_of(k, e),
                      found = k->alone ? -1 : least_room(&k->rooms, n);
        const int64_t row = found < 0 ? k->rows++ : take_row(&k->rooms, found);
        put_row(&k->rooms, row, (found < 0 ? k->T : found) - n);
        k->row_of[e] = row;
    }
}

/* Numbers the rows by their first example. */
static void number_rows(packer *k) {
    int64_t *number = k->by_length, next = 0; /* no longer needed, and there are no more rows than examples */
    for (int64_t r = 0; r < k->rows; r++) number[r] = -1;
    for (int64_t e = 0; e < k->n; e++) {
        if (k->row_of[e] < 0) continue;
        int64_t *own = &number[k->row_of[e]];
        if (*own < 0) *own = next++;
        k->row_of[e] = *own;
    }
}

static ae_status list_rows(ae_packing *p, const packer *k) {
    p->first = calloc((size_t)k->rows + 2, sizeof *p->first);
    p->examples = malloc((size_t)(k->n_packed + 1) * sizeof *p->examples);
    if (!p->first || !p->examples) return AE_FAIL(AE_ERR_RESOURCE, "packing examples: out of memory");
    for (int64_t e = 0; e < k->n; e++)
        if (k->row_of[e] >= 0) p->first[k->row_of[e] + 2]++;
    for (int64_t r = 0; r < k->rows; r++) p->first[r + 2] += p->first[r + 1];
    /* entry r + 1 runs from the start of row r to its end */
    for (int64_t e = 0; e < k->n; e++)
        if (k->row_of[e] >= 0) p->examples[p->first[k->row_of[e] + 1]++] = e;
    p->count.rows = k->rows;
    return AE_OK;
}

ae_status ae_packing_make(ae_packing *p, ae_token_set *s, const ae_packing_options *o) {
    ae_status st = AE_OK;
    packer k = {.starts = ae_token_set_doc_starts(s),
                .n = ae_token_set_documents(s),
                .T = o->T,
                .too_long = o->too_long,
                .alone = o->alone};
    *p = (ae_packing){.T = o->T};
    AE_TRY(count_long(&k, &p->count, s));
    AE_TRY(count_targets(&k, &p->count, s));
    k.by_length = malloc((size_t)k.n * sizeof *k.by_length);
    k.row_of = malloc((size_t)k.n * sizeof *k.row_of);
    if (!k.by_length || !k.row_of) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "packing examples: out of memory"));
    AE_TRY(rooms_init(&k.rooms, o->T, k.n));
    AE_TRY(sort_by_length(&k, o->shuffle, o->seed));
    fit(&k);
    number_rows(&k);
    AE_TRY(list_rows(p, &k));
out:
    if (st != AE_OK) ae_packing_free(p);
    rooms_free(&k.rooms);
    free(k.by_length);
    free(k.row_of);
    return st;
}

void ae_packing_free(ae_packing *p) {
    free(p->first);
    free(p->examples);
    *p = (ae_packing){0};
}

/* ---- reading ---- */

ae_status ae_packing_read(const ae_packing *p, ae_token_set *s, int64_t row, ae_batch *b, ptrdiff_t at) {
    ptrdiff_t i = at * p->T;
    ae_status st = AE_OK;
    ae_document d = {0};
    for (int64_t k = p->first[row]; k < p->first[row + 1] && st == AE_OK; k++) {
        st = ae_document_read(&d, s, p->examples[k], p->T);
        if (st != AE_OK) break;
        ae_batch_put_example(b, i, d.ids, d.mask, (ptrdiff_t)d.n);
        i += (ptrdiff_t)d.n;
    }
    if (st == AE_OK) ae_batch_put_padding(b, i, (at + 1) * p->T);
    ae_document_free(&d);
    return st;
}
