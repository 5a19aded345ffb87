#include "core/threads.h"

#include "core/affinity.h"
#include "core/log.h"
#include "core/machine.h"

#include <ctype.h>
#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* SPARE: a loader and a saver want to start, too. MANY: so many to a core are told of. */
enum { THREADS_MAX = 1024, SPARE = 2, MANY = 2, STACK_LEAST = 512 << 10 };
#define STACK_MOST 0x1p62

static atomic_int chosen;
static atomic_flag told_of_list = ATOMIC_FLAG_INIT, told_of_many = ATOMIC_FLAG_INIT,
                   told_of_start = ATOMIC_FLAG_INIT, told_of_places = ATOMIC_FLAG_INIT;

/* ---- what is asked for ---- */

static bool number(const char **at, long *n) {
    char *end;
    *n = strtol(*at, &end, 10);
    if (end == *at || *n < 1) return false;
    *at = end + strspn(end, " \t\n");
    return true;
}

int ae_threads_in_list(const char *list) {
    long first, more;
    if (!number(&list, &first)) return 0;
    while (*list == ',') {
        list++;
        if (!number(&list, &more)) return 0;
    }
    return *list == '\0' && first <= THREADS_MAX ? (int)first : 0;
}

static int by_environment(int cores) {
    const char *list = getenv("OMP_NUM_THREADS");
    if (!list || list[strspn(list, " \t\n")] == '\0') return cores;
    const int n = ae_threads_in_list(list);
    if (n > 0) return n;
    if (!atomic_flag_test_and_set(&told_of_list))
        ae_warn("OMP_NUM_THREADS: expected numbers from 1 to %d as in \"4\" or \"4,2\", found \"%s\"; %d "
                "threads for the usable cores",
                THREADS_MAX, list, cores);
    return cores;
}

/* ---- what can be had ---- */

static int grantable(int n) {
    if (omp_get_max_active_levels() < 1) return 1;
    const int limit = omp_get_thread_limit(), bindable = ae_affinity_most_threads();
    if (n > limit) n = limit;
    if (n > bindable && !atomic_flag_test_and_set(&told_of_places))
        ae_warn("threads: OpenMP was given places without usable processors (OMP_PLACES, GOMP_CPU_AFFINITY); "
                "going on with %d of %d",
                bindable, n);
    return n < bindable ? n : bindable;
}

size_t ae_threads_stack_bytes(const char *text) {
    static const char units[] = "bkmg";
    char *end;
    const double n = strtod(text, &end);
    end += strspn(end, " \t\n");
    const char *unit = *end ? strchr(units, tolower((unsigned char)*end)) : units + 1;
    if (*end) end += 1 + strspn(end + 1, " \t\n");
    if (!unit || *end || !(n > 0) || strchr(text, '.')) return 0;
    const double bytes = ldexp(n, 10 * (int)(unit - units));
    return bytes < STACK_MOST ? (size_t)bytes : (size_t)STACK_MOST;
}

/* What OpenMP gives to each of its threads: by the first of these that is a size, else as the system does. */
static size_t stack_bytes(void) {
    static const char *const names[] = {"OMP_STACKSIZE", "GOMP_STACKSIZE"};
    pthread_attr_t attributes;
    size_t bytes = 0;
    for (int i = 0; i < 2 && bytes == 0; i++) {
        const char *text = getenv(names[i]);
        if (text) bytes = ae_threads_stack_bytes(text);
    }
    if (bytes > 0 || pthread_attr_init(&attributes) != 0) return bytes;
    pthread_attr_getstacksize(&attributes, &bytes);
    pthread_attr_destroy(&attributes);
    return bytes;
}

static void *wait_at(void *gate) {
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* How many of n threads with such stacks start beside this one. They are all there at once. */
static int startable(int n, size_t stack) {
    pthread_attr_t attributes;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *threads = malloc((size_t)n * sizeof *threads);
    if (!threads || pthread_attr_init(&attributes) != 0) {
        free(threads);
        return n;
    }
    int made = 0;
    const bool has_stack = pthread_attr_setstacksize(&attributes, stack) == 0;
    pthread_mutex_lock(&gate);
    while (has_stack && made < n && pthread_create(&threads[made], &attributes, wait_at, &gate) == 0) made++;
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < made; i++) pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attributes);
    pthread_mutex_destroy(&gate);
    free(threads);
    return made;
}

/* OpenMP ends the process where a thread does not start; and one whose stack is too small ends it later. */
static int started(int n) {
    if (n == 1) return n;
    const size_t stack = stack_bytes();
    const int wanted = n - 1 + SPARE, made = stack < STACK_LEAST ? 0 : startable(wanted, stack);
    if (made == wanted) return n;
    const int left = made > SPARE ? made - SPARE + 1 : 1;
    if (atomic_flag_test_and_set(&told_of_start)) return left;
    if (stack < STACK_LEAST)
        ae_warn("threads: expected %d kB of stack for each, found %zu (OMP_STACKSIZE, ulimit -s); going on "
                "with one",
                STACK_LEAST >> 10, stack >> 10);
    else
        ae_warn("threads: %d are wanted, and the system lets %d start beside the first and %d helpers "
                "(ulimit -u, "
                "a container's limit of tasks, memory for stacks of %zu kB); going on with %d",
                n, left - 1, SPARE, stack >> 10, left);
    return left;
}

static void tell_of_many(int n, int cores) {
    if (n > MANY * cores && !atomic_flag_test_and_set(&told_of_many))
        ae_warn("threads: %d on %d usable cores wait for each other and are many times slower than %d "
                "(--threads, "
                "train.threads, OMP_NUM_THREADS)",
                n, cores, cores);
}

/* ---- the number ---- */

int ae_threads_granted(int asked) {
    const int cores = ae_usable_cores();
    const int n = started(grantable(asked > 0 ? asked : by_environment(cores)));
    tell_of_many(n, cores);
    return n;
}

int ae_threads_start(int asked) {
    ae_threads_set(ae_threads_granted(asked));
    return ae_threads();
}

void ae_threads_set(int n) {
    atomic_store(&chosen, n > 0 ? n : 1);
}

int ae_threads(void) {
    const int n = atomic_load_explicit(&chosen, memory_order_relaxed);
    return n > 0 ? n : ae_threads_start(0);
}

/* ---- threads of our own ---- */

static bool spread(pthread_attr_t *attributes) {
    if (!ae_affinity_is_of_places()) return false;
    ae_affinity all = ae_affinity_read();
    const bool done = all.set && pthread_attr_setaffinity_np(attributes, all.bytes, all.set) == 0;
    ae_affinity_free(&all);
    return done;
}

int ae_thread_start(pthread_t *thread, void *(*run)(void *), void *argument) {
    pthread_attr_t attributes;
    int error = 1;
    if (pthread_attr_init(&attributes) == 0) {
        if (spread(&attributes)) error = pthread_create(thread, &attributes, run, argument);
        pthread_attr_destroy(&attributes);
    }
    return error ? pthread_create(thread, NULL, run, argument) : 0;
}
