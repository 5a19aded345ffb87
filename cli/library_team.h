#ifndef AE_CLI_LIBRARY_TEAM_H
#define AE_CLI_LIBRARY_TEAM_H
#include "core/threads.h"

#include <omp.h>

/* A library that shares a product among threads trusts that as many come as OpenMP promises: for its calls,
 * the threads that do come. */
typedef struct {
    int dynamic, threads;
} ae_library_team;
static inline ae_library_team ae_library_team_begin(void) {
    const ae_library_team before = {omp_get_dynamic(), omp_get_max_threads()};
    omp_set_dynamic(0);
    omp_set_num_threads(ae_threads());
    return before;
}
static inline void ae_library_team_end(ae_library_team before) {
    omp_set_num_threads(before.threads);
    omp_set_dynamic(before.dynamic);
}

#endif
