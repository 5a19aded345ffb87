#ifndef AE_OPS_PROFILE_PROFILE_H
#define AE_OPS_PROFILE_PROFILE_H
#include "core/probe.h"
#include "ops/backend.h"

/* A backend whose rows are probed: each row runs that of another backend between ae_probe_begin and ae_probe_end and says what it had to
 * do at least, from its sizes. Kernels are not touched, so every backend can be looked at, and results are those of the inner one.
 *
 * Composite rows are entered with the probed table: one that is composed of smaller rows shows them, and what is left to itself is
 * close to nothing; a fused one is an op of its own. */

/* Every row that takes time. */
#define AE_PROFILE_OPS(X)                                                                                    \
    X(upload)                                                                                                \
    X(download)                                                                                              \
    X(zero)                                                                                                  \
    X(copy)                                                                                                  \
    X(act_from_f32)                                                                                          \
    X(weight_pack)                                                                                           \
    X(embedding_forward)                                                                                     \
    X(embedding_backward)                                                                                    \
    X(rmsnorm_forward)                                                                                       \
    X(rmsnorm_again)                                                                                         \
    X(rmsnorm_backward)                                                                                      \
    X(linear_forward)                                                                                        \
    X(linear_residual)                                                                                       \
    X(linear_backward_input)                                                                                 \
    X(linear_backward_weight)                                                                                \
    X(gates_forward)                                                                                         \
    X(gates_backward_input)                                                                                  \
    X(gates_backward_weight)                                                                                 \
    X(conv_forward)                                                                                          \
    X(conv_backward)                                                                                         \
    X(rglru_forward)                                                                                         \
    X(rglru_backward)                                                                                        \
    X(geglu_forward)                                                                                         \
    X(geglu_backward)                                                                                        \
    X(rope_table)                                                                                            \
    X(rope_apply)                                                                                            \
    X(attention_forward)                                                                                     \
    X(attention_backward)                                                                                    \
    X(head_loss)                                                                                             \
    X(head_score)                                                                                            \
    X(head_logits)                                                                                           \
    X(adamw)                                                                                                 \
    X(adamw_weight)                                                                                          \
    X(sum_squares)                                                                                           \
    X(recurrent_forward)                                                                                     \
    X(recurrent_backward)                                                                                    \
    X(attention_block_forward)                                                                               \
    X(attention_block_backward)                                                                              \
    X(mlp_forward)                                                                                           \
    X(mlp_backward)

#define AE_PROFILE_ID(row) AE_OP_##row,
enum { AE_PROFILE_OPS(AE_PROFILE_ID) AE_PROFILE_N_OPS };
#undef AE_PROFILE_ID

/* The row's name in ae_backend. */
const char *ae_profile_name(int op);
/* Whether the op walks over all parameters once a step, a piece a call: its memory is never in a cache. */
bool ae_profile_sweeps_parameters(int op);

/* `be` becomes the probed table over `inner`, which is copied. One inner backend at a time in a process. */
void ae_backend_profile(ae_backend *be, const ae_backend *inner);

#endif
