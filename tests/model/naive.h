#ifndef AE_TESTS_MODEL_NAIVE_H
#define AE_TESTS_MODEL_NAIVE_H
#include "tests/model/rig.h"

#include <complex.h>
#undef I /* a size here */

/* A whole model made of the naive references (tests/ref), in double complex: with an input x + i h v the imaginary part of the loss is h
 * times its derivative along v. Compact weights stand as the float32 values that they mean, adapters as W + scale B A. */
typedef struct {
    const ae_model *m;       /* borrowed: its shape and its table */
    double complex **values; /* [params.n] */
} naive_model;

/* The values of m; compact ones are rounded once more from the fixture that m was opened from. */
naive_model naive_new(const ae_model *m, const char *fixture);
void naive_free(naive_model *n);

/* The hidden states after the final norm, [B T, D]; the caller frees them. */
double complex *naive_hidden(const naive_model *n, const ae_micro_batch *b);
/* The scalar head at a place. */
double complex naive_value(const naive_model *n, const double complex *hidden, ptrdiff_t place);
/* sum of weights * nll. */
double complex naive_loss(const naive_model *n, const ae_micro_batch *b);
/* Relative error of `got`, the gradient of that sum by a parameter, along a random direction. */
double naive_gradient_error(const naive_model *n, const ae_micro_batch *b, const ae_param *p,
                            const float *got);

/* The same of any function of the model. */
typedef double complex naive_objective(const naive_model *n, const void *context);
double naive_gradient_error_of(const naive_model *n, naive_objective *objective, const void *context,
                               const ae_param *p, const float *got);

/* Fails unless the gradients of the model, which rig_calm has made gentle, are those of the objective. The difference is estimated along random
 * directions:
 *   of all parameters together   its norm is at most 1e-6 of the norm of the whole gradient
 *   of each parameter alone      its norm is at most 2e-6 of the norm of that parameter's gradient
 * The sanitizers make each evaluation slow: under them there are few directions, and no parameters alone. */
void naive_expect_gradients(const naive_model *n, naive_objective *objective, const void *context,
                            const char *what);

#endif
