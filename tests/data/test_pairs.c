#include "data/pairs.h"
#include "tests/data/sets.h"

TestSuite(pairs, .init = scratch_make, .fini = scratch_remove, .timeout = 60);

enum { PAIRS = 40, LONGEST = 20 };

static plain_set plain;
static int64_t start_of[2 * PAIRS + 1];

/* Documents whose first token is their number. */
static ae_token_set *make_set(uint64_t seed) {
    set_random(&plain, seed, 2 * PAIRS, LONGEST, true);
    for (int d = 0; d < 2 * PAIRS; d++) {
        plain.ids[start_of[d]] = d;
        start_of[d + 1] = start_of[d] + plain.lengths[d];
    }
    return set_make(&plain, "pairs.h5");
}

static void check_document(const ae_batch *b, int64_t doc, ptrdiff_t begin, ptrdiff_t end) {
    const int64_t n = plain.lengths[doc], at = start_of[doc];
    cr_assert_eq(end - begin, n);
    for (int64_t t = 0; t < n; t++) {
        cr_assert_eq(b->tokens[begin + t], plain.ids[at + t]);
        cr_assert_eq(b->positions[begin + t], t);
        cr_assert_eq(b->weights[begin + t], t + 1 < n && plain.mask[at + t + 1] ? 1 : 0);
    }
}

/* Every chosen pair is there once, whole, in one row, chosen before rejected. */
static void check_batch(const ae_pair_batch *b, const ae_pair_choice *choices, ptrdiff_t n) {
    bool seen[PAIRS] = {false};
    int64_t tokens = 0, longest_row = 0;
    cr_assert_eq(b->n_pairs, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        const ae_pair_place *p = &b->pairs[i];
        const int64_t doc = b->batch.tokens[p->chosen_begin];
        cr_assert(doc % 2 == 0 && !seen[doc / 2]);
        seen[doc / 2] = true;
        check_document(&b->batch, doc, p->chosen_begin, p->chosen_end);
        check_document(&b->batch, doc + 1, p->rejected_begin, p->rejected_end);
        cr_assert_eq(p->chosen_begin / b->batch.T, (p->rejected_end - 1) / b->batch.T);
        cr_assert(i == 0 || p->chosen_begin >= b->pairs[i - 1].rejected_end);
        tokens += plain.lengths[doc] + plain.lengths[doc + 1];
        const int64_t end = p->rejected_end - p->chosen_begin / b->batch.T * b->batch.T;
        longest_row = end > longest_row ? end : longest_row;
    }
    for (ptrdiff_t i = 0; i < n; i++) cr_assert(seen[choices[i].set->usable[choices[i].pair]]);
    cr_assert_eq(b->batch.n_tokens, tokens);
    cr_assert(b->batch.T >= longest_row && (b->batch.T < longest_row + 16));
}

static void check_pairs(ptrdiff_t T, bool alone) {
    enum { N = 7 };
    ae_token_set *s = make_set(3);
    ae_pair_set set;
    ae_pair_batch b;
    cr_assert_eq(ae_pair_set_init(&set, s, T, AE_TOO_LONG_DROP, alone), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_pair_batch_init(&b, N, N, T), AE_OK);
    for (int64_t first = 0; first + N <= set.count.pairs; first += N) {
        ae_pair_choice choices[N];
        for (int i = 0; i < N; i++) choices[i] = (ae_pair_choice){&set, first + (i * 3) % N};
        cr_assert_eq(ae_pair_batch_fill(&b, choices, N), AE_OK, "%s", ae_error_message());
        check_batch(&b, choices, N);
        cr_assert(!alone || b.batch.B == N);
        cr_assert(alone || T < 200 || b.batch.B < N);
    }
    ae_pair_batch_free(&b);
    ae_pair_set_free(&set);
    ae_token_set_close(s);
}

Test(pairs, are_whole_once_and_apart) {
    check_pairs(24, false);
    check_pairs(40, false);
    check_pairs(200, false);
    check_pairs(40, true);
}

/* Few rows take many short pairs, and never fewer than there are rows. */
Test(pairs, fill_the_rows_of_a_batch) {
    enum { ROWS = 3 };
    static const ptrdiff_t T[] = {40, 100, 200, 4000};
    for (size_t i = 0; i < sizeof T / sizeof *T; i++) {
        ae_token_set *s = make_set(3);
        ae_pair_set set;
        ae_pair_batch b;
        ae_pair_choice choices[PAIRS];
        cr_assert_eq(ae_pair_set_init(&set, s, T[i], AE_TOO_LONG_DROP, false), AE_OK);
        cr_assert_eq(ae_pair_batch_init(&b, set.count.pairs, ROWS, T[i]), AE_OK);
        for (int64_t first = 0; first < set.count.pairs;) {
            ptrdiff_t n = (ptrdiff_t)(set.count.pairs - first);
            const ptrdiff_t most = n;
            for (int k = 0; k < n; k++) choices[k] = (ae_pair_choice){&set, first + k};
            cr_assert_eq(ae_pair_batch_fit(&b, choices, &n), AE_OK);
            cr_assert(n <= most && (n >= ROWS || n == most));
            cr_assert(n == most || T[i] < 100 || n >= 2 * ROWS, "%td pairs in rows of %td", n, T[i]);
            cr_assert(T[i] < 4000 || n == PAIRS);
            cr_assert_eq(ae_pair_batch_fill(&b, choices, n), AE_OK, "%s", ae_error_message());
            cr_assert_leq(b.batch.B, ROWS);
            check_batch(&b, choices, n);
            first += n;
        }
        ae_pair_batch_free(&b);
        ae_pair_set_free(&set);
        ae_token_set_close(s);
    }
}

Test(pairs, that_do_not_fit_are_named_or_left_out) {
    ae_token_set *s = make_set(5);
    ae_pair_set set;
    int64_t fit = 0;
    for (int p = 0; p < PAIRS; p++) fit += plain.lengths[2 * p] + plain.lengths[2 * p + 1] <= 20;
    cr_assert_eq(ae_pair_set_init(&set, s, 20, AE_TOO_LONG_ERROR, false), AE_ERR_INPUT);
    cr_assert_message("expected at most the 20 tokens of a row for both answers");
    cr_assert_eq(ae_pair_set_init(&set, s, 20, AE_TOO_LONG_CUT, false), AE_ERR_USAGE);
    cr_assert_eq(ae_pair_set_init(&set, s, 1, AE_TOO_LONG_DROP, false), AE_ERR_INPUT);
    cr_assert_message("expected a pair that fits a row of 1 tokens, found none");
    cr_assert_eq(ae_pair_set_init(&set, s, 20, AE_TOO_LONG_DROP, false), AE_OK);
    cr_assert_eq(set.count.pairs, fit);
    cr_assert_eq(set.count.dropped, PAIRS - fit);
    ae_pair_set_free(&set);
    ae_token_set_close(s);
}

Test(pairs, a_set_of_another_kind_is_refused) {
    ae_pair_set set;
    set_random(&plain, 1, 4, LONGEST, false);
    ae_token_set *s = set_make(&plain, "text.h5");
    cr_assert_eq(ae_pair_set_init(&set, s, 100, AE_TOO_LONG_ERROR, false), AE_ERR_INPUT);
    cr_assert_message("expected pairs of answers, found a set of another kind");
    ae_token_set_close(s);
}

/* Each pair has its own, also behind one that is dropped. */
Test(pairs, margins_come_from_the_set) {
    static const int32_t ids[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const uint8_t mask[] = {0, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    ae_token_writer *w = NULL;
    const ae_token_set_info info = {
        .vocab_size = 16, .has_mask = true, .kind = AE_KIND_PAIRS, .has_margins = true};
    const char *path = scratch_path("margins.h5");
    cr_assert_eq(ae_token_writer_open(&w, path, &info), AE_OK);
    for (int pair = 0; pair < 3; pair++) {
        const int64_t n = pair == 1 ? 10 : 4;
        for (int side = 0; side < 2; side++)
            cr_assert_eq(ae_token_writer_add(w, ids + (pair == 2), mask, n, 0), AE_OK);
        cr_assert_eq(ae_token_writer_margin(w, 0.5f + (float)pair), AE_OK);
    }
    cr_assert_eq(ae_token_writer_finish(w, NULL), AE_OK);
    ae_token_set *s = set_open(path);
    ae_pair_set set;
    ae_pair_batch b;
    cr_assert_eq(ae_pair_set_init(&set, s, 16, AE_TOO_LONG_DROP, false), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_pair_batch_init(&b, 2, 2, 16), AE_OK);
    const ae_pair_choice choices[] = {{&set, 1}, {&set, 0}};
    cr_assert_eq(ae_pair_batch_fill(&b, choices, 2), AE_OK, "%s", ae_error_message());
    for (int i = 0; i < 2; i++)
        cr_assert_eq(b.pairs[i].margin, b.batch.tokens[b.pairs[i].chosen_begin] ? 2.5f : 0.5f);
    ae_pair_batch_free(&b);
    ae_pair_set_free(&set);
    ae_token_set_close(s);
}
