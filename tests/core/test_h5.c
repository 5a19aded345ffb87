#include "core/h5.h"
#include "tests/core/scratch.h"

#include <criterion/redirect.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(h5, .init = scratch_make, .fini = scratch_remove);

static hid_t create(const char *path) {
    hid_t f;
    cr_assert_eq(ae_h5_create(&f, path), AE_OK, "%s", ae_error_message());
    return f;
}

static hid_t reopen(hid_t f, const char *path) {
    cr_assert_eq(ae_h5_close(f, path), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_h5_open(&f, path), AE_OK, "%s", ae_error_message());
    return f;
}

Test(h5, whole_sets_come_back) {
    const char *path = scratch_path("a.h5");
    const float x[2][3] = {{1, 2, 3}, {4, 5, -6.5f}};
    const int64_t shape[] = {2, 3}, none[] = {0};
    hid_t f = create(path);
    cr_assert_eq(ae_h5_write(f, path, "/weights/w", H5T_NATIVE_FLOAT, 2, shape, x), AE_OK, "%s",
                 ae_error_message());
    cr_assert_eq(ae_h5_write(f, path, "empty", H5T_NATIVE_INT32, 1, none, x), AE_OK, "%s",
                 ae_error_message());
    f = reopen(f, path);
    int64_t found[2] = {0};
    cr_assert_eq(ae_h5_shape(f, path, "/weights/w", 2, found), AE_OK);
    cr_assert_arr_eq(found, shape, sizeof shape);
    float y[2][3];
    double z[2][3];
    cr_assert_eq(ae_h5_read(f, path, "/weights/w", H5T_NATIVE_FLOAT, 2, shape, y), AE_OK);
    cr_assert_arr_eq(y, x, sizeof x);
    cr_assert_eq(ae_h5_read(f, path, "/weights/w", H5T_NATIVE_DOUBLE, 2, shape, z), AE_OK);
    cr_assert_float_eq(z[1][2], -6.5, 0);
    cr_assert_eq(ae_h5_read(f, path, "empty", H5T_NATIVE_INT32, 1, none, z), AE_OK);
    cr_assert(ae_h5_has(f, "/weights/w"));
    cr_assert(ae_h5_has(f, "weights"));
    cr_assert_not(ae_h5_has(f, "/weights/v"));
    cr_assert_not(ae_h5_has(f, "/none/at/all"));
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
}

Test(h5, rows_come_back) {
    const char *path = scratch_path("a.h5");
    const float x[3][2][2] = {{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}, {{9, 10}, {11, 12}}};
    const int64_t shape[] = {3, 2, 2}, wrong[] = {4, 2, 2};
    float y[8] = {0};
    hid_t f = create(path);
    cr_assert_eq(ae_h5_write(f, path, "w", H5T_NATIVE_FLOAT, 3, shape, x), AE_OK);
    f = reopen(f, path);
    cr_assert_eq(ae_h5_read_rows(f, path, "w", H5T_NATIVE_FLOAT, 3, shape, 1, 2, y), AE_OK);
    cr_assert_arr_eq(y, x[1], sizeof y);
    cr_assert_eq(ae_h5_read_rows(f, path, "w", H5T_NATIVE_FLOAT, 3, shape, 0, 1, y), AE_OK);
    cr_assert_arr_eq(y, x[0], sizeof x[0]);
    cr_assert_arr_eq(y + 4, x[2], sizeof x[2]);
    cr_assert_eq(ae_h5_read_rows(f, path, "w", H5T_NATIVE_FLOAT, 3, shape, 3, 0, y), AE_OK);
    cr_assert_eq(ae_h5_read_rows(f, path, "w", H5T_NATIVE_FLOAT, 3, shape, 2, 2, y), AE_ERR_INPUT);
    cr_assert_message("expected rows 2 to 4, found only 3");
    cr_assert_eq(ae_h5_read_rows(f, path, "w", H5T_NATIVE_FLOAT, 3, wrong, 0, 1, y), AE_ERR_INPUT);
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
}

Test(h5, sets_are_described) {
    const char *path = scratch_path("a.h5");
    const int64_t shape[] = {2, 3};
    const float x[6] = {0};
    const uint16_t ids[6] = {0};
    ae_h5_set set;
    hid_t f = create(path);
    cr_assert_eq(ae_h5_write(f, path, "w", H5T_NATIVE_FLOAT, 2, shape, x), AE_OK);
    cr_assert_eq(ae_h5_write(f, path, "ids", H5T_NATIVE_UINT16, 1, shape, ids), AE_OK);
    f = reopen(f, path);
    cr_assert_eq(ae_h5_describe(f, path, "w", &set), AE_OK, "%s", ae_error_message());
    cr_assert(set.real && set.bytes == 4 && set.rank == 2 && set.shape[0] == 2 && set.shape[1] == 3);
    cr_assert_eq(ae_h5_describe(f, path, "ids", &set), AE_OK);
    cr_assert(!set.real && set.bytes == 2 && set.rank == 1 && set.shape[0] == 2);
    cr_assert_eq(ae_h5_describe(f, path, "v", &set), AE_ERR_INPUT);
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
}

Test(h5, what_does_not_match_is_told) {
    const char *path = scratch_path("a.h5");
    const float x[6] = {0};
    const int64_t shape[] = {2, 3}, turned[] = {3, 2};
    int32_t y[6];
    float z[6];
    hid_t f = create(path);
    cr_assert_eq(ae_h5_write(f, path, "w", H5T_NATIVE_FLOAT, 2, shape, x), AE_OK);
    cr_assert_eq(ae_h5_write(f, path, "w", H5T_NATIVE_FLOAT, 2, shape, x), AE_ERR_DEFECT);
    f = reopen(f, path);
    cr_assert_eq(ae_h5_read(f, path, "v", H5T_NATIVE_FLOAT, 2, shape, z), AE_ERR_INPUT);
    cr_assert_message("a.h5: v: expected a data set, found none of that name");
    cr_assert_eq(ae_h5_read(f, path, "/", H5T_NATIVE_FLOAT, 2, shape, z), AE_ERR_INPUT);
    cr_assert_eq(ae_h5_read(f, path, "w", H5T_NATIVE_FLOAT, 1, shape, z), AE_ERR_INPUT);
    cr_assert_message("w: expected 1 dimensions, found 2");
    cr_assert_eq(ae_h5_read(f, path, "w", H5T_NATIVE_FLOAT, 2, turned, z), AE_ERR_INPUT);
    cr_assert_message("w: expected shape [3, 2], found [2, 3]");
    cr_assert_eq(ae_h5_read(f, path, "w", H5T_NATIVE_INT32, 2, shape, y), AE_ERR_INPUT);
    cr_assert_message("w: expected whole numbers, found floating-point numbers");
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
}

Test(h5, numbers_that_do_not_fit_are_refused) {
    const char *path = scratch_path("a.h5");
    const int64_t n[] = {3}, x[] = {1, 70000, 2}, negative[] = {1, -1, 2};
    uint16_t y[3];
    uint32_t z[3];
    float reals[3];
    hid_t f = create(path);
    cr_assert_eq(ae_h5_write(f, path, "big", H5T_NATIVE_INT64, 1, n, x), AE_OK);
    cr_assert_eq(ae_h5_write(f, path, "negative", H5T_NATIVE_INT64, 1, n, negative), AE_OK);
    cr_assert_eq(ae_h5_read(f, path, "big", H5T_NATIVE_UINT16, 1, n, y), AE_ERR_INPUT);
    cr_assert_message("big: expected numbers that fit 2 bytes");
    cr_assert_eq(ae_h5_read(f, path, "negative", H5T_NATIVE_UINT32, 1, n, z), AE_ERR_INPUT);
    cr_assert_eq(ae_h5_read(f, path, "big", H5T_NATIVE_UINT32, 1, n, z), AE_OK, "%s", ae_error_message());
    cr_assert_eq(z[1], 70000);
    cr_assert_eq(ae_h5_read(f, path, "big", H5T_NATIVE_FLOAT, 1, n, reals), AE_OK);
    cr_assert_float_eq((double)reals[1], 70000, 0);
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
}

Test(h5, growing_sets_grow) {
    enum { PART = 1000, PARTS = 7, ALL = PART * PARTS };
    const char *path = scratch_path("tokens.h5");
    uint16_t part[PART];
    hid_t f = create(path);
    cr_assert_eq(ae_h5_create_growing(f, path, "/tokens", H5T_NATIVE_UINT16, 256), AE_OK);
    for (int p = 0; p < PARTS; p++) {
        for (int i = 0; i < PART; i++) part[i] = (uint16_t)(p * PART + i);
        cr_assert_eq(ae_h5_append(f, path, "/tokens", H5T_NATIVE_UINT16, PART, part), AE_OK, "%s",
                     ae_error_message());
    }
    cr_assert_eq(ae_h5_append(f, path, "/tokens", H5T_NATIVE_UINT16, 0, part), AE_OK);
    f = reopen(f, path);
    int64_t n = 0;
    cr_assert_eq(ae_h5_shape(f, path, "/tokens", 1, &n), AE_OK);
    cr_assert_eq(n, ALL);
    int32_t range[600];
    cr_assert_eq(ae_h5_read_range(f, path, "/tokens", H5T_NATIVE_INT32, 900, 600, range), AE_OK);
    for (int i = 0; i < 600; i++) cr_assert_eq(range[i], 900 + i);
    cr_assert_eq(ae_h5_read_range(f, path, "/tokens", H5T_NATIVE_INT32, n, 0, range), AE_OK);
    cr_assert_eq(ae_h5_read_range(f, path, "/tokens", H5T_NATIVE_INT32, n - 1, 2, range), AE_ERR_INPUT);
    cr_assert_message("expected entries 6999 to 7001, found only 7000");
    cr_assert_eq(ae_h5_read_range(f, path, "/tokens", H5T_NATIVE_INT32, -1, 2, range), AE_ERR_INPUT);
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
}

Test(h5, attributes) {
    const char *path = scratch_path("a.h5");
    size_t n = 200000;
    char *manifest = malloc(n + 1), *text = NULL;
    memset(manifest, 'm', n);
    manifest[n] = '\0';
    hid_t f = create(path);
    cr_assert_eq(ae_h5_set_attr_int(f, path, "vocab_size", 1), AE_OK);
    cr_assert_eq(ae_h5_set_attr_int(f, path, "vocab_size", (int64_t)1 << 40), AE_OK);
    cr_assert_eq(ae_h5_set_attr_text(f, path, "manifest", manifest), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_h5_set_attr_text(f, path, "nothing", ""), AE_OK, "%s", ae_error_message());
    f = reopen(f, path);
    int64_t value = 0;
    cr_assert_eq(ae_h5_attr_int(f, path, "vocab_size", &value), AE_OK);
    cr_assert_eq(value, (int64_t)1 << 40);
    cr_assert_eq(ae_h5_attr_text(f, path, "manifest", &text), AE_OK);
    cr_assert_str_eq(text, manifest);
    free(text);
    cr_assert_eq(ae_h5_attr_text(f, path, "nothing", &text), AE_OK);
    cr_assert_str_eq(text, "");
    free(text);
    cr_assert(ae_h5_has_attr(f, "manifest"));
    cr_assert_not(ae_h5_has_attr(f, "none"));
    cr_assert_eq(ae_h5_attr_int(f, path, "none", &value), AE_ERR_INPUT);
    cr_assert_message("attribute none: expected whole numbers, found none");
    cr_assert_eq(ae_h5_attr_int(f, path, "manifest", &value), AE_ERR_INPUT);
    cr_assert_eq(ae_h5_attr_text(f, path, "vocab_size", &text), AE_ERR_INPUT);
    cr_assert_null(text);
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
    free(manifest);
}

/* As numpy and h5py may write them. */
Test(h5, foreign_attributes_and_types) {
    const char *path = scratch_path("a.h5");
    const hsize_t one = 1;
    const int32_t size = 77;
    hid_t f = create(path);
    hid_t fixed = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &one, NULL);
    H5Tset_size(fixed, 4);
    H5Tset_strpad(fixed, H5T_STR_NULLPAD);
    hid_t a = H5Acreate2(f, "text", fixed, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, fixed, "four");
    H5Aclose(a);
    a = H5Acreate2(f, "size", H5T_STD_I32BE, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, H5T_NATIVE_INT32, &size);
    H5Aclose(a);
    hid_t boolean = H5Tenum_create(H5T_NATIVE_INT8);
    const int8_t values[] = {0, 1};
    H5Tenum_insert(boolean, "FALSE", &values[0]);
    H5Tenum_insert(boolean, "TRUE", &values[1]);
    const int64_t n = 2;
    cr_assert_eq(ae_h5_write(f, path, "mask", boolean, 1, &n, values), AE_OK);
    uint8_t mask[2] = {7, 7};
    cr_assert_eq(ae_h5_read(f, path, "mask", H5T_NATIVE_UINT8, 1, &n, mask), AE_OK, "%s", ae_error_message());
    cr_assert_eq(mask[0] * 10 + mask[1], 1);
    char *text = NULL;
    int64_t value = 0;
    cr_assert_eq(ae_h5_attr_text(f, path, "text", &text), AE_OK, "%s", ae_error_message());
    cr_assert_str_eq(text, "four");
    cr_assert_eq(ae_h5_attr_int(f, path, "size", &value), AE_OK);
    cr_assert_eq(value, 77);
    free(text);
    H5Tclose(boolean);
    H5Tclose(fixed);
    H5Sclose(space);
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
}

/* h5py's own choice for a str. */
Test(h5, text_of_variable_length_is_refused) {
    const char *path = scratch_path("a.h5"), *words = "words", *kept = "kept";
    hid_t f = create(path);
    hid_t variable = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(variable, H5T_VARIABLE);
    hid_t a = H5Acreate2(f, "text", variable, space, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert_geq(H5Awrite(a, variable, &words), 0);
    H5Aclose(a);
    const int64_t one = 1;
    cr_assert_eq(ae_h5_write(f, path, "set", variable, 1, &one, &kept), AE_OK);
    H5Tclose(variable);
    H5Sclose(space);
    char *text = NULL;
    int32_t x;
    f = reopen(f, path);
    cr_assert_eq(ae_h5_attr_text(f, path, "text", &text), AE_ERR_INPUT);
    cr_assert_null(text);
    cr_assert_message("attribute text: expected text of a fixed length, found one of variable length");
    cr_assert_eq(ae_h5_read(f, path, "set", H5T_NATIVE_INT32, 1, &one, &x), AE_ERR_INPUT);
    cr_assert_message("set: expected whole numbers, found text");
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
}

/* ---- handles ---- */

Test(h5, handles_are_counted) {
    const char *path = scratch_path("a.h5");
    cr_assert_eq(ae_h5_handles(), 0);
    hid_t f = create(path);
    cr_assert_eq(ae_h5_handles(), 1);
    hid_t space = H5Screate(H5S_SCALAR), type = H5Tcopy(H5T_C_S1), list = H5Pcreate(H5P_DATASET_XFER);
    cr_assert_eq(ae_h5_handles(), 4);
    H5Sclose(space);
    H5Tclose(type);
    H5Pclose(list);
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
    cr_assert_eq(ae_h5_handles(), 0);
}

#ifdef __SANITIZE_ADDRESS__
Test(h5, a_program_that_forgets_a_handle_ends_badly) {
    const char *path = scratch_path("a.h5");
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        hid_t f;
        fclose(stderr);
        stderr = fopen("/dev/null", "we");
        if (ae_h5_create(&f, path) != AE_OK) _exit(0);
        exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "ended with %x", (unsigned)status);
}
#endif

static void write_numbers(const char *path, int64_t n) {
    int32_t *x = calloc((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = (int32_t)(i * i);
    hid_t f = create(path);
    cr_assert_eq(ae_h5_create_growing(f, path, "x", H5T_NATIVE_INT32, 1024), AE_OK);
    cr_assert_eq(ae_h5_append(f, path, "x", H5T_NATIVE_INT32, n, x), AE_OK);
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
    free(x);
}

Test(h5, damaged_files_are_refused_in_one_line, .init = scratch_make, .fini = scratch_remove) {
    char *bytes = NULL;
    size_t n = 0;
    hid_t f;
    write_numbers(scratch_path("whole.h5"), 100000);
    cr_assert_eq(ae_file_read(scratch_path("whole.h5"), &bytes, &n), AE_OK);
    const size_t cuts[] = {20, 90, n / 2, n - 1};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(ae_h5_open(&f, scratch_write("cut.h5", bytes, cuts[i])), AE_ERR_INPUT, "cut to %zu",
                     cuts[i]);
        cr_assert_message("cut.h5: expected a");
        cr_assert_lt(f, 0);
    }
    cr_assert_eq(ae_h5_open(&f, scratch_write("text.h5", "no such thing\n", 14)), AE_ERR_INPUT);
    cr_assert_message("text.h5: expected an HDF5 file, found another format");
    cr_assert_eq(ae_h5_open(&f, scratch_path("none.h5")), AE_ERR_INPUT);
    cr_assert_message("none.h5: expected a file, found nothing there");
    cr_assert_eq(ae_h5_open(&f, scratch_folder), AE_ERR_INPUT);
    cr_assert_eq(ae_h5_close(f, "never opened"), AE_OK);
    free(bytes);
}

Test(h5, damaged_chunk_is_told, .init = scratch_make, .fini = scratch_remove) {
    char *bytes = NULL;
    size_t n = 0;
    const char *path = scratch_path("a.h5");
    write_numbers(path, 100000);
    cr_assert_eq(ae_file_read(path, &bytes, &n), AE_OK);
    memset(bytes + n / 2, 0x5A, n / 4);
    path = scratch_write("bent.h5", bytes, n);
    hid_t f;
    int32_t *x = calloc(100000, sizeof *x);
    cr_assert_eq(ae_h5_open(&f, path), AE_OK);
    cr_assert_eq(ae_h5_read_range(f, path, "x", H5T_NATIVE_INT32, 0, 100000, x), AE_ERR_INPUT);
    cr_assert_message("bent.h5: x: cannot be read, the file is truncated or damaged");
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
    free(bytes);
    free(x);
}

Test(h5, place_that_cannot_be_written_is_told) {
    hid_t f;
    cr_assert_eq(ae_h5_create(&f, scratch_path("none/a.h5")), AE_ERR_USAGE);
    cr_assert_message("none/a.h5: expected a place that can be written");
    cr_assert_lt(f, 0);
}

/* A limit on file sizes stands for the disk that fills. */
Test(h5, full_disk_is_told_and_nothing_is_printed, .init = scratch_make, .fini = scratch_remove) {
    const char *path = scratch_path("full.h5");
    int64_t n = 1 << 20;
    float *x = calloc((size_t)n, sizeof *x);
    struct rlimit before, limit;
    cr_redirect_stderr();
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){.rlim_cur = 1 << 16, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    hid_t f = create(path);
    ae_status written = ae_h5_write(f, path, "x", H5T_NATIVE_FLOAT, 1, &n, x);
    ae_status closed = ae_h5_close(f, path);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    cr_assert(written == AE_ERR_RESOURCE || closed == AE_ERR_RESOURCE);
    cr_assert_message("full.h5: no space left on the disk");
    f = create(path); /* the disk has room again */
    cr_assert_eq(ae_h5_write(f, path, "x", H5T_NATIVE_FLOAT, 1, &n, x), AE_OK);
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
    fflush(stderr);
    FILE *said = cr_get_redirected_stderr();
    cr_assert_eq(fgetc(said), EOF);
    free(x);
}

typedef struct {
    hid_t file;
    const char *path;
    int64_t first;
    ae_status status;
} reading;

static void *read_many(void *arg) {
    reading *r = arg;
    int32_t x[100];
    for (int round = 0; round < 200 && r->status == AE_OK; round++) {
        int64_t first = r->first + (int64_t)100 * round;
        r->status = ae_h5_read_range(r->file, r->path, "x", H5T_NATIVE_INT32, first, 100, x);
        for (int64_t i = 0; i < 100 && r->status == AE_OK; i++) {
            if (x[i] != (int32_t)((first + i) * (first + i))) r->status = AE_ERR_DEFECT;
        }
    }
    return NULL;
}

Test(h5, threads_may_read_one_file) {
    const char *path = scratch_path("a.h5");
    write_numbers(path, 40000);
    hid_t f;
    cr_assert_eq(ae_h5_open(&f, path), AE_OK);
    pthread_t threads[2];
    reading r[2] = {{f, path, 0, AE_OK}, {f, path, 20000, AE_OK}};
    for (int i = 0; i < 2; i++) cr_assert_eq(pthread_create(&threads[i], NULL, read_many, &r[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    cr_assert_eq(r[0].status, AE_OK);
    cr_assert_eq(r[1].status, AE_OK);
    cr_assert_eq(ae_h5_close(f, path), AE_OK);
}

/* ---- one lock for all ---- */

/* Whether the writer is at work, and whether a reader is in or before the library. */
static volatile bool writing, asking;

/* Taken instead of the library's: a disk so slow that somebody always comes to read meanwhile, and has the time to queue. */
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
    if (writing && n > 1 << 20) {
        while (writing && !asking) usleep(100);
        usleep(20000);
    }
    return syscall(SYS_pwrite64, fd, bytes, n, at);
}

enum { SLOW_PIECES = 16, SLOW_FLOATS = SLOW_PIECES << 20 };

static void *write_slowly(void *x) {
    hid_t file;
    cr_assert_eq(ae_h5_create(&file, scratch_path("slow.h5")), AE_OK);
    cr_assert_eq(ae_h5_write(file, "slow.h5", "x", H5T_NATIVE_FLOAT, 2,
                             (const int64_t[]){1 << 10, SLOW_PIECES << 10}, x),
                 AE_OK);
    writing = false;
    cr_assert_eq(ae_h5_close(file, "slow.h5"), AE_OK);
    return NULL;
}

/* A loader reads while a checkpoint is written: it has its turn behind each piece, not behind the whole tensor. */
Test(h5, readers_come_between_the_pieces_of_a_writer) {
    float *x = malloc((size_t)SLOW_FLOATS * sizeof *x), *y = malloc((size_t)SLOW_FLOATS * sizeof *y);
    pthread_t writer;
    hid_t other;
    int turns = 0;
    for (int i = 0; i < SLOW_FLOATS; i++) x[i] = (float)(i % 1000003);
    cr_assert_eq(ae_h5_create(&other, scratch_path("other.h5")), AE_OK);
    writing = true;
    cr_assert_eq(pthread_create(&writer, NULL, write_slowly, x), 0);
    for (; writing; turns++) {
        asking = true;
        (void)ae_h5_has(other, "nothing");
        asking = false;
        usleep(1000);
    }
    pthread_join(writer, NULL);
    cr_assert_gt(turns, SLOW_PIECES / 2, "%d", turns);
    cr_assert_eq(ae_h5_close(other, "other.h5"), AE_OK);
    cr_assert_eq(ae_h5_open(&other, scratch_path("slow.h5")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_h5_read(other, "slow.h5", "x", H5T_NATIVE_FLOAT, 2,
                            (const int64_t[]){1 << 10, SLOW_PIECES << 10}, y),
                 AE_OK);
    cr_assert_eq(memcmp(x, y, (size_t)SLOW_FLOATS * sizeof *x), 0);
    cr_assert_eq(ae_h5_close(other, "slow.h5"), AE_OK);
    free(x);
    free(y);
}
