#include "tests/core/scratch.h"

#include <fcntl.h>
#include <zlib.h>

TestSuite(reader, .init = scratch_make, .fini = scratch_remove);

static ae_reader *open_reader(const char *path) {
    ae_reader *r = NULL;
    cr_assert_eq(ae_reader_open(&r, path), AE_OK, "%s", ae_error_message());
    return r;
}

static const char *write_gz(const char *name, const void *bytes, size_t n) {
    const char *path = scratch_path(name);
    gzFile f = gzopen(path, "wb");
    cr_assert_eq(gzwrite(f, bytes, (unsigned)n), (int)n);
    cr_assert_eq(gzclose(f), Z_OK);
    return path;
}

static void expect_line(ae_reader *r, const void *text, size_t n) {
    char *line = NULL;
    size_t length = 0;
    cr_assert_eq(ae_reader_line(r, &line, &length), AE_OK, "%s", ae_error_message());
    cr_assert_not_null(line);
    cr_assert_eq(length, n, "%zu", length);
    cr_assert_arr_eq(line, text, n);
    cr_assert_eq(line[n], '\0');
}

static void expect_end(ae_reader *r) {
    char *line = (char *)r;
    size_t length = 1;
    cr_assert_eq(ae_reader_line(r, &line, &length), AE_OK);
    cr_assert_null(line);
    cr_assert_eq(length, 0);
}

static void check_odd_lines(const char *path) {
    ae_reader *r = open_reader(path);
    expect_line(r, "one", 3);
    expect_line(r, "", 0);
    expect_line(r, "two\rx", 5);
    cr_assert_eq(ae_reader_line_number(r), 3);
    expect_line(r, "a\0b", 3);
    expect_line(r, "last\r", 5);
    cr_assert_eq(ae_reader_line_number(r), 5);
    expect_end(r);
    expect_end(r);
    ae_reader_close(r);
}

Test(reader, lines_of_plain_and_gzip_files) {
    static const char text[] = "one\n\r\ntwo\rx\r\na\0b\nlast\r";
    check_odd_lines(scratch_write("plain", text, sizeof text - 1));
    check_odd_lines(write_gz("packed.gz", text, sizeof text - 1));
}

Test(reader, empty_files_have_no_lines) {
    ae_reader *r = open_reader(scratch_write("empty", "", 0));
    expect_end(r);
    ae_reader_close(r);
    r = open_reader(write_gz("empty.gz", "", 0));
    expect_end(r);
    ae_reader_close(r);
    ae_reader_close(NULL);
}

Test(reader, lines_of_any_length) {
    size_t n = 3000000;
    char *text = malloc(n);
    memset(text, 'x', n);
    const size_t ends[] = {5, 262143, 262144, 262145, 1000000, 1000001, 2999999};
    for (size_t i = 0; i < 7; i++) text[ends[i]] = '\n';
    ae_reader *r = open_reader(write_gz("long.gz", text, n));
    size_t begin = 0;
    for (size_t i = 0; i < 7; i++) {
        expect_line(r, text + begin, ends[i] - begin);
        begin = ends[i] + 1;
    }
    expect_end(r);
    ae_reader_close(r);
    free(text);
}

Test(reader, blocks_follow_lines) {
    size_t n = 700000;
    char *text = malloc(n), *got = malloc(n);
    for (size_t i = 0; i < n; i++) text[i] = (char)('a' + i % 23);
    text[10] = '\n';
    ae_reader *r = open_reader(scratch_write("blocks", text, n));
    expect_line(r, text, 10);
    cr_assert_eq(ae_reader_offset(r), 11);
    size_t have = 0, part = 0;
    do {
        cr_assert_eq(ae_reader_read(r, got + have, 300000 < n - have ? 300000 : n - have, &part), AE_OK);
        have += part;
    } while (part > 0);
    cr_assert_eq(have, n - 11);
    cr_assert_arr_eq(got, text + 11, have);
    cr_assert_eq(ae_reader_offset(r), (int64_t)n);
    ae_reader_close(r);
    free(text);
    free(got);
}

static ae_status read_to_end(const char *path) {
    ae_reader *r = open_reader(path);
    char *line = NULL;
    size_t n;
    ae_status st;
    do {
        st = ae_reader_line(r, &line, &n);
    } while (st == AE_OK && line != NULL);
    ae_reader_close(r);
    return st;
}

Test(reader, truncated_gzip_is_refused_wherever_it_is_cut) {
    char text[5000], *packed = NULL;
    size_t n = 0;
    for (size_t i = 0; i < sizeof text; i++) text[i] = i % 50 == 49 ? '\n' : (char)('a' + i * i % 26);
    cr_assert_eq(ae_file_read(write_gz("whole.gz", text, sizeof text), &packed, &n), AE_OK);
    const size_t cuts[] = {2, 5, 10, 11, n / 2, n - 9, n - 8, n - 4, n - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        const char *path = scratch_write("cut.gz", packed, cuts[i]);
        cr_assert_eq(read_to_end(path), AE_ERR_INPUT, "cut to %zu of %zu", cuts[i], n);
        cr_assert_message("cut.gz: expected a whole gzip file");
    }
    cr_assert_eq(read_to_end(scratch_write("cut.gz", packed, n)), AE_OK);
    packed[n / 2] = (char)(packed[n / 2] ^ 0x55);
    cr_assert_eq(read_to_end(scratch_write("bent.gz", packed, n)), AE_ERR_INPUT);
    cr_assert_message("bent.gz: expected a");
    free(packed);
}

Test(reader, joined_gzip_files_are_one) {
    char *a = NULL, *b = NULL, both[200];
    size_t n = 0, m = 0;
    cr_assert_eq(ae_file_read(write_gz("a.gz", "one\n", 4), &a, &n), AE_OK);
    cr_assert_eq(ae_file_read(write_gz("b.gz", "two\n", 4), &b, &m), AE_OK);
    memcpy(both, a, n);
    memcpy(both + n, b, m);
    ae_reader *r = open_reader(scratch_write("both.gz", both, n + m));
    expect_line(r, "one", 3);
    expect_line(r, "two", 3);
    expect_end(r);
    ae_reader_close(r);
    free(a);
    free(b);
}

Test(reader, offset_of_a_packed_file_counts_its_own_bytes) {
    size_t n = 1 << 20;
    char *text = calloc(n, 1);
    const char *path = write_gz("zeros.gz", text, n);
    ae_reader *r = open_reader(path);
    size_t got = 0;
    cr_assert_eq(ae_reader_read(r, text, n, &got), AE_OK);
    cr_assert_eq(got, n);
    cr_assert_leq(ae_reader_offset(r), ae_file_size(path));
    ae_reader_close(r);
    free(text);
}

Test(reader, missing_files_and_folders_are_refused) {
    ae_reader *r = NULL;
    cr_assert_eq(ae_reader_open(&r, scratch_path("none")), AE_ERR_INPUT);
    cr_assert_message("none: expected a file, found: No such file");
    cr_assert_null(r);
    cr_assert_eq(ae_reader_open(&r, scratch_folder), AE_ERR_INPUT);
    cr_assert_message("found a folder");
}

Test(reader, dash_is_standard_input) {
    int fd = open(scratch_write("in", "typed\n", 6), O_RDONLY);
    cr_assert_geq(fd, 0);
    dup2(fd, STDIN_FILENO);
    close(fd);
    ae_reader *r = open_reader("-");
    cr_assert_str_eq(ae_reader_name(r), "standard input");
    expect_line(r, "typed", 5);
    expect_end(r);
    ae_reader_close(r);
}
