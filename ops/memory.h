#ifndef AE_OPS_MEMORY_H
#define AE_OPS_MEMORY_H
#include "ops/types.h"

/* device [bytes] = host [bytes]. */
#define AE_UPLOAD(ROW)                                                                                       \
    ROW(upload, (const ae_backend *be, void *device, const void *host, size_t bytes),                        \
        (be, device, host, bytes), ae_work_moved((double)bytes, (double)bytes))

/* host [bytes] = device [bytes], after all rows called before. The one row that a second thread may call
 * (ops/backend.h). */
#define AE_DOWNLOAD(ROW)                                                                                     \
    ROW(download, (const ae_backend *be, void *host, const void *device, size_t bytes),                      \
        (be, host, device, bytes), ae_work_moved((double)bytes, (double)bytes))

/* Bytes of 0. A tensor that is zeroed before anything else lies near the threads that sweep over it. */
#define AE_ZERO(ROW)                                                                                         \
    ROW(zero, (const ae_backend *be, void *device, size_t bytes), (be, device, bytes),                       \
        ae_work_moved(0, (double)bytes))

/* From device to device; the two do not overlap. */
#define AE_COPY(ROW)                                                                                         \
    ROW(copy, (const ae_backend *be, void *to, const void *from, size_t bytes), (be, to, from, bytes),       \
        ae_work_moved((double)bytes, (double)bytes))

/* to [n] = x [n] in the type of activations. ae_act_of (ops/backend.h) spares it where that is float32. */
#define AE_ACT_FROM_F32(ROW)                                                                                 \
    ROW(act_from_f32, (const ae_backend *be, ae_act *to, const ae_f32 *x, ptrdiff_t n), (be, to, x, n),      \
        ae_work_moved(ae_work_reals(n, 1), ae_work_acts(t, n, 1)))

/* y [n] += x [n], y in the type of activations. */
#define AE_ACT_ADD_F32(ROW)                                                                                  \
    ROW(act_add_f32, (const ae_backend *be, ae_act *y, const ae_f32 *x, ptrdiff_t n), (be, y, x, n),         \
        ae_work_moved(ae_work_reals(n, 1) + ae_work_acts(t, n, 1), ae_work_acts(t, n, 1)))

#endif
