#ifndef AE_OPS_CPU_ALONE_H
#define AE_OPS_CPU_ALONE_H
#include <omp.h>

/* The product library cuts a product by omp_get_max_threads(), unless it stands in an active region, and
 * trusts that so many come: where OpenMP grants fewer (a limit, a busy machine), the others' parts are never
 * computed. So every call of it, and every primitive made for one, stands between these two: the calling
 * thread asks for itself alone. How it would cut sums for several would change bits, too. */
static inline int ae_alone_begin(void) {
    const int before = omp_get_max_threads();
    omp_set_num_threads(1);
    return before;
}
static inline void ae_alone_end(int before) {
    omp_set_num_threads(before);
}

#endif
