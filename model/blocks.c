#include "model/views.h"

ae_block_dims ae_model_block_dims(const ae_model_config *c, ptrdiff_t adapter_rank, ptrdiff_t B, ptrdiff_t T,
                                  bool inference) {
    return (ae_block_dims){.B = B,
                           .T = T,
                           .D = c->D,
                           .C = c->C,
                           .E = c->E,
                           .N = c->N,
                           .G = c->G,
                           .H = c->H,
                           .W = c->W,
                           .K = c->K,
                           .R = ae_model_rope_elements(c),
                           .norm_eps = (float)c->norm_eps,
                           .inference = inference,
                           .adapter_rank = adapter_rank};
}

bool ae_model_attends(const ae_model_config *c) {
    for (ptrdiff_t i = 0; i < c->blocks; i++) {
        if (c->pattern[i] == AE_ATTENTION) return true;
    }
    return false;
}

static size_t more(size_t a, size_t b) {
    return a > b ? a : b;
}

size_t ae_model_temporal_saved_bytes(const ae_backend *be, ae_block_kind kind, const ae_block_dims *n) {
    return kind == AE_ATTENTION ? be->attention_block_saved_bytes(be, n) : be->recurrent_saved_bytes(be, n);
}

static size_t temporal_scratch_bytes(const ae_backend *be, ae_block_kind kind, const ae_block_dims *n) {
    return kind == AE_ATTENTION ? be->attention_block_scratch_bytes(be, n)
                                : be->recurrent_scratch_bytes(be, n);
}

ae_model_block_bytes ae_model_most_block_bytes(const ae_backend *be, const ae_model_config *c,
                                               const ae_block_dims *n) {
    ae_model_block_bytes b = {.mlp_saved = be->mlp_saved_bytes(be, n),
                              .scratch = be->mlp_scratch_bytes(be, n)};
    for (ptrdiff_t i = 0; i < c->blocks; i++) {
        const ae_block_kind kind = c->pattern[i] == AE_ATTENTION ? AE_ATTENTION : AE_RECURRENT;
        b.temporal_saved = more(b.temporal_saved, ae_model_temporal_saved_bytes(be, kind, n));
        b.scratch = more(b.scratch, temporal_scratch_bytes(be, kind, n));
    }
    return b;
}

void ae_model_block_forward(const ae_model *m, ptrdiff_t block, ae_f32 *out, ae_f32 *mid, const ae_f32 *x,
                            ae_recurrent_state *recurrent, ae_attention_state *attention,
                            const ae_block_batch *batch, const ae_block_dims *n, const ae_block_room *room) {
    const ae_backend *be = m->be;
    const ae_block_view *v = &m->views->blocks[block];
    if (v->kind == AE_ATTENTION)
        be->attention_block_forward(be, mid, room->temporal, x, &v->attention.p, attention, batch, n,
                                    room->scratch);
    else
        be->recurrent_forward(be, mid, room->temporal, x, &v->recurrent.p, recurrent, batch, n,
                              room->scratch);
    be->mlp_forward(be, out, room->mlp, mid, &v->mlp.p, n, room->scratch);
}
