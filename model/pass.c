#include "model/pass.h"

#include "model/decode.h"
#include "model/pass_memory.h"

#include <assert.h>
#include <stdio.h>

/* ---- forward ---- */

static void upload_batch(ae_pass *p, const ae_model_config *c, const ae_micro_batch *b) {
    assert(b->B >= 1 && b->T >= 1 && b->B <= p->dims.B && b->T <= p->dims.T);
    const ptrdiff_t M = b->B * b->T, R = ae_model_rope_elements(c);
    const size_t bytes = (size_t)M * sizeof(int32_t);
    p->be->upload(p->be, p->tokens, b->tokens, bytes);
    p->be->upload(p->be, p->positions, b->positions, bytes);
    if (b->targets != NULL) p->be->upload(p->be, p->targets, b->targets, bytes);
    if (b->weights != NULL) p->be->upload(p->be, p->weights, b->weights, bytes);
    if (p->cosines != NULL) p->be->rope_table(p->be, p->cosines, p->sines, p->positions, c->rope_theta, M, R);
}

static ae_f32 *output_of(const ae_pass *p, const ae_model *m, ptrdiff_t block) {
    return block + 1 < m->config.blocks ? p->blocks[block + 1].x : p->x_last;
}

/* One block's part of a state, from the micro-batch's first row on. */
typedef struct {
    ae_recurrent_state recurrent;
    ae_attention_state attention;
    ptrdiff_t places; /* of its rings */
} block_state;

static block_state state_of(const ae_decode_state *s, ptrdiff_t block, ptrdiff_t first) {
    const ae_decode_part part = ae_decode_state_part(s, block, first);
    return (block_state){
        {.h = part.first, .conv = part.second}, {.k = part.first, .v = part.second}, part.places};
}

/* The ops replace a state by the next one; `before` stays for backward, and for running forward again. */
static void forward_block(const ae_pass *p, const ae_model *m, ptrdiff_t i, const ae_block_dims *all,
                          const ae_carried_rows *carried) {
    const ae_pass_block *b = &p->blocks[i];
    ae_block_dims dims = ae_pass_block_dims(p, all, i), *n = &dims;
    const ae_block_batch batch = {p->positions, p->cosines, p->sines};
    const ae_block_room room = {b->temporal_saved, b->mlp_saved, p->scratch};
    block_state s;
    if (carried != NULL) {
        s = state_of(carried->after, i, carried->first);
        n->W = s.places;
        if (carried->before != carried->after)
            ae_decode_state_copy_block(carried->after, carried->first, carried->before, carried->first, i,
                                       n->B);
    }
    ae_model_block_forward(m, i, output_of(p, m, i), b->mid, b->x, carried != NULL ? &s.recurrent : NULL,
                           carried != NULL ? &s.attention : NULL, &batch, n, &room);
}

static void advance(const ae_carried_rows *carried, const ae_micro_batch *b) {
    assert(carried->first >= 0 && carried->first + b->B <= carried->after->B);
    for (ptrdiff_t row = 0; row < b->B; row++)
        carried->after->positions[carried->first + row] = b->positions[(row + 1) * b->T - 1] + 1;
}

void ae_pass_forward(ae_pass *p, const ae_model *m, const ae_micro_batch *b) {
    const ae_model_config *c = &m->config;
    const ae_block_dims n = ae_model_block_dims(c, m->params.adapter_rank, b->B, b->T, !p->training);
    const ptrdiff_t M = b->B * b->T;
    assert(!p->training || b->carried == NULL || b->carried->before != b->carried->after);
    p->model = m;
    p->B = b->B;
    p->T = b->T;
    p->carried = b->carried != NULL ? *b->carried : (ae_carried_rows){0};
    p->has_gradient = false;
    upload_batch(p, c, b);
    p->be->embedding_forward(p->be, p->blocks[0].x, m->views->table->packed, p->tokens,
                             ae_model_embedding_scale(c), M, c->D);
    for (ptrdiff_t i = 0; i < c->blocks; i++) forward_block(p, m, i, &n, b->carried);
    if (b->carried != NULL) advance(b->carried, b);
    p->be->rmsnorm_forward(p->be, p->z, p->kept, p->rstd, p->x_last, m->views->final_norm->value,
                           (float)c->norm_eps, M, c->D);
}

/* ---- backward ---- */

static void backward_block(const ae_pass *p, const ae_model *m, ptrdiff_t i, const ae_block_dims *all,
                           const ae_carried_rows *carried) {
    const ae_backend *be = p->be;
    const ae_pass_block *b = &p->blocks[i];
    const ae_block_view *v = &m->views->blocks[i];
    const ae_block_batch batch = {p->positions, p->cosines, p->sines};
    ae_block_dims dims = ae_pass_block_dims(p, all, i), *n = &dims;
    /* writes the same bits over the output, which nobody reads any more */
    if (i < p->dims.recompute_blocks) forward_block(p, m, i, all, carried);
    block_state s;
    if (carried != NULL) {
        s = state_of(carried->before, i, carried->first);
        n->W = s.places;
    }
    be->mlp_backward(be, p->d, &v->mlp.g, b->mlp_saved, b->mid, &v->mlp.p, n, p->scratch);
    if (v->kind == AE_ATTENTION)
        be->attention_block_backward(be, p->d, &v->attention.g, b->temporal_saved, b->x, &v->attention.p,
                                     carried != NULL ? &s.attention : NULL, &batch, n, p->scratch);
    else
        be->recurrent_backward(be, p->d, &v->recurrent.g, b->temporal_saved, b->x, &v->recurrent.p,
                               carried != NULL ? &s.recurrent : NULL, &batch, n, p->scratch);
}

/* The gradient of the last stream, from that of the hidden states. */
static void backward_norm(const ae_pass *p, const ae_param *norm, ptrdiff_t M, const ae_model_config *c) {
    const ae_backend *be = p->be;
    const ae_act *kept = p->kept != NULL ? p->kept : ae_act_of(be, NULL, p->x_last, 0);
    be->zero(be, p->d, (size_t)(M * c->D) * sizeof(float));
    be->rmsnorm_backward(be, p->d, norm->grad, p->dz, kept, norm->value, p->rstd, M, c->D);
}

/* The lowest block in which something trains, below which no gradient is wanted; as many as there are blocks where none does. */
static ptrdiff_t lowest_trained(const ae_model *m) {
    ptrdiff_t lowest = m->config.blocks, block;
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        if (p->grad != NULL && sscanf(p->name, "model.layers.%td.", &block) == 1)
            lowest = ae_min(lowest, block);
    }
    return lowest;
}

void ae_pass_backward(ae_pass *p) {
    const ae_model *m = p->model;
    assert(m != NULL && m->options.training);
    const ae_model_config *c = &m->config;
    const ae_param *table = m->views->table;
    const ae_block_dims n = ae_model_block_dims(c, m->params.adapter_rank, p->B, p->T, false);
    const ptrdiff_t M = n.B * n.T;
    p->model = NULL;
    if (!p->has_gradient) return;
    backward_norm(p, m->views->final_norm, M, c);
    const ptrdiff_t lowest = table->grad != NULL ? 0 : lowest_trained(m);
    const ae_carried_rows *carried = p->carried.before != NULL ? &p->carried : NULL;
    for (ptrdiff_t i = c->blocks - 1; i >= lowest; i--) backward_block(p, m, i, &n, carried);
    if (table->grad != NULL)
        p->be->embedding_backward(p->be, table->grad, p->d, p->tokens, ae_model_embedding_scale(c), M, c->D);
}
