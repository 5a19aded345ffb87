#ifndef AE_OPS_EMBEDDING_H
#define AE_OPS_EMBEDDING_H
#include "ops/types.h"

/* x[m] = scale * table[token[m]]; x [M, D], table [V, D], its float32 master where it has one. Tokens lie in
 * [0, V): the loader and the verbs have checked them. */
#define AE_EMBEDDING_FORWARD(ROW)                                                                            \
    ROW(embedding_forward,                                                                                   \
        (const ae_backend *be, ae_f32 *x, const ae_weight *table, const ae_i32 *tokens, float scale,         \
         ptrdiff_t M, ptrdiff_t D),                                                                          \
        (be, x, table, tokens, scale, M, D), ae_work_moved(ae_work_packed(t, M, D), ae_work_reals(M, D)))

/* dtable[token[m]] += scale * dx[m], in the order of m. Threads split D. */
#define AE_EMBEDDING_BACKWARD(ROW)                                                                           \
    ROW(embedding_backward,                                                                                  \
        (const ae_backend *be, ae_f32 *dtable, const ae_f32 *dx, const ae_i32 *tokens, float scale,          \
         ptrdiff_t M, ptrdiff_t D),                                                                          \
        (be, dtable, dx, tokens, scale, M, D), ae_work_moved(2 * ae_work_reals(M, D), ae_work_reals(M, D)))

#endif
