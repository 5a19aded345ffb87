#include "core/process.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void remember(int number) {
    caught = number;
}

Test(process, every_way_to_ask_for_a_stop_is_caught_and_given_back) {
    static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGPWR};
    ae_stop_actions before;
    struct sigaction now;
    ae_stop_signals_catch(remember, 0, &before);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        raise(all[i]);
        cr_assert_eq(caught, all[i]);
    }
    ae_stop_signals_restore(&before);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sigaction(all[i], NULL, &now);
        cr_assert(now.sa_handler != remember);
    }
}

Test(process, what_the_caller_ignores_stays_ignored) {
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    ae_stop_signals_catch(remember, 0, NULL);
    raise(SIGINT);
    raise(SIGHUP);
    cr_assert_eq(caught, 0);
    raise(SIGTERM);
    cr_assert_eq(caught, SIGTERM);
}

Test(process, only_a_person_insists) {
    cr_assert(ae_stop_signal_insists(SIGINT) && ae_stop_signal_insists(SIGTERM));
    cr_assert(!ae_stop_signal_insists(SIGHUP) && !ae_stop_signal_insists(SIGUSR1) &&
              !ae_stop_signal_insists(SIGXCPU));
}

/* In a child, which has no output to lose. 0 when its next file gets a number above 2, and reading and writing fail where results would be lost. */
static int file_after(bool in, bool out, bool err) {
    const pid_t child = fork();
    if (child == 0) {
        if (in) close(0);
        if (out) close(1);
        if (err) close(2);
        ae_process_begin();
        const int file = open("/dev/null", O_RDWR);
        char byte = 0;
        const bool told =
            (!in || read(0, &byte, 1) < 0) && (!out || write(1, "", 1) < 0) && (!err || write(2, "", 1) == 1);
        _exit(file > 2 && told && ae_stdout_is_closed() == out ? 0 : 1);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

Test(process, no_file_takes_the_place_of_a_closed_stream) {
    for (int closed = 0; closed < 8; closed++)
        cr_assert_eq(file_after(closed & 1, closed & 2, closed & 4), 0, "closed: %d", closed);
}

/* ulimit -f */
Test(process, a_file_that_may_not_grow_is_an_error_and_no_signal) {
    char path[] = "/tmp/aerie-process-XXXXXX";
    ae_process_begin();
    const int file = mkstemp(path);
    cr_assert(file >= 0);
    unlink(path);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, RLIM_INFINITY});
    const ssize_t put = write(file, "x", 1);
    const int why = errno;
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
    cr_assert(put < 0 && why == EFBIG);
    close(file);
}
