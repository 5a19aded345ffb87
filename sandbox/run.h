#ifndef AE_SANDBOX_RUN_H
#define AE_SANDBOX_RUN_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

/* Runs programs that a model wrote, so that neither a mistake nor malice of theirs reaches the rest of the machine.
 *
 *     ae_run_settings s = ae_run_defaults();
 *     ae_runner *runner = NULL;
 *     AE_TRY(ae_runner_new(&runner, &s));
 *     AE_TRY(ae_runner_run(runner, texts, n, verdicts));    verdicts[i] belongs to texts[i]
 *     ae_runner_delete(runner);
 *
 * bubblewrap (bwrap) gives each program namespaces of its own (user, processes, network, IPC, host name, mounts,
 * cgroups): it sees /usr read-only, a few devices, and /tmp, an empty tmpfs of limited size, which is its working
 * directory and all that it may write. There is no /proc, no home folder and no network. It has no capability, and a
 * filter of system calls (sandbox/filter.h) refuses what opens the kernel to it. Limits hold for time, memory,
 * processes and files. When a program ends or is stopped, the kernel kills every process of its namespace before a
 * verdict is given; its files vanish with its mounts. Should this program die, the sandboxes die with it. Root gives each
 * program a user number of its own that no file belongs to.
 *
 * Standard output goes to /dev/null, standard input is empty. docs/sandbox.md says how this was tried and what it does not
 * stop.
 *
 * With Python a program counts as passed when its text ran to its end: an exit before the end is a failure, also
 * one with status 0, and a thread or child that still runs then is killed. The text is executed in an empty
 * namespace, so that `__name__` is not "__main__", as `code_eval` of Hugging Face does, which lm-eval calls. With
 * another interpreter exit status 0 is a pass. */

typedef enum { AE_RUN_PASSED, AE_RUN_FAILED, AE_RUN_TIMED_OUT, AE_RUN_MEMORY, AE_RUN_SIGNAL } ae_run_end;

enum { AE_RUN_WORDS = 256 };
typedef struct {
    ae_run_end end;
    int number;    /* FAILED: exit status; SIGNAL: which (also an exit status of 128 + signal); else 0 */
    double wall_s; /* how long it ran; differs from run to run */
    char words
        [AE_RUN_WORDS]; /* last line on standard error, such as "AssertionError", or why it was stopped; printable
                                 ASCII, "?" for the rest; may be "" */
} ae_verdict;

typedef struct {
    const char *python; /* Python's program inside the sandbox: "python3" */
    const char *const
        *command; /* NULL: Python. Else an interpreter that reads the text from its standard input, with
                                   its arguments; ends with NULL */
    const char *const
        *folders;           /* further folders that programs may read, at their own paths, such as that of an
                                   interpreter outside /usr; ends with NULL; may be NULL */
    double wall_s;          /* 3, as in code_eval */
    double memory_bytes;    /* of each process, and of all together: 1 GiB */
    double disk_bytes;      /* of /tmp, and of each file: 64 MiB */
    int processes;          /* and threads, at the same time: 32 */
    int workers;            /* programs side by side; 0: ae_threads() */
    bool unsafe_no_sandbox; /* no namespaces and no filter, only limits of time, memory and file size: the
                                   program may do whatever this one may do */
    ae_status (*check)(void); /* asked now and then; its failure stops all and is returned; may be NULL */
} ae_run_settings;

ae_run_settings ae_run_defaults(void);

typedef struct ae_runner ae_runner;
/* Tries the sandbox with an empty program. AE_ERR_INPUT where bubblewrap, user namespaces or the interpreter cannot be
 * had; the message names --unsafe-no-sandbox, the flag of the verbs that sets unsafe_no_sandbox. What the settings
 * point to must outlive the runner. */
ae_status ae_runner_new(ae_runner **runner, const ae_run_settings *settings);
void ae_runner_delete(ae_runner *runner);

/* Runs n programs, `workers` at a time; texts end with NUL. A program of a model is never an error, it gets a verdict.
 * AE_ERR_RESOURCE when the machine has no room for another process. One thread at a time for a runner. */
ae_status ae_runner_run(ae_runner *runner, const char *const *texts, ptrdiff_t n, ae_verdict *verdicts);

/* "passed", "failed", "timed out", "memory", "signal". */
const char *ae_run_end_name(ae_run_end end);

#endif
