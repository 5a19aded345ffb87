#include "ops/cpu/memory.h"

#include "ops/cpu/team.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Less than SHARED_BYTES is quicker on the calling thread. */
enum { HUGE_PAGE = 2 << 20, CHUNK_BYTES = AE_SWEEP_CHUNK * (int)sizeof(float), SHARED_BYTES = 1 << 20 };

ae_status ae_cpu_alloc(void **ptr, size_t bytes) {
    const size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    const size_t padded = (bytes + align - 1) / align * align;
    *ptr = aligned_alloc(align, padded ? padded : align);
    if (!*ptr)
        return AE_FAIL(AE_ERR_RESOURCE, "out of memory: %.1f MB could not be had", (double)bytes / 1e6);
    if (bytes >= HUGE_PAGE) (void)madvise(*ptr, padded, MADV_HUGEPAGE); /* advice: without it only slower */
    return AE_OK;
}

void ae_cpu_release(void *ptr, size_t bytes) {
    (void)bytes;
    free(ptr);
}

static size_t chunk_at(size_t first, size_t bytes) {
    return bytes - first < CHUNK_BYTES ? bytes - first : CHUNK_BYTES;
}

static int threads_for(size_t bytes) {
    return bytes < SHARED_BYTES ? 1 : ae_team();
}

void ae_cpu_zero(void *device, size_t bytes) {
    char *at = device;
#pragma omp parallel for schedule(static) num_threads(threads_for(bytes))
    for (size_t i = 0; i < bytes; i += CHUNK_BYTES) memset(at + i, 0, chunk_at(i, bytes));
}

void ae_cpu_copy(void *to, const void *from, size_t bytes) {
    char *at = to;
    const char *source = from;
#pragma omp parallel for schedule(static) num_threads(threads_for(bytes))
    for (size_t i = 0; i < bytes; i += CHUNK_BYTES) memcpy(at + i, source + i, chunk_at(i, bytes));
}
