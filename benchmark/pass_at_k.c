#include "benchmark/pass_at_k.h"

#include <math.h>

double ae_pass_at_k(int64_t n, int64_t c, int64_t k) {
    if (n < k) return NAN;
    if (n - c < k) return 1;
    double none = 1;
    for (int64_t i = n - c + 1; i <= n; i++) none *= 1 - (double)k / (double)i;
    return 1 - none;
}
