#include "core/status.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static ae_status fails(void) {
    return AE_FAIL(AE_ERR_INPUT, "file.txt: expected %d, found %d", 3, 4);
}

static ae_status passes_on(int *cleaned) {
    ae_status st;
    AE_TRY(AE_OK);
    AE_TRY(fails());
    *cleaned = -1;
out:
    (*cleaned)++;
    return st;
}

Test(status, keeps_the_code_and_the_message) {
    int cleaned = 0;
    cr_assert_str_eq(ae_error_message(), "");
    cr_assert_eq(passes_on(&cleaned), AE_ERR_INPUT);
    cr_assert_eq(cleaned, 1);
    cr_assert_str_eq(ae_error_message(), "file.txt: expected 3, found 4");
}

Test(status, prefix_stands_before_the_message) {
    fails();
    ae_fail_prefix("line %d", 7);
    cr_assert_str_eq(ae_error_message(), "line 7: file.txt: expected 3, found 4");
    ae_status st = AE_FAIL(AE_ERR_USAGE, "again: %s", ae_error_message());
    cr_assert_eq(st, AE_ERR_USAGE);
    cr_assert_str_eq(ae_error_message(), "again: line 7: file.txt: expected 3, found 4");
}

Test(status, message_is_one_line_and_bounded) {
    char longer[10000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ae_fail_at("f", 1, "a\nb\tc");
    cr_assert_str_eq(ae_error_message(), "a b c");
    ae_fail_at("f", 1, "%s", longer);
    cr_assert_gt(strlen(ae_error_message()), 1000);
    cr_assert_lt(strlen(ae_error_message()), 5000);
    ae_fail_at("f", 1, "%s\xc3\xa9%s: expected a folder", longer, longer + 9000);
    const size_t n = strlen(ae_error_message());
    cr_assert_lt(n, 5000);
    cr_assert_str_eq(ae_error_message() + n - 21, "xxx: expected a folder" + 1, "the end is kept");
    for (int i = 0; i < 3; i++) ae_fail_prefix("%s", longer);
    cr_assert_lt(strlen(ae_error_message()), 5000);
}

Test(status, place_is_shown_on_demand) {
    setenv("AERIE_DEBUG", "1", 1);
    fails();
    cr_assert_not_null(strstr(ae_error_message(), "test_status.c:"));
    unsetenv("AERIE_DEBUG");
}

static void *other_thread(void *seen) {
    memcpy(seen, ae_error_message(), strlen(ae_error_message()) + 1);
    ae_fail_at("f", 1, "theirs");
    return NULL;
}

Test(status, each_thread_has_its_own) {
    char seen[64] = "?";
    pthread_t thread;
    ae_fail_at("f", 1, "mine");
    cr_assert_eq(pthread_create(&thread, NULL, other_thread, seen), 0);
    pthread_join(thread, NULL);
    cr_assert_str_eq(seen, "");
    cr_assert_str_eq(ae_error_message(), "mine");
}
