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
    double *each;    /* [V]: terms; or, in their place, ids and values of what is kept */
    float *values;   /* [V]: for what reorders them */
    float *between;  /* [V]: each block's logits between two bounds, from the block's first id on */
    double *sums;    /* of blocks */
    float *tops;     /* of groups */
    int32_t *counts; /* of each block's `between` */
    int32_t *ties;   /* that a cut still keeps, before each block */
    float *copy;     /* [V]: logits with a penalty on some */
} room_parts;

static size_t whole_lines(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

static room_parts parts_of(void *room, ptrdiff_t V, size_t *bytes) {
    const size_t n = (size_t)V, blocks = (size_t)ae_ceil_div(V, AE_LOGIT_BLOCK),
                 groups = (size_t)ae_ceil_div(V, AE_LOGIT_GROUP);
    const size_t values = whole_lines(n * sizeof(double)), between = values + whole_lines(n * sizeof(float)),
                 sums = between + whole_lines(n * sizeof(float)),
                 tops = sums + whole_lines(blocks * sizeof(double)),
                 counts = tops + whole_lines(groups * sizeof(float)),
                 ties = counts + whole_lines(blocks * sizeof(int32_t)),
                 copy = ties + whole_lines(blocks * sizeof(int32_t));
    char *at = room;
    *bytes = copy + whole_lines(n * sizeof(float));
    if (!room) return (room_parts){0};
    return (room_parts){.each = (double *)(void *)at,
                        .values = (float *)(void *)(at + values),
                        .between = (float *)(void *)(at + between),
                        .sums = (double *)(void *)(at + sums),
                        .tops = (float *)(void *)(at + tops),
                        .counts = (int32_t *)(void *)(at + counts),
                        .ties = (int32_t *)(void *)(at + ties),
                        .copy = (float *)(void *)(at + copy)};
}

size_t ae_sample_room_bytes(ptrdiff_t V) {
    size_t bytes;
    (void)parts_of(NULL, V, &bytes);
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

/* What is drawn from. */
typedef struct {
    const float *logits;
    ptrdiff_t n;
    const ae_sampling *how;
    ae_measure weight;
    room_parts room;
    int threads;
} lot;

/* How far sums of n terms, relative to all of them, may lie from those in another order and with another exp: 4 n roundings, the terms'
 * own error, and exponents of terms that matter, at most 40, to some bits. */
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

/* The id where the sums of what is kept of each block pass `wanted`; `ties` of the cut at each block's first id, NULL: all is kept. */
static ptrdiff_t find(const lot *l, double wanted, double doubt, ae_cut cut, const int32_t *ties) {
    const place p = find_block(l->room.sums, ae_ceil_div(l->n, AE_LOGIT_BLOCK), wanted);
    const ptrdiff_t first = p.block * AE_LOGIT_BLOCK;
    double each[AE_LOGIT_BLOCK];
    (void)ae_logit_exp_sum(each, l->logits + first, ae_min(AE_LOGIT_BLOCK, l->n - first), l->weight.top,
                           1 / l->weight.temperature);
    if (ties) cut.ties = ties[p.block];
    return find_id(l, each, p, wanted, doubt, cut);
}

/* Of all terms; leaves those of blocks in the room. */
static double sum_all(const lot *l) {
    ae_logit_exp_sums(l->room.sums, NULL, l->logits, l->n, l->weight.top, 1 / l->weight.temperature,
                      l->threads);
    return total_of(l->room.sums, ae_ceil_div(l->n, AE_LOGIT_BLOCK));
}

static ptrdiff_t draw_plain(const lot *l, double uniform) {
    const double total = sum_all(l);
    return find(l, uniform * total, total * doubt_of(l->n), (ae_cut){-FLT_MAX, l->n}, NULL);
}

/* ---- of the smallest set that reaches top_p: two bounds that hold the cut, from a sample; then only what lies between them, and what lies
 * on one side of them, is looked at one by one ---- */

typedef struct {
    float low, high; /* low <= cut <= high */
    bool from_below; /* fewer logits lie below the bounds than above */
} bounds;

static const bounds no_bounds = {-FLT_MAX, FLT_MAX, false};

/* The way down from the top in parts; beyond REACH temperatures all is one part. */
enum { PARTS = 1024, REACH = 40 };

typedef struct {
    float top, scale;
} ruler;

static ruler ruler_of(const lot *l, float low, float high) {
    const float top = fminf((float)l->weight.top, high),
                length = fminf(top - low, (float)(REACH * l->weight.temperature));
    return (ruler){top, length > 1e-30f ? PARTS / length : 0};
}

typedef struct {
    double weights[PARTS];
    int n[PARTS];
} histogram;

/* One logit of each group, at a place that follows no pattern. */
static ptrdiff_t take_sample(histogram *h, ruler *r, const lot *l) {
    const ptrdiff_t n = l->n / AE_LOGIT_GROUP;
    float *x = l->room.values, low = FLT_MAX;
    int32_t parts[AE_LOGIT_BLOCK];
    for (ptrdiff_t g = 0; g < n; g++) {
        const uint32_t mixed = (uint32_t)g * 2654435761u;
        x[g] = ae_logit_usable(l->logits[g * AE_LOGIT_GROUP + (ptrdiff_t)(mixed >> 16) % AE_LOGIT_GROUP]);
        low = fminf(low, x[g]);
    }
    *r = ruler_of(l, low, FLT_MAX);
    for (ptrdiff_t first = 0; first < n; first += AE_LOGIT_BLOCK) {
        const ptrdiff_t m = ae_min(AE_LOGIT_BLOCK, n - first);
        double each[AE_LOGIT_BLOCK];
        (void)ae_logit_exp_sum(each, x + first, m, l->weight.top, 1 / l->weight.temperature);
        ae_logit_parts(parts, x + first, m, r->top, r->scale, PARTS - 1);
        for (ptrdiff_t i = 0; i < m; i++) {
            h->weights[parts[i]] += each[i];
            h->n[parts[i]]++;
        }
    }
    return n;
}

/* Bounds from the weights that the sample has from the bottom up to `dropped`, give or take SIGMAS standard deviations. The FEW largest of
 * a sample tell little about what is larger, so no bound lies among them. They may be wrong, which shows later. */
static bounds guess_bounds(const lot *l, double dropped) {
    enum { SAMPLE_LEAST = 128, SIGMAS = 4, FEW = 12 };
    if (l->n / AE_LOGIT_GROUP < SAMPLE_LEAST) return no_bounds;
    histogram h = {0};
    ruler r;
    const ptrdiff_t n = take_sample(&h, &r, l);
    if (!(r.scale > 0)) return no_bounds; /* all alike */
    const double each_stands_for = (double)l->n / (double)n;
    double weight = 0, squares = 0;
    ptrdiff_t seen = 0, below = -1;
    bounds c = no_bounds;
    for (int part = PARTS - 1; part >= 0 && n - seen > FEW; part--) {
        if (h.n[part] == 0) continue;
        const double mean = h.weights[part] / h.n[part];
        weight += each_stands_for * h.weights[part];
        squares += mean * h.weights[part];
        const double margin = SIGMAS * each_stands_for * sqrt(squares + mean * mean);
        if (below < 0 && (weight + margin > dropped || n - seen - h.n[part] <= FEW)) {
            below = seen;
            if (part < PARTS - 1) c.low = r.top - (float)(part + 1) / r.scale;
        }
        seen += h.n[part];
        if (weight - margin < dropped || n - seen <= FEW) continue;
        c.high = r.top - (float)part / r.scale;
        break;
    }
    c.from_below = c.high < FLT_MAX && below < n - seen;
    return c;
}

/* The sum of the terms of x [n], which has room for BLOCK and is filled up: a whole vector is as fast as one term. */
static double few_terms(const lot *l, double each[AE_LOGIT_BLOCK], float *x, ptrdiff_t n) {
    enum { WHOLE = 16 };
    const ptrdiff_t filled = (n + WHOLE - 1) / WHOLE * WHOLE;
    for (ptrdiff_t i = n; i < filled; i++) x[i] = -FLT_MAX;
    return n > 0 ? ae_logit_exp_sum(each, x, filled, l->weight.top, 1 / l->weight.temperature) : 0;
}

/* Finds what block b has between the bounds; its sum, of all before, becomes that of what is larger. */
static void split_block(const lot *l, bounds c, ptrdiff_t b) {
    const ptrdiff_t first = b * AE_LOGIT_BLOCK, n = ae_min(AE_LOGIT_BLOCK, l->n - first);
    const float *x = l->logits + first;
    float some[AE_LOGIT_BLOCK + AE_LOGIT_SPARE];
    double each[AE_LOGIT_BLOCK];
    const float from = c.from_below ? -FLT_MAX : nextafterf(c.high, INFINITY),
                to = c.from_below ? nextafterf(c.low, -INFINITY) : FLT_MAX;
    ptrdiff_t picked = from <= to ? ae_logit_pick(some, x, n, from, to) : 0;
    const double side = few_terms(l, each, some, picked);
    picked = ae_logit_pick(some, x, n, c.low, c.high);
    const double between = few_terms(l, each, some, picked);
    memcpy(l->room.between + first, some, (size_t)picked * sizeof *some);
    memcpy(l->room.each + first, each, (size_t)picked * sizeof *each);
    l->room.counts[b] = (int32_t)picked;
    l->room.sums[b] = c.from_below ? l->room.sums[b] - side - between : side;
}

/* The part between the bounds where the weights from the top down reach `wanted`, and those above it. Neighbours are often in one part, so
 * they are added to different lists, without waiting for each other. */
static int find_part(const lot *l, ruler r, double wanted, double *above) {
    enum { LISTS = 4 };
    double weights[PARTS][LISTS] = {0};
    int32_t parts[AE_LOGIT_BLOCK];
    for (ptrdiff_t b = 0; b * AE_LOGIT_BLOCK < l->n; b++) {
        const ptrdiff_t first = b * AE_LOGIT_BLOCK, n = l->room.counts[b];
        const double *each = l->room.each + first;
        ae_logit_parts(parts, l->room.between + first, n, r.top, r.scale, PARTS - 1);
        for (ptrdiff_t i = 0; i < n; i++) weights[parts[i]][i % LISTS] += each[i];
    }
    for (int part = 0; part + 1 < PARTS; part++) {
        const double *w = weights[part], here = (w[0] + w[1]) + (w[2] + w[3]);
        if (*above + here >= wanted) return part;
        *above += here;
    }
    return PARTS - 1;
}

static ptrdiff_t gather_part(const lot *l, ruler r, int part) {
    int32_t parts[AE_LOGIT_BLOCK];
    ptrdiff_t gathered = 0;
    for (ptrdiff_t b = 0; b * AE_LOGIT_BLOCK < l->n; b++) {
        const ptrdiff_t n = l->room.counts[b];
        const float *x = l->room.between + b * AE_LOGIT_BLOCK;
        ae_logit_parts(parts, x, n, r.top, r.scale, PARTS - 1);
        for (ptrdiff_t i = 0; i < n; i++)
            if (parts[i] == part) l->room.values[gathered++] = x[i];
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

/* Adds to each block's sum what the cut keeps between the bounds. */
static void keep_sums(const lot *l, ae_cut cut) {
    const double one = ae_measure_of(l->weight, cut.least);
    for (ptrdiff_t b = 0; b * AE_LOGIT_BLOCK < l->n; b++) {
        const ptrdiff_t first = b * AE_LOGIT_BLOCK;
        ptrdiff_t equal;
        const double above = ae_logit_sum_above(&equal, l->room.each + first, l->room.between + first,
                                                l->room.counts[b], cut.least);
        const ptrdiff_t ties = ae_min(equal, cut.ties);
        l->room.ties[b] = (int32_t)cut.ties;
        l->room.sums[b] += above + (double)ties * one;
        cut.ties -= ties;
    }
}

/* -1 also where the cut is not between the bounds, and next to nothing: sums of blocks that are differences do not show whether something
 * tiny comes before. */
static ptrdiff_t draw_between(const lot *l, bounds c, double total, double uniform) {
    const ptrdiff_t blocks = ae_ceil_div(l->n, AE_LOGIT_BLOCK);
#pragma omp parallel for schedule(static) num_threads(l->threads)
    for (ptrdiff_t b = 0; b < blocks; b++) split_block(l, c, b);
    const double doubt = total * doubt_of(l->n), wanted = l->how->top_p * total;
    const ruler r = ruler_of(l, c.low, c.high);
    double above = total_of(l->room.sums, blocks);
    const int part = find_part(l, r, wanted, &above);
    const ptrdiff_t n = gather_part(l, r, part);
    ae_cut cut;
    if (n == 0 || !cut_part(&cut, l, n, above, wanted, doubt)) return -1;
    keep_sums(l, cut);
    const double target = uniform * total_of(l->room.sums, blocks);
    return target > doubt ? find(l, target, doubt, cut, l->room.ties) : -1;
}

static ptrdiff_t draw_nucleus(const lot *l, double uniform) {
    const double total = sum_all(l);
    const bounds c = guess_bounds(l, (1 - l->how->top_p) * total);
    const ptrdiff_t v = draw_between(l, c, total, uniform);
    if (v >= 0 || (c.low <= -FLT_MAX && c.high >= FLT_MAX)) return v;
    return draw_between(l, no_bounds, total, uniform);
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

/* The same at the temperature. */
static double tempered_logprob_of(const lot *l, float x) {
    return ((double)x - l->weight.top) / l->weight.temperature - log(sum_all(l));
}

void ae_sample(ae_draw *d, ptrdiff_t V, void *room, int threads) {
    const ae_sampling *how = d->how;
    size_t bytes;
    assert(V >= 1);
    lot l = {.logits = d->logits, .n = V, .how = how, .room = parts_of(room, V, &bytes)};
    l.threads = V >= WORTH_THREADS ? threads : 1;
    const bool fewer = how->ids > 0 && how->ids < V;
    if (fewer) l.n = how->ids;
    if (d->seen) {
        penalise(l.room.copy, d, l.n);
        l.logits = l.room.copy;
    }
    const float top = largest(&l);
    l.weight = (ae_measure){(double)top, how->temperature};
    const ptrdiff_t id = how->temperature > 0 ? draw(&l, d->rng) : first_with(&l, top);
    d->id = (int32_t)id;
    if (!d->wants_logprob) return;
    l.n = V;
    l.logits = d->logits;
    if (fewer || d->seen) l.weight.top = (double)largest(&l);
    const float logit = ae_logit_usable(d->logits[id]);
    d->logprob = d->tempered ? tempered_logprob_of(&l, logit) : logprob_of(&l, logit);
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
