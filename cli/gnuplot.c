#include "cli/gnuplot.h"

#include "cli/interrupt.h"
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What gnuplot reads and writes in its folder. It starts there, so that no path of a user becomes part of a
 * script. */
static const char SCRIPT[] = "script", PICTURE[] = "picture", WORDS[] = "words";

/* Its words on stderr land in a file. */
static ae_status run_gnuplot(const char *folder) {
    posix_spawn_file_actions_t actions;
    char *const args[] = {(char[]){"gnuplot"}, (char[]){"-d"}, (char *)(uintptr_t)SCRIPT, NULL};
    pid_t child = 0;
    int status = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, WORDS, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int error = posix_spawnp(&child, "gnuplot", &actions, NULL, args, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == ENOENT)
        return AE_FAIL(AE_ERR_USAGE,
                       "gnuplot: expected the program in PATH, found none; install it (Debian: gnuplot-nox)");
    if (error) return AE_FAIL(AE_ERR_RESOURCE, "gnuplot: cannot be started: %s", strerror(error));
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        if (ae_interrupt_check() != AE_OK) kill(child, SIGTERM);
    if (ae_interrupt_check() != AE_OK) return AE_ERR_INTERRUPTED;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return AE_OK;
    char *text = NULL, *words = ae_path_join(folder, WORDS);
    size_t n = 0;
    const bool said = ae_file_read(words, &text, &n) == AE_OK;
    const ae_status st = AE_FAIL(AE_ERR_DEFECT, "gnuplot failed: %.400s", said ? text : "it said nothing");
    free(words);
    free(text);
    return st;
}

static void write_terminal(FILE *f, const ae_gnuplot_size *size, ae_picture_kind kind) {
    if (kind == AE_PICTURE_PNG)
        fprintf(f, "set terminal pngcairo size %d,%d font \"Sans,13\"\n", size->width, size->height);
    else
        fprintf(f, "set terminal svg size %d,%d dynamic font \"sans-serif,13\" background \"white\"\n",
                size->width * 4 / 5, size->height * 4 / 5);
    if (kind != AE_PICTURE_SERIES) fprintf(f, "set output \"%s\"\n", PICTURE);
}

/* gnuplot begins a file anew for each picture of its own accord. */
void ae_gnuplot_next(FILE *script) {
    fprintf(script, "set output \"| cat >>%s\"\n", PICTURE);
}

void ae_gnuplot_label(FILE *script, const char *text) {
    for (const char *s = text ? text : ""; *s; s++)
        fputc(*s == '_' ? ' ' : (unsigned char)*s < ' ' || strchr("\"\\`$'{}^@&", *s) ? '.' : *s, script);
}

static ae_status draw_in(const char *folder, ae_gnuplot_fn *write, const void *what,
                         const ae_gnuplot_size *size, ae_picture_kind kind, char **bytes, size_t *n_bytes) {
    char *script = ae_path_join(folder, SCRIPT), *picture = ae_path_join(folder, PICTURE);
    FILE *f = fopen(script, "we");
    if (f) write_terminal(f, size, kind);
    ae_status st = f ? write(f, what) : ae_output_failed(script);
    if (f && fclose(f) != 0 && st == AE_OK) st = ae_output_failed(script);
    if (st == AE_OK) st = run_gnuplot(folder);
    if (st == AE_OK) st = ae_file_read(picture, bytes, n_bytes);
    free(script);
    free(picture);
    return st;
}

ae_status ae_gnuplot_draw(ae_gnuplot_fn *write, const void *what, const ae_gnuplot_size *size,
                          ae_picture_kind kind, char **bytes, size_t *n_bytes) {
    const char *where = getenv("TMPDIR");
    char *folder = ae_path_join(where && *where ? where : "/tmp", "aerie-plot-XXXXXX");
    *bytes = NULL;
    ae_interrupt_catch(); /* what is in the folder goes, and so does gnuplot */
    const bool made = mkdtemp(folder) != NULL;
    ae_status st = made ? draw_in(folder, write, what, size, kind, bytes, n_bytes) : ae_output_failed(folder);
    if (made) ae_folder_remove(folder);
    free(folder);
    return st;
}
