#include "cli/output_folder.h"
#include "tests/core/scratch.h"

#include <stdint.h>

TestSuite(output_folder, .init = scratch_make, .fini = scratch_remove);

static const char *const names[] = {"config.json"};

/* Writes the folder while somebody else makes one of that name, with FILE in it. */
static ae_status fill_late(void *file, const char *folder) {
    char *path = ae_path_join(folder, names[0]);
    const ae_status st = ae_file_write(path, "{}", 2);
    free(path);
    if (file) {
        cr_assert_eq(ae_folder_make(scratch_path("out")), AE_OK);
        cr_assert_eq(ae_file_write(scratch_path(file), "theirs", 6), AE_OK);
    }
    return st;
}

static ae_status write_late(const char *file, bool force) {
    return ae_output_folder_write(&(ae_output_folder){.verb = "test",
                                                      .output = scratch_path("out"),
                                                      .force = force,
                                                      .names = names,
                                                      .n_names = 1,
                                                      .fill = fill_late,
                                                      .context = (void *)(uintptr_t)file});
}

static void expect_both(const char *file) {
    char *bytes = NULL;
    size_t n;
    cr_assert_eq(ae_file_read(scratch_path(file), &bytes, &n), AE_OK, "%s", ae_error_message());
    cr_assert_str_eq(bytes, "theirs");
    free(bytes);
    cr_assert(ae_path_exists(scratch_path("out.part/config.json")), "what is whole stays");
}

Test(output_folder, what_appears_meanwhile_stays) {
    cr_assert_eq(write_late("out/config.json", false), AE_ERR_USAGE);
    cr_assert_not_null(strstr(ae_error_message(), "out.part"), "%s", ae_error_message());
    expect_both("out/config.json");
    cr_assert_eq(write_late(NULL, true), AE_OK, "%s", ae_error_message());
    cr_assert_not(ae_path_exists(scratch_path("out.part")));
    cr_assert_not(ae_path_exists(scratch_path("out.before")));
}

Test(output_folder, with_force_too_where_it_is_somebody_elses) {
    cr_assert_eq(write_late("out/thesis.txt", true), AE_ERR_USAGE);
    cr_assert_not_null(strstr(ae_error_message(), "thesis.txt"), "%s", ae_error_message());
    expect_both("out/thesis.txt");
}
