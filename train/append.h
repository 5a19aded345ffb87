#ifndef AE_TRAIN_APPEND_H
#define AE_TRAIN_APPEND_H
#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A file that grows by whole pieces, of one process only. What both metrics and events need: open cut to
 * an offset, take back a piece that a full disk cut short, sync. */

/* Opens a file and takes its lock, no more: AE_ERR_USAGE at once when another process holds it. One that
 * is not there is made, or *file is NULL. */
ae_status ae_append_lock(FILE **file, const char *path, bool make);
/* Goes on with a *file that is locked, or opens one where that is NULL. */
ae_status ae_append_open(FILE **file, const char *path, int64_t offset);
/* Flushes what was written since *offset and moves *offset past it; on failure cuts the file back to
 * *offset. `written` says whether every write so far went well. */
ae_status ae_append_commit(FILE *file, const char *path, int written, int64_t *offset);
ae_status ae_append_sync(FILE *file, const char *path);

#endif
