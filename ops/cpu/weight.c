#include "ops/cpu/weight.h"

#include "core/simd.h"
#include "ops/cpu/blocked.h"
#include "ops/cpu/gemm_bf16.h"
#include "ops/cpu/team.h"

#include <assert.h>

enum { ALIGN = 64, SMALL_COLS = 256 };

static size_t round_up(size_t bytes) {
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* Gates' blocks are cut out of a weight [blocks * size, size] row by row; they are told by their shape. */
static bool wants_rows(ptrdiff_t rows, ptrdiff_t cols) {
    return (cols <= SMALL_COLS && rows % cols == 0) || !ae_gemm_bf16_takes_blocked();
}

static size_t rows_bytes(ptrdiff_t rows, ptrdiff_t cols) {
    return wants_rows(rows, cols) ? round_up((size_t)(rows * cols) * sizeof(uint16_t)) : 0;
}

static size_t blocked_bytes(ptrdiff_t rows, ptrdiff_t cols, bool trans) {
    if (!ae_gemm_bf16_takes_blocked()) return 0;
    return (size_t)(trans ? ae_blocked_elements(cols, rows) : ae_blocked_elements(rows, cols)) *
           sizeof(uint16_t);
}

size_t ae_cpu_packed_bytes(ae_weight_type type, ptrdiff_t rows, ptrdiff_t cols, bool at_use) {
    assert(type == AE_WEIGHT_F32 || type == AE_WEIGHT_BF16);
    const size_t header = round_up(sizeof(ae_cpu_weight));
    if (type == AE_WEIGHT_F32) return header;
    const size_t copies = at_use ? 0 : blocked_bytes(rows, cols, false) + blocked_bytes(rows, cols, true);
    return header + rows_bytes(rows, cols) + copies;
}

/* Packing may overwrite what it has packed. */
static uint16_t *writable(const void *packed) {
    return (uint16_t *)(uintptr_t)packed;
}

static void round_rows(const ae_cpu_weight *w, ptrdiff_t first, ptrdiff_t n) {
    uint16_t *to = writable(w->data);
    for (ptrdiff_t i = first * w->cols, end = i + n * w->cols; i < end; i += VF)
        vf_store_bf16_n(to + i, vf_load_n(w->master + i, end - i), end - i);
}

/* As W^T rows are columns, and these are one panel; as W they are a piece of the depth of every panel. */
_Static_assert((int)AE_WEIGHT_ROWS == (int)AE_BLOCKED_COLS && AE_WEIGHT_ROWS % AE_BLOCKED_DEPTH == 0,
               "rows packed together");
static void block_rows(const ae_cpu_weight *w, ptrdiff_t first, ptrdiff_t n) {
    const ae_gemm_operand turned = ae_operand(AE_ELEM_F32, w->master, w->cols, true);
    const ae_gemm_operand plain = ae_operand(AE_ELEM_F32, w->master + first * w->cols, w->cols, false);
    ae_blocked_pack(writable(w->blocked[true]) + first * w->depth[true], &turned, w->cols, first, n);
    for (ptrdiff_t j = 0; j < w->cols; j += AE_BLOCKED_COLS)
        ae_blocked_pack(writable(w->blocked[false]) + j * w->depth[false] + first * AE_BLOCKED_COLS, &plain,
                        n, j, ae_min(AE_BLOCKED_COLS, w->cols - j));
}

void ae_cpu_weight_pack_rows(ae_weight *packed, ptrdiff_t first, ptrdiff_t n) {
    const ae_cpu_weight *w = ae_cpu_weight_of(packed);
    assert(w->master && !w->panels && first % AE_WEIGHT_ROWS == 0);
    if (w->type == AE_WEIGHT_BF16) round_rows(w, first, n);
    if (w->blocked[true]) block_rows(w, first, n);
}

static void place_bf16(ae_cpu_weight *w, char *room, bool at_use) {
    if (wants_rows(w->rows, w->cols)) {
        w->type = AE_WEIGHT_BF16;
        w->data = room;
        room += rows_bytes(w->rows, w->cols);
    }
    if (!ae_gemm_bf16_takes_blocked()) return;
    w->at_use = at_use;
    for (int trans = 0; trans < 2 && !at_use; trans++) {
        w->blocked[trans] = (const uint16_t *)(const void *)room;
        w->depth[trans] = ae_blocked_depth(trans ? w->cols : w->rows);
        room += blocked_bytes(w->rows, w->cols, trans);
    }
}

void ae_cpu_pack(const ae_backend *be, void *room, ae_weight_type type, const float *master, ptrdiff_t rows,
                 ptrdiff_t cols, bool at_use) {
    ae_cpu_weight *w = room;
    *w = (ae_cpu_weight){.type = AE_WEIGHT_F32, .rows = rows, .cols = cols, .data = master, .master = master};
    if (type == AE_WEIGHT_BF16) place_bf16(w, (char *)room + round_up(sizeof *w), at_use);
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t r = 0; r < rows; r += AE_WEIGHT_ROWS)
        ae_cpu_weight_pack_rows(room, r, ae_min(AE_WEIGHT_ROWS, rows - r));
}
