#ifndef AE_TESTS_CORE_SCRATCH_H
#define AE_TESTS_CORE_SCRATCH_H
#include "core/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A folder of the test's own, and the names of files in it. One at a time. */

static char scratch_folder[256], scratch_file[4][512];

static inline void scratch_make(void) {
    const char *base = getenv("TMPDIR");
    snprintf(scratch_folder, sizeof scratch_folder, "%s/aerie-test-XXXXXX", base != NULL ? base : "/tmp");
    cr_assert_not_null(mkdtemp(scratch_folder));
}

static inline void scratch_remove(void) {
    cr_assert_eq(ae_folder_remove(scratch_folder), AE_OK);
    cr_assert_not(ae_path_exists(scratch_folder));
}

/* The name is good until three more were asked for. */
static inline const char *scratch_path(const char *name) {
    static unsigned next;
    char *path = scratch_file[next++ % 4];
    snprintf(path, sizeof scratch_file[0], "%s/%s", scratch_folder, name);
    return path;
}

static inline const char *scratch_write(const char *name, const void *bytes, size_t n) {
    const char *path = scratch_path(name);
    FILE *f = fopen(path, "wb");
    cr_assert_not_null(f);
    cr_assert_eq(fwrite(bytes, 1, n, f), n);
    cr_assert_eq(fclose(f), 0);
    return path;
}

#define cr_assert_message(part)                                                                              \
    cr_assert_not_null(strstr(ae_error_message(), part), "message \"%s\" lacks \"%s\"", ae_error_message(),  \
                       part)

#endif
