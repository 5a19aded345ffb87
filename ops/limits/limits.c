#include "ops/limits/limits.h"

#include "core/clock.h"
#include "core/machine.h"
#include "core/threads.h"

#include <immintrin.h>
#include <math.h>
#include <omp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { CHAINS = 12, PEAK_ROUNDS = 9, READ_ROUNDS = 4, STREAMS = 4, HUGE_PAGE = 2 << 20 };

/* A timing moves this much at least: what fits in a cache is swept several times. */
static const size_t timed_bytes = (size_t)128 << 20;

/* Twelve chains hide the latency of a multiply-add on two ports; the empty asm keeps them in registers and apart. */
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define KEEP                                                                                                 \
    __asm__ volatile(""                                                                                      \
                     : "+v"(a0), "+v"(a1), "+v"(a2), "+v"(a3), "+v"(a4), "+v"(a5), "+v"(a6), "+v"(a7),       \
                       "+v"(a8), "+v"(a9), "+v"(a10), "+v"(a11));

static float fma_avx2(long n) {
    __m256 b = _mm256_set1_ps(0.999f), c = _mm256_set1_ps(0.5f);
#define CHAIN(i) __m256 a##i = _mm256_set1_ps((float)(i));
    EACH(CHAIN)
#undef CHAIN
    for (long k = 0; k < n; k++) {
#define CHAIN(i) a##i = _mm256_fmadd_ps(a##i, b, c);
        EACH(CHAIN) KEEP
#undef CHAIN
    }
    return _mm256_cvtss_f32(a0);
}

__attribute__((target("avx512f"))) static float fma_avx512(long n) {
    __m512 b = _mm512_set1_ps(0.999f), c = _mm512_set1_ps(0.5f);
#define CHAIN(i) __m512 a##i = _mm512_set1_ps((float)(i));
    EACH(CHAIN)
#undef CHAIN
    for (long k = 0; k < n; k++) {
#define CHAIN(i) a##i = _mm512_fmadd_ps(a##i, b, c);
        EACH(CHAIN) KEEP
#undef CHAIN
    }
    return _mm512_cvtss_f32(a0);
}

double ae_measure_peak_f32_flops(void) {
    const long n = 4000000;
    bool wide = ae_isa_pick() >= AE_ISA_AVX512;
    double best = 0, lanes = wide ? 16 : 8;
    volatile float sink = 0;
    for (int round = 0; round < PEAK_ROUNDS; round++) {
        double sum = 0, start = ae_now_s();
        int threads = 0; /* that came: another number each time, maybe */
#pragma omp parallel reduction(+ : sum, threads) num_threads(ae_threads())
        {
            sum += (double)(wide ? fma_avx512(n) : fma_avx2(n));
            threads++;
        }
        const double rate = 2.0 * lanes * CHAINS * (double)n * threads / (ae_now_s() - start);
        if (round > 0 && rate > best) best = rate; /* the first one starts the threads */
        sink = (float)sum;
    }
    (void)sink;
    return best;
}

/* Sum of this thread's share, in four streams of wide loads with prefetch ahead of them. */
static float read_share(const float *x, size_t n) {
    size_t share = n / (size_t)omp_get_num_threads(), stream = share / STREAMS & ~(size_t)15;
    const float *p = x + share * (size_t)omp_get_thread_num();
    __m256 sum[2 * STREAMS];
    for (int k = 0; k < 2 * STREAMS; k++) sum[k] = _mm256_setzero_ps();
    for (size_t i = 0; i < stream; i += 16) {
        for (size_t k = 0; k < STREAMS; k++) {
            const float *q = p + k * stream + i;
            _mm_prefetch((const char *)(q + 1024), _MM_HINT_T0);
            sum[2 * k] = _mm256_add_ps(sum[2 * k], _mm256_loadu_ps(q));
            sum[2 * k + 1] = _mm256_add_ps(sum[2 * k + 1], _mm256_loadu_ps(q + 8));
        }
    }
    for (int k = 1; k < 2 * STREAMS; k++) sum[0] = _mm256_add_ps(sum[0], sum[k]);
    return _mm256_cvtss_f32(sum[0]);
}

/* Memory of huge pages, every page written. */
static float *big_array(size_t *bytes) {
    *bytes = (*bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    float *x = aligned_alloc(HUGE_PAGE, *bytes);
    if (x == NULL) return NULL;
    madvise(x, *bytes, MADV_HUGEPAGE);
    size_t n = *bytes / sizeof *x;
#pragma omp parallel for num_threads(ae_threads())
    for (size_t i = 0; i < n; i++) x[i] = 1;
    return x;
}

static size_t sweeps_of(size_t bytes) {
    return bytes >= timed_bytes ? 1 : timed_bytes / bytes;
}

static double read_rate(const float *x, size_t bytes) {
    const size_t sweeps = sweeps_of(bytes);
    double best_s = 1e9;
    volatile float sink = 0;
    for (int round = 0; round < READ_ROUNDS; round++) {
        float sum = 0;
        double start = ae_now_s();
#pragma omp parallel reduction(+ : sum) num_threads(ae_threads())
        for (size_t k = 0; k < sweeps; k++) sum += read_share(x, bytes / sizeof *x);
        double spent = ae_now_s() - start;
        if (spent < best_s) best_s = spent;
        sink = sum;
    }
    (void)sink;
    return (double)(bytes * sweeps) / best_s;
}

static void update_share(float *x, size_t n) {
    const size_t share = n / (size_t)omp_get_num_threads();
    float *p = x + share * (size_t)omp_get_thread_num();
    for (size_t i = 0; i < share; i++) p[i] += 1;
    __asm__ volatile("" : : "r"(p) : "memory"); /* sweeps stay apart */
}

static double update_rate(float *x, size_t bytes) {
    const size_t sweeps = sweeps_of(bytes);
    double best_s = 1e9;
    for (int round = 0; round < READ_ROUNDS; round++) {
        double start = ae_now_s();
#pragma omp parallel num_threads(ae_threads())
        for (size_t k = 0; k < sweeps; k++) update_share(x, bytes / sizeof *x);
        double spent = ae_now_s() - start;
        if (spent < best_s) best_s = spent;
    }
    return 2.0 * (double)(bytes * sweeps) / best_s;
}

void ae_measure_bandwidth(size_t bytes, double *read, double *update) {
    size_t padded = bytes;
    float *x = big_array(&padded);
    if (read) *read = x ? read_rate(x, bytes) : 0;
    if (update) *update = x ? update_rate(x, bytes) : 0;
    free(x);
}

double ae_measure_read_bandwidth(size_t bytes) {
    double rate;
    ae_measure_bandwidth(bytes, &rate, NULL);
    return rate;
}

double ae_measure_update_bandwidth(size_t bytes) {
    double rate;
    ae_measure_bandwidth(bytes, NULL, &rate);
    return rate;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double ae_median(double *x, ptrdiff_t n) {
    if (n <= 0) return NAN;
    qsort(x, (size_t)n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}
