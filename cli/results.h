#ifndef AE_CLI_RESULTS_H
#define AE_CLI_RESULTS_H
#include "core/status.h"

#include <stdbool.h>
#include <stdio.h>

/* Where a verb's result lines go: standard output, or a file that appears whole under its name when all is
 * written. */
typedef struct {
    FILE *file;
    const char *name;   /* for messages */
    char *path, *aside; /* NULL for standard output and devices */
    bool owned, force;
} ae_results;

/* Whether a file may be written at `path`: AE_ERR_USAGE for a folder, and without `force` for a file that
 * exists. Nothing is lost on a device or pipe. */
ae_status ae_results_check(const char *path, bool force, bool *is_device);
/* The same of a file that is read again: a device or pipe is AE_ERR_USAGE too. */
ae_status ae_results_check_file(const char *path, bool force);
/* `path` NULL or "-": standard output. A file that exists is AE_ERR_USAGE without `force`; a device or pipe
 * is written as it is. Folders on the way to it are made. */
ae_status ae_results_open(ae_results *r, const char *path, bool force);
/* Hands what was written on to the reader. */
ae_status ae_results_flush(ae_results *r);
/* Ends: with AE_OK the file gets its name (the status of that is returned), else what was written is removed
 * and `st` returned. */
ae_status ae_results_close(ae_results *r, ae_status st);

#endif
