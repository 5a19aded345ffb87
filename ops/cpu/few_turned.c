#include "ops/cpu/few_turned.h"

#include "ops/cpu/memory.h"
#include "ops/cpu/team.h"
#include "ops/cpu/turn.h"
#include "ops/linear.h"

#include <assert.h>
#include <stdlib.h>

/* A tile is OUTPUTS weights x up to GROUP vectors of rows, summed in registers over the inputs of one remainder: l, l + VF, l + 2 VF ...
 * The sums of two remainders that differ in the highest bit are added first, as vf_sum adds them, so that remainders come in the order
 * of their turned bits and LEVELS tiles wait for their partners. */
enum {
    LEVELS = VF == 16 ? 4 : 3,
    OUTPUTS = 6,
    GROUP = VF == 16 ? 4 : 2,
    GROUP_ROWS = GROUP * VF,
    PAYS = VF + 1,
    PAD = 16 /* floats between remainders, so that their lines map to different sets of the cache */
};
_Static_assert(AE_LINEAR_EACH % VF == 0, "whole vectors of rows");

/* ---- x, turned: [groups][VF remainders][inputs of one][rows of a group] ---- */

typedef struct {
    float *x;
    ptrdiff_t steps, pitch, group_pitch; /* inputs of a remainder; floats of a remainder; of a group */
} turned;

static turned turned_of(ptrdiff_t I) {
    const ptrdiff_t steps = ae_ceil_div(I, VF), pitch = steps * GROUP_ROWS + PAD;
    return (turned){.steps = steps, .pitch = pitch, .group_pitch = VF * pitch};
}

/* Inputs [step VF, + VF) of the vector of rows from m on; what lies beyond M or I is 0. */
static void turn_rows(const turned *t, const ae_few_product *p, ptrdiff_t m, ptrdiff_t step) {
    const ptrdiff_t i = step * VF;
    vf r[VF];
    for (ptrdiff_t k = 0; k < VF; k++)
        r[k] = m + k < p->M ? va_load_n(p->x + (m + k) * p->I + i, p->I - i) : vf_set(0);
    ae_turn_block(t->x + m / GROUP_ROWS * t->group_pitch + step * GROUP_ROWS + m % GROUP_ROWS, t->pitch, r);
}

/* ---- sums ---- */

typedef struct {
    vf sum[OUTPUTS][GROUP];
} tile;

#define AE_INLINE static inline __attribute__((always_inline))

/* Counts are constants where these are inlined. */
AE_INLINE void add_tile(tile *t, const tile *other, const int outputs, const int vectors) {
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < vectors; v++) t->sum[o][v] = t->sum[o][v] + other->sum[o][v];
}

/* x [steps][GROUP_ROWS], w [outputs][I] from the remainder on. */
AE_INLINE void sum_remainder(tile *t, const float *x, const float *w, ptrdiff_t I, ptrdiff_t steps,
                             const int outputs, const int vectors) {
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < vectors; v++) t->sum[o][v] = vf_set(0);
    for (ptrdiff_t s = 0; s < steps; s++, x += GROUP_ROWS, w += VF) {
        vf rows[GROUP];
        for (int v = 0; v < vectors; v++) rows[v] = vf_load(x + v * VF);
        for (int o = 0; o < outputs; o++) {
            const vf a = vf_set(w[o * I]);
            for (int v = 0; v < vectors; v++) t->sum[o][v] = vf_fma(a, rows[v], t->sum[o][v]);
        }
    }
}

/* A VF-th of the weights that follow those at w, to the second-level cache. */
AE_INLINE void prefetch_next(const float *w, ptrdiff_t I, ptrdiff_t part, const int outputs) {
    const ptrdiff_t each = outputs * I / VF;
    const char *next = (const char *)(w + outputs * I + part * each);
    for (ptrdiff_t b = 0; b < each * (ptrdiff_t)sizeof *w; b += 64) _mm_prefetch(next + b, _MM_HINT_T1);
}

static inline int turned_bits(int n) {
    int bits = 0;
    for (int k = 0; k < LEVELS; k++) bits |= (n >> k & 1) << (LEVELS - 1 - k);
    return bits;
}

AE_INLINE void sum_tile(tile *out, const turned *t, const float *x, const float *w, ptrdiff_t I,
                        const int outputs, const int vectors) {
    tile waiting[LEVELS + 1];
    for (int n = 0; n < VF; n++) {
        const int l = turned_bits(n);
        tile sum;
        sum_remainder(&sum, x + l * t->pitch, w + l, I, (I - l + VF - 1) / VF, outputs, vectors);
        prefetch_next(w, I, n, outputs);
        int level = 0;
        for (; n >> level & 1; level++) add_tile(&sum, &waiting[level], outputs, vectors);
        waiting[level] = sum;
    }
    *out = waiting[LEVELS];
}

static void sum_tile_of(tile *out, const turned *t, const float *x, const float *w, ptrdiff_t I,
                        ptrdiff_t outputs, ptrdiff_t vectors) {
    if (outputs < OUTPUTS) {
        for (ptrdiff_t o = 0; o < outputs; o++) {
            tile one;
            sum_tile(&one, t, x, w + o * I, I, 1, GROUP);
            for (int v = 0; v < GROUP; v++) out->sum[o][v] = one.sum[0][v];
        }
        return;
    }
    switch (vectors) {
    case 1:
        sum_tile(out, t, x, w, I, OUTPUTS, 1);
        break;
    case 2:
        sum_tile(out, t, x, w, I, OUTPUTS, 2);
        break;
    default:
        sum_tile(out, t, x, w, I, OUTPUTS, GROUP);
    }
}

/* ---- results ---- */

/* Vector v of the tile is rows from m on, its outputs those from o on. */
static void put_rows(const ae_few_product *p, const tile *t, int v, ptrdiff_t m, ptrdiff_t o,
                     ptrdiff_t outputs) {
    float rows[VF * VF];
    vf r[VF];
    for (int k = 0; k < VF; k++) r[k] = k < outputs ? t->sum[k][v] : vf_set(0);
    ae_turn_block(rows, VF, r);
    const vf bias = p->bias ? vf_load_n(p->bias + o, outputs) : vf_set(0);
    for (ptrdiff_t k = 0; k < ae_min(VF, p->M - m); k++) {
        const ptrdiff_t at = (m + k) * p->O + o;
        const vf sum = vf_load(rows + k * VF);
        if (p->acts) {
            va_store_n(p->acts + at, bias + sum, outputs);
        } else {
            const vf before = p->residual ? vf_load_n(p->residual + at, outputs) : vf_set(0);
            vf_store_n(p->out + at, (before + bias) + sum, outputs);
        }
    }
}

static void put_tile(const ae_few_product *p, const turned *t, ptrdiff_t m, ptrdiff_t o) {
    const ptrdiff_t outputs = ae_min(OUTPUTS, p->O - o), vectors = ae_min(GROUP, ae_ceil_div(p->M - m, VF));
    tile sums;
    sum_tile_of(&sums, t, t->x + m / GROUP_ROWS * t->group_pitch, p->w + o * p->I, p->I, outputs, vectors);
    for (int v = 0; v < vectors; v++) put_rows(p, &sums, v, m + v * VF, o, outputs);
}

bool AE_ROW_NAME(ae_cpu_few_turned_pays)(ptrdiff_t M) {
    return M >= PAYS;
}

void AE_ROW_NAME(ae_cpu_few_turned)(const ae_backend *be, const ae_few_product *p) {
    turned t = turned_of(p->I);
    const ptrdiff_t groups = ae_ceil_div(p->M, GROUP_ROWS);
    t.x = ae_cpu_room(be, 64, (size_t)(groups * t.group_pitch) * sizeof *t.x);
    if (!t.x) return;
#pragma omp parallel num_threads(ae_team(be))
    {
#pragma omp for schedule(static)
        for (ptrdiff_t step = 0; step < t.steps; step++)
            for (ptrdiff_t m = 0; m < groups * GROUP_ROWS; m += VF) turn_rows(&t, p, m, step);
#pragma omp for schedule(static)
        for (ptrdiff_t o = 0; o < p->O; o += OUTPUTS)
            for (ptrdiff_t m = 0; m < p->M; m += GROUP_ROWS) put_tile(p, &t, m, o);
    }
    free(t.x);
}
