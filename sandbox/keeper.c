#include "sandbox/keeper.h"

#include "sandbox/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Other threads may have held any lock when this process was forked: only calls that are safe in signal handlers. */

bool ae_keeper_bind(pid_t parent, int signal) {
    return prctl(PR_SET_PDEATHSIG, signal) == 0 && getppid() == parent;
}

/* As many as fit into the text; others are killed in the next round. */
static void kill_children(void) {
    char text[4096];
    const int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *at = text;
    for (pid_t pid; (pid = ae_children_next(&at)) > 0;) kill(pid, SIGKILL);
}

/* How `program` ended. Children of what was killed become ours and are killed in turn. A kernel that does not tell who
 * they are ends them by the signals that bubblewrap asks for, which takes them a moment. */
static int kill_all(pid_t program) {
    enum { ROUNDS = 10000 };
    int status = SIGKILL;
    kill(-program, SIGKILL);
    kill(program, SIGKILL);
    for (int i = 0; i < ROUNDS; i++) {
        pid_t ended;
        int how;
        kill_children();
        while ((ended = waitpid(-1, &how, WNOHANG)) > 0)
            if (ended == program) status = how;
        if (ended < 0 && errno == ECHILD) break;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return status;
}

/* Until the program ends, or this process is asked to end. The program is not reaped, so that its number stays its own. */
static void wait_for(pid_t program, const sigset_t *signals) {
    siginfo_t ended = {0};
    while (ended.si_pid != program && sigwaitinfo(signals, NULL) != SIGTERM)
        (void)waitid(P_PID, (id_t)program, &ended, WEXITED | WNOHANG | WNOWAIT);
}

static _Noreturn void end_as(int status) {
    if (!WIFSIGNALED(status)) _exit(WEXITSTATUS(status));
    sigset_t none;
    sigemptyset(&none);
    signal(WTERMSIG(status), SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    kill(getpid(), WTERMSIG(status));
    _exit(128 + WTERMSIG(status));
}

_Noreturn void ae_keeper_become(pid_t parent, void (*become)(const void *context, pid_t keeper),
                                const void *context) {
    sigset_t all, signals;
    const pid_t self = getpid();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    signal(SIGCHLD, SIG_DFL);
    setsid();
    prctl(PR_SET_NAME, "sandbox-keeper");
    prctl(PR_SET_DUMPABLE, 0); /* nobody traces it, and it leaves no core file */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || !ae_keeper_bind(parent, SIGTERM)) _exit(127);
    const pid_t program = _Fork();
    if (program == 0) {
        become(context, self);
        _exit(127);
    }
    close_range(0, ~0U, 0);
    if (program < 0) _exit(127);
    wait_for(program, &signals);
    end_as(kill_all(program));
}
