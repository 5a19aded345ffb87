#ifndef AE_OPS_HEAD_SCALAR_H
#define AE_OPS_HEAD_SCALAR_H
#include "ops/types.h"

#include <stdbool.h>

/* The scalar head of rewards and values: value[m] = sum_d w[d] z[m,d],
 * no bias. z [M, D], w [D], value [M]. */
#define AE_HEAD_SCALAR_FORWARD(ROW)                                                                          \
    ROW(head_scalar_forward,                                                                                 \
        (const ae_backend *be, ae_f32 *value, const ae_act *z, const ae_f32 *w, ptrdiff_t M, ptrdiff_t D),   \
        (be, value, z, w, M, D), ae_work_moved(ae_work_acts(t, M, D), ae_work_reals(M, 1)))

/* dz[m] = dvalue[m] w; with `add` dz grows by it, else it is overwritten. dw += sum_m dvalue[m] z[m]; dw may
 * be NULL. */
#define AE_HEAD_SCALAR_BACKWARD(ROW)                                                                         \
    ROW(head_scalar_backward,                                                                                \
        (const ae_backend *be, ae_act *dz, ae_f32 *dw, bool add, const ae_f32 *dvalue, const ae_act *z,      \
         const ae_f32 *w, ptrdiff_t M, ptrdiff_t D),                                                         \
        (be, dz, dw, add, dvalue, z, w, M, D),                                                               \
        ae_work_moved(ae_work_acts(t, M, D) * (add ? 2 : 1), ae_work_acts(t, M, D)))

#endif
