#ifndef AE_CLI_RESULTS_H
#define AE_CLI_RESULTS_H
#include "core/status.h"

#include <stdbool.h>
#include <stdio.h>

/* Where a verb's result lines go: standard output, or a file that appears whole under its name when all is written. */
typedef struct {
    FILE *file;
    const char *name;   /* for messages */
    char *path, *aside; /* NULL for standard output and devices */
    bool owned;
} ae_results;

/* `path` NULL or "-": standard output. A file that exists is AE_ERR_USAGE without `force`; a device or pipe is written as it is. */
ae_status ae_results_open(ae_results *r, const char *path, bool force);
/* Hands what was written on to the reader. */
ae_status ae_results_flush(ae_results *r);
/* Ends: with AE_OK the file gets its name (the status of that is returned), else what was written is removed and `st` returned. */
ae_status ae_results_close(ae_results *r, ae_status st);

#endif
