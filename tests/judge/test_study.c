#include "judge/study.h"
#include "tests/judge/rig.h"

#include <string.h>

static const char *const names[] = {"a", "b", "c"};

/* Each comparison comes once; the first round has all items once, and pairs about equally often. */
Test(study, order_of_comparisons) {
    enum { ITEMS = 30, MODELS = 3, PAIRS = 3 };
    char *folder = temporary_folder();
    ae_study s;
    int seen[ITEMS][MODELS][MODELS] = {{{0}}}, of_item[ITEMS] = {0}, of_pair[MODELS][MODELS] = {{0}},
        moved = 0;
    write_study(folder, ITEMS, MODELS, names);
    cr_assert_eq(ae_study_open(&s, folder), AE_OK);
    cr_assert_eq(s.n_comparisons, ITEMS * PAIRS);
    for (ptrdiff_t i = 0; i < s.n_comparisons; i++) {
        const ae_comparison c = s.comparisons[i];
        cr_assert(c.a < c.b && seen[c.item][c.a][c.b]++ == 0);
        if (i >= ITEMS) continue;
        of_item[c.item]++;
        of_pair[c.a][c.b]++;
        moved += c.item != i;
    }
    for (int i = 0; i < ITEMS; i++) cr_assert_eq(of_item[i], 1);
    cr_assert(of_pair[0][1] == 10 && of_pair[0][2] == 10 && of_pair[1][2] == 10);
    cr_assert(moved > ITEMS / 2, "items come in the order of the file");
    ae_study_free(&s);
    remove_folder(folder);
}

/* A model without an answer to an item is in no pair of it. */
Test(study, answers_that_are_missing) {
    char *folder = temporary_folder();
    ae_study s;
    json_t *items = study_items(2, 3, names), *about = study_about(3, names);
    json_array_set_new(json_object_get(json_array_get(items, 0), "answers"), 1, json_null());
    cr_assert_eq(ae_study_write(folder, about, items), AE_OK);
    cr_assert_eq(ae_study_open(&s, folder), AE_OK);
    cr_assert_eq(s.n_comparisons, 1 + 3);
    cr_assert_null(ae_study_answer(&s, 0, 1));
    cr_assert_str_eq(json_string_value(ae_study_answer(&s, 1, 1)), "answer 1 of b");
    ae_study_free(&s);
    json_decref(items);
    json_decref(about);
    remove_folder(folder);
}

static void refused(json_t *about, json_t *items, const char *words) {
    char *folder = temporary_folder();
    ae_study s;
    cr_assert_eq(ae_study_write(folder, about, items), AE_OK);
    cr_assert_eq(ae_study_open(&s, folder), AE_ERR_INPUT);
    cr_assert(strstr(ae_error_message(), words), "%s", ae_error_message());
    json_decref(items);
    json_decref(about);
    remove_folder(folder);
}

static json_t *spoilt(const char *key, json_t *value) {
    json_t *items = study_items(2, 3, names);
    json_object_set_new(json_array_get(items, 1), key, value);
    return items;
}

Test(study, what_is_refused) {
    refused(study_about(3, names), spoilt("id", json_string("q0")),
            "items.jsonl:2: id: expected one of its own");
    refused(study_about(3, names), spoilt("id", json_integer(4)), "id: expected text, found a whole number");
    refused(study_about(3, names), spoilt("prompt", json_array()), "found an empty list");
    refused(study_about(3, names), spoilt("prompt", json_pack("[{s:s}]", "role", "user")),
            "\"role\", \"content\"");
    refused(study_about(3, names), spoilt("answers", json_pack("[s, s]", "x", "y")), "a list of 3");
    refused(study_about(3, names), spoilt("answers", json_pack("[s, s, i]", "x", "y", 3)), "text or null");
    refused(study_about(3, names), spoilt("answers", json_pack("[n, s, n]", "x")), "two or more");
    const char *const twice[] = {"a", "a", "c"};
    refused(study_about(3, twice), study_items(2, 3, twice), "found a twice");
    refused(study_about(1, names), study_items(2, 1, names), "a list of 2 to 16, found 1");
    refused(study_about(3, names), json_array(), "items.jsonl");
}

/* Votes are about the texts that study.json was written with. */
Test(study, another_file_of_items) {
    char *folder = temporary_folder(), *path = ae_path_join(folder, "items.jsonl"), *text;
    ae_study s;
    size_t n;
    write_study(folder, 2, 2, names);
    cr_assert_eq(ae_file_read(path, &text, &n), AE_OK);
    *strstr(text, "answer 1") = 'A';
    cr_assert_eq(ae_file_write(path, text, n), AE_OK);
    cr_assert_eq(ae_study_open(&s, folder), AE_ERR_INPUT);
    cr_assert(strstr(ae_error_message(), "found another"), "%s", ae_error_message());
    free(text);
    free(path);
    remove_folder(folder);
}
