#ifndef AE_OPS_RMSNORM_H
#define AE_OPS_RMSNORM_H
#include "ops/types.h"

/* rstd[m] = 1 / sqrt(mean(x[m]^2) + eps);  z = x * rstd * (1 + w);  kept = x in the type of activations.
 * x, z, kept [M, D]; w [D]; rstd [M]. Backward needs rstd and kept; `kept` may be NULL where it is not
 * wanted, or where activations are float32 and x itself serves. Source: Zhang and Sennrich, arXiv 1910.07467,
 * with the (1 + w) of Gemma. */
#define AE_RMSNORM_FORWARD(ROW)                                                                              \
    ROW(rmsnorm_forward,                                                                                     \
        (const ae_backend *be, ae_act *z, ae_act *kept, ae_f32 *rstd, const ae_f32 *x, const ae_f32 *w,      \
         float eps, ptrdiff_t M, ptrdiff_t D),                                                               \
        (be, z, kept, rstd, x, w, eps, M, D),                                                                \
        ae_work_moved(ae_work_reals(M, D), ae_work_acts(t, M, D) * (kept ? 2 : 1)))

/* z once more, from what was saved: the same bits in float32, another rounding of them where kept was
 * rounded. */
#define AE_RMSNORM_AGAIN(ROW)                                                                                \
    ROW(rmsnorm_again,                                                                                       \
        (const ae_backend *be, ae_act *z, const ae_act *kept, const ae_f32 *rstd, const ae_f32 *w,           \
         ptrdiff_t M, ptrdiff_t D),                                                                          \
        (be, z, kept, rstd, w, M, D), ae_work_moved(ae_work_acts(t, M, D), ae_work_acts(t, M, D)))

/* The norm opens a residual branch, so its input gradient joins the one that came around: dx += d loss / d x
 * through z. dw += sum over m of dz * kept * rstd. */
#define AE_RMSNORM_BACKWARD(ROW)                                                                             \
    ROW(rmsnorm_backward,                                                                                    \
        (const ae_backend *be, ae_f32 *dx, ae_f32 *dw, const ae_act *dz, const ae_act *kept,                 \
         const ae_f32 *w, const ae_f32 *rstd, ptrdiff_t M, ptrdiff_t D),                                     \
        (be, dx, dw, dz, kept, w, rstd, M, D),                                                               \
        ae_work_moved(ae_work_reals(M, D) + 2 * ae_work_acts(t, M, D), ae_work_reals(M, D)))

#endif
