#include "core/h5_library.h"

#include "core/file.h"
#include "core/h5.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One lock for the library, which goes in the order of asking: a writer that lets go between its pieces would
 * else take it again before a thread that waits has woken up. The thread that has it may
 * take it again. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t next, serving;
    pthread_t owner;
    int depth; /* 0: nobody has it */
} turn = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
static bool is_half_open; /* something could not be written: what the library holds for it is lost */

/* A file whose closing failed stays half-open inside the library, which then crashes while it cleans up at
 * exit. Before main, since any type of H5T_NATIVE_* starts the library. */
__attribute__((constructor)) static void no_cleanup_at_exit(void) {
    H5dont_atexit();
}

/* H5Fget_obj_count knows files, what is in them, and types. Spaces and lists can only be tried one by one:
 * the library numbers each kind upwards. */
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
    H5open();
    next_loose(first_loose);
}

static void take_turn(void) {
    pthread_mutex_lock(&turn.mutex);
    if (turn.depth == 0 || !pthread_equal(turn.owner, pthread_self())) {
        const uint64_t mine = turn.next++;
        while (turn.serving != mine) pthread_cond_wait(&turn.changed, &turn.mutex);
        turn.owner = pthread_self();
    }
    turn.depth++;
    pthread_mutex_unlock(&turn.mutex);
}

static void pass_turn(void) {
    pthread_mutex_lock(&turn.mutex);
    if (--turn.depth == 0) {
        turn.serving++;
        pthread_cond_broadcast(&turn.changed);
    }
    pthread_mutex_unlock(&turn.mutex);
}

void ae_h5_yield(void) {
    pass_turn();
    take_turn();
}

hid_t ae_h5_access(void) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(access, false, true);
    return access;
}

void ae_h5_enter(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static _Thread_local bool is_silent; /* a library built for threads has an error stack for each */
    pthread_once(&once, start_library);
    take_turn();
    if (!is_silent) H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    is_silent = true;
}

ae_status ae_h5_leave(ae_status st) {
    pass_turn();
    return st;
}

/* ---- handles that are open ---- */

ptrdiff_t ae_h5_handles(void) {
    ae_h5_enter();
    const ptrdiff_t n = count_handles();
    ae_h5_leave(AE_OK);
    return n;
}

/* A leak checker cannot tell what we forgot from what the library keeps, so the end of a checked program
 * asks. */
#ifdef __SANITIZE_ADDRESS__
__attribute__((destructor)) static void expect_no_handles(void) {
    if (first_loose[0] == 0 || is_half_open || turn.depth != 0) return;
    const ptrdiff_t n = count_handles();
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

ae_status ae_h5_open_failed(const char *path) {
    trouble t = last_trouble();
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a whole HDF5 file, found a truncated or damaged one (%s)",
                   path, t.reason);
}

ae_status ae_h5_read_failed(const char *path, const char *name) {
    trouble t = last_trouble();
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: cannot be read, the file is truncated or damaged (%s)", path, name,
                   t.reason);
}

ae_status ae_h5_write_failed(const char *path, const char *name) {
    trouble t = last_trouble();
    is_half_open = true;
    if (t.error != 0) {
        errno = t.error;
        return ae_output_failed(path);
    }
    return AE_FAIL(AE_ERR_RESOURCE, "%s: %s: cannot be written (%s)", path, name, t.reason);
}

/* ---- words ---- */

const char *ae_h5_class_name(H5T_class_t c) {
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
