#include "data/mixture.h"
#include "tests/data/sets.h"

TestSuite(mixture, .init = scratch_make, .fini = scratch_remove);

static void make_set(const char *name, int64_t vocab_size, const char *tokenizer) {
    ae_token_writer *w = NULL;
    const ae_token_set_info info = {.vocab_size = vocab_size,
                                    .tokenizer = tokenizer,
                                    .tokenizer_bytes = tokenizer ? strlen(tokenizer) : 0};
    const int32_t ids[] = {1, 2, 3};
    cr_assert_eq(ae_token_writer_open(&w, scratch_path(name), &info), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_token_writer_add(w, ids, NULL, 3, 3), AE_OK);
    cr_assert_eq(ae_token_writer_finish(w, NULL), AE_OK, "%s", ae_error_message());
}

/* Relative names in the tree are those of the scratch folder. */
static ae_status open_here(ae_mixture *m, const char *tree) {
    cr_assert_eq(chdir(scratch_folder), 0);
    const ae_status st = ae_mixture_open(m, tree);
    cr_assert_eq(chdir("/"), 0);
    return st;
}

Test(mixture, one_path) {
    static const char *const trees[] = {"\"a.h5\"", "a.h5", "[\"a.h5\"]", "{\"path\": \"a.h5\"}",
                                        "[{\"path\": \"a.h5\", \"weight\": 1}]"};
    make_set("a.h5", 10, NULL);
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
        ae_mixture m;
        cr_assert_eq(open_here(&m, trees[i]), AE_OK, "%s: %s", trees[i], ae_error_message());
        cr_assert_eq(m.n_sets, 1);
        cr_assert_eq(m.n_phases, 1);
        cr_assert_eq(m.phases[0].from_step, 1);
        cr_assert_float_eq(m.phases[0].weight[0], 1, 0);
        ae_mixture_close(&m);
    }
}

Test(mixture, a_set_of_two_phases_is_opened_once) {
    make_set("a.h5", 10, "one");
    make_set("b.h5", 10, NULL);
    make_set("c.h5", 10, "one");
    ae_mixture m;
    const char *tree = "[{\"from_step\": 1, \"sets\": [\"a.h5\", {\"path\": \"b.h5\", \"weight\": 0.25}]},"
                       "{\"from_step\": 100, \"sets\": [\"c.h5\", {\"path\": \"a.h5\", \"weight\": 3}]}]";
    cr_assert_eq(open_here(&m, tree), AE_OK, "%s", ae_error_message());
    cr_assert_eq(m.n_sets, 3);
    cr_assert_eq(m.n_phases, 2);
    cr_assert_eq(m.phases[1].from_step, 100);
    const double first[] = {1, 0.25, 0}, second[] = {3, 0, 1};
    for (int i = 0; i < 3; i++) {
        cr_assert_float_eq(m.phases[0].weight[i], first[i], 0);
        cr_assert_float_eq(m.phases[1].weight[i], second[i], 0);
    }
    ae_mixture_close(&m);
}

Test(mixture, faults_are_named) {
    static const struct {
        const char *tree, *message;
        ae_status st;
    } bad[] = {
        {"[", "data.train: expected JSON", AE_ERR_INPUT},
        {"", "expected the path of a token set", AE_ERR_USAGE},
        {"[]", "expected a token set with a weight above 0", AE_ERR_USAGE},
        {"[7]", "expected the path of a token set", AE_ERR_USAGE},
        {"[{\"path\": \"a.h5\", \"wieght\": 2}]", "unknown key 'wieght'; did you mean weight", AE_ERR_USAGE},
        {"[{\"path\": \"a.h5\", \"weight\": -1}]", "weight: expected a number of 0 or more", AE_ERR_USAGE},
        {"[{\"path\": \"a.h5\", \"weight\": \"1\"}]", "weight: expected a number of 0 or more", AE_ERR_USAGE},
        {"[{\"path\": \"a.h5\", \"weight\": 0}]", "weight above 0", AE_ERR_USAGE},
        {"[{\"from_step\": 2, \"sets\": \"a.h5\"}]", "from_step: expected 1, found 2", AE_ERR_USAGE},
        {"[{\"from_step\": 1, \"sets\": \"a.h5\"}, {\"from_step\": 1, \"sets\": \"a.h5\"}]",
         "from_step: expected more than 1, found 1", AE_ERR_USAGE},
        {"[{\"from_step\": 1, \"sets\": \"a.h5\"}, \"a.h5\"]", "expected phases", AE_ERR_USAGE},
        {"[{\"from_step\": 1}]", "expected phases", AE_ERR_USAGE},
        {"\"none.h5\"", "none.h5: expected", AE_ERR_INPUT},
        {"[\"a.h5\", \"v.h5\"]", "v.h5: expected a vocabulary of 10 as in a.h5, found 11", AE_ERR_INPUT},
        {"[\"a.h5\", \"t.h5\"]", "t.h5: expected the tokenizer of a.h5, found another", AE_ERR_INPUT},
    };
    make_set("a.h5", 10, "one");
    make_set("v.h5", 11, "one");
    make_set("t.h5", 10, "two");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ae_mixture m;
        cr_assert_eq(open_here(&m, bad[i].tree), bad[i].st, "%s: %s", bad[i].tree, ae_error_message());
        cr_assert_message(bad[i].message);
        cr_assert_eq(m.n_sets, 0);
    }
}
