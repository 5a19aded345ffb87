#include "ops/sums.h"

#include "ops/cpu/memory.h"
#include "ops/cpu/rows.h"
#include "ops/cpu/table.h"

enum { CHUNK = AE_SWEEP_CHUNK };

static void add(ae_f64 *to, double sum) {
    *(double *)(void *)to += sum;
}

/* Squares in double: neither large gradients overflow nor small ones vanish. */
static double chunk_squares(const float *x, ptrdiff_t n) {
    enum { LANES = 32 };
    double lane[LANES] = {0};
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (ptrdiff_t k = 0; k < LANES; k++) lane[k] += (double)x[i + k] * (double)x[i + k];
    for (ptrdiff_t k = 0; i + k < n; k++) lane[k] += (double)x[i + k] * (double)x[i + k];
    double sum = 0;
    for (ptrdiff_t k = 0; k < LANES; k++) sum += lane[k];
    return sum;
}

/* Chunk sums land in slots of a fixed number, added in order: chunk c goes to slot c mod SLOTS by one thread. */
void AE_ROW_NAME(ae_cpu_sum_squares)(const ae_backend *be, ae_f64 *total, const ae_f32 *x_, ptrdiff_t n) {
    enum { SLOTS = 256 };
    const float *x = ae_cf(x_);
    double slot[SLOTS] = {0};
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t s = 0; s < SLOTS; s++)
        for (ptrdiff_t first = s * CHUNK; first < n; first += (ptrdiff_t)SLOTS * CHUNK)
            slot[s] += chunk_squares(x + first, ae_min(CHUNK, n - first));
    double sum = 0;
    for (int s = 0; s < SLOTS; s++) sum += slot[s];
    add(total, sum);
}

void AE_ROW_NAME(ae_cpu_sum_weighted)(const ae_backend *be, ae_f64 *total, const ae_f32 *x_,
                                      const ae_f32 *weights_, ptrdiff_t n) {
    (void)be;
    const float *x = ae_cf(x_), *weights = ae_cf(weights_);
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        if (weights[i] != 0.0f) sum += (double)weights[i] * (double)x[i];
    add(total, sum);
}
