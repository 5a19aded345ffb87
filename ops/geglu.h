#ifndef AE_OPS_GEGLU_H
#define AE_OPS_GEGLU_H
#include "ops/types.h"

/* y = gelu(gate) * up over n elements; gelu(x) = x sigmoid(2 k (x + 0.044715 x^3)), k = sqrt(2/pi): the tanh
 * approximation of Hendrycks and Gimpel, arXiv 1606.08415. It joins the two halves of the MLP, and the two
 * branches of the recurrent block. */
#define AE_GEGLU_FORWARD(ROW)                                                                                \
    ROW(geglu_forward, (const ae_backend *be, ae_act *y, const ae_act *gate, const ae_act *up, ptrdiff_t n), \
        (be, y, gate, up, n), ae_work_geglu(t, n, false))

/* dgate, dup overwritten; y is recomputed for the products of backward. dgate may be gate, dup may be dy or
 * up, y may be up or dy; the three outputs are distinct. */
#define AE_GEGLU_BACKWARD(ROW)                                                                               \
    ROW(geglu_backward,                                                                                      \
        (const ae_backend *be, ae_act *dgate, ae_act *dup, ae_act *y, const ae_act *dy, const ae_act *gate,  \
         const ae_act *up, ptrdiff_t n),                                                                     \
        (be, dgate, dup, y, dy, gate, up, n), ae_work_geglu(t, n, true))

#endif
