#include "ops/cpu/weight.h"

#include "core/simd.h"
#include "ops/cpu/blocked.h"
#include "ops/cpu/gemm_bf16.h"

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

size_t ae_cpu_weight_bytes(ae_weight_type type, ptrdiff_t rows, ptrdiff_t cols, bool at_use) {
    assert(type == AE_WEIGHT_F32 || type == AE_WEIGHT_BF16);
    const size_t header = round_up(sizeof(ae_cpu_weight));
    if (type == AE_WEIGHT_F32) return header;
    const size_t copies =
        at_use ? 0 : blocked_bytes(rows, cols, false) + blocked_bytes(rows, cols, true);
    return header + rows_bytes(rows, cols) + copies;
}

static void round_rows(uint16_t *to, const float *master, ptrdiff_t rows, ptrdiff_t cols) {
#pragma omp parallel for
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < cols; c += VF)
            vf_store_bf16_n(to + r * cols + c, vf_load_n(master + r * cols + c, cols - c), cols - c);
}

static void block(uint16_t *to, const ae_cpu_weight *w, bool trans) {
    const ae_gemm_operand b = ae_operand(AE_ELEM_F32, w->master, w->cols, trans);
    const ptrdiff_t k = trans ? w->cols : w->rows, n = trans ? w->rows : w->cols;
#pragma omp parallel for
    for (ptrdiff_t j = 0; j < n; j += AE_BLOCKED_COLS)
        ae_blocked_pack(to + j * ae_blocked_depth(k), &b, k, j, ae_min(AE_BLOCKED_COLS, n - j));
}

static void pack_bf16(ae_cpu_weight *w, char *room, bool at_use) {
    if (wants_rows(w->rows, w->cols)) {
        w->type = AE_WEIGHT_BF16;
        w->data = room;
        round_rows((uint16_t *)(void *)room, w->master, w->rows, w->cols);
        room += rows_bytes(w->rows, w->cols);
    }
    if (!ae_gemm_bf16_takes_blocked()) return;
    w->at_use = at_use;
    for (int trans = 0; trans < 2 && !at_use; trans++) {
        block((uint16_t *)(void *)room, w, trans);
        w->blocked[trans] = (const uint16_t *)(const void *)room;
        w->depth[trans] = ae_blocked_depth(trans ? w->cols : w->rows);
        room += blocked_bytes(w->rows, w->cols, trans);
    }
}

ae_weight *ae_cpu_weight_pack(void *room, ae_weight_type type, const float *master, ptrdiff_t rows,
                              ptrdiff_t cols, bool at_use) {
    ae_cpu_weight *w = room;
    *w = (ae_cpu_weight){.type = AE_WEIGHT_F32, .rows = rows, .cols = cols, .data = master, .master = master};
    if (type == AE_WEIGHT_BF16) pack_bf16(w, (char *)room + round_up(sizeof *w), at_use);
    return (ae_weight *)room;
}
