#include "core/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* stderr goes to a file, or to the far side of a pseudo-terminal, while `caught` collects it. */
static char caught[1 << 16];
static int kept_stderr = -1, near_side = -1;

static void catch_with(int fd) {
    fflush(stderr);
    kept_stderr = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
}

static void release(void) {
    fflush(stderr);
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
}

static FILE *plain_begin(void) {
    FILE *f = tmpfile();
    cr_assert_not_null(f);
    catch_with(fileno(f));
    return f;
}

static void plain_end(FILE *f) {
    release();
    rewind(f);
    size_t n = fread(caught, 1, sizeof caught - 1, f);
    caught[n] = '\0';
    fclose(f);
}

static void terminal_begin(void) {
    near_side = posix_openpt(O_RDWR | O_NOCTTY);
    cr_assert_geq(near_side, 0);
    cr_assert_eq(grantpt(near_side) | unlockpt(near_side), 0);
    int far = open(ptsname(near_side), O_RDWR | O_NOCTTY);
    cr_assert_geq(far, 0);
    catch_with(far);
    close(far);
    setenv("TERM", "xterm", 1);
}

static void terminal_end(void) {
    struct pollfd ready = {.fd = near_side, .events = POLLIN};
    size_t n = 0;
    fflush(stderr);
    while (n < sizeof caught - 1 && poll(&ready, 1, 200) > 0 && (ready.revents & POLLIN) != 0) {
        ssize_t got = read(near_side, caught + n, sizeof caught - 1 - n);
        if (got <= 0) break;
        n += (size_t)got;
    }
    caught[n] = '\0';
    release();
    close(near_side);
}

static int count(const char *part) {
    int n = 0;
    for (const char *p = caught; (p = strstr(p, part)) != NULL; p += strlen(part)) n++;
    return n;
}

Test(log, lines_and_warnings) {
    FILE *f = plain_begin();
    ae_log("read %d files", 3);
    ae_warn("slow");
    ae_log_quiet(true);
    ae_log("not shown");
    ae_warn("still shown");
    ae_log_quiet(false);
    plain_end(f);
    cr_assert_str_eq(caught, "read 3 files\nwarning: slow\nwarning: still shown\n");
}

Test(log, plain_progress_is_rare_and_ends_with_the_last) {
    FILE *f = plain_begin();
    ae_progress p;
    ae_progress_init(&p, "train", 0, 1000);
    cr_assert_not(p.terminal);
    for (int i = 1; i <= 1000; i++) ae_progress_show(&p, i, i == 1000 ? "loss 1.5" : "loss 9");
    ae_progress_end(&p);
    plain_end(f);
    cr_assert_eq(count("\n"), 1, "%s", caught);
    cr_assert_eq(count("\r"), 0);
    cr_assert_not_null(strstr(caught, "train 100%  1000/1000"), "%s", caught);
    cr_assert_not_null(strstr(caught, "loss 1.5\n"));
}

Test(log, plain_progress_shows_after_its_pause) {
    FILE *f = plain_begin();
    ae_progress p;
    ae_progress_init(&p, "train", 100, 200);
    p.started_s -= 10;
    p.shown_s -= 10;
    p.unit = "row";
    ae_progress_show(&p, 150, "");
    ae_progress_show(&p, 151, "");
    plain_end(f);
    cr_assert_eq(count("\n"), 1);
    cr_assert_not_null(strstr(caught, " 75%  150/200  5 row/s  0:10 left\n"), "%s", caught);
}

/* The first of many requests that run side by side ends late: it tells nothing about the time left. */
Test(log, weighed_progress_tells_the_time_left_from_its_work) {
    FILE *f = plain_begin();
    ae_progress p;
    ae_progress_init(&p, "evaluate", 0, 800);
    p.started_s -= 10;
    p.shown_s -= 10;
    ae_progress_weigh(&p, 5000, 5000);
    ae_progress_show(&p, 1, "early");
    p.shown_s -= 10;
    ae_progress_show(&p, 20, "later");
    plain_end(f);
    cr_assert_not_null(strstr(caught, "0:10 elapsed  early\n"), "%s", caught);
    cr_assert_not_null(strstr(caught, "0:10 left  later\n"), "%s", caught);
}

Test(log, terminal_has_one_rewritten_line) {
    terminal_begin();
    ae_progress p;
    ae_progress_init(&p, "train", 0, 10);
    bool terminal = p.terminal;
    p.started_s -= 10;
    p.shown_s -= 10;
    ae_progress_show(&p, 5, "loss 2");
    ae_log("checkpoint saved");
    ae_progress_show(&p, 10, "loss 1");
    ae_progress_end(&p);
    ae_progress_end(&p);
    terminal_end();
    cr_assert(terminal);
    cr_assert_eq(count("\n"), 2, "%s", caught);
    cr_assert_eq(count("[############............]  50%  5/10"), 1, "%s", caught);
    cr_assert_not_null(strstr(caught, "\r\033[Kcheckpoint saved\r\n"));
    cr_assert_not_null(strstr(caught, "[########################] 100%  10/10"));
}

/* The line of a run halfway on a terminal of so many columns; 0: one that does not say. */
static const char *line_on(unsigned short columns) {
    terminal_begin();
    cr_assert_eq(ioctl(near_side, TIOCSWINSZ, &(struct winsize){.ws_row = 24, .ws_col = columns}), 0);
    ae_progress p;
    ae_progress_init(&p, "train", 0, 200);
    p.started_s -= 50;
    p.shown_s -= 50;
    ae_progress_show(&p, 100, "loss 5.1601  norm 0.83  lr 2.50e-03  5400 tok/s");
    terminal_end();
    const char *line = strstr(caught, "train");
    cr_assert_not_null(line);
    return line;
}

Test(log, what_matters_least_leaves_a_narrow_terminal_first) {
    static const struct {
        unsigned short columns;
        const char *line;
    } cases[] = {
        {120,
         "train [############............]  50%  100/200  2 step/s  0:50 left  loss 5.1601  norm 0.83  lr "
         "2.50e-03  5400 tok/s"},
        {110,
         "train [####....]  50%  100/200  2 step/s  0:50 left  loss 5.1601  norm 0.83  lr 2.50e-03  5400 "
         "tok/s"},
        {92, "train [####....]  50%  100/200  0:50 left  loss 5.1601  norm 0.83  lr 2.50e-03  5400 tok/s"},
        {81, "train  50%  100/200  0:50 left  loss 5.1601  norm 0.83  lr 2.50e-03  5400 tok/s"},
        {80, "train  50%  100/200  0:50 left  loss 5.1601  norm 0.83  lr 2.50e-03  5400 tok/s"},
        {0, "train  50%  100/200  0:50 left  loss 5.1601  norm 0.83  lr 2.50e-03  5400 tok/s"},
        {70, "train  50%  100/200  0:50 left  loss 5.1601  norm 0.83  5400 tok/s"},
        {60, "train  50%  100/200  0:50 left  loss 5.1601  5400 tok/s"},
        {50, "train  50%  100/200  0:50 left  loss 5.1601"},
        {36, "train  50%  100/200  0:50 left"},
        {22, "train  50%  100/200  "},
        {12, "train  50% "},
        {6, "train"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_str_eq(line_on(cases[i].columns), cases[i].line, "%hu columns: %s", cases[i].columns,
                         caught);
}

Test(log, a_terminal_that_rewrites_nothing_has_lines_that_fit) {
    terminal_begin();
    setenv("TERM", "dumb", 1);
    ae_progress p;
    ae_progress_init(&p, "train", 0, 2000);
    p.started_s -= 50;
    p.shown_s -= 50;
    ae_progress_show(&p, 1000, "loss 5.1601  norm 0.83  lr 2.50e-03  5400 tok/s");
    terminal_end();
    cr_assert_str_eq(caught, "train  50%  1000/2000  0:50 left  loss 5.1601  norm 0.83  5400 tok/s\r\n");
}

Test(log, counts_have_three_digits) {
    static const struct {
        double x;
        const char *text;
    } cases[] = {{0, "0"},           {7, "7"},
                 {999, "999"},       {1000, "1.00 K"},
                 {9994, "9.99 K"},   {9996, "10.0 K"},
                 {77312, "77.3 K"},  {999400, "999 K"},
                 {999600, "1.00 M"}, {3492000, "3.49 M"},
                 {2.68e9, "2.68 B"}, {1.2345e12, "1234 B"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        ae_format_count(text, sizeof text, cases[i].x);
        cr_assert_str_eq(text, cases[i].text);
    }
}

Test(log, one_long_detail_is_left_out_on_a_terminal) {
    char detail[500];
    memset(detail, 'x', sizeof detail - 1);
    detail[sizeof detail - 1] = '\0';
    terminal_begin();
    ae_progress p;
    ae_progress_init(&p, "train", 0, 1);
    ae_progress_show(&p, 1, detail);
    terminal_end();
    const char *line = strstr(caught, "train");
    cr_assert_not_null(line);
    cr_assert_leq(strlen(line), 79);
    cr_assert_null(strchr(line, 'x'), "%s", line);
}

Test(log, unknown_total_has_no_bar) {
    FILE *f = plain_begin();
    ae_progress p;
    ae_progress_init(&p, "encode", 0, 0);
    p.started_s -= 60;
    p.shown_s -= 60;
    p.unit = "MB";
    ae_progress_show(&p, 120, "");
    plain_end(f);
    cr_assert_str_eq(caught, "encode 120  2 MB/s  1:00 elapsed\n");
}
