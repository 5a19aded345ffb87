#include "ops/cpu/memory.h"

#include "ops/cpu/object.h"
#include "ops/cpu/team.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Less than SHARED_BYTES is quicker on the calling thread. */
enum { HUGE_PAGE = 2 << 20, CHUNK_BYTES = AE_SWEEP_CHUNK * (int)sizeof(float), SHARED_BYTES = 1 << 20 };

ae_status ae_cpu_alloc(const ae_backend *be, void **ptr, size_t bytes) {
    (void)be;
    const size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    const size_t padded = (bytes + align - 1) / align * align;
    *ptr = aligned_alloc(align, padded ? padded : align);
    if (!*ptr)
        return AE_FAIL(AE_ERR_RESOURCE, "out of memory: %.1f MB could not be had", (double)bytes / 1e6);
    if (bytes >= HUGE_PAGE) (void)madvise(*ptr, padded, MADV_HUGEPAGE); /* advice: without it only slower */
    return AE_OK;
}

void ae_cpu_release(const ae_backend *be, void *ptr, size_t bytes) {
    (void)be, (void)bytes;
    free(ptr);
}

atomic_long ae_cpu_rooms_left = -1;

void ae_cpu_note_failure(const ae_backend *be, size_t bytes) {
    size_t none = 0;
    atomic_compare_exchange_strong(&ae_cpu_of(be)->failed_bytes, &none, bytes > 0 ? bytes : 1);
}

static bool is_refused(void) {
    long left = atomic_load(&ae_cpu_rooms_left);
    while (left > 0 && !atomic_compare_exchange_weak(&ae_cpu_rooms_left, &left, left - 1)) {
    }
    return left == 0;
}

void *ae_cpu_room(const ae_backend *be, size_t align, size_t bytes) {
    const size_t padded = (bytes + align - 1) / align * align;
    void *room = is_refused() ? NULL : aligned_alloc(align, padded > 0 ? padded : align);
    if (!room) ae_cpu_note_failure(be, bytes);
    return room;
}

ae_status ae_cpu_sync(const ae_backend *be) {
    const size_t bytes = atomic_exchange(&ae_cpu_of(be)->failed_bytes, 0);
    if (bytes == 0) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE,
                   "out of memory: %.3g MB of scratch could not be had in the middle of a pass; end other "
                   "programs, or take shorter rows, a smaller batch or fewer threads",
                   (double)bytes / 1e6);
}

static size_t chunk_at(size_t first, size_t bytes) {
    return bytes - first < CHUNK_BYTES ? bytes - first : CHUNK_BYTES;
}

static int threads_for(const ae_backend *be, size_t bytes) {
    return bytes < SHARED_BYTES ? 1 : ae_team(be);
}

void ae_cpu_zero(const ae_backend *be, void *device, size_t bytes) {
    char *at = device;
#pragma omp parallel for schedule(static) num_threads(threads_for(be, bytes))
    for (size_t i = 0; i < bytes; i += CHUNK_BYTES) memset(at + i, 0, chunk_at(i, bytes));
}

void ae_cpu_copy(const ae_backend *be, void *to, const void *from, size_t bytes) {
    char *at = to;
    const char *source = from;
#pragma omp parallel for schedule(static) num_threads(threads_for(be, bytes))
    for (size_t i = 0; i < bytes; i += CHUNK_BYTES) memcpy(at + i, source + i, chunk_at(i, bytes));
}

void ae_cpu_upload(const ae_backend *be, void *device, const void *host, size_t bytes) {
    ae_cpu_copy(be, device, host, bytes);
}

void ae_cpu_download(const ae_backend *be, void *host, const void *device, size_t bytes) {
    ae_cpu_copy(be, host, device, bytes);
}
