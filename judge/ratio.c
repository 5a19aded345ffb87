#include "judge/ratio.h"

#include <math.h>
#include <stdlib.h>

static const double Z = 1.959963984540054; /* of 95 %, two-sided */

ae_status ae_ratio_init(ae_ratio *r, ptrdiff_t units) {
    const size_t n = units > 0 ? (size_t)units : 1;
    *r = (ae_ratio){calloc(n, sizeof *r->sums), calloc(n, sizeof *r->counts), units};
    if (r->sums && r->counts) return AE_OK;
    ae_ratio_free(r);
    return AE_FAIL(AE_ERR_RESOURCE, "shares: out of memory");
}

void ae_ratio_free(ae_ratio *r) {
    free(r->sums);
    free(r->counts);
    *r = (ae_ratio){0};
}

void ae_ratio_add(ae_ratio *r, ptrdiff_t unit, double score) {
    r->sums[unit] += score;
    r->counts[unit] += 1;
}

/* n: of prompts. */
static ae_estimate around(double p, double variance, double n) {
    if (p <= 0) return (ae_estimate){0, 0, 1 - pow(0.025, 1 / n)};
    if (p >= 1) return (ae_estimate){1, pow(0.025, 1 / n), 1};
    const double half = Z * sqrt(fmax(variance, 0));
    return (ae_estimate){p, fmax(p - half, 0), fmin(p + half, 1)};
}

ae_estimate ae_share_of_counts(double wins, double ties, double losses, double n) {
    const double all = wins + ties + losses, w = wins / all, t = ties / all, p = w + t / 2;
    return around(p, (w + t / 4 - p * p) / n, n);
}

static double total(const double *x, ptrdiff_t n) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++) sum += x[i];
    return sum;
}

ae_estimate ae_ratio_normal(const ae_ratio *r) {
    const double m = total(r->counts, r->units), p = total(r->sums, r->units) / m;
    double squares = 0, n = 0;
    if (m <= 0) return (ae_estimate){(double)NAN, (double)NAN, (double)NAN};
    for (ptrdiff_t u = 0; u < r->units; u++) {
        const double residue = r->sums[u] - r->counts[u] * p;
        squares += residue * residue;
        n += r->counts[u] > 0;
    }
    return around(p, squares / (m * m), n);
}

static void ratio_of(double *out, const ae_resample *drawn, const void *data) {
    const ae_ratio *r = data;
    double s = 0, m = 0;
    for (ptrdiff_t i = 0; i < drawn->n_units; i++) {
        s += r->sums[drawn->units[i]];
        m += r->counts[drawn->units[i]];
    }
    out[0] = s / m;
}

ae_status ae_ratio_share(const ae_ratio *r, ae_share *out) {
    ae_ratio voted; /* the prompts with votes alone */
    ae_status st = ae_ratio_init(&voted, r->units);
    if (st != AE_OK) return st;
    voted.units = 0;
    for (ptrdiff_t u = 0; u < r->units; u++) {
        if (r->counts[u] <= 0) continue;
        voted.sums[voted.units] = r->sums[u];
        voted.counts[voted.units++] = r->counts[u];
    }
    *out = (ae_share){
        total(voted.counts, voted.units), ae_ratio_normal(&voted), {(double)NAN, (double)NAN, (double)NAN}};
    const ae_bootstrap_job job = {
        .units = voted.units, .runs = 1, .statistics = 1, .of = ratio_of, .data = &voted};
    if (voted.units > 0) st = ae_bootstrap(&out->resampled, &job);
    ae_ratio_free(&voted);
    return st;
}
