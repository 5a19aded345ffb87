#ifndef AE_CORE_LOG_H
#define AE_CORE_LOG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Everything for people goes to stderr through here; results go to stdout elsewhere. */

void ae_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));  /* one line; "\n" is added */
void ae_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* "warning: ..." */
void ae_log_fresh_line(void);  /* ends a bar that stands on the terminal */
void ae_log_quiet(bool quiet); /* --quiet: drop ae_log and bars */

/* A bar with rate and time left on a terminal; a line every few seconds elsewhere. */
typedef struct {
    const char *what; /* "train", "encode" */
    const char *unit; /* "tok", "MB" */
    int64_t total;    /* in steps; 0 when not known */
    double started_s, shown_s;
    int64_t first;       /* where this process started (resume), so that the rate is honest */
    double worked, left; /* ae_progress_weigh */
    bool weighed, terminal;
} ae_progress;

void ae_progress_init(ae_progress *p, const char *what, int64_t first, int64_t total);
/* Steps are not alike: the time left follows from work that this process has done and work that is left, in a unit of
 * its own. It is told once some of both time and work has passed. Before each ae_progress_show. */
void ae_progress_weigh(ae_progress *p, double worked, double left);
/* `detail` is the run's own text ("loss 3.21  812 tok/s"), its fields two blanks apart; may be "".
 * A terminal that is too narrow is not given the long bar, the rate, the bar, then fields of the detail, of
 * which the first and then the last stay longest. */
void ae_progress_show(ae_progress *p, int64_t done, const char *detail);
void ae_progress_end(ae_progress *p);

/* Three digits with K, M or B: "642", "64.2 K", "3.49 M", "2.68 B". */
void ae_format_count(char *out, size_t n, double x);
/* What ends the noun after a number: "" or "s". */
static inline const char *ae_plural(int64_t n) {
    return n == 1 ? "" : "s";
}

/* The same of a number that is printed with three digits. */
static inline const char *ae_plural_real(double n) {
    return n >= 0.9995 && n < 1.005 ? "" : "s";
}
/* "12 kB", "345 MB", "6.78 GB". */
void ae_format_bytes(char *out, size_t n, size_t bytes);

#endif
