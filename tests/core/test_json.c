#include "core/json.h"
#include "tests/core/scratch.h"

#include <math.h>

static json_t *parse(const char *text) {
    json_t *v = NULL;
    cr_assert_eq(ae_json_parse(&v, text, strlen(text), "line 3"), AE_OK, "%s", ae_error_message());
    return v;
}

static void assert_refused(const char *text, size_t n, const char *part) {
    json_t *v = NULL;
    cr_assert_eq(ae_json_parse(&v, text, n, "f.jsonl:3"), AE_ERR_INPUT, "%.*s", (int)n, text);
    cr_assert_null(v);
    cr_assert_message("f.jsonl:3: expected JSON");
    cr_assert_message(part);
}

Test(json, any_value_is_read) {
    json_t *v = parse(" [1, 2.5, null, \"\\u00e4\"] ");
    cr_assert_eq(json_array_size(v), 4);
    json_decref(v);
    v = parse("3");
    cr_assert(json_is_integer(v));
    json_decref(v);
}

Test(json, malformed_text_is_refused) {
    assert_refused("", 0, "");
    assert_refused("{\"a\": }", 7, "column 7");
    assert_refused("{} x", 4, "");
    assert_refused("{\"a\": NaN}", 10, "");
    assert_refused("\"\xff\xfe\"", 4, "UTF-8");
    assert_refused("\"\xc0\x80\"", 4, "UTF-8");     /* overlong */
    assert_refused("\"\xed\xa0\x80\"", 5, "UTF-8"); /* a surrogate */
    assert_refused("\"\\ud800\"", 8, "");
}

Test(json, numbers_by_key) {
    json_t *o = parse("{\"n\": 5, \"x\": 2.5, \"s\": \"t\", \"z\": null}");
    int64_t n = -1;
    double x = -1;
    cr_assert_eq(ae_json_int(o, "n", "w", &n), AE_OK);
    cr_assert_eq(n, 5);
    cr_assert_eq(ae_json_real(o, "n", "w", &x), AE_OK);
    cr_assert_float_eq(x, 5, 0);
    cr_assert_eq(ae_json_real(o, "x", "w", &x), AE_OK);
    cr_assert_float_eq(x, 2.5, 0);
    cr_assert_eq(ae_json_opt_int(o, "none", "w", &n), AE_OK);
    cr_assert_eq(ae_json_opt_int(o, "z", "w", &n), AE_OK);
    cr_assert_eq(ae_json_opt_real(o, "z", "w", &x), AE_OK);
    cr_assert_eq(n, 5);
    cr_assert_float_eq(x, 2.5, 0);
    json_decref(o);
}

Test(json, wrong_types_are_named) {
    json_t *o = parse("{\"x\": 2.5, \"s\": \"t\"}");
    int64_t n = -1;
    double x = -1;
    cr_assert_eq(ae_json_int(o, "x", "cfg.json", &n), AE_ERR_INPUT);
    cr_assert_str_eq(ae_error_message(), "cfg.json: x: expected a whole number, found a number");
    cr_assert_eq(ae_json_real(o, "s", "cfg.json", &x), AE_ERR_INPUT);
    cr_assert_message("found text");
    cr_assert_eq(ae_json_opt_int(o, "s", "cfg.json", &n), AE_ERR_INPUT);
    cr_assert_eq(ae_json_int(o, "gone", "cfg.json", &n), AE_ERR_INPUT);
    cr_assert_message("gone: expected a whole number, found no such key");
    cr_assert_eq(n, -1);
    json_decref(o);
}

Test(json, whole_files_hold_an_object, .init = scratch_make, .fini = scratch_remove) {
    json_t *v = NULL;
    cr_assert_eq(ae_json_load(&v, scratch_write("a.json", "{\"a\": 1}", 8)), AE_OK);
    json_decref(v);
    cr_assert_eq(ae_json_load(&v, scratch_write("b.json", "[1]", 3)), AE_ERR_INPUT);
    cr_assert_null(v);
    cr_assert_message("expected a JSON object, found a list");
    cr_assert_eq(ae_json_load(&v, scratch_write("c.json", "{\n\"a\": [1,\n", 11)), AE_ERR_INPUT);
    cr_assert_message("c.json: expected JSON, found an error at line 3");
    cr_assert_eq(ae_json_load(&v, scratch_path("none.json")), AE_ERR_INPUT);
    const char twice[] = "{\"a\": {\"b\": 1, \"b\": 1}}";
    cr_assert_eq(ae_json_load(&v, scratch_write("d.json", twice, sizeof twice - 1)), AE_ERR_INPUT);
    cr_assert_message(
        "d.json: expected JSON, found an error at column 18: duplicate object key near '\"b\"'");
}

Test(json, lines_are_compact_with_nine_digits, .init = scratch_make, .fini = scratch_remove) {
    const char *path = scratch_path("out.jsonl");
    FILE *f = fopen(path, "w");
    json_t *o = json_pack("{s:o, s:o, s:i}", "loss", ae_json_number(1.0 / 3), "bad",
                          ae_json_number((double)NAN), "step", 2);
    cr_assert_eq(ae_json_write_line(o, f, path), AE_OK);
    fclose(f);
    json_decref(o);
    char *text = NULL;
    size_t n = 0;
    cr_assert_eq(ae_file_read(path, &text, &n), AE_OK);
    cr_assert_str_eq(text, "{\"loss\":0.333333333,\"bad\":null,\"step\":2}\n");
    free(text);
}

Test(json, full_disk_is_told) {
    FILE *f = fopen("/dev/full", "w");
    cr_assert_not_null(f);
    setvbuf(f, NULL, _IONBF, 0);
    json_t *o = json_object();
    cr_assert_eq(ae_json_write_line(o, f, "metrics.jsonl"), AE_ERR_RESOURCE);
    cr_assert_message("metrics.jsonl: no space left on the disk");
    json_decref(o);
    fclose(f);
}

Test(json, numbers_take_no_more_digits_than_they_need) {
    json_t *o = json_pack("{s:f}", "eps", 1e-6);
    char *text = ae_json_text(o);
    cr_assert_str_eq(text, "{\n  \"eps\": 1e-6\n}");
    free(text);
    json_object_set_new(o, "eps", json_real(0.1 + 0.2));
    text = ae_json_text(o);
    json_t *back = json_loads(text, 0, NULL);
    cr_assert(json_equal(back, o), "%s", text);
    free(text);
    json_decref(back);
    json_decref(o);
}

Test(json, python_writes_numbers_that_json_has_not) {
    static const char text[] = "{\"a\":[NaN,-Infinity, Infinity,1],\"NaN\":\"NaN \\\" NaN\",\"b\":NaN}";
    json_t *o = NULL;
    cr_assert_eq(ae_json_parse(&o, text, strlen(text), "f"), AE_ERR_INPUT, "strict everywhere else");
    cr_assert_eq(ae_json_parse_python(&o, text, strlen(text), "f"), AE_OK);
    json_t *wanted = json_pack("{s:[n,n,n,i], s:s, s:n}", "a", 1, "NaN", "NaN \" NaN", "b");
    cr_assert(json_equal(o, wanted));
    json_decref(wanted);
    json_decref(o);
    cr_assert_eq(ae_json_parse_python(&o, "[NaNa]", 6, "f"), AE_ERR_INPUT);
    cr_assert_eq(ae_json_parse_python(&o, "\"a\\", 3, "f"), AE_ERR_INPUT);
}

Test(json, labels_are_text_whatever_the_bytes) {
    json_t *plain = ae_json_label("caf\xc3\xa9/run"), *odd = ae_json_label("caf\xe9/run");
    cr_assert_str_eq(json_string_value(plain), "caf\xc3\xa9/run");
    cr_assert_str_eq(json_string_value(odd), "caf?/run");
    json_decref(plain);
    json_decref(odd);
}

/* ---- files that grow ---- */

static ae_status keep_line(void *context, json_t *line, const char *where) {
    const char *colon = strrchr(where, ':');
    json_array_append_new(context, json_pack("[s, O]", colon ? colon : "", line));
    return AE_OK;
}

static json_t *lines_of(const char *text, size_t n, size_t *bytes) {
    json_t *seen = json_array();
    const char *path = scratch_write("lines.jsonl", text, n);
    cr_assert_eq(ae_json_whole_lines(path, keep_line, seen, bytes), AE_OK, "%s", ae_error_message());
    return seen;
}

Test(json, whole_lines_are_read_and_a_cut_one_is_not, .init = scratch_make, .fini = scratch_remove) {
    static const char text[] = "{\"a\": 1}\n[\"\\u0000\"]\n{\"a\": ";
    size_t bytes = 99;
    json_t *seen = lines_of(text, sizeof text - 1, &bytes);
    cr_assert_eq(bytes, 20);
    cr_assert_eq(json_array_size(seen), 2);
    cr_assert_str_eq(json_string_value(json_array_get(json_array_get(seen, 1), 0)), ":2");
    json_decref(seen);
    seen = lines_of("{\"a\"", 4, &bytes);
    cr_assert_eq(bytes, 0);
    cr_assert_eq(json_array_size(seen), 0);
    cr_assert_eq(ae_json_whole_lines(scratch_path("none.jsonl"), keep_line, seen, &bytes), AE_OK);
    cr_assert_eq(bytes, 0);
    json_decref(seen);
}

Test(json, a_broken_line_is_told_by_its_number, .init = scratch_make, .fini = scratch_remove) {
    json_t *seen = json_array();
    size_t bytes;
    const char *path = scratch_write("lines.jsonl", "1\n\n3\n", 5);
    cr_assert_eq(ae_json_whole_lines(path, keep_line, seen, &bytes), AE_ERR_INPUT);
    cr_assert_message("lines.jsonl:2: expected JSON");
    cr_assert_eq(json_array_size(seen), 1);
    json_decref(seen);
}
