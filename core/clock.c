#include "core/clock.h"

#include <time.h>

static double read_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double ae_now_s(void) {
    return read_clock(CLOCK_MONOTONIC);
}

double ae_wall_s(void) {
    return read_clock(CLOCK_REALTIME);
}
