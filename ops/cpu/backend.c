#include "ops/backend.h"

#include "ops/compose/compose.h"
#include "ops/cpu/table.h"

#include <dnnl.h>
#include <immintrin.h>
#include <malloc.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

static ae_status cpu_alloc(void **ptr, size_t bytes) {
    const size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    const size_t padded = (bytes + align - 1) / align * align;
    *ptr = aligned_alloc(align, padded ? padded : align);
    if (!*ptr)
        return AE_FAIL(AE_ERR_RESOURCE, "out of memory: %.1f MB could not be had", (double)bytes / 1e6);
    if (bytes >= HUGE_PAGE) (void)madvise(*ptr, padded, MADV_HUGEPAGE); /* advice: without it only slower */
    return AE_OK;
}

static void cpu_release(void *ptr, size_t bytes) {
    (void)bytes;
    free(ptr);
}

static void cpu_copy(void *to, const void *from, size_t bytes) {
    if (bytes) memcpy(to, from, bytes);
}

static void cpu_zero(void *device, size_t bytes) {
    if (bytes) memset(device, 0, bytes);
}

static ae_act *cpu_act_from_f32(ae_act *room, const ae_f32 *x, ptrdiff_t n) {
    (void)room, (void)n;
    return (ae_act *)(uintptr_t)x; /* the same type here */
}

static size_t cpu_weight_bytes(ptrdiff_t rows, ptrdiff_t cols) {
    (void)rows, (void)cols;
    return 0;
}

static ae_weight *cpu_weight_pack(void *room, ae_f32 *master, ptrdiff_t rows, ptrdiff_t cols) {
    (void)room, (void)rows, (void)cols;
    return (ae_weight *)(void *)master;
}

/* The product library takes its packing buffers from malloc at every call; handed back to the system in between, their pages
 * would be cleared anew each time (6 % of a step). */
static void keep_buffers(void) {
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the largest it takes */
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
    (void)mallopt(M_TOP_PAD, 16 << 20);
}

/* Estimates of reciprocals (AVX-512) are not the same bits on all makers' processors, so the maker is part of the name. */
static const char *kernels_name(ae_isa isa) {
    if (isa < AE_ISA_AVX512) return "avx2";
    return __builtin_cpu_is("intel") ? "avx512" : "avx512 (not Intel)";
}

/* Denormal numbers cost a hundred cycles each (a saturated softmax is full of them) and mean nothing here: every thread takes and gives 0
 * instead. Threads made later inherit the mode. */
static void flush_denormals(void) {
    enum { FLUSH_RESULTS = 0x8000, FLUSH_INPUTS = 0x0040 };
#pragma omp parallel
    _mm_setcsr(_mm_getcsr() | FLUSH_RESULTS | FLUSH_INPUTS);
}

ae_status ae_backend_cpu(ae_backend *be, int threads) {
    const ae_isa isa = ae_isa_pick();
    if (threads <= 0 && !getenv("OMP_NUM_THREADS")) threads = ae_usable_cores();
    keep_buffers();
    if (threads > 0) omp_set_num_threads(threads);
    flush_denormals();
    *be = (ae_backend){.name = "cpu",
                       .kernels = kernels_name(isa),
                       .act_bytes = sizeof(float),
                       .alloc = cpu_alloc,
                       .release = cpu_release,
                       .upload = cpu_copy,
                       .download = cpu_copy,
                       .zero = cpu_zero,
                       .copy = cpu_copy,
                       .act_from_f32 = cpu_act_from_f32,
                       .weight_bytes = cpu_weight_bytes,
                       .weight_pack = cpu_weight_pack};
    if (isa >= AE_ISA_AVX512)
        ae_cpu_fill_avx512(be);
    else
        ae_cpu_fill_avx2(be);
    ae_compose_fill(be);
    /* The library's kernels follow the same cap as ours (AERIE_ISA); refused, and harmless, once it has started. */
    (void)dnnl_set_max_cpu_isa(isa >= AE_ISA_AVX512 ? dnnl_cpu_isa_all : dnnl_cpu_isa_avx2);
    return AE_OK;
}
