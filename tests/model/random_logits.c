#include "tests/model/random_logits.h"

#include <math.h>
#include <stdint.h>

void random_logits(float *x, ptrdiff_t n, int kind, ae_rng *r) {
    for (ptrdiff_t v = 0; v < n; v++) {
        const double z = ae_rng_normal(r);
        x[v] = (float)(kind == 0   ? z
                       : kind == 1 ? 6 * z
                       : kind == 2 ? round(4 * z) / 2
                       : kind == 3 ? 1
                                   : 0.01 * z);
    }
    if (kind == 1) x[ae_rng_below(r, (uint64_t)n)] = 40;
}
