#include "formats/google_names.h"

#include <stdio.h>
#include <string.h>

const char ae_google_table_name[] = "embedder.input_embedding";

typedef struct {
    const char *google, *ours;
    ae_tensor_layout layout;
    int half;
} entry;

static const entry outside[] = {
    {ae_google_table_name, "model.embed_tokens.weight", AE_LAYOUT_FIRST_ROWS, 0},
    {"final_norm.scale", "model.final_norm.weight", AE_LAYOUT_SAME, 0},
};

/* Behind "blocks.I." there, "model.layers.I." here. */
static const entry of_block[] = {
    {"temporal_pre_norm.scale", "temporal_pre_norm.weight", AE_LAYOUT_SAME, 0},
    {"channel_pre_norm.scale", "channel_pre_norm.weight", AE_LAYOUT_SAME, 0},
    {"mlp_block.ffw_up.w", "mlp_block.gate_proj.weight", AE_LAYOUT_HALF_TURNED, 0},
    {"mlp_block.ffw_up.w", "mlp_block.up_proj.weight", AE_LAYOUT_HALF_TURNED, 1},
    {"mlp_block.ffw_up.b", "mlp_block.gate_proj.bias", AE_LAYOUT_HALF, 0},
    {"mlp_block.ffw_up.b", "mlp_block.up_proj.bias", AE_LAYOUT_HALF, 1},
    {"mlp_block.ffw_down.weight", "mlp_block.down_proj.weight", AE_LAYOUT_SAME, 0},
    {"mlp_block.ffw_down.bias", "mlp_block.down_proj.bias", AE_LAYOUT_SAME, 0},
    {"recurrent_block.linear_x.weight", "temporal_block.linear_x.weight", AE_LAYOUT_SAME, 0},
    {"recurrent_block.linear_x.bias", "temporal_block.linear_x.bias", AE_LAYOUT_SAME, 0},
    {"recurrent_block.linear_y.weight", "temporal_block.linear_y.weight", AE_LAYOUT_SAME, 0},
    {"recurrent_block.linear_y.bias", "temporal_block.linear_y.bias", AE_LAYOUT_SAME, 0},
    {"recurrent_block.linear_out.weight", "temporal_block.linear_out.weight", AE_LAYOUT_SAME, 0},
    {"recurrent_block.linear_out.bias", "temporal_block.linear_out.bias", AE_LAYOUT_SAME, 0},
    {"recurrent_block.conv_1d.w", "temporal_block.conv_1d.weight", AE_LAYOUT_TURNED, 0},
    {"recurrent_block.conv_1d.b", "temporal_block.conv_1d.bias", AE_LAYOUT_SAME, 0},
    {"recurrent_block.rg_lru.a_param", "temporal_block.rg_lru.recurrent_param", AE_LAYOUT_SAME, 0},
    {"recurrent_block.rg_lru.input_gate.w", "temporal_block.rg_lru.input_gate_weight", AE_LAYOUT_SAME, 0},
    {"recurrent_block.rg_lru.input_gate.b", "temporal_block.rg_lru.input_gate_bias", AE_LAYOUT_SAME, 0},
    {"recurrent_block.rg_lru.a_gate.w", "temporal_block.rg_lru.recurrent_gate_weight", AE_LAYOUT_SAME, 0},
    {"recurrent_block.rg_lru.a_gate.b", "temporal_block.rg_lru.recurrent_gate_bias", AE_LAYOUT_SAME, 0},
    {"attention_block.proj_q.weight", "temporal_block.q_proj.weight", AE_LAYOUT_SAME, 0},
    {"attention_block.proj_k.weight", "temporal_block.k_proj.weight", AE_LAYOUT_SAME, 0},
    {"attention_block.proj_v.weight", "temporal_block.v_proj.weight", AE_LAYOUT_SAME, 0},
    {"attention_block.proj_final.weight", "temporal_block.o_proj.weight", AE_LAYOUT_SAME, 0},
    {"attention_block.proj_final.bias", "temporal_block.o_proj.bias", AE_LAYOUT_SAME, 0},
};

static void set(ae_google_tensor *t, const entry *e, const char *block, int n_block) {
    *t = (ae_google_tensor){.layout = e->layout, .half = e->half};
    if (n_block > 0)
        snprintf(t->name, sizeof t->name, "model.layers.%.*s.%s", n_block, block, e->ours);
    else
        snprintf(t->name, sizeof t->name, "%s", e->ours);
}

/* "blocks.12.rest": 12 and rest. */
static const char *split(const char *name, const char **block, int *n_block) {
    static const char prefix[] = "blocks.";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return NULL;
    *block = name + sizeof prefix - 1;
    const size_t n = strspn(*block, "0123456789");
    *n_block = (int)n;
    return n > 0 && n < 7 && (*block)[n] == '.' ? *block + n + 1 : NULL;
}

int ae_google_tensors(const char *name, ae_google_tensor out[AE_GOOGLE_NAMES_MAX]) {
    const char *block = NULL;
    int n_block = 0, n = 0;
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        if (strcmp(outside[i].google, name) == 0) set(&out[n++], &outside[i], NULL, 0);
    const char *rest = split(name, &block, &n_block);
    for (size_t i = 0; rest != NULL && i < sizeof of_block / sizeof *of_block; i++)
        if (strcmp(of_block[i].google, rest) == 0) set(&out[n++], &of_block[i], block, n_block);
    return n;
}

int ae_layout_shape(ae_tensor_layout layout, int rank, const int64_t *shape,
                    int64_t out[AE_LAYOUT_RANK_MAX]) {
    switch (layout) {
    case AE_LAYOUT_HALF:
        out[0] = 2;
        out[1] = out[2] = 1;
        out[3] = shape[0];
        return 4;
    case AE_LAYOUT_HALF_TURNED:
        out[0] = 2;
        out[1] = shape[1];
        out[2] = shape[0];
        return 3;
    case AE_LAYOUT_TURNED:
        out[0] = shape[rank - 1];
        out[1] = shape[0];
        return 2;
    case AE_LAYOUT_FIRST_ROWS:
    case AE_LAYOUT_SAME:
        break;
    }
    memcpy(out, shape, (size_t)rank * sizeof *shape);
    return rank;
}

bool ae_layout_is_turned(ae_tensor_layout layout) {
    return layout == AE_LAYOUT_TURNED || layout == AE_LAYOUT_HALF_TURNED;
}
