#include "model/sampler.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* Logits as they are used: a NaN is the least likely, infinities are the biggest numbers. */
static float usable(float x) {
    if (isnan(x)) return -FLT_MAX;
    return x > FLT_MAX ? FLT_MAX : x < -FLT_MAX ? -FLT_MAX : x;
}

static ptrdiff_t likeliest(const float *logits, ptrdiff_t V) {
    ptrdiff_t best = 0;
    for (ptrdiff_t v = 1; v < V; v++) {
        if (usable(logits[v]) > usable(logits[best])) best = v;
    }
    return best;
}

static double log_denominator(const float *logits, ptrdiff_t V, double top) {
    double sum = 0;
    for (ptrdiff_t v = 0; v < V; v++) sum += exp((double)usable(logits[v]) - top);
    return top + log(sum);
}

/* ---- what is kept: everything above `least`, and the first `ties` ids that equal it ---- */

typedef struct {
    float least;
    ptrdiff_t ties;
} cut;

/* How much of the wanted amount a logit brings: 1 when counting, its share when cutting by probability. */
typedef struct {
    double top, temperature; /* temperature 0: counting */
} measure;

static double amount(measure m, float x) {
    return m.temperature > 0 ? exp(((double)x - m.top) / m.temperature) : 1;
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

/* The smallest set of the biggest values whose amounts reach `wanted`: quickselect, without sorting. */
static cut cut_at(float *x, ptrdiff_t n, double wanted, measure m) {
    for (;;) {
        const float pivot = median_of_three(x[0], x[n / 2], x[n - 1]);
        const parts p = partition(x, n, pivot);
        double above = 0;
        for (ptrdiff_t i = 0; i < p.above; i++) above += amount(m, x[i]);
        if (p.above > 0 && above >= wanted) {
            n = p.above;
            continue;
        }
        const double each = amount(m, pivot), equal = each * (double)p.equal;
        const ptrdiff_t rest = n - p.above - p.equal;
        if (above + equal < wanted && rest > 0) {
            x += p.above + p.equal;
            n = rest;
            wanted -= above + equal;
            continue;
        }
        const double ties = each > 0 ? ceil((wanted - above) / each) : 1;
        return (cut){pivot, ties < 1 ? 1 : ties > (double)p.equal ? p.equal : (ptrdiff_t)ties};
    }
}

static bool keeps(cut *c, float x) {
    return x > c->least || (!(x < c->least) && c->ties-- > 0);
}

/* The logits that a cut keeps, in order of id. */
static ptrdiff_t keep(float *out, const float *logits, ptrdiff_t V, cut c) {
    ptrdiff_t n = 0;
    for (ptrdiff_t v = 0; v < V; v++) {
        const float x = usable(logits[v]);
        if (keeps(&c, x)) out[n++] = x;
    }
    return n;
}

static double mass(const float *x, ptrdiff_t n, measure m) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++) sum += amount(m, x[i]);
    return sum;
}

/* top_p is a share of what top_k has left. */
static cut find_cut(const float *logits, ptrdiff_t V, const ae_sampling *how, measure m, float *room) {
    const cut all = {-FLT_MAX, V};
    ptrdiff_t n = keep(room, logits, V, all);
    cut kept = all;
    if (how->top_k > 0 && how->top_k < V) {
        kept = cut_at(room, n, (double)how->top_k, (measure){0, 0});
        n = keep(room, logits, V, kept);
    }
    if (!(how->top_p < 1)) return kept;
    const double wanted = (how->top_p > 0 ? how->top_p : 0) * mass(room, n, m);
    return cut_at(room, n, wanted, m);
}

static ptrdiff_t draw(const float *logits, ptrdiff_t V, const ae_sampling *how, double top, ae_rng *rng,
                      float *room) {
    const measure m = {top, how->temperature};
    const cut kept = find_cut(logits, V, how, m, room);
    const ptrdiff_t n = keep(room, logits, V, kept);
    double left = ae_rng_uniform(rng) * mass(room, n, m);
    ptrdiff_t last = 0;
    cut c = kept;
    for (ptrdiff_t v = 0; v < V; v++) {
        const float x = usable(logits[v]);
        if (!keeps(&c, x)) continue;
        const double share = amount(m, x);
        if (share > 0) last = v;
        left -= share;
        if (left < 0) break;
    }
    return last;
}

int32_t ae_sample(const float *logits, ptrdiff_t V, const ae_sampling *how, ae_rng *rng, double *logprob,
                  float *room) {
    assert(V >= 1);
    const ptrdiff_t n = how->ids > 0 && how->ids < V ? how->ids : V, best = likeliest(logits, n);
    const double top = (double)usable(logits[best]);
    const ptrdiff_t id = how->temperature > 0 ? draw(logits, n, how, top, rng, room) : best;
    if (logprob != NULL) {
        const double most = n < V ? (double)usable(logits[likeliest(logits, V)]) : top;
        *logprob = (double)usable(logits[id]) - log_denominator(logits, V, most);
    }
    return (int32_t)id;
}
