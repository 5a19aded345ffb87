#ifndef AE_CORE_H5_H
#define AE_CORE_H5_H
#include "core/status.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names such as H5T_NATIVE_FLOAT would call H5open() where they are used, outside our lock and beside another
 * thread's work. Every file handle of ours comes from a library that is open already. */
#undef H5OPEN
#define H5OPEN

/* HDF5 with messages of ours: every failure names the file, the data set, what was expected and what was
 * found. The library's own error stack is silenced at the first call. All calls are serialised by one lock,
 * since Debian's HDF5 is not thread-safe. */

bool ae_h5_is_file(const char *path);                  /* whether there is an HDF5 file, whole or not */
ae_status ae_h5_open(hid_t *file, const char *path);   /* read-only; missing or no HDF5: AE_ERR_INPUT */
ae_status ae_h5_create(hid_t *file, const char *path); /* truncates; for HDF5 1.10 or later */
ae_status ae_h5_close(hid_t file, const char *path);   /* flush errors (full disk) are AE_ERR_RESOURCE */

/* Files, data sets, attributes, types, spaces and lists of ours that are open. Builds with the address
 * sanitizer abort at exit when there are any, unless something could not be written: what the library keeps
 * of that is its own. */
ptrdiff_t ae_h5_handles(void);

bool ae_h5_has(hid_t file, const char *name);
/* Names of everything at the top of the file, in order; freed with ae_h5_free_names. */
ae_status ae_h5_names(hid_t file, const char *path, char ***names, size_t *n);
void ae_h5_free_names(char **names, size_t n);
ae_status ae_h5_shape(hid_t file, const char *path, const char *name, int rank, int64_t *shape);

/* Length of a one-dimensional data set of which the file holds every entry: AE_ERR_INPUT for one that says it
 * has more than there is room for, before memory for them is taken. */
ae_status ae_h5_length(hid_t file, const char *path, const char *name, int64_t *n);

/* Whole data sets of a known shape; conversion by HDF5 to the memory type given (H5T_NATIVE_FLOAT, ...). */
ae_status ae_h5_read(hid_t file, const char *path, const char *name, hid_t type, int rank,
                     const int64_t *shape, void *out);
/* Entries [first, first + n) of the first dimension of one. */
ae_status ae_h5_read_rows(hid_t file, const char *path, const char *name, hid_t type, int rank,
                          const int64_t *shape, int64_t first, int64_t n, void *out);
ae_status ae_h5_write(hid_t file, const char *path, const char *name, hid_t type, int rank,
                      const int64_t *shape, const void *x);
/* [first, first + n) of a one-dimensional data set. */
ae_status ae_h5_read_range(hid_t file, const char *path, const char *name, hid_t type, int64_t first,
                           int64_t n, void *out);

/* What a data set is, for listings. */
enum { AE_H5_RANK_MAX = 8 };
#define AE_H5_BYTES_MAX (UINT64_C(1) << 50) /* sums over many sets stay numbers */
typedef struct {
    int rank;
    int64_t shape[AE_H5_RANK_MAX];
    bool real;    /* floating-point numbers; else whole ones */
    size_t bytes; /* of an element in the file */
} ae_h5_set;
/* AE_ERR_INPUT for what holds no numbers, or has more than AE_H5_RANK_MAX dimensions or AE_H5_BYTES_MAX
 * bytes. */
ae_status ae_h5_describe(hid_t file, const char *path, const char *name, ae_h5_set *set);

/* An extendable, chunked, deflated one-dimensional data set with checksums, and appending to it. */
ae_status ae_h5_create_growing(hid_t file, const char *path, const char *name, hid_t type, int64_t chunk);
ae_status ae_h5_append(hid_t file, const char *path, const char *name, hid_t type, int64_t n, const void *x);

ae_status ae_h5_attr_int(hid_t file, const char *path, const char *name, int64_t *value);
/* Caller frees. One of variable length is AE_ERR_INPUT. */
ae_status ae_h5_attr_text(hid_t file, const char *path, const char *name, char **text);
ae_status ae_h5_set_attr_int(hid_t file, const char *path, const char *name, int64_t value);
ae_status ae_h5_set_attr_text(hid_t file, const char *path, const char *name, const char *text);
bool ae_h5_has_attr(hid_t file, const char *name);

#endif
