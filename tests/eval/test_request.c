#include "eval/request.h"

#include <criterion/criterion.h>
#include <string.h>

static const ae_request_rules no_text = {.tokenizer = NULL, .vocab = 64, .bos = true};

static json_t *parsed(const char *line) {
    json_t *o = NULL;
    bool told = true;
    cr_assert_eq(ae_request_parse(&o, line, strlen(line), "F:1", &told), AE_OK, "%s", ae_error_message());
    return o;
}

static void expect_message(ae_status st, const char *part) {
    cr_assert_eq(st, AE_ERR_INPUT);
    cr_assert_not_null(strstr(ae_error_message(), part), "message \"%s\" lacks \"%s\"", ae_error_message(),
                       part);
    cr_assert_eq(strncmp(ae_error_message(), "F:1: ", 5), 0, "%s", ae_error_message());
}

static void refuse_parse(const char *line, const char *part) {
    json_t *o = NULL;
    bool told = false;
    expect_message(ae_request_parse(&o, line, strlen(line), "F:1", &told), part);
    cr_assert_not(told);
    cr_assert_null(o);
}

Test(request, lines_that_are_no_objects_are_refused) {
    refuse_parse("", "empty line");
    refuse_parse(" \t", "empty line");
    refuse_parse("[1]", "found a list");
    refuse_parse("3", "found a number");
    refuse_parse("{\"tokens\": [1]", "expected JSON");
    refuse_parse("{\"text\": \"\xff\"}", "UTF-8");
}

/* Whether a line with this field is warned about. */
static bool tells(const char *field) {
    char line[200];
    json_t *o = NULL;
    bool told = false;
    snprintf(line, sizeof line, "{\"tokens\": [1], %s}", field);
    cr_assert_eq(ae_request_parse(&o, line, strlen(line), "F:1", &told), AE_OK, "%s", ae_error_message());
    cr_assert_eq(json_object_size(o), 1);
    json_decref(o);
    return told;
}

Test(request, fields_that_no_request_has_are_told) {
    cr_assert(tells("\"temprature\": 0.3"));
    cr_assert(tells("\"id\": 7, \"Prompt\": {\"text\": [1, {}]}, \"meta\": null"));
    cr_assert(tells("\"\": 1"));
    cr_assert_not(
        tells("\"_note\": \"temprature\", \"doc_id\" : 7, \"meta\": {\"temprature\": 1}, \"id\": \"a,}\""));
}

static void refuse_ids(const char *line, const char *part) {
    json_t *o = parsed(line);
    ae_ids ids = {0};
    expect_message(ae_request_ids(o, "text", &no_text, "F:1", &ids), part);
    ae_ids_free(&ids);
    json_decref(o);
}

Test(request, ids_must_lie_in_the_vocabulary) {
    refuse_ids("{\"tokens\": [1, 64]}", "tokens[1]: expected 0 to 63, found 64");
    refuse_ids("{\"tokens\": [-1]}", "found -1");
    refuse_ids("{\"tokens\": [4294967297]}", "found 4294967297");
    refuse_ids("{\"tokens\": [1.0]}", "expected a whole number");
    refuse_ids("{\"tokens\": [true]}", "found true");
    refuse_ids("{\"tokens\": 3}", "expected a list");
    refuse_ids("{\"tokens\": []}", "at least one token");
}

Test(request, one_of_text_and_tokens_is_there) {
    refuse_ids("{\"text\": \"a\", \"tokens\": [1]}", "found both");
    refuse_ids("{\"prompt\": \"a\"}", "found neither");
    refuse_ids("{\"text\": \"a\"}", "no tokenizer");
    refuse_ids("{\"text\": 3}", "expected text");
}

Test(request, ids_are_appended) {
    json_t *o = parsed("{\"tokens\": [0, 63, 7], \"note\": \"kept apart\"}");
    ae_ids ids = {0};
    cr_assert_eq(ae_request_ids(o, "text", &no_text, "F:1", &ids), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ids.n, 3);
    cr_assert_arr_eq(ids.ids, ((int32_t[]){0, 63, 7}), 3 * sizeof(int32_t));
    ae_ids_free(&ids);
    json_decref(o);
}

static void refuse_prompt(const char *line, const char *part) {
    json_t *o = parsed(line);
    ae_ids ids = {0};
    expect_message(ae_request_prompt(o, &no_text, "F:1", &ids), part);
    ae_ids_free(&ids);
    json_decref(o);
}

Test(request, messages_need_a_tokenizer_and_stand_alone) {
    refuse_prompt("{\"messages\": []}", "no tokenizer");
    refuse_prompt("{\"messages\": \"hello\"}", "messages: expected a list, found text");
    refuse_prompt("{\"messages\": [], \"tokens\": [1]}", "found \"tokens\" and \"messages\"");
    refuse_prompt("{\"text\": \"a\"}", "found neither");
}

static void check_positions(const char *line, ptrdiff_t n, const int32_t *want, const char *part) {
    json_t *o = parsed(line);
    int32_t got[8] = {0};
    const ae_status st = ae_request_positions(o, "F:1", n, got);
    if (part)
        expect_message(st, part);
    else
        cr_assert(st == AE_OK && memcmp(got, want, (size_t)n * sizeof *got) == 0, "%s", line);
    json_decref(o);
}

Test(request, positions_count_up_or_begin_again) {
    check_positions("{\"tokens\": [1, 2, 3]}", 3, (int32_t[]){0, 1, 2}, NULL);
    check_positions("{\"tokens\": [1, 2, 3], \"positions\": null}", 3, (int32_t[]){0, 1, 2}, NULL);
    check_positions("{\"tokens\": [1, 2, 3, 4], \"positions\": [0, 0, 1, 0]}", 4, (int32_t[]){0, 0, 1, 0},
                    NULL);
    check_positions("{\"tokens\": [1, 2], \"positions\": [1, 2]}", 2, NULL,
                    "positions[0]: expected 0, found 1");
    check_positions("{\"tokens\": [1, 2], \"positions\": [0, 2]}", 2, NULL,
                    "positions[1]: expected 0 or one more");
    check_positions("{\"tokens\": [1, 2], \"positions\": [0, -1]}", 2, NULL, "found -1");
    check_positions("{\"tokens\": [1, 2], \"positions\": [0]}", 2, NULL, "as many entries");
    check_positions("{\"text\": \"ab\", \"positions\": [0]}", 1, NULL, "goes with \"tokens\" only");
}

static void check_mask(const char *line, ptrdiff_t n, const uint8_t *want, const char *part) {
    json_t *o = parsed(line);
    uint8_t got[8] = {9};
    const ae_status st = ae_request_mask(o, "F:1", n, got);
    if (part)
        expect_message(st, part);
    else
        cr_assert(st == AE_OK && memcmp(got, want, (size_t)n) == 0, "%s", line);
    json_decref(o);
}

Test(request, a_mask_is_zeros_and_ones) {
    check_mask("{\"tokens\": [1, 2]}", 2, (uint8_t[]){1, 1}, NULL);
    check_mask("{\"tokens\": [1, 2, 3], \"loss_mask\": [1, 0, 1]}", 3, (uint8_t[]){1, 0, 1}, NULL);
    check_mask("{\"tokens\": [1, 2], \"loss_mask\": [1, 2]}", 2, NULL,
               "loss_mask[1]: expected 0 to 1, found 2");
    check_mask("{\"tokens\": [1, 2], \"loss_mask\": [true, 0]}", 2, NULL, "expected a whole number");
    check_mask("{\"tokens\": [1, 2], \"loss_mask\": [1, 1, 1]}", 2, NULL, "as many entries");
}

/* A key whose value is null counts as absent. */
Test(request, keys_of_null_are_absent) {
    static const char *const lines[] = {"{\"tokens\": [2, 3], \"messages\": null}",
                                        "{\"tokens\": [2, 3], \"prompt\": null}"};
    for (int i = 0; i < 2; i++) {
        json_t *o = parsed(lines[i]);
        ae_ids ids = {0};
        cr_assert_eq(ae_request_prompt(o, &no_text, "F:1", &ids), AE_OK, "%s", ae_error_message());
        cr_assert_eq(ids.ids[ids.n - 1], 3);
        ae_ids_free(&ids);
        json_decref(o);
    }
    json_t *o = parsed("{\"messages\": [], \"tokens\": null, \"prompt\": null}");
    ae_ids ids = {0};
    expect_message(ae_request_prompt(o, &no_text, "F:1", &ids), "messages: the model has no tokenizer");
    ae_ids_free(&ids);
    json_decref(o);
}
