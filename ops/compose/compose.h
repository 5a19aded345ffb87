#ifndef AE_OPS_COMPOSE_COMPOSE_H
#define AE_OPS_COMPOSE_COMPOSE_H
#include "ops/backend.h"

/* The composite rows of ops/blocks.h, made of the backend's smaller rows: what a backend without fused kernels uses, and what
 * fused kernels are held against. No element is read here. */
ae_recurrent_forward_fn ae_recurrent_forward_composed;
ae_recurrent_backward_fn ae_recurrent_backward_composed;
ae_block_bytes_fn ae_recurrent_saved_bytes_composed, ae_recurrent_scratch_bytes_composed;
ae_attention_block_forward_fn ae_attention_block_forward_composed;
ae_attention_block_backward_fn ae_attention_block_backward_composed;
ae_block_bytes_fn ae_attention_block_saved_bytes_composed, ae_attention_block_scratch_bytes_composed;
ae_mlp_forward_fn ae_mlp_forward_composed;
ae_mlp_backward_fn ae_mlp_backward_composed;
ae_block_bytes_fn ae_mlp_saved_bytes_composed, ae_mlp_scratch_bytes_composed;

/* Puts all of them into a table. */
void ae_compose_fill(ae_backend *be);

#endif
