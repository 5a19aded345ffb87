#include "data/row_source.h"
#include "tests/data/sets.h"

TestSuite(row_source, .init = scratch_make, .fini = scratch_remove, .timeout = 120);

enum { ROWS = 5, T = 6, STEPS = 24 };

/* Sets "0.h5", "1.h5", ... whose ids tell the set: below 100, 100 to 199, ... */
static plain_set plain[3];

static void make_sets(void) {
    for (int k = 0; k < 3; k++) {
        set_random(&plain[k], 40 + (uint64_t)k, 12 + 9 * k, 9, k == 1);
        char name[16];
        snprintf(name, sizeof name, "%d.h5", k);
        for (int64_t i = 0; i < plain[k].n; i++) plain[k].ids[i] = plain[k].ids[i] % 100 + 100 * k;
        set_write(&plain[k], scratch_path(name));
    }
}

/* `tree` with every "%" followed by a digit replaced by that set's path. */
static void open_mixture(ae_mixture *m, const char *tree) {
    char text[4096];
    size_t n = 0;
    for (const char *c = tree; *c; c++) {
        if (*c == '%')
            n += (size_t)snprintf(text + n, sizeof text - n, "\"%s/%c.h5\"", scratch_folder, *++c);
        else
            text[n++] = *c;
    }
    text[n] = '\0';
    cr_assert_eq(ae_mixture_open(m, text), AE_OK, "%s", ae_error_message());
}

static void batch_copy(ae_batch *to, const ae_batch *from) {
    const size_t n = (size_t)(from->B * from->T);
    cr_assert_eq(ae_batch_init(to, from->B, from->T), AE_OK);
    memcpy(to->tokens, from->tokens, n * sizeof *to->tokens);
    memcpy(to->targets, from->targets, n * sizeof *to->targets);
    memcpy(to->positions, from->positions, n * sizeof *to->positions);
    memcpy(to->weights, from->weights, n * sizeof *to->weights);
    to->n_tokens = from->n_tokens;
    to->n_targets = from->n_targets;
}

static void assert_same_batch(const ae_batch *a, const ae_batch *b, int64_t step) {
    const size_t n = (size_t)(a->B * a->T);
    cr_assert_arr_eq(a->tokens, b->tokens, n * sizeof *a->tokens, "tokens of step %ld", (long)step);
    cr_assert_arr_eq(a->targets, b->targets, n * sizeof *a->targets, "targets of step %ld", (long)step);
    cr_assert_arr_eq(a->positions, b->positions, n * sizeof *a->positions, "positions of step %ld",
                     (long)step);
    cr_assert_arr_eq(a->weights, b->weights, n * sizeof *a->weights, "weights of step %ld", (long)step);
    cr_assert_eq(a->n_tokens, b->n_tokens);
    cr_assert_eq(a->n_targets, b->n_targets);
}

/* A source that was begun, and the batch of its step. */
typedef struct {
    ae_row_source source;
    ae_batch batch;
} reader;

static reader *start_source(ae_row_source source, int64_t step, const char *position) {
    reader *r = calloc(1, sizeof *r);
    cr_assert_not_null(r);
    r->source = source;
    cr_assert_eq(source.begin(source.self, step, position), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_batch_init(&r->batch, source.B, source.T), AE_OK);
    return r;
}

static void stop(reader *r) {
    ae_batch_free(&r->batch);
    ae_row_source_free(&r->source);
    free(r);
}

static void tell_position(const reader *r, char **json) {
    cr_assert_eq(r->source.position(r->source.self, json), AE_OK);
}

static ae_row_source rows_of(const ae_mixture *m, const ae_row_options *o) {
    ae_row_source source;
    cr_assert_eq(ae_row_source_sets(&source, m, o), AE_OK, "%s", ae_error_message());
    return source;
}

static ae_row_source streams_of(const ae_mixture *m, const ae_row_options *o) {
    ae_row_source source;
    cr_assert_eq(ae_row_source_streams(&source, m, o), AE_OK, "%s", ae_error_message());
    return source;
}

static ae_row_source examples_of(const ae_mixture *m, const ae_row_options *o) {
    ae_row_source source;
    const ae_example_options e = {.too_long = AE_TOO_LONG_CUT};
    cr_assert_eq(ae_row_source_examples(&source, m, o, &e, NULL), AE_OK, "%s", ae_error_message());
    return source;
}

static reader *start(const ae_mixture *m, bool shuffle, uint64_t seed, int64_t step, const char *position) {
    const ae_row_options o = {.rows = ROWS, .row_tokens = T, .seed = seed, .shuffle = shuffle};
    return start_source(rows_of(m, &o), step, position);
}

static const ae_batch *next(reader *r) {
    r->batch.n_tokens = r->batch.n_targets = 0;
    cr_assert_eq(r->source.fill(r->source.self, &r->batch), AE_OK, "%s", ae_error_message());
    return &r->batch;
}

/* Keeps STEPS batches and the position after each. */
static void record(const ae_mixture *m, bool shuffle, ae_batch *kept, char **positions) {
    reader *l = start(m, shuffle, 5, 1, NULL);
    for (int s = 0; s < STEPS; s++) {
        batch_copy(&kept[s], next(l));
        tell_position(l, &positions[s]);
    }
    stop(l);
}

static void check_restart(const ae_mixture *m, bool shuffle, const ae_batch *kept, int64_t step,
                          const char *position) {
    reader *l = start(m, shuffle, 5, step, position);
    for (int64_t s = step; s <= STEPS; s++) assert_same_batch(next(l), &kept[s - 1], s);
    stop(l);
}

static void check_all_restarts(const char *tree, bool shuffle) {
    ae_mixture m;
    ae_batch kept[STEPS];
    char *positions[STEPS];
    open_mixture(&m, tree);
    record(&m, shuffle, kept, positions);
    for (int64_t step = 1; step <= STEPS; step += step < 10 ? 1 : 5) {
        check_restart(&m, shuffle, kept, step, NULL);
        if (step > 1) check_restart(&m, shuffle, kept, step, positions[step - 2]);
    }
    for (int s = 0; s < STEPS; s++) {
        ae_batch_free(&kept[s]);
        free(positions[s]);
    }
    ae_mixture_close(&m);
}

Test(row_source, a_later_start_gives_the_same_batches) {
    static const char *const trees[] = {
        "%0",
        "[%0, {\"path\": %1, \"weight\": 2.5}, {\"path\": %2, \"weight\": 0.5}]",
        "[{\"from_step\": 1, \"sets\": [%0]}, {\"from_step\": 4, \"sets\": [{\"path\": %1, \"weight\": 3}, "
        "%0]},"
        " {\"from_step\": 5, \"sets\": %2}, {\"from_step\": 8, \"sets\": [%0, %1, %2]}]",
    };
    make_sets();
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
        check_all_restarts(trees[i], false);
        check_all_restarts(trees[i], true);
    }
}

/* Row b of a step is row `step` of stream b; from any step on, by its number or by a position. */
Test(row_source, streams_go_on_from_any_step) {
    const ae_row_options o = {.rows = ROWS, .row_tokens = T};
    make_sets();
    ae_mixture m;
    open_mixture(&m, "%1");
    ae_batch kept;
    cr_assert_eq(ae_batch_init(&kept, ROWS, T), AE_OK);
    for (int64_t first = 1; first <= 9; first += 4) {
        char position[64];
        snprintf(position, sizeof position, "{\"rows\":[%ld]}", (long)(first - 1) * ROWS);
        reader *l[2] = {start_source(streams_of(&m, &o), first, NULL),
                        start_source(streams_of(&m, &o), first, position)};
        for (int64_t step = first; step < first + 12; step++) {
            kept.n_tokens = kept.n_targets = 0;
            for (ptrdiff_t b = 0; b < ROWS; b++)
                cr_assert_eq(ae_stream_read(m.sets[0], step - 1, &kept, b), AE_OK);
            assert_same_batch(next(l[0]), &kept, step);
            assert_same_batch(next(l[1]), &kept, step);
        }
        char *after = NULL;
        tell_position(l[0], &after);
        snprintf(position, sizeof position, "{\"rows\":[%ld]}", (long)(first + 11) * ROWS);
        cr_assert_str_eq(after, position);
        free(after);
        stop(l[0]);
        stop(l[1]);
    }
    ae_batch_free(&kept);
    ae_mixture_close(&m);
}

Test(row_source, rows_of_nothing_are_refused_by_name) {
    static const struct {
        ae_row_options o;
        const char *why;
    } bad[] = {{{.rows = 0, .row_tokens = 4}, "rows: expected at least one row in a step, found none"},
               {{.rows = 2, .row_tokens = 0}, "rows: expected at least one token in a row, found none"}};
    make_sets();
    ae_mixture m;
    ae_row_source source;
    open_mixture(&m, "%0");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(ae_row_source_sets(&source, &m, &bad[i].o), AE_ERR_USAGE);
        cr_assert_message(bad[i].why);
    }
    ae_mixture_close(&m);
}

Test(row_source, streams_of_several_sets_of_shuffled_rows_or_of_nothing_are_refused) {
    static const struct {
        const char *tree;
        ptrdiff_t rows;
        bool shuffle;
        ae_status st;
        const char *why;
    } bad[] = {{"[%0, %1]", 2, false, AE_ERR_USAGE, "expected one token set, found 2"},
               {"%0", 2, true, AE_ERR_USAGE, "rows in file order"},
               {"%0", 5000, false, AE_ERR_INPUT, "lower train.batch_rows"}};
    make_sets();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const ae_row_options o = {.rows = bad[i].rows, .row_tokens = 4, .shuffle = bad[i].shuffle};
        ae_mixture m;
        ae_row_source source;
        open_mixture(&m, bad[i].tree);
        cr_assert_eq(ae_row_source_streams(&source, &m, &o), bad[i].st, "%s", ae_error_message());
        cr_assert_message(bad[i].why);
        cr_assert_null(source.self);
        ae_mixture_close(&m);
    }
}

Test(row_source, file_order_wraps_inside_a_batch) {
    make_sets();
    ae_mixture m;
    open_mixture(&m, "%1");
    const int64_t rows = ae_rows_in_set(plain[1].n, T);
    cr_assert_neq(rows % ROWS, 0);
    ae_batch one;
    cr_assert_eq(ae_batch_init(&one, 1, T), AE_OK);
    reader *l = start(&m, false, 1, 1, NULL);
    for (int64_t g = 0; g < 4 * rows; g += ROWS) {
        const ae_batch *b = next(l);
        int64_t tokens = 0;
        for (int64_t r = 0; r < ROWS; r++) {
            one.n_tokens = 0;
            cr_assert_eq(ae_row_read(m.sets[0], (g + r) % rows, &one, 0), AE_OK);
            cr_assert_arr_eq(b->tokens + r * T, one.tokens, T * sizeof *one.tokens);
            cr_assert_arr_eq(b->weights + r * T, one.weights, T * sizeof *one.weights);
            tokens += one.n_tokens;
        }
        cr_assert_eq(b->n_tokens, tokens);
    }
    stop(l);
    ae_batch_free(&one);
    ae_mixture_close(&m);
}

/* A set whose row r begins with token r, so that rows can be told apart. */
static void make_numbered(int64_t rows) {
    plain_set s = {.documents = 1, .vocab_size = 300, .n = rows * T, .lengths = {rows * T}};
    for (int64_t i = 0; i < s.n; i++) s.ids[i] = (int32_t)(i % T == 0 ? i / T : 299);
    set_write(&s, scratch_path("0.h5"));
}

static void read_order(const ae_mixture *m, uint64_t seed, int32_t *rows, int64_t n) {
    reader *l = start(m, true, seed, 1, NULL);
    for (int64_t g = 0; g < n; g += ROWS) {
        const ae_batch *b = next(l);
        for (int64_t r = 0; r < ROWS && g + r < n; r++) rows[g + r] = b->tokens[r * T];
    }
    stop(l);
}

Test(row_source, shuffled_epochs_are_permutations_of_their_own) {
    enum { N = 37, EPOCHS = 6 };
    make_numbered(N);
    ae_mixture m;
    open_mixture(&m, "%0");
    int32_t rows[N * EPOCHS], again[N * EPOCHS], other[N * EPOCHS];
    read_order(&m, 9, rows, N * EPOCHS);
    read_order(&m, 9, again, N * EPOCHS);
    read_order(&m, 10, other, N * EPOCHS);
    cr_assert_arr_eq(rows, again, sizeof rows);
    cr_assert_arr_neq(rows, other, sizeof rows);
    for (int e = 0; e < EPOCHS; e++) {
        bool seen[N] = {false};
        for (int i = 0; i < N; i++) {
            cr_assert_not(seen[rows[e * N + i]]);
            seen[rows[e * N + i]] = true;
        }
        if (e > 0) cr_assert_arr_neq(rows, rows + e * N, N * sizeof *rows);
    }
    ae_mixture_close(&m);
}

/* Rows of each set come in file order, each set at its own pace, and in proportion to the weights. */
Test(row_source, mixtures_keep_their_proportions_and_places) {
    static const double share[] = {0.2, 0.5, 0.3};
    make_sets();
    ae_mixture m;
    open_mixture(
        &m, "[{\"path\": %0, \"weight\": 2}, {\"path\": %1, \"weight\": 5}, {\"path\": %2, \"weight\": 3}]");
    ae_batch one;
    cr_assert_eq(ae_batch_init(&one, 1, T), AE_OK);
    reader *l = start(&m, false, 3, 1, NULL);
    const ae_batch *b = NULL;
    int64_t taken[3] = {0};
    for (int64_t g = 1; g <= 600; g++) {
        if (g % ROWS == 1) b = next(l);
        const int32_t *row = b->tokens + (g - 1) % ROWS * T;
        const int k = row[0] / 100;
        cr_assert_eq(ae_row_read(m.sets[k], taken[k]++ % ae_rows_in_set(plain[k].n, T), &one, 0), AE_OK);
        cr_assert_arr_eq(row, one.tokens, T * sizeof *row);
        for (int i = 0; i < 3; i++) cr_assert_float_eq((double)taken[i], share[i] * (double)g, 4);
    }
    stop(l);
    ae_batch_free(&one);
    ae_mixture_close(&m);
}

Test(row_source, phases_begin_at_their_steps) {
    make_sets();
    ae_mixture m;
    open_mixture(&m, "[{\"from_step\": 1, \"sets\": %2}, {\"from_step\": 3, \"sets\": %0}, {\"from_step\": "
                     "4, \"sets\": %1}]");
    static const int expected[] = {2, 2, 0, 1, 1, 1};
    reader *l = start(&m, true, 3, 1, NULL);
    for (int s = 0; s < 6; s++) {
        const ae_batch *b = next(l);
        for (int r = 0; r < ROWS; r++) cr_assert_eq(b->tokens[r * T] / 100, expected[s]);
    }
    stop(l);
    ae_mixture_close(&m);
}

Test(row_source, one_token_is_refused) {
    plain_set s = {.documents = 1, .vocab_size = 5, .n = 1, .lengths = {1}};
    set_write(&s, scratch_path("0.h5"));
    ae_mixture m;
    open_mixture(&m, "%0");
    const ae_row_options o = {.rows = 1, .row_tokens = 4};
    ae_row_source source;
    cr_assert_eq(ae_row_source_sets(&source, &m, &o), AE_ERR_INPUT);
    cr_assert_message("0.h5: expected at least 2 tokens to train on, found 1");
    cr_assert_null(source.self);
    ae_mixture_close(&m);
}

Test(row_source, positions_of_another_mixture_are_refused) {
    static const char *const bad[] = {
        "{\"rows\":[1]}", "{\"rows\":[1,-1]}", "{\"rows\":[1,\"2\"]}", "{}", "[", "{\"rows\":[1,2,3]}"};
    make_sets();
    ae_mixture m;
    open_mixture(&m, "[%0, %1]");
    const ae_row_options o = {.rows = 1, .row_tokens = 4};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ae_row_source source = rows_of(&m, &o);
        cr_assert_eq(source.begin(source.self, 2, bad[i]), AE_ERR_INPUT, "%s", bad[i]);
        cr_assert_message("data position");
        ae_row_source_free(&source);
    }
    ae_mixture_close(&m);
}

/* ---- packed examples ---- */

static void check_restarts_of_examples(const char *tree, bool shuffle) {
    const ae_row_options o = {.rows = ROWS, .row_tokens = 2 * T, .seed = 5, .shuffle = shuffle};
    ae_mixture m;
    ae_batch kept[STEPS];
    char *position[STEPS];
    open_mixture(&m, tree);
    reader *l = start_source(examples_of(&m, &o), 1, NULL);
    for (int s = 0; s < STEPS; s++) {
        batch_copy(&kept[s], next(l));
        tell_position(l, &position[s]);
    }
    stop(l);
    for (int64_t step = 2; step <= STEPS; step += 7) {
        reader *later[2] = {start_source(examples_of(&m, &o), step, NULL),
                            start_source(examples_of(&m, &o), step, position[step - 2])};
        for (int64_t s = step; s <= STEPS; s++)
            for (int i = 0; i < 2; i++) assert_same_batch(next(later[i]), &kept[s - 1], s);
        for (int i = 0; i < 2; i++) stop(later[i]);
    }
    for (int s = 0; s < STEPS; s++) {
        ae_batch_free(&kept[s]);
        free(position[s]);
    }
    ae_mixture_close(&m);
}

Test(row_source, packed_examples_go_on_from_any_step) {
    make_sets();
    check_restarts_of_examples("%0", false);
    check_restarts_of_examples("[%0, {\"path\": %1, \"weight\": 2}]", true);
}

/* Two epochs of one set: each holds every example once. */
Test(row_source, an_epoch_of_packed_examples_holds_each_once) {
    const ae_row_options o = {.rows = 1, .row_tokens = 2 * T, .seed = 5, .shuffle = true};
    ae_packing_count count;
    ae_row_source source;
    ae_mixture m;
    make_sets();
    open_mixture(&m, "%1");
    cr_assert_eq(ae_row_source_examples(&source, &m, &o, &(ae_example_options){0}, &count), AE_OK);
    cr_assert_eq(count.examples, plain[1].documents);
    cr_assert_eq(count.tokens, plain[1].n);
    reader *l = start_source(source, 1, NULL);
    for (int epoch = 0; epoch < 2; epoch++) {
        int64_t tokens = 0, examples = 0;
        for (int64_t r = 0; r < count.rows; r++) {
            const ae_batch *b = next(l);
            tokens += b->n_tokens;
            for (ptrdiff_t t = 0; t < b->T; t++) examples += b->positions[t] == 0;
        }
        cr_assert_eq(tokens, count.tokens);
        cr_assert_eq(examples, count.examples);
    }
    stop(l);
    ae_mixture_close(&m);
}

Test(row_source, a_set_whose_examples_are_all_dropped_is_refused) {
    plain_set s = {.documents = 2, .vocab_size = 5, .n = 8, .lengths = {4, 4}};
    const ae_row_options o = {.rows = 1, .row_tokens = 3};
    const ae_example_options e = {.too_long = AE_TOO_LONG_DROP};
    ae_row_source source;
    ae_mixture m;
    set_write(&s, scratch_path("0.h5"));
    open_mixture(&m, "%0");
    cr_assert_eq(ae_row_source_examples(&source, &m, &o, &e, NULL), AE_ERR_INPUT);
    cr_assert_message("0.h5: expected an example that fits a row of 3 tokens, found none");
    cr_assert_null(source.self);
    ae_mixture_close(&m);
}
