#ifndef AE_OPS_EMBEDDING_H
#define AE_OPS_EMBEDDING_H
#include "ops/types.h"

/* x[m] = scale * table[token[m]]; x [M, D], table [V, D], its float32 master where it has one. Tokens lie in [0, V): the loader and the verbs have checked them. */
typedef void ae_embedding_forward_fn(ae_f32 *x, const ae_weight *table, const ae_i32 *tokens, float scale,
                                     ptrdiff_t M, ptrdiff_t D);

/* dtable[token[m]] += scale * dx[m], in the order of m. Threads split D. */
typedef void ae_embedding_backward_fn(ae_f32 *dtable, const ae_f32 *dx, const ae_i32 *tokens, float scale,
                                      ptrdiff_t M, ptrdiff_t D);

#endif
