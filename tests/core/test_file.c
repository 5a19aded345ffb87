#include "tests/core/scratch.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <zlib.h>

TestSuite(file, .init = scratch_make, .fini = scratch_remove);

static void assert_content(const char *path, const void *bytes, size_t n) {
    char *found = NULL;
    size_t length = 0;
    cr_assert_eq(ae_file_read(path, &found, &length), AE_OK, "%s", ae_error_message());
    cr_assert_eq(length, n);
    cr_assert_arr_eq(found, bytes, n);
    cr_assert_eq(found[n], '\0');
    free(found);
}

static long entries(void) {
    char command[600];
    char line[32] = "";
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", scratch_folder);
    FILE *f = popen(command, "r");
    cr_assert_not_null(f);
    cr_assert_not_null(fgets(line, sizeof line, f));
    pclose(f);
    return strtol(line, NULL, 10);
}

Test(file, paths_join) {
    char *a = ae_path_join("x", "y"), *b = ae_path_join("x/", "y"), *c = ae_path_join("", "y");
    cr_assert_str_eq(a, "x/y");
    cr_assert_str_eq(b, "x/y");
    cr_assert_str_eq(c, "y");
    free(a);
    free(b);
    free(c);
}

Test(file, patterns_take_folders_as_they_are) {
    char *pattern = ae_path_pattern("a[1]*?\\", "*.jsonl");
    cr_assert_str_eq(pattern, "a\\[1]\\*\\?\\\\/*.jsonl");
    free(pattern);
}

Test(file, one_place_by_other_names) {
    cr_assert(ae_path_same(scratch_folder, scratch_path(".")));
    cr_assert(ae_path_same("/", "/../."));
    cr_assert_not(ae_path_same(scratch_folder, "/"));
    cr_assert_not(ae_path_same(scratch_path("none"), scratch_path("none")), "nothing is there");
}

Test(file, the_last_part_of_a_path) {
    cr_assert_str_eq(ae_path_last("x/y/z"), "z");
    cr_assert_str_eq(ae_path_last("/z"), "z");
    cr_assert_str_eq(ae_path_last("z"), "z");
    cr_assert_str_eq(ae_path_last("x/"), "x/");
    cr_assert_str_eq(ae_path_last("/"), "/");
}

static void expect_beside(const char *path, const char *ending, const char *want) {
    char *beside = ae_path_beside(path, ending);
    cr_assert_str_eq(beside, want);
    free(beside);
}

/* The longest name that a file may have, and a temporary one beside it. */
Test(file, the_longest_name_can_be_written) {
    char name[256], want[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    snprintf(want, sizeof want, "%.249s.part", name);
    expect_beside("x.y/z", ".part", "x.y/z.part");
    expect_beside(name, ".part", want);
    expect_beside(name + 5, ".part", (snprintf(want, sizeof want, "%.250s.part", name), want));
    const char *path = scratch_path(name);
    cr_assert_eq(ae_file_write(path, "one", 3), AE_OK, "%s", ae_error_message());
    assert_content(path, "one", 3);
    cr_assert_eq(entries(), 1);
}

Test(file, what_a_folder_has) {
    cr_assert_eq(ae_file_write(scratch_path("a"), "", 0), AE_OK);
    cr_assert(ae_path_has(scratch_folder, "a"));
    cr_assert_not(ae_path_has(scratch_folder, "b"));
}

Test(file, written_is_read_back) {
    const char *path = scratch_path("a.bin");
    cr_assert_eq(ae_file_write(path, "one\0two", 7), AE_OK, "%s", ae_error_message());
    assert_content(path, "one\0two", 7);
    cr_assert_eq(ae_file_write(path, "", 0), AE_OK);
    assert_content(path, "", 0);
    cr_assert_eq(ae_file_size(path), 0);
    cr_assert_eq(entries(), 1);
}

Test(file, length_may_be_unknown) {
    char *text = NULL;
    size_t n = 0;
    cr_assert_eq(ae_file_read("/proc/self/status", &text, &n), AE_OK);
    cr_assert_gt(n, 100);
    cr_assert_eq(strlen(text), n);
    free(text);
}

Test(file, missing_input_is_told) {
    char *text = NULL;
    size_t n = 0;
    cr_assert_eq(ae_file_read(scratch_path("none"), &text, &n), AE_ERR_INPUT);
    cr_assert_message("none: expected a file, found nothing there");
    cr_assert_null(text);
    cr_assert_eq(ae_file_read(scratch_folder, &text, &n), AE_ERR_INPUT);
    cr_assert_message("found a folder");
    cr_assert_eq(ae_file_size(scratch_path("none")), -1);
}

Test(file, full_disk_is_told) {
    cr_assert_eq(ae_file_write("/dev/full", "x", 1), AE_ERR_RESOURCE);
    cr_assert_str_eq(ae_error_message(),
                     "/dev/full: no space left on the disk; free some or choose another place");
}

/* A limit on file sizes stands for the disk that fills while writing. */
Test(file, disk_that_fills_leaves_nothing_behind) {
    const char *path = scratch_write("kept.bin", "old", 3);
    size_t n = 1 << 20;
    char *big = calloc(n, 1);
    struct rlimit limit = {.rlim_cur = 1 << 16, .rlim_max = RLIM_INFINITY}, before;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ae_status st = ae_file_write(path, big, n);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    cr_assert_eq(st, AE_ERR_RESOURCE);
    cr_assert_message("kept.bin: no space left on the disk");
    assert_content(path, "old", 3);
    cr_assert_eq(entries(), 1);
    free(big);
}

Test(file, place_that_cannot_be_written_is_told) {
    scratch_write("plain", "x", 1);
    cr_assert_eq(ae_file_write(scratch_path("plain/under"), "x", 1), AE_ERR_USAGE);
    cr_assert_eq(ae_file_write(scratch_path("none/under"), "x", 1), AE_ERR_USAGE);
    cr_assert_message("none/under: expected a place that can be written");
    cr_assert_eq(ae_file_write(scratch_folder, "x", 1), AE_ERR_USAGE);
    cr_assert_message("found a folder");
    cr_assert_eq(ae_file_write("/proc/version", "x", 1), AE_ERR_USAGE);
}

Test(file, errno_of_a_write_becomes_a_status) {
    const struct {
        int error;
        ae_status status;
    } cases[] = {{ENOSPC, AE_ERR_RESOURCE}, {EDQUOT, AE_ERR_RESOURCE}, {EIO, AE_ERR_RESOURCE},
                 {EACCES, AE_ERR_USAGE},    {EROFS, AE_ERR_USAGE},     {ENOENT, AE_ERR_USAGE}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        errno = cases[i].error;
        cr_assert_eq(ae_output_failed("out"), cases[i].status);
        cr_assert_message("out: ");
    }
}

Test(file, folders_are_made_with_their_parents) {
    const char *deep = scratch_path("a/b//c/");
    cr_assert_eq(ae_folder_make(deep), AE_OK, "%s", ae_error_message());
    cr_assert(ae_path_is_folder(deep));
    cr_assert_eq(ae_folder_make(deep), AE_OK);
    cr_assert_eq(ae_folder_make(""), AE_ERR_USAGE);
}

Test(file, file_in_the_way_of_a_folder_is_told) {
    const char *path = scratch_write("plain", "x", 1);
    cr_assert_eq(ae_folder_make(path), AE_ERR_USAGE);
    cr_assert_message("found a file in the way");
    cr_assert_eq(ae_folder_make(scratch_path("plain/under")), AE_ERR_USAGE);
    cr_assert_eq(ae_folder_make("/proc/none"), AE_ERR_USAGE);
}

Test(file, folder_is_removed_with_its_contents_but_not_beyond_links) {
    char target[512];
    snprintf(target, sizeof target, "%s", scratch_write("outside", "x", 1));
    cr_assert_eq(ae_folder_make(scratch_path("gone/deeper")), AE_OK);
    scratch_write("gone/deeper/file", "x", 1);
    cr_assert_eq(symlink(target, scratch_path("gone/link")), 0);
    cr_assert_eq(ae_folder_remove(scratch_path("gone")), AE_OK);
    cr_assert_not(ae_path_exists(scratch_path("gone")));
    cr_assert(ae_path_exists(target));
    cr_assert_eq(ae_folder_remove(scratch_path("gone")), AE_OK);
}

Test(file, rename_replaces) {
    char from[512];
    snprintf(from, sizeof from, "%s", scratch_write("from", "new", 3));
    const char *to = scratch_write("to", "old", 3);
    cr_assert_eq(ae_path_sync(from), AE_OK);
    cr_assert_eq(ae_path_sync(scratch_folder), AE_OK);
    cr_assert_eq(ae_path_rename(from, to), AE_OK);
    assert_content(to, "new", 3);
    cr_assert_not(ae_path_exists(from));
    cr_assert_eq(ae_path_rename(from, to), AE_ERR_USAGE);
}

Test(file, checksum_of_a_big_file) {
    size_t n = (3 << 20) + 17;
    char *bytes = malloc(n);
    for (size_t i = 0; i < n; i++) bytes[i] = (char)(i * i >> 7);
    const char *path = scratch_write("big", bytes, n);
    uint32_t crc = 0;
    int64_t size = 0;
    cr_assert_eq(ae_file_crc32(path, &crc, &size), AE_OK);
    cr_assert_eq(size, (int64_t)n);
    cr_assert_eq(crc, crc32(0, (const Bytef *)bytes, (uInt)n));
    cr_assert_eq(ae_file_crc32(scratch_write("nine", "123456789", 9), &crc, &size), AE_OK);
    cr_assert_eq(crc, 0xCBF43926u);
    cr_assert_eq(ae_file_crc32(scratch_path("none"), &crc, &size), AE_ERR_INPUT);
    free(bytes);
}
