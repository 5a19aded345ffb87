#include "data/rows.h"
#include "tests/data/sets.h"

#include <stdlib.h>

TestSuite(rows, .init = scratch_make, .fini = scratch_remove);

/* The rules of docs/interfaces.md, "Rows", one token at a time. */
typedef struct {
    int32_t token, target, position;
    float weight;
} cell;

static int64_t document_of(const plain_set *s, int64_t token) {
    int64_t end = 0;
    for (int64_t d = 0; d < s->documents; d++) {
        end += s->lengths[d];
        if (token < end) return d;
    }
    return -1;
}

/* Token `here`, with positions that count from `origin` at the latest. */
static cell expected_cell(const plain_set *s, int64_t here, int64_t origin) {
    cell c = {0};
    if (here < s->n) c.token = s->ids[here];
    if (here + 1 < s->n && document_of(s, here) == document_of(s, here + 1)) {
        c.target = s->ids[here + 1];
        c.weight = s->mask[here + 1] ? 1 : 0;
    }
    for (int64_t p = here; p > origin; p--) {
        if (p < s->n && document_of(s, p) != document_of(s, p - 1)) break;
        c.position++;
    }
    return c;
}

static void check_cell(const ae_batch *b, ptrdiff_t at, ptrdiff_t t, cell c, int64_t row) {
    const ptrdiff_t i = at * b->T + t;
    cr_assert_eq(b->tokens[i], c.token, "token %td of row %ld, T %td", t, (long)row, b->T);
    cr_assert_eq(b->targets[i], c.target, "target %td of row %ld, T %td", t, (long)row, b->T);
    cr_assert_eq(b->positions[i], c.position, "position %td of row %ld, T %td", t, (long)row, b->T);
    cr_assert_float_eq(b->weights[i], c.weight, 0, "weight %td of row %ld, T %td", t, (long)row, b->T);
}

static void check_row(const plain_set *s, const ae_batch *b, int64_t row, ptrdiff_t at, int64_t origin) {
    for (ptrdiff_t t = 0; t < b->T; t++) check_cell(b, at, t, expected_cell(s, row * b->T + t, origin), row);
}

static int64_t counted_targets(const plain_set *s) {
    int64_t n = 0;
    for (int64_t i = 1; i < s->n; i++) n += s->mask[i] && document_of(s, i) == document_of(s, i - 1);
    return n;
}

/* Every row against the reference; over all rows each token is an input once, but for a last one that only is a target. */
static void check_set(const plain_set *s, ptrdiff_t T) {
    ae_token_set *set = set_make(s, "set.h5");
    const int64_t rows = ae_rows_in_set(s->n, T);
    cr_assert_eq(rows, (s->n - 1 + T - 1) / T);
    ae_batch b;
    cr_assert_eq(ae_batch_init(&b, 2, T), AE_OK);
    for (int64_t r = 0; r < rows; r++) {
        cr_assert_eq(ae_row_read(set, r, &b, r % 2), AE_OK, "%s", ae_error_message());
        check_row(s, &b, r, r % 2, r * T);
    }
    cr_assert_eq(b.n_targets, counted_targets(s));
    cr_assert_eq(b.n_tokens, rows * T < s->n ? rows * T : s->n);
    for (int64_t r = 0; r < rows; r++) {
        cr_assert_eq(ae_row_read_on(set, r, &b, r % 2), AE_OK, "%s", ae_error_message());
        check_row(s, &b, r, r % 2, 0);
    }
    ae_batch_free(&b);
    ae_token_set_close(set);
}

Test(rows, random_sets_follow_the_rules) {
    static const ptrdiff_t lengths[] = {1, 2, 3, 5, 8, 16, 63, 64, 65, 200};
    plain_set s;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        set_random(&s, seed, 3 + (int64_t)seed * 5, seed % 2 ? 5 : 60, seed % 3 == 0);
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) check_set(&s, lengths[k]);
    }
}

Test(rows, many_tiny_documents) {
    plain_set s;
    set_random(&s, 11, 400, 5, true);
    check_set(&s, 7);
    set_random(&s, 12, 300, 1, false);
    check_set(&s, 4);
}

Test(rows, a_row_longer_than_the_set_is_padded) {
    plain_set s;
    set_random(&s, 21, 2, 4, false);
    while (s.n < 2) set_random(&s, (uint64_t)s.n + 22, 2, 4, false);
    check_set(&s, 500);
}

Test(rows, the_last_row_ends_with_a_target) {
    plain_set s;
    set_random(&s, 31, 1, 1, false);
    s.lengths[0] = s.n = 9;
    for (int i = 0; i < 9; i++) {
        s.ids[i] = i + 10;
        s.mask[i] = 1;
    }
    cr_assert_eq(ae_rows_in_set(9, 4), 2);
    cr_assert_eq(ae_rows_in_set(9, 8), 1);
    cr_assert_eq(ae_rows_in_set(10, 8), 2);
    cr_assert_eq(ae_rows_in_set(1, 8), 0);
    check_set(&s, 4);
    check_set(&s, 8);
}

Test(rows, empty_documents_change_nothing) {
    const char *path = scratch_path("empty.h5");
    ae_token_writer *w = NULL;
    const ae_token_set_info info = {.vocab_size = 10};
    const int32_t ids[] = {1, 2, 3, 4, 5};
    cr_assert_eq(ae_token_writer_open(&w, path, &info), AE_OK);
    cr_assert_eq(ae_token_writer_add(w, ids, NULL, 0, 0), AE_OK);
    cr_assert_eq(ae_token_writer_add(w, ids, NULL, 3, 0), AE_OK);
    cr_assert_eq(ae_token_writer_add(w, ids, NULL, 0, 0), AE_OK);
    cr_assert_eq(ae_token_writer_add(w, ids + 3, NULL, 2, 0), AE_OK);
    cr_assert_eq(ae_token_writer_add(w, ids, NULL, 0, 0), AE_OK);
    cr_assert_eq(ae_token_writer_finish(w, NULL), AE_OK, "%s", ae_error_message());
    ae_token_set *set = set_open(path);
    ae_batch b;
    cr_assert_eq(ae_batch_init(&b, 1, 6), AE_OK);
    cr_assert_eq(ae_row_read(set, 0, &b, 0), AE_OK, "%s", ae_error_message());
    const int32_t tokens[] = {1, 2, 3, 4, 5, 0}, targets[] = {2, 3, 0, 5, 0, 0},
                  positions[] = {0, 1, 2, 0, 1, 2};
    cr_assert_arr_eq(b.tokens, tokens, sizeof tokens);
    cr_assert_arr_eq(b.targets, targets, sizeof targets);
    cr_assert_arr_eq(b.positions, positions, sizeof positions);
    cr_assert_eq(b.n_targets, 3);
    cr_assert_eq(b.n_tokens, 5);
    ae_batch_free(&b);
    ae_token_set_close(set);
}

/* Rows of two epochs: each token but the last is an input once an epoch, in order, whatever the cut. */
static void check_streams(const plain_set *s, ptrdiff_t streams, ptrdiff_t T) {
    ae_token_set *set = set_make(s, "set.h5");
    ae_batch b;
    int64_t end = 0;
    cr_assert_eq(ae_batch_init(&b, streams, T), AE_OK);
    for (ptrdiff_t i = 0; i < streams; i++) {
        const ae_stream own = ae_stream_of(s->n, streams, i);
        cr_assert_eq(own.first, end, "streams follow each other");
        cr_assert_leq(llabs(own.tokens - (s->n - 1) / streams), 1);
        end += own.tokens;
        for (int64_t k = 0; k * T < 2 * own.tokens; k++) {
            b.n_tokens = 0;
            cr_assert_eq(ae_stream_read(set, k, &b, i), AE_OK, "%s", ae_error_message());
            for (ptrdiff_t t = 0; t < T; t++)
                check_cell(&b, i, t, expected_cell(s, own.first + (k * T + t) % own.tokens, own.first), k);
            cr_assert_eq(b.n_tokens, T, "nothing is padded");
        }
    }
    cr_assert_eq(end, s->n - 1);
    ae_batch_free(&b);
    ae_token_set_close(set);
}

Test(rows, streams_begin_anew_behind_their_end_only) {
    plain_set s;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        set_random(&s, seed, 3 + (int64_t)seed * 5, seed % 2 ? 90 : 6, seed % 2 == 0);
        for (ptrdiff_t streams = 1; streams <= 7; streams += 3) {
            check_streams(&s, streams, 1);
            check_streams(&s, streams, 5);
            check_streams(&s, streams, 64);
        }
    }
}
