#include "ops/cpu/panels.h"

#include "core/simd.h"
#include "ops/cpu/memory.h"
#include "ops/cpu/team.h"
#include "ops/cpu/turn.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = AE_PANEL_LANES, ALIGN = 64, GROUP_MAX = 256, LOOK_AHEAD = 4096 };

static uint16_t to_bf16(float x) {
    uint16_t out[8];
    vf_store_bf16_n(out, vf_set(x), 1);
    return out[0];
}

static float from_bf16(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- memory: | header | panels | scales | ---- */

static size_t rounded(size_t n) {
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static ae_cpu_weight header_of(const ae_weight_shape *s) {
    const bool real = s->type == AE_WEIGHT_BF16;
    return (ae_cpu_weight){.type = s->type,
                           .rows = s->rows,
                           .cols = s->cols,
                           .parts = s->parts,
                           .group = real ? AE_PANEL_BF16_GROUP : s->group,
                           .panels = true};
}

static ptrdiff_t all_panels(const ae_cpu_weight *w) {
    return ae_panel_parts(w) * ae_panels_of_part(w);
}

static size_t data_bytes(const ae_cpu_weight *w) {
    return rounded((size_t)(all_panels(w) * ae_panel_bytes(w->type, ae_panel_cols(w))));
}

static size_t scale_count(const ae_cpu_weight *w) {
    return w->type == AE_WEIGHT_BF16 ? 0 : (size_t)(all_panels(w) * ae_panel_groups(w) * LANES);
}

size_t ae_cpu_compact_bytes(const ae_backend *be, const ae_weight_shape *s) {
    (void)be;
    const ae_cpu_weight w = header_of(s);
    return rounded(sizeof w) + data_bytes(&w) + rounded(scale_count(&w) * sizeof *w.scales);
}

void ae_cpu_compact_init(const ae_backend *be, void *room, const ae_weight_shape *s) {
    (void)be;
    ae_cpu_weight *w = room;
    *w = header_of(s);
    assert(w->type != AE_WEIGHT_F32 && w->group > 0 && w->group % AE_PANEL_PAD == 0 && w->group <= GROUP_MAX);
    w->data = (char *)room + rounded(sizeof *w);
    w->scales = (const uint16_t *)(const void *)((const char *)w->data + data_bytes(w));
}

/* ---- quantising ---- */

static int limit_of(ae_weight_type type, bool low) {
    return type == AE_WEIGHT_INT8 ? (low ? -127 : 127) : (low ? -8 : 7);
}

static vf quantised(vf x, vf inverse, ae_weight_type type) {
    const vf low = vf_set((float)limit_of(type, true)), high = vf_set((float)limit_of(type, false));
    return vf_round(vf_min(vf_max(x * inverse, low), high));
}

static float inverse_of(float scale) {
    return scale != 0 ? 1.0f / scale : 0.0f;
}

static float squared_error(const float *x, ptrdiff_t n, float scale, ae_weight_type type) {
    const vf s = vf_set(scale), inverse = vf_set(inverse_of(scale));
    vf sum = vf_set(0);
    for (ptrdiff_t i = 0; i < n; i += VF) {
        const vf v = vf_load_n(x + i, n - i), d = vf_fnma(quantised(v, inverse, type), s, v);
        sum = vf_fma(d, d, sum);
    }
    return vf_sum(sum);
}

/* The element of largest size, with its sign. */
static float extreme(const float *x, ptrdiff_t n) {
    float most = 0;
    for (ptrdiff_t i = 0; i < n; i++) most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    return most;
}

/* Four bits have one more value below zero than above, so the scale's sign is a choice too, and cutting the extremes pays off. */
static float best_scale(const float *x, ptrdiff_t n, ae_weight_type type) {
    static const float levels[] = {-8, -8.8f, -8.4f, -7.6f, -7.2f, -6.8f, 7, 7.8f, 7.4f, 6.6f, 6.2f, 5.8f};
    const float most = extreme(x, n);
    if (type == AE_WEIGHT_INT8) return from_bf16(to_bf16(fabsf(most) / 127.0f));
    float best = 0, least = INFINITY;
    for (size_t k = 0; k < sizeof levels / sizeof *levels; k++) {
        const float scale = from_bf16(to_bf16(most / levels[k])), error = squared_error(x, n, scale, type);
        if (!(error < least)) continue;
        least = error;
        best = scale;
    }
    return best;
}

static void quantise_group(int8_t *q, const float *x, ptrdiff_t n, float scale, ae_weight_type type) {
    const vf inverse = vf_set(inverse_of(scale));
    for (ptrdiff_t i = 0; i < n; i += VF) {
        float rounded_values[VF];
        vf_store(rounded_values, quantised(vf_load_n(x + i, n - i), inverse, type));
        for (ptrdiff_t j = 0; j < VF && i + j < n; j++) q[i + j] = (int8_t)rounded_values[j];
    }
}

void ae_round_to_bf16(uint16_t *out, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) vf_store_bf16_n(out + i, vf_load_n(x + i, n - i), n - i);
}

void ae_quantize_row(int8_t *q, uint16_t *scales, const float *x, ptrdiff_t cols, ptrdiff_t group,
                     ae_weight_type type) {
    for (ptrdiff_t g = 0; g * group < cols; g++) {
        const ptrdiff_t n = ae_min(group, cols - g * group);
        const float scale = best_scale(x + g * group, n, type);
        scales[g] = to_bf16(scale);
        quantise_group(q + g * group, x + g * group, n, scale, type);
    }
}

/* ---- filling panels ---- */

static char *panel_data(const ae_cpu_weight *w, ptrdiff_t panel) {
    return (char *)(uintptr_t)w->data + panel * ae_panel_bytes(w->type, ae_panel_cols(w));
}

static uint16_t *panel_scales(const ae_cpu_weight *w, ptrdiff_t panel) {
    return (uint16_t *)(uintptr_t)w->scales + panel * ae_panel_groups(w) * LANES;
}

static void put_lane_bf16(char *data, ptrdiff_t lane, const float *x, ptrdiff_t step, ptrdiff_t cols) {
    uint16_t *to = (uint16_t *)(void *)data;
    for (ptrdiff_t i = 0; i < cols; i++) to[i / 2 * 2 * LANES + 2 * lane + i % 2] = to_bf16(x[i * step]);
}

static void put_lane_integers(char *data, ptrdiff_t lane, const int8_t *q, ptrdiff_t cols,
                              ae_weight_type type) {
    for (ptrdiff_t i = 0; i < cols; i++) {
        if (type == AE_WEIGHT_INT8) {
            data[i / 2 * 2 * LANES + 2 * lane + i % 2] = q[i];
            continue;
        }
        const ptrdiff_t nibble = i % 8 / 2 + 4 * (i % 2), byte = i / 8 * 4 * LANES + 4 * lane + nibble / 2;
        data[byte] = (char)(data[byte] | (q[i] & 15) << nibble % 2 * 4);
    }
}

typedef struct {
    const ae_cpu_weight *w;
    const float *values;    /* of the rows to be put */
    const uint16_t *scales; /* theirs, or NULL */
    int8_t *q;              /* room for a row */
    uint16_t *s;
} filler;

static void put_row(const filler *f, ptrdiff_t panel, ptrdiff_t lane, ptrdiff_t row) {
    const ae_cpu_weight *w = f->w;
    const ptrdiff_t groups = ae_panel_groups(w);
    const float *x = f->values + row * w->cols;
    if (f->scales) {
        memcpy(f->s, f->scales + row * groups, (size_t)groups * sizeof *f->s);
        for (ptrdiff_t g = 0; g < groups; g++)
            quantise_group(f->q + g * w->group, x + g * w->group, ae_min(w->group, w->cols - g * w->group),
                           from_bf16(f->s[g]), w->type);
    } else {
        ae_quantize_row(f->q, f->s, x, w->cols, w->group, w->type);
    }
    put_lane_integers(panel_data(w, panel), lane, f->q, w->cols, w->type);
    for (ptrdiff_t g = 0; g < groups; g++) panel_scales(w, panel)[g * LANES + lane] = f->s[g];
}

/* `row` is that of the panel's first lane among the values; of gates, the values of a part are [in, out]. */
static void put_panel(const filler *f, ptrdiff_t panel, ptrdiff_t row) {
    const ae_cpu_weight *w = f->w;
    const ptrdiff_t rows = ae_panel_part_rows(w), in_part = panel % ae_panels_of_part(w) * LANES;
    memset(panel_data(w, panel), 0, (size_t)ae_panel_bytes(w->type, ae_panel_cols(w)));
    if (w->type != AE_WEIGHT_BF16)
        memset(panel_scales(w, panel), 0, (size_t)(ae_panel_groups(w) * LANES) * sizeof *w->scales);
    for (ptrdiff_t lane = 0; lane < LANES && in_part + lane < rows; lane++) {
        if (w->type != AE_WEIGHT_BF16)
            put_row(f, panel, lane, row + lane);
        else if (w->parts > 0)
            put_lane_bf16(panel_data(w, panel), lane, f->values + (row - in_part) * w->cols + in_part + lane,
                          rows, w->cols);
        else
            put_lane_bf16(panel_data(w, panel), lane, f->values + (row + lane) * w->cols, 1, w->cols);
    }
}

void ae_cpu_compact_put(const ae_backend *be, ae_weight *w_, ptrdiff_t first, ptrdiff_t n,
                        const float *values, const uint16_t *scales) {
    const ae_cpu_weight *w = ae_cpu_weight_of(w_);
    const ptrdiff_t part_rows = ae_panel_part_rows(w), each = ae_panels_of_part(w);
    assert(w->panels && (w->parts == 0 || (w->type == AE_WEIGHT_BF16 && w->cols == part_rows)));
    assert(w->parts == 0 ? first % LANES == 0 : first % part_rows == 0 && n % part_rows == 0);
    const ptrdiff_t from = w->parts == 0 ? first / LANES : first / part_rows * each;
    const ptrdiff_t to = w->parts == 0 ? ae_ceil_div(first + n, LANES) : (first + n) / part_rows * each;
#pragma omp parallel num_threads(ae_team(be))
    {
        const size_t q = (size_t)w->cols, s = (size_t)ae_panel_groups(w);
        char *room = ae_cpu_room(be, _Alignof(uint16_t), s * sizeof(uint16_t) + q);
        const filler f = {w, values, scales, room ? (int8_t *)room + s * sizeof(uint16_t) : NULL,
                          (uint16_t *)(void *)room};
#pragma omp for
        for (ptrdiff_t panel = from; panel < to; panel++)
            if (room) put_panel(&f, panel, panel / each * part_rows + panel % each * LANES - first);
        free(room);
    }
}

/* ---- back to float32 ---- */

#define INLINE static inline __attribute__((always_inline))

/* Eight lanes of input i of eight, unscaled; i is a constant where this is inlined. */
INLINE vf lanes_at(const char *data, int i, ptrdiff_t half, ae_weight_type type) {
    const ptrdiff_t eight = half * 8;
    if (type == AE_WEIGHT_BF16) {
        const vi v = _mm256_loadu_si256((const __m256i *)(const void *)(data + (i / 2 * LANES + eight) * 4));
        return _mm256_castsi256_ps(i % 2 ? _mm256_and_si256(v, _mm256_set1_epi32((int)0xffff0000))
                                         : _mm256_slli_epi32(v, 16));
    }
    if (type == AE_WEIGHT_INT8) {
        const __m128i v =
            _mm_loadu_si128((const __m128i *)(const void *)(data + (i / 2 * LANES + eight) * 2));
        const vi pairs = _mm256_cvtepi16_epi32(v);
        return _mm256_cvtepi32_ps(
            _mm256_srai_epi32(i % 2 ? _mm256_slli_epi32(pairs, 16) : _mm256_slli_epi32(pairs, 24), 24));
    }
    const vi v = _mm256_loadu_si256((const __m256i *)(const void *)(data + eight * 4));
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(v, 28 - 4 * (i / 2) - 16 * (i % 2)), 28));
}

/* v[j]: input `col` + j of eight lanes, `col` a multiple of 8. */
INLINE void load_block(vf *v, const ae_cpu_weight *w, ptrdiff_t panel, ptrdiff_t col, ptrdiff_t half,
                       const ae_weight_type type) {
    const char *data = panel_data(w, panel) + ae_panel_bytes(type, col);
    _Pragma("GCC unroll 8") for (int j = 0; j < AE_PANEL_PAD; j++) v[j] = lanes_at(data, j, half, type);
    if (type == AE_WEIGHT_BF16) return;
    const vf scale = vf_load_bf16(panel_scales(w, panel) + col / w->group * LANES + half * 8);
    _Pragma("GCC unroll 8") for (int j = 0; j < AE_PANEL_PAD; j++) v[j] = v[j] * scale;
}

/* A part of a panel: its first `rows` lanes, and inputs [first, first + cols). */
typedef struct {
    const ae_cpu_weight *w;
    ptrdiff_t panel, rows, first, cols;
} piece;

/* Eight inputs at a time, so that lines are written whole. */
INLINE void unpack_inputs(float *to, ptrdiff_t ld, const piece *p, const ae_weight_type type) {
    for (ptrdiff_t i = 0; i < p->cols; i += AE_PANEL_PAD) {
        for (ptrdiff_t half = 0; half < 2 && half * 8 < p->rows; half++) {
            vf v[AE_PANEL_PAD];
            load_block(v, p->w, p->panel, p->first + i, half, type);
            for (ptrdiff_t j = 0; j < ae_min(AE_PANEL_PAD, p->cols - i); j++)
                vf_store_n(to + (i + j) * ld + half * 8, v[j], p->rows - half * 8);
        }
    }
}

/* Lane j of a block becomes row j of `to`. */
static void store_rows(float *to, ptrdiff_t ld, vf *v, ptrdiff_t rows, ptrdiff_t cols) {
    float block[AE_PANEL_PAD * VF];
    if (rows >= VF && cols >= AE_PANEL_PAD) {
        ae_turn_block(to, ld, v);
        return;
    }
    ae_turn_block(block, AE_PANEL_PAD, v);
    for (ptrdiff_t j = 0; j < ae_min(VF, rows); j++)
        memcpy(to + j * ld, block + j * AE_PANEL_PAD, (size_t)ae_min(AE_PANEL_PAD, cols) * sizeof *to);
}

INLINE void unpack_lanes(float *to, ptrdiff_t ld, const piece *p, const ae_weight_type type) {
    for (ptrdiff_t half = 0; half < 2 && half * 8 < p->rows; half++) {
        for (ptrdiff_t i = 0; i < p->cols; i += AE_PANEL_PAD) {
            vf v[AE_PANEL_PAD];
            load_block(v, p->w, p->panel, p->first + i, half, type);
            store_rows(to + half * 8 * ld + i, ld, v, p->rows - half * 8, p->cols - i);
        }
    }
}

/* The panels of rows [first_row, first_row + rows) one by one, with the type as a constant. */
#define EACH_PANEL(UNPACK, step)                                                                             \
    const ptrdiff_t part_rows = ae_panel_part_rows(w), part = first_row / part_rows,                         \
                    in_part = first_row % part_rows;                                                         \
    assert(in_part % LANES == 0 && in_part + rows <= part_rows && first_col % AE_PANEL_PAD == 0);            \
    for (ptrdiff_t j = 0; j < rows; j += LANES) {                                                            \
        const ptrdiff_t panel = part * ae_panels_of_part(w) + (in_part + j) / LANES;                         \
        const piece p = {w, panel, ae_min(LANES, rows - j), first_col, cols};                                \
        if (w->type == AE_WEIGHT_BF16)                                                                       \
            UNPACK(to + j * (step), ld, &p, AE_WEIGHT_BF16);                                                 \
        else if (w->type == AE_WEIGHT_INT8)                                                                  \
            UNPACK(to + j * (step), ld, &p, AE_WEIGHT_INT8);                                                 \
        else                                                                                                 \
            UNPACK(to + j * (step), ld, &p, AE_WEIGHT_INT4);                                                 \
    }

void ae_cpu_panels_unpack(float *to, ptrdiff_t ld, const ae_cpu_weight *w, ptrdiff_t first_row,
                          ptrdiff_t rows, ptrdiff_t first_col, ptrdiff_t cols) {
    EACH_PANEL(unpack_inputs, 1)
}

void ae_cpu_panels_unpack_rows(float *to, ptrdiff_t ld, const ae_cpu_weight *w, ptrdiff_t first_row,
                               ptrdiff_t rows, ptrdiff_t first_col, ptrdiff_t cols) {
    EACH_PANEL(unpack_lanes, ld)
}

void ae_cpu_panels_pairs(uint16_t *to, ptrdiff_t ld, const ae_cpu_weight *w, ptrdiff_t first_row,
                         ptrdiff_t rows) {
    const ptrdiff_t line = 2 * LANES, pairs = ae_panel_cols(w) / 2;
    assert(w->type == AE_WEIGHT_BF16 && w->parts == 0 && first_row % LANES == 0);
    for (ptrdiff_t j = 0; j < rows; j += LANES) {
        const char *data = panel_data(w, (first_row + j) / LANES);
        for (ptrdiff_t p = 0; p < pairs; p++)
            memcpy(to + p * ld + 2 * j, data + p * line * 2, (size_t)line * sizeof *to);
    }
}

static float value_at(const char *data, ptrdiff_t lane, ptrdiff_t i, ae_weight_type type) {
    if (type == AE_WEIGHT_BF16)
        return from_bf16(((const uint16_t *)(const void *)data)[i / 2 * 2 * LANES + 2 * lane + i % 2]);
    if (type == AE_WEIGHT_INT8) return (float)(int8_t)data[i / 2 * 2 * LANES + 2 * lane + i % 2];
    const ptrdiff_t nibble = i % 8 / 2 + 4 * (i % 2);
    const int bits = (data[i / 8 * 4 * LANES + 4 * lane + nibble / 2] >> nibble % 2 * 4) & 15;
    return (float)(bits < 8 ? bits : bits - 16);
}

void ae_cpu_panels_row(float *out, const ae_cpu_weight *w, ptrdiff_t row, float scale) {
    const ptrdiff_t panel = row / LANES, lane = row % LANES;
    const char *data = panel_data(w, panel);
    assert(w->parts == 0);
    for (ptrdiff_t i = 0; i < w->cols; i++) {
        const float s =
            w->type == AE_WEIGHT_BF16 ? 1.0f : from_bf16(panel_scales(w, panel)[i / w->group * LANES + lane]);
        out[i] = scale * (s * value_at(data, lane, i, w->type));
    }
}
