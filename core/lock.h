#ifndef AE_CORE_LOCK_H
#define AE_CORE_LOCK_H
#include "core/status.h"

/* Locks of files and folders against other processes. They go with the descriptor, however the process
 * ends. */

typedef enum {
    AE_LOCK_HELD,
    AE_LOCK_BUSY, /* another process has it */
    AE_LOCK_NONE  /* the file system has no locks */
} ae_lock_state;

/* Of an open file: flock, and where that is not to be had a lock of the record kind, which asks for a
 * descriptor that may write. */
ae_lock_state ae_lock_file(int fd);

/* The lock of a folder, held until *lock is closed or the process ends: AE_ERR_USAGE, and *lock 0, when
 * another has it. Where folders have no locks there is none in the way. */
ae_status ae_folder_lock(int *lock, const char *path);

#endif
