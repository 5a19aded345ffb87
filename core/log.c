#include "core/log.h"

#include "core/clock.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_BYTES = 4096, BAR_CELLS = 24, WEIGHED_STEPS = 8 };
static const double TERMINAL_EVERY_S = 0.1, PLAIN_EVERY_S = 5.0, WEIGHED_AFTER_S = 4.0;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_quiet, bar_on_screen;

/* One write a line, so that lines of several threads and processes do not mix. */
static void put_line(const char *prefix, const char *text) {
    pthread_mutex_lock(&lock);
    fprintf(stderr, "%s%s%s\n", bar_on_screen ? "\r\033[K" : "", prefix, text);
    bar_on_screen = false;
    pthread_mutex_unlock(&lock);
}

void ae_log(const char *fmt, ...) {
    if (is_quiet) return;
    char text[LINE_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    put_line("", text);
}

void ae_warn(const char *fmt, ...) {
    char text[LINE_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    put_line("warning: ", text);
}

void ae_log_fresh_line(void) {
    pthread_mutex_lock(&lock);
    if (bar_on_screen) fputc('\n', stderr);
    bar_on_screen = false;
    pthread_mutex_unlock(&lock);
}

void ae_log_quiet(bool quiet) {
    is_quiet = quiet;
}

static bool stderr_is_terminal(void) {
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0;
}

/* Of a terminal, even one that cannot rewrite a line. */
static size_t line_columns(void) {
    struct winsize size = {0};
    if (isatty(STDERR_FILENO) != 1) return LINE_BYTES;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 79;
    return size.ws_col - 1U;
}

void ae_progress_init(ae_progress *p, const char *what, int64_t first, int64_t total) {
    *p = (ae_progress){.what = what, .total = total, .first = first, .terminal = stderr_is_terminal()};
    p->started_s = ae_now_s();
    p->shown_s = p->started_s;
}

static void format_time(char *out, size_t n, double seconds) {
    if (!(seconds < 1e7)) seconds = 1e7;
    long s = (long)(seconds + 0.5);
    if (s >= 3600) {
        snprintf(out, n, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    } else {
        snprintf(out, n, "%ld:%02ld", s / 60, s % 60);
    }
}

/* "[###...] ", or nothing for no cells. */
static void format_bar(char *out, int cells, double share) {
    out[0] = '\0';
    if (cells == 0) return;
    out[0] = '[';
    memset(out + 1, '.', (size_t)cells);
    memset(out + 1, '#', (size_t)(share * cells));
    memcpy(out + 1 + cells, "] ", sizeof "] ");
}

static double share_done(const ae_progress *p, int64_t done) {
    if (p->total <= 0) return 0;
    double share = (double)done / (double)p->total;
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

void ae_progress_weigh(ae_progress *p, double worked, double left) {
    p->weighed = true;
    p->worked = worked;
    p->left = left;
}

/* Seconds that are left, or -1. The first steps of a weighed bar tell nothing: many begin before one ends. */
static double time_left(const ae_progress *p, int64_t done, double elapsed) {
    const int64_t passed = done - p->first;
    if (p->total <= done || elapsed <= 0) return -1;
    if (!p->weighed) return passed > 0 ? (double)(p->total - done) * elapsed / (double)passed : -1;
    const bool early = elapsed < WEIGHED_AFTER_S || passed < WEIGHED_STEPS || p->worked < 0.01 * p->left;
    return early || !(p->worked > 0) ? -1 : p->left * elapsed / p->worked;
}

/* "42%  1260/3000", the rate where there is room, and the time left; parts that are not known are left out. */
static void format_numbers(const ae_progress *p, int64_t done, double now, bool with_rate, char *out,
                           size_t n) {
    double elapsed = now - p->started_s;
    double rate = elapsed > 0 ? (double)(done - p->first) / elapsed : 0;
    char time[32], count[64], speed[64] = "";
    if (p->total > 0) {
        snprintf(count, sizeof count, "%3.0f%%  %lld/%lld", 100 * share_done(p, done), (long long)done,
                 (long long)p->total);
    } else {
        snprintf(count, sizeof count, "%lld", (long long)done);
    }
    if (with_rate && rate > 0)
        snprintf(speed, sizeof speed, rate < 1000 ? "  %.3g %s/s" : "  %.0f %s/s", rate,
                 p->unit != NULL ? p->unit : "step");
    const double left = time_left(p, done, elapsed);
    if (left >= 0) {
        format_time(time, sizeof time, left);
        snprintf(out, n, "%s%s  %s left", count, speed, time);
    } else {
        format_time(time, sizeof time, elapsed);
        snprintf(out, n, "%s%s  %s elapsed", count, speed, time);
    }
}

/* What a line has room for. */
typedef struct {
    int cells;
    bool rate;
} room;

/* Where the field before the last begins, with the blanks before it; the last of two, or the only one. */
static char *least_field(char *detail) {
    char *starts[3] = {detail, detail, detail};
    int n = 0;
    for (char *at = detail; at != NULL; at = strstr(at + 2, "  ")) {
        starts[n++ % 3] = at;
        if (at[0] == '\0' || at[1] == '\0') break;
    }
    return n > 2 ? starts[(n - 2) % 3] : starts[(n - 1) % 3];
}

static void drop_field(char *detail) {
    char *from = least_field(detail), *next = from[0] != '\0' ? strstr(from + 1, "  ") : NULL;
    if (from == detail || next == NULL) {
        from[0] = '\0';
    } else {
        memmove(from, next, strlen(next) + 1);
    }
}

/* The line's length. */
static size_t format_line(const ae_progress *p, int64_t done, const char *detail, double now, room r,
                          char *out, size_t n) {
    char numbers[256], bar[BAR_CELLS + 4];
    format_numbers(p, done, now, r.rate, numbers, sizeof numbers);
    format_bar(bar, r.cells, share_done(p, done));
    snprintf(out, n, "%s %s%s%s%s", p->what, bar, numbers, detail[0] != '\0' ? "  " : "", detail);
    return strlen(out);
}

/* What matters least goes first, whole fields at a time: half a number would mislead. */
static void fit_line(const ae_progress *p, int64_t done, const char *given, double now, char *out, size_t n) {
    static const room rooms[] = {{BAR_CELLS, true}, {8, true}, {8, false}, {0, false}};
    const bool has_bar = p->terminal && p->total > 0;
    const size_t columns = line_columns(), last = sizeof rooms / sizeof *rooms - 1;
    for (size_t i = 0; i <= last; i++) {
        const room r = {has_bar ? rooms[i].cells : 0, rooms[i].rate};
        if (format_line(p, done, given, now, r, out, n) <= columns) return;
    }
    char detail[LINE_BYTES];
    snprintf(detail, sizeof detail, "%s", given);
    while (detail[0] != '\0') {
        drop_field(detail);
        if (format_line(p, done, detail, now, rooms[last], out, n) <= columns) return;
    }
    out[columns] = '\0';
}

static void show(const ae_progress *p, int64_t done, const char *detail, double now) {
    char text[LINE_BYTES + 1];
    fit_line(p, done, detail, now, text, sizeof text);
    pthread_mutex_lock(&lock);
    if (p->terminal) {
        fprintf(stderr, "\r\033[K%s", text);
        fflush(stderr);
        bar_on_screen = true;
    } else {
        fprintf(stderr, "%s\n", text);
    }
    pthread_mutex_unlock(&lock);
}

void ae_progress_show(ae_progress *p, int64_t done, const char *detail) {
    if (is_quiet) return;
    double now = ae_now_s();
    bool last = p->total > 0 && done >= p->total;
    if (!last && now - p->shown_s < (p->terminal ? TERMINAL_EVERY_S : PLAIN_EVERY_S)) return;
    p->shown_s = now;
    show(p, done, detail, now);
}

void ae_progress_end(ae_progress *p) {
    pthread_mutex_lock(&lock);
    if (p->terminal && bar_on_screen) {
        fputc('\n', stderr);
        bar_on_screen = false;
    }
    pthread_mutex_unlock(&lock);
}

/* ---- numbers ---- */

void ae_format_count(char *out, size_t n, double x) {
    static const char *const units[] = {"", " K", " M", " B"};
    size_t i = 0;
    for (; i < 3 && x >= 999.5; i++) x /= 1000;
    const int decimals = i == 0 || x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2;
    snprintf(out, n, "%.*f%s", decimals, x, units[i]);
}

void ae_format_bytes(char *out, size_t n, size_t bytes) {
    const double x = (double)bytes;
    if (x < 1e6) {
        snprintf(out, n, "%.0f kB", x / 1e3);
    } else if (x < 1e9) {
        snprintf(out, n, "%.0f MB", x / 1e6);
    } else {
        snprintf(out, n, "%.2f GB", x / 1e9);
    }
}
