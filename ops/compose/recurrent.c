#include "ops/compose/compose.h"
#include "ops/compose/projection.h"
#include "ops/compose/room.h"

typedef struct {
    ae_f32 *rstd;      /* [M] */
    ae_act *kept;      /* [M, D] */
    ae_act *y, *x, *h; /* [M, C]: linear_y and linear_x of z, scan */
    ae_act *u, *gate_i,
        *gate_r; /* [M, C]: convolution of x, gate pre-activations; NULL where recomputed: scratch has them */
} recurrent_saved;

typedef struct {
    ae_act *z, *dz;              /* [M, D] */
    ae_act *product, *du, *dh;   /* [M, C]: gelu(y) h; forward uses only the first */
    ae_act *u, *gate_i, *gate_r; /* [M, C] */
    ae_act *converted;           /* [M, D] */
    ae_f32 *conv_state;          /* [B, K-1, C], a copy for recomputing the convolution */
    ae_room adapter;
} recurrent_scratch;

static bool recomputes(const ae_block_dims *n) {
    return !n->inference && (n->recompute & AE_RECOMPUTE_GATES);
}

static recurrent_saved saved_in(ae_arena *a, const ae_backend *be, const ae_block_dims *n) {
    const ptrdiff_t M = n->B * n->T;
    recurrent_saved s = {0};
    s.rstd = ae_take_f32(a, M);
    s.kept = ae_take_kept(a, be, n);
    s.y = ae_take_act(a, be, M * n->C);
    s.x = ae_take_act(a, be, M * n->C);
    s.h = ae_take_act(a, be, M * n->C);
    if (recomputes(n)) return s;
    s.u = ae_take_act(a, be, M * n->C);
    s.gate_i = ae_take_act(a, be, M * n->C);
    s.gate_r = ae_take_act(a, be, M * n->C);
    return s;
}

/* Recomputed tensors lie in scratch; `s` points at them there. */
static recurrent_scratch scratch_in(ae_arena *a, const ae_backend *be, const ae_block_dims *n,
                                    recurrent_saved *s) {
    const ptrdiff_t M = n->B * n->T;
    recurrent_scratch w = {0};
    w.z = ae_take_act(a, be, M * n->D);
    w.product = ae_take_act(a, be, M * n->C);
    w.adapter = ae_take_adapter_room(a, be, n, M);
    if (recomputes(n)) {
        s->u = ae_take_act(a, be, M * n->C);
        s->gate_i = ae_take_act(a, be, M * n->C);
        s->gate_r = ae_take_act(a, be, M * n->C);
        w.conv_state = ae_take_f32(a, n->B * (n->K - 1) * n->C);
    }
    if (n->inference) return w;
    /* one after the other: d as activations, z made again, the gradient of z; and the product, then du */
    w.converted = ae_conversion_in(w.z, be);
    w.dz = w.z;
    w.du = w.product;
    w.dh = ae_take_act(a, be, M * n->C);
    return w;
}

size_t ae_recurrent_saved_bytes_composed(const ae_backend *be, const ae_block_dims *n) {
    ae_arena a = (ae_arena){0};
    (void)saved_in(&a, be, n);
    return a.high;
}

size_t ae_recurrent_scratch_bytes_composed(const ae_backend *be, const ae_block_dims *n) {
    ae_arena a = (ae_arena){0};
    recurrent_saved s = {0};
    (void)scratch_in(&a, be, n, &s);
    return a.high;
}

/* u and the gates' pre-activations, from x: in forward, and in backward where they are recomputed. */
static void make_gates(const ae_backend *be, const recurrent_saved *s, const ae_recurrent_params *p,
                       ae_f32 *conv_state, const ae_block_batch *batch, const ae_block_dims *n) {
    be->conv_forward(be, s->u, conv_state, s->x, p->conv, p->conv_bias, batch->positions,
                     (ae_conv_dims){n->B, n->T, n->C, n->K});
    ae_project_gates(be, n, s->gate_i, s->u, p->input_gate, p->input_gate_bias);
    ae_project_gates(be, n, s->gate_r, s->u, p->recurrent_gate, p->recurrent_gate_bias);
}

/* The convolution replaces its state, so it is given a copy. */
static void recompute_gates(const ae_backend *be, const recurrent_saved *s, const recurrent_scratch *w,
                            const ae_recurrent_params *p, const ae_recurrent_state *state,
                            const ae_block_batch *batch, const ae_block_dims *n) {
    if (state) be->copy(be, w->conv_state, state->conv, (size_t)(n->B * (n->K - 1) * n->C) * sizeof(float));
    make_gates(be, s, p, state ? w->conv_state : NULL, batch, n);
}

void ae_recurrent_forward_composed(const ae_backend *be, ae_f32 *out, ae_room saved, const ae_f32 *x,
                                   const ae_recurrent_params *p, ae_recurrent_state *state,
                                   const ae_block_batch *batch, const ae_block_dims *n, ae_room scratch) {
    ae_arena saved_arena = ae_arena_over(saved), scratch_arena = ae_arena_over(scratch);
    recurrent_saved s = saved_in(&saved_arena, be, n);
    const recurrent_scratch w = scratch_in(&scratch_arena, be, n, &s);
    const ptrdiff_t M = n->B * n->T;
    be->rmsnorm_forward(be, w.z, s.kept, s.rstd, x, p->norm, n->norm_eps, M, n->D);
    ae_project(be, n, s.y, w.z, &p->linear_y, M, n->D, n->C, w.adapter);
    ae_project(be, n, s.x, w.z, &p->linear_x, M, n->D, n->C, w.adapter);
    make_gates(be, &s, p, state ? state->conv : NULL, batch, n);
    be->rglru_forward(be, s.h, state ? state->h : NULL, s.u, s.gate_i, s.gate_r, p->recurrent_param,
                      batch->positions, (ae_rglru_dims){n->B, n->T, n->C});
    be->geglu_forward(be, w.product, s.y, s.h, M * n->C);
    ae_project_residual(be, n, out, x, w.product, &p->linear_out, M, n->C, n->D, w.adapter);
}

void ae_recurrent_backward_composed(const ae_backend *be, ae_f32 *d, const ae_recurrent_grads *g,
                                    ae_room saved, const ae_f32 *x, const ae_recurrent_params *p,
                                    const ae_recurrent_state *state, const ae_block_batch *batch,
                                    const ae_block_dims *n, ae_room scratch) {
    ae_arena saved_arena = ae_arena_over(saved), scratch_arena = ae_arena_over(scratch);
    recurrent_saved s = saved_in(&saved_arena, be, n);
    const recurrent_scratch w = scratch_in(&scratch_arena, be, n, &s);
    const ptrdiff_t M = n->B * n->T;
    const ae_act *d_out = ae_act_of(be, w.converted, d, M * n->D), *kept = ae_kept_input(be, s.kept, x);
    if (recomputes(n)) recompute_gates(be, &s, &w, p, state, batch, n);

    ae_project_backward_input(be, w.dh, d_out, &p->linear_out, false, M, n->C, n->D, w.adapter);
    be->geglu_backward(be, s.y, w.dh, w.product, w.dh, s.y, s.h, M * n->C); /* y becomes its gradient */
    ae_project_backward_weight(be, &g->linear_out, d_out, w.product, &p->linear_out, M, n->C, n->D,
                               w.adapter);

    be->rglru_backward(be, w.du, s.gate_i, s.gate_r, g->recurrent_param, w.dh, s.u, s.gate_i, s.gate_r, s.h,
                       state ? state->h : NULL, p->recurrent_param, batch->positions,
                       (ae_rglru_dims){n->B, n->T, n->C}); /* the gates become their gradients */
    be->gates_backward_weight(be, g->input_gate, g->input_gate_bias, s.gate_i, s.u, M, n->C, n->N);
    be->gates_backward_weight(be, g->recurrent_gate, g->recurrent_gate_bias, s.gate_r, s.u, M, n->C, n->N);
    be->gates_backward_input(be, w.du, s.gate_i, p->input_gate, true, M, n->C, n->N);
    be->gates_backward_input(be, w.du, s.gate_r, p->recurrent_gate, true, M, n->C, n->N);
    be->conv_backward(be, w.dh, g->conv, g->conv_bias, w.du, s.x, state ? state->conv : NULL, p->conv,
                      batch->positions, (ae_conv_dims){n->B, n->T, n->C, n->K});

    be->rmsnorm_again(be, w.z, kept, s.rstd, p->norm, M, n->D);
    ae_project_backward_weight(be, &g->linear_x, w.dh, w.z, &p->linear_x, M, n->D, n->C, w.adapter);
    ae_project_backward_weight(be, &g->linear_y, s.y, w.z, &p->linear_y, M, n->D, n->C, w.adapter);
    ae_project_backward_input(be, w.dz, w.dh, &p->linear_x, false, M, n->D, n->C, w.adapter);
    ae_project_backward_input(be, w.dz, s.y, &p->linear_y, true, M, n->D, n->C, w.adapter);
    be->rmsnorm_backward(be, d, g->norm, w.dz, kept, p->norm, s.rstd, M, n->D);
}
