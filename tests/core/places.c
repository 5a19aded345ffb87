/* Where OpenMP has bound the first thread to one place, the processors of all places count, and threads of our own run on all.
 * usage: places PROCESSORS */
#include "core/affinity.h"
#include "core/threads.h"

#include <stdio.h>
#include <stdlib.h>

static int own_count(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : -1;
}

static void *count_in(void *count) {
    *(int *)count = own_count();
    return NULL;
}

int main(int argc, char **argv) {
    const int wanted = argc > 1 ? atoi(argv[1]) : 0, before = own_count();
    int beside = 0;
    pthread_t thread;
    ae_affinity all = ae_affinity_read();
    const int count = all.count;
    ae_affinity_free(&all);
    if (ae_thread_start(&thread, count_in, &beside) == 0) pthread_join(thread, NULL);
    const int after = own_count();
    ae_affinity_widen();
    printf("%d processors, %d of this thread, %d of one beside, %d of this one widened\n", count, before,
           beside, own_count());
    return count != wanted || beside != wanted || after != before || own_count() != wanted;
}
