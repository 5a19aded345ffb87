#ifndef AE_MODEL_LOGITS_H
#define AE_MODEL_LOGITS_H
#include <float.h>
#include <stddef.h>
#include <stdint.h>

/* Sweeps over the logits of one place, in blocks that threads share: the results do not depend on the number
 * of threads. */

/* Logits as they are used: a NaN is the least likely, infinities are the biggest numbers. */
static inline float ae_logit_usable(float x) {
    if (x != x) return -FLT_MAX;
    return x > FLT_MAX ? FLT_MAX : x < -FLT_MAX ? -FLT_MAX : x;
}

enum { AE_LOGIT_GROUP = 64, AE_LOGIT_BLOCK = 1024, AE_LOGIT_SPARE = 16 };

/* tops[g] = the largest usable logit of group g of x [n]. */
void ae_logit_tops(float *tops, const float *x, ptrdiff_t n, int threads);

/* sums[b] = the sum over block b of x [n] of exp((x - top) * scale), for exponents that are not positive: a
 * term is right to 2^-45, some units of 2^-53 times its exponent, and 1e-300. The terms go to `each` [n] unless
 * it is NULL. */
void ae_logit_exp_sums(double *sums, double *each, const float *x, ptrdiff_t n, double top, double scale,
                       int threads);
/* The same of one block. */
double ae_logit_exp_sum(double *each, const float *x, ptrdiff_t n, double top, double scale);

/* parts[v] = (top - x[v]) * scale, at most `most`: equal logits are in one part, smaller ones in none before
 * it. */
void ae_logit_parts(int32_t *parts, const float *x, ptrdiff_t n, float top, float scale, int most);

/* Writes the usable logits of x [n] from `low` to `high`, both included, to `out` [n + AE_LOGIT_SPARE] in
 * order, and returns how many there are. What lies beyond them in `out` means nothing. */
ptrdiff_t ae_logit_pick(float *out, const float *x, ptrdiff_t n, float low, float high);

/* The sum of each[v] over the logits x [n] above `least`, and how many equal it. */
double ae_logit_sum_above(ptrdiff_t *equal, const double *each, const float *x, ptrdiff_t n, float least);

#endif
