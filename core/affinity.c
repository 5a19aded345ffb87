#include "core/affinity.h"

#include <errno.h>
#include <limits.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { PROCESSORS_MIN = 1024, PROCESSORS_MAX = 1 << 16 };

static ae_affinity none_of(int processors) {
    ae_affinity a = {.set = CPU_ALLOC((size_t)processors), .bytes = CPU_ALLOC_SIZE((size_t)processors)};
    if (a.set) CPU_ZERO_S(a.bytes, a.set);
    return a;
}

void ae_affinity_free(ae_affinity *a) {
    CPU_FREE(a->set);
    *a = (ae_affinity){0};
}

/* The kernel refuses a set that is smaller than its own. */
static ae_affinity of_calling_thread(void) {
    for (int processors = PROCESSORS_MIN; processors <= PROCESSORS_MAX; processors *= 2) {
        ae_affinity a = none_of(processors);
        if (a.set && sched_getaffinity(0, a.bytes, a.set) == 0) return a;
        const bool too_small = a.set && errno == EINVAL;
        ae_affinity_free(&a);
        if (!too_small) break;
    }
    return (ae_affinity){0};
}

/* With "master" all threads stay on one place, and the first thread's affinity is the truth. */
bool ae_affinity_is_of_places(void) {
    const omp_proc_bind_t bound = omp_get_proc_bind();
    return omp_get_num_places() > 0 && bound != omp_proc_bind_false && bound != omp_proc_bind_master;
}

/* What the kernel lets this thread have at most: processors that are there, and in its cpuset. Without leave to ask: everything. */
static ae_affinity allowed(void) {
    ae_affinity before = of_calling_thread(), all = none_of(PROCESSORS_MAX);
    if (before.set && all.set) {
        memset(all.set, 0xff, all.bytes);
        if (sched_setaffinity(0, all.bytes, all.set) == 0) {
            (void)sched_getaffinity(0, all.bytes, all.set);
            (void)sched_setaffinity(0, before.bytes, before.set);
        }
    }
    ae_affinity_free(&before);
    return all;
}

/* Adds what is allowed of a place; false where that is nothing. */
static bool add_place(ae_affinity *a, int place, const ae_affinity *may) {
    bool any = false;
    const int n = omp_get_place_num_procs(place);
    int *ids = n > 0 ? malloc((size_t)n * sizeof *ids) : NULL;
    if (!ids) return false;
    omp_get_place_proc_ids(place, ids);
    for (int i = 0; i < n; i++) {
        if (ids[i] < 0 || !CPU_ISSET_S((size_t)ids[i], may->bytes, may->set)) continue;
        CPU_SET_S((size_t)ids[i], a->bytes, a->set);
        any = true;
    }
    free(ids);
    return any;
}

/* Of the places before the first that has nothing; as many of them there are. */
static ae_affinity of_places(int *usable) {
    ae_affinity a = none_of(PROCESSORS_MAX), may = allowed();
    *usable = 0;
    while (a.set && may.set && *usable < omp_get_num_places() && add_place(&a, *usable, &may)) ++*usable;
    ae_affinity_free(&may);
    return a;
}

int ae_affinity_most_threads(void) {
    int usable;
    if (!ae_affinity_is_of_places()) return INT_MAX;
    ae_affinity a = of_places(&usable);
    ae_affinity_free(&a);
    if (usable == omp_get_num_places()) return INT_MAX;
    return omp_get_proc_bind() == omp_proc_bind_spread || usable == 0 ? 1 : usable;
}

ae_affinity ae_affinity_read(void) {
    int usable = 0;
    ae_affinity a = {0};
    if (ae_affinity_is_of_places()) a = of_places(&usable);
    if (usable == 0) { /* not bound, to nothing at least */
        ae_affinity_free(&a);
        a = of_calling_thread();
    }
    if (a.set) a.count = CPU_COUNT_S(a.bytes, a.set);
    if (a.count == 0) ae_affinity_free(&a);
    return a;
}

void ae_affinity_widen(void) {
    if (!ae_affinity_is_of_places()) return;
    ae_affinity a = ae_affinity_read();
    if (a.set) (void)sched_setaffinity(0, a.bytes, a.set); /* else with what there is */
    ae_affinity_free(&a);
}
