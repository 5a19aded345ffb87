#ifndef AE_OPS_CPU_TABLE_H
#define AE_OPS_CPU_TABLE_H
#include "ops/backend.h"
#include "ops/cpu/act.h"

/* The rows of one instruction set and one type of activations: every file of ops/cpu that uses vectors is compiled once for each. */
ae_act *AE_ROW_NAME(ae_cpu_act_from_f32)(ae_act *room, const ae_f32 *x, ptrdiff_t n);
ae_embedding_forward_fn AE_ISA_NAME(ae_cpu_embedding_forward);
ae_embedding_backward_fn AE_ISA_NAME(ae_cpu_embedding_backward);
ae_rmsnorm_forward_fn AE_ROW_NAME(ae_cpu_rmsnorm_forward);
ae_rmsnorm_again_fn AE_ROW_NAME(ae_cpu_rmsnorm_again);
ae_rmsnorm_backward_fn AE_ROW_NAME(ae_cpu_rmsnorm_backward);
ae_linear_forward_fn AE_ROW_NAME(ae_cpu_linear_forward);
ae_linear_residual_fn AE_ROW_NAME(ae_cpu_linear_residual);
ae_linear_backward_input_fn AE_ROW_NAME(ae_cpu_linear_backward_input);
ae_linear_backward_weight_fn AE_ROW_NAME(ae_cpu_linear_backward_weight);
ae_gates_forward_fn AE_ROW_NAME(ae_cpu_gates_forward);
ae_gates_backward_input_fn AE_ROW_NAME(ae_cpu_gates_backward_input);
ae_gates_backward_weight_fn AE_ROW_NAME(ae_cpu_gates_backward_weight);
ae_conv_forward_fn AE_ROW_NAME(ae_cpu_conv_forward);
ae_conv_backward_fn AE_ROW_NAME(ae_cpu_conv_backward);
ae_rglru_forward_fn AE_ROW_NAME(ae_cpu_rglru_forward);
ae_rglru_backward_fn AE_ROW_NAME(ae_cpu_rglru_backward);
ae_geglu_forward_fn AE_ROW_NAME(ae_cpu_geglu_forward);
ae_geglu_backward_fn AE_ROW_NAME(ae_cpu_geglu_backward);
ae_rope_table_fn AE_ROW_NAME(ae_cpu_rope_table);
ae_rope_apply_fn AE_ROW_NAME(ae_cpu_rope_apply);
ae_attention_forward_fn AE_ROW_NAME(ae_cpu_attention_forward);
ae_attention_backward_fn AE_ROW_NAME(ae_cpu_attention_backward);
ae_attention_scratch_bytes_fn AE_ROW_NAME(ae_cpu_attention_scratch_bytes);
ae_head_loss_fn AE_ROW_NAME(ae_cpu_head_loss);
ae_head_score_fn AE_ROW_NAME(ae_cpu_head_score);
ae_head_logits_fn AE_ROW_NAME(ae_cpu_head_logits);
ae_head_scratch_bytes_fn AE_ROW_NAME(ae_cpu_head_scratch_bytes);
ae_adamw_fn AE_ISA_NAME(ae_cpu_adamw);
ae_adamw_weight_fn AE_ISA_NAME(ae_cpu_adamw_weight);
ae_sum_squares_fn AE_ISA_NAME(ae_cpu_sum_squares);

void ae_cpu_fill_avx2_f32(ae_backend *be);
void ae_cpu_fill_avx512_f32(ae_backend *be);
void ae_cpu_fill_avx2_bf16(ae_backend *be);
void ae_cpu_fill_avx512_bf16(ae_backend *be);
void ae_cpu_fill_avx512_bf16_native(ae_backend *be); /* where the processor has AVX512-BF16; the same bits */

#endif
