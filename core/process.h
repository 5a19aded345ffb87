#ifndef AE_CORE_PROCESS_H
#define AE_CORE_PROCESS_H
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* What a program owes the system it runs on. */

/* First of all in main. Descriptors 0 to 2 that the caller has closed are opened on /dev/null, or the next
 * files would get their numbers and what is printed would land in them; reading of such an input and writing
 * of results to such an output fail with EBADF, messages are lost. SIGPIPE and SIGXFSZ are switched off:
 * writing fails with EPIPE and EFBIG (ulimit -f) instead. */
void ae_process_begin(void);

/* Whether the caller has closed standard output. A report on what went into files is then left out; results
 * fail. */
bool ae_stdout_is_closed(void);

/* write(2) without SIGPIPE, whatever the program does with that signal. */
ssize_t ae_write_quietly(int fd, const void *bytes, size_t n);

/* Every handler is set by this, from the main thread. It runs on a stack of its own: the products that oneDNN
 * makes at run time keep values further below the stack pointer than the 128 bytes which the system spares, and
 * a handler on the same stack overwrote them (wrong products, then a damaged heap). The signal stays open while
 * its handler runs (SA_NODEFER), or the system would give the next one to a thread that has no such stack. */
void ae_signal_catch(int number, void (*handler)(int), int flags);

/* The signals that ask a program to stop: SIGINT (Ctrl-C) and SIGTERM, SIGHUP (a closed terminal), SIGUSR1,
 * SIGUSR2 and SIGXCPU (the warning of a scheduler and of a limit), SIGPWR (the mains are gone). */
enum { AE_STOP_SIGNALS = 7 };
typedef struct {
    struct sigaction actions[AE_STOP_SIGNALS];
} ae_stop_actions;

/* One that the caller of the program has switched off (nohup, a job in the background of a script) stays off.
 * `before` may be NULL. Handlers keep errno: the calls that they interrupt may be looking at it. */
void ae_stop_signals_catch(void (*handler)(int), int flags, ae_stop_actions *before);
void ae_stop_signals_restore(const ae_stop_actions *before);

/* Whether a second one ends the program at once: a person insists with SIGINT or SIGTERM, while terminals and
 * schedulers send the others several times, and SIGTERM after their warning. */
bool ae_stop_signal_insists(int number);

#endif
