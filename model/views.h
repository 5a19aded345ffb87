#ifndef AE_MODEL_VIEWS_H
#define AE_MODEL_VIEWS_H
#include "model/model.h"

/* The parameters of a model as the rows of the backend take them. */

typedef struct {
    ae_block_kind kind;
    union {
        struct {
            ae_recurrent_params p;
            ae_recurrent_grads g;
        } recurrent;
        struct {
            ae_attention_params p;
            ae_attention_grads g;
        } attention;
    };
    struct {
        ae_mlp_params p;
        ae_mlp_grads g;
    } mlp;
} ae_block_view;

typedef struct ae_model_views {
    const ae_param *table, *final_norm;
    ae_block_view *blocks;
} ae_model_views;

/* From the table, once values and packed forms have their places. */
void ae_model_make_views(ae_model *m);

/* Sizes of a batch of B rows of T tokens for the block rows, of a model with adapters of that rank (0:
 * without). */
ae_block_dims ae_model_block_dims(const ae_model_config *c, ptrdiff_t adapter_rank, ptrdiff_t B, ptrdiff_t T,
                                  bool inference);
bool ae_model_attends(const ae_model_config *c);

/* Bytes that serve every block of the model: of `saved` for the temporal branches and the MLP, and of
 * scratch. */
typedef struct {
    size_t temporal_saved, mlp_saved, scratch;
} ae_model_block_bytes;
ae_model_block_bytes ae_model_most_block_bytes(const ae_backend *be, const ae_model_config *c,
                                               const ae_block_dims *n);
size_t ae_model_temporal_saved_bytes(const ae_backend *be, ae_block_kind kind, const ae_block_dims *n);

/* One block forward: x -> mid (temporal branch) -> out (MLP). `out` may be x where x is not needed again;
 * `state` NULL: none. */
typedef struct {
    ae_room temporal, mlp, scratch;
} ae_block_room;
void ae_model_block_forward(const ae_model *m, ptrdiff_t block, ae_f32 *out, ae_f32 *mid, const ae_f32 *x,
                            ae_recurrent_state *recurrent, ae_attention_state *attention,
                            const ae_block_batch *batch, const ae_block_dims *n, const ae_block_room *room);

#endif
