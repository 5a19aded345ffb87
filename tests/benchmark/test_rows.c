#include "benchmark/rows.h"
#include "core/json.h"
#include "tests/core/scratch.h"

#include <zlib.h>

TestSuite(rows, .init = scratch_make, .fini = scratch_remove);

static void assert_rows(const char *name, const char *text, ae_rows_spec spec, const char *expected) {
    ae_rows rows = {0};
    const char *path = scratch_write(name, text, strlen(text));
    cr_assert_eq(ae_rows_read(&rows, path, &spec), AE_OK, "%s", ae_error_message());
    char *dump = json_dumps(rows.list, JSON_COMPACT);
    cr_assert_str_eq(dump, expected, "found %s", dump);
    free(dump);
    ae_rows_free(&rows);
}

static void assert_refused(const char *name, const char *text, ae_rows_spec spec, const char *part) {
    ae_rows rows = {0};
    const char *path = scratch_write(name, text, strlen(text));
    cr_assert_eq(ae_rows_read(&rows, path, &spec), AE_ERR_INPUT, "%s", text);
    cr_assert_message(name);
    cr_assert_message(part);
    ae_rows_free(&rows);
}

static ae_rows_spec plain(void) {
    return (ae_rows_spec){.form = AE_ROWS_AUTO};
}

Test(rows, json_lines) {
    assert_rows("a.jsonl", "{\"a\": 1}\n\n{\"a\": 2}", plain(), "[{\"a\":1},{\"a\":2}]");
    assert_rows("a.json", "{\"a\": 1}\r\n{\"a\": 2}\r\n", plain(), "[{\"a\":1},{\"a\":2}]");
    assert_refused("b.jsonl", "{\"a\": 1}\n{\"a\": }\n", plain(), "b.jsonl:2: expected JSON");
    assert_refused("b.jsonl", "{\"a\": 1}\n[1]\n", plain(), "b.jsonl:2: expected an object, found a list");
}

Test(rows, json_lists) {
    assert_rows("a.json", " [{\"a\": 1},\n {\"a\": 2}]", plain(), "[{\"a\":1},{\"a\":2}]");
    assert_rows("a.json", "{\"d\": {\"rows\": [{\"a\": 1}]}}", (ae_rows_spec){.key = "d.rows"},
                "[{\"a\":1}]");
    assert_rows("a.json", "{\n\"a\": 1}", (ae_rows_spec){.form = AE_ROWS_OBJECT}, "[{\"a\":1}]");
    assert_refused("b.json", "{\"d\": []}", (ae_rows_spec){.key = "d.rows"},
                   "expected the list of rows under d.rows");
    assert_refused("b.json", "{\"rows\": 3}", (ae_rows_spec){.key = "rows"},
                   "expected a list of rows, found a whole");
    assert_refused("b.json", "[{}, 3]", plain(), "b.json: row 2: expected an object, found a whole number");
}

Test(rows, nested_objects_are_flattened) {
    json_t *names = json_pack("[s, s, s]", "group", "name", "prompt");
    const ae_rows_spec spec = {.flatten = names};
    assert_rows("a.json", "{\"g\": {\"n\": [\"p\", \"q\"]}, \"h\": {\"m\": [\"r\"]}}", spec,
                "[{\"group\":\"g\",\"name\":\"n\",\"prompt\":\"p\"},{\"group\":\"g\",\"name\":\"n\","
                "\"prompt\":\"q\"},"
                "{\"group\":\"h\",\"name\":\"m\",\"prompt\":\"r\"}]");
    assert_refused("b.json", "{\"g\": 3}", spec, "flatten: expected objects with a key for name");
    json_decref(names);
}

Test(rows, csv) {
    assert_rows("a.csv", "q,\"a b\"\r\n\"x, \"\"y\"\"\nz\",2\r\n\r\n,\n", plain(),
                "[{\"q\":\"x, \\\"y\\\"\\nz\",\"a b\":\"2\"},{\"q\":\"\",\"a b\":\"\"}]");
    assert_rows("a.tsv", "q\ta\n1,5\t\"2\"\nit's \"so\"\t3", plain(),
                "[{\"q\":\"1,5\",\"a\":\"2\"},{\"q\":\"it's \\\"so\\\"\",\"a\":\"3\"}]");
    json_t *columns = json_pack("[s, s]", "q", "a");
    assert_rows("a.csv", "x,y\n", (ae_rows_spec){.columns = columns}, "[{\"q\":\"x\",\"a\":\"y\"}]");
    json_decref(columns);
    assert_refused("b.csv", "q,a\n1,2\n\n1,2,3\n", plain(), "b.csv:4: expected 2 columns, found 3");
    assert_refused("b.csv", "q,a\n1,\"2\n3", plain(), "b.csv:2: expected the quote that closes a field");
    assert_refused("b.csv", "q,a\n\"1\"x,2\n", plain(),
                   "b.csv:2: expected a separator behind the closing quote");
    assert_refused("b.csv", "q,a\n\xff,2\n", plain(), "b.csv:2: column 1: expected text in UTF-8");
}

/* Line ends inside quotes count: the fault is in line 4. */
Test(rows, lines_are_counted_through_quotes) {
    assert_refused("b.csv", "q,a\n\"1\n2\",3\n4\n", plain(), "b.csv:4: expected 2 columns, found 1");
}

Test(rows, labels_beside) {
    const char *labels = scratch_write("labels.lst", "1\n0\n", 4);
    const ae_rows_spec spec = {.labels = labels, .label_field = "label"};
    assert_rows("a.jsonl", "{\"a\": 1}\n{\"a\": 2}\n", spec,
                "[{\"a\":1,\"label\":\"1\"},{\"a\":2,\"label\":\"0\"}]");
    ae_rows rows = {0};
    const char *path = scratch_write("c.jsonl", "{}\n", 3);
    cr_assert_eq(ae_rows_read(&rows, path, &spec), AE_ERR_INPUT);
    cr_assert_message("labels.lst: expected 1 lines");
    ae_rows_free(&rows);
}

static void write_gz(const char *path, const char *text, int times) {
    gzFile f = gzopen(path, "wb1");
    cr_assert_not_null(f);
    for (int i = 0; i < times; i++) cr_assert_gt(gzputs(f, text), 0);
    cr_assert_eq(gzclose(f), Z_OK);
}

Test(rows, gzip) {
    ae_rows rows = {0};
    const ae_rows_spec spec = {.form = AE_ROWS_AUTO};
    write_gz(scratch_path("a.csv.gz"), "q\nx\n", 1);
    write_gz(scratch_path("a.json.gz"), "[{\"q\": 1}]", 1);
    cr_assert_eq(ae_rows_read(&rows, scratch_path("a.csv.gz"), &spec), AE_OK);
    cr_assert_eq(ae_rows_read(&rows, scratch_path("a.json.gz"), &spec), AE_OK);
    cr_assert_eq(json_array_size(rows.list), 2);
    char where[8192];
    ae_rows_where(where, sizeof where, &rows, 0);
    cr_assert_not_null(strstr(where, "a.csv.gz:2"));
    ae_rows_where(where, sizeof where, &rows, 1);
    cr_assert_not_null(strstr(where, "a.json.gz: row 1"));
    ae_rows_free(&rows);
}

/* 100 MB in a hundred kilobytes of gzip. */
Test(rows, a_row_of_100_MB_is_refused) {
    static char block[1 << 20];
    const ae_rows_spec spec = {.form = AE_ROWS_AUTO};
    memset(block, 'x', sizeof block - 1);
    const char *names[] = {"a.jsonl", "a.csv"}, *starts[] = {"{}\n{\"a\": \"", "a\nb\n\""};
    for (int i = 0; i < 2; i++) {
        char name[32];
        ae_rows rows = {0};
        snprintf(name, sizeof name, "%s.gz", names[i]);
        gzFile f = gzopen(scratch_path(name), "wb1");
        cr_assert_gt(gzputs(f, starts[i]), 0);
        for (int k = 0; k < 100; k++) cr_assert_gt(gzputs(f, block), 0);
        gzclose(f);
        cr_assert_eq(ae_rows_read(&rows, scratch_path(name), &spec), AE_ERR_INPUT);
        cr_assert_message(i == 0 ? "a.jsonl.gz:2: expected a row of at most 16 MB, found 100 MB"
                                 : "a.csv.gz:3: expected a row of at most 16 MB, found more");
        ae_rows_free(&rows);
    }
}

/* Empty fields have no bytes, and yet cost memory. */
Test(rows, a_row_of_commas_is_refused) {
    static char commas[70000];
    memset(commas, ',', sizeof commas - 1);
    commas[0] = 'q';
    commas[1] = '\n';
    assert_refused("b.csv", commas, plain(), "b.csv:2: expected at most 65536 columns, found more");
}

Test(rows, json_over_several_lines_is_no_JSON_lines) {
    assert_refused(
        "b.jsonl", "{\n  \"a\": 1\n}\n", plain(),
        "b.jsonl:1: expected a JSON object on a line of its own, found one that does not end there");
    assert_refused("b.json", "{\"list\": [\n  1,\n  2]}\n", plain(),
                   "`form: object` or `form: json` reads that");
    assert_refused("b.jsonl", "[\n{\"a\": 1},\n", plain(), "b.jsonl:1: expected a JSON object on a line");
    assert_refused("b.jsonl", "{\"a\": 1}\n{\"a\": ", plain(),
                   "b.jsonl:2: expected a whole JSON object, found only its beginning");
}

Test(rows, parquet_is_refused_with_what_to_do) {
    assert_refused("a.parquet", "PAR1\x15\x04\x15\x10\x15\x14\x4c", (ae_rows_spec){.form = AE_ROWS_JSONL},
                   "Parquet");
    assert_refused("a.parquet", "PAR1\x15\x04\x15\x10\x15\x14\x4c", plain(), "write its rows as JSON lines");
    assert_refused("a.csv", "PAR1\x15\x04\x15\x10\x15\x14\x4c", plain(), "write its rows as JSON lines");
}

Test(rows, a_missing_file) {
    ae_rows rows = {0};
    cr_assert_eq(ae_rows_read(&rows, scratch_path("none.jsonl"), &(ae_rows_spec){.form = AE_ROWS_AUTO}),
                 AE_ERR_INPUT);
    cr_assert_message("none.jsonl: expected a file");
    ae_rows_free(&rows);
}
