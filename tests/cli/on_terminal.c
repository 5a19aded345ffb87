/* Runs a program on a terminal of its own and types: steps come from standard input, a line each.
 *
 *     expect WORDS     waits until the terminal has shown them, from where the last ones ended
 *     more N           waits until it has shown N bytes more
 *     type WORDS       types them
 *     suspend NOW      stops the program, uses the terminal as a shell does, and lets the program go on
 *
 * \n, \t, \\ and \xHH in the words are read as in C.
 *
 * Then waits for the program's end. All that the terminal showed goes to standard output. The status is the
 * program's, or 1 where it does not do what is expected within half a minute.
 * usage: on_terminal PROGRAM ARGUMENTS... */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 30 };

static char shown[1 << 20];
static size_t n_shown, n_expected;

static void fail(const char *what, const char *words) {
    fwrite(shown, 1, n_shown, stdout);
    fprintf(stderr, "on_terminal: %s: %s\n", what, words);
    exit(1);
}

/* What the terminal shows next; false when the program has ended. */
static bool look(int terminal, time_t until) {
    struct pollfd p = {.fd = terminal, .events = POLLIN};
    while (poll(&p, 1, 1000) == 0)
        if (time(NULL) > until) fail("nothing more is shown", "");
    const ssize_t got = read(terminal, shown + n_shown, sizeof shown - 1 - n_shown);
    if (got <= 0) return false;
    n_shown += (size_t)got;
    return true;
}

static void expect(int terminal, const char *words, size_t n) {
    const time_t until = time(NULL) + PATIENCE_S;
    const char *at;
    while (!(at = memmem(shown + n_expected, n_shown - n_expected, words, n))) {
        if (time(NULL) > until) fail("is not shown", words);
        if (!look(terminal, until)) fail("the program ends before it shows", words);
    }
    n_expected = (size_t)(at - shown) + n;
}

static void expect_more(int terminal, size_t n) {
    const time_t until = time(NULL) + PATIENCE_S;
    for (n_expected += n; n_shown < n_expected;)
        if (!look(terminal, until)) fail("the program ends", "too early");
}

static size_t unescape(char *words) {
    char *to = words;
    for (const char *from = words; *from; from++) {
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        from++;
        unsigned hex = 0;
        if (*from == 'x' && sscanf(from + 1, "%2x", &hex) == 1) from += 2;
        *to++ = *from == 'n' ? '\n' : *from == 't' ? '\t' : *from == '\\' ? '\\' : (char)hex;
    }
    return (size_t)(to - words);
}

static void type(int terminal, const char *words, size_t n) {
    if (write(terminal, words, n) != (ssize_t)n) fail("cannot be typed", words);
}

static void suspend(int terminal, pid_t child) {
    struct termios modes;
    int status;
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    tcgetattr(terminal, &modes);
    modes.c_lflag |= ICANON | ECHO;
    tcsetattr(terminal, TCSANOW, &modes);
    kill(child, SIGCONT);
}

static void take_step(int terminal, pid_t child, char *line) {
    char *words = strchr(line, ' ');
    line[strcspn(line, "\n")] = '\0';
    if (!words) fail("expected a step", line);
    *words++ = '\0';
    const size_t n = unescape(words);
    words[n] = '\0';
    if (strcmp(line, "expect") == 0)
        expect(terminal, words, n);
    else if (strcmp(line, "more") == 0)
        expect_more(terminal, (size_t)atoi(words));
    else if (strcmp(line, "type") == 0)
        type(terminal, words, n);
    else if (strcmp(line, "suspend") == 0)
        suspend(terminal, child);
    else
        fail("no such step", line);
}

int main(int argc, char **argv) {
    const struct winsize size = {.ws_row = 24, .ws_col = 80};
    char *line = NULL;
    size_t capacity = 0;
    int terminal, status;
    if (argc < 2) return 2;
    const pid_t child = forkpty(&terminal, NULL, NULL, &size);
    if (child < 0) return 2;
    if (child == 0) {
        execv(argv[1], argv + 1);
        _exit(127);
    }
    while (getline(&line, &capacity, stdin) > 0) take_step(terminal, child, line);
    while (look(terminal, time(NULL) + PATIENCE_S)) continue;
    waitpid(child, &status, 0);
    fwrite(shown, 1, n_shown, stdout);
    free(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
