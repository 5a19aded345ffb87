#include "ops/cpu/memory.h"
#include "ops/cpu/panels_put.h"
#include "ops/cpu/team.h"
#include "ops/cpu/tiles_amx.h"

#include <assert.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* Products of a few rows with panels of bfloat16 on tiles (AMX). Sixteen lines of a panel, 32 inputs of 16 outputs, are a right factor as
 * tiles take it. The rows of x come in tiles of 16, filled up with zeros, so that a sum has one order whatever their number. */
enum {
    TILE_ROWS = AE_TILE_ROWS,
    TILE_INPUTS = 32,
    TILE_BYTES = AE_TILE_BYTES,
    LINE_BYTES = AE_TILE_LINE,
    TILES_MAX = AE_TILES_MAX, /* of rows: a sum of each stays in a register */
    AHEAD = 4096              /* bytes of a panel, of prefetches into the second-level cache */
};

/* x as tiles of bfloat16, [parts][steps][tiles][16 rows][32 inputs] */
typedef struct {
    uint16_t *x;
    ptrdiff_t steps, tiles; /* 32 inputs, or what is left of them; 16 rows */
    ptrdiff_t rest;         /* inputs of the last step where they are fewer than 32, else 0 */
} prepared;

/* Registers: 0 to 3 sums, 4 and 5 factors, 6 and 7 factors of the inputs that are left over. */
static void take_registers(const prepared *p) {
    ae_tile_shapes shapes = ae_tile_shapes_whole();
    if (p->rest > 0) {
        shapes.row_bytes[6] = (uint16_t)(p->rest * 2);
        shapes.rows[7] = (uint8_t)(p->rest / 2);
    }
    ae_tile_take(&shapes);
}

static prepared room_for(const ae_backend *be, const ae_cpu_weight *w, ptrdiff_t M) {
    prepared p = {.steps = ae_ceil_div(w->cols, TILE_INPUTS),
                  .tiles = ae_ceil_div(M, TILE_ROWS),
                  .rest = ae_panel_cols(w) % TILE_INPUTS};
    p.x = ae_cpu_room(be, 64, (size_t)(ae_panel_parts(w) * p.steps * p.tiles) * TILE_BYTES);
    return p;
}

/* One row of a tile, of a step of a part: inputs [i, i + there) of x and zeros. */
static void prepare_row(uint16_t *to, const ae_panel_product *of, ptrdiff_t i, ptrdiff_t there) {
    for (ptrdiff_t k = 0; k < TILE_INPUTS; k += VF)
        vf_store_bf16_n(to + k, there > k ? ae_panel_load(of, i + k, there - k) : vf_set(0), VF);
}

static void prepare(const prepared *p, const ae_panel_product *of, const ae_cpu_weight *w) {
    const ptrdiff_t parts = ae_panel_parts(w), rows = p->tiles * TILE_ROWS;
#pragma omp for
    for (ptrdiff_t k = 0; k < parts * p->steps; k++)
        for (ptrdiff_t m = 0; m < rows; m++) {
            const ptrdiff_t first = k % p->steps * TILE_INPUTS, there = m < of->M ? w->cols - first : 0;
            prepare_row(p->x + (k * rows + m) * TILE_INPUTS, of, (m * parts + k / p->steps) * w->cols + first,
                        there);
        }
}

#define AE_INLINE static inline __attribute__((always_inline))

/* A step for each tile of rows; registers are named by constants. */
#define ADD(tiles, x, left, right)                                                                           \
    do {                                                                                                     \
        _tile_loadd(left, (const char *)(x), LINE_BYTES);                                                    \
        _tile_dpbf16ps(0, left, right);                                                                      \
        if ((tiles) > 1) {                                                                                   \
            _tile_loadd(left, (const char *)(x) + TILE_BYTES, LINE_BYTES);                                   \
            _tile_dpbf16ps(1, left, right);                                                                  \
        }                                                                                                    \
        if ((tiles) > 2) {                                                                                   \
            _tile_loadd(left, (const char *)(x) + 2 * TILE_BYTES, LINE_BYTES);                               \
            _tile_dpbf16ps(2, left, right);                                                                  \
        }                                                                                                    \
        if ((tiles) > 3) {                                                                                   \
            _tile_loadd(left, (const char *)(x) + 3 * TILE_BYTES, LINE_BYTES);                               \
            _tile_dpbf16ps(3, left, right);                                                                  \
        }                                                                                                    \
    } while (0)

AE_INLINE void ask_ahead(const char *panel) {
    for (int line = 0; line < TILE_ROWS; line++) _mm_prefetch(panel + AHEAD + line * LINE_BYTES, _MM_HINT_T1);
}

/* sums [tiles][16 rows][16 outputs] of one panel. */
AE_INLINE void sum_panel(float *sums, const prepared *p, const char *x, const char *panel, const int tiles) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (ptrdiff_t step = 0; step < p->steps - (p->rest > 0);
         step++, x += tiles * TILE_BYTES, panel += TILE_BYTES) {
        ask_ahead(panel);
        _tile_loadd(5, panel, LINE_BYTES);
        ADD(tiles, x, 4, 5);
    }
    if (p->rest > 0) {
        _tile_loadd(7, panel, LINE_BYTES);
        ADD(tiles, x, 6, 7);
    }
    _tile_stored(0, sums, LINE_BYTES);
    if (tiles > 1) _tile_stored(1, sums + 256, LINE_BYTES);
    if (tiles > 2) _tile_stored(2, sums + 512, LINE_BYTES);
    if (tiles > 3) _tile_stored(3, sums + 768, LINE_BYTES);
    AE_TILE_STORED(sums);
}

static void sum_panel_of(float *sums, const prepared *p, const char *x, const char *panel) {
    switch (p->tiles) {
    case 1:
        sum_panel(sums, p, x, panel, 1);
        return;
    case 2:
        sum_panel(sums, p, x, panel, 2);
        return;
    case 3:
        sum_panel(sums, p, x, panel, 3);
        return;
    default:
        sum_panel(sums, p, x, panel, TILES_MAX);
    }
}

static void put_panel(const ae_panel_product *t, const ae_cpu_weight *w, const prepared *p, ptrdiff_t panel) {
    _Alignas(64) float sums[TILES_MAX * TILE_ROWS * AE_PANEL_LANES];
    const ptrdiff_t part = panel / ae_panels_of_part(w);
    sum_panel_of(sums, p, (const char *)p->x + part * p->steps * p->tiles * TILE_BYTES,
                 (const char *)w->data + panel * ae_panel_bytes(w->type, ae_panel_cols(w)));
    ae_panel_put(t, w, panel, 0, sums, AE_PANEL_LANES);
}

/* As for other kernels, a thread reads one run of memory where that is what takes the time. */
static void put_panels(const ae_panel_product *t, const ae_cpu_weight *w, const prepared *p) {
    const ptrdiff_t panels = ae_panel_parts(w) * ae_panels_of_part(w);
    if (p->tiles == 1) {
#pragma omp for schedule(static)
        for (ptrdiff_t panel = 0; panel < panels; panel++) put_panel(t, w, p, panel);
    } else {
#pragma omp for schedule(dynamic, 2)
        for (ptrdiff_t panel = 0; panel < panels; panel++) put_panel(t, w, p, panel);
    }
}

void ae_cpu_panels_few_amx(const ae_backend *be, const ae_panel_product *p, const ae_cpu_weight *w) {
    assert(p->M <= TILES_MAX * TILE_ROWS && w->panels && w->type == AE_WEIGHT_BF16);
    if (p->M <= 0) return;
    const prepared x = room_for(be, w, p->M);
    if (!x.x) return;
#pragma omp parallel num_threads(ae_team(be))
    {
        prepare(&x, p, w);
        take_registers(&x);
        put_panels(p, w, &x);
        _tile_release();
    }
    free(x.x);
}
