#include "ops/cpu/few_turned.h"

#include "ops/cpu/memory.h"
#include "ops/cpu/team.h"
#include "ops/cpu/turn.h"
#include "ops/linear.h"

#include <assert.h>
#include <omp.h>
#include <stdlib.h>

/* A tile is OUTPUTS weights x up to GROUP vectors of rows, summed in registers over the inputs of one remainder: l, l + VF, l + 2 VF ...
 * The sums of two remainders that differ in the highest bit are added first, as vf_sum adds them, so that remainders come in the order
 * of their turned bits and LEVELS tiles wait for their partners. The weights of a tile are read once for each remainder, so that long rows
 * are taken in pieces of STEPS, which the first-level cache holds; meanwhile the sums of all remainders wait in memory. A thread takes
 * UNIT outputs at a time, whole lines of memory that no other thread writes to. */
enum {
    LEVELS = VF == 16 ? 4 : 3,
    OUTPUTS = 6,
    UNIT = 16, /* in tiles of 6, 5 and 5 */
    GROUP = VF == 16 ? 4 : 2,
    GROUP_ROWS = GROUP * VF,
    STEPS = VF == 16 ? 48 : 96, /* inputs of a remainder at a time */
    ROWS_MAX = AE_LINEAR_EACH,
    PAYS = VF + 1,
    PAD = 16 /* floats between remainders, so that their lines map to different sets of the cache */
};
_Static_assert(ROWS_MAX % GROUP_ROWS == 0, "whole groups of rows");

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

/* As an assignment it would become an instruction that copies strings, which takes long to start. */
AE_INLINE void copy_tile(tile *to, const tile *from, const int outputs, const int vectors) {
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < vectors; v++) to->sum[o][v] = from->sum[o][v];
}

/* x [steps][GROUP_ROWS], w [outputs][I] from the remainder on; the sums begin at 0 or go on. */
AE_INLINE void sum_remainder(tile *t, bool goes_on, const float *x, const float *w, ptrdiff_t I,
                             ptrdiff_t steps, const int outputs, const int vectors) {
    vf sum[OUTPUTS][GROUP];
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < vectors; v++) sum[o][v] = goes_on ? t->sum[o][v] : vf_set(0);
    for (ptrdiff_t s = 0; s < steps; s++, x += GROUP_ROWS, w += VF) {
        vf rows[GROUP];
        for (int v = 0; v < vectors; v++) rows[v] = vf_load(x + v * VF);
        for (int o = 0; o < outputs; o++) {
            const vf a = vf_set(w[o * I]);
            for (int v = 0; v < vectors; v++) sum[o][v] = vf_fma(a, rows[v], sum[o][v]);
        }
    }
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < vectors; v++) t->sum[o][v] = sum[o][v];
}

/* Weights that will be taken next, to the second-level cache. */
AE_INLINE void prefetch(const char *next, ptrdiff_t bytes) {
    for (ptrdiff_t b = 0; b < bytes; b += 64) _mm_prefetch(next + b, _MM_HINT_T1);
}

static inline int turned_bits(int n) {
    int bits = 0;
    for (int k = 0; k < LEVELS; k++) bits |= (n >> k & 1) << (LEVELS - 1 - k);
    return bits;
}

/* next: a tile of weights to be prefetched */
AE_INLINE void sum_tile(tile *out, const turned *t, const float *x, const float *w, const float *next,
                        ptrdiff_t I, const int outputs, const int vectors) {
    const ptrdiff_t pieces = ae_ceil_div(t->steps, STEPS), last = (pieces - 1) * STEPS,
                    ahead = outputs * I * (ptrdiff_t)sizeof *w / (pieces * VF);
    const char *soon = (const char *)next;
    tile parts[VF], waiting[LEVELS];
    for (ptrdiff_t step = 0; step < last; step += STEPS)
        for (int l = 0; l < VF; l++, soon += ahead) {
            sum_remainder(&parts[l], step > 0, x + l * t->pitch + step * GROUP_ROWS, w + step * VF + l, I,
                          STEPS, outputs, vectors);
            prefetch(soon, ahead);
        }
    for (int n = 0; n < VF; n++, soon += ahead) {
        const int l = turned_bits(n);
        tile sum;
        if (last > 0) copy_tile(&sum, &parts[l], outputs, vectors);
        sum_remainder(&sum, last > 0, x + l * t->pitch + last * GROUP_ROWS, w + last * VF + l, I,
                      (I - l + VF - 1) / VF - last, outputs, vectors);
        prefetch(soon, ahead);
        int level = 0;
        for (; n >> level & 1; level++) add_tile(&sum, &waiting[level], outputs, vectors);
        copy_tile(level < LEVELS ? &waiting[level] : out, &sum, outputs, vectors);
    }
}

#define OF_OUTPUTS(n)                                                                                        \
    case n:                                                                                                  \
        if (vectors == 1)                                                                                    \
            sum_tile(out, t, x, w, next, I, n, 1);                                                           \
        else if (vectors == 2)                                                                               \
            sum_tile(out, t, x, w, next, I, n, 2);                                                           \
        else                                                                                                 \
            sum_tile(out, t, x, w, next, I, n, GROUP);                                                       \
        return;

static void sum_tile_of(tile *out, const turned *t, const float *x, const float *w, const float *next,
                        ptrdiff_t I, ptrdiff_t outputs, ptrdiff_t vectors) {
    switch (outputs) {
        OF_OUTPUTS(6)
        OF_OUTPUTS(5)
    default:
        sum_tile(out, t, x, w, next, I, 1, GROUP);
    }
}

/* How many of the outputs from the i-th of a unit on make a tile. */
static ptrdiff_t outputs_of_tile(ptrdiff_t i, ptrdiff_t outputs) {
    const ptrdiff_t most = i == 0 ? OUTPUTS : OUTPUTS - 1;
    return outputs - i >= most ? most : 1;
}

/* ---- results ---- */

typedef struct {
    vf sum[UNIT][ROWS_MAX / VF]; /* vector v: rows from v VF on */
} unit;

/* Rows from m on, outputs from o on: a block of the unit, those from i on. */
static void put_block(const ae_few_product *p, const unit *u, ptrdiff_t m, ptrdiff_t o, ptrdiff_t i) {
    const ptrdiff_t outputs = ae_min(VF, p->O - o);
    float rows[VF * VF];
    vf r[VF];
    for (ptrdiff_t k = 0; k < VF; k++) r[k] = k < outputs ? u->sum[i + k][m / VF] : vf_set(0);
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

static void sum_rows(unit *u, const ae_few_product *p, const turned *t, ptrdiff_t i, ptrdiff_t n,
                     const float *w, const float *next) {
    for (ptrdiff_t m = 0; m < p->M; m += GROUP_ROWS) {
        const ptrdiff_t vectors = ae_min(GROUP, ae_ceil_div(p->M - m, VF));
        tile sums;
        sum_tile_of(&sums, t, t->x + m / GROUP_ROWS * t->group_pitch, w, next, p->I, n, vectors);
        for (ptrdiff_t o = 0; o < n; o++)
            for (ptrdiff_t v = 0; v < vectors; v++) u->sum[i + o][m / VF + v] = sums.sum[o][v];
    }
}

/* Units go to the threads in turns: so many further lies this thread's next. */
static void put_unit(const ae_few_product *p, const turned *t, ptrdiff_t o, ptrdiff_t threads) {
    const ptrdiff_t outputs = ae_min(UNIT, p->O - o);
    unit u;
    for (ptrdiff_t i = 0, n; i < outputs; i += n) {
        n = outputs_of_tile(i, outputs);
        const ptrdiff_t skipped = i + n < outputs ? 0 : (threads - 1) * UNIT;
        sum_rows(&u, p, t, i, n, p->w + (o + i) * p->I, p->w + (o + i + n + skipped) * p->I);
    }
    for (ptrdiff_t i = 0; i < outputs; i += VF)
        for (ptrdiff_t m = 0; m < p->M; m += VF) put_block(p, &u, m, o + i, i);
}

bool AE_ROW_NAME(ae_cpu_few_turned_pays)(ptrdiff_t M) {
    return M >= PAYS;
}

void AE_ROW_NAME(ae_cpu_few_turned)(const ae_backend *be, const ae_few_product *p) {
    assert(p->M <= ROWS_MAX);
    turned t = turned_of(p->I);
    const ptrdiff_t groups = ae_ceil_div(p->M, GROUP_ROWS);
    t.x = ae_cpu_room(be, 64, (size_t)(groups * t.group_pitch) * sizeof *t.x);
    if (!t.x) return;
#pragma omp parallel num_threads(ae_team(be))
    {
#pragma omp for schedule(static)
        for (ptrdiff_t step = 0; step < t.steps; step++)
            for (ptrdiff_t m = 0; m < groups * GROUP_ROWS; m += VF) turn_rows(&t, p, m, step);
#pragma omp for schedule(dynamic)
        for (ptrdiff_t o = 0; o < p->O; o += UNIT) put_unit(p, &t, o, omp_get_num_threads());
    }
    free(t.x);
}
