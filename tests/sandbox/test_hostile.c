#include "../core/scratch.h"
#include "hostile.h"

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { TEXT = 4096 };

static char mark[64];

/* ---- what a test has ---- */

/* Skips where this machine has no sandbox; else children whose parent has ended become ours, so that wait(2) sees every
 * process that is left. */
static ae_runner *open_sandbox(double wall_s, int workers) {
    ae_run_settings s = ae_run_defaults();
    ae_runner *r = NULL;
    s.wall_s = wall_s;
    s.workers = workers;
    s.memory_bytes = 128 << 20;
    s.disk_bytes = 16 << 20;
    if (ae_runner_new(&r, &s) != AE_OK) cr_skip_test("%s", ae_error_message());
    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    return r;
}

static void expect_no_process(void) {
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) > 0) {
    }
    cr_assert(ended < 0 && errno == ECHILD, "a process is left");
}

/* Files that a program made would have the mark in their names. */
static void expect_no_file(void) {
    static const char *const folders[] = {"/tmp", "/var/tmp", "/dev",     "/dev/shm",
                                          "/",    "/usr",     "/usr/lib", "."};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char pattern[160];
        glob_t found;
        snprintf(pattern, sizeof pattern, "%s/%s*", folders[i], mark);
        cr_assert_eq(glob(pattern, 0, NULL, &found), GLOB_NOMATCH, "%s is left", pattern);
        globfree(&found);
    }
}

/* A number of the test's own: several may run at once. */
static void make_mark(void) {
    snprintf(mark, sizeof mark, "aerie-hostile-%d", (int)getpid());
}

static const char *value_of(const char *name, char *room, size_t n) {
    if (strncmp(name, "{pid}", 5) == 0) return snprintf(room, n, "%d", (int)getpid()), room;
    if (strncmp(name, "{secret}", 8) == 0) return scratch_path("secret");
    if (strncmp(name, "{home}", 6) == 0) return getenv("HOME") ? getenv("HOME") : "/root";
    if (strncmp(name, "{source}", 8) == 0) return AERIE_SOURCE;
    return strncmp(name, "{mark}", 6) == 0 ? mark : NULL;
}

static char *filled(const char *text) {
    char *out = calloc(1, TEXT), room[32];
    size_t n = 0;
    cr_assert_not_null(out);
    while (*text) {
        const char *value = *text == '{' ? value_of(text, room, sizeof room) : NULL;
        cr_assert_lt(n + (value ? strlen(value) : 1), TEXT - 1);
        if (value) {
            n += strlen(strcpy(out + n, value));
            text = strchr(text, '}') + 1;
        } else
            out[n++] = *text++;
    }
    return out;
}

/* "one|another" */
static bool has_words(const char *said, const char *wanted) {
    char words[128];
    snprintf(words, sizeof words, "%s", wanted);
    for (char *word = strtok(words, "|"); word; word = strtok(NULL, "|"))
        if (strstr(said, word)) return true;
    return !*wanted;
}

/* ---- tests ---- */

static bool wants_time(const hostile *h) {
    return (h->ends & (1U << AE_RUN_TIMED_OUT)) != 0;
}

/* Those that only time ends get one second; the others enough for a machine that is busy. */
static void run_those(bool timed) {
    char *texts[128];
    const hostile *which[128];
    ae_verdict verdicts[128];
    ptrdiff_t n = 0;
    make_mark();
    ae_runner *r = open_sandbox(timed ? 1 : 15, 4);
    scratch_make();
    scratch_write("secret", "42", 2);
    for (size_t i = 0; i < hostile_count; i++)
        if (wants_time(&hostile_programs[i]) == timed) {
            which[n] = &hostile_programs[i];
            texts[n++] = filled(hostile_programs[i].text);
        }
    cr_assert_eq(ae_runner_run(r, (const char *const *)texts, n, verdicts), AE_OK, "%s", ae_error_message());
    for (ptrdiff_t i = 0; i < n; i++) {
        const ae_verdict *v = &verdicts[i];
        cr_expect(which[i]->ends & (1U << v->end), "%s: %s %d, \"%s\"", which[i]->name,
                  ae_run_end_name(v->end), v->number, v->words);
        cr_expect(!which[i]->words || has_words(v->words, which[i]->words), "%s: \"%s\"", which[i]->name,
                  v->words);
        free(texts[i]);
    }
    ae_runner_delete(r);
    expect_no_process();
    expect_no_file();
    scratch_remove();
}

Test(hostile, programs_that_fail_are_contained) {
    run_those(false);
}

Test(hostile, programs_that_never_end_are_contained) {
    run_those(true);
}

/* ---- the program that starts them is killed ---- */

/* A process that runs the texts; it has said that it begins when this returns. 0: it could not, and has said why. */
static pid_t try_maker(const char *const *texts, ptrdiff_t n, bool safe) {
    int ends[2];
    char byte;
    cr_assert_eq(pipe(ends), 0);
    const pid_t maker = fork();
    if (maker == 0) {
        ae_verdict v[4];
        ae_run_settings s = ae_run_defaults();
        ae_runner *r = NULL;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* fork bombs do not outlive a test that is killed */
        s.wall_s = 60;
        s.workers = (int)n;
        s.unsafe_no_sandbox = !safe;
        if (ae_runner_new(&r, &s) != AE_OK)
            fprintf(stderr, "%s\n", ae_error_message());
        else if (write(ends[1], "x", 1) == 1)
            (void)ae_runner_run(r, texts, n, v);
        _exit(1);
    }
    close(ends[1]);
    const bool begins = read(ends[0], &byte, 1) == 1;
    close(ends[0]);
    if (begins) return maker;
    cr_assert_eq(waitpid(maker, NULL, 0), maker);
    return 0;
}

/* On a machine full of fork bombs a start may fail now and then. */
static pid_t start_maker(const char *const *texts, ptrdiff_t n, bool safe) {
    enum { TRIES = 5 };
    pid_t maker = 0;
    for (int i = 0; i < TRIES && maker == 0; i++) maker = try_maker(texts, n, safe);
    cr_assert_gt(maker, 0, "no start in %d tries", (int)TRIES);
    return maker;
}

/* All that it started, bubblewrap too, become children of this process, and end. */
static void kill_maker(pid_t maker, useconds_t after_us) {
    usleep(after_us);
    kill(maker, SIGKILL);
    alarm(20);
    while (waitpid(-1, NULL, 0) > 0) {
    }
    cr_assert_eq(errno, ECHILD);
    alarm(0);
}

static const char sleeper[] = "import os, time\nos.fork()\ntime.sleep(1000)",
                  fork_bomb[] = "import os, signal\n"
                                "for s in (1, 2, 13, 15): signal.signal(s, signal.SIG_IGN)\n"
                                "while True:\n"
                                "    try:\n"
                                "        os.fork()\n"
                                "        os.setsid()\n"
                                "    except OSError: pass\n";

Test(hostile, sandboxes_die_with_the_program_that_made_them) {
    const char *const texts[] = {sleeper, fork_bomb};
    ae_runner_delete(open_sandbox(15, 1));
    kill_maker(start_maker(texts, 2, true), 300000);
}

/* Between any two steps of the start: before fork and after, before bubblewrap is executed, while it mounts, and
 * before the program begins. */
Test(hostile, sandboxes_die_with_their_maker_while_they_start) {
    const char *const texts[] = {fork_bomb, sleeper};
    ae_runner_delete(open_sandbox(15, 1));
    for (useconds_t after_us = 0; after_us < 60000; after_us += 1500)
        kill_maker(start_maker(texts, 2, true), after_us);
}

/* Without a sandbox a program that forks faster than it is killed may live on, but not one that only hides. */
Test(hostile, programs_without_a_sandbox_die_with_their_maker) {
    static const char hides[] = "import os, time\nif os.fork(): os._exit(0)\nos.setsid()\n"
                                "if os.fork(): os._exit(0)\ntime.sleep(1000)";
    const char *const texts[] = {sleeper, hides};
    ae_runner_delete(open_sandbox(15, 1));
    for (useconds_t after_us = 0; after_us < 200000; after_us += 40000)
        kill_maker(start_maker(texts, 2, false), after_us);
}
