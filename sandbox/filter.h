#ifndef AE_SANDBOX_FILTER_H
#define AE_SANDBOX_FILTER_H
#include "core/status.h"

/* The filter of system calls (seccomp) that bubblewrap puts before the program, as BPF in a file without a name; the
 * caller closes *fd. Everything is allowed but: tracing of and access to other processes, mounts and namespaces, keys, BPF,
 * performance events, io_uring, userfaultfd, modules, clocks, host names, devices (mknod), sockets, System V and
 * POSIX message queues and shared memory, memory files, and putting input into a terminal. These fail with EPERM;
 * clone3, whose flags no filter can read, with ENOSYS, after which the C library takes clone. Calls of another
 * architecture (32 bits) kill the program. AE_ERR_RESOURCE. */
ae_status ae_filter_open(int *fd);

#endif
