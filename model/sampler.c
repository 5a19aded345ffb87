#include "model/sampler.h"

#include "core/dims.h"
#include "model/lot.h"

#include <assert.h>
#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

/* The token that is drawn is defined by sums of exp in double, id after id. Those take several times as long as all else, so the draw is
 * made from vector sums first; it counts if it stands further from every edge than both ways of summing may differ (`doubt`), which is
 * nearly always so, and else the sums that define it are made. */

size_t ae_sample_room_bytes(ptrdiff_t V) {
    size_t bytes;
    (void)ae_lot_room_of(NULL, V, &bytes);
    return bytes;
}

/* Of seen tokens the logit moves towards the unlikely. */
static void penalise(float *out, const ae_draw *d, ptrdiff_t n) {
    for (ptrdiff_t v = 0; v < n; v++) {
        const float x = d->logits[v];
        const bool seen = d->seen[v / 8] >> v % 8 & 1;
        out[v] = !seen ? x : x > 0 ? (float)((double)x / d->penalty) : (float)((double)x * d->penalty);
    }
}

/* ---- the largest ---- */

static float largest(const ae_lot *l, bool has_groups) {
    const ae_logit_groups groups = ae_lot_groups(l, false);
    if (!has_groups) ae_logit_tops(&groups, l->threads);
    return ae_logit_top(groups.tops, ae_ceil_div(l->n, AE_LOGIT_GROUP));
}

/* The first id that has it; after largest(). */
static ptrdiff_t first_with(const ae_lot *l, float top) {
    const float *tops = l->room.tops[l->side];
    ptrdiff_t g = 0;
    while (tops[g] < top) g++;
    ptrdiff_t v = g * AE_LOGIT_GROUP;
    while (ae_logit_usable(l->logits[v]) < top) v++;
    return v;
}

/* ---- as it is defined ---- */

/* The logits that a cut keeps, in order of id. */
static ptrdiff_t keep(float *out, const float *logits, ptrdiff_t n, ae_cut c) {
    ptrdiff_t kept = 0;
    for (ptrdiff_t v = 0; v < n; v++) {
        const float x = ae_logit_usable(logits[v]);
        if (ae_cut_keeps(&c, x)) out[kept++] = x;
    }
    return kept;
}

/* top_p is a share of `values`, which are reordered. */
static ae_cut nucleus(float *values, ptrdiff_t n, double top_p, ae_measure weight) {
    const double wanted = (top_p > 0 ? top_p : 0) * ae_measure_sum(weight, values, n);
    return ae_cut_at(values, n, wanted, weight);
}

static ptrdiff_t draw_exactly(const ae_lot *l, double uniform) {
    ae_cut cut = {-FLT_MAX, l->n};
    float *values = l->room.values;
    if (l->how->top_p < 1) {
        const ptrdiff_t n = keep(values, l->logits, l->n, cut);
        cut = nucleus(values, n, l->how->top_p, l->weight);
    }
    const ptrdiff_t n = keep(values, l->logits, l->n, cut);
    double left = uniform * ae_measure_sum(l->weight, values, n);
    ptrdiff_t last = 0;
    for (ptrdiff_t v = 0; v < l->n; v++) {
        const float x = ae_logit_usable(l->logits[v]);
        if (!ae_cut_keeps(&cut, x)) continue;
        const double share = ae_measure_of(l->weight, x);
        if (share > 0) last = v;
        left -= share;
        if (left < 0) break;
    }
    return last;
}

/* ---- of the top_k: few, so they are drawn from as it is defined ---- */

typedef struct {
    int32_t *ids;
    float *values;
    ptrdiff_t n;
} few;

static few few_in(const ae_lot *l) {
    int32_t *ids = (int32_t *)(void *)l->room.each;
    return (few){ids, (float *)(void *)(ids + l->n), 0};
}

/* At least k logits reach the k-th largest of the groups' tops, so all of the k largest do. */
static few gather(const ae_lot *l, ptrdiff_t k) {
    few f = few_in(l);
    const ptrdiff_t groups = ae_ceil_div(l->n, AE_LOGIT_GROUP);
    const float *tops = l->room.tops[l->side];
    float reach = -FLT_MAX;
    if (k <= groups) {
        memcpy(l->room.values, tops, (size_t)groups * sizeof(float));
        reach = ae_cut_at(l->room.values, groups, (double)k, (ae_measure){0, 0}).least;
    }
    for (ptrdiff_t g = 0; g < groups; g++) {
        if (tops[g] < reach) continue;
        const ptrdiff_t end = ae_min((g + 1) * AE_LOGIT_GROUP, l->n);
        for (ptrdiff_t v = g * AE_LOGIT_GROUP; v < end; v++) {
            const float x = ae_logit_usable(l->logits[v]);
            if (x < reach) continue;
            f.ids[f.n] = (int32_t)v;
            f.values[f.n++] = x;
        }
    }
    return f;
}

static void cut_few(few *f, ae_cut cut) {
    ptrdiff_t kept = 0;
    for (ptrdiff_t i = 0; i < f->n; i++) {
        if (!ae_cut_keeps(&cut, f->values[i])) continue;
        f->ids[kept] = f->ids[i];
        f->values[kept++] = f->values[i];
    }
    f->n = kept;
}

static ptrdiff_t draw_of_few(const few *f, ae_measure weight, double uniform) {
    double left = uniform * ae_measure_sum(weight, f->values, f->n);
    ptrdiff_t last = 0;
    for (ptrdiff_t i = 0; i < f->n; i++) {
        const double share = ae_measure_of(weight, f->values[i]);
        if (share > 0) last = f->ids[i];
        left -= share;
        if (left < 0) break;
    }
    return last;
}

static ptrdiff_t draw_top_k(const ae_lot *l, double uniform) {
    const ptrdiff_t k = (ptrdiff_t)l->how->top_k;
    few f = gather(l, k);
    float *copy = l->room.values;
    memcpy(copy, f.values, (size_t)f.n * sizeof *copy);
    cut_few(&f, ae_cut_at(copy, f.n, (double)k, (ae_measure){0, 0}));
    if (l->how->top_p < 1) {
        memcpy(copy, f.values, (size_t)f.n * sizeof *copy);
        cut_few(&f, nucleus(copy, f.n, l->how->top_p, l->weight));
    }
    return draw_of_few(&f, l->weight, uniform);
}

/* ---- of all ---- */

/* Of all terms; leaves those of blocks in the room. */
static void sum_all(ae_lot *l) {
    l->law = ae_logit_law_of(l->weight.top, 1 / l->weight.temperature);
    ae_logit_exp_sums(l->room.sums, l->logits, l->n, &l->law, l->threads);
    l->total = ae_lot_total(l->room.sums, ae_ceil_div(l->n, AE_LOGIT_BLOCK));
}

static ptrdiff_t draw_plain(ae_lot *l, double uniform) {
    sum_all(l);
    const ae_lot_edges edges = {l->total * ae_lot_doubt(l->n), 0};
    return ae_lot_find(l, uniform, edges, (ae_cut){-FLT_MAX, l->n}, NULL);
}

static ptrdiff_t draw_nucleus(ae_lot *l, double uniform) {
    l->law = ae_logit_law_of(l->weight.top, 1 / l->weight.temperature);
    return ae_lot_draw_nucleus(l, uniform);
}

/* ---- one token ---- */

enum { WORTH_THREADS = 1 << 15 }; /* logits */

/* Where vector sums are near the exact ones. */
static bool is_ordinary(double top, double temperature) {
    return temperature > 1e-4 && temperature < 1e4 && fabs(top) <= AE_LOGIT_STEEPEST * temperature;
}

static ptrdiff_t draw(ae_lot *l, ae_rng *rng) {
    const ae_sampling *how = l->how;
    const double uniform = ae_rng_uniform(rng);
    ptrdiff_t v = -1;
    if (how->top_k > 0 && how->top_k < l->n) return draw_top_k(l, uniform);
    if (how->top_p > 0 && is_ordinary(l->weight.top, how->temperature))
        v = how->top_p < 1 ? draw_nucleus(l, uniform) : draw_plain(l, uniform);
    return v >= 0 ? v : draw_exactly(l, uniform);
}

static double exact_sum(const ae_lot *l) {
    double sum = 0;
    for (ptrdiff_t v = 0; v < l->n; v++) sum += ae_measure_of(l->weight, ae_logit_usable(l->logits[v]));
    return sum;
}

/* Of the logit x, from vector sums; NAN where they leave a doubt about the float32. Of a token that is nearly certain float32 is finer
 * than the terms of those sums are right, so its own term is taken as it is defined and only the others' share of the sum is in doubt.
 * Beside that the sum in order is rounded n times, by 2^-53 of it each, and the vector sums far less often. */
static double quick_logprob(ae_lot *l, float x) {
    const double top = l->weight.top, temperature = l->weight.temperature;
    if (!is_ordinary(top, temperature)) return (double)NAN;
    if (!(l->total > 0)) sum_all(l);
    const double others = l->total - ae_logit_exp_sum(NULL, &x, 1, &l->law),
                 sum = others + ae_measure_of(l->weight, x), share = fmax(others, 0) / sum;
    const double lse = top / temperature + log(sum), logprob = (double)x / temperature - lse;
    const double doubt = share * ae_lot_doubt(0) + (1.01 * (double)l->n + 256) * 0x1p-53 +
                         0x1p-50 * (fabs(top) / temperature + fabs(lse) + fabs(logprob));
    return (float)(logprob - doubt) < (float)(logprob + doubt) ? (double)NAN : logprob;
}

static double logprob_of(ae_lot *l, float x) {
    const double quick = quick_logprob(l, x), temperature = l->weight.temperature;
    if (!isnan(quick)) return quick;
    return (double)x / temperature - (l->weight.top / temperature + log(exact_sum(l)));
}

/* Groups that a draw left in the room for the one after it. */
typedef struct {
    const float *of; /* NULL: none */
    ptrdiff_t n;
    int side;
} left_groups;

static ptrdiff_t ids_of(const ae_draw *d, ptrdiff_t V) {
    return d->how->ids > 0 && d->how->ids < V ? d->how->ids : V;
}

/* `next`: the draw after it; NULL: not known. */
static void sample(ae_draw *d, const ae_draw *next, left_groups *left, ptrdiff_t V, void *room, int threads) {
    const ae_sampling *how = d->how;
    size_t bytes;
    assert(V >= 1);
    ae_lot l = {.logits = d->logits,
                .next = next ? next->logits : NULL,
                .side = left->side,
                .n = ids_of(d, V),
                .how = how,
                .room = ae_lot_room_of(room, V, &bytes)};
    l.threads = V >= WORTH_THREADS ? threads : 1;
    if (d->seen) {
        penalise(l.room.copy, d, l.n);
        l.logits = l.room.copy;
    }
    const float top = largest(&l, left->of == l.logits && left->n == l.n);
    l.weight = (ae_measure){(double)top, how->temperature};
    const ptrdiff_t id = how->temperature > 0 ? draw(&l, d->rng) : first_with(&l, top);
    d->id = (int32_t)id;
    *left = (left_groups){l.has_next ? l.next : NULL, l.n, l.side ^ l.has_next};
    if (!d->wants_logprob) return;
    const bool other = l.n < V || d->seen;
    l.n = V;
    l.logits = d->logits;
    const double temperature = d->tempered ? how->temperature : 1;
    if (other || temperature < how->temperature || temperature > how->temperature) l.total = 0;
    if (other) l.weight.top = (double)largest(&l, false);
    l.weight.temperature = temperature;
    d->logprob = logprob_of(&l, ae_logit_usable(d->logits[id]));
}

void ae_sample(ae_draw *d, ptrdiff_t V, void *room, int threads) {
    sample(d, NULL, &(left_groups){0}, V, room, threads);
}

/* ---- many ---- */

static bool one_a_thread(ptrdiff_t n, int threads) {
    return n > 1 && n >= threads;
}

size_t ae_sample_each_room_bytes(ptrdiff_t V, ptrdiff_t n, int threads) {
    return ae_sample_room_bytes(V) * (size_t)(one_a_thread(n, threads) ? threads : 1);
}

void ae_sample_each(ae_draw *draws, ptrdiff_t n, ptrdiff_t V, void *room, int threads) {
    if (!one_a_thread(n, threads)) {
        for (ptrdiff_t i = 0; i < n; i++) ae_sample(&draws[i], V, room, threads);
        return;
    }
    atomic_ptrdiff_t taken = 0;
#pragma omp parallel num_threads(threads)
    {
        void *mine = (char *)room + (size_t)omp_get_thread_num() * ae_sample_room_bytes(V);
        left_groups left = {0};
        for (ptrdiff_t i = taken++, next; i < n; i = next) {
            next = taken++;
            sample(&draws[i], next < n ? &draws[next] : NULL, &left, V, mine, 1);
        }
    }
}
