#ifndef AE_CORE_LOGISTIC_H
#define AE_CORE_LOGISTIC_H
#include <math.h>

/* sigmoid(x) = 1 / (1 + exp(-x)) and softplus(x) = log(1 + exp(x)) = -log sigmoid(-x), in double and without
 * overflow: losses of pairs. */

static inline double ae_sigmoid(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

static inline double ae_softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

#endif
