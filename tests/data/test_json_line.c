#include "data/json_line.h"
#include "tests/core/scratch.h"

#include <stdlib.h>

static const char *const wanted[] = {"text", "id"};

static json_t *accept(const char *line) {
    json_t *o = NULL;
    cr_assert_eq(ae_json_line(&o, line, strlen(line), wanted, 2, "F:1"), AE_OK, "%s: %s", line,
                 ae_error_message());
    return o;
}

static void expect_text(const char *line, const char *text, size_t n) {
    json_t *o = accept(line);
    const json_t *value = json_object_get(o, "text");
    cr_assert(json_is_string(value) && json_string_length(value) == n &&
                  memcmp(json_string_value(value), text, n) == 0,
              "%s", line);
    json_decref(o);
}

static void refuse(const char *line, const char *says) {
    json_t *o = NULL;
    cr_assert_eq(ae_json_line(&o, line, strlen(line), wanted, 2, "F:1"), AE_ERR_INPUT, "%s", line);
    cr_assert_null(o);
    cr_assert_message("F:1: ");
    cr_assert_message(says);
}

Test(json_line, fields_that_are_asked_for_are_there_and_no_others) {
    json_t *o = accept(" { \"a\" : [1, {\"text\": \"inner\"}], \"id\":7 ,\"text\" : \"x\", \"b\":null } \r");
    cr_assert_eq(json_object_size(o), 2);
    cr_assert_eq(json_integer_value(json_object_get(o, "id")), 7);
    cr_assert_str_eq(json_string_value(json_object_get(o, "text")), "x");
    json_decref(o);
    o = accept("{}");
    cr_assert_eq(json_object_size(o), 0);
    json_decref(o);
    expect_text("{\"te\\u0078t\": \"escaped key\"}", "escaped key", 11);
}

/* What scraped data holds beside its text. */
Test(json_line, other_fields_may_hold_what_libraries_refuse) {
    static const char *const values[] = {"10014255632117358197",
                                         "1e400",
                                         "-1E-999",
                                         "NaN",
                                         "Infinity",
                                         "-Infinity",
                                         "[1e999, {\"x\": NaN}]",
                                         "\"\\u0000\"",
                                         "\"\\udcb2 \\ud835\"",
                                         "-0",
                                         "0.5e+3"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char line[256];
        snprintf(line, sizeof line, "{\"a\": %s, \"text\": \"t\", \"a\": %s}", values[i], values[i]);
        expect_text(line, "t", 1);
        snprintf(line, sizeof line, "{\"text\": \"t\", \"a\": %s}", values[i]);
        expect_text(line, "t", 1);
    }
}

Test(json_line, text_is_taken_to_the_byte) {
    expect_text("{\"text\": \"a\\u0000b\"}", "a\0b", 3);
    expect_text("{\"text\": \"\\ud83d\\ude00\"}", "\xf0\x9f\x98\x80", 4);
    expect_text("{\"text\": \"\\\\ud83d \\/ \\\"\"}", "\\ud83d / \"", 10);
    expect_text("{\"text\": \"\\uffff\xc3\xa9\"}", "\xef\xbf\xbf\xc3\xa9", 5);
}

Test(json_line, what_cannot_be_held_is_named) {
    refuse("{\"text\": \"a \\udcb2\"}", "text: expected characters, found \\udcb2, half of a surrogate pair");
    refuse("{\"text\": \"\\ud835 a\"}", "found \\ud835, half of a surrogate pair");
    refuse("{\"text\": \"\\ud835\\ud835\"}", "half of a surrogate pair");
    refuse("{\"id\": 10014255632117358197}", "id: expected a value that can be read, found: too big integer");
    refuse("{\"text\": \"a\", \"x\": 1, \"text\": \"b\"}", "text: expected this key once, found it twice");
    refuse("{\"text\": {\"a\": 1, \"a\": 2}}", "text: ");
}

Test(json_line, faults_are_found_wherever_they_are) {
    refuse("nonsense", "expected JSON, found an error at column 1: expected a value");
    refuse("{\"text\": \"a\"", "expected ',' or '}'");
    refuse("{\"text\": \"a\"} x", "column 15: expected the end of the line");
    refuse("{\"text\": \"a\", \"b\": [1, 2}", "column 25: expected ',' or ']'");
    refuse("{\"text\": \"a\", \"b\": tru}", "expected a value");
    refuse("{\"text\": \"a\", \"b\": 01}", "a number that begins with 0");
    refuse("{\"text\": \"a\", \"b\": 1.}", "expected a digit");
    refuse("{\"text\": \"a\", \"b\": -}", "expected a number");
    refuse("{\"text\": \"a\", \"b\": \"\\x\"}", "expected an escape");
    refuse("{\"text\": \"a\", \"b\": \"\\u12g4\"}", "four hexadecimal digits");
    refuse("{\"text\": \"a\", \"b\": \"open}", "the quote that ends a text");
    refuse("{\"text\": \"a\", \"b\": \"tab\there\"}", "a control character");
    refuse("{\"text\": \"a\", b: 1}", "expected a key in quotes");
    refuse("{\"text\": \"a\",}", "expected a key in quotes");
    refuse("{\"text\" \"a\"}", "expected ':'");
    refuse("{\"text\": \"\xff\"}", "expected JSON in UTF-8, found byte 0xFF at column 11");
    refuse("", "expected a value");
    refuse("[1]", "expected a JSON object, found a list");
    refuse("\"x\"", "found text");
    refuse("null", "found null");
}

Test(json_line, depth_is_bounded) {
    enum { N = 100000 };
    char *line = malloc(N + 64);
    const int n = sprintf(line, "{\"text\": \"a\", \"b\": ");
    memset(line + n, '[', N);
    line[n + N] = '\0';
    refuse(line, "too deep");
    free(line);
}

static void go_on(const char *line, bool does) {
    cr_assert_eq(ae_json_line_goes_on(line, strlen(line)), does, "%s", line);
}

Test(json_line, a_whole_or_wrong_line_does_not_go_on) {
    go_on(" {\"a\": [1, 2", true);
    go_on("{\"a\": \"x\\u00", true);
    go_on("{\"a\": 1}", false);
    go_on("{braces} and text that is long enough", false);
    go_on("{\"a\": \"control \001 characters\", \"b\": 1", false);
    go_on("{\"a\": trees that are no literal", false);
}

/* Every cut of a sound line is refused, without a look behind its end. */
Test(json_line, cut_lines_are_refused) {
    static const char line[] =
        "{\"a\": [true, -1.5e3, \"\\ud83d\\ude00\"], \"text\": \"x\\n\", \"id\": {\"k\": null}}";
    for (size_t n = 0; n < sizeof line - 1; n++) {
        json_t *o = NULL;
        char *cut = malloc(n + 1);
        memcpy(cut, line, n);
        cr_assert_eq(ae_json_line(&o, cut, n, wanted, 2, "F:1"), AE_ERR_INPUT, "%zu", n);
        cr_assert(ae_json_line_goes_on(cut, n), "%zu", n);
        free(cut);
    }
    json_decref(accept(line));
}
