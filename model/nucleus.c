#include "core/dims.h"
#include "model/lot.h"

#include <math.h>
#include <string.h>

/* The smallest set that reaches top_p ends at a cut. A sample gives two bounds that hold it, one sweep gives the sums
 * of what is above and below them, and what lies between them is looked at one by one. The sweep uses float32 first. A
 * draw that this leaves in doubt, a few in a hundred of many alike tokens, makes the sweep again in double. */

typedef struct {
    float low, high; /* low <= cut <= high */
} bounds;

static const bounds no_bounds = {-FLT_MAX, FLT_MAX};

/* The way down from the top in parts; beyond REACH temperatures all is one part. */
enum { PARTS = 1024, REACH = 40 };

typedef struct {
    float top, scale;
} ruler;

static ruler ruler_of(const ae_lot *l, float low, float high) {
    const float top = fminf((float)l->weight.top, high),
                length = fminf(top - low, (float)(REACH * l->weight.temperature));
    return (ruler){top, length > 1e-30f ? PARTS / length : 0};
}

/* The logit where a part begins. */
static float top_of(const ruler *r, int part) {
    return r->top - (float)part / r->scale;
}

/* ---- bounds from a sample ---- */

/* The FEW largest of a sample tell little about what is larger, so the weight of that is summed, and no bound lies
 * there. */
enum { SAMPLE_LEAST = 128, FEW = 6, SIGMAS = 3 };

typedef struct {
    ruler ruler;
    struct {
        double weight;
        int64_t count;
    } parts[PARTS];
    int known; /* parts from the top down that hold the FEW largest */
} histogram;

static float low_of(const float *x, ptrdiff_t n) {
    float low = FLT_MAX;
    for (ptrdiff_t i = 0; i < n; i++) low = x[i] < low ? x[i] : low;
    return low;
}

static void count_sample(histogram *h, const ae_lot *l, ptrdiff_t n) {
    const float *x = l->room.sample[l->side];
    int32_t parts[AE_LOGIT_BLOCK];
    double each[AE_LOGIT_BLOCK];
    for (ptrdiff_t first = 0; first < n; first += AE_LOGIT_BLOCK) {
        const ptrdiff_t m = ae_min(AE_LOGIT_BLOCK, n - first);
        (void)ae_logit_exp_sum(each, x + first, m, &l->law);
        ae_logit_parts(parts, x + first, m, h->ruler.top, h->ruler.scale, PARTS - 1);
        for (ptrdiff_t i = 0; i < m; i++) {
            h->parts[parts[i]].weight += each[i];
            h->parts[parts[i]].count++;
        }
    }
    for (int64_t seen = 0; h->known < PARTS && seen < FEW;) seen += h->parts[h->known++].count;
}

/* The weight of all logits from `bound` on. */
static double weight_above(const ae_lot *l, float bound) {
    const float *tops = l->room.tops[l->side];
    int32_t *groups = (int32_t *)(void *)l->room.each;
    float *x = l->room.values;
    ptrdiff_t found = 0, n = 0;
    for (int32_t g = 0; g < ae_ceil_div(l->n, AE_LOGIT_GROUP); g++) { /* no branch to guess wrong */
        groups[found] = g;
        found += tops[g] >= bound;
    }
    for (ptrdiff_t i = 0; i < found; i++) {
        const ptrdiff_t first = (ptrdiff_t)groups[i] * AE_LOGIT_GROUP,
                        m = ae_min(AE_LOGIT_GROUP, l->n - first);
        n += ae_logit_pick(x + n, l->logits + first, m, bound, FLT_MAX);
    }
    return ae_logit_exp_sum(NULL, x, n, &l->law);
}

/* The sum of the squares of the weights of a part, which are much alike. */
static double squares_of(const histogram *h, int part) {
    const double weight = h->parts[part].weight;
    return weight > 0 ? weight * weight / (double)h->parts[part].count : 0;
}

/* Where the share 1 - top_p of the weight, summed from the bottom up, lies by the sample, give or take SIGMAS standard
 * deviations; `known`, in logits of the sample, is the weight of the parts that are known. With p the share, the sample's
 * weights below the cut count (1 - p) times in the error, those above it p times. */
static bounds bounds_from(const histogram *h, double known, double top_p) {
    const double of_below = top_p * top_p, of_above = (1 - top_p) * (1 - top_p);
    bounds c = {top_of(&h->ruler, h->known), FLT_MAX};
    double left = known, above = 0, below = 0; /* the latter two: sums of squares */
    for (int part = h->known; part < PARTS; part++) {
        left += h->parts[part].weight;
        above += squares_of(h, part);
    }
    left *= 1 - top_p;
    bool has_low = false;
    for (int part = PARTS - 1; part >= h->known; part--) {
        if (h->parts[part].count == 0) continue;
        const double squares = squares_of(h, part);
        left -= h->parts[part].weight;
        below += squares;
        above -= squares;
        const double variance =
            of_below * below + of_above * fmax(above, 0) + squares / (double)h->parts[part].count;
        const bool is_far = left * left > SIGMAS * SIGMAS * variance;
        if (!has_low && !(is_far && left > 0)) {
            has_low = true;
            c.low = part == PARTS - 1 ? -FLT_MAX : top_of(&h->ruler, part + 1);
        }
        if (!is_far || left > 0) continue;
        c.high = top_of(&h->ruler, part);
        break;
    }
    return c;
}

/* They may be wrong, which shows later. */
static bounds guess_bounds(const ae_lot *l) {
    const ptrdiff_t n = ae_ceil_div(l->n, AE_LOGIT_GROUP);
    histogram h = {0};
    if (n < SAMPLE_LEAST) return no_bounds;
    h.ruler = ruler_of(l, low_of(l->room.sample[l->side], ae_min(n, AE_LOGIT_BLOCK)), FLT_MAX);
    if (!(h.ruler.scale > 0)) return no_bounds; /* all alike */
    count_sample(&h, l, n);
    const double known = weight_above(l, top_of(&h.ruler, h.known));
    return bounds_from(&h, known / AE_LOGIT_GROUP, l->how->top_p);
}

/* ---- the cut between two bounds ---- */

/* How blocks are split. */
typedef struct {
    double doubt;                /* what each term is right to; 0: in double */
    ae_logit_rough_law law;      /* in float32 */
    const ae_logit_groups *also; /* that are taken meanwhile; NULL: none */
} precision;

/* The sums of block b above and below the bounds, and to `between` what lies between them. How much it is. */
static ptrdiff_t split_block(float *between, const ae_lot *l, const precision *by, bounds c, ptrdiff_t b) {
    const ptrdiff_t first = b * AE_LOGIT_BLOCK, n = ae_min(AE_LOGIT_BLOCK, l->n - first);
    const float *x = l->logits + first;
    float some[AE_LOGIT_BLOCK + AE_LOGIT_SPARE];
    const ae_logit_split split = by->doubt > 0 ? ae_logit_rough_split_at(some, x, n, &by->law, c.low, c.high,
                                                                         by->also, first / AE_LOGIT_GROUP)
                                               : ae_logit_split_at(some, x, n, &l->law, c.low, c.high);
    l->room.below[b] = split.below;
    l->room.sums[b] = split.above;
    l->room.counts[b] = (int32_t)split.between;
    memcpy(between, some, (size_t)split.between * sizeof *some);
    return split.between;
}

/* Splits all blocks, those of a thread one after the other, and moves what lies between the bounds together. How much it is. */
static ptrdiff_t split_all(const ae_lot *l, const precision *by, bounds c) {
    const ptrdiff_t blocks = ae_ceil_div(l->n, AE_LOGIT_BLOCK), each = ae_ceil_div(blocks, l->threads);
    float *between = l->room.between;
#pragma omp parallel for schedule(static) num_threads(l->threads)
    for (ptrdiff_t first = 0; first < blocks; first += each) {
        float *to = between + first * AE_LOGIT_BLOCK;
        for (ptrdiff_t b = first; b < ae_min(first + each, blocks); b++) to += split_block(to, l, by, c, b);
    }
    ptrdiff_t n = 0;
    for (ptrdiff_t first = 0; first < blocks; first += each) {
        ptrdiff_t its = 0;
        for (ptrdiff_t b = first; b < ae_min(first + each, blocks); b++) its += l->room.counts[b];
        if (n < first * AE_LOGIT_BLOCK)
            memmove(between + n, between + first * AE_LOGIT_BLOCK, (size_t)its * sizeof *between);
        n += its;
    }
    return n;
}

/* The part where the weights of n logits from the top down reach `wanted`, and the weight of all above it. Neighbours are
 * often in one part, so they are added to different lists, without waiting for each other. */
static int find_part(const ae_lot *l, ruler r, ptrdiff_t n, double wanted, double *above) {
    enum { LISTS = 4 };
    double weights[PARTS][LISTS] = {0};
    int32_t parts[AE_LOGIT_BLOCK];
    for (ptrdiff_t first = 0; first < n; first += AE_LOGIT_BLOCK) {
        const ptrdiff_t m = ae_min(AE_LOGIT_BLOCK, n - first);
        const double *each = l->room.each + first;
        ae_logit_parts(parts, l->room.between + first, m, r.top, r.scale, PARTS - 1);
        for (ptrdiff_t i = 0; i < m; i++) weights[parts[i]][i % LISTS] += each[i];
    }
    for (int part = 0; part + 1 < PARTS; part++) {
        const double *w = weights[part], here = (w[0] + w[1]) + (w[2] + w[3]);
        if (*above + here >= wanted) return part;
        *above += here;
    }
    return PARTS - 1;
}

/* Those of n logits that are in the part: picked with its neighbours, as a part's edge is rounded. */
static ptrdiff_t gather_part(const ae_lot *l, ruler r, ptrdiff_t n, int part) {
    const float slack = fabsf(r.top) * 0x1p-22f;
    const float low = part + 1 < PARTS ? top_of(&r, part + 2) - slack : -FLT_MAX,
                high = part > 0 ? top_of(&r, part - 1) + slack : FLT_MAX;
    float *x = l->room.values;
    const ptrdiff_t near = ae_logit_pick(x, l->room.between, n, low, high);
    ptrdiff_t gathered = 0;
    for (ptrdiff_t i = 0; i < near; i++) {
        int32_t its;
        ae_logit_parts(&its, x + i, 1, r.top, r.scale, PARTS - 1);
        if (its == part) x[gathered++] = x[i];
    }
    return gathered;
}

/* The cut among the n values of the part where it lies; whether it is beyond doubt. */
static bool cut_part(ae_cut *cut, const ae_lot *l, ptrdiff_t n, double above, double wanted, double doubt) {
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
static void keep_sums(const ae_lot *l, ae_cut cut) {
    const double one = ae_measure_of(l->weight, cut.least);
    const float *x = l->room.between;
    const double *each = l->room.each;
    for (ptrdiff_t b = 0; b * AE_LOGIT_BLOCK < l->n; b++) {
        const ptrdiff_t n = l->room.counts[b];
        ptrdiff_t equal;
        const double above = ae_logit_sum_above(&equal, each, x, n, cut.least);
        const ptrdiff_t ties = ae_min(equal, cut.ties);
        l->room.ties[b] = (int32_t)cut.ties;
        l->room.sums[b] += above + (double)ties * one;
        cut.ties -= ties;
        x += n;
        each += n;
    }
}

/* -1 also where the cut is not between the bounds. */
static ptrdiff_t draw_between(const ae_lot *l, const precision *by, bounds c, double uniform) {
    const ptrdiff_t blocks = ae_ceil_div(l->n, AE_LOGIT_BLOCK);
    const ptrdiff_t between = split_all(l, by, c);
    const double some = ae_logit_exp_sum(l->room.each, l->room.between, between, &l->law);
    double above = ae_lot_total(l->room.sums, blocks);
    const double below = ae_lot_total(l->room.below, blocks), total = above + some + below,
                 top_p = l->how->top_p, wanted = top_p * total, least = total * ae_lot_doubt(l->n),
                 doubt = least + ae_lot_rough_doubt(by->doubt, top_p, above, below);
    /* what lies between the bounds is summed in double */
    const ae_lot_edges edges = {least, above > 0 ? by->doubt : 0};
    const ruler r = ruler_of(l, c.low, c.high);
    const int part = find_part(l, r, between, wanted, &above);
    const ptrdiff_t n = gather_part(l, r, between, part);
    ae_cut cut;
    if (n == 0 || !cut_part(&cut, l, n, above, wanted, doubt)) return -1;
    keep_sums(l, cut);
    return ae_lot_find(l, uniform, edges, cut, l->room.ties);
}

ptrdiff_t ae_lot_draw_nucleus(ae_lot *l, double uniform) {
    const bounds c = guess_bounds(l);
    const ae_logit_groups next = ae_lot_groups(l, true);
    const precision fine = {0},
                    rough = {AE_LOGIT_ROUGH, ae_logit_rough_law_of(l->weight.top, 1 / l->how->temperature),
                             l->next ? &next : NULL};
    ptrdiff_t v = draw_between(l, &rough, c, uniform);
    l->has_next = l->next != NULL;
    if (v < 0) v = draw_between(l, &fine, c, uniform);
    if (v >= 0 || (c.low <= -FLT_MAX && c.high >= FLT_MAX)) return v;
    return draw_between(l, &fine, no_bounds, uniform);
}
