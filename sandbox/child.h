#ifndef AE_SANDBOX_CHILD_H
#define AE_SANDBOX_CHILD_H
#include "sandbox/run.h"

#include <sys/types.h>

/* One program, started in a sandbox or without one. */

enum { AE_CHILD_MARK = 32, AE_CHILD_FOLDER = 4096 };

typedef struct {
    pid_t pid,
        init_pid; /* its keeper, which ends as it does, and the first process of its namespace; 0: not there, or
                          * not known yet */
    int process, init; /* pidfds of these; -1 */
    int go;            /* a byte written here lets the program begin; -1 without a sandbox */
    int words, status,
        mark; /* what comes on standard error, from bubblewrap (JSON, or "refused: ..." where nothing could be
                                executed), and from Python at the end of the text; reading does not block; -1: closed */
    char secret[AE_CHILD_MARK];   /* what a text that ran to its end gives on `mark` */
    char folder[AE_CHILD_FOLDER]; /* without a sandbox, where it runs; "" */
} ae_child;

void ae_child_init(ae_child *c);
/* AE_ERR_RESOURCE, also in words of the child on `status`. The thread that starts a child must outlive it. */
ae_status ae_child_start(ae_child *c, const ae_run_settings *s, const char *text);
/* Bubblewrap has said which process is the first one: puts the limit of processes on it and lets the program begin. */
ae_status ae_child_release(ae_child *c, const ae_run_settings *s, pid_t init_pid);
/* Kills all its processes and returns when they are gone, with the wait status of `pid`. What it wrote can still be read. */
ae_status ae_child_kill(ae_child *c, int *status);
/* Closes what is left and removes its folder; as after ae_child_init. */
void ae_child_free(ae_child *c);

#endif
