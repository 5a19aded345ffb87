#include "benchmark/recall.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static ptrdiff_t distance(const char *answer) {
    static const int32_t ids[] = {10, 20, 30, 40, 50};
    return ae_recall_distance(answer, ids, 5);
}

Test(recall, distances_in_tokens) {
    cr_expect_eq(distance("10 20 30 40 50"), 0);
    cr_expect_eq(distance("10 20 30 40 50\n60 70"), 0);
    cr_expect_eq(distance("10 20 31 40 50\n"), 1);
    cr_expect_eq(distance("10 20 40 50"), 1);
    cr_expect_eq(distance("20 30 40 50 60"), 2);
    cr_expect_eq(distance("10 20 25 30 40 50"), 1);
    cr_expect_eq(distance("50 40 30 20 10"), 4);
    cr_expect_eq(distance("1 2 3 4 5"), 5);
    cr_expect_eq(distance("\ntext"), 5);
    cr_expect_eq(distance(""), 5);
    cr_expect_eq(ae_recall_distance("1 2", NULL, 0), 2);
}

Test(recall, an_answer_is_its_tokens_and_its_text) {
    const int32_t ids[] = {7, 256000};
    char *text = ae_recall_text(ids, 2, "a\nb", 3);
    cr_assert_str_eq(text, "7 256000\na\nb");
    free(text);
    text = ae_recall_text(ids, 0, "", 0);
    cr_assert_str_eq(text, "\n");
    free(text);
}
