#ifndef AE_OPS_CPU_WEIGHT_H
#define AE_OPS_CPU_WEIGHT_H
#include "core/dims.h"
#include "ops/types.h"

#include <stdbool.h>
#include <stdint.h>

/* What stands behind ae_weight on the CPU: a matrix [rows, cols]. Training has the float32 master and, where
 * products take bfloat16, two copies in the order in which the products of either direction read them
 * (ops/cpu/blocked.h), and small ones, among them the blocks of gates, a row-major one; inference may have
 * one compact form only, in panels (ops/cpu/panels.h). */
struct ae_cpu_weight {
    ae_weight_type type; /* of data */
    ptrdiff_t rows, cols;
    const void *data;    /* AE_WEIGHT_F32: the master itself */
    const float *master; /* float32 values, NULL in compact inference */
    /* as the right factor W (dx = dy W), and W^T (y = x W^T), and their padded depths; NULL where there is
     * none */
    const uint16_t *blocked[2];
    ptrdiff_t depth[2];
    bool at_use; /* in place of those: every product blocks the master for itself, to the same bits */

    bool panels;            /* the compact form; the rest belongs to it */
    ptrdiff_t parts, group; /* group: inputs that are summed at once, and share a scale */
    const uint16_t *scales; /* bfloat16, of integers */
};
typedef struct ae_cpu_weight ae_cpu_weight;

static inline const ae_cpu_weight *ae_cpu_weight_of(const ae_weight *w) {
    return (const ae_cpu_weight *)(const void *)w;
}

/* Bytes of the header and of what it holds beside the master: with `at_use` not the blocked copies, but small
 * ones all the same. */
size_t ae_cpu_packed_bytes(ae_weight_type type, ptrdiff_t rows, ptrdiff_t cols, bool at_use);
/* Fills `room` from the master: AE_WEIGHT_F32 points at it, BF16 rounds it. Aligned to 64. */
void ae_cpu_pack(const ae_backend *be, void *room, ae_weight_type type, const float *master, ptrdiff_t rows,
                 ptrdiff_t cols, bool at_use);
/* Rows [first, first + n) once more, after the master changed; `first` a multiple of AE_WEIGHT_ROWS, and so
 * many unless they are the last. On the calling thread; several blocks of rows at the same time. */
enum { AE_WEIGHT_ROWS = 64 };
void ae_cpu_weight_pack_rows(ae_weight *w, ptrdiff_t first, ptrdiff_t n);

#endif
