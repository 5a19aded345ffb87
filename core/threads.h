#ifndef AE_CORE_THREADS_H
#define AE_CORE_THREADS_H
#include <pthread.h>
#include <stddef.h>

/* How many threads work is shared among. A program chooses once, when it starts; a backend begins with that
 * number or with one of its own, and its ops ask it for theirs (ops/cpu/team.h). Work that belongs to no
 * backend asks here. Every parallel region says num_threads(...): what OpenMP itself keeps holds for one
 * calling thread only. A region may still get fewer (limits, nesting, a busy machine), so no result may
 * depend on it. */
int ae_threads(void); /* the choice, at least 1; where nothing has been chosen, as ae_threads_start(0) does */

/* How many of `asked` can be had: of 0 the first number of OMP_NUM_THREADS, else the usable cores; but no
 * more than OpenMP grants at most (OMP_THREAD_LIMIT) and than the system lets start with the stacks of
 * OMP_STACKSIZE, which it tries. Warns, once, of threads that do not start, of many more than there are
 * cores, and of an OMP_NUM_THREADS that is no list of numbers. */
int ae_threads_granted(int asked);
int ae_threads_start(int asked); /* chooses so many as are granted, and gives that number */
void ae_threads_set(int n);      /* to just that */

/* The first of a list of numbers from 1 to 1024, "4" or "4,2"; 0 where it is none. */
int ae_threads_in_list(const char *list);

/* The bytes that a setting of OMP_STACKSIZE means, "512", "512K", "64 m" or "1G"; 0 where it is none. */
size_t ae_threads_stack_bytes(const char *setting);

/* pthread_create, for a thread of our own: on every processor that the process may use, where it would
 * inherit the one place that OMP_PROC_BIND has given to the thread that makes it. */
int ae_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
