#include "model/sampler.h"

#include "core/dims.h"
#include "model/cut.h"
#include "model/logits.h"

#include <assert.h>
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <string.h>

/* The token that is drawn is defined by sums of exp in double, id after id. Those take several times as long as all else, so the draw is
 * made from vector sums first; it counts if it stands further from every edge than both ways of summing may differ (`doubt`), which is
 * nearly always so, and else the sums that define it are made. */

typedef struct {
    double *each;  /* [V]: terms; or, in their place, ids and values of what is kept */
    float *values; /* [V]: for what reorders them */
    double *sums;  /* of blocks */
    float *tops;   /* of groups */
    int32_t *ties; /* that a cut still keeps, before each block */
} room_parts;

static size_t whole_lines(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

static room_parts parts_of(void *room, ptrdiff_t V, size_t *bytes) {
    const size_t n = (size_t)V, blocks = (size_t)ae_ceil_div(V, AE_LOGIT_BLOCK),
                 groups = (size_t)ae_ceil_div(V, AE_LOGIT_GROUP);
    const size_t values = whole_lines(n * sizeof(double)), sums = values + whole_lines(n * sizeof(float)),
                 tops = sums + whole_lines(blocks * sizeof(double));
    const size_t ties = tops + whole_lines(groups * sizeof(float));
    char *at = room;
    *bytes = ties + whole_lines(blocks * sizeof(int32_t));
    if (!room) return (room_parts){0};
    return (room_parts){(double *)(void *)at, (float *)(void *)(at + values), (double *)(void *)(at + sums),
                        (float *)(void *)(at + tops), (int32_t *)(void *)(at + ties)};
}

size_t ae_sample_room_bytes(ptrdiff_t V) {
    size_t bytes;
    (void)parts_of(NULL, V, &bytes);
    return bytes;
}

/* What is drawn from. */
typedef struct {
    const float *logits;
    ptrdiff_t n;
    const ae_sampling *how;
    ae_measure weight;
    room_parts room;
    int threads;
} lot;

/* How far sums of n terms, relative to all of them, may lie from those in another order and with another exp: 4 n roundings, and exponents
 * of terms that matter, at most 40, to some bits. */
static double doubt_of(ptrdiff_t n) {
    return (double)(4 * n + 1024) * 0x1p-52;
}

/* ---- the largest ---- */

static float largest_of(const float *tops, ptrdiff_t n) {
    float top = tops[0];
    for (ptrdiff_t i = 1; i < n; i++) top = tops[i] > top ? tops[i] : top;
    return top;
}

static float largest(const lot *l) {
    ae_logit_tops(l->room.tops, l->logits, l->n, l->threads);
    return largest_of(l->room.tops, ae_ceil_div(l->n, AE_LOGIT_GROUP));
}

/* The first id that has it; after largest(). */
static ptrdiff_t first_with(const lot *l, float top) {
    ptrdiff_t g = 0;
    while (l->room.tops[g] < top) g++;
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

static ptrdiff_t draw_exactly(const lot *l, double uniform) {
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

static few few_in(const lot *l) {
    int32_t *ids = (int32_t *)(void *)l->room.each;
    return (few){ids, (float *)(void *)(ids + l->n), 0};
}

/* At least k logits reach the k-th largest of the groups' tops, so all of the k largest do. */
static few gather(const lot *l, ptrdiff_t k) {
    few f = few_in(l);
    const ptrdiff_t groups = ae_ceil_div(l->n, AE_LOGIT_GROUP);
    float reach = -FLT_MAX;
    if (k <= groups) {
        memcpy(l->room.values, l->room.tops, (size_t)groups * sizeof(float));
        reach = ae_cut_at(l->room.values, groups, (double)k, (ae_measure){0, 0}).least;
    }
    for (ptrdiff_t g = 0; g < groups; g++) {
        if (l->room.tops[g] < reach) continue;
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

static ptrdiff_t draw_top_k(const lot *l, double uniform) {
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

/* ---- of all, from vector sums; -1 where they leave a doubt ---- */

typedef struct {
    ptrdiff_t block;
    double before; /* the sum of the blocks before it */
} place;

/* The block where the running sum passes `wanted`. */
static place find_block(const double *sums, ptrdiff_t blocks, double wanted) {
    place p = {0};
    while (p.block + 1 < blocks && p.before + sums[p.block] <= wanted) p.before += sums[p.block++];
    return p;
}

/* The id in that block, from the terms of its ids; `cut` stands where it stood at the block's first id. */
static ptrdiff_t find_id(const lot *l, const double *each, place p, double wanted, double doubt, ae_cut cut) {
    const ptrdiff_t first = p.block * AE_LOGIT_BLOCK, end = ae_min(first + AE_LOGIT_BLOCK, l->n);
    double sum = p.before;
    for (ptrdiff_t v = first; v < end; v++) {
        if (!ae_cut_keeps(&cut, ae_logit_usable(l->logits[v]))) continue;
        const double before = sum;
        sum += each[v - first];
        if (sum < wanted - doubt) continue;
        return sum > wanted + doubt && (before < wanted - doubt || !(before > 0)) ? v : -1;
    }
    return -1;
}

static double total_of(const double *sums, ptrdiff_t n) {
    double total = 0;
    for (ptrdiff_t i = 0; i < n; i++) total += sums[i];
    return total;
}

static ptrdiff_t draw_plain(const lot *l, double uniform) {
    const ptrdiff_t blocks = ae_ceil_div(l->n, AE_LOGIT_BLOCK);
    const double scale = 1 / l->weight.temperature;
    ae_logit_exp_sums(l->room.sums, NULL, l->logits, l->n, l->weight.top, scale, l->threads);
    const double total = total_of(l->room.sums, blocks), wanted = uniform * total;
    const place p = find_block(l->room.sums, blocks, wanted);
    const ptrdiff_t first = p.block * AE_LOGIT_BLOCK;
    double one[1], each[AE_LOGIT_BLOCK];
    ae_logit_exp_sums(one, each, l->logits + first, ae_min(AE_LOGIT_BLOCK, l->n - first), l->weight.top,
                      scale, 1);
    return find_id(l, each, p, wanted, total * doubt_of(l->n), (ae_cut){-FLT_MAX, l->n});
}

/* ---- of the smallest set that reaches top_p ---- */

/* The way down from the top in parts; beyond REACH temperatures all is one part. */
enum { PARTS = 1024, REACH = 40 };

static ptrdiff_t block_parts(int32_t *parts, const lot *l, ptrdiff_t b) {
    const ptrdiff_t first = b * AE_LOGIT_BLOCK, n = ae_min(AE_LOGIT_BLOCK, l->n - first);
    const float scale = (float)(PARTS / (REACH * l->weight.temperature));
    ae_logit_parts(parts, l->logits + first, n, (float)l->weight.top, scale, PARTS - 1);
    return n;
}

/* The part where the weights from the top down reach `wanted`, and those above it. Neighbours are often in one part, so they are added to
 * different lists, without waiting for each other. */
static int find_part(const lot *l, double wanted, double *above) {
    enum { LISTS = 4 };
    double weights[PARTS][LISTS] = {0};
    int32_t parts[AE_LOGIT_BLOCK];
    for (ptrdiff_t b = 0; b * AE_LOGIT_BLOCK < l->n; b++) {
        const ptrdiff_t n = block_parts(parts, l, b);
        const double *each = l->room.each + b * AE_LOGIT_BLOCK;
        for (ptrdiff_t i = 0; i < n; i++) weights[parts[i]][i % LISTS] += each[i];
    }
    *above = 0;
    for (int part = 0; part + 1 < PARTS; part++) {
        const double *w = weights[part], here = (w[0] + w[1]) + (w[2] + w[3]);
        if (*above + here >= wanted) return part;
        *above += here;
    }
    return PARTS - 1;
}

static ptrdiff_t gather_part(const lot *l, int part) {
    int32_t parts[AE_LOGIT_BLOCK];
    ptrdiff_t gathered = 0;
    for (ptrdiff_t b = 0; b * AE_LOGIT_BLOCK < l->n; b++) {
        const ptrdiff_t n = block_parts(parts, l, b);
        const float *x = l->logits + b * AE_LOGIT_BLOCK;
        for (ptrdiff_t i = 0; i < n; i++)
            if (parts[i] == part) l->room.values[gathered++] = ae_logit_usable(x[i]);
    }
    return gathered;
}

/* The cut among the n values of the part where it lies; whether it is beyond doubt. */
static bool cut_part(ae_cut *cut, const lot *l, ptrdiff_t n, double above, double wanted, double doubt) {
    float *values = l->room.values;
    ptrdiff_t equal = 0;
    *cut = ae_cut_at(values, n, wanted - above, l->weight);
    for (ptrdiff_t i = 0; i < n; i++) {
        if (values[i] > cut->least)
            above += ae_measure_of(l->weight, values[i]);
        else
            equal += !(values[i] < cut->least);
    }
    const double one = ae_measure_of(l->weight, cut->least), left = wanted - above;
    if (left <= doubt || (double)equal * one - left <= doubt) return false;
    return equal == 1 || ceil((left - doubt) / one) == ceil((left + doubt) / one);
}

/* Sums of what the cut keeps of each block. */
static void keep_sums(const lot *l, ae_cut cut) {
    const double one = ae_measure_of(l->weight, cut.least);
    for (ptrdiff_t b = 0; b * AE_LOGIT_BLOCK < l->n; b++) {
        const ptrdiff_t first = b * AE_LOGIT_BLOCK;
        ptrdiff_t equal;
        const double above = ae_logit_sum_above(&equal, l->room.each + first, l->logits + first,
                                                ae_min(AE_LOGIT_BLOCK, l->n - first), cut.least);
        const ptrdiff_t ties = ae_min(equal, cut.ties);
        l->room.ties[b] = (int32_t)cut.ties;
        l->room.sums[b] = above + (double)ties * one;
        cut.ties -= ties;
    }
}

static ptrdiff_t draw_nucleus(const lot *l, double uniform) {
    const ptrdiff_t blocks = ae_ceil_div(l->n, AE_LOGIT_BLOCK);
    ae_cut cut;
    double above;
    ae_logit_exp_sums(l->room.sums, l->room.each, l->logits, l->n, l->weight.top, 1 / l->weight.temperature,
                      l->threads);
    const double total = total_of(l->room.sums, blocks), doubt = total * doubt_of(l->n),
                 wanted = l->how->top_p * total;
    const int part = find_part(l, wanted, &above);
    const ptrdiff_t n = gather_part(l, part);
    if (n == 0 || !cut_part(&cut, l, n, above, wanted, doubt)) return -1;
    keep_sums(l, cut);
    const double target = uniform * total_of(l->room.sums, blocks);
    const place p = find_block(l->room.sums, blocks, target);
    cut.ties = l->room.ties[p.block];
    return find_id(l, l->room.each + p.block * AE_LOGIT_BLOCK, p, target, doubt, cut);
}

/* ---- one token ---- */

enum { WORTH_THREADS = 1 << 15 }; /* logits */

/* Where vector sums are near the ones that define the draw. */
static bool is_ordinary(const ae_sampling *how) {
    return how->temperature > 1e-4 && how->temperature < 1e4 && how->top_p > 0;
}

static ptrdiff_t draw(const lot *l, ae_rng *rng) {
    const double uniform = ae_rng_uniform(rng);
    if (l->how->top_k > 0 && l->how->top_k < l->n) return draw_top_k(l, uniform);
    ptrdiff_t v = -1;
    if (is_ordinary(l->how)) v = l->how->top_p < 1 ? draw_nucleus(l, uniform) : draw_plain(l, uniform);
    return v >= 0 ? v : draw_exactly(l, uniform);
}

static double exact_sum(const float *logits, ptrdiff_t V, double top) {
    double sum = 0;
    for (ptrdiff_t v = 0; v < V; v++) sum += exp((double)ae_logit_usable(logits[v]) - top);
    return sum;
}

/* Of the logit x under the model. */
static double logprob_of(const lot *l, float x) {
    const ptrdiff_t blocks = ae_ceil_div(l->n, AE_LOGIT_BLOCK);
    const double top = l->weight.top;
    ae_logit_exp_sums(l->room.sums, NULL, l->logits, l->n, top, 1, l->threads);
    const double lse = top + log(total_of(l->room.sums, blocks)), logprob = (double)x - lse;
    const double doubt = doubt_of(l->n) + 0x1p-50 * (fabs(top) + fabs(lse) + fabs(logprob));
    const float low = (float)(logprob - doubt), high = (float)(logprob + doubt);
    if (!(low < high)) return logprob;
    return (double)x - (top + log(exact_sum(l->logits, l->n, top)));
}

void ae_sample(ae_draw *d, ptrdiff_t V, void *room, int threads) {
    const ae_sampling *how = d->how;
    size_t bytes;
    assert(V >= 1);
    lot l = {.logits = d->logits, .n = V, .how = how, .room = parts_of(room, V, &bytes)};
    l.threads = V >= WORTH_THREADS ? threads : 1;
    const bool fewer = how->ids > 0 && how->ids < V;
    if (fewer) l.n = how->ids;
    const float top = largest(&l);
    l.weight = (ae_measure){(double)top, how->temperature};
    const ptrdiff_t id = how->temperature > 0 ? draw(&l, d->rng) : first_with(&l, top);
    d->id = (int32_t)id;
    if (!d->wants_logprob) return;
    l.n = V;
    if (fewer) l.weight.top = (double)largest(&l);
    d->logprob = logprob_of(&l, ae_logit_usable(d->logits[id]));
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
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (ptrdiff_t i = 0; i < n; i++)
        ae_sample(&draws[i], V, (char *)room + (size_t)omp_get_thread_num() * ae_sample_room_bytes(V), 1);
}
