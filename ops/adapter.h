#ifndef AE_OPS_ADAPTER_H
#define AE_OPS_ADAPTER_H
#include "ops/types.h"

/* A low-rank map that stands beside a projection [O, I]:  scale (x a^T) b^T;  x [M, I], a [R, I], b [O, R].
 * Source: Hu et al., arXiv 2106.09685. Each row needs scratch of adapter_scratch_bytes, for [M, R]; backward
 * computes x a^T once more. Up to AE_LINEAR_EACH rows each output is summed in an order that does not depend
 * on M. */
typedef struct {
    ptrdiff_t M, I, O, R;
    float scale;
} ae_adapter_dims;

/* y += scale (x a^T) b^T;  y [M, O]. */
#define AE_ADAPTER_FORWARD(ROW)                                                                              \
    ROW(adapter_forward,                                                                                     \
        (const ae_backend *be, ae_act *y, const ae_act *x, const ae_weight *a, const ae_weight *b,           \
         ae_adapter_dims n, ae_room scratch),                                                                \
        (be, y, x, a, b, n, scratch), ae_work_adapter(t, n, AE_ADAPTER_ACTS))

/* The same onto the float32 stream. */
#define AE_ADAPTER_RESIDUAL(ROW)                                                                             \
    ROW(adapter_residual,                                                                                    \
        (const ae_backend *be, ae_f32 *out, const ae_act *x, const ae_weight *a, const ae_weight *b,         \
         ae_adapter_dims n, ae_room scratch),                                                                \
        (be, out, x, a, b, n, scratch), ae_work_adapter(t, n, AE_ADAPTER_STREAM))

/* dx += scale (dy b) a. */
#define AE_ADAPTER_BACKWARD_INPUT(ROW)                                                                       \
    ROW(adapter_backward_input,                                                                              \
        (const ae_backend *be, ae_act *dx, const ae_act *dy, const ae_weight *a, const ae_weight *b,         \
         ae_adapter_dims n, ae_room scratch),                                                                \
        (be, dx, dy, a, b, n, scratch), ae_work_adapter(t, n, AE_ADAPTER_ACTS))

/* da += scale (dy b)^T x;  db += scale dy^T (x a^T). Either may be NULL. */
#define AE_ADAPTER_BACKWARD_WEIGHT(ROW)                                                                      \
    ROW(adapter_backward_weight,                                                                             \
        (const ae_backend *be, ae_f32 *da, ae_f32 *db, const ae_act *dy, const ae_act *x,                    \
         const ae_weight *a, const ae_weight *b, ae_adapter_dims n, ae_room scratch),                        \
        (be, da, db, dy, x, a, b, n, scratch), ae_work_adapter(t, n, AE_ADAPTER_WEIGHTS))

#define AE_ADAPTER_SCRATCH_BYTES(SIZE)                                                                       \
    SIZE(adapter_scratch_bytes, (const ae_backend *be, ae_adapter_dims n), (be, n))

#endif
