#include "core/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

static const int stop_signals[AE_STOP_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGPWR};

/* The lowest free number is the one that is taken. Where there is no /dev/null, what is there must do: it cannot be written. */
static void fill_descriptor(int number, int mode) {
    if (fcntl(number, F_GETFD) != -1 || errno != EBADF) return;
    if (open("/dev/null", mode) != number && open("/", O_RDONLY | O_DIRECTORY) != number) _exit(1);
}

void ae_process_begin(void) {
    fill_descriptor(STDIN_FILENO, O_WRONLY);
    fill_descriptor(STDOUT_FILENO, O_RDONLY);
    fill_descriptor(STDERR_FILENO, O_RDWR);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

bool ae_stdout_is_closed(void) {
    return (fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) == O_RDONLY;
}

ssize_t ae_write_quietly(int fd, const void *bytes, size_t n) {
    sigset_t broken, before, pending;
    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &broken, &before);
    const ssize_t written = write(fd, bytes, n);
    const int error = errno;
    if (written < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&broken, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return written;
}

/* One that is there already, as a sanitizer makes it, stays when it is large enough. */
static void give_handlers_a_stack(void) {
    enum { BYTES = 256 << 10 };
    static char memory[BYTES];
    const stack_t ours = {.ss_sp = memory, .ss_size = BYTES};
    stack_t there;
    if (sigaltstack(NULL, &there) == 0 && !(there.ss_flags & SS_DISABLE) && there.ss_size >= BYTES / 8)
        return;
    sigaltstack(&ours, NULL);
}

void ae_signal_catch(int number, void (*handler)(int), int flags) {
    struct sigaction a = {.sa_handler = handler, .sa_flags = flags | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&a.sa_mask);
    give_handlers_a_stack();
    sigaction(number, &a, NULL);
}

void ae_stop_signals_catch(void (*handler)(int), int flags, ae_stop_actions *before) {
    struct sigaction old;
    for (int i = 0; i < AE_STOP_SIGNALS; i++) {
        sigaction(stop_signals[i], NULL, &old);
        if (before != NULL) before->actions[i] = old;
        if (old.sa_handler != SIG_IGN) ae_signal_catch(stop_signals[i], handler, flags);
    }
}

void ae_stop_signals_restore(const ae_stop_actions *before) {
    for (int i = 0; i < AE_STOP_SIGNALS; i++) sigaction(stop_signals[i], &before->actions[i], NULL);
}

bool ae_stop_signal_insists(int number) {
    return number == SIGINT || number == SIGTERM;
}
