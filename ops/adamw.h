#ifndef AE_OPS_ADAMW_H
#define AE_OPS_ADAMW_H
#include "ops/types.h"

/* How the running means m and v are stored. The rows below have kernels for float32 alone. */
typedef enum { AE_MOMENTS_F32, AE_MOMENTS_BF16, AE_MOMENTS_INT8 } ae_moment_type;

typedef struct {
    float lr, beta1, beta2, eps, decay; /* decay 0 where the parameter is not decayed */
    float correction1, correction2;     /* 1 - beta1^s, 1 - beta2^s for update s, from 1 */
    float grad_scale;                   /* clipping: min(1, clip / (norm + 1e-6)) */
    ae_moment_type moments;
} ae_adamw_step;

/* g' = grad_scale g;  m = b1 m + (1-b1) g';  v = b2 v + (1-b2) g'^2
 * w -= lr (m / correction1 / (sqrt(v / correction2) + eps) + decay w);  g is set to 0 in the same sweep.
 * n elements each. Source: Loshchilov and Hutter, arXiv 1711.05101. */
#define AE_ADAMW(ROW)                                                                                        \
    ROW(adamw,                                                                                               \
        (const ae_backend *be, ae_f32 *w, ae_moment *m, ae_moment *v, ae_f32 *g, ae_adamw_step s,            \
         ptrdiff_t n),                                                                                       \
        (be, w, m, v, g, s, n), ae_work_adamw(n))

/* The same for a weight [rows, cols] of products; the same sweep packs it anew, while the values are near. */
#define AE_ADAMW_WEIGHT(ROW)                                                                                 \
    ROW(adamw_weight,                                                                                        \
        (const ae_backend *be, ae_weight *packed, ae_f32 *w, ae_moment *m, ae_moment *v, ae_f32 *g,          \
         ae_adamw_step s, ptrdiff_t rows, ptrdiff_t cols),                                                   \
        (be, packed, w, m, v, g, s, rows, cols),                                                             \
        ae_work_moved(ae_work_reals(4 * rows, cols),                                                         \
                      ae_work_reals(4 * rows, cols) + (t.packs ? ae_work_packed(t, 2 * rows, cols) : 0)))

#endif
