#include "ops/cpu/memory.h"
#include "ops/cpu/panels_put.h"
#include "ops/cpu/panels_round.h"
#include "ops/cpu/team.h"
#include "ops/cpu/tiles_amx.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Products of a few rows with panels of integers on tiles (AMX). Inputs of 16 bits are two planes of bytes, upper and lower, which the
 * weights meet one after the other: 256 times the sum of the upper ones and the sum of the lower ones is that of the products, exactly.
 * So the bits are those of the other kernels. */
enum {
    GROUP_MAX = AE_ROUND_GROUP_MAX,
    STEPS_MAX = GROUP_MAX / AE_TILE_LINE,
    PLANES = 2, /* upper bytes, lower bytes */
    AHEAD = 4096
};

/* x as tiles of bytes, [groups][steps][tiles][planes][16 rows][inputs of a step]; and its scales, [groups][rows] */
typedef struct {
    int8_t *x;
    float *scales;
    ptrdiff_t tiles;       /* of 16 rows */
    ptrdiff_t step, steps; /* inputs of a step, steps of a group */
    ptrdiff_t group_bytes; /* of x */
    ae_weight_type type;
} prepared;

static prepared room_for(const ae_backend *be, const ae_cpu_weight *w, ptrdiff_t M) {
    prepared p = {
        .tiles = ae_ceil_div(M, AE_TILE_ROWS), .step = ae_min(w->group, AE_TILE_LINE), .type = w->type};
    p.steps = ae_ceil_div(w->group, p.step);
    p.group_bytes = p.steps * p.tiles * PLANES * AE_TILE_ROWS * p.step;
    const ptrdiff_t groups = ae_panel_groups(w), bytes = groups * p.group_bytes;
    p.x = ae_cpu_room(be, AE_TILE_LINE,
                      (size_t)bytes + (size_t)(groups * p.tiles * AE_TILE_ROWS) * sizeof *p.scales);
    p.scales = p.x ? (float *)(void *)(p.x + bytes) : NULL;
    return p;
}

/* As the nibbles of a lane give them (ops/cpu/panels.h): inputs 0 4 1 5 2 6 3 7. */
static __m256i in_order(__m256i bytes, ae_weight_type type) {
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15));
    return type == AE_WEIGHT_INT4 ? _mm256_shuffle_epi8(bytes, order) : bytes;
}

/* Both bytes of 32 inputs at a time. */
static void split(int8_t *upper, int8_t *lower, const int16_t *q, ptrdiff_t n, ae_weight_type type) {
    for (ptrdiff_t i = 0; i < n; i += 32) {
        const __m512i v = _mm512_loadu_si512(q + i),
                      up = _mm512_srai_epi16(_mm512_add_epi16(v, _mm512_set1_epi16(128)), 8);
        _mm256_storeu_si256((__m256i *)(void *)(upper + i), in_order(_mm512_cvtepi16_epi8(up), type));
        _mm256_storeu_si256((__m256i *)(void *)(lower + i), in_order(_mm512_cvtepi16_epi8(v), type));
    }
}

/* Row m of a group, n inputs; zeros beyond. */
static void prepare_row(const prepared *p, int8_t *group, float *scale, ptrdiff_t m,
                        const ae_panel_product *of, ptrdiff_t at, ptrdiff_t n) {
    float x[GROUP_MAX + VF];
    int16_t q[GROUP_MAX + VF] = {0};
    int8_t bytes[PLANES][GROUP_MAX];
    ae_panel_load_row(x, of, at, n);
    *scale = ae_round_group(q, x, n);
    split(bytes[0], bytes[1], q, p->steps * p->step, p->type);
    for (ptrdiff_t s = 0; s < p->steps; s++) {
        int8_t *tile = group + (s * p->tiles + m / AE_TILE_ROWS) * PLANES * AE_TILE_ROWS * p->step;
        for (ptrdiff_t plane = 0; plane < PLANES; plane++)
            memcpy(tile + (plane * AE_TILE_ROWS + m % AE_TILE_ROWS) * p->step, bytes[plane] + s * p->step,
                   (size_t)p->step);
    }
}

static void prepare(const prepared *p, const ae_panel_product *of, const ae_cpu_weight *w) {
    const ptrdiff_t groups = ae_panel_groups(w), rows = p->tiles * AE_TILE_ROWS;
#pragma omp for collapse(2)
    for (ptrdiff_t g = 0; g < groups; g++)
        for (ptrdiff_t m = 0; m < rows; m++) {
            const ptrdiff_t first = g * w->group, n = m < of->M ? ae_min(w->group, w->cols - first) : 0;
            prepare_row(p, p->x + g * p->group_bytes, p->scales + g * rows + m, m, of, m * w->cols + first,
                        n);
        }
}

/* ---- weights of a group as right factors, [steps][rows of 4 inputs][16 outputs][4 inputs] ---- */

static void unpack_int8(int8_t *to, const char *from, ptrdiff_t inputs) {
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i order = _mm512_or_si512(
        lanes, _mm512_slli_epi32(_mm512_add_epi32(lanes, _mm512_set1_epi32(AE_PANEL_LANES)), 16));
    for (ptrdiff_t i = 0; i < inputs; i += 4, to += AE_TILE_LINE, from += AE_TILE_LINE) {
        _mm_prefetch(from + AHEAD, _MM_HINT_T1);
        _mm512_storeu_si512(to, _mm512_permutexvar_epi16(order, _mm512_loadu_si512(from)));
    }
}

static __m512i with_sign(__m512i nibbles) {
    const __m512i sign = _mm512_set1_epi8(8);
    return _mm512_sub_epi8(_mm512_xor_si512(_mm512_and_si512(nibbles, _mm512_set1_epi8(15)), sign), sign);
}

static void unpack_int4(int8_t *to, const char *from, ptrdiff_t inputs) {
    for (ptrdiff_t i = 0; i < inputs; i += 8, to += 2 * AE_TILE_LINE, from += AE_TILE_LINE) {
        const __m512i line = _mm512_loadu_si512(from);
        _mm_prefetch(from + AHEAD, _MM_HINT_T1);
        _mm512_storeu_si512(to, with_sign(line));
        _mm512_storeu_si512(to + AE_TILE_LINE, with_sign(_mm512_srli_epi16(line, 4)));
    }
}

/* ---- sums ---- */

/* sums [tiles][planes][16 rows][16 outputs] of one or two tiles of rows; x and its steps as in `prepared`. Registers: 0 to 3 sums, 4
 * inputs, 5 weights. */
static void sum_steps(int32_t *sums, const prepared *p, const int8_t *x, const int8_t *w, bool two) {
    const ptrdiff_t plane = AE_TILE_ROWS * p->step, next = p->tiles * PLANES * plane;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (ptrdiff_t s = 0; s < p->steps; s++, x += next, w += 16 * p->step) {
        _tile_loadd(5, w, AE_TILE_LINE);
        _tile_loadd(4, x, p->step);
        _tile_dpbssd(0, 4, 5);
        _tile_loadd(4, x + plane, p->step);
        _tile_dpbssd(1, 4, 5);
        if (!two) continue;
        _tile_loadd(4, x + 2 * plane, p->step);
        _tile_dpbssd(2, 4, 5);
        _tile_loadd(4, x + 3 * plane, p->step);
        _tile_dpbssd(3, 4, 5);
    }
    _tile_stored(0, sums, AE_TILE_LINE);
    _tile_stored(1, sums + 256, AE_TILE_LINE);
    if (two) _tile_stored(2, sums + 512, AE_TILE_LINE);
    if (two) _tile_stored(3, sums + 768, AE_TILE_LINE);
    AE_TILE_STORED(sums);
}

/* The sums of a tile of rows, with their scales, onto the totals [16 rows][16 outputs]. */
static void add_scaled(float *totals, const int32_t *sums, const float *x_scales, vf w_scales) {
    for (ptrdiff_t r = 0; r < AE_TILE_ROWS; r++, totals += AE_PANEL_LANES) {
        const __m512i upper = _mm512_loadu_si512(sums + r * AE_PANEL_LANES),
                      lower = _mm512_loadu_si512(sums + 256 + r * AE_PANEL_LANES);
        const vf sum = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(upper, 8), lower));
        vf_store(totals, vf_fma(sum, w_scales * vf_set(x_scales[r]), vf_load(totals)));
    }
}

/* One group of the inputs of a panel. */
static void add_group(float *totals, int8_t *unpacked, const prepared *p, const ae_cpu_weight *w,
                      ptrdiff_t panel, ptrdiff_t g) {
    const ptrdiff_t cols = ae_panel_cols(w), first = g * w->group, n = ae_min(w->group, cols - first);
    const char *from =
        (const char *)w->data + panel * ae_panel_bytes(w->type, cols) + ae_panel_bytes(w->type, first);
    const vf w_scales = vf_load_bf16(w->scales + (panel * ae_panel_groups(w) + g) * AE_PANEL_LANES);
    (w->type == AE_WEIGHT_INT8 ? unpack_int8 : unpack_int4)(unpacked, from, n);
    for (ptrdiff_t t = 0; t < p->tiles; t += 2) {
        _Alignas(64) int32_t sums[2 * PLANES * 256];
        const bool two = t + 1 < p->tiles;
        const float *x_scales = p->scales + (g * p->tiles + t) * AE_TILE_ROWS;
        sum_steps(sums, p, p->x + g * p->group_bytes + t * PLANES * AE_TILE_ROWS * p->step, unpacked, two);
        add_scaled(totals + t * 256, sums, x_scales, w_scales);
        if (two) add_scaled(totals + (t + 1) * 256, sums + 512, x_scales + AE_TILE_ROWS, w_scales);
    }
}

static void take_registers(const prepared *p) {
    ae_tile_shapes shapes = ae_tile_shapes_whole();
    shapes.row_bytes[4] = (uint16_t)p->step;
    shapes.rows[5] = (uint8_t)(p->step / 4);
    ae_tile_take(&shapes);
}

void ae_cpu_panels_few_amx_integers(const ae_backend *be, const ae_panel_product *p, const ae_cpu_weight *w) {
    assert(p->M <= AE_TILES_MAX * AE_TILE_ROWS && w->panels && w->parts == 0 && w->type != AE_WEIGHT_BF16);
    if (p->M <= 0) return;
    const ptrdiff_t panels = ae_panels_of_part(w);
    const prepared x = room_for(be, w, p->M);
    if (!x.x) return;
#pragma omp parallel num_threads(ae_team(be))
    {
        _Alignas(64) int8_t unpacked[STEPS_MAX * AE_TILE_BYTES] = {0};
        prepare(&x, p, w);
        take_registers(&x);
#pragma omp for schedule(dynamic, 2)
        for (ptrdiff_t panel = 0; panel < panels; panel++) {
            float totals[AE_TILES_MAX * AE_TILE_ROWS * AE_PANEL_LANES] = {0};
            for (ptrdiff_t g = 0; g < ae_panel_groups(w); g++) add_group(totals, unpacked, &x, w, panel, g);
            ae_panel_put(p, w, panel, 0, totals, AE_PANEL_LANES);
        }
        _tile_release();
    }
    free(x.x);
}
