#include "core/affinity.h"
#include "core/machine.h"
#include "core/threads.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

Test(threads, lists_are_those_of_openmp) {
    static const struct {
        const char *list;
        int first;
    } cases[] = {{"4", 4},       {" 4 ", 4},
                 {"4,2", 4},     {"4 , 2,1", 4},
                 {"1024", 1024}, {"+3", 3},
                 {"", 0},        {"  ", 0},
                 {"0", 0},       {"-2", 0},
                 {"1025", 0},    {"x", 0},
                 {"4x", 0},      {"4,", 0},
                 {",4", 0},      {"4 2", 0},
                 {"4;2", 0},     {"4,0", 0},
                 {"2.5", 0},     {"4,,2", 0},
                 {"0x4", 0},     {"99999999999999999999", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(ae_threads_in_list(cases[i].list), cases[i].first, "\"%s\"", cases[i].list);
}

Test(threads, sizes_of_stacks_are_those_of_openmp) {
    static const struct {
        const char *setting;
        size_t bytes;
    } cases[] = {{"512", 512 << 10}, {"512k", 512 << 10}, {" 64 M ", 64 << 20},
                 {"1G", 1 << 30},    {"4096B", 4096},     {"", 0},
                 {"M", 0},           {"-1", 0},           {"1.5M", 0},
                 {"1T", 0},          {"1MM", 0},          {"1000000000000G", (size_t)1 << 62}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(ae_threads_stack_bytes(cases[i].setting), cases[i].bytes, "\"%s\"", cases[i].setting);
}

/* What OpenMP gives at most: the tests run under limits, too. */
static int at_most(int n) {
    if (omp_get_max_active_levels() < 1) return 1;
    return n < omp_get_thread_limit() ? n : omp_get_thread_limit();
}

Test(threads, stack_that_is_too_small_or_too_big_leaves_one) {
    static const char *const settings[] = {"64", "100000G"};
    for (int i = 0; i < 2; i++) {
        setenv("OMP_STACKSIZE", settings[i], 1);
        cr_assert_eq(ae_threads_start(2), 1, "%s", settings[i]);
    }
    setenv("OMP_STACKSIZE", "4M", 1);
    cr_assert_eq(ae_threads_start(2), at_most(2));
}

Test(threads, number_is_that_of_the_environment_or_the_cores) {
    static const struct {
        const char *list;
        int wanted;
    } cases[] = {{"1", 1}, {"2,4", 2}, {"", 0}, {" ", 0}, {"many", 0}, {"0", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int wanted = cases[i].wanted ? cases[i].wanted : ae_usable_cores();
        setenv("OMP_NUM_THREADS", cases[i].list, 1);
        cr_assert_eq(ae_threads_start(0), at_most(wanted), "\"%s\"", cases[i].list);
        cr_assert_eq(ae_threads(), at_most(wanted));
        cr_assert_eq(ae_threads_start(3), at_most(3));
    }
    unsetenv("OMP_NUM_THREADS");
    cr_assert_eq(ae_threads_start(0), at_most(ae_usable_cores()));
}

/* OpenMP's own setting, which holds for one thread, changes nothing. */
Test(threads, number_is_of_the_process) {
    ae_threads_set(2);
    omp_set_num_threads(5);
    cr_assert_eq(ae_threads(), 2);
    ae_threads_set(0);
    cr_assert_eq(ae_threads(), 1);
}

/* One line a process, whatever is asked for how often. */
static void expect_one_warning(const char *words) {
    char text[4096];
    FILE *err = cr_get_redirected_stderr();
    fflush(stderr);
    text[fread(text, 1, sizeof text - 1, err)] = '\0';
    const char *first = strstr(text, words);
    cr_assert_not_null(first, "expected \"%s\", found \"%s\"", words, text);
    cr_assert_null(strstr(first + 1, words), "twice: \"%s\"", text);
}

Test(threads, bad_list_is_told_once, .init = cr_redirect_stderr) {
    setenv("OMP_NUM_THREADS", "four", 1);
    for (int i = 0; i < 3; i++) ae_threads_start(0);
    expect_one_warning("warning: OMP_NUM_THREADS: expected numbers from 1 to 1024");
}

Test(threads, many_more_than_cores_are_told_once, .init = cr_redirect_stderr) {
    const int many = 2 * ae_usable_cores() + 1;
    if (at_most(many) < many) cr_skip_test("OpenMP grants fewer");
    for (int i = 0; i < 3; i++) cr_assert_eq(ae_threads_start(many), many);
    expect_one_warning("usable cores wait for each other");
}

#ifndef __SANITIZE_ADDRESS__ /* whose own address space is beyond any limit */
static rlim_t address_space(void) {
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    cr_assert(f && fscanf(f, "%lu", &pages) == 1);
    fclose(f);
    return (rlim_t)pages * 4096;
}

/* Room for some stacks of 8 MB, not for 200: OpenMP would end the process at the first that does not start. */
Test(threads, those_that_do_not_start_are_left_out, .init = cr_redirect_stderr) {
    enum { ASKED = 200, ROOM = 512 << 20 };
    if (at_most(ASKED) < ASKED) cr_skip_test("OpenMP grants fewer");
    cr_assert_eq(setrlimit(RLIMIT_AS, &(struct rlimit){address_space() + ROOM, RLIM_INFINITY}), 0);
    const int n = ae_threads_start(ASKED);
    cr_assert(n >= 1 && n < ASKED, "%d", n);
    int came = 0;
#pragma omp parallel num_threads(n) reduction(+ : came)
    came++;
    cr_assert(came <= n);
    expect_one_warning("warning: threads: 200 are wanted, and the system lets");
}
#endif

static void *affinity_of(void *count) {
    ae_affinity a = ae_affinity_read();
    *(int *)count = a.count;
    ae_affinity_free(&a);
    return NULL;
}

Test(threads, own_ones_start_with_all_processors) {
    pthread_t thread;
    ae_affinity a = ae_affinity_read();
    int count = 0;
    cr_assert_eq(ae_thread_start(&thread, affinity_of, &count), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(count, a.count);
    ae_affinity_free(&a);
}
