#include "core/affinity.h"

#include <errno.h>
#include <omp.h>
#include <stdlib.h>

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

static void add_place(ae_affinity *a, int place) {
    const int n = omp_get_place_num_procs(place);
    int *ids = n > 0 ? malloc((size_t)n * sizeof *ids) : NULL;
    if (!ids) return;
    omp_get_place_proc_ids(place, ids);
    for (int i = 0; i < n; i++)
        if (ids[i] >= 0) CPU_SET_S((size_t)ids[i], a->bytes, a->set);
    free(ids);
}

static ae_affinity of_places(void) {
    ae_affinity a = none_of(PROCESSORS_MAX);
    for (int place = 0; a.set && place < omp_get_num_places(); place++) add_place(&a, place);
    return a;
}

ae_affinity ae_affinity_read(void) {
    ae_affinity a = ae_affinity_is_of_places() ? of_places() : of_calling_thread();
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
