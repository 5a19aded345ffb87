#ifndef AE_OPS_BACKEND_H
#define AE_OPS_BACKEND_H
#include "core/machine.h"
#include "core/status.h"
#include "ops/adamw.h"
#include "ops/attention.h"
#include "ops/blocks.h"
#include "ops/conv.h"
#include "ops/embedding.h"
#include "ops/gates.h"
#include "ops/geglu.h"
#include "ops/head.h"
#include "ops/linear.h"
#include "ops/rglru.h"
#include "ops/rmsnorm.h"
#include "ops/rope.h"

/* A device and an element type: memory, and one row an op. The contract of a row is in the op's own header.
 * The element type of activations and the place of memory are the backend's business; nobody above reads an element. */
typedef struct ae_backend {
    const char *name; /* "cpu", "strict" */
    const char *
        kernels; /* "avx512", "avx2", "avx512 bf16": stored in checkpoints, since bits are equal for one choice only */
    ae_dtype dtype;         /* of activations */
    ae_weight_type weights; /* of packed weights */
    bool compact;           /* inference keeps weights in that form alone */
    ptrdiff_t group;        /* of compact integers: inputs that share a scale */
    int threads;            /* that an op may have at work at once where its scratch holds a room for each */
    size_t act_bytes;       /* of one activation */
    bool
        pack_at_use; /* weights that are not used often keep no packed copy: every product packs its own. Set before weights are made */

    /* memory: aligned to 64 bytes; contents are undefined until written. A tensor that is zeroed before anything else lies near the threads
     * that sweep over it */
    ae_status (*alloc)(void **ptr, size_t bytes);
    void (*release)(void *ptr, size_t bytes); /* NULL is fine */
    void (*upload)(void *device, const void *host, size_t bytes);
    void (*download)(void *host, const void *device, size_t bytes);
    void (*zero)(void *device, size_t bytes);
    void (*copy)(void *to, const void *from, size_t bytes); /* device to device */

    /* ops return nothing. One that could not be done, for want of scratch, leaves its results undefined, and what reads them next asks here: the
     * first failure since the last call, AE_ERR_RESOURCE. Before a result leaves the device's world: an update, a score, an answer */
    ae_status (*failure)(void);

    /* x as activations: x itself where both types are the same, else converted into `room` */
    ae_act *(*act_from_f32)(ae_act *room, const ae_f32 *x, ptrdiff_t n);
    /* the form that products take, in `weight_bytes` of room beside the float32 master; to be packed again when the master changed.
     * `often`: used many times in a pass, and so kept packed in any case */
    size_t (*weight_bytes)(const struct ae_backend *be, ptrdiff_t rows, ptrdiff_t cols, bool often);
    ae_weight *(*weight_pack)(const struct ae_backend *be, void *room, const ae_f32 *master, ptrdiff_t rows,
                              ptrdiff_t cols, bool often);

    /* compact weights, for inference without float32 masters: room for one, and its rows from the host, piece by piece (ops/cpu/panels.h
     * says how rows may be cut; scales NULL: integers are quantised here) */
    size_t (*compact_bytes)(const ae_weight_shape *s);
    ae_weight *(*compact_init)(void *room, const ae_weight_shape *s);
    void (*compact_put)(ae_weight *w, ptrdiff_t first, ptrdiff_t n, const float *values,
                        const uint16_t *scales);

    ae_embedding_forward_fn *embedding_forward;
    ae_embedding_backward_fn *embedding_backward;
    ae_rmsnorm_forward_fn *rmsnorm_forward;
    ae_rmsnorm_again_fn *rmsnorm_again;
    ae_rmsnorm_backward_fn *rmsnorm_backward;
    ae_linear_forward_fn *linear_forward;
    ae_linear_residual_fn *linear_residual;
    ae_linear_backward_input_fn *linear_backward_input;
    ae_linear_backward_weight_fn *linear_backward_weight;
    ae_gates_forward_fn *gates_forward;
    ae_gates_backward_input_fn *gates_backward_input;
    ae_gates_backward_weight_fn *gates_backward_weight;
    ae_conv_forward_fn *conv_forward;
    ae_conv_backward_fn *conv_backward;
    ae_rglru_forward_fn *rglru_forward;
    ae_rglru_backward_fn *rglru_backward;
    ae_geglu_forward_fn *geglu_forward;
    ae_geglu_backward_fn *geglu_backward;
    ae_rope_table_fn *rope_table;
    ae_rope_apply_fn *rope_apply;
    ae_attention_forward_fn *attention_forward;
    ae_attention_backward_fn *attention_backward;
    ae_attention_scratch_bytes_fn *attention_scratch_bytes;
    ae_head_loss_fn *head_loss;
    ae_head_score_fn *head_score;
    ae_head_logits_fn *head_logits;
    ae_head_scratch_bytes_fn *head_scratch_bytes;
    ae_adamw_fn *adamw;
    ae_adamw_weight_fn *adamw_weight;
    ae_sum_squares_fn *sum_squares;

    /* composites */
    ae_recurrent_forward_fn *recurrent_forward;
    ae_recurrent_backward_fn *recurrent_backward;
    ae_block_bytes_fn *recurrent_saved_bytes, *recurrent_scratch_bytes;
    ae_attention_block_forward_fn *attention_block_forward;
    ae_attention_block_backward_fn *attention_block_backward;
    ae_block_bytes_fn *attention_block_saved_bytes, *attention_block_scratch_bytes;
    ae_mlp_forward_fn *mlp_forward;
    ae_mlp_backward_fn *mlp_backward;
    ae_block_bytes_fn *mlp_saved_bytes, *mlp_scratch_bytes;
} ae_backend;

typedef struct {
    int threads;            /* as core/threads.h; of the process, the last backend made decides */
    ae_dtype dtype;         /* with compact weights BF16 where products take it (AMX) */
    ae_weight_type weights; /* compact forms for inference; F32 for training of any dtype */
    ptrdiff_t group;        /* of compact integers; 0: 128 of INT8, 64 of INT4 */
} ae_backend_options;

/* bfloat16 where the processor has instructions for it, else float32. */
ae_dtype ae_dtype_auto(void);

/* The CPU; kernels compiled for AVX2 and AVX-512 and for either type of activations, chosen here once by ae_isa_pick(). */
ae_status ae_backend_cpu(ae_backend *be, const ae_backend_options *options);

/* The CPU backend behind memory that faults when the host touches it outside an op; fresh memory is NaN. For tests: it keeps the
 * code above the backend honest on machines without a GPU. */
ae_status ae_backend_strict(ae_backend *be, const ae_backend_options *options);

/* Where activations are float32, backward of the composite rows reads the stream itself; else the rounded copy that forward saved. */
static inline bool ae_stream_needed(const ae_backend *be) {
    return be->dtype == AE_DTYPE_F32;
}

/* n elements further. */
static inline ae_act *ae_act_at(const ae_backend *be, ae_act *x, ptrdiff_t n) {
    return (ae_act *)((char *)x + (size_t)n * be->act_bytes);
}
static inline ae_f32 *ae_f32_at(ae_f32 *x, ptrdiff_t n) {
    return (ae_f32 *)((char *)x + (size_t)n * sizeof(float));
}
static inline const ae_f32 *ae_f32_from(const ae_f32 *x, ptrdiff_t n) {
    return (const ae_f32 *)((const char *)x + (size_t)n * sizeof(float));
}

#endif
