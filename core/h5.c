#include "core/h5.h"

#include "core/file.h"
#include "core/h5_probe.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANK_MAX = AE_H5_RANK_MAX, DEFLATE_LEVEL = 3 };

static pthread_mutex_t lock;
static bool is_half_open; /* something could not be written: what the library holds for it is lost */

/* A file whose closing failed stays half-open inside the library, which then crashes while it cleans up at exit. Before main,
 * since any type of H5T_NATIVE_* starts the library. */
__attribute__((constructor)) static void no_cleanup_at_exit(void) {
    H5dont_atexit();
}

/* H5Fget_obj_count knows files, what is in them, and types. Spaces and lists can only be tried one by one: the library numbers each kind
 * upwards. */
enum { LOOSE = 2 };
static hid_t first_loose[LOOSE]; /* 0: the library has not started */

static void next_loose(hid_t next[LOOSE]) {
    next[0] = H5Screate(H5S_SCALAR);
    next[1] = H5Pcreate(H5P_DATASET_XFER);
    H5Sclose(next[0]);
    H5Pclose(next[1]);
}

static ptrdiff_t count_handles(void) {
    const ssize_t in_files = H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL);
    ptrdiff_t all = in_files > 0 ? (ptrdiff_t)in_files : 0;
    hid_t next[LOOSE];
    next_loose(next);
    for (int i = 0; i < LOOSE; i++)
        for (hid_t h = first_loose[i]; h < next[i]; h++) all += H5Iis_valid(h) > 0;
    return all;
}

static void start_library(void) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &attr);
    pthread_mutexattr_destroy(&attr);
    H5open();
    next_loose(first_loose);
}

static void enter(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static _Thread_local bool is_silent; /* a library built for threads has an error stack for each */
    pthread_once(&once, start_library);
    pthread_mutex_lock(&lock);
    if (!is_silent) H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    is_silent = true;
}

static ae_status leave(ae_status st) {
    pthread_mutex_unlock(&lock);
    return st;
}

/* ---- handles that are open ---- */

ptrdiff_t ae_h5_handles(void) {
    enter();
    const ptrdiff_t n = count_handles();
    leave(AE_OK);
    return n;
}

/* A leak checker cannot tell what we forgot from what the library keeps, so the end of a checked program asks. */
#ifdef __SANITIZE_ADDRESS__
__attribute__((destructor)) static void expect_no_handles(void) {
    if (first_loose[0] == 0 || is_half_open || pthread_mutex_trylock(&lock) != 0) return;
    const ptrdiff_t n = count_handles();
    pthread_mutex_unlock(&lock);
    if (n == 0) return;
    fprintf(stderr, "SUMMARY: handle Sanitizer: %td HDF5 handles are still open\n", n);
    abort();
}
#endif

/* ---- what went wrong, from the library's error stack ---- */

typedef struct {
    char reason[256]; /* of the innermost error */
    int error;        /* the errno that a file driver wrote into its description, or 0 */
} trouble;

static herr_t look_at_error(unsigned n, const H5E_error2_t *e, void *data) {
    trouble *t = data;
    if (e->desc == NULL) return 0;
    if (n == 0 || t->reason[0] == '\0') snprintf(t->reason, sizeof t->reason, "%s", e->desc);
    const char *number = strstr(e->desc, "errno = ");
    if (number != NULL && t->error == 0) t->error = (int)strtol(number + 8, NULL, 10);
    return 0;
}

static trouble last_trouble(void) {
    trouble t = {.reason = ""};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, look_at_error, &t);
    if (t.reason[0] == '\0') snprintf(t.reason, sizeof t.reason, "unknown reason");
    return t;
}

static ae_status read_failed(const char *path, const char *name) {
    trouble t = last_trouble();
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: cannot be read, the file is truncated or damaged (%s)", path, name,
                   t.reason);
}

static ae_status write_failed(const char *path, const char *name) {
    trouble t = last_trouble();
    is_half_open = true;
    if (t.error != 0) {
        errno = t.error;
        return ae_output_failed(path);
    }
    return AE_FAIL(AE_ERR_RESOURCE, "%s: %s: cannot be written (%s)", path, name, t.reason);
}

/* ---- files ---- */

static ae_status open_file(hid_t *file, const char *path) {
    *file = H5I_INVALID_HID;
    FILE *probe = fopen(path, "rbe");
    if (probe == NULL)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected an HDF5 file, found: %s", path, strerror(errno));
    fclose(probe);
    if (ae_path_is_folder(path))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected an HDF5 file, found a folder", path);
    if (H5Fis_hdf5(path) <= 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected an HDF5 file, found another format", path);
    if (!ae_h5_survives(path))
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: expected a whole HDF5 file, found a damaged one, over which the HDF5 library fails", path);
    *file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (*file >= 0) return AE_OK;
    trouble t = last_trouble();
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a whole HDF5 file, found a truncated or damaged one (%s)",
                   path, t.reason);
}

ae_status ae_h5_open(hid_t *file, const char *path) {
    enter();
    return leave(open_file(file, path));
}

/* The form of HDF5 1.10, in which all that describes the data carries checksums: a flipped bit there is an error, where older forms may
 * mean something else or crash the library. */
ae_status ae_h5_create(hid_t *file, const char *path) {
    enter();
    hid_t creation = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_obj_track_times(creation, false); /* the same contents are the same bytes */
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    *file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    const ae_status st = *file >= 0 ? AE_OK : write_failed(path, "file");
    H5Pclose(access);
    H5Pclose(creation);
    return leave(st);
}

ae_status ae_h5_close(hid_t file, const char *path) {
    if (file < 0) return AE_OK;
    enter();
    ae_status st = H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0 ? AE_OK : write_failed(path, "file");
    if (H5Fclose(file) < 0 && st == AE_OK) st = write_failed(path, "file");
    return leave(st);
}

/* Every part of the path must exist before the library may be asked for the whole. */
static bool has_object(hid_t file, const char *name) {
    char part[1024];
    size_t n = strlen(name);
    if (n == 0 || n >= sizeof part) return false;
    for (size_t i = 1; i <= n; i++) {
        if (name[i] != '/' && name[i] != '\0') continue;
        memcpy(part, name, i);
        part[i] = '\0';
        if (H5Lexists(file, part, H5P_DEFAULT) <= 0) return false;
    }
    return H5Oexists_by_name(file, name, H5P_DEFAULT) > 0;
}

bool ae_h5_has(hid_t file, const char *name) {
    enter();
    bool has = has_object(file, name);
    leave(AE_OK);
    return has;
}

/* ---- names ---- */

void ae_h5_free_names(char **names, size_t n) {
    for (size_t i = 0; names != NULL && i < n; i++) free(names[i]);
    free(names);
}

typedef struct {
    char **names;
    size_t n, capacity;
    bool whole; /* memory was enough */
} name_list;

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *info, void *data) {
    name_list *l = data;
    (void)group;
    (void)info;
    l->whole = false;
    if (l->n == l->capacity) {
        const size_t capacity = 2 * l->capacity + 64;
        char **grown = realloc(l->names, capacity * sizeof *grown);
        if (grown == NULL) return -1;
        l->names = grown;
        l->capacity = capacity;
    }
    l->names[l->n] = strdup(name);
    if (l->names[l->n] == NULL) return -1;
    l->n++;
    l->whole = true;
    return 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In the order of the file, then sorted: for an order of its own HDF5 makes a table first, whose release crashes (1.10.8) where a damaged
 * file breaks it off. */
static ae_status read_names(char ***names, size_t *n, hid_t file, const char *path) {
    name_list l = {.names = calloc(1, sizeof *l.names), .capacity = 1, .whole = true};
    const bool read =
        l.names != NULL && H5Literate(file, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, add_name, &l) >= 0;
    *names = l.names;
    *n = l.n;
    if (l.names == NULL || !l.whole) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    if (!read) return read_failed(path, "names");
    qsort(l.names, l.n, sizeof *l.names, by_name);
    return AE_OK;
}

ae_status ae_h5_names(hid_t file, const char *path, char ***names, size_t *n) {
    enter();
    *names = NULL;
    *n = 0;
    ae_status st = read_names(names, n, file, path);
    if (st != AE_OK) {
        ae_h5_free_names(*names, *n);
        *names = NULL;
        *n = 0;
    }
    return leave(st);
}

/* ---- shapes and types ---- */

static void format_shape(char *out, size_t bytes, int rank, const int64_t *shape) {
    size_t n = (size_t)snprintf(out, bytes, "[");
    for (int i = 0; i < rank && n < bytes; i++) {
        n += (size_t)snprintf(out + n, bytes - n, "%s%lld", i > 0 ? ", " : "", (long long)shape[i]);
    }
    if (n < bytes) snprintf(out + n, bytes - n, "]");
}

static ae_status open_set(hid_t *set, hid_t file, const char *path, const char *name) {
    *set = H5I_INVALID_HID;
    if (!has_object(file, name))
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected a data set, found none of that name", path, name);
    *set = H5Dopen2(file, name, H5P_DEFAULT);
    return *set >= 0 ? AE_OK
                     : AE_FAIL(AE_ERR_INPUT, "%s: %s: expected a data set, found something else", path, name);
}

static ae_status get_shape(hid_t set, const char *path, const char *name, int rank, int64_t *shape) {
    hsize_t dims[H5S_MAX_RANK];
    hid_t space = H5Dget_space(set);
    int found = space >= 0 ? H5Sget_simple_extent_dims(space, dims, NULL) : -1;
    H5Sclose(space);
    if (found < 0) return read_failed(path, name);
    if (found != rank)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %d dimensions, found %d", path, name, rank, found);
    for (int i = 0; i < rank; i++) {
        if (dims[i] > INT64_MAX) return AE_FAIL(AE_ERR_INPUT, "%s: %s: is too long", path, name);
        shape[i] = (int64_t)dims[i];
    }
    return AE_OK;
}

static ae_status expect_shape(hid_t set, const char *path, const char *name, int rank, const int64_t *shape) {
    int64_t found[RANK_MAX] = {0};
    if (rank > RANK_MAX)
        return AE_FAIL(AE_ERR_DEFECT, "%s: %s: %d dimensions are too many", path, name, rank);
    ae_status st = get_shape(set, path, name, rank, found);
    if (st != AE_OK || memcmp(found, shape, (size_t)rank * sizeof *shape) == 0) return st;
    char want[192], have[192];
    format_shape(want, sizeof want, rank, shape);
    format_shape(have, sizeof have, rank, found);
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected shape %s, found %s", path, name, want, have);
}

static const char *class_name(H5T_class_t c) {
    switch (c) {
    case H5T_INTEGER:
        return "whole numbers";
    case H5T_FLOAT:
        return "floating-point numbers";
    case H5T_STRING:
        return "text";
    case H5T_ENUM:
        return "an enumeration";
    default:
        return "another type";
    }
}

/* HDF5 would turn 2.7 into 2 in silence; whole numbers read as floating point are fine, and so are h5py's booleans. */
static ae_status expect_type(hid_t set, const char *path, const char *name, hid_t wanted) {
    hid_t type = H5Dget_type(set);
    H5T_class_t found = H5Tget_class(type), want = H5Tget_class(wanted);
    H5Tclose(type);
    if (found == want || (want == H5T_FLOAT && found == H5T_INTEGER) ||
        (want == H5T_INTEGER && found == H5T_ENUM))
        return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %s, found %s", path, name, class_name(want),
                   class_name(found));
}

/* ---- whole data sets and ranges ---- */

/* Called where a number does not fit the type in memory, which HDF5 would clamp. */
static H5T_conv_ret_t refuse_clamping(H5T_conv_except_t what, hid_t from, hid_t to, void *x, void *y,
                                      void *data) {
    (void)from;
    (void)x;
    (void)y;
    if (H5Tget_class(to) != H5T_INTEGER) return H5T_CONV_UNHANDLED;
    if (what != H5T_CONV_EXCEPT_RANGE_HI && what != H5T_CONV_EXCEPT_RANGE_LOW) return H5T_CONV_UNHANDLED;
    *(bool *)data = true;
    return H5T_CONV_ABORT;
}

static ae_status transfer_in(hid_t set, const char *path, const char *name, hid_t type, hid_t memory,
                             hid_t space, void *out) {
    bool clamped = false;
    hid_t list = H5Pcreate(H5P_DATASET_XFER);
    H5Pset_type_conv_cb(list, refuse_clamping, &clamped);
    herr_t read = H5Dread(set, type, memory, space, list, out);
    H5Pclose(list);
    if (read >= 0) return AE_OK;
    if (!clamped) return read_failed(path, name);
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected numbers that fit %zu bytes, found bigger or negative ones",
                   path, name, H5Tget_size(type));
}

static ae_status read_whole(hid_t file, const char *path, const char *name, hid_t type, int rank,
                            const int64_t *shape, void *out) {
    hid_t set;
    ae_status st;
    AE_TRY(open_set(&set, file, path, name));
    AE_TRY(expect_shape(set, path, name, rank, shape));
    AE_TRY(expect_type(set, path, name, type));
    AE_TRY(transfer_in(set, path, name, type, H5S_ALL, H5S_ALL, out));
out:
    H5Dclose(set);
    return st;
}

ae_status ae_h5_shape(hid_t file, const char *path, const char *name, int rank, int64_t *shape) {
    enter();
    hid_t set;
    ae_status st = open_set(&set, file, path, name);
    if (st == AE_OK) st = get_shape(set, path, name, rank, shape);
    H5Dclose(set);
    return leave(st);
}

/* Bytes of data in the chunks that a set has. */
static hsize_t chunk_room(hid_t set, hid_t layout, hsize_t each) {
    const hid_t space = H5Dget_space(set);
    hsize_t chunks = 0, entries = 0, room = 0;
    const bool known = H5Pget_chunk(layout, 1, &entries) == 1 && H5Dget_num_chunks(set, space, &chunks) >= 0;
    H5Sclose(space);
    if (!known) return 0;
    const bool over =
        __builtin_mul_overflow(chunks, entries, &room) || __builtin_mul_overflow(room, each, &room);
    return over ? UINT64_MAX : room;
}

/* Whether n entries can be in the file: deflate makes at most 1032 bytes of one, which is asked before chunks are counted. */
static bool has_room(hid_t set, hid_t file, hsize_t n) {
    enum { DEFLATE_MOST = 1032 };
    const hid_t layout = H5Dget_create_plist(set), type = H5Dget_type(set);
    const bool chunked = H5Pget_layout(layout) == H5D_CHUNKED;
    const hsize_t each = H5Tget_size(type);
    hsize_t bytes = 0, want = 0;
    bool fits = each > 0 && H5Fget_filesize(file, &bytes) >= 0 && !__builtin_mul_overflow(n, each, &want);
    fits = fits && want / (chunked ? DEFLATE_MOST : 1) <= bytes;
    fits = fits && want <= (chunked ? chunk_room(set, layout, each) : H5Dget_storage_size(set));
    H5Tclose(type);
    H5Pclose(layout);
    return fits;
}

ae_status ae_h5_length(hid_t file, const char *path, const char *name, int64_t *n) {
    enter();
    hid_t set;
    ae_status st = open_set(&set, file, path, name);
    if (st == AE_OK) st = get_shape(set, path, name, 1, n);
    if (st == AE_OK && *n > 0 && !has_room(set, file, (hsize_t)*n))
        st = AE_FAIL(AE_ERR_INPUT, "%s: %s: expected no more entries than the file holds, found %lld", path,
                     name, (long long)*n);
    H5Dclose(set);
    return leave(st);
}

ae_status ae_h5_read(hid_t file, const char *path, const char *name, hid_t type, int rank,
                     const int64_t *shape, void *out) {
    enter();
    return leave(read_whole(file, path, name, type, rank, shape, out));
}

/* Entries [first, first + n) of the first dimension, and all of the others. `what`: their name in messages. */
static ae_status read_part(hid_t set, const char *path, const char *name, hid_t type, const char *what,
                           int rank, const int64_t *shape, int64_t first, int64_t n, void *out) {
    hsize_t start[RANK_MAX] = {(hsize_t)first}, count[RANK_MAX] = {(hsize_t)n};
    ae_status st = expect_type(set, path, name, type);
    if (st != AE_OK) return st;
    if (first < 0 || n < 0 || first > shape[0] || n > shape[0] - first)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %s %lld to %lld, found only %lld", path, name, what,
                       (long long)first, (long long)(first + n), (long long)shape[0]);
    if (n == 0) return AE_OK;
    for (int i = 1; i < rank; i++) count[i] = (hsize_t)shape[i];
    const hid_t space = H5Dget_space(set), memory = H5Screate_simple(rank, count, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    st = transfer_in(set, path, name, type, memory, space, out);
    H5Sclose(memory);
    H5Sclose(space);
    return st;
}

static ae_status read_range(hid_t file, const char *path, const char *name, hid_t type, int64_t first,
                            int64_t n, void *out) {
    hid_t set;
    int64_t length = 0;
    ae_status st = open_set(&set, file, path, name);
    if (st == AE_OK) st = get_shape(set, path, name, 1, &length);
    if (st == AE_OK) st = read_part(set, path, name, type, "entries", 1, &length, first, n, out);
    H5Dclose(set);
    return st;
}

ae_status ae_h5_read_range(hid_t file, const char *path, const char *name, hid_t type, int64_t first,
                           int64_t n, void *out) {
    enter();
    return leave(read_range(file, path, name, type, first, n, out));
}

static ae_status read_rows(hid_t file, const char *path, const char *name, hid_t type, int rank,
                           const int64_t *shape, int64_t first, int64_t n, void *out) {
    hid_t set;
    ae_status st = open_set(&set, file, path, name);
    if (st == AE_OK) st = expect_shape(set, path, name, rank, shape);
    if (st == AE_OK) st = read_part(set, path, name, type, "rows", rank, shape, first, n, out);
    H5Dclose(set);
    return st;
}

ae_status ae_h5_read_rows(hid_t file, const char *path, const char *name, hid_t type, int rank,
                          const int64_t *shape, int64_t first, int64_t n, void *out) {
    enter();
    return leave(read_rows(file, path, name, type, rank, shape, first, n, out));
}

static ae_status describe(hid_t set, const char *path, const char *name, ae_h5_set *out) {
    hsize_t dims[H5S_MAX_RANK];
    const hid_t space = H5Dget_space(set), type = H5Dget_type(set);
    const H5T_class_t class = H5Tget_class(type);
    out->rank = space >= 0 ? H5Sget_simple_extent_dims(space, dims, NULL) : -1;
    out->bytes = H5Tget_size(type);
    out->real = class == H5T_FLOAT;
    H5Tclose(type);
    H5Sclose(space);
    if (out->rank < 0 || out->bytes == 0) return read_failed(path, name);
    if (class != H5T_FLOAT && class != H5T_INTEGER)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected numbers, found %s", path, name, class_name(class));
    if (out->rank > AE_H5_RANK_MAX)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected at most %d dimensions, found %d", path, name,
                       AE_H5_RANK_MAX, out->rank);
    hsize_t bytes = out->bytes;
    bool over = false;
    for (int i = 0; i < out->rank; i++) {
        over |= dims[i] > INT64_MAX || __builtin_mul_overflow(bytes, dims[i], &bytes);
        out->shape[i] = (int64_t)dims[i];
    }
    if (over || bytes > AE_H5_BYTES_MAX)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected at most %llu bytes, found a shape of more", path, name,
                       (unsigned long long)AE_H5_BYTES_MAX);
    return AE_OK;
}

ae_status ae_h5_describe(hid_t file, const char *path, const char *name, ae_h5_set *out) {
    enter();
    hid_t set;
    *out = (ae_h5_set){0};
    ae_status st = open_set(&set, file, path, name);
    if (st == AE_OK) st = describe(set, path, name, out);
    H5Dclose(set);
    return leave(st);
}

static ae_status create_set(hid_t *set, hid_t file, const char *path, const char *name, hid_t type,
                            hid_t space, hid_t layout) {
    *set = H5I_INVALID_HID;
    if (has_object(file, name)) return AE_FAIL(AE_ERR_DEFECT, "%s: %s: is written twice", path, name);
    hid_t link = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(link, 1);
    H5Pset_obj_track_times(layout, false); /* the same contents are the same bytes */
    *set = H5Dcreate2(file, name, type, space, link, layout, H5P_DEFAULT);
    H5Pclose(link);
    return *set >= 0 ? AE_OK : write_failed(path, name);
}

static ae_status write_whole(hid_t file, const char *path, const char *name, hid_t type, int rank,
                             const int64_t *shape, const void *x) {
    hsize_t dims[RANK_MAX];
    hid_t set = H5I_INVALID_HID, space = H5I_INVALID_HID, layout = H5I_INVALID_HID;
    ae_status st = AE_OK;
    if (rank > RANK_MAX)
        AE_TRY(AE_FAIL(AE_ERR_DEFECT, "%s: %s: %d dimensions are too many", path, name, rank));
    for (int i = 0; i < rank; i++) dims[i] = (hsize_t)shape[i];
    space = H5Screate_simple(rank, dims, NULL);
    layout = H5Pcreate(H5P_DATASET_CREATE);
    AE_TRY(create_set(&set, file, path, name, type, space, layout));
    if (H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) < 0) st = write_failed(path, name);
out:
    if (H5Dclose(set) < 0 && set >= 0 && st == AE_OK) st = write_failed(path, name);
    H5Pclose(layout);
    H5Sclose(space);
    return st;
}

ae_status ae_h5_write(hid_t file, const char *path, const char *name, hid_t type, int rank,
                      const int64_t *shape, const void *x) {
    enter();
    return leave(write_whole(file, path, name, type, rank, shape, x));
}

/* ---- growing data sets ---- */

ae_status ae_h5_create_growing(hid_t file, const char *path, const char *name, hid_t type, int64_t chunk) {
    enter();
    hsize_t none = 0, unlimited = H5S_UNLIMITED, chunk_dim = (hsize_t)chunk;
    hid_t set, space = H5Screate_simple(1, &none, &unlimited), layout = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(layout, 1, &chunk_dim);
    H5Pset_shuffle(layout);
    H5Pset_deflate(layout, DEFLATE_LEVEL);
    H5Pset_fletcher32(layout);
    ae_status st = create_set(&set, file, path, name, type, space, layout);
    if (H5Dclose(set) < 0 && st == AE_OK) st = write_failed(path, name);
    H5Pclose(layout);
    H5Sclose(space);
    return leave(st);
}

static ae_status append(hid_t set, const char *path, const char *name, hid_t type, int64_t n, const void *x) {
    int64_t length;
    ae_status st = get_shape(set, path, name, 1, &length);
    if (st != AE_OK || n == 0) return st;
    hsize_t start = (hsize_t)length, count = (hsize_t)n, grown = start + count;
    if (H5Dset_extent(set, &grown) < 0) return write_failed(path, name);
    hid_t space = H5Dget_space(set), memory = H5Screate_simple(1, &count, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &count, NULL);
    if (H5Dwrite(set, type, memory, space, H5P_DEFAULT, x) < 0) st = write_failed(path, name);
    H5Sclose(memory);
    H5Sclose(space);
    return st;
}

ae_status ae_h5_append(hid_t file, const char *path, const char *name, hid_t type, int64_t n, const void *x) {
    enter();
    hid_t set;
    ae_status st = open_set(&set, file, path, name);
    if (st == AE_OK) st = append(set, path, name, type, n, x);
    if (H5Dclose(set) < 0 && st == AE_OK) st = write_failed(path, name);
    return leave(st);
}

/* ---- attributes of the file ---- */

static ae_status open_attr(hid_t *attr, hid_t *type, hid_t file, const char *path, const char *name,
                           H5T_class_t want) {
    *attr = *type = H5I_INVALID_HID;
    if (H5Aexists(file, name) <= 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: attribute %s: expected %s, found none", path, name,
                       class_name(want));
    *attr = H5Aopen(file, name, H5P_DEFAULT);
    if (*attr < 0) return read_failed(path, name);
    *type = H5Aget_type(*attr);
    H5T_class_t found = H5Tget_class(*type);
    hid_t space = H5Aget_space(*attr);
    hssize_t n = H5Sget_simple_extent_npoints(space);
    H5Sclose(space);
    if (found != want) {
        return AE_FAIL(AE_ERR_INPUT, "%s: attribute %s: expected %s, found %s", path, name, class_name(want),
                       class_name(found));
    }
    if (n != 1)
        return AE_FAIL(AE_ERR_INPUT, "%s: attribute %s: expected one value, found %lld", path, name,
                       (long long)n);
    return AE_OK;
}

ae_status ae_h5_attr_int(hid_t file, const char *path, const char *name, int64_t *value) {
    enter();
    hid_t attr, type;
    ae_status st = open_attr(&attr, &type, file, path, name, H5T_INTEGER);
    if (st == AE_OK && H5Aread(attr, H5T_NATIVE_INT64, value) < 0) st = read_failed(path, name);
    H5Tclose(type);
    H5Aclose(attr);
    return leave(st);
}

/* Text of variable length lies in a heap without checksums, in which a flipped bit crashes the library. */
static ae_status read_text(hid_t attr, hid_t type, const char *path, const char *name, char **text) {
    if (H5Tis_variable_str(type) != 0)
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: attribute %s: expected text of a fixed length, found one of variable length; write "
            "it with a fixed length (h5py: numpy.bytes_(text)) or leave it out",
            path, name);
    *text = calloc(H5Tget_size(type) + 1, 1);
    if (*text == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    if (H5Aread(attr, type, *text) >= 0) return AE_OK;
    free(*text);
    *text = NULL;
    return read_failed(path, name);
}

ae_status ae_h5_attr_text(hid_t file, const char *path, const char *name, char **text) {
    enter();
    hid_t attr, type;
    *text = NULL;
    ae_status st = open_attr(&attr, &type, file, path, name, H5T_STRING);
    if (st == AE_OK) st = read_text(attr, type, path, name, text);
    H5Tclose(type);
    H5Aclose(attr);
    return leave(st);
}

static ae_status set_attr(hid_t file, const char *path, const char *name, hid_t type, const void *value) {
    if (H5Aexists(file, name) > 0) H5Adelete(file, name);
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attr = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    ae_status st = attr >= 0 && H5Awrite(attr, type, value) >= 0 ? AE_OK : write_failed(path, name);
    H5Aclose(attr);
    H5Sclose(space);
    return st;
}

ae_status ae_h5_set_attr_int(hid_t file, const char *path, const char *name, int64_t value) {
    enter();
    return leave(set_attr(file, path, name, H5T_NATIVE_INT64, &value));
}

/* Fixed length: it lies under the checksums of the header, or of the heap of long ones. */
ae_status ae_h5_set_attr_text(hid_t file, const char *path, const char *name, const char *text) {
    enter();
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, strlen(text) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    ae_status st = set_attr(file, path, name, type, text);
    H5Tclose(type);
    return leave(st);
}

bool ae_h5_has_attr(hid_t file, const char *name) {
    enter();
    bool has = H5Aexists(file, name) > 0;
    leave(AE_OK);
    return has;
}
