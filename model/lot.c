#include "model/lot.h"

#include "core/dims.h"

static size_t whole_lines(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

ae_lot_room ae_lot_room_of(void *room, ptrdiff_t V, size_t *bytes) {
    const size_t n = (size_t)V, blocks = (size_t)ae_ceil_div(V, AE_LOGIT_BLOCK),
                 groups = (size_t)ae_ceil_div(V, AE_LOGIT_GROUP);
    const size_t values = whole_lines(n * sizeof(double)), between = values + whole_lines(n * sizeof(float)),
                 sums = between + whole_lines(n * sizeof(float)),
                 below = sums + whole_lines(blocks * sizeof(double)),
                 tops = below + whole_lines(blocks * sizeof(double)),
                 of_groups = whole_lines(groups * sizeof(float)), sample = tops + 2 * of_groups,
                 counts = sample + 2 * of_groups, ties = counts + whole_lines(blocks * sizeof(int32_t)),
                 copy = ties + whole_lines(blocks * sizeof(int32_t));
    char *at = room;
    *bytes = copy + whole_lines(n * sizeof(float));
    if (!room) return (ae_lot_room){0};
    return (ae_lot_room){
        .each = (double *)(void *)at,
        .values = (float *)(void *)(at + values),
        .between = (float *)(void *)(at + between),
        .sums = (double *)(void *)(at + sums),
        .below = (double *)(void *)(at + below),
        .tops = {(float *)(void *)(at + tops), (float *)(void *)(at + tops + of_groups)},
        .sample = {(float *)(void *)(at + sample), (float *)(void *)(at + sample + of_groups)},
        .counts = (int32_t *)(void *)(at + counts),
        .ties = (int32_t *)(void *)(at + ties),
        .copy = (float *)(void *)(at + copy)};
}

ae_logit_groups ae_lot_groups(const ae_lot *l, bool ahead) {
    const int side = l->side ^ ahead;
    return (ae_logit_groups){l->room.tops[side], l->room.sample[side], ahead ? l->next : l->logits, l->n};
}

/* 4 n roundings, the terms' own error twice (below 2^-32.5), and exponents of terms that matter, at most 40, to some bits. */
double ae_lot_doubt(ptrdiff_t n) {
    return 0x1.8p-33 + (double)(4 * n + 1024) * 0x1p-52;
}

double ae_lot_rough_doubt(double rough, double p, double before, double after) {
    return rough * (1 + 2 * rough) * ((1 - p) * before + p * after);
}

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
static ptrdiff_t find_id(const ae_lot *l, const double *each, place p, double wanted, double doubt,
                         ae_cut cut) {
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

double ae_lot_total(const double *x, ptrdiff_t n) {
    double total = 0;
    for (ptrdiff_t i = 0; i < n; i++) total += x[i];
    return total;
}

/* Edges in the block that is found lie where its terms put them, so an error of its sum moves the sum of all but not them: it
 * counts as what is after them. */
ptrdiff_t ae_lot_find(const ae_lot *l, double uniform, ae_lot_edges edges, ae_cut cut, const int32_t *ties) {
    const ptrdiff_t blocks = ae_ceil_div(l->n, AE_LOGIT_BLOCK);
    const double all = ae_lot_total(l->room.sums, blocks), wanted = uniform * all;
    const place p = find_block(l->room.sums, blocks, wanted);
    const double doubt = edges.edge + ae_lot_rough_doubt(edges.rough, uniform, p.before, all - p.before);
    const ptrdiff_t first = p.block * AE_LOGIT_BLOCK;
    double each[AE_LOGIT_BLOCK];
    (void)ae_logit_exp_sum(each, l->logits + first, ae_min(AE_LOGIT_BLOCK, l->n - first), &l->law);
    if (ties) cut.ties = ties[p.block];
    return find_id(l, each, p, wanted, doubt, cut);
}
