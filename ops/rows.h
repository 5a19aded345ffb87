#ifndef AE_OPS_ROWS_H
#define AE_OPS_ROWS_H
#include "ops/adamw.h"
#include "ops/adapter.h"
#include "ops/attention.h"
#include "ops/blocks.h"
#include "ops/conv.h"
#include "ops/embedding.h"
#include "ops/gates.h"
#include "ops/geglu.h"
#include "ops/head.h"
#include "ops/head_kl.h"
#include "ops/head_scalar.h"
#include "ops/linear.h"
#include "ops/memory.h"
#include "ops/rglru.h"
#include "ops/rmsnorm.h"
#include "ops/rope.h"
#include "ops/sums.h"
#include "ops/weights.h"

/* The rows of a backend, a line each. From these lists come the table (ops/backend.h), the CPU's rows
 * (ops/cpu/table.h), the strict backend and the profile. A row is ROW(name, parameters, arguments, work), a
 * size SIZE(name, parameters, arguments): see ops/types.h. */

/* One kernel for all types of activations and all instruction sets. */
#define AE_MEMORY_ROWS(ROW)                                                                                  \
    AE_UPLOAD(ROW)                                                                                           \
    AE_DOWNLOAD(ROW)                                                                                         \
    AE_ZERO(ROW)                                                                                             \
    AE_COPY(ROW)                                                                                             \
    AE_WEIGHT_PACK(ROW)                                                                                      \
    AE_COMPACT_INIT(ROW)                                                                                     \
    AE_COMPACT_PUT(ROW)

/* Ops: a kernel for each type of activations and each instruction set. */
#define AE_OP_ROWS(ROW)                                                                                      \
    AE_ACT_FROM_F32(ROW)                                                                                     \
    AE_ACT_ADD_F32(ROW)                                                                                      \
    AE_EMBEDDING_FORWARD(ROW)                                                                                \
    AE_EMBEDDING_BACKWARD(ROW)                                                                               \
    AE_RMSNORM_FORWARD(ROW)                                                                                  \
    AE_RMSNORM_AGAIN(ROW)                                                                                    \
    AE_RMSNORM_BACKWARD(ROW)                                                                                 \
    AE_LINEAR_FORWARD(ROW)                                                                                   \
    AE_LINEAR_RESIDUAL(ROW)                                                                                  \
    AE_LINEAR_EACH_FORWARD(ROW)                                                                              \
    AE_LINEAR_EACH_RESIDUAL(ROW)                                                                             \
    AE_LINEAR_BACKWARD_INPUT(ROW)                                                                            \
    AE_LINEAR_BACKWARD_WEIGHT(ROW)                                                                           \
    AE_ADAPTER_FORWARD(ROW)                                                                                  \
    AE_ADAPTER_RESIDUAL(ROW)                                                                                 \
    AE_ADAPTER_BACKWARD_INPUT(ROW)                                                                           \
    AE_ADAPTER_BACKWARD_WEIGHT(ROW)                                                                          \
    AE_GATES_FORWARD(ROW)                                                                                    \
    AE_GATES_EACH_FORWARD(ROW)                                                                               \
    AE_GATES_BACKWARD_INPUT(ROW)                                                                             \
    AE_GATES_BACKWARD_WEIGHT(ROW)                                                                            \
    AE_CONV_FORWARD(ROW)                                                                                     \
    AE_CONV_BACKWARD(ROW)                                                                                    \
    AE_RGLRU_FORWARD(ROW)                                                                                    \
    AE_RGLRU_BACKWARD(ROW)                                                                                   \
    AE_GEGLU_FORWARD(ROW)                                                                                    \
    AE_GEGLU_BACKWARD(ROW)                                                                                   \
    AE_ROPE_TABLE(ROW)                                                                                       \
    AE_ROPE_APPLY(ROW)                                                                                       \
    AE_ATTENTION_FORWARD(ROW)                                                                                \
    AE_ATTENTION_BACKWARD(ROW)                                                                               \
    AE_HEAD_LOSS(ROW)                                                                                        \
    AE_HEAD_SCORE(ROW)                                                                                       \
    AE_HEAD_LOGPROBS(ROW)                                                                                    \
    AE_HEAD_BACKWARD(ROW)                                                                                    \
    AE_HEAD_LOGITS(ROW)                                                                                      \
    AE_HEAD_KL(ROW)                                                                                          \
    AE_HEAD_KL_BACKWARD(ROW)                                                                                 \
    AE_HEAD_SCALAR_FORWARD(ROW)                                                                              \
    AE_HEAD_SCALAR_BACKWARD(ROW)                                                                             \
    AE_ADAMW(ROW)                                                                                            \
    AE_ADAMW_WEIGHT(ROW)                                                                                     \
    AE_SUM_SQUARES(ROW)                                                                                      \
    AE_SUM_WEIGHTED(ROW)

/* Composites, which may be made of the rows above (ops/compose). */
#define AE_COMPOSITE_ROWS(ROW)                                                                               \
    AE_RECURRENT_FORWARD(ROW)                                                                                \
    AE_RECURRENT_BACKWARD(ROW)                                                                               \
    AE_ATTENTION_BLOCK_FORWARD(ROW)                                                                          \
    AE_ATTENTION_BLOCK_BACKWARD(ROW)                                                                         \
    AE_MLP_FORWARD(ROW)                                                                                      \
    AE_MLP_BACKWARD(ROW)

#define AE_ROWS(ROW) AE_MEMORY_ROWS(ROW) AE_OP_ROWS(ROW) AE_COMPOSITE_ROWS(ROW)

/* Bytes, by arithmetic of the host alone; in the same three groups. */
#define AE_MEMORY_SIZES(SIZE)                                                                                \
    AE_WEIGHT_BYTES(SIZE)                                                                                    \
    AE_COMPACT_BYTES(SIZE)

#define AE_OP_SIZES(SIZE)                                                                                    \
    AE_ADAPTER_SCRATCH_BYTES(SIZE)                                                                           \
    AE_ATTENTION_SCRATCH_BYTES(SIZE)                                                                         \
    AE_HEAD_SCRATCH_BYTES(SIZE)                                                                              \
    AE_HEAD_KL_SCRATCH_BYTES(SIZE)

#define AE_COMPOSITE_SIZES(SIZE)                                                                             \
    AE_RECURRENT_SAVED_BYTES(SIZE)                                                                           \
    AE_RECURRENT_SCRATCH_BYTES(SIZE)                                                                         \
    AE_ATTENTION_BLOCK_SAVED_BYTES(SIZE)                                                                     \
    AE_ATTENTION_BLOCK_SCRATCH_BYTES(SIZE)                                                                   \
    AE_MLP_SAVED_BYTES(SIZE)                                                                                 \
    AE_MLP_SCRATCH_BYTES(SIZE)

#define AE_SIZES(SIZE) AE_MEMORY_SIZES(SIZE) AE_OP_SIZES(SIZE) AE_COMPOSITE_SIZES(SIZE)

#endif
