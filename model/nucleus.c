#include "core/dims.h"
#include "model/lot.h"

#include <math.h>
#include <string.h>

/* The smallest set that reaches top_p ends at a cut. A sample gives two bounds that hold it, one sweep gives the sums
 * of all and of what is above the bounds, and what lies between them is looked at one by one. */

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
    double weights[PARTS], squares[PARTS]; /* sums of weights and of their squares */
    int counts[PARTS];
    int known; /* parts from the top down that hold the FEW largest */
} histogram;

static float low_of(const float *x, ptrdiff_t n) {
    float low = FLT_MAX;
    for (ptrdiff_t i = 0; i < n; i++) low = x[i] < low ? x[i] : low;
    return low;
}

static void count_sample(histogram *h, const ae_lot *l, ptrdiff_t n) {
    const float *x = l->room.sample;
    int32_t parts[AE_LOGIT_BLOCK];
    double each[AE_LOGIT_BLOCK];
    for (ptrdiff_t first = 0; first < n; first += AE_LOGIT_BLOCK) {
        const ptrdiff_t m = ae_min(AE_LOGIT_BLOCK, n - first);
        (void)ae_logit_exp_sum(each, x + first, m, &l->law);
        ae_logit_parts(parts, x + first, m, h->ruler.top, h->ruler.scale, PARTS - 1);
        for (ptrdiff_t i = 0; i < m; i++) {
            h->weights[parts[i]] += each[i];
            h->squares[parts[i]] += each[i] * each[i];
            h->counts[parts[i]]++;
        }
    }
    for (int seen = 0; h->known < PARTS && seen < FEW;) seen += h->counts[h->known++];
}

/* The weight of all logits from `bound` on. */
static double weight_above(const ae_lot *l, float bound) {
    float *x = l->room.values;
    ptrdiff_t n = 0;
    for (ptrdiff_t first = 0, g = 0; first < l->n; first += AE_LOGIT_GROUP, g++)
        if (l->room.tops[g] >= bound)
            n +=
                ae_logit_pick(x + n, l->logits + first, ae_min(AE_LOGIT_GROUP, l->n - first), bound, FLT_MAX);
    return ae_logit_exp_sum(NULL, x, n, &l->law);
}

/* Where the share 1 - top_p of the weight, summed from the bottom up, lies by the sample, give or take SIGMAS standard
 * deviations; `known`, in logits of the sample, is the weight of the parts that are known. With p the share, the sample's
 * weights below the cut count (1 - p) times in the error, those above it p times. */
static bounds bounds_from(const histogram *h, double known, double top_p) {
    const double below = top_p * top_p, above = (1 - top_p) * (1 - top_p);
    bounds c = {top_of(&h->ruler, h->known), FLT_MAX};
    double left = known, squares_above = 0, squares_below = 0;
    for (int part = h->known; part < PARTS; part++) {
        left += h->weights[part];
        squares_above += h->squares[part];
    }
    left *= 1 - top_p;
    bool has_low = false;
    for (int part = PARTS - 1; part >= h->known; part--) {
        if (h->counts[part] == 0) continue;
        left -= h->weights[part];
        squares_below += h->squares[part];
        squares_above -= h->squares[part];
        const double variance =
            below * squares_below + above * fmax(squares_above, 0) + h->squares[part] / h->counts[part];
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
    h.ruler = ruler_of(l, low_of(l->room.sample, ae_min(n, AE_LOGIT_BLOCK)), FLT_MAX);
    if (!(h.ruler.scale > 0)) return no_bounds; /* all alike */
    count_sample(&h, l, n);
    const double known = weight_above(l, top_of(&h.ruler, h.known));
    return bounds_from(&h, known / AE_LOGIT_GROUP, l->how->top_p);
}

/* ---- the cut between two bounds ---- */

/* The sums of block b, of all and of what is above the bounds, and what lies between them. */
static void split_block(const ae_lot *l, bounds c, ptrdiff_t b) {
    const ptrdiff_t first = b * AE_LOGIT_BLOCK, n = ae_min(AE_LOGIT_BLOCK, l->n - first);
    const float *x = l->logits + first;
    float some[AE_LOGIT_BLOCK + AE_LOGIT_SPARE];
    const float *next = l->next ? l->next + first : NULL;
    const ae_logit_split split = ae_logit_split_at(some, x, next, n, &l->law, c.low, c.high);
    l->room.all[b] = split.all;
    l->room.sums[b] = split.above;
    l->room.counts[b] = (int32_t)split.between;
    memcpy(l->room.between + first, some, (size_t)split.between * sizeof *some);
}

/* Moves what the blocks have between the bounds together, and adds its terms. How much it is. */
static ptrdiff_t join_blocks(const ae_lot *l) {
    const ae_lot_room *room = &l->room;
    ptrdiff_t n = 0;
    for (ptrdiff_t b = 0; b * AE_LOGIT_BLOCK < l->n; b++) {
        const size_t bytes = (size_t)room->counts[b] * sizeof(float);
        memmove(room->between + n, room->between + b * AE_LOGIT_BLOCK, bytes);
        n += room->counts[b];
    }
    (void)ae_logit_exp_sum(room->each, room->between, n, &l->law);
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
static ptrdiff_t draw_between(const ae_lot *l, bounds c, double uniform) {
    const ptrdiff_t blocks = ae_ceil_div(l->n, AE_LOGIT_BLOCK);
#pragma omp parallel for schedule(static) num_threads(l->threads)
    for (ptrdiff_t b = 0; b < blocks; b++) split_block(l, c, b);
    const double total = ae_lot_total(l->room.all, blocks), doubt = total * ae_lot_doubt(l->n),
                 wanted = l->how->top_p * total;
    double above = ae_lot_total(l->room.sums, blocks);
    const ruler r = ruler_of(l, c.low, c.high);
    const ptrdiff_t between = join_blocks(l);
    const int part = find_part(l, r, between, wanted, &above);
    const ptrdiff_t n = gather_part(l, r, between, part);
    ae_cut cut;
    if (n == 0 || !cut_part(&cut, l, n, above, wanted, doubt)) return -1;
    keep_sums(l, cut);
    return ae_lot_find(l, uniform * ae_lot_total(l->room.sums, blocks), doubt, cut, l->room.ties);
}

ptrdiff_t ae_lot_draw_nucleus(const ae_lot *l, double uniform) {
    const bounds c = guess_bounds(l);
    const ptrdiff_t v = draw_between(l, c, uniform);
    if (v >= 0 || (c.low <= -FLT_MAX && c.high >= FLT_MAX)) return v;
    return draw_between(l, no_bounds, uniform);
}
