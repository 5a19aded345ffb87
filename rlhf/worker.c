#include "rlhf/worker.h"

#include "core/clock.h"
#include "core/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* ---- texts ---- */

static void text_free(ae_worker_text *t) {
    free(t->bytes);
    *t = (ae_worker_text){0};
}

/* Room for n more bytes after the last one; what was taken goes. */
static bool text_reserve(ae_worker_text *t, size_t n) {
    if (t->taken > 0) memmove(t->bytes, t->bytes + t->taken, t->n - t->taken);
    t->n -= t->taken;
    t->taken = 0;
    if (t->n + n <= t->room) return true;
    size_t room = t->room ? t->room : 4096;
    while (room < t->n + n) room *= 2;
    char *bytes = realloc(t->bytes, room);
    if (!bytes) return false;
    t->bytes = bytes;
    t->room = room;
    return true;
}

/* The next line; at the end of the text its rest is one. */
static bool text_line(ae_worker_text *t, bool at_end, char **line, size_t *n) {
    const size_t there = t->n - t->taken;
    if (there == 0) return false;
    char *from = t->bytes + t->taken, *end = memchr(from, '\n', there);
    if (!end && !at_end) return false;
    *line = from;
    *n = end ? (size_t)(end - from) : there;
    t->taken += *n + (end != NULL);
    if (*n > 0 && from[*n - 1] == '\r') --*n;
    return true;
}

/* ---- the child ---- */

void ae_worker_init(ae_worker *w) {
    *w = (ae_worker){.pipes = {-1, -1, -1}};
}

bool ae_worker_runs(const ae_worker *w) {
    return w->pid > 0;
}

static void close_end(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* Ends of three pipes: ours [0..2], which do not block, and the child's. */
static bool make_pipes(int ours[AE_WORKER_PIPES], int theirs[AE_WORKER_PIPES]) {
    for (int i = 0; i < AE_WORKER_PIPES; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) return false;
        ours[i] = ends[i == STDIN_FILENO];
        theirs[i] = ends[i != STDIN_FILENO];
        if (fcntl(ours[i], F_SETFL, O_NONBLOCK) != 0) return false;
    }
    return true;
}

/* 0, or the number of the error. */
static int spawn(pid_t *pid, const char *const *argv, const char *folder, const int theirs[AE_WORKER_PIPES]) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, ignored; /* SIGPIPE and SIGXFSZ: core/process.h */
    sigemptyset(&none);
    sigemptyset(&ignored);
    sigaddset(&ignored, SIGPIPE);
    sigaddset(&ignored, SIGXFSZ);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (int i = 0; i < AE_WORKER_PIPES; i++) posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
    if (folder) posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_addclosefrom_np(&actions, AE_WORKER_PIPES);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &ignored);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    const int error = posix_spawnp(pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static ae_status refuse(const char *where, const char *program, int error) {
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a program, found that %s does not start: %s", where, program,
                   strerror(error));
}

/* 0 for a file that may be run, or the number of the error. */
static int file_error(int at, const char *path) {
    struct stat s;
    if (fstatat(at, path, &s, 0) != 0) return errno;
    if (!S_ISREG(s.st_mode)) return EACCES;
    return faccessat(at, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* The same of a name without a slash, which is looked for as posix_spawnp does. */
static int search_error(int at, const char *name) {
    const char *path = getenv("PATH");
    int error = ENOENT;
    for (const char *from = path ? path : "/bin:/usr/bin", *end;; from = end + 1) {
        char file[PATH_MAX];
        end = from + strcspn(from, ":");
        const int n =
            snprintf(file, sizeof file, "%.*s%s%s", (int)(end - from), from, end > from ? "/" : "", name);
        const int found = n < PATH_MAX ? file_error(at, file) : ENAMETOOLONG;
        if (found == 0) return 0;
        if (found == EACCES) error = EACCES;
        if (!*end) return error;
    }
}

ae_status ae_worker_check(const char *program, const char *folder, const char *where) {
    const int at = folder ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : AT_FDCWD;
    if (folder && at < 0) return refuse(where, program, errno);
    const int error = strchr(program, '/') ? file_error(at, program) : search_error(at, program);
    if (folder) close(at);
    return error == 0 ? AE_OK : refuse(where, program, error);
}

ae_status ae_worker_start(ae_worker *w, const char *const *argv, const char *folder, const char *where) {
    int theirs[AE_WORKER_PIPES] = {-1, -1, -1};
    text_free(&w->sent);
    text_free(&w->out);
    text_free(&w->err);
    w->last_words[0] = '\0';
    const bool piped = make_pipes(w->pipes, theirs);
    const int error = piped ? spawn(&w->pid, argv, folder, theirs) : errno;
    for (int i = 0; i < AE_WORKER_PIPES; i++) close_end(&theirs[i]);
    if (error == 0) return AE_OK;
    w->pid = 0;
    for (int i = 0; i < AE_WORKER_PIPES; i++) close_end(&w->pipes[i]);
    if (error == ENOMEM || error == EAGAIN || error == EMFILE || error == ENFILE)
        return AE_FAIL(AE_ERR_RESOURCE, "%s: %s does not start: %s", where, argv[0], strerror(error));
    return refuse(where, argv[0], error);
}

/* ---- lines ---- */

ae_status ae_worker_send(ae_worker *w, const char *text, size_t n) {
    if (!text_reserve(&w->sent, n)) return AE_FAIL(AE_ERR_RESOURCE, "lines for a program: out of memory");
    memcpy(w->sent.bytes + w->sent.n, text, n);
    w->sent.n += n;
    return AE_OK;
}

void ae_worker_polls(const ae_worker *w, struct pollfd *polls) {
    const bool writes = w->sent.n > w->sent.taken;
    polls[0] = (struct pollfd){.fd = writes ? w->pipes[0] : -1, .events = POLLOUT};
    polls[1] = (struct pollfd){.fd = w->pipes[1], .events = POLLIN};
    polls[2] = (struct pollfd){.fd = w->pipes[2], .events = POLLIN};
}

static void move_out(ae_worker *w) {
    const ssize_t n = ae_write_quietly(w->pipes[0], w->sent.bytes + w->sent.taken, w->sent.n - w->sent.taken);
    if (n > 0) w->sent.taken += (size_t)n;
    if (n >= 0 || errno == EAGAIN || errno == EINTR) return;
    text_free(&w->sent);
    close_end(&w->pipes[0]);
}

static ae_status move_in(int *fd, ae_worker_text *t) {
    enum { PIECE = 65536 };
    if (!text_reserve(t, PIECE)) return AE_FAIL(AE_ERR_RESOURCE, "lines of a program: out of memory");
    const ssize_t n = read(*fd, t->bytes + t->n, PIECE);
    if (n > 0) t->n += (size_t)n;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close_end(fd);
    return AE_OK;
}

ae_status ae_worker_move(ae_worker *w, const struct pollfd *polls) {
    ae_status st = AE_OK;
    if (polls[0].fd >= 0 && polls[0].revents) move_out(w);
    if (polls[1].fd >= 0 && polls[1].revents) st = move_in(&w->pipes[1], &w->out);
    if (st == AE_OK && polls[2].fd >= 0 && polls[2].revents) st = move_in(&w->pipes[2], &w->err);
    return st;
}

bool ae_worker_line(ae_worker *w, char **line, size_t *n) {
    return text_line(&w->out, w->pipes[1] < 0, line, n);
}

/* What a terminal may be shown. */
static void make_printable(char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 127) s[i] = ' ';
}

bool ae_worker_words(ae_worker *w, char **line, size_t *n) {
    if (!text_line(&w->err, w->pipes[2] < 0, line, n)) return false;
    make_printable(*line, *n);
    if (*n > 0) snprintf(w->last_words, sizeof w->last_words, "%.*s", (int)(*n < 4096 ? *n : 4096), *line);
    return true;
}

bool ae_worker_ended(const ae_worker *w) {
    return w->pipes[1] < 0;
}

/* ---- its end ---- */

/* Whether the child has ended; it stays a zombie, so that no other process gets its number. */
static bool has_ended(pid_t pid) {
    siginfo_t info = {0};
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        if (errno != EINTR) return true;
    return info.si_pid != 0;
}

static void tell_end(int status, char *how) {
    if (WIFSIGNALED(status))
        snprintf(how, AE_WORKER_WORDS, "signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(how, AE_WORKER_WORDS, "exit code %d", WEXITSTATUS(status));
}

void ae_worker_hang_up(ae_worker *w) {
    for (int i = 0; i < AE_WORKER_PIPES; i++) close_end(&w->pipes[i]);
}

void ae_worker_stop(ae_worker *w, double patience_s, char *how) {
    int status = 0;
    if (how) snprintf(how, AE_WORKER_WORDS, "the process still there");
    ae_worker_hang_up(w);
    if (w->pid == 0) return;
    const double until = ae_now_s() + patience_s;
    bool ended = has_ended(w->pid);
    while (!ended && ae_now_s() < until) {
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        ended = has_ended(w->pid);
    }
    kill(-w->pid, SIGKILL);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (how && ended) tell_end(status, how);
    w->pid = 0;
}

void ae_worker_free(ae_worker *w) {
    text_free(&w->sent);
    text_free(&w->out);
    text_free(&w->err);
}
