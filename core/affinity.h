#ifndef AE_CORE_AFFINITY_H
#define AE_CORE_AFFINITY_H
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

/* The processors that this process may run on. OMP_PROC_BIND, OMP_PLACES and GOMP_CPU_AFFINITY bind the first
 * thread to one place before main begins: its own affinity is that place then, and what is meant are all
 * places. */
typedef struct {
    cpu_set_t *set; /* NULL: not known */
    size_t bytes;
    int count;
} ae_affinity;

bool ae_affinity_is_of_places(void);
ae_affinity ae_affinity_read(void); /* of the calling thread, or the places */
void ae_affinity_free(ae_affinity *a);

/* How many threads OpenMP can start: it ends the process where one's place has no processor that is there
 * (GOMP_CPU_AFFINITY=0-63 on a smaller machine), and it takes places in order, but for "spread". INT_MAX
 * where all places are good. */
int ae_affinity_most_threads(void);

/* Puts the calling thread on all places: for what it then starts, which would take its one place for all that
 * there is. */
void ae_affinity_widen(void);

#endif
