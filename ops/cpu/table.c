#include "ops/cpu/table.h"

void AE_ROW_NAME(ae_cpu_fill)(ae_backend *be) {
    be->act_from_f32 = AE_ROW_NAME(ae_cpu_act_from_f32);
    be->embedding_forward = AE_ISA_NAME(ae_cpu_embedding_forward);
    be->embedding_backward = AE_ISA_NAME(ae_cpu_embedding_backward);
    be->rmsnorm_forward = AE_ROW_NAME(ae_cpu_rmsnorm_forward);
    be->rmsnorm_again = AE_ROW_NAME(ae_cpu_rmsnorm_again);
    be->rmsnorm_backward = AE_ROW_NAME(ae_cpu_rmsnorm_backward);
    be->linear_forward = AE_ROW_NAME(ae_cpu_linear_forward);
    be->linear_residual = AE_ROW_NAME(ae_cpu_linear_residual);
    be->linear_backward_input = AE_ROW_NAME(ae_cpu_linear_backward_input);
    be->linear_backward_weight = AE_ROW_NAME(ae_cpu_linear_backward_weight);
    be->gates_forward = AE_ROW_NAME(ae_cpu_gates_forward);
    be->gates_backward_input = AE_ROW_NAME(ae_cpu_gates_backward_input);
    be->gates_backward_weight = AE_ROW_NAME(ae_cpu_gates_backward_weight);
    be->conv_forward = AE_ROW_NAME(ae_cpu_conv_forward);
    be->conv_backward = AE_ROW_NAME(ae_cpu_conv_backward);
    be->rglru_forward = AE_ROW_NAME(ae_cpu_rglru_forward);
    be->rglru_backward = AE_ROW_NAME(ae_cpu_rglru_backward);
    be->geglu_forward = AE_ROW_NAME(ae_cpu_geglu_forward);
    be->geglu_backward = AE_ROW_NAME(ae_cpu_geglu_backward);
    be->rope_table = AE_ROW_NAME(ae_cpu_rope_table);
    be->rope_apply = AE_ROW_NAME(ae_cpu_rope_apply);
    be->attention_forward = AE_ROW_NAME(ae_cpu_attention_forward);
    be->attention_backward = AE_ROW_NAME(ae_cpu_attention_backward);
    be->attention_scratch_bytes = AE_ROW_NAME(ae_cpu_attention_scratch_bytes);
    be->head_loss = AE_ROW_NAME(ae_cpu_head_loss);
    be->head_score = AE_ROW_NAME(ae_cpu_head_score);
    be->head_logits = AE_ROW_NAME(ae_cpu_head_logits);
    be->head_scratch_bytes = AE_ROW_NAME(ae_cpu_head_scratch_bytes);
    be->adamw = AE_ISA_NAME(ae_cpu_adamw);
    be->adamw_weight = AE_ISA_NAME(ae_cpu_adamw_weight);
    be->sum_squares = AE_ISA_NAME(ae_cpu_sum_squares);
}
