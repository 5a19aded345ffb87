#include "cli/openblas.h"

#include "core/machine.h"

#include <dlfcn.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ae_openblas loaded;
static void *handle;

/* Only a limit of this process counts: without one the kernel gives address space freely. The library takes
 * room for as many threads as OpenMP says, whatever we use. */
static ae_status check_room(void) {
    enum { MB_A_THREAD = 128 };
    struct rlimit space;
    if (getrlimit(RLIMIT_AS, &space) != 0 || space.rlim_cur == RLIM_INFINITY) return AE_OK;
    const size_t wanted = (size_t)MB_A_THREAD * ((size_t)omp_get_max_threads() + 1) << 20;
    const size_t there = ae_memory_available_bytes();
    if (there >= wanted) return AE_OK;
    return AE_FAIL(
        AE_ERR_RESOURCE,
        "OpenBLAS, the yardstick: expected %zu MB of address space for %d threads, found %zu; raise "
        "the limit (ulimit -v) or take fewer threads",
        wanted >> 20, omp_get_max_threads(), there >> 20);
}

static ae_status find(void *function, const char *name) {
    void *at = dlsym(handle, name);
    if (!at)
        return AE_FAIL(AE_ERR_RESOURCE, "OpenBLAS, the yardstick: expected a function %s: %s", name,
                       dlerror());
    memcpy(function, &at, sizeof at);
    return AE_OK;
}

static ae_status load(void) {
    static const char *const names[] = {AE_OPENBLAS_PATH, "libopenblas.so.0"};
    ae_status st = check_room();
    if (st != AE_OK) return st;
    for (size_t i = 0; !handle && i < sizeof names / sizeof *names; i++)
        handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return AE_FAIL(AE_ERR_RESOURCE,
                       "OpenBLAS, the yardstick, cannot be loaded: %s; install libopenblas0-openmp",
                       dlerror());
    AE_TRY(find(&loaded.sgemm, "cblas_sgemm"));
    AE_TRY(find(&loaded.get_num_threads, "openblas_get_num_threads"));
    AE_TRY(find(&loaded.set_num_threads, "openblas_set_num_threads"));
    AE_TRY(find(&loaded.get_config, "openblas_get_config"));
    AE_TRY(find(&loaded.get_corename, "openblas_get_corename"));
out:
    return st;
}

ae_status ae_openblas_load(const ae_openblas **library) {
    pthread_mutex_lock(&lock);
    const ae_status st = loaded.get_corename ? AE_OK : load();
    pthread_mutex_unlock(&lock);
    *library = st == AE_OK ? &loaded : NULL;
    return st;
}
