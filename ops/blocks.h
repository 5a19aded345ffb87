#ifndef AE_OPS_BLOCKS_H
#define AE_OPS_BLOCKS_H
#include "ops/types.h"

#include <stdbool.h>

enum {
    AE_RECOMPUTE_GATES = 1, /* convolution and gates: cheap */
    AE_RECOMPUTE_MLP = 2    /* gate and up: two of the nine products of a training step */
};

/* The composite rows: whole residual branches, out = x + f(rmsnorm(x)). A plain backend composes them from
 * the smaller rows (ops/compose), a fast one may put a fused kernel here.
 *
 * Each has a `saved` blob that forward fills for backward and `scratch` that either may use; their sizes come
 * from the backend, their layout is the implementation's own. Both are device memory, aligned to 64 bytes;
 * one that is too small for the sizes of the call ends the program, since its plan was wrong. Inference
 * passes saved as well (forward's results go there), with `inference` sizes.
 *
 * backward: d holds the gradient of `out` on entry and of `x` on return. Gradients of parameters accumulate;
 * NULL ones are skipped. x is that of forward, and may be NULL unless ae_stream_needed.
 * `state` of backward is the one before the rows, where forward had one (which it replaced: keep a copy); no
 * gradient flows into it. */

typedef struct {
    ptrdiff_t B, T;    /* sequences, tokens of each */
    ptrdiff_t D, C, E; /* model, recurrent and MLP widths */
    ptrdiff_t N, G, H; /* query heads and gate blocks, key heads, head size */
    ptrdiff_t W, K;    /* attention window (< 0: none), taps */
    ptrdiff_t R;       /* elements of a head that RoPE turns */
    float norm_eps;
    bool inference;     /* no backward will follow */
    bool each;          /* B T <= AE_LINEAR_EACH rows, each with the bits that it has alone; inference only */
    unsigned recompute; /* AE_RECOMPUTE_*: backward recomputes it instead of keeping it; the same bits */
    ptrdiff_t adapter_rank; /* the largest of the branch's adapters, for scratch; 0: none */
} ae_block_dims;

/* What a batch carries to every block. */
typedef struct {
    const ae_i32 *positions;       /* [B, T] */
    const ae_f32 *cosines, *sines; /* [B T, R/2]; NULL when no block attends */
} ae_block_batch;

/* What may stand beside a projection: a [rank, I], b [O, rank] (ops/adapter.h). */
typedef struct {
    const ae_weight *a, *b;
    ptrdiff_t rank; /* 0: there is none */
    float scale;
} ae_adapter;

/* y = x w^T + bias, and what an adapter adds; w [O, I], bias [O] or NULL. */
typedef struct {
    const ae_weight *w;
    const ae_f32 *bias;
    ae_adapter adapter;
} ae_projection;

typedef struct {
    ae_f32 *w, *bias, *a, *b;
} ae_projection_grads;

typedef struct {
    const ae_f32 *norm;                           /* [D] */
    ae_projection linear_x, linear_y;             /* [C, D] */
    const ae_f32 *conv, *conv_bias;               /* [C, K], [C] */
    const ae_weight *input_gate, *recurrent_gate; /* [N, C/N in, C/N out] */
    const ae_f32 *input_gate_bias, *recurrent_gate_bias;
    const ae_f32 *recurrent_param; /* p [C] */
    ae_projection linear_out;      /* [D, C] */
} ae_recurrent_params;

typedef struct {
    ae_f32 *norm;
    ae_projection_grads linear_x, linear_y;
    ae_f32 *conv, *conv_bias;
    ae_f32 *input_gate, *recurrent_gate, *input_gate_bias, *recurrent_gate_bias, *recurrent_param;
    ae_projection_grads linear_out;
} ae_recurrent_grads;

typedef struct {
    ae_f32 *h;    /* [B, C] */
    ae_f32 *conv; /* [B, K-1, C] */
} ae_recurrent_state;

/* y = gelu(z Wy + by); u = conv(z Wx + bx); h = rglru(u); out = x + (h * y) Wo + bo. `state` may be NULL. */
#define AE_RECURRENT_FORWARD(ROW)                                                                            \
    ROW(recurrent_forward,                                                                                   \
        (const ae_backend *be, ae_f32 *out, ae_room saved, const ae_f32 *x, const ae_recurrent_params *p,    \
         ae_recurrent_state *state, const ae_block_batch *batch, const ae_block_dims *n, ae_room scratch),   \
        (be, out, saved, x, p, state, batch, n, scratch), ae_work_none())
#define AE_RECURRENT_BACKWARD(ROW)                                                                           \
    ROW(recurrent_backward,                                                                                  \
        (const ae_backend *be, ae_f32 *d, const ae_recurrent_grads *g, ae_room saved, const ae_f32 *x,       \
         const ae_recurrent_params *p, const ae_recurrent_state *state, const ae_block_batch *batch,         \
         const ae_block_dims *n, ae_room scratch),                                                           \
        (be, d, g, saved, x, p, state, batch, n, scratch), ae_work_none())

typedef struct {
    const ae_f32 *norm;       /* [D] */
    ae_projection q, k, v, o; /* [N H, D], [G H, D], [G H, D], [D, N H]; o alone has a bias */
} ae_attention_params;
typedef struct {
    ae_f32 *norm;
    ae_projection_grads q, k, v, o;
} ae_attention_grads;
typedef struct {
    ae_act *k, *v; /* rings [B, W, G, H] */
} ae_attention_state;

#define AE_ATTENTION_BLOCK_FORWARD(ROW)                                                                      \
    ROW(attention_block_forward,                                                                             \
        (const ae_backend *be, ae_f32 *out, ae_room saved, const ae_f32 *x, const ae_attention_params *p,    \
         ae_attention_state *state, const ae_block_batch *batch, const ae_block_dims *n, ae_room scratch),   \
        (be, out, saved, x, p, state, batch, n, scratch), ae_work_none())
#define AE_ATTENTION_BLOCK_BACKWARD(ROW)                                                                     \
    ROW(attention_block_backward,                                                                            \
        (const ae_backend *be, ae_f32 *d, const ae_attention_grads *g, ae_room saved, const ae_f32 *x,       \
         const ae_attention_params *p, const ae_attention_state *state, const ae_block_batch *batch,         \
         const ae_block_dims *n, ae_room scratch),                                                           \
        (be, d, g, saved, x, p, state, batch, n, scratch), ae_work_none())

typedef struct {
    const ae_f32 *norm;
    ae_projection gate, up, down; /* [E, D], [E, D], [D, E] */
} ae_mlp_params;
typedef struct {
    ae_f32 *norm;
    ae_projection_grads gate, up, down;
} ae_mlp_grads;

/* out = x + down(gelu(gate(z)) * up(z)). */
#define AE_MLP_FORWARD(ROW)                                                                                  \
    ROW(mlp_forward,                                                                                         \
        (const ae_backend *be, ae_f32 *out, ae_room saved, const ae_f32 *x, const ae_mlp_params *p,          \
         const ae_block_dims *n, ae_room scratch),                                                           \
        (be, out, saved, x, p, n, scratch), ae_work_none())
#define AE_MLP_BACKWARD(ROW)                                                                                 \
    ROW(mlp_backward,                                                                                        \
        (const ae_backend *be, ae_f32 *d, const ae_mlp_grads *g, ae_room saved, const ae_f32 *x,             \
         const ae_mlp_params *p, const ae_block_dims *n, ae_room scratch),                                   \
        (be, d, g, saved, x, p, n, scratch), ae_work_none())

/* Bytes of `saved` and of `scratch` for one branch. */
#define AE_RECURRENT_SAVED_BYTES(SIZE)                                                                       \
    SIZE(recurrent_saved_bytes, (const ae_backend *be, const ae_block_dims *n), (be, n))
#define AE_RECURRENT_SCRATCH_BYTES(SIZE)                                                                     \
    SIZE(recurrent_scratch_bytes, (const ae_backend *be, const ae_block_dims *n), (be, n))
#define AE_ATTENTION_BLOCK_SAVED_BYTES(SIZE)                                                                 \
    SIZE(attention_block_saved_bytes, (const ae_backend *be, const ae_block_dims *n), (be, n))
#define AE_ATTENTION_BLOCK_SCRATCH_BYTES(SIZE)                                                               \
    SIZE(attention_block_scratch_bytes, (const ae_backend *be, const ae_block_dims *n), (be, n))
#define AE_MLP_SAVED_BYTES(SIZE)                                                                             \
    SIZE(mlp_saved_bytes, (const ae_backend *be, const ae_block_dims *n), (be, n))
#define AE_MLP_SCRATCH_BYTES(SIZE)                                                                           \
    SIZE(mlp_scratch_bytes, (const ae_backend *be, const ae_block_dims *n), (be, n))

#endif
