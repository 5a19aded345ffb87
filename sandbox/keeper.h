#ifndef AE_SANDBOX_KEEPER_H
#define AE_SANDBOX_KEEPER_H
#include <stdbool.h>
#include <sys/types.h>

/* A process between this program and bubblewrap, which no sandbox reaches. When this program ends in whatever way, or asks
 * with SIGTERM, it kills all that it started. The signal that bubblewrap asks the kernel for (--die-with-parent) does not
 * reach its child before that has asked too; all of them become children of the keeper when their parents end. */

/* Called after fork, in the child of `parent`: starts `become` in a further process and ends as that does, with its exit
 * status or its signal, once no process is left below it. */
_Noreturn void ae_keeper_become(pid_t parent, void (*become)(const void *context, pid_t keeper),
                                const void *context);

/* Asks for `signal` when `parent` ends; false where it has ended already. */
bool ae_keeper_bind(pid_t parent, int signal);

#endif
