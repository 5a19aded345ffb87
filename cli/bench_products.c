#include "cli/bench_products.h"

#include "cli/library_team.h"
#include "cli/openblas.h"
#include "core/arena.h"
#include "core/clock.h"
#include "core/dims.h"

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>

/* blas: NULL for oneDNN. */
static void multiply(const ae_openblas *blas, ptrdiff_t n, const float *a, const float *b, float *c) {
    const int k = ae_int(n);
    if (blas)
        blas->sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, k, k, k, 1, a, k, b, k, 0, c, k);
    else
        dnnl_sgemm('N', 'N', n, n, n, 1, a, n, b, n, 0, c, n);
}

static void time_products(const ae_openblas *blas, ptrdiff_t n, const float *x, float *product,
                          ptrdiff_t rounds, double *seconds) {
    const float *a = x, *b = x + n * n;
    multiply(blas, n, a, b, product);
    for (ptrdiff_t r = 0; r < rounds; r++) {
        const double start = ae_now_s();
        multiply(blas, n, a, b, product);
        seconds[r] = ae_now_s() - start;
    }
}

ae_status ae_measure_sgemm(ae_sgemm_library library, ptrdiff_t n, ptrdiff_t rounds, double *seconds) {
    const size_t elements = (size_t)n * (size_t)n;
    const ae_openblas *blas = NULL;
    ae_status st = library == AE_SGEMM_OPENBLAS ? ae_openblas_load(&blas) : AE_OK;
    if (st != AE_OK) return st;
    float *x = aligned_alloc(AE_ARENA_ALIGN, 3 * elements * sizeof *x);
    if (!x) return AE_FAIL(AE_ERR_RESOURCE, "product of %td x %td: out of memory", n, n);
    for (size_t i = 0; i < 3 * elements; i++) x[i] = (float)(i % 61) / 61 - 0.5f;
    const ae_library_team before = ae_library_team_begin();
    if (blas) blas->set_num_threads(ae_threads());
    time_products(blas, n, x, x + 2 * elements, rounds, seconds);
    ae_library_team_end(before);
    free(x);
    return AE_OK;
}

ae_status ae_sgemm_name(ae_sgemm_library library, char *text, size_t n) {
    const ae_openblas *blas = NULL;
    const ae_status st = library == AE_SGEMM_OPENBLAS ? ae_openblas_load(&blas) : AE_OK;
    if (st != AE_OK) return st;
    const dnnl_version_t *v = dnnl_version();
    if (blas)
        snprintf(text, n, "%s, kernels %s", blas->get_config(), blas->get_corename());
    else
        snprintf(text, n, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return AE_OK;
}
