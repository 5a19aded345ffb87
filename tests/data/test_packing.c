#include "data/packing.h"
#include "tests/data/sets.h"

TestSuite(packing, .init = scratch_make, .fini = scratch_remove, .timeout = 60);

enum { DOCUMENTS = 120, LONGEST = 20 };

static plain_set plain;
static int64_t start_of[DOCUMENTS + 1];

/* Examples that begin with their number. */
static ae_token_set *make_set(uint64_t seed) {
    set_random(&plain, seed, DOCUMENTS, LONGEST, true);
    start_of[0] = 0;
    for (int d = 0; d < DOCUMENTS; d++) {
        plain.ids[start_of[d]] = d;
        start_of[d + 1] = start_of[d] + plain.lengths[d];
    }
    return set_make(&plain, "examples.h5");
}

static ae_packing pack(ae_token_set *s, ptrdiff_t T, ae_too_long too_long, bool shuffle, uint64_t seed) {
    ae_packing p;
    const ae_packing_options o = {.T = T, .too_long = too_long, .shuffle = shuffle, .seed = seed};
    cr_assert_eq(ae_packing_make(&p, s, &o), AE_OK, "%s", ae_error_message());
    return p;
}

static int64_t kept_length(int64_t example, ptrdiff_t T, ae_too_long too_long) {
    const int64_t n = plain.lengths[example];
    return n <= T ? n : too_long == AE_TOO_LONG_CUT ? T : 0;
}

/* Example `e`, n tokens of it, from place i of the row on. */
static void check_example(const ae_batch *b, ptrdiff_t i, int64_t e, int64_t n) {
    const int64_t at = start_of[e];
    for (int64_t t = 0; t < n; t++, i++) {
        cr_assert_eq(b->tokens[i], plain.ids[at + t], "example %ld, token %ld", (long)e, (long)t);
        cr_assert_eq(b->positions[i], t);
        cr_assert_eq(b->targets[i], t + 1 < n ? plain.ids[at + t + 1] : 0);
        cr_assert_eq(b->weights[i], t + 1 < n && plain.mask[at + t + 1] ? 1 : 0);
    }
}

/* One row against the examples that it begins to tell of; marks them as seen and returns its tokens. */
static ptrdiff_t check_row(const ae_batch *b, ptrdiff_t row, ae_too_long too_long, bool *seen) {
    const ptrdiff_t T = b->T, end = (row + 1) * T;
    ptrdiff_t i = row * T;
    int64_t before = -1;
    while (i < end && b->positions[i] == 0) {
        const int64_t e = b->tokens[i], n = kept_length(e, T, too_long);
        cr_assert(e > before && e < DOCUMENTS && !seen[e] && n > 0 && i + n <= end, "example %ld", (long)e);
        check_example(b, i, e, n);
        seen[e] = true;
        before = e;
        i += n;
    }
    const ptrdiff_t tokens = i - row * T;
    for (; i < end; i++) {
        cr_assert(b->tokens[i] == 0 && b->targets[i] == 0 && b->weights[i] == 0);
        cr_assert_eq(b->positions[i], b->positions[i - 1] + 1);
    }
    return tokens;
}

static void check_counts(const ae_packing *p, const bool *seen) {
    ae_packing_count c = {.rows = p->count.rows, .cut_untrained = p->count.cut_untrained};
    for (int e = 0; e < DOCUMENTS; e++) {
        const int64_t n = plain.lengths[e], over = n > p->T ? n - p->T : 0;
        c.examples += seen[e];
        c.tokens += seen[e] ? n - over : 0;
        c.cut += seen[e] && over;
        c.cut_tokens += seen[e] ? over : 0;
        c.dropped += !seen[e];
        c.dropped_tokens += seen[e] ? 0 : n;
        cr_assert(seen[e] || over);
    }
    cr_assert_arr_eq(&c, &p->count, offsetof(ae_packing_count, has_targets));
}

/* The rows that best fit needs, by looking at all of them for every example, longest first. */
static int64_t rows_needed(ptrdiff_t T, ae_too_long too_long) {
    int64_t rooms[DOCUMENTS], rows = 0;
    for (int64_t n = T; n > 0; n--)
        for (int e = 0; e < DOCUMENTS; e++) {
            int64_t best = rows;
            if (kept_length(e, T, too_long) != n) continue;
            for (int64_t r = 0; r < rows; r++)
                if (rooms[r] >= n && (best == rows || rooms[r] < rooms[best])) best = r;
            if (best == rows) rooms[rows++] = T;
            rooms[best] -= n;
        }
    return rows;
}

static void check_packing(ae_token_set *s, ptrdiff_t T, ae_too_long too_long, bool shuffle) {
    enum { B = 3 };
    ae_packing p = pack(s, T, too_long, shuffle, 4);
    ae_batch b;
    bool seen[DOCUMENTS] = {false};
    int32_t before = -1;
    cr_assert_eq(ae_batch_init(&b, B, T), AE_OK);
    cr_assert_eq(p.count.rows, rows_needed(T, too_long));
    for (int64_t r = 0; r < p.count.rows; r++) {
        const ptrdiff_t at = r % B;
        int64_t targets = 0;
        memset(b.tokens, 7, (size_t)(B * T) * sizeof *b.tokens);
        b.n_tokens = b.n_targets = 0;
        cr_assert_eq(ae_packing_read(&p, s, r, &b, at), AE_OK, "%s", ae_error_message());
        cr_assert_eq(b.n_tokens, check_row(&b, at, too_long, seen));
        for (ptrdiff_t i = at * T; i < (at + 1) * T; i++) targets += b.weights[i] > 0;
        cr_assert_eq(b.n_targets, targets);
        cr_assert_gt(b.tokens[at * T], before);
        before = b.tokens[at * T];
    }
    check_counts(&p, seen);
    ae_batch_free(&b);
    ae_packing_free(&p);
}

Test(packing, every_example_is_whole_once_and_apart) {
    ae_token_set *s = make_set(3);
    static const ptrdiff_t T[] = {LONGEST, LONGEST + 1, 63, 64, 65, 200, SET_TOKENS};
    for (size_t i = 0; i < sizeof T / sizeof *T; i++) {
        check_packing(s, T[i], AE_TOO_LONG_ERROR, false);
        check_packing(s, T[i], AE_TOO_LONG_ERROR, true);
    }
    ae_token_set_close(s);
}

Test(packing, long_examples_are_cut_or_dropped_when_asked) {
    ae_token_set *s = make_set(5);
    for (ptrdiff_t T = 1; T < LONGEST; T += 3) {
        check_packing(s, T, AE_TOO_LONG_CUT, true);
        check_packing(s, T, AE_TOO_LONG_DROP, true);
    }
    ae_token_set_close(s);
}

/* Of four examples the first and the last keep a target in rows of four tokens. A first token is none. */
Test(packing, cut_examples_without_targets_are_counted) {
    plain_set p = {.documents = 4, .vocab_size = 9, .n = 22, .lengths = {6, 6, 6, 4}, .has_mask = true};
    p.mask[2] = p.mask[5] = 1;
    p.mask[6] = p.mask[10] = 1;
    p.mask[21] = 1;
    ae_token_set *s = set_make(&p, "cut.h5");
    ae_packing cut = pack(s, 4, AE_TOO_LONG_CUT, false, 0);
    cr_assert_eq(cut.count.cut, 3);
    cr_assert_eq(cut.count.cut_untrained, 2);
    cr_assert(cut.count.has_targets);
    ae_packing_free(&cut);
    ae_packing one = pack(s, 2, AE_TOO_LONG_CUT, false, 0);
    cr_assert_eq(one.count.cut_untrained, 4);
    cr_assert_not(one.count.has_targets);
    ae_packing_free(&one);
    ae_packing whole = pack(s, 6, AE_TOO_LONG_ERROR, false, 0);
    cr_assert(whole.count.has_targets);
    cr_assert_eq(whole.count.cut_untrained, 0);
    ae_packing_free(&whole);
    ae_token_set_close(s);
}

Test(packing, an_example_longer_than_a_row_is_named) {
    ae_token_set *s = make_set(5);
    ae_packing p;
    char expected[96];
    int first = 0;
    while (plain.lengths[first] <= 10) first++;
    snprintf(expected, sizeof expected, "examples.h5: example %d: expected at most the 10 tokens of a row",
             first);
    const ae_packing_options o = {.T = 10};
    cr_assert_eq(ae_packing_make(&p, s, &o), AE_ERR_INPUT);
    cr_assert_message(expected);
    cr_assert_null(p.first);
    ae_token_set_close(s);
}

static bool same_lists(const ae_packing *a, const ae_packing *b) {
    return a->count.rows == b->count.rows &&
           memcmp(a->first, b->first, (size_t)(a->count.rows + 1) * sizeof *a->first) == 0 &&
           memcmp(a->examples, b->examples, (size_t)a->count.examples * sizeof *a->examples) == 0;
}

Test(packing, follows_from_the_seed) {
    ae_token_set *s = make_set(6);
    ae_packing p = pack(s, 32, AE_TOO_LONG_ERROR, true, 1), again = pack(s, 32, AE_TOO_LONG_ERROR, true, 1),
               other = pack(s, 32, AE_TOO_LONG_ERROR, true, 2);
    ae_packing plain_order[2] = {pack(s, 32, AE_TOO_LONG_ERROR, false, 1),
                                 pack(s, 32, AE_TOO_LONG_ERROR, false, 2)};
    cr_assert(same_lists(&p, &again));
    cr_assert_not(same_lists(&p, &other));
    cr_assert(same_lists(&plain_order[0], &plain_order[1]));
    ae_packing_free(&p);
    ae_packing_free(&again);
    ae_packing_free(&other);
    for (int i = 0; i < 2; i++) ae_packing_free(&plain_order[i]);
    ae_token_set_close(s);
}

/* Rows keep their first tokens, up to the last target that counts in any of them, which may be in the very
 * last place. */
static void check_trim(ptrdiff_t T, ptrdiff_t last, ptrdiff_t kept) {
    enum { B = 3 };
    ae_batch b;
    cr_assert_eq(ae_batch_init(&b, B, T), AE_OK);
    for (ptrdiff_t i = 0; i < B * T; i++) {
        b.tokens[i] = (int32_t)i;
        b.targets[i] = (int32_t)(1000 + i);
        b.positions[i] = (int32_t)(i % T);
        b.weights[i] = i == T + last || i == 2 * T ? 1 : 0;
    }
    ae_batch_trim(&b);
    cr_assert_eq(b.T, kept, "T %td, last %td: %td tokens are kept", T, last, b.T);
    for (ptrdiff_t row = 0; row < B; row++)
        for (ptrdiff_t t = 0; t < kept; t++) {
            const ptrdiff_t i = row * kept + t, from = row * T + t;
            cr_assert_eq(b.tokens[i], from);
            cr_assert_eq(b.targets[i], 1000 + from);
            cr_assert_eq(b.positions[i], t);
            cr_assert_eq(b.weights[i], from == T + last || from == 2 * T ? 1 : 0);
        }
    ae_batch_free(&b);
}

Test(packing, trimmed_rows_keep_every_target_that_counts) {
    check_trim(40, 39, 40);
    check_trim(40, 32, 40);
    check_trim(40, 31, 32);
    check_trim(40, 16, 32);
    check_trim(40, 15, 16);
    check_trim(40, 0, 16);
    check_trim(17, 16, 17);
    check_trim(8, 3, 8);
}
