#include "sandbox/command.h"

#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads the mark and the text, leaves an empty standard input, runs the text in an empty namespace, and gives the mark
 * back. What it needs then it keeps, as the text may change any module; it waits for no thread of the text. */
static const char driver[] = "import os, sys\n"
                             "def run(write, leave, tell):\n"
                             "    with open(0, 'rb', closefd=False) as f:\n"
                             "        mark, text = f.readline().strip(), f.read().decode()\n"
                             "    null = os.open('/dev/null', os.O_RDONLY)\n"
                             "    os.dup2(null, 0)\n"
                             "    os.close(null)\n"
                             "    try:\n"
                             "        exec(compile(text, 'program', 'exec', dont_inherit=True), {})\n"
                             "        write(3, mark)\n"
                             "    except BaseException as e:\n"
                             "        tell(type(e), e, e.__traceback__)\n"
                             "        leave(1)\n"
                             "    leave(0)\n"
                             "run(os.write, os._exit, sys.excepthook)\n";

/* Sizes of thread pools, of which each thread counts as a process; hashes the same in each run. */
static const char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                          "HOME=/tmp",
                                          "LANG=C.UTF-8",
                                          "PYTHONHASHSEED=0",
                                          "PYTHONDONTWRITEBYTECODE=1",
                                          "OMP_NUM_THREADS=1",
                                          "OPENBLAS_NUM_THREADS=1",
                                          "MKL_NUM_THREADS=1",
                                          NULL};

static bool add(ae_command *c, const char *word) {
    if (c->n + 2 > c->room) {
        const size_t room = c->room ? 2 * c->room : 128;
        const char **argv = realloc(c->argv, room * sizeof *argv);
        if (!argv) return false;
        c->argv = argv;
        c->room = room;
    }
    c->argv[c->n++] = word;
    c->argv[c->n] = NULL;
    return true;
}

static bool add_words(ae_command *c, const char *const *words) {
    bool good = true;
    for (; good && *words; words++) good = add(c, *words);
    return good;
}

static bool add_interpreter(ae_command *c, const ae_run_settings *s) {
    if (s->command) return add_words(c, s->command);
    return add(c, s->python) && add(c, "-s") && add(c, "-c") && add(c, driver);
}

/* On a system whose /bin is no link to /usr/bin, the folder itself. */
static bool add_system_folders(ae_command *c) {
    static const char *const names[][2] = {{"/bin", "usr/bin"},
                                           {"/sbin", "usr/sbin"},
                                           {"/lib", "usr/lib"},
                                           {"/lib64", "usr/lib64"},
                                           {"/lib32", "usr/lib32"}};
    bool good = true;
    for (size_t i = 0; good && i < sizeof names / sizeof *names; i++) {
        char target[2];
        const char *name = names[i][0];
        if (!ae_path_exists(name)) continue;
        if (readlink(name, target, sizeof target) > 0)
            good = add(c, "--symlink") && add(c, names[i][1]) && add(c, name);
        else
            good = add(c, "--ro-bind") && add(c, name) && add(c, name);
    }
    return good;
}

static bool add_folders(ae_command *c, const char *const *folders) {
    bool good = true;
    for (; good && folders && *folders; folders++)
        good = add(c, "--ro-bind") && add(c, *folders) && add(c, *folders);
    return good;
}

/* Every mount that is there at the end is read-only but for /tmp, whose size is limited. */
static bool add_sandbox(ae_command *c, const ae_run_settings *s) {
    static const char *const apart[] = {"bwrap",
                                        "--unshare-all",
                                        "--unshare-user",
                                        "--disable-userns",
                                        "--cap-drop",
                                        "ALL",
                                        "--die-with-parent",
                                        "--new-session",
                                        "--uid",
                                        "65534",
                                        "--gid",
                                        "65534",
                                        "--hostname",
                                        "sandbox",
                                        "--json-status-fd",
                                        "4",
                                        "--block-fd",
                                        "5",
                                        "--seccomp",
                                        "6",
                                        "--ro-bind",
                                        "/usr",
                                        "/usr",
                                        "--ro-bind-try",
                                        "/etc/ld.so.cache",
                                        "/etc/ld.so.cache",
                                        "--ro-bind-try",
                                        "/etc/alternatives",
                                        "/etc/alternatives",
                                        "--dev",
                                        "/dev",
                                        "--remount-ro",
                                        "/dev",
                                        NULL};
    static const char *const closed[] = {"--remount-ro", "/", "--chdir", "/tmp", "--", NULL};
    _Static_assert(AE_COMMAND_STATUS == 4 && AE_COMMAND_GO == 5 && AE_COMMAND_FILTER == 6,
                   "as in the words above");
    snprintf(c->disk, sizeof c->disk, "%.0f", s->disk_bytes);
    return add_words(c, apart) && add_system_folders(c) && add(c, "--size") && add(c, c->disk) &&
           add(c, "--tmpfs") && add(c, "/tmp") && add_folders(c, s->folders) && add_words(c, closed);
}

ae_status ae_command_make(ae_command *c, const ae_run_settings *s) {
    const bool alone = s->unsafe_no_sandbox;
    c->n_files = alone ? AE_COMMAND_GO : AE_COMMAND_FILES;
    c->environment = environment;
    if ((alone || add_sandbox(c, s)) && add_interpreter(c, s)) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "sandbox: out of memory");
}

void ae_command_free(ae_command *c) {
    free(c->argv);
    *c = (ae_command){0};
}
