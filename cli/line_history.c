#include "cli/line_history.h"

#include "core/file.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file of more than MOST lines is cut to the last KEPT. */
enum { MOST = 2000, KEPT = 1000 };

/* The caller frees it; NULL: there is no home. */
static char *history_path(void) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int made = -1;
    if (state && state[0] == '/')
        made = asprintf(&path, "%s/aerie/chat-history", state);
    else if (home && home[0] == '/')
        made = asprintf(&path, "%s/.local/state/aerie/chat-history", home);
    return made < 0 ? NULL : path;
}

static size_t count_lines(const char *text) {
    size_t n = 0;
    for (; (text = strchr(text, '\n')) != NULL; text++) n++;
    return n;
}

static const char *without_lines(const char *text, size_t dropped) {
    while (dropped-- > 0) text = strchr(text, '\n') + 1;
    return text;
}

static void tell_each(char *text, void (*each)(void *context, const char *line), void *context) {
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        each(context, line);
}

static ae_status read_lines(const char *path, void (*each)(void *context, const char *line), void *context) {
    char *text = NULL;
    size_t n = 0;
    if (!ae_path_exists(path)) return AE_OK;
    ae_status st = ae_file_read(path, &text, &n);
    if (st != AE_OK) return st;
    const size_t lines = count_lines(text);
    const char *kept = without_lines(text, lines > KEPT ? lines - KEPT : 0);
    if (lines > MOST) st = ae_file_write(path, kept, strlen(kept));
    if (st == AE_OK) tell_each(text + (kept - text), each, context);
    free(text);
    return st;
}

static ae_status open_file(int *fd, const char *path) {
    ae_status st = ae_parent_make(path);
    if (st != AE_OK) return st;
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    return *fd >= 0 && fchmod(*fd, S_IRUSR | S_IWUSR) == 0 ? AE_OK : ae_output_failed(path);
}

void ae_line_history_open(ae_line_history *h, void (*each)(void *context, const char *line), void *context) {
    char *path = history_path();
    h->fd = -1;
    if (!path) return;
    const mode_t mask = umask(S_IRWXG | S_IRWXO); /* of the file while it is cut, and of new folders */
    ae_status st = read_lines(path, each, context);
    if (st == AE_OK) st = open_file(&h->fd, path);
    umask(mask);
    if (st != AE_OK) ae_warn("lines are not kept: %s; --no-history spares this warning", ae_error_message());
    if (st != AE_OK) ae_line_history_close(h);
    free(path);
}

/* In one piece. A full disk loses the line, not the conversation. */
void ae_line_history_add(ae_line_history *h, const char *line) {
    char *text = NULL;
    if (h->fd < 0 || asprintf(&text, "%s\n", line) < 0) return;
    const ssize_t put = write(h->fd, text, strlen(text));
    (void)put;
    free(text);
}

void ae_line_history_close(ae_line_history *h) {
    if (h->fd >= 0) close(h->fd);
    h->fd = -1;
}
