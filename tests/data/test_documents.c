#include "data/documents.h"
#include "data/utf8.h"
#include "tests/data/text.h"

TestSuite(documents, .init = scratch_make, .fini = scratch_remove);

/* All documents put together again from their pieces. */
typedef struct {
    text_buffer text[64];
    int64_t n;
    ae_documents_count count;
} collected;

static void collect_block(collected *c, const ae_block *b) {
    for (size_t i = 0; i < b->n_pieces; i++) {
        const ae_piece *p = &b->pieces[i];
        cr_assert_eq(p->document, c->n);
        text_buffer *t = &c->text[c->n];
        cr_assert_eq(p->begins, p->at == 0);
        cr_assert_eq((size_t)p->at, t->n);
        cr_assert_leq(p->n, AE_BLOCK_BYTES);
        text_add(t, b->text + p->offset, p->n);
        c->n += p->ends;
    }
}

static ae_status collect(collected *c, const ae_documents_options *o) {
    ae_documents *d = NULL;
    ae_block block = {0};
    *c = (collected){.n = 0};
    ae_status st = ae_documents_open(&d, o);
    do {
        if (st == AE_OK) st = ae_documents_next(d, &block);
        if (st == AE_OK) collect_block(c, &block);
    } while (st == AE_OK && block.n_pieces);
    if (d) c->count = ae_documents_counted(d);
    ae_block_free(&block);
    ae_documents_close(d);
    return st;
}

static void collected_free(collected *c) {
    for (int i = 0; i < 64; i++) free(c->text[i].s);
}

static void expect(const ae_documents_options *o, const char *const *texts, int64_t n) {
    static collected c;
    cr_assert_eq(collect(&c, o), AE_OK, "%s", ae_error_message());
    cr_assert_eq(c.n, n, "%ld documents", (long)c.n);
    int64_t bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        cr_assert_eq(c.text[i].n, strlen(texts[i]), "document %ld is '%s'", (long)i, c.text[i].s);
        cr_assert_arr_eq(c.text[i].s, texts[i], c.text[i].n);
        bytes += (int64_t)c.text[i].n;
    }
    cr_assert_eq(c.count.documents, n);
    cr_assert_eq(c.count.text_bytes, bytes);
    collected_free(&c);
}

static void expect_text(const char *text, const char *split_on, const char *const *texts, int64_t n) {
    const char *path = scratch_write("in.txt", text, strlen(text));
    expect(&(ae_documents_options){.inputs = &path, .n_inputs = 1, .split_on = split_on}, texts, n);
}

static void expect_jsonl(const char *text, const char *const *texts, int64_t n) {
    const char *path = scratch_write("in.jsonl", text, strlen(text));
    expect(&(ae_documents_options){.inputs = &path, .n_inputs = 1}, texts, n);
    path = write_gz("in.jsonl.gz", text, strlen(text));
    expect(&(ae_documents_options){.inputs = &path, .n_inputs = 1}, texts, n);
}

Test(documents, a_text_file_is_one) {
    expect_text("one\ntwo \xC3\xA9\n", NULL, (const char *[]){"one\ntwo \xC3\xA9\n"}, 1);
    expect_text("x", NULL, (const char *[]){"x"}, 1);
    expect_text(" \n", NULL, NULL, 0);
}

Test(documents, split_marks_part_them) {
    expect_text("a\n---\nb\n---\n\n---\nc", "\n---\n", (const char *[]){"a", "b", "c"}, 3);
    expect_text("a|b||c|", "|", (const char *[]){"a", "b", "c"}, 3);
    expect_text("no mark", "|", (const char *[]){"no mark"}, 1);
}

Test(documents, json_lines_hold_one_each) {
    expect_jsonl("{\"text\": \"a\\nb\"}\n\n{\"id\": 1, \"text\": \"\\u00e9\"}\r\n{\"text\": \"  "
                 "\"}\n{\"text\": \"last\"}",
                 (const char *[]){"a\nb", "\xC3\xA9", "last"}, 3);
}

Test(documents, files_follow_each_other) {
    const char *text = "{\"body\": \"one\"}\n";
    const char *inputs[] = {scratch_write("a.txt", "first", 5), scratch_write("b.jsonl", text, strlen(text)),
                            write_gz("c.txt.gz", "third", 5)};
    expect(&(ae_documents_options){.inputs = inputs, .n_inputs = 3, .text_key = "body"},
           (const char *[]){"first", "one", "third"}, 3);
}

static text_buffer long_text(int kind) {
    text_buffer t = {0};
    ae_rng rng = ae_rng_make(5, (uint64_t)kind);
    while (t.n < 5 * AE_BLOCK_BYTES) {
        text_add_word(&t, &rng);
        if (kind == 0) text_add(&t, ae_rng_below(&rng, 9) ? " " : "\n", 1);
        if (kind == 1) text_add(&t, " ", 1);
        if (kind == 2) text_add(&t, "\xE2\x82\xAC", 3);
    }
    return t;
}

/* With lines, with words only, and with neither: pieces join to the whole and are cut at the best place there is. */
Test(documents, big_ones_come_in_pieces) {
    for (int kind = 0; kind < 3; kind++) {
        text_buffer t = long_text(kind);
        const char *path = scratch_write("big.txt", t.s, t.n);
        ae_documents *d = NULL;
        ae_block block = {0};
        cr_assert_eq(ae_documents_open(&d, &(ae_documents_options){.inputs = &path, .n_inputs = 1}), AE_OK);
        size_t at = 0;
        for (;;) {
            cr_assert_eq(ae_documents_next(d, &block), AE_OK, "%s", ae_error_message());
            if (!block.n_pieces) break;
            for (size_t i = 0; i < block.n_pieces; i++) {
                cr_assert_arr_eq(block.text + block.pieces[i].offset, t.s + at, block.pieces[i].n);
                at += block.pieces[i].n;
                if (at < t.n && kind == 0) cr_assert(t.s[at - 1] == '\n' && t.s[at] != '\n');
                if (at < t.n && kind == 1) cr_assert(t.s[at - 1] != ' ' && t.s[at] == ' ');
                if (at < t.n && kind == 2) cr_assert_eq(ae_utf8_prefix(t.s + at, t.n - at), t.n - at);
            }
        }
        cr_assert_eq(at, t.n);
        ae_block_free(&block);
        ae_documents_close(d);
        free(t.s);
    }
}

/* Marks at every distance from the end of what is read at once. */
Test(documents, marks_at_block_ends_are_found) {
    static char text[AE_BLOCK_BYTES + 64];
    for (size_t at = AE_BLOCK_BYTES - 12; at < AE_BLOCK_BYTES + 12; at++) {
        memset(text, 'x', sizeof text);
        for (size_t i = 0; i < sizeof text; i += 50) text[i] = '\n';
        memcpy(text + at, "<EOD>", 5);
        const char *path = scratch_write("in.txt", text, sizeof text);
        static collected c;
        cr_assert_eq(
            collect(&c, &(ae_documents_options){.inputs = &path, .n_inputs = 1, .split_on = "<EOD>"}), AE_OK);
        cr_assert_eq(c.n, 2);
        cr_assert_eq(c.text[0].n, at);
        cr_assert_eq(c.text[1].n, sizeof text - at - 5);
        collected_free(&c);
    }
}

static void refuse(const char *name, const char *bytes, size_t n, const char *message) {
    static collected c;
    const char *path = scratch_write(name, bytes, n);
    cr_assert_eq(collect(&c, &(ae_documents_options){.inputs = &path, .n_inputs = 1}), AE_ERR_INPUT);
    cr_assert_message(message);
    collected_free(&c);
}

Test(documents, malformed_input_is_named) {
    refuse("e.txt", "", 0, "e.txt: expected text, found an empty file");
    refuse("e.jsonl", "", 0, "e.jsonl: expected JSON lines, found an empty file");
    refuse("u.txt", "fine\nnot \xFFine\n", 15, "u.txt:2: expected UTF-8 text, found byte 0xFF at offset 9");
    refuse("t.txt", "cut \xE2\x82", 6, "t.txt:1: expected UTF-8 text, found byte 0xE2 at offset 4");
    refuse("b.jsonl", "{\"text\": \"a\"}\n{\"text\": \n", 24, "b.jsonl:2: expected JSON");
    refuse("f.jsonl", "{\"text\": \"a\"}\n\n{\"txt\": \"a\"}\n", 29,
           "f.jsonl:3: expected an object with text in the field 'text'");
    refuse("n.jsonl", "{\"text\": 7}\n", 12, "n.jsonl:1: expected an object with text in the field 'text'");
    refuse("l.jsonl", "[1]\n", 4, "l.jsonl: expected an object a line, found a JSON list");
    refuse("u.jsonl", "{\"text\": \"\xFF\"}\n", 14, "u.jsonl:1: expected JSON");
    text_buffer t = long_text(0);
    t.s[3 * AE_BLOCK_BYTES] = '\xFE';
    char expected[128];
    long line = 1;
    for (size_t i = 0; i < 3 * AE_BLOCK_BYTES; i++) line += t.s[i] == '\n';
    snprintf(expected, sizeof expected, "big.txt:%ld: expected UTF-8 text, found byte 0xFE at offset %d",
             line, 3 * AE_BLOCK_BYTES);
    refuse("big.txt", t.s, t.n, expected);
    memset(t.s, 0x80, t.n);
    refuse("bad.txt", t.s, t.n, "bad.txt:1: expected UTF-8 text, found byte 0x80 at offset 0");
    free(t.s);
}

/* What is left of a file when bad lines are left out, and what is told of them. */
static void expect_skipped(const char *name, const char *bytes, size_t n, const char *const *texts,
                           int64_t n_texts, int64_t bad_lines, const char *first) {
    static collected c;
    ae_bad_lines bad = {0};
    const char *path = scratch_write(name, bytes, n);
    const ae_documents_options o = {.inputs = &path, .n_inputs = 1, .skip_bad = true, .bad = &bad};
    expect(&o, texts, n_texts);
    ae_bad_lines_free(&bad);
    cr_assert_eq(collect(&c, &o), AE_OK, "%s", ae_error_message());
    collected_free(&c);
    cr_assert_eq(bad.n, bad_lines);
    cr_assert(strstr(bad.first[0], first), "%s", bad.first[0]);
    cr_assert_eq(bad.first[1] != NULL, bad_lines > 1);
    ae_bad_lines_free(&bad);
}

Test(documents, bad_lines_are_left_out_when_asked) {
    static const char lines[] =
        "{\"text\": \"one\"}\n{\"text\": \"tw\n\n{\"text\": 3}\n{\"text\": \"four\"}\nnothing\n";
    static const char text[] = "first\nnot \xFF\nthird\n\xFE";
    expect_skipped("s.jsonl", lines, sizeof lines - 1, (const char *const[]){"one", "four"}, 2, 3,
                   "s.jsonl:2: expected JSON");
    expect_skipped("s.txt", text, sizeof text - 1, (const char *const[]){"first\nthird\n"}, 1, 2,
                   "s.txt:2: expected UTF-8 text, found byte 0xFF at offset 10");
}

Test(documents, only_the_first_bad_lines_are_told) {
    char lines[2048] = "";
    for (int i = 0; i < 40; i++) strcat(lines, i % 2 ? "{\"text\": \"a\"}\n" : "bad\n");
    const char *path = scratch_write("many.jsonl", lines, strlen(lines));
    ae_bad_lines bad = {0};
    static collected c;
    cr_assert_eq(
        collect(&c, &(ae_documents_options){.inputs = &path, .n_inputs = 1, .skip_bad = true, .bad = &bad}),
        AE_OK);
    collected_free(&c);
    cr_assert_eq(bad.n, 20);
    cr_assert(strstr(bad.first[9], "many.jsonl:19: "));
    ae_bad_lines_free(&bad);
}

/* JSON lines under the names that people give them, and under none. */
Test(documents, json_lines_are_known_by_their_names) {
    static const char line[] = "{\"text\": \"one\"}\n";
    static const char *const names[] = {"a.jsonl", "a.JSONL",    "a.ndjson",
                                        "a.json",  "b.jsonl.gz", "b.json.GZ"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = i < 4 ? scratch_write(names[i], line, sizeof line - 1)
                                 : write_gz(names[i], line, sizeof line - 1);
        expect(&(ae_documents_options){.inputs = &path, .n_inputs = 1}, (const char *const[]){"one"}, 1);
    }
    refuse("a.txt", line, sizeof line - 1,
           "a.txt: expected text, found JSON lines with the field 'text'; give --format jsonl");
    refuse("list.json", "[\n{\"text\": \"one\"}\n]\n", 21,
           "list.json: expected an object a line, found a JSON list");
    const char *path = scratch_write("a.txt", line, sizeof line - 1);
    expect(&(ae_documents_options){.inputs = &path, .n_inputs = 1, .format = AE_FORMAT_JSONL},
           (const char *const[]){"one"}, 1);
    expect(&(ae_documents_options){.inputs = &path, .n_inputs = 1, .format = AE_FORMAT_TEXT},
           (const char *const[]){line}, 1);
    path = scratch_write("c.txt", "{braces} and text\n", 18);
    expect(&(ae_documents_options){.inputs = &path, .n_inputs = 1},
           (const char *const[]){"{braces} and text\n"}, 1);
}

/* Under a name that tells nothing the first line decides, whatever stands before it and however long it is. */
Test(documents, json_lines_of_another_name_are_known_by_their_first_line) {
    static const char *const early[] = {"\n{\"text\": \"one\"}\n", " \t{\"text\": \"one\"}\n",
                                        "\r\n\n {\"text\": \"one\"}"};
    for (size_t i = 0; i < sizeof early / sizeof *early; i++)
        refuse("a.txt", early[i], strlen(early[i]), "a.txt: expected text, found JSON lines");
    text_buffer t = {0};
    text_add(&t, "\n {\"id\": \"", 10);
    while (t.n < 3 * AE_BLOCK_BYTES) text_add(&t, "long ", 5);
    const size_t n_cut = t.n;
    text_add(&t, "\", \"text\": \"one\"}\n", 18);
    refuse("long.txt", t.s, t.n, "long.txt: expected text, found JSON lines");
    const char *path = scratch_write("cut.txt", t.s, n_cut);
    t.s[n_cut] = '\0';
    expect(&(ae_documents_options){.inputs = &path, .n_inputs = 1}, (const char *const[]){t.s}, 1);
    free(t.s);
}

Test(documents, a_list_is_known_after_white_space) {
    static const char list[] = "\n  [\n{\"text\": \"one\"}\n]\n";
    refuse("list.json", list, sizeof list - 1, "list.json: expected an object a line, found a JSON list");
}

Test(documents, a_byte_order_mark_is_no_text) {
    const char *path = scratch_write("m.txt", "\xef\xbb\xbfone \xef\xbb\xbf two", 14);
    expect(&(ae_documents_options){.inputs = &path, .n_inputs = 1},
           (const char *const[]){"one \xef\xbb\xbf two"}, 1);
    path = scratch_write("m.jsonl", "\xef\xbb\xbf{\"text\": \"one\"}\r\n", 20);
    expect(&(ae_documents_options){.inputs = &path, .n_inputs = 1}, (const char *const[]){"one"}, 1);
    path = write_gz("m.gz", "\xef\xbb\xbfone", 6);
    expect(&(ae_documents_options){.inputs = &path, .n_inputs = 1}, (const char *const[]){"one"}, 1);
    refuse("w.txt", "\xff\xfeo\0n\0", 6, "w.txt: expected text, found text in UTF-16; convert it");
    refuse("z.jsonl", "\x28\xb5\x2f\xfd    ", 8, "z.jsonl: expected text, found a file compressed with zstd");
}

Test(documents, missing_and_cut_files_are_named) {
    static collected c;
    const char *path = scratch_path("none.txt"), *dash = "-";
    cr_assert_eq(collect(&c, &(ae_documents_options){.inputs = &path, .n_inputs = 1}), AE_ERR_INPUT);
    cr_assert_message("none.txt: expected a file");
    cr_assert_eq(collect(&c, &(ae_documents_options){.inputs = &dash, .n_inputs = 1}), AE_ERR_USAGE);
    text_buffer t = text_make(1, 400);
    path = write_gz("whole.gz", t.s, t.n);
    char *bytes = NULL;
    size_t n = 0;
    cr_assert_eq(ae_file_read(path, &bytes, &n), AE_OK);
    refuse("cut.gz", bytes, n - 20, "cut.gz: expected a whole gzip file");
    free(bytes);
    free(t.s);
}

Test(documents, a_sample_is_whole_lines_from_everywhere) {
    text_buffer t = text_make(2, 3000);
    const char *path = scratch_write("in.txt", t.s, t.n);
    const ae_documents_options o = {.inputs = &path, .n_inputs = 1};
    char *all = NULL, *some = NULL, *again = NULL;
    size_t n_all = 0, n = 0, m = 0;
    cr_assert_eq(ae_documents_sample(&o, INT64_MAX, 1, &all, &n_all), AE_OK);
    cr_assert_eq(n_all, t.n + 1);
    cr_assert_arr_eq(all, t.s, t.n);
    cr_assert_eq(ae_documents_sample(&o, (int64_t)t.n / 10, 1, &some, &n), AE_OK);
    cr_assert(n > t.n / 20 && n <= t.n / 10 + 1, "%zu of %zu", n, t.n);
    cr_assert_eq(ae_documents_sample(&o, (int64_t)t.n / 10, 1, &again, &m), AE_OK);
    cr_assert(m == n && memcmp(some, again, n) == 0);
    size_t from_second_half = 0;
    for (size_t at = 0; at + 1 < n;) {
        const char *end = memchr(some + at, '\n', n - at);
        cr_assert_not_null(end);
        const size_t length = (size_t)(end - some) + 1 - at;
        const char *found = memmem(t.s, t.n, some + at, length);
        cr_assert_not_null(found);
        from_second_half += found - t.s > (ptrdiff_t)t.n / 2;
        at += length;
    }
    cr_assert_gt(from_second_half, 20);
    free(t.s);
    free(all);
    free(some);
    free(again);
}
