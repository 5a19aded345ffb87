#ifndef AE_OPS_PROFILE_WORK_H
#define AE_OPS_PROFILE_WORK_H
#include "core/probe.h"
#include "ops/backend.h"

/* What each op has to do at least: FLOPs of its products, every array moved once, functions evaluated.
 * Elementwise sums and products are not counted: bytes bound those. */

typedef struct {
    double act, weight; /* bytes of an activation; of an element of a packed weight, scales and all */
    double gate;        /* of a gate's weight, which is never kept in integers */
    bool packs;         /* a packed weight is a copy, not the master */
} ae_work_types;

/* Bytes of a matrix of activations, of float32, and of packed weights. */
static inline double ae_work_acts(ae_work_types t, ptrdiff_t rows, ptrdiff_t cols) {
    return t.act * (double)rows * (double)cols;
}
static inline double ae_work_reals(ptrdiff_t rows, ptrdiff_t cols) {
    return (double)sizeof(float) * (double)rows * (double)cols;
}
static inline double ae_work_packed(ae_work_types t, ptrdiff_t rows, ptrdiff_t cols) {
    return t.weight * (double)rows * (double)cols;
}

/* Of a composite: its smaller rows say what they did. */
static inline ae_work ae_work_none(void) {
    return (ae_work){0};
}

ae_work ae_work_moved(double read_bytes, double written_bytes);
/* [M, I] times [O, I]^T; `residual`: a float32 stream in and out. */
ae_work ae_work_linear(ae_work_types t, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O, bool residual);
ae_work ae_work_linear_input(ae_work_types t, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O, bool add);
ae_work ae_work_linear_weight(ae_work_types t, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O);
/* An adapter added to activations or to the float32 stream, and the gradients of its weights. */
typedef enum { AE_ADAPTER_ACTS, AE_ADAPTER_STREAM, AE_ADAPTER_WEIGHTS } ae_adapter_kind;
ae_work ae_work_adapter(ae_work_types t, ae_adapter_dims n, ae_adapter_kind kind);
typedef enum { AE_GATES_FORWARD, AE_GATES_INPUT, AE_GATES_INPUT_ADD, AE_GATES_WEIGHT } ae_gates_kind;
/* C to C in N blocks. */
ae_work ae_work_gates(ae_work_types t, ptrdiff_t M, ptrdiff_t C, ptrdiff_t N, ae_gates_kind kind);
ae_work ae_work_rglru(ae_work_types t, ae_rglru_dims n, bool backward);
ae_work ae_work_geglu(ae_work_types t, ptrdiff_t n, bool backward);
/* `pairs`: of a query and a key that it sees, for one head. `ring_keys`: read from the ring. */
ae_work ae_work_attention(ae_work_types t, ae_attention_dims n, double pairs, double ring_keys,
                          bool backward);
typedef enum { AE_HEAD_LOSS, AE_HEAD_SCORE, AE_HEAD_LOGITS } ae_head_kind;
ae_work ae_work_head(ae_work_types t, ae_head_dims n, ae_head_kind kind);
ae_work ae_work_head_kl(ae_work_types t, const ae_head_side *p, const ae_head_side *q, ptrdiff_t M,
                        ptrdiff_t V, bool backward);
ae_work ae_work_adamw(ptrdiff_t n);

#endif
