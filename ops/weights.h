#ifndef AE_OPS_WEIGHTS_H
#define AE_OPS_WEIGHTS_H
#include "ops/types.h"

#include <stdbool.h>
#include <stdint.h>

/* The form that products take: `room`, of weight_bytes, becomes an ae_weight beside its float32 master [rows,
 * cols]. To be packed again when the master changed. `at_use`: no packed copy is kept, every product packs
 * its own, to the same bits. */
#define AE_WEIGHT_PACK(ROW)                                                                                  \
    ROW(weight_pack,                                                                                         \
        (const ae_backend *be, void *room, const ae_f32 *master, ptrdiff_t rows, ptrdiff_t cols,             \
         bool at_use),                                                                                       \
        (be, room, master, rows, cols, at_use),                                                              \
        t.packs ? ae_work_moved(ae_work_reals(rows, cols), ae_work_packed(t, rows, cols)) : ae_work_none())
#define AE_WEIGHT_BYTES(SIZE)                                                                                \
    SIZE(weight_bytes, (const ae_backend *be, ptrdiff_t rows, ptrdiff_t cols, bool at_use),                  \
         (be, rows, cols, at_use))

/* Compact weights, without float32 masters: `room`, of compact_bytes, becomes an ae_weight, ... */
#define AE_COMPACT_INIT(ROW)                                                                                 \
    ROW(compact_init, (const ae_backend *be, void *room, const ae_weight_shape *s), (be, room, s),           \
        ae_work_none())
#define AE_COMPACT_BYTES(SIZE) SIZE(compact_bytes, (const ae_backend *be, const ae_weight_shape *s), (be, s))

/* ... and takes its rows [first, first + n) from the host, piece by piece (ops/cpu/panels.h says how rows may
 * be cut). scales NULL: integers are quantised here. */
#define AE_COMPACT_PUT(ROW)                                                                                  \
    ROW(compact_put,                                                                                         \
        (const ae_backend *be, ae_weight *w, ptrdiff_t first, ptrdiff_t n, const float *values,              \
         const uint16_t *scales),                                                                            \
        (be, w, first, n, values, scales), ae_work_none())

#endif
