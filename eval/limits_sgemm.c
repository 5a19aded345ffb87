#include "core/arena.h"
#include "core/clock.h"
#include "core/dims.h"
#include "eval/limits.h"

#include <cblas.h>
#include <dnnl.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

static void multiply(ae_sgemm_library library, ptrdiff_t n, const float *a, const float *b, float *c) {
    const int k = ae_int(n);
    if (library == AE_SGEMM_ONEDNN)
        dnnl_sgemm('N', 'N', n, n, n, 1, a, n, b, n, 0, c, n);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, k, k, k, 1, a, k, b, k, 0, c, k);
}

ae_status ae_measure_sgemm(ae_sgemm_library library, ptrdiff_t n, ptrdiff_t rounds, double *seconds) {
    const size_t elements = (size_t)n * (size_t)n;
    float *x = aligned_alloc(AE_ARENA_ALIGN, 3 * elements * sizeof *x);
    if (!x) return AE_FAIL(AE_ERR_RESOURCE, "product of %td x %td: out of memory", n, n);
    for (size_t i = 0; i < 3 * elements; i++) x[i] = (float)(i % 61) / 61 - 0.5f;
    const int before = openblas_get_num_threads(); /* the backend may have asked for calls on one thread */
    openblas_set_num_threads(omp_get_max_threads());
    multiply(library, n, x, x + elements, x + 2 * elements);
    for (ptrdiff_t r = 0; r < rounds; r++) {
        const double start = ae_now_s();
        multiply(library, n, x, x + elements, x + 2 * elements);
        seconds[r] = ae_now_s() - start;
    }
    openblas_set_num_threads(before);
    free(x);
    return AE_OK;
}

void ae_sgemm_name(ae_sgemm_library library, char *text, size_t n) {
    if (library == AE_SGEMM_ONEDNN) {
        const dnnl_version_t *v = dnnl_version();
        snprintf(text, n, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
        return;
    }
    snprintf(text, n, "%s, kernels %s", openblas_get_config(), openblas_get_corename());
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
