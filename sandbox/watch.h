#ifndef AE_SANDBOX_WATCH_H
#define AE_SANDBOX_WATCH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What no limit of the system bounds for several processes together. Each number is read from /proc while the processes
 * run on, so it is of about now; 0 where the kernel does not tell. */

/* Memory in RAM of a process (or without it) and all below it, at most 1024 of them; pages that several share count for each. */
double ae_watch_memory_bytes(pid_t root, bool with_root);
/* Files and folders of the file system that a process sees at /tmp; 0 where that is our own, as before it has a root
 * of its own. */
int64_t ae_watch_files(pid_t process);

#endif
