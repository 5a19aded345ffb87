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

#endif
