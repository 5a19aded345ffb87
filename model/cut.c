#include "model/cut.h"

#include <math.h>

double ae_measure_of(ae_measure m, float x) {
    return m.temperature > 0 ? exp(((double)x - m.top) / m.temperature) : 1;
}

double ae_measure_sum(ae_measure m, const float *x, ptrdiff_t n) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++) sum += ae_measure_of(m, x[i]);
    return sum;
}

static float median_of_three(float a, float b, float c) {
    const float low = a < b ? a : b, high = a < b ? b : a;
    return fminf(fmaxf(low, c), high);
}

typedef struct {
    ptrdiff_t above, equal; /* x: [0, above) > pivot, [above, above + equal) == pivot, then smaller */
} parts;

static parts partition(float *x, ptrdiff_t n, float pivot) {
    ptrdiff_t above = 0, at = 0, below = n;
    while (at < below) {
        const float value = x[at];
        if (value > pivot) {
            x[at++] = x[above];
            x[above++] = value;
        } else if (value < pivot) {
            x[at] = x[--below];
            x[below] = value;
        } else {
            at++;
        }
    }
    return (parts){above, below - above};
}

ae_cut ae_cut_at(float *x, ptrdiff_t n, double wanted, ae_measure m) {
    for (;;) {
        const float pivot = median_of_three(x[0], x[n / 2], x[n - 1]);
        const parts p = partition(x, n, pivot);
        const double above = ae_measure_sum(m, x, p.above);
        if (p.above > 0 && above >= wanted) {
            n = p.above;
            continue;
        }
        const double each = ae_measure_of(m, pivot), equal = each * (double)p.equal;
        const ptrdiff_t rest = n - p.above - p.equal;
        if (above + equal < wanted && rest > 0) {
            x += p.above + p.equal;
            n = rest;
            wanted -= above + equal;
            continue;
        }
        const double ties = each > 0 ? ceil((wanted - above) / each) : 1;
        return (ae_cut){pivot, ties < 1 ? 1 : ties > (double)p.equal ? p.equal : (ptrdiff_t)ties};
    }
}
