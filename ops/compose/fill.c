#include "ops/compose/compose.h"

void ae_compose_fill(ae_backend *be) {
    be->recurrent_forward = ae_recurrent_forward_composed;
    be->recurrent_backward = ae_recurrent_backward_composed;
    be->recurrent_saved_bytes = ae_recurrent_saved_bytes_composed;
    be->recurrent_scratch_bytes = ae_recurrent_scratch_bytes_composed;
    be->attention_block_forward = ae_attention_block_forward_composed;
    be->attention_block_backward = ae_attention_block_backward_composed;
    be->attention_block_saved_bytes = ae_attention_block_saved_bytes_composed;
    be->attention_block_scratch_bytes = ae_attention_block_scratch_bytes_composed;
    be->mlp_forward = ae_mlp_forward_composed;
    be->mlp_backward = ae_mlp_backward_composed;
    be->mlp_saved_bytes = ae_mlp_saved_bytes_composed;
    be->mlp_scratch_bytes = ae_mlp_scratch_bytes_composed;
}
