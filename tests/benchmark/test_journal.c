#include "benchmark/journal.h"
#include "tests/core/scratch.h"

static ae_status keep_line(void *context, const json_t *line, const char *where) {
    (void)where;
    return json_array_append_new(context, json_deep_copy(line)) == 0 ? AE_OK : AE_ERR_RESOURCE;
}

static ae_status refuse_line(void *context, const json_t *line, const char *where) {
    (void)context;
    (void)line;
    return AE_FAIL(AE_ERR_INPUT, "%s: no", where);
}

static json_t *settings_of(const char *probe, const char *dtype, int limit) {
    return json_pack("{s:s, s:s, s:i}", "probe", probe, "dtype", dtype, "limit", limit);
}

static ae_status open_with(ae_journal **j, const char *probe, const char *dtype, int limit, json_t *seen) {
    json_t *settings = settings_of(probe, dtype, limit);
    const ae_status st = ae_journal_open(j, scratch_path("result"), settings, keep_line, seen);
    json_decref(settings);
    return st;
}

static ae_journal *open_journal(json_t *seen) {
    ae_journal *j = NULL;
    cr_assert_eq(open_with(&j, "p1", "f32", 3, seen), AE_OK, "%s", ae_error_message());
    return j;
}

static void add(ae_journal *j, int i) {
    cr_assert_eq(ae_journal_add(j, json_pack("{s:i, s:f}", "i", i, "x", 0.1 + i)), AE_OK);
}

/* What a file of two lines has behind it; lines that a new opening finds. */
static json_t *lines_after(const char *behind, size_t n) {
    json_t *seen = json_array();
    ae_journal *j = open_journal(seen);
    for (int i = 0; i < 2; i++) add(j, i);
    cr_assert_eq(ae_journal_sync(j), AE_OK);
    ae_journal_close(j);
    FILE *f = fopen(scratch_path("result/requests.jsonl"), "ab");
    cr_assert_not_null(f);
    cr_assert_eq(fwrite(behind, 1, n, f), n);
    fclose(f);
    json_array_clear(seen);
    j = open_journal(seen);
    add(j, 7);
    cr_assert_eq(ae_journal_sync(j), AE_OK);
    ae_journal_close(j);
    json_array_clear(seen);
    ae_journal_close(open_journal(seen));
    return seen;
}

TestSuite(journal, .init = scratch_make, .fini = scratch_remove);

Test(journal, lines_come_back_in_order_and_to_the_bit) {
    json_t *seen = lines_after("", 0);
    cr_assert_eq(json_array_size(seen), 3);
    for (size_t i = 0; i < 3; i++) {
        const double wanted = 0.1 + (i < 2 ? (double)i : 7.0);
        cr_assert_eq(json_real_value(json_object_get(json_array_get(seen, i), "x")), wanted);
    }
    json_decref(seen);
}

Test(journal, a_line_that_a_kill_cut_off_is_dropped) {
    json_t *seen = lines_after("{\"i\": 2, \"x\": 2.", 16);
    cr_assert_eq(json_array_size(seen), 3);
    cr_assert_eq(json_integer_value(json_object_get(json_array_get(seen, 2), "i")), 7);
    json_decref(seen);
}

Test(journal, a_file_cut_in_its_first_line_begins_anew) {
    cr_assert_eq(ae_folder_make(scratch_path("result")), AE_OK);
    scratch_write("result/requests.jsonl", "{\"probe\": \"p", 12);
    json_t *seen = lines_after("", 0);
    cr_assert_eq(json_array_size(seen), 3);
    json_decref(seen);
}

Test(journal, other_settings_are_refused_by_name) {
    json_t *seen = json_array();
    ae_journal *j = NULL;
    ae_journal_close(open_journal(seen));
    cr_assert_eq(open_with(&j, "p1", "f32", 4, seen), AE_ERR_USAGE);
    cr_assert_null(j);
    cr_assert_message("limit: expected 4, found 3");
    cr_assert_eq(open_with(&j, "p2", "f32", 3, seen), AE_ERR_USAGE);
    cr_assert_message("of another model");
    cr_assert_eq(open_with(&j, "p2", "bf16", 3, seen), AE_ERR_USAGE);
    cr_assert_message("dtype: expected \"bf16\", found \"f32\"");
    cr_assert_eq(json_array_size(seen), 0);
    json_decref(seen);
}

Test(journal, a_refused_line_ends_the_opening) {
    json_t *seen = lines_after("", 0), *settings = settings_of("p1", "f32", 3);
    ae_journal *j = NULL;
    cr_assert_eq(ae_journal_open(&j, scratch_path("result"), settings, refuse_line, NULL), AE_ERR_INPUT);
    cr_assert_null(j);
    cr_assert_message("requests.jsonl:2: no");
    json_decref(settings);
    json_decref(seen);
}

Test(journal, a_full_group_is_written_by_itself) {
    json_t *seen = json_array();
    ae_journal *j = open_journal(seen);
    char *bytes;
    size_t n, lines = 0;
    for (int i = 0; i < AE_JOURNAL_GROUP; i++) add(j, i);
    cr_assert_eq(ae_file_read(scratch_path("result/requests.jsonl"), &bytes, &n), AE_OK);
    for (size_t i = 0; i < n; i++) lines += bytes[i] == '\n';
    cr_assert_eq(lines, 1 + AE_JOURNAL_GROUP);
    free(bytes);
    ae_journal_close(j);
    json_decref(seen);
}
