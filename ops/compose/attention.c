#include "ops/compose/compose.h"
#include "ops/compose/projection.h"
#include "ops/compose/room.h"

typedef struct {
    ae_f32 *rstd, *lse;    /* [M], [M, N] */
    ae_act *kept;          /* [M, D] */
    ae_act *q, *k, *v, *o; /* [M, N H], [M, G H] twice, [M, N H] */
} attention_saved;

typedef struct {
    ae_act *z, *dz;       /* [M, D] */
    ae_act *dq, *dk, *dv; /* as q, k, v */
    ae_act *d_o;          /* [M, N H] */
    ae_act *converted;    /* [M, D] */
    ae_room attention;    /* the op's own */
    ae_room adapter;
} attention_scratch;

static ae_attention_dims op_dims(const ae_backend *be, const ae_block_dims *n) {
    return (ae_attention_dims){n->B, n->T, n->N, n->G, n->H, n->W, be->threads};
}

static attention_saved saved_in(ae_arena *a, const ae_backend *be, const ae_block_dims *n) {
    const ptrdiff_t M = n->B * n->T, Q = M * n->N * n->H, G = M * n->G * n->H;
    attention_saved s;
    s.rstd = ae_take_f32(a, M);
    s.lse = ae_take_f32(a, M * n->N);
    s.kept = ae_take_kept(a, be, n);
    s.q = ae_take_act(a, be, Q);
    s.k = ae_take_act(a, be, G);
    s.v = ae_take_act(a, be, G);
    s.o = ae_take_act(a, be, Q);
    return s;
}

static attention_scratch scratch_in(ae_arena *a, const ae_backend *be, const ae_block_dims *n) {
    const ptrdiff_t M = n->B * n->T, Q = M * n->N * n->H, G = M * n->G * n->H;
    attention_scratch s = {0};
    s.attention = ae_arena_room(a, be->attention_scratch_bytes(be, op_dims(be, n), n->inference));
    s.z = ae_take_act(a, be, M * n->D);
    s.adapter = ae_take_adapter_room(a, be, n, M);
    if (n->inference) return s;
    /* one after the other: d as activations, z made again, the gradient of z */
    s.converted = ae_conversion_in(s.z, be);
    s.dz = s.z;
    s.dq = ae_take_act(a, be, Q);
    s.dk = ae_take_act(a, be, G);
    s.dv = ae_take_act(a, be, G);
    s.d_o = ae_take_act(a, be, Q);
    return s;
}

size_t ae_attention_block_saved_bytes_composed(const ae_backend *be, const ae_block_dims *n) {
    ae_arena a = (ae_arena){0};
    (void)saved_in(&a, be, n);
    return a.high;
}

size_t ae_attention_block_scratch_bytes_composed(const ae_backend *be, const ae_block_dims *n) {
    ae_arena a = (ae_arena){0};
    (void)scratch_in(&a, be, n);
    return a.high;
}

void ae_attention_block_forward_composed(const ae_backend *be, ae_f32 *out, ae_room saved, const ae_f32 *x,
                                         const ae_attention_params *p, ae_attention_state *state,
                                         const ae_block_batch *batch, const ae_block_dims *n,
                                         ae_room scratch) {
    ae_arena saved_arena = ae_arena_over(saved), scratch_arena = ae_arena_over(scratch);
    const attention_saved s = saved_in(&saved_arena, be, n);
    const attention_scratch w = scratch_in(&scratch_arena, be, n);
    const ptrdiff_t M = n->B * n->T, Q = n->N * n->H, G = n->G * n->H;
    be->rmsnorm_forward(be, w.z, s.kept, s.rstd, x, p->norm, n->norm_eps, M, n->D);
    ae_project(be, n, s.q, w.z, &p->q, M, n->D, Q, w.adapter);
    ae_project(be, n, s.k, w.z, &p->k, M, n->D, G, w.adapter);
    ae_project(be, n, s.v, w.z, &p->v, M, n->D, G, w.adapter);
    be->rope_apply(be, s.q, batch->cosines, batch->sines, false, M, n->N, n->H, n->R);
    be->rope_apply(be, s.k, batch->cosines, batch->sines, false, M, n->G, n->H, n->R);
    be->attention_forward(be, s.o, s.lse, state ? state->k : NULL, state ? state->v : NULL, s.q, s.k, s.v,
                          batch->positions, op_dims(be, n), w.attention);
    ae_project_residual(be, n, out, x, s.o, &p->o, M, Q, n->D, w.adapter);
}

void ae_attention_block_backward_composed(const ae_backend *be, ae_f32 *d, const ae_attention_grads *g,
                                          ae_room saved, const ae_f32 *x, const ae_attention_params *p,
                                          const ae_attention_state *state, const ae_block_batch *batch,
                                          const ae_block_dims *n, ae_room scratch) {
    ae_arena saved_arena = ae_arena_over(saved), scratch_arena = ae_arena_over(scratch);
    const attention_saved s = saved_in(&saved_arena, be, n);
    const attention_scratch w = scratch_in(&scratch_arena, be, n);
    const ptrdiff_t M = n->B * n->T, Q = n->N * n->H, G = n->G * n->H;
    const ae_act *d_out = ae_act_of(be, w.converted, d, M * n->D), *kept = ae_kept_input(be, s.kept, x);

    ae_project_backward_input(be, w.d_o, d_out, &p->o, false, M, Q, n->D, w.adapter);
    ae_project_backward_weight(be, &g->o, d_out, s.o, &p->o, M, Q, n->D, w.adapter);
    be->attention_backward(be, w.dq, w.dk, w.dv, w.d_o, s.q, s.k, s.v, state ? state->k : NULL,
                           state ? state->v : NULL, s.o, s.lse, batch->positions, op_dims(be, n),
                           w.attention);
    be->rope_apply(be, w.dq, batch->cosines, batch->sines, true, M, n->N, n->H, n->R);
    be->rope_apply(be, w.dk, batch->cosines, batch->sines, true, M, n->G, n->H, n->R);

    be->rmsnorm_again(be, w.z, kept, s.rstd, p->norm, M, n->D);
    ae_project_backward_weight(be, &g->q, w.dq, w.z, &p->q, M, n->D, Q, w.adapter);
    ae_project_backward_weight(be, &g->k, w.dk, w.z, &p->k, M, n->D, G, w.adapter);
    ae_project_backward_weight(be, &g->v, w.dv, w.z, &p->v, M, n->D, G, w.adapter);
    ae_project_backward_input(be, w.dz, w.dq, &p->q, false, M, n->D, Q, w.adapter);
    ae_project_backward_input(be, w.dz, w.dk, &p->k, true, M, n->D, G, w.adapter);
    ae_project_backward_input(be, w.dz, w.dv, &p->v, true, M, n->D, G, w.adapter);
    be->rmsnorm_backward(be, d, g->norm, w.dz, kept, p->norm, s.rstd, M, n->D);
}
