#include "model/views.h"

#include <assert.h>
#include <stdio.h>

typedef struct {
    const ae_params *params;
    const ae_model_config *config;
    ptrdiff_t block; /* -1: outside the blocks */
} lookup;

/* NULL where there is none. */
static const ae_param *find(lookup l, const char *name) {
    char full[AE_PARAM_NAME];
    return ae_param_name(full, l.config, l.block, name) ? ae_params_find(l.params, full) : NULL;
}

static const ae_param *of_block(lookup l, const char *name) {
    const ae_param *p = find(l, name);
    assert(p != NULL);
    return p;
}

static const ae_weight *weight(lookup l, const char *name) {
    return of_block(l, name)->packed;
}
static const ae_f32 *value(lookup l, const char *name) {
    return of_block(l, name)->value;
}
static ae_f32 *grad(lookup l, const char *name) {
    return of_block(l, name)->grad;
}

#define T_ "temporal_block."
#define M_ "mlp_block."

/* The entry STEM.TAIL of the block; NULL where there is none. */
static const ae_param *may_have(lookup l, const char *stem, const char *tail) {
    char name[AE_PARAM_NAME];
    snprintf(name, sizeof name, "%s.%s", stem, tail);
    return find(l, name);
}

static ae_projection projection(lookup l, const char *stem) {
    const ae_param *w = may_have(l, stem, "weight"), *bias = may_have(l, stem, "bias"),
                   *a = ae_params_find_adapter(l.params, w->name, 'A'),
                   *b = ae_params_find_adapter(l.params, w->name, 'B');
    assert(w != NULL && (a == NULL) == (b == NULL));
    ae_projection p = {.w = w->packed, .bias = bias != NULL ? bias->value : NULL};
    if (a != NULL)
        p.adapter =
            (ae_adapter){a->packed, b->packed, l.params->adapter_rank, (float)l.params->adapter_scale};
    return p;
}

static ae_projection_grads projection_grads(lookup l, const char *stem) {
    const ae_param *w = may_have(l, stem, "weight"), *bias = may_have(l, stem, "bias"),
                   *a = ae_params_find_adapter(l.params, w->name, 'A'),
                   *b = ae_params_find_adapter(l.params, w->name, 'B');
    return (ae_projection_grads){.w = w->grad,
                                 .bias = bias != NULL ? bias->grad : NULL,
                                 .a = a != NULL ? a->grad : NULL,
                                 .b = b != NULL ? b->grad : NULL};
}

static void view_recurrent(ae_block_view *v, lookup l) {
    v->recurrent.p = (ae_recurrent_params){
        .norm = value(l, "temporal_pre_norm.weight"),
        .linear_x = projection(l, T_ "linear_x"),
        .linear_y = projection(l, T_ "linear_y"),
        .conv = value(l, T_ "conv_1d.weight"),
        .conv_bias = value(l, T_ "conv_1d.bias"),
        .input_gate = weight(l, T_ "rg_lru.input_gate_weight"),
        .recurrent_gate = weight(l, T_ "rg_lru.recurrent_gate_weight"),
        .input_gate_bias = value(l, T_ "rg_lru.input_gate_bias"),
        .recurrent_gate_bias = value(l, T_ "rg_lru.recurrent_gate_bias"),
        .recurrent_param = value(l, T_ "rg_lru.recurrent_param"),
        .linear_out = projection(l, T_ "linear_out"),
    };
    v->recurrent.g = (ae_recurrent_grads){
        .norm = grad(l, "temporal_pre_norm.weight"),
        .linear_x = projection_grads(l, T_ "linear_x"),
        .linear_y = projection_grads(l, T_ "linear_y"),
        .conv = grad(l, T_ "conv_1d.weight"),
        .conv_bias = grad(l, T_ "conv_1d.bias"),
        .input_gate = grad(l, T_ "rg_lru.input_gate_weight"),
        .recurrent_gate = grad(l, T_ "rg_lru.recurrent_gate_weight"),
        .input_gate_bias = grad(l, T_ "rg_lru.input_gate_bias"),
        .recurrent_gate_bias = grad(l, T_ "rg_lru.recurrent_gate_bias"),
        .recurrent_param = grad(l, T_ "rg_lru.recurrent_param"),
        .linear_out = projection_grads(l, T_ "linear_out"),
    };
}

static void view_attention(ae_block_view *v, lookup l) {
    v->attention.p = (ae_attention_params){
        .norm = value(l, "temporal_pre_norm.weight"),
        .q = projection(l, T_ "q_proj"),
        .k = projection(l, T_ "k_proj"),
        .v = projection(l, T_ "v_proj"),
        .o = projection(l, T_ "o_proj"),
    };
    v->attention.g = (ae_attention_grads){
        .norm = grad(l, "temporal_pre_norm.weight"),
        .q = projection_grads(l, T_ "q_proj"),
        .k = projection_grads(l, T_ "k_proj"),
        .v = projection_grads(l, T_ "v_proj"),
        .o = projection_grads(l, T_ "o_proj"),
    };
}

static void view_mlp(ae_block_view *v, lookup l) {
    v->mlp.p = (ae_mlp_params){
        .norm = value(l, "channel_pre_norm.weight"),
        .gate = projection(l, M_ "gate_proj"),
        .up = projection(l, M_ "up_proj"),
        .down = projection(l, M_ "down_proj"),
    };
    v->mlp.g = (ae_mlp_grads){
        .norm = grad(l, "channel_pre_norm.weight"),
        .gate = projection_grads(l, M_ "gate_proj"),
        .up = projection_grads(l, M_ "up_proj"),
        .down = projection_grads(l, M_ "down_proj"),
    };
}

void ae_model_make_views(ae_model *m) {
    ae_model_views *v = m->views;
    const lookup outside = {&m->params, &m->config, -1};
    v->table = find(outside, "embed_tokens.weight");
    v->final_norm = find(outside, "final_norm.weight");
    for (ptrdiff_t i = 0; i < m->config.blocks; i++) {
        const lookup l = {&m->params, &m->config, i};
        ae_block_view *b = &v->blocks[i];
        b->kind = m->config.pattern[i] == AE_ATTENTION ? AE_ATTENTION : AE_RECURRENT;
        if (b->kind == AE_ATTENTION)
            view_attention(b, l);
        else
            view_recurrent(b, l);
        view_mlp(b, l);
    }
}
