#include "sandbox/child.h"

#include "core/file.h"
#include "core/process.h"
#include "sandbox/command.h"
#include "sandbox/filter.h"
#include "sandbox/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, MOST_FILES = 256 };

/* All that the new process needs between fork and exec, where it may not allocate. */
typedef struct {
    const ae_command *command;
    const ae_run_settings *settings;
    const char *folder;          /* NULL: stays */
    int files[AE_COMMAND_FILES]; /* become its descriptors 0, 1, 2, ... */
} launch;

void ae_child_init(ae_child *c) {
    *c = (ae_child){.process = -1, .init = -1, .go = -1, .words = -1, .status = -1, .mark = -1};
}

static void close_end(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* ---- in the new process ---- */

static bool set_limit(int which, double soft, double hard) {
    return setrlimit((__rlimit_resource_t)which, &(struct rlimit){(rlim_t)soft, (rlim_t)hard}) == 0;
}

/* CPU time ends a program that ignores SIGXCPU a second later. */
static bool set_limits(const ae_run_settings *s) {
    const double cpu_s = ceil(s->wall_s);
    return set_limit(RLIMIT_CPU, cpu_s, cpu_s + 1) &&
           set_limit(RLIMIT_AS, s->memory_bytes, s->memory_bytes) &&
           set_limit(RLIMIT_FSIZE, s->disk_bytes, s->disk_bytes) &&
           set_limit(RLIMIT_NOFILE, MOST_FILES, MOST_FILES) && set_limit(RLIMIT_CORE, 0, 0) &&
           set_limit(RLIMIT_MEMLOCK, 0, 0) && set_limit(RLIMIT_MSGQUEUE, 0, 0);
}

/* Root becomes a user whom no file and no other process belongs to: the limit of processes does not hold for root, and counts all
 * that a user has. Where the machine has no such high numbers (a container), nobody shares it among all sandboxes. */
static bool drop_root(const ae_run_settings *s) {
    const uid_t own = 0x70000000U + (uid_t)getpid();
    const double each = s->processes + 3; /* bubblewrap has two of its own, and one more while it starts */
    if (geteuid() != 0) return true;
    if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0) return false;
    if (setresuid(own, own, own) == 0) return set_limit(RLIMIT_NPROC, each, each);
    return setresuid(NOBODY, NOBODY, NOBODY) == 0 &&
           set_limit(RLIMIT_NPROC, each * s->workers, each * s->workers);
}

static bool place_files(const launch *l) {
    const int n = l->command->n_files;
    int aside[AE_COMMAND_FILES];
    for (int i = 0; i < n; i++)
        if ((aside[i] = fcntl(l->files[i], F_DUPFD_CLOEXEC, AE_COMMAND_FILES)) < 0) return false;
    for (int i = 0; i < n; i++)
        if (dup2(aside[i], i) < 0) return false;
    const bool alone = n <= AE_COMMAND_GO;
    return close_range((unsigned)(alone ? AE_COMMAND_STATUS : n), ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

static void forget_signals(void) {
    sigset_t none;
    for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What the keeper starts. */
static _Noreturn void become(const void *context, pid_t keeper) {
    const launch *l = context;
    const ae_run_settings *s = l->settings;
    forget_signals();
    setsid();
    if (place_files(l) && (!l->folder || chdir(l->folder) == 0) && set_limits(s) &&
        (s->unsafe_no_sandbox || drop_root(s)) && ae_keeper_bind(keeper, SIGKILL))
        execvpe(l->command->argv[0], (char *const *)l->command->argv, (char *const *)l->command->environment);
    dprintf(AE_COMMAND_STATUS, "refused: %s: %s", l->command->argv[0], strerror(errno));
    _exit(127);
}

/* ---- starting ---- */

/* A file without a name that nobody can change, read from its start. */
static int text_file(const char *head, size_t n_head, const char *text) {
    const int fd = memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const char *parts[] = {head, text};
    const size_t sizes[] = {n_head, strlen(text)};
    bool good = fd >= 0;
    for (int i = 0; i < 2; i++)
        for (size_t at = 0; at < sizes[i] && good;) {
            const ssize_t n = write(fd, parts[i] + at, sizes[i] - at);
            good = n > 0;
            if (good) at += (size_t)n;
        }
    good = good && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0 &&
           lseek(fd, 0, SEEK_SET) == 0;
    if (good) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static bool make_secret(char *secret) {
    static const char digits[] = "0123456789abcdef";
    if (getrandom(secret, AE_CHILD_MARK, 0) != AE_CHILD_MARK) return false;
    for (int i = 0; i < AE_CHILD_MARK; i++) secret[i] = digits[(unsigned char)secret[i] % 16];
    return true;
}

static bool open_input(ae_child *c, const ae_run_settings *s, const char *text, int *file) {
    char head[AE_CHILD_MARK + 1];
    if (!make_secret(c->secret)) return false;
    memcpy(head, c->secret, AE_CHILD_MARK);
    head[AE_CHILD_MARK] = '\n';
    *file = text_file(head, s->command ? 0 : sizeof head, text);
    return *file >= 0;
}

static bool open_pipe(int *ours, int *theirs, int ours_is) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    *ours = ends[ours_is];
    *theirs = ends[1 - ours_is];
    return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

static ae_status failed(const char *what) {
    return AE_FAIL(AE_ERR_RESOURCE, "sandbox: %s: %s", what, strerror(errno));
}

static ae_status open_files(ae_child *c, const ae_run_settings *s, const char *text, int *files) {
    files[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (files[1] < 0 || !open_input(c, s, text, &files[0]) ||
        !open_pipe(&c->words, &files[STDERR_FILENO], 0) || !open_pipe(&c->mark, &files[AE_COMMAND_MARK], 0) ||
        !open_pipe(&c->status, &files[AE_COMMAND_STATUS], 0))
        return failed("files for a program");
    if (s->unsafe_no_sandbox) return AE_OK;
    if (!open_pipe(&c->go, &files[AE_COMMAND_GO], 1)) return failed("files for a program");
    return ae_filter_open(&files[AE_COMMAND_FILTER]);
}

static ae_status make_folder(ae_child *c, const ae_run_settings *s) {
    const char *base = getenv("TMPDIR");
    if (!s->unsafe_no_sandbox) return AE_OK;
    const int n = snprintf(c->folder, sizeof c->folder, "%s/aerie-program-XXXXXX", base ? base : "/tmp");
    if (n < AE_CHILD_FOLDER && mkdtemp(c->folder)) return AE_OK;
    c->folder[0] = '\0';
    return failed("a folder for a program");
}

ae_status ae_child_start(ae_child *c, const ae_run_settings *s, const char *text) {
    ae_command command = {0};
    launch l = {.settings = s, .command = &command};
    const pid_t self = getpid();
    ae_status st;
    for (int i = 0; i < AE_COMMAND_FILES; i++) l.files[i] = -1;
    AE_TRY(make_folder(c, s));
    AE_TRY(ae_command_make(&command, s));
    AE_TRY(open_files(c, s, text, l.files));
    l.folder = s->unsafe_no_sandbox ? c->folder : NULL;
    c->pid = fork();
    if (c->pid == 0) ae_keeper_become(self, become, &l);
    if (c->pid < 0) {
        c->pid = 0;
        AE_TRY(failed("a program cannot be started"));
    }
    c->process = pidfd_open(c->pid, 0);
    if (c->process < 0) AE_TRY(failed("a program cannot be watched"));
out:
    for (int i = 0; i < AE_COMMAND_FILES; i++) close_end(&l.files[i]);
    ae_command_free(&command);
    return st;
}

ae_status ae_child_release(ae_child *c, const ae_run_settings *s, pid_t init_pid) {
    const rlim_t most = (rlim_t)s->processes + 1; /* the first process is bubblewrap's own */
    const bool root = geteuid() == 0;             /* who has limited it already */
    c->init_pid = init_pid;
    c->init = pidfd_open(init_pid, 0);
    const bool good = c->init >= 0 &&
                      (root || prlimit(init_pid, RLIMIT_NPROC, &(struct rlimit){most, most}, NULL) == 0) &&
                      ae_write_quietly(c->go, "g", 1) == 1;
    /* Bubblewrap has given up meanwhile: its end says why. */
    const bool gone = !good && (errno == ESRCH || errno == EPIPE);
    const ae_status st = good || gone ? AE_OK : failed("a program cannot be let go");
    close_end(&c->go);
    return st;
}

/* ---- ending ---- */

static bool has_ended(int pidfd, int patience_ms) {
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int ready;
    while ((ready = poll(&p, 1, patience_ms)) < 0 && errno == EINTR) {
    }
    return ready > 0;
}

/* Without the first process of its namespace bubblewrap ends by itself, and then its keeper; else the keeper is asked to
 * end all. */
static void end_process(ae_child *c, int *status) {
    enum { PATIENCE_MS = 2000, LONG_PATIENCE_MS = 20000 };
    if (c->init < 0 || !has_ended(c->process, PATIENCE_MS)) kill(c->pid, SIGTERM);
    if (!has_ended(c->process, LONG_PATIENCE_MS)) kill(c->pid, SIGKILL);
    while (waitpid(c->pid, status, 0) < 0 && errno == EINTR) {
    }
    c->pid = 0;
}

/* The first process of a namespace has ended when all others of it are gone. */
ae_status ae_child_kill(ae_child *c, int *status) {
    enum { PATIENCE_MS = 20000 };
    *status = 0;
    if (c->init >= 0) pidfd_send_signal(c->init, SIGKILL, NULL, 0);
    if (c->pid > 0) end_process(c, status);
    if (c->init < 0 || has_ended(c->init, PATIENCE_MS)) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "sandbox: process %d does not end within %d s of being killed",
                   (int)c->init_pid, PATIENCE_MS / 1000);
}

void ae_child_free(ae_child *c) {
    int *const ends[] = {&c->process, &c->init, &c->go, &c->words, &c->status, &c->mark};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) close_end(ends[i]);
    if (c->folder[0]) (void)ae_folder_remove(c->folder);
    ae_child_init(c);
}
