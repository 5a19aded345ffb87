#include "../core/scratch.h"
#include "sandbox/children.h"
#include "sandbox/command.h"
#include "sandbox/run.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* The system's Python: one that a user put into PATH may be a script that takes its time. */
static void system_path(void) {
    cr_assert_eq(setenv("PATH", "/usr/bin:/bin", 1), 0);
}

TestSuite(run, .init = system_path);

/* Skips where the machine has no sandbox, or no Python. */
static ae_runner *open_runner(const ae_run_settings *s) {
    ae_runner *r = NULL;
    if (ae_runner_new(&r, s) != AE_OK) cr_skip_test("%s", ae_error_message());
    return r;
}

static ae_run_settings settings(bool safe) {
    ae_run_settings s = ae_run_defaults();
    s.wall_s = 15;
    s.workers = 2;
    s.unsafe_no_sandbox = !safe;
    return s;
}

static ae_verdict run_one(const ae_run_settings *s, const char *text) {
    ae_verdict v = {.number = -1};
    ae_runner *r = open_runner(s);
    cr_assert_eq(ae_runner_run(r, &text, 1, &v), AE_OK, "%s", ae_error_message());
    ae_runner_delete(r);
    return v;
}

static void expect(const ae_verdict *v, ae_run_end end, int number, const char *words) {
    cr_expect(v->end == end && v->number == number && strstr(v->words, words),
              "%s, %d, \"%s\"; expected %s, %d, \"%s\"", ae_run_end_name(v->end), v->number, v->words,
              ae_run_end_name(end), number, words);
}

/* ---- verdicts, with a sandbox and without ---- */

static void check_verdicts(bool safe) {
    static const struct {
        const char *text;
        ae_run_end end;
        int number;
        const char *words;
    } rows[] = {
        {"def add(a, b):\n    return a + b\nassert add(1, 2) == 3\n", AE_RUN_PASSED, 0, ""},
        {"", AE_RUN_PASSED, 0, ""},
        {"assert 1 == 2, 'no such luck'", AE_RUN_FAILED, 1, "AssertionError: no such luck"},
        {"1 / 0", AE_RUN_FAILED, 1, "ZeroDivisionError: division by zero"},
        {"def f(:", AE_RUN_FAILED, 1, "SyntaxError"},
        {"raise ValueError('h\\u00e9\\x1b[2J\\n\\n')", AE_RUN_FAILED, 1, "ValueError: h???[2J"},
        {"import os\nos._exit(7)", AE_RUN_FAILED, 7, ""},
        {"import sys\nsys.exit(0)", AE_RUN_FAILED, 1, "SystemExit: 0"},
        {"import os\nos._exit(0)", AE_RUN_FAILED, 0, "exit before the end of the program"},
        {"import os\nos.kill(os.getpid(), 11)", AE_RUN_SIGNAL, 11, ""},
        {"raise MemoryError", AE_RUN_MEMORY, 0, "MemoryError"},
        /* as code_eval executes it */
        {"if __name__ == '__main__':\n    raise ValueError", AE_RUN_PASSED, 0, ""},
        {"import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()", AE_RUN_PASSED,
         0, ""},
        {"print('x' * 100000)\nassert open('/dev/stdin') if False else True", AE_RUN_PASSED, 0, ""},
    };
    enum { N = sizeof rows / sizeof *rows };
    const ae_run_settings s = settings(safe);
    const char *texts[N];
    ae_verdict v[N];
    for (int i = 0; i < N; i++) texts[i] = rows[i].text;
    ae_runner *r = open_runner(&s);
    cr_assert_eq(ae_runner_run(r, texts, N, v), AE_OK, "%s", ae_error_message());
    for (int i = 0; i < N; i++) expect(&v[i], rows[i].end, rows[i].number, rows[i].words);
    ae_runner_delete(r);
}

Test(run, a_number_of_a_process_that_was_cut_off_is_none) {
    const char *at = "12 345 67";
    cr_expect_eq(ae_children_next(&at), 12);
    cr_expect_eq(ae_children_next(&at), 345);
    cr_expect_eq(ae_children_next(&at), 0);
    cr_expect_eq(ae_children_next(&(const char *){""}), 0);
}

Test(run, every_program_gets_its_verdict) {
    check_verdicts(true);
}

Test(run, without_a_sandbox_verdicts_are_the_same) {
    check_verdicts(false);
}

Test(run, time_ends_a_program_with_a_sandbox_or_without) {
    for (int safe = 0; safe < 2; safe++) {
        ae_run_settings s = settings(safe);
        s.wall_s = 1;
        const ae_verdict asleep = run_one(&s, "import time\ntime.sleep(1000)");
        expect(&asleep, AE_RUN_TIMED_OUT, 0, "");
        cr_expect(asleep.wall_s >= 1);
    }
}

/* What it leaves behind without a sandbox: no process of its group, no file in its folder. */
Test(run, without_a_sandbox_the_folder_of_a_program_goes) {
    scratch_make();
    cr_assert_eq(setenv("TMPDIR", scratch_folder, 1), 0);
    const ae_run_settings s = settings(false);
    const ae_verdict v =
        run_one(&s, "import os, time\nopen('file', 'w').write('x')\nos.mkdir('folder')\nopen('folder/file', "
                    "'w')\nif os.fork() == 0: time.sleep(1000)\nraise ValueError(os.getcwd())");
    expect(&v, AE_RUN_FAILED, 1, scratch_folder);
    cr_expect(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    cr_assert_eq(rmdir(scratch_folder), 0, "something is left");
}

Test(run, memory_is_limited_without_a_sandbox) {
    ae_run_settings s = settings(false);
    s.memory_bytes = 128 << 20;
    const ae_verdict v = run_one(&s, "x = bytearray(256 << 20)");
    expect(&v, AE_RUN_MEMORY, 0, "MemoryError");
}

/* ---- many programs ---- */

Test(run, verdicts_stand_in_the_order_of_the_texts) {
    enum { N = 24 };
    char texts[N][64];
    const char *all[N];
    ae_verdict v[N];
    ae_run_settings s = settings(true);
    s.workers = 5;
    for (int i = 0; i < N; i++) {
        snprintf(texts[i], sizeof *texts, "import os, time\ntime.sleep(%d / 100)\nos._exit(%d)", (N - i) % 7,
                 i + 1);
        all[i] = texts[i];
    }
    ae_runner *r = open_runner(&s);
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(ae_runner_run(r, all, N, v), AE_OK, "%s", ae_error_message());
        for (int i = 0; i < N; i++) expect(&v[i], AE_RUN_FAILED, i + 1, "");
    }
    cr_assert_eq(ae_runner_run(r, all, 0, v), AE_OK);
    ae_runner_delete(r);
}

static int asked;
static ae_status stop_soon(void) {
    return ++asked > 12 ? AE_ERR_INTERRUPTED : AE_OK;
}

Test(run, a_stop_ends_all_programs) {
    const char *const texts[] = {"import time\ntime.sleep(1000)", "while True: pass", "x = 1"};
    ae_verdict v[3];
    ae_run_settings s = settings(true);
    s.wall_s = 1000;
    ae_runner_delete(open_runner(&s)); /* or it is skipped */
    s.check = stop_soon;
    ae_runner *r = NULL;
    ae_status st = ae_runner_new(&r, &s);
    if (st == AE_OK) st = ae_runner_run(r, texts, 3, v);
    cr_assert_eq(st, AE_ERR_INTERRUPTED);
    cr_expect(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    ae_runner_delete(r);
}

/* ---- other interpreters, other folders ---- */

Test(run, another_interpreter_passes_by_its_exit_status) {
    static const char *const shell[] = {"sh", NULL};
    for (int safe = 0; safe < 2; safe++) {
        ae_run_settings s = settings(safe);
        s.command = shell;
        const ae_verdict good = run_one(&s, "test 1 = 1"), bad = run_one(&s, "echo no >&2; exit 3"),
                         killed = run_one(&s, "kill -SEGV $$");
        expect(&good, AE_RUN_PASSED, 0, "");
        expect(&bad, AE_RUN_FAILED, 3, "no");
        expect(&killed, AE_RUN_SIGNAL, 11, "");
    }
}

Test(run, a_folder_that_is_shown_can_be_read_and_not_written) {
    const char *folders[] = {scratch_folder, NULL};
    char text[1024];
    ae_run_settings s = settings(true);
    scratch_make();
    cr_assert_eq(chmod(scratch_folder, 0755), 0);
    scratch_write("file", "42", 2);
    s.folders = folders;
    snprintf(text, sizeof text, "assert open('%s/file').read() == '42'\nopen('%s/other', 'w')",
             scratch_folder, scratch_folder);
    const ae_verdict v = run_one(&s, text);
    expect(&v, AE_RUN_FAILED, 1, "Read-only file system");
    scratch_remove();
}

/* ---- refusals ---- */

static void expect_refused(const ae_run_settings *s, const char *first, const char *second) {
    ae_runner *r = NULL;
    cr_assert_eq(ae_runner_new(&r, s), AE_ERR_INPUT);
    cr_assert_null(r);
    cr_assert_message(first);
    cr_assert_message(second);
}

Test(run, no_bubblewrap_is_refused) {
    const ae_run_settings s = settings(true);
    scratch_make();
    cr_assert_eq(chmod(scratch_folder, 0755), 0);
    cr_assert_eq(setenv("PATH", scratch_folder, 1), 0);
    expect_refused(&s, "bwrap: No such file or directory", "--unsafe-no-sandbox");
    scratch_remove();
}

/* What bubblewrap says where the kernel forbids namespaces of users. */
Test(run, no_namespaces_are_refused) {
    static const char script[] =
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n";
    const ae_run_settings s = settings(true);
    scratch_make();
    cr_assert_eq(chmod(scratch_folder, 0755), 0);
    cr_assert_eq(chmod(scratch_write("bwrap", script, sizeof script - 1), 0755), 0);
    cr_assert_eq(setenv("PATH", scratch_folder, 1), 0);
    expect_refused(&s, "bwrap: No permissions to create new namespace", "user namespaces");
    scratch_remove();
}

/* It has told the first process, and no longer reads when that is let go. */
Test(run, bubblewrap_that_gives_up_says_why) {
    char script[256], path[1200];
    const int n = snprintf(script, sizeof script,
                           "#!/bin/sh\nexec %d<&-\necho \"\\\"child-pid\\\": $$\" >&%d\nsleep 0.2\n"
                           "echo 'bwrap: gave up' >&2\nexit 1\n",
                           AE_COMMAND_GO, AE_COMMAND_STATUS);
    const ae_run_settings s = settings(true);
    scratch_make();
    cr_assert_eq(chmod(scratch_folder, 0755), 0);
    cr_assert_eq(chmod(scratch_write("bwrap", script, (size_t)n), 0755), 0);
    snprintf(path, sizeof path, "%s:%s", scratch_folder, getenv("PATH"));
    cr_assert_eq(setenv("PATH", path, 1), 0);
    expect_refused(&s, "bwrap: gave up", "user namespaces");
    scratch_remove();
}

Test(run, an_interpreter_that_is_not_there_is_refused) {
    for (int safe = 0; safe < 2; safe++) {
        ae_run_settings s = settings(safe);
        ae_runner_delete(open_runner(&s));
        s.python = "python-of-nobody";
        expect_refused(&s, "python-of-nobody", "No such file or directory");
        s.python = "true";
        expect_refused(&s, "true", "Python 3");
    }
}
