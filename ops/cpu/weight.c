#include "ops/cpu/weight.h"

#include "core/simd.h"

#include <assert.h>

enum { ALIGN = 64 };

static size_t header_bytes(void) {
    return (sizeof(ae_cpu_weight) + ALIGN - 1) / ALIGN * ALIGN;
}

size_t ae_cpu_weight_bytes(ae_weight_type type, ptrdiff_t rows, ptrdiff_t cols) {
    assert(type == AE_WEIGHT_F32 || type == AE_WEIGHT_BF16);
    return header_bytes() + (type == AE_WEIGHT_BF16 ? (size_t)(rows * cols) * sizeof(uint16_t) : 0);
}

ae_weight *ae_cpu_weight_pack(void *room, ae_weight_type type, const float *master, ptrdiff_t rows,
                              ptrdiff_t cols) {
    ae_cpu_weight *w = room;
    uint16_t *data = (uint16_t *)(void *)((char *)room + header_bytes());
    *w = (ae_cpu_weight){.type = type, .rows = rows, .cols = cols, .data = master, .master = master};
    if (type == AE_WEIGHT_BF16) {
        w->data = data;
#pragma omp parallel for
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t c = 0; c < cols; c += VF)
                vf_store_bf16_n(data + r * cols + c, vf_load_n(master + r * cols + c, cols - c), cols - c);
    }
    return (ae_weight *)room;
}
