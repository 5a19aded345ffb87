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

/* The largest usable logit of x [n]. */
float ae_logit_top(const float *x, ptrdiff_t n);

/* Groups of x [n]: tops[g] = the largest usable logit of group g, sample[g] = one at a place that follows no pattern. */
typedef struct {
    float *tops, *sample;
    const float *x;
    ptrdiff_t n;
} ae_logit_groups;

void ae_logit_tops(const ae_logit_groups *of, int threads);

/* The weights exp((x - top) scale) of logits, as ae_logit_law_of gives it. With t = x scale / ln 2, whole k and |r| <= 1/2
 * 2^t = 2^(k + r) is a power of two times a polynomial in r. The whole part of top scale / ln 2 is taken from k, and the rest
 * is a factor of the polynomial. */
enum { AE_LOGIT_DEGREE = 7 };
typedef struct {
    double least; /* a smaller logit weighs as much, 2^-1000 of the top */
    double scale; /* in powers of two */
    double shift; /* x scale + shift has in its low bits the exponent of a double */
    double coefficients[AE_LOGIT_DEGREE + 1]; /* the highest first */
} ae_logit_law;

/* |top scale| is at most AE_LOGIT_STEEPEST. */
enum { AE_LOGIT_STEEPEST = 1 << 16 };
ae_logit_law ae_logit_law_of(double top, double scale);

/* The sum over x [n] of the weights, for logits that are not above the top: a term is right to 2^-34 and 1e-300. A NaN is
 * the least. The terms go to `each` [n] unless it is NULL. */
double ae_logit_exp_sum(double *each, const float *x, ptrdiff_t n, const ae_logit_law *by);
/* sums[b] = that sum over block b of x [n]. */
void ae_logit_exp_sums(double *sums, const float *x, ptrdiff_t n, const ae_logit_law *by, int threads);

/* parts[v] = (top - x[v]) * scale, at most `most`: equal logits are in one part, smaller ones in none before
 * it. */
void ae_logit_parts(int32_t *parts, const float *x, ptrdiff_t n, float top, float scale, int most);

/* Writes the logits of x [n] from `low` to `high`, both included, to `out` [n + AE_LOGIT_SPARE] in
 * order, and returns how many there are. What lies beyond them in `out` means nothing. */
ptrdiff_t ae_logit_pick(float *out, const float *x, ptrdiff_t n, float low, float high);

/* The sums of the weights above `high` and below `low`, and how many logits are from low to high. */
typedef struct {
    double above, below;
    ptrdiff_t between;
} ae_logit_split;
/* These sums and ae_logit_pick at once. A NaN may count as below. */
ae_logit_split ae_logit_split_at(float *between, const float *x, ptrdiff_t n, const ae_logit_law *by,
                                 float low, float high);

/* The same weights in float32, in half the time: t = x (scale + rest), and the sums are multiplied by the factor. */
enum { AE_LOGIT_ROUGH_DEGREE = 6 };
typedef struct {
    float least;       /* a smaller logit weighs as much, 2^-100 of the top */
    float scale, rest; /* together in powers of two */
    float shift;       /* x scale + shift has in its low bits the exponent of a float */
    double factor;
} ae_logit_rough_law;
/* The polynomial for 2^r, |r| <= 0.503, the highest coefficient first. */
extern const float ae_logit_rough_exp2[AE_LOGIT_ROUGH_DEGREE + 1];
ae_logit_rough_law ae_logit_rough_law_of(double top, double scale);

/* ae_logit_split_at from these weights. The sums are those of terms that are right to AE_LOGIT_ROUGH each, roundings of the
 * sum included, and n 2^-100 besides. Meanwhile the tops and the sample of as many groups of other logits are taken, from
 * `group` on; `also` NULL: none. */
#define AE_LOGIT_ROUGH 0x1.4p-22
ae_logit_split ae_logit_rough_split_at(float *between, const float *x, ptrdiff_t n,
                                       const ae_logit_rough_law *by, float low, float high,
                                       const ae_logit_groups *also, ptrdiff_t group);

/* The sum of each[v] over the logits x [n] above `least`, and how many equal it. */
double ae_logit_sum_above(ptrdiff_t *equal, const double *each, const float *x, ptrdiff_t n, float least);

#endif
