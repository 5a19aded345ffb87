#include "sandbox/run.h"

#include "core/clock.h"
#include "core/threads.h"
#include "sandbox/child.h"
#include "sandbox/watch.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT = 4096, MOST_FILES = 10000, SLOT_POLLS = 4, MOST_WORKERS = 256 };
#define WATCH_S 0.05 /* how often memory is summed, and signals are seen */
#define SETUP_S 20.0 /* how long bubblewrap may take before the program begins */

/* The end of what came through a pipe. */
typedef struct {
    char bytes[2 * TEXT];
    size_t n;
} tail;

/* One program that runs. */
typedef struct {
    ae_child child;
    ptrdiff_t which; /* of the texts; -1: none */
    double began_s, until_s;
    bool stopped; /* the verdict is there, and the program was killed */
    ae_verdict verdict;
    tail words, status, mark;
} slot;

struct ae_runner {
    ae_run_settings settings;
    int n_slots;
    slot *slots;
    struct pollfd *polls; /* [n_slots * SLOT_POLLS] */
};

static const char *const end_names[] = {"passed", "failed", "timed out", "memory", "signal"};

const char *ae_run_end_name(ae_run_end end) {
    return end_names[end];
}

ae_run_settings ae_run_defaults(void) {
    return (ae_run_settings){
        .python = "python3", .wall_s = 3, .memory_bytes = 1 << 30, .disk_bytes = 64 << 20, .processes = 32};
}

/* ---- what a program writes ---- */

/* False at the end of the pipe. */
static bool read_some(int fd, tail *t) {
    if (t->n > TEXT) {
        memmove(t->bytes, t->bytes + t->n - TEXT / 2, TEXT / 2);
        t->n = TEXT / 2;
    }
    const ssize_t n = read(fd, t->bytes + t->n, TEXT - 1);
    if (n > 0) t->n += (size_t)n;
    t->bytes[t->n] = '\0';
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* At most so much as a pipe holds: a process without a sandbox may write on. */
static void drain(int *fd, tail *t) {
    enum { PIECES = 64 };
    for (int i = 0; *fd >= 0 && i < PIECES; i++) {
        const size_t before = t->n;
        if (!read_some(*fd, t) || t->n == before) break;
    }
}

static void read_or_close(int *fd, tail *t) {
    if (read_some(*fd, t)) return;
    close(*fd);
    *fd = -1;
}

/* The last line that has more than blanks. */
static void last_words(const tail *t, char *words) {
    size_t end = t->n, n = 0;
    while (end > 0 && strchr(" \t\r\n", t->bytes[end - 1])) end--;
    size_t from = end;
    while (from > 0 && t->bytes[from - 1] != '\n') from--;
    for (; from < end && n + 1 < AE_RUN_WORDS; from++) {
        const char c = t->bytes[from];
        words[n++] = c >= ' ' && c <= '~' ? c : '?';
    }
    words[n] = '\0';
}

static bool has_marked(const slot *s) {
    return s->mark.n == AE_CHILD_MARK && memcmp(s->mark.bytes, s->child.secret, AE_CHILD_MARK) == 0;
}

/* A number that bubblewrap told. */
static bool told(const slot *s, const char *key, int *number) {
    const char *at = strstr(s->status.bytes, key);
    return at && sscanf(at + strlen(key), "\": %d", number) == 1;
}

/* ---- verdicts ---- */

static void give(slot *s, ae_run_end end, int number, const char *words) {
    s->verdict = (ae_verdict){.end = end, .number = number};
    if (words)
        snprintf(s->verdict.words, AE_RUN_WORDS, "%s", words);
    else
        last_words(&s->words, s->verdict.words);
}

static void judge_signal(slot *s, int number) {
    if (number == SIGXCPU)
        give(s, AE_RUN_TIMED_OUT, 0, "CPU time");
    else
        give(s, AE_RUN_SIGNAL, number, NULL);
}

static void judge_exit(slot *s, int code, bool marks) {
    if (marks ? has_marked(s) : code == 0)
        give(s, AE_RUN_PASSED, 0, NULL);
    else if (code > 128 && code < 128 + NSIG)
        judge_signal(s, code - 128);
    else
        give(s, AE_RUN_FAILED, code, code == 0 ? "exit before the end of the program" : NULL);
    if (s->verdict.end == AE_RUN_FAILED && strncmp(s->verdict.words, "MemoryError", 11) == 0)
        s->verdict = (ae_verdict){.end = AE_RUN_MEMORY, .words = "MemoryError"};
}

/* bubblewrap, or the interpreter, did not start. */
static ae_status not_started(const slot *s) {
    static const char refused[] = "refused: ";
    const bool unheard =
        strstr(s->status.bytes, refused) != NULL; /* not even bubblewrap was there to speak */
    char words[AE_RUN_WORDS];
    last_words(unheard ? &s->status : &s->words, words);
    const char *found = unheard ? strstr(words, refused) + strlen(refused) : words;
    return AE_FAIL(AE_ERR_RESOURCE, "%s", *found ? found : "no word of why");
}

static ae_status judge(const ae_runner *r, slot *s, int status) {
    int code = 0;
    const bool refused = strstr(s->status.bytes, "refused: ") != NULL;
    const bool marks = !r->settings.command;
    if (s->stopped) return AE_OK;
    if (refused) return not_started(s);
    if (WIFSIGNALED(status))
        judge_signal(s, WTERMSIG(status));
    else if (r->settings.unsafe_no_sandbox)
        judge_exit(s, WEXITSTATUS(status), marks);
    else if (told(s, "\"exit-code", &code))
        judge_exit(s, code, marks);
    else
        return not_started(s);
    return AE_OK;
}

/* ---- one program ---- */

static ae_status start(ae_runner *r, slot *s, const char *text, ptrdiff_t which) {
    s->stopped = false;
    s->words.n = s->status.n = s->mark.n = 0;
    s->words.bytes[0] = s->status.bytes[0] = s->mark.bytes[0] = '\0';
    s->which = which;
    s->began_s = ae_now_s();
    s->until_s = s->began_s + (r->settings.unsafe_no_sandbox ? r->settings.wall_s : SETUP_S);
    return ae_child_start(&s->child, &r->settings, text);
}

/* Everything of it goes; its verdict is handed over where it is wanted. */
static ae_status finish(ae_runner *r, slot *s, ae_verdict *verdicts) {
    int status = 0;
    ae_status st = ae_child_kill(&s->child, &status);
    drain(&s->child.words, &s->words);
    drain(&s->child.status, &s->status);
    drain(&s->child.mark, &s->mark);
    if (st == AE_OK && verdicts) st = judge(r, s, status);
    if (st == AE_OK && verdicts) {
        s->verdict.wall_s = ae_now_s() - s->began_s;
        verdicts[s->which] = s->verdict;
    }
    ae_child_free(&s->child);
    s->which = -1;
    return st;
}

static void stop(slot *s, ae_run_end end, const char *words) {
    s->stopped = true;
    give(s, end, 0, words);
}

static bool is_free_to_run(const ae_runner *r, const slot *s) {
    return r->settings.unsafe_no_sandbox || s->child.init_pid > 0;
}

/* Before it is executed a process looks as big as this one. Without a sandbox its descriptor `status` closes then. */
static bool is_executed(const ae_runner *r, const slot *s) {
    return r->settings.unsafe_no_sandbox ? s->child.status < 0 : s->child.init_pid > 0;
}

static ae_status watch(const ae_runner *r, slot *s, double now_s, bool look) {
    const bool own = s->child.init_pid > 0;
    const pid_t root = own ? s->child.init_pid : s->child.pid;
    look = look && is_executed(r, s);
    if (now_s >= s->until_s) {
        if (!is_free_to_run(r, s))
            return AE_FAIL(AE_ERR_RESOURCE, "sandbox: bubblewrap starts nothing within %g s", SETUP_S);
        stop(s, AE_RUN_TIMED_OUT, "");
    } else if (look && ae_watch_memory_bytes(root, own) > r->settings.memory_bytes)
        stop(s, AE_RUN_MEMORY, "more memory than all processes may have together");
    else if (look && own && ae_watch_files(root) > MOST_FILES)
        stop(s, AE_RUN_FAILED, "too many files");
    return AE_OK;
}

static ae_status release(ae_runner *r, slot *s) {
    int pid = 0;
    if (is_free_to_run(r, s) || !told(s, "\"child-pid", &pid)) return AE_OK;
    const ae_status st = ae_child_release(&s->child, &r->settings, (pid_t)pid);
    s->began_s = ae_now_s();
    s->until_s = s->began_s + r->settings.wall_s;
    return st;
}

static ae_status move(ae_runner *r, slot *s, const struct pollfd *polls, ae_verdict *verdicts, bool look) {
    ae_status st = AE_OK;
    if (polls[0].revents) read_or_close(&s->child.words, &s->words);
    if (polls[1].revents) read_or_close(&s->child.status, &s->status);
    if (polls[2].revents) read_or_close(&s->child.mark, &s->mark);
    const bool ended = polls[3].revents != 0;
    if (!ended) st = release(r, s);
    if (!ended && st == AE_OK && has_marked(s)) stop(s, AE_RUN_PASSED, NULL);
    if (!ended && st == AE_OK && !s->stopped) st = watch(r, s, ae_now_s(), look);
    if (st == AE_OK && (ended || s->stopped)) st = finish(r, s, verdicts);
    return st;
}

/* ---- all of them ---- */

/* Milliseconds until something is to be looked at. */
static int patience(const ae_runner *r) {
    const double now_s = ae_now_s();
    double least = WATCH_S;
    for (int i = 0; i < r->n_slots; i++)
        if (r->slots[i].which >= 0) least = fmin(least, r->slots[i].until_s - now_s);
    return (int)(fmax(least, 0) * 1e3) + 1;
}

static void set_polls(const slot *s, struct pollfd *polls) {
    const int fds[SLOT_POLLS] = {s->child.words, s->child.status, s->child.mark, s->child.process};
    for (int i = 0; i < SLOT_POLLS; i++)
        polls[i] = (struct pollfd){.fd = s->which >= 0 ? fds[i] : -1, .events = POLLIN};
}

static ae_status step(ae_runner *r, ae_verdict *verdicts, double *looked_s) {
    ae_status st = AE_OK;
    for (int i = 0; i < r->n_slots; i++) set_polls(&r->slots[i], &r->polls[i * SLOT_POLLS]);
    if (poll(r->polls, (nfds_t)(r->n_slots * SLOT_POLLS), patience(r)) < 0)
        return errno == EINTR ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "sandbox: poll: %s", strerror(errno));
    const double now_s = ae_now_s();
    const bool look = now_s - *looked_s >= WATCH_S;
    if (look) *looked_s = now_s;
    for (int i = 0; i < r->n_slots && st == AE_OK; i++)
        if (r->slots[i].which >= 0) st = move(r, &r->slots[i], &r->polls[i * SLOT_POLLS], verdicts, look);
    return st;
}

ae_status ae_runner_run(ae_runner *r, const char *const *texts, ptrdiff_t n, ae_verdict *verdicts) {
    ptrdiff_t next = 0, done = 0;
    double looked_s = 0;
    ae_status st = AE_OK;
    while (done < n && st == AE_OK) {
        if (r->settings.check) AE_TRY(r->settings.check());
        for (int i = 0; i < r->n_slots && next < n; i++)
            if (r->slots[i].which < 0) {
                AE_TRY(start(r, &r->slots[i], texts[next], next));
                next++;
            }
        AE_TRY(step(r, verdicts, &looked_s));
        done = next;
        for (int i = 0; i < r->n_slots; i++) done -= r->slots[i].which >= 0;
    }
out:
    for (int i = 0; i < r->n_slots; i++)
        if (r->slots[i].which >= 0) (void)finish(r, &r->slots[i], NULL);
    return st;
}

/* ---- the runner ---- */

static ae_status try_out(ae_runner *r) {
    const char *const nothing = "";
    const bool safe = !r->settings.unsafe_no_sandbox;
    const char *interpreter = r->settings.command ? r->settings.command[0] : r->settings.python;
    char found[AE_RUN_WORDS];
    ae_verdict v = {0};
    const ae_status st = ae_runner_run(r, &nothing, 1, &v);
    if (st == AE_ERR_INTERRUPTED || (st == AE_OK && (r->settings.command || v.end == AE_RUN_PASSED)))
        return st;
    snprintf(found, sizeof found, "%s", st == AE_OK ? v.words : ae_error_message());
    if (st != AE_OK && safe)
        return AE_FAIL(
            AE_ERR_INPUT,
            "sandbox: expected bubblewrap to start %s, found \"%s\"; install the Debian package bubblewrap, "
            "allow user namespaces, or give --unsafe-no-sandbox: programs may then do whatever you may",
            interpreter, found);
    return AE_FAIL(AE_ERR_INPUT, "sandbox: expected %s to run %s, found \"%s\"", interpreter,
                   r->settings.command ? "a program" : "a program of Python 3", found);
}

ae_status ae_runner_new(ae_runner **runner, const ae_run_settings *settings) {
    ae_runner *r = *runner = calloc(1, sizeof *r);
    if (!r) return AE_FAIL(AE_ERR_RESOURCE, "sandbox: out of memory");
    r->settings = *settings;
    r->n_slots = settings->workers > 0 ? settings->workers : ae_threads();
    if (r->n_slots > MOST_WORKERS) r->n_slots = MOST_WORKERS;
    r->settings.workers = r->n_slots;
    r->slots = calloc((size_t)r->n_slots, sizeof *r->slots);
    r->polls = calloc((size_t)r->n_slots * SLOT_POLLS, sizeof *r->polls);
    ae_status st = r->slots && r->polls ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "sandbox: out of memory");
    for (int i = 0; i < r->n_slots && r->slots; i++) {
        ae_child_init(&r->slots[i].child);
        r->slots[i].which = -1;
    }
    if (st == AE_OK) st = try_out(r);
    if (st != AE_OK) {
        ae_runner_delete(r);
        *runner = NULL;
    }
    return st;
}

void ae_runner_delete(ae_runner *r) {
    if (!r) return;
    free(r->slots);
    free(r->polls);
    free(r);
}
