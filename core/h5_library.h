#ifndef AE_CORE_H5_LIBRARY_H
#define AE_CORE_H5_LIBRARY_H
#include "core/status.h"

#include <hdf5.h>

/* What the files behind core/h5.h share: the library's start and lock, and what it says went wrong. */

/* Around every use of the library: one thread at a time, silent. The lock is recursive. */
void ae_h5_enter(void);
ae_status ae_h5_leave(ae_status st); /* hands `st` on */

/* Whoever waits for the lock has it now, and then the caller again: between pieces of long work. */
void ae_h5_yield(void);

/* How files are opened: without locks of their own, which some file systems do not have. What several
 * processes write has a lock of ours (core/lock.h). The caller closes it. */
hid_t ae_h5_access(void);

/* Of the call that has just failed, with the library's reason. Reading: AE_ERR_INPUT. Writing: as
 * ae_output_failed where a file could not be written, else AE_ERR_RESOURCE. */
ae_status ae_h5_open_failed(const char *path);
ae_status ae_h5_read_failed(const char *path, const char *name);
ae_status ae_h5_write_failed(const char *path, const char *name);

const char *ae_h5_class_name(H5T_class_t c); /* "whole numbers" */

#endif
