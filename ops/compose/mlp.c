#include "ops/compose/compose.h"
#include "ops/compose/room.h"

typedef struct {
    ae_f32 *rstd;      /* [M] */
    ae_act *gate, *up; /* [M, E] */
} mlp_saved;

typedef struct {
    ae_act *z, *dz;    /* [M, D] */
    ae_act *y;         /* [M, E]: forward gelu(gate) up, backward its gradient */
    ae_act *converted; /* [M, D] */
} mlp_scratch;

static mlp_saved saved_in(ae_arena *a, const ae_backend *be, const ae_block_dims *n) {
    const ptrdiff_t M = n->B * n->T;
    mlp_saved s;
    s.rstd = ae_take_f32(a, M);
    s.gate = ae_take_act(a, be, M * n->E);
    s.up = ae_take_act(a, be, M * n->E);
    return s;
}

static mlp_scratch scratch_in(ae_arena *a, const ae_backend *be, const ae_block_dims *n) {
    const ptrdiff_t M = n->B * n->T;
    mlp_scratch s = {0};
    s.z = ae_take_act(a, be, M * n->D);
    s.y = ae_take_act(a, be, M * n->E);
    if (n->inference) return s;
    s.dz = ae_take_act(a, be, M * n->D);
    s.converted = ae_take_conversion(a, be, M * n->D);
    return s;
}

size_t ae_mlp_saved_bytes_composed(const ae_backend *be, const ae_block_dims *n) {
    ae_arena a = ae_arena_over(NULL);
    (void)saved_in(&a, be, n);
    return a.high;
}

size_t ae_mlp_scratch_bytes_composed(const ae_backend *be, const ae_block_dims *n) {
    ae_arena a = ae_arena_over(NULL);
    (void)scratch_in(&a, be, n);
    return a.high;
}

void ae_mlp_forward_composed(const ae_backend *be, ae_f32 *out, void *saved, const ae_f32 *x,
                             const ae_mlp_params *p, const ae_block_dims *n, void *scratch) {
    ae_arena saved_arena = ae_arena_over(saved), scratch_arena = ae_arena_over(scratch);
    const mlp_saved s = saved_in(&saved_arena, be, n);
    const mlp_scratch w = scratch_in(&scratch_arena, be, n);
    const ptrdiff_t M = n->B * n->T;
    be->rmsnorm_forward(w.z, s.rstd, x, p->norm, n->norm_eps, M, n->D);
    be->linear_forward(s.gate, w.z, p->gate, p->gate_bias, M, n->D, n->E);
    be->linear_forward(s.up, w.z, p->up, p->up_bias, M, n->D, n->E);
    be->geglu_forward(w.y, s.gate, s.up, M * n->E);
    be->linear_residual(out, x, w.y, p->down, p->down_bias, M, n->E, n->D);
}

void ae_mlp_backward_composed(const ae_backend *be, ae_f32 *d, const ae_mlp_grads *g, void *saved,
                              const ae_f32 *x, const ae_mlp_params *p, const ae_block_dims *n,
                              void *scratch) {
    ae_arena saved_arena = ae_arena_over(saved), scratch_arena = ae_arena_over(scratch);
    const mlp_saved s = saved_in(&saved_arena, be, n);
    const mlp_scratch w = scratch_in(&scratch_arena, be, n);
    const ptrdiff_t M = n->B * n->T;
    const ae_act *d_out = be->act_from_f32(w.converted, d, M * n->D);
    be->linear_backward_input(w.y, d_out, p->down, false, M, n->E, n->D);
    /* In place: gate becomes its gradient, y (the gradient of the product) becomes up's, up becomes the product itself. */
    be->geglu_backward(s.gate, w.y, s.up, w.y, s.gate, s.up, M * n->E);
    be->linear_backward_weight(g->down, g->down_bias, d_out, s.up, M, n->E, n->D);
    be->rmsnorm_forward(w.z, s.rstd, x, p->norm, n->norm_eps, M, n->D);
    be->linear_backward_weight(g->gate, g->gate_bias, s.gate, w.z, M, n->D, n->E);
    be->linear_backward_weight(g->up, g->up_bias, w.y, w.z, M, n->D, n->E);
    be->linear_backward_input(w.dz, s.gate, p->gate, false, M, n->D, n->E);
    be->linear_backward_input(w.dz, w.y, p->up, true, M, n->D, n->E);
    be->rmsnorm_backward(d, g->norm, w.dz, x, p->norm, s.rstd, M, n->D);
}
