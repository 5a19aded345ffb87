#ifndef AE_MODEL_CUT_H
#define AE_MODEL_CUT_H
#include <stdbool.h>
#include <stddef.h>

/* Which of a list of usable logits are kept: those above `least`, and the first `ties` that equal it. */
typedef struct {
    float least;
    ptrdiff_t ties;
} ae_cut;

/* What a logit counts when a cut is looked for: 1, or its weight exp((x - top) / temperature). */
typedef struct {
    double top, temperature; /* temperature 0: counting */
} ae_measure;

double ae_measure_of(ae_measure m, float x);
/* Sum over x [n], in order. */
double ae_measure_sum(ae_measure m, const float *x, ptrdiff_t n);

/* The smallest set of the biggest values whose measures reach `wanted`: quickselect, which reorders x [n]. */
ae_cut ae_cut_at(float *x, ptrdiff_t n, double wanted, ae_measure m);

/* Whether the next value of the list is kept; counts ties down. */
static inline bool ae_cut_keeps(ae_cut *c, float x) {
    return x > c->least || (!(x < c->least) && c->ties-- > 0);
}

#endif
