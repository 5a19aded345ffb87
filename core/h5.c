#include "core/h5.h"

#include "core/file.h"
#include "core/h5_library.h"
#include "core/h5_probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANK_MAX = AE_H5_RANK_MAX, DEFLATE_LEVEL = 3 };

/* ---- files ---- */

static ae_status open_file(hid_t *file, const char *path) {
    *file = H5I_INVALID_HID;
    FILE *probe = fopen(path, "rbe");
    if (probe == NULL)
        return errno == ENOENT
                   ? AE_FAIL(AE_ERR_INPUT, "%s: expected a file, found nothing there", path)
                   : AE_FAIL(AE_ERR_INPUT, "%s: expected a readable file, found: %s", path, strerror(errno));
    fclose(probe);
    if (ae_path_is_folder(path))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected an HDF5 file, found a folder", path);
    if (H5Fis_hdf5(path) <= 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected an HDF5 file, found another format", path);
    if (!ae_h5_survives(path))
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: expected a whole HDF5 file, found a damaged one, over which the HDF5 library fails", path);
    const hid_t access = ae_h5_access();
    *file = H5Fopen(path, H5F_ACC_RDONLY, access);
    const ae_status st = *file >= 0 ? AE_OK : ae_h5_open_failed(path);
    H5Pclose(access);
    return st;
}

bool ae_h5_is_file(const char *path) {
    ae_h5_enter();
    const bool is = ae_path_exists(path) && !ae_path_is_folder(path) && H5Fis_hdf5(path) > 0;
    (void)ae_h5_leave(AE_OK);
    return is;
}

ae_status ae_h5_open(hid_t *file, const char *path) {
    ae_h5_enter();
    return ae_h5_leave(open_file(file, path));
}

/* The form of HDF5 1.10, in which all that describes the data carries checksums: a flipped bit there is an
 * error, where older forms may mean something else or crash the library. */
ae_status ae_h5_create(hid_t *file, const char *path) {
    ae_h5_enter();
    hid_t creation = H5Pcreate(H5P_FILE_CREATE), access = ae_h5_access();
    H5Pset_obj_track_times(creation, false); /* the same contents are the same bytes */
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    *file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    const ae_status st = *file >= 0 ? AE_OK : ae_h5_write_failed(path, "file");
    H5Pclose(access);
    H5Pclose(creation);
    return ae_h5_leave(st);
}

ae_status ae_h5_close(hid_t file, const char *path) {
    if (file < 0) return AE_OK;
    ae_h5_enter();
    ae_status st = H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0 ? AE_OK : ae_h5_write_failed(path, "file");
    if (H5Fclose(file) < 0 && st == AE_OK) st = ae_h5_write_failed(path, "file");
    return ae_h5_leave(st);
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
    ae_h5_enter();
    bool has = has_object(file, name);
    ae_h5_leave(AE_OK);
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

/* In the order of the file, then sorted: for an order of its own HDF5 makes a table first, whose release
 * crashes (1.10.8) where a damaged file breaks it off. */
static ae_status read_names(char ***names, size_t *n, hid_t file, const char *path) {
    name_list l = {.names = calloc(1, sizeof *l.names), .capacity = 1, .whole = true};
    const bool read =
        l.names != NULL && H5Literate(file, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, add_name, &l) >= 0;
    *names = l.names;
    *n = l.n;
    if (l.names == NULL || !l.whole) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    if (!read) return ae_h5_read_failed(path, "names");
    qsort(l.names, l.n, sizeof *l.names, by_name);
    return AE_OK;
}

ae_status ae_h5_names(hid_t file, const char *path, char ***names, size_t *n) {
    ae_h5_enter();
    *names = NULL;
    *n = 0;
    ae_status st = read_names(names, n, file, path);
    if (st != AE_OK) {
        ae_h5_free_names(*names, *n);
        *names = NULL;
        *n = 0;
    }
    return ae_h5_leave(st);
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
    if (found < 0) return ae_h5_read_failed(path, name);
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

/* HDF5 would turn 2.7 into 2 in silence; whole numbers read as floating point are fine, and so are h5py's
 * booleans. */
static ae_status expect_type(hid_t set, const char *path, const char *name, hid_t wanted) {
    hid_t type = H5Dget_type(set);
    H5T_class_t found = H5Tget_class(type), want = H5Tget_class(wanted);
    H5Tclose(type);
    if (found == want || (want == H5T_FLOAT && found == H5T_INTEGER) ||
        (want == H5T_INTEGER && found == H5T_ENUM))
        return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %s, found %s", path, name, ae_h5_class_name(want),
                   ae_h5_class_name(found));
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
    if (!clamped) return ae_h5_read_failed(path, name);
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
    ae_h5_enter();
    hid_t set;
    ae_status st = open_set(&set, file, path, name);
    if (st == AE_OK) st = get_shape(set, path, name, rank, shape);
    H5Dclose(set);
    return ae_h5_leave(st);
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

/* Whether n entries can be in the file: deflate makes at most 1032 bytes of one, which is asked before chunks
 * are counted. */
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
    ae_h5_enter();
    hid_t set;
    ae_status st = open_set(&set, file, path, name);
    if (st == AE_OK) st = get_shape(set, path, name, 1, n);
    if (st == AE_OK && *n > 0 && !has_room(set, file, (hsize_t)*n))
        st = AE_FAIL(AE_ERR_INPUT, "%s: %s: expected no more entries than the file holds, found %lld", path,
                     name, (long long)*n);
    H5Dclose(set);
    return ae_h5_leave(st);
}

ae_status ae_h5_read(hid_t file, const char *path, const char *name, hid_t type, int rank,
                     const int64_t *shape, void *out) {
    ae_h5_enter();
    return ae_h5_leave(read_whole(file, path, name, type, rank, shape, out));
}

/* Entries [first, first + n) of the first dimension, and all of the others. `what`: their name in
 * messages. */
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
    ae_h5_enter();
    return ae_h5_leave(read_range(file, path, name, type, first, n, out));
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
    ae_h5_enter();
    return ae_h5_leave(read_rows(file, path, name, type, rank, shape, first, n, out));
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
    if (out->rank < 0 || out->bytes == 0) return ae_h5_read_failed(path, name);
    if (class != H5T_FLOAT && class != H5T_INTEGER)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected numbers, found %s", path, name,
                       ae_h5_class_name(class));
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
    ae_h5_enter();
    hid_t set;
    *out = (ae_h5_set){0};
    ae_status st = open_set(&set, file, path, name);
    if (st == AE_OK) st = describe(set, path, name, out);
    H5Dclose(set);
    return ae_h5_leave(st);
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
    return *set >= 0 ? AE_OK : ae_h5_write_failed(path, name);
}

static ae_status write_rows(hid_t set, const char *path, const char *name, hid_t type, int rank,
                            const hsize_t *dims, hsize_t first, hsize_t rows, const void *x) {
    hsize_t start[RANK_MAX] = {first}, count[RANK_MAX];
    for (int i = 0; i < rank; i++) count[i] = i == 0 ? rows : dims[i];
    const hid_t space = H5Dget_space(set), memory = H5Screate_simple(rank, count, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    const bool written = H5Dwrite(set, type, memory, space, H5P_DEFAULT, x) >= 0;
    H5Sclose(memory);
    H5Sclose(space);
    return written ? AE_OK : ae_h5_write_failed(path, name);
}

/* The library has one lock, and a slow disk keeps the thread that has it: between pieces of some megabytes
 * the lock goes to a thread that waits, as the loader of a run does while a checkpoint is written. */
static ae_status write_pieces(hid_t set, const char *path, const char *name, hid_t type, int rank,
                              const hsize_t *dims, const void *x) {
    enum { PIECE_BYTES = 4 << 20 };
    size_t row_bytes = H5Tget_size(type);
    if (rank == 0)
        return H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0 ? AE_OK
                                                                          : ae_h5_write_failed(path, name);
    for (int i = 1; i < rank; i++) row_bytes *= (size_t)dims[i];
    const hsize_t each = row_bytes > 0 && row_bytes < PIECE_BYTES ? PIECE_BYTES / row_bytes : 1;
    ae_status st = AE_OK;
    for (hsize_t row = 0; row < dims[0] && st == AE_OK; row += each) {
        const hsize_t rows = dims[0] - row < each ? dims[0] - row : each;
        st = write_rows(set, path, name, type, rank, dims, row, rows, (const char *)x + row * row_bytes);
        ae_h5_yield();
    }
    return st;
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
    st = write_pieces(set, path, name, type, rank, dims, x);
out:
    if (H5Dclose(set) < 0 && set >= 0 && st == AE_OK) st = ae_h5_write_failed(path, name);
    H5Pclose(layout);
    H5Sclose(space);
    return st;
}

ae_status ae_h5_write(hid_t file, const char *path, const char *name, hid_t type, int rank,
                      const int64_t *shape, const void *x) {
    ae_h5_enter();
    return ae_h5_leave(write_whole(file, path, name, type, rank, shape, x));
}

/* ---- growing data sets ---- */

ae_status ae_h5_create_growing(hid_t file, const char *path, const char *name, hid_t type, int64_t chunk) {
    ae_h5_enter();
    hsize_t none = 0, unlimited = H5S_UNLIMITED, chunk_dim = (hsize_t)chunk;
    hid_t set, space = H5Screate_simple(1, &none, &unlimited), layout = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(layout, 1, &chunk_dim);
    H5Pset_shuffle(layout);
    H5Pset_deflate(layout, DEFLATE_LEVEL);
    H5Pset_fletcher32(layout);
    ae_status st = create_set(&set, file, path, name, type, space, layout);
    if (H5Dclose(set) < 0 && st == AE_OK) st = ae_h5_write_failed(path, name);
    H5Pclose(layout);
    H5Sclose(space);
    return ae_h5_leave(st);
}

static ae_status append(hid_t set, const char *path, const char *name, hid_t type, int64_t n, const void *x) {
    int64_t length;
    ae_status st = get_shape(set, path, name, 1, &length);
    if (st != AE_OK || n == 0) return st;
    hsize_t start = (hsize_t)length, count = (hsize_t)n, grown = start + count;
    if (H5Dset_extent(set, &grown) < 0) return ae_h5_write_failed(path, name);
    hid_t space = H5Dget_space(set), memory = H5Screate_simple(1, &count, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &count, NULL);
    if (H5Dwrite(set, type, memory, space, H5P_DEFAULT, x) < 0) st = ae_h5_write_failed(path, name);
    H5Sclose(memory);
    H5Sclose(space);
    return st;
}

ae_status ae_h5_append(hid_t file, const char *path, const char *name, hid_t type, int64_t n, const void *x) {
    ae_h5_enter();
    hid_t set;
    ae_status st = open_set(&set, file, path, name);
    if (st == AE_OK) st = append(set, path, name, type, n, x);
    if (H5Dclose(set) < 0 && st == AE_OK) st = ae_h5_write_failed(path, name);
    return ae_h5_leave(st);
}
