#include "cli/line_input.h"

#include "cli/line_history.h"
#include "cli/paste.h"
#include "core/process.h"

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

enum { REMEMBERED = 1000, LOOK_UP_MS = 250 };

struct ae_line_input {
    ae_line_options options;
    const char *prompt;
    EditLine *el; /* NULL: lines as they are */
    History *history;
    ae_line_history kept;
    FILE *screen;
    ae_paste paste;
    mbstate_t half; /* of a character */
    char *line;
    size_t capacity;
    int64_t number;
};

/* ---- a terminal ---- */

/* The program was stopped and goes on (Ctrl-Z and fg), or its window has another size. */
static volatile sig_atomic_t is_resumed, is_resized;

static void take_notice(int number) {
    if (number == SIGCONT)
        is_resumed = 1;
    else
        is_resized = 1;
}

static void catch_notices(void) {
    ae_signal_catch(SIGCONT, take_notice, 0);
    ae_signal_catch(SIGWINCH, take_notice, 0);
}

/* The shell has used the terminal meanwhile: its settings are made again, and the line is shown again. */
static void heed_notices(ae_line_input *in) {
    if (is_resized) el_resize(in->el);
    if (is_resumed) {
        el_set(in->el, EL_PREP_TERM, 0);
        el_set(in->el, EL_PREP_TERM, 1);
        ae_paste_ask(in->screen, true);
        el_set(in->el, EL_REFRESH);
    }
    is_resumed = is_resized = 0;
}

static char *current_prompt(EditLine *el) {
    ae_line_input *in = NULL;
    el_get(el, EL_CLIENTDATA, &in);
    return (char *)(uintptr_t)in->prompt;
}

/* A byte of the terminal. A signal may come to another thread, or just before the waiting, so it looks up now
 * and then. */
static int next_byte(void *context, int patience_ms, char *byte) {
    ae_line_input *in = context;
    struct pollfd terminal = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = 0;
    while (ready == 0 || (ready < 0 && errno == EINTR)) {
        if (in->options.interrupted()) return -1;
        heed_notices(in);
        ready = poll(&terminal, 1, patience_ms < 0 ? LOOK_UP_MS : patience_ms);
        if (ready == 0 && patience_ms >= 0) return -1;
    }
    return in->options.interrupted() ? -1 : (int)read(STDIN_FILENO, byte, 1);
}

/* One character of the terminal. The library's own way would go on reading after a signal. */
static int read_character(EditLine *el, wchar_t *out) {
    ae_line_input *in = NULL;
    char byte;
    el_get(el, EL_CLIENTDATA, &in);
    for (;;) {
        const int got = ae_paste_next(&in->paste, next_byte, in, &byte);
        if (got <= 0) return got;
        const size_t used = mbrtowc(out, &byte, 1, &in->half);
        if (used == (size_t)-2) continue;
        if (used == (size_t)-1) {
            memset(&in->half, 0, sizeof in->half);
            *out = 0xFFFD;
        }
        return 1;
    }
}

static void remember(void *context, const char *line) {
    ae_line_input *in = context;
    HistEvent event;
    history(in->history, &event, H_ENTER, line);
}

/* What is typed is UTF-8 wherever the program runs. */
static void choose_characters(void) {
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
}

/* Where prompt and line are shown: results may go to a file. */
static FILE *choose_screen(void) {
    if (!isatty(STDIN_FILENO)) return NULL;
    return isatty(STDOUT_FILENO) ? stdout : isatty(STDERR_FILENO) ? stderr : NULL;
}

static ae_status open_terminal(ae_line_input *in) {
    HistEvent event;
    choose_characters();
    catch_notices();
    in->el = el_init("aerie", stdin, in->screen, stderr);
    in->history = history_init();
    if (!in->el || !in->history) return AE_FAIL(AE_ERR_RESOURCE, "terminal: out of memory");
    history(in->history, &event, H_SETSIZE, REMEMBERED);
    history(in->history, &event, H_SETUNIQUE, 1);
    el_set(in->el, EL_CLIENTDATA, in);
    el_set(in->el, EL_PROMPT, current_prompt);
    el_set(in->el, EL_EDITOR, "emacs");
    el_set(in->el, EL_HIST, history, in->history);
    el_set(in->el, EL_GETCFN, read_character);
    el_set(in->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(in->el, EL_BIND, "^W", "ed-delete-prev-word", NULL);
    el_source(in->el, NULL); /* ~/.editrc */
    if (in->options.history) ae_line_history_open(&in->kept, remember, in);
    return AE_OK;
}

static bool has_text(const char *line) {
    return line[strspn(line, " \t")] != '\0';
}

static ae_status edit_line(ae_line_input *in, ae_line_event *event, const char **line, size_t *n) {
    int bytes = 0;
    el_resize(in->el);
    memset(&in->half, 0, sizeof in->half);
    in->paste = (ae_paste){0};
    el_set(in->el, EL_PREP_TERM, 1); /* before the prompt: a Ctrl-D that comes with it would be lost */
    ae_paste_ask(in->screen, true);
    const char *typed = el_gets(in->el, &bytes);
    ae_paste_ask(in->screen, false);
    if (!typed || bytes <= 0) {
        *event = in->options.interrupted() ? AE_LINE_INTERRUPTED : AE_LINE_END;
        fputc('\n', in->screen);
        return AE_OK;
    }
    free(in->line);
    *event = AE_LINE_TEXT;
    *n = (size_t)bytes - (typed[bytes - 1] == '\n');
    in->line = strndup(typed, *n);
    if (!in->line) return AE_FAIL(AE_ERR_RESOURCE, "terminal: out of memory for a line");
    *line = in->line;
    if (has_text(*line)) {
        remember(in, *line);
        ae_line_history_add(&in->kept, *line);
    }
    *n = ae_paste_restore(in->line, *n);
    return AE_OK;
}

/* ---- anything else ---- */

static ae_status plain_line(ae_line_input *in, ae_line_event *event, const char **line, size_t *n) {
    ssize_t got = -1;
    do {
        clearerr(stdin);
        errno = 0;
        got = in->options.interrupted() ? -1 : getline(&in->line, &in->capacity, stdin);
    } while (got < 0 && errno == EINTR && !in->options.interrupted());
    const int reason = errno;
    *event = got >= 0 ? AE_LINE_TEXT : in->options.interrupted() ? AE_LINE_INTERRUPTED : AE_LINE_END;
    if (*event == AE_LINE_END && ferror(stdin))
        return AE_FAIL(AE_ERR_INPUT, "standard input: expected lines of text, found: %s", strerror(reason));
    if (got < 0) return AE_OK;
    if (got > 0 && in->line[got - 1] == '\n') got--;
    if (got > 0 && in->line[got - 1] == '\r') got--;
    in->line[got] = '\0';
    *line = in->line;
    *n = (size_t)got;
    return AE_OK;
}

/* ---- both ---- */

ae_status ae_line_input_open(ae_line_input **out, const ae_line_options *o) {
    ae_line_input *in = *out = calloc(1, sizeof *in);
    if (!in) return AE_FAIL(AE_ERR_RESOURCE, "standard input: out of memory");
    in->options = *o;
    in->kept.fd = -1;
    in->screen = choose_screen();
    return in->screen ? open_terminal(in) : AE_OK;
}

void ae_line_input_close(ae_line_input *in) {
    if (!in) return;
    if (in->el) el_end(in->el);
    if (in->history) history_end(in->history);
    ae_line_history_close(&in->kept);
    free(in->line);
    free(in);
}

bool ae_line_input_edits(const ae_line_input *in) {
    return in->el != NULL;
}

int64_t ae_line_input_number(const ae_line_input *in) {
    return in->number;
}

ae_status ae_line_input_next(ae_line_input *in, const char *prompt, ae_line_event *event, const char **line,
                             size_t *n) {
    in->number++;
    if (!in->el) return plain_line(in, event, line, n);
    in->prompt = prompt;
    return edit_line(in, event, line, n);
}
