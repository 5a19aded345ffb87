#include "ops/compose/compose.h"
#include "ops/compose/projection.h"
#include "ops/compose/room.h"

/* Both passes go by so many rows, so that what lies between two products is small and near. */
enum { ROWS = 2048 };

typedef struct {
    ae_f32 *rstd;      /* [M] */
    ae_act *kept;      /* [M, D] */
    ae_act *z;         /* [M, D]; where gate and up are recomputed: from the same bits */
    ae_act *gate, *up; /* [M, E]; NULL where recomputed */
} mlp_saved;

/* Of ROWS rows at most. */
typedef struct {
    ae_act *z, *dz;    /* [., D] */
    ae_act *y;         /* [., E]: forward gelu(gate) up, backward its gradient */
    ae_act *gate, *up; /* [., E], where recomputed */
    ae_act *converted; /* [., D] */
    ae_room adapter;
} mlp_scratch;

/* Rows [first, first + rows) of what is saved, or the scratch in its place. */
typedef struct {
    ptrdiff_t first, rows;
    ae_f32 *rstd;
    ae_act *kept, *z, *gate, *up;
} mlp_part;

static bool recomputes(const ae_block_dims *n) {
    return n->inference || (n->recompute & AE_RECOMPUTE_MLP);
}

/* A float32 z is recomputed to the bit. */
static bool keeps_z(const ae_backend *be, const ae_block_dims *n) {
    return !n->inference && recomputes(n) && !ae_stream_needed(be);
}

static mlp_saved saved_in(ae_arena *a, const ae_backend *be, const ae_block_dims *n) {
    const ptrdiff_t M = n->B * n->T;
    mlp_saved s = {0};
    s.rstd = ae_take_f32(a, M);
    s.kept = ae_take_kept(a, be, n);
    if (keeps_z(be, n)) s.z = ae_take_act(a, be, M * n->D);
    if (recomputes(n)) return s;
    s.gate = ae_take_act(a, be, M * n->E);
    s.up = ae_take_act(a, be, M * n->E);
    return s;
}

static mlp_scratch scratch_in(ae_arena *a, const ae_backend *be, const ae_block_dims *n) {
    const ptrdiff_t M = ae_min(ROWS, n->B * n->T);
    mlp_scratch s = {0};
    s.z = ae_take_act(a, be, M * n->D);
    s.y = ae_take_act(a, be, M * n->E);
    s.adapter = ae_take_adapter_room(a, be, n, M);
    if (recomputes(n)) {
        s.gate = ae_take_act(a, be, M * n->E);
        s.up = ae_take_act(a, be, M * n->E);
    }
    if (n->inference) return s;
    s.dz = s.z; /* z is recomputed before its gradient */
    s.converted = ae_take_conversion(a, be, M * n->D);
    return s;
}

size_t ae_mlp_saved_bytes_composed(const ae_backend *be, const ae_block_dims *n) {
    ae_arena a = (ae_arena){0};
    (void)saved_in(&a, be, n);
    return a.high;
}

size_t ae_mlp_scratch_bytes_composed(const ae_backend *be, const ae_block_dims *n) {
    ae_arena a = (ae_arena){0};
    (void)scratch_in(&a, be, n);
    return a.high;
}

static mlp_part part_of(const ae_backend *be, const mlp_saved *s, const mlp_scratch *w,
                        const ae_block_dims *n, ptrdiff_t first) {
    const bool own = recomputes(n);
    return (mlp_part){.first = first,
                      .rows = ae_min(ROWS, n->B * n->T - first),
                      .rstd = ae_f32_at(s->rstd, first),
                      .kept = s->kept ? ae_act_at(be, s->kept, first * n->D) : NULL,
                      .z = s->z ? ae_act_at(be, s->z, first * n->D) : w->z,
                      .gate = own ? w->gate : ae_act_at(be, s->gate, first * n->E),
                      .up = own ? w->up : ae_act_at(be, s->up, first * n->E)};
}

static void project(const ae_backend *be, const mlp_part *s, const ae_mlp_params *p, const ae_block_dims *n,
                    ae_room room) {
    ae_project(be, n, s->gate, s->z, &p->gate, s->rows, n->D, n->E, room);
    ae_project(be, n, s->up, s->z, &p->up, s->rows, n->D, n->E, room);
}

void ae_mlp_forward_composed(const ae_backend *be, ae_f32 *out, ae_room saved, const ae_f32 *x,
                             const ae_mlp_params *p, const ae_block_dims *n, ae_room scratch) {
    ae_arena saved_arena = ae_arena_over(saved), scratch_arena = ae_arena_over(scratch);
    const mlp_saved all = saved_in(&saved_arena, be, n);
    const mlp_scratch w = scratch_in(&scratch_arena, be, n);
    for (ptrdiff_t first = 0; first < n->B * n->T; first += ROWS) {
        const mlp_part s = part_of(be, &all, &w, n, first);
        const ae_f32 *rows = ae_f32_from(x, first * n->D);
        be->rmsnorm_forward(be, s.z, s.kept, s.rstd, rows, p->norm, n->norm_eps, s.rows, n->D);
        project(be, &s, p, n, w.adapter);
        be->geglu_forward(be, w.y, s.gate, s.up, s.rows * n->E);
        ae_project_residual(be, n, ae_f32_at(out, first * n->D), rows, w.y, &p->down, s.rows, n->E, n->D,
                            w.adapter);
    }
}

static void backward_part(const ae_backend *be, ae_f32 *d, const ae_mlp_grads *g, const mlp_part *s,
                          const ae_act *kept, const ae_mlp_params *p, const ae_block_dims *n,
                          const mlp_scratch *w) {
    const ptrdiff_t M = s->rows;
    const ae_act *d_out = ae_act_of(be, w->converted, d, M * n->D);
    be->rmsnorm_again(be, w->z, kept, s->rstd, p->norm, M, n->D);
    if (recomputes(n)) project(be, s, p, n, w->adapter);
    ae_project_backward_input(be, w->y, d_out, &p->down, false, M, n->E, n->D, w->adapter);
    /* In place: gate becomes its gradient, y (the gradient of the product) becomes up's, up becomes the
     * product itself. */
    be->geglu_backward(be, s->gate, w->y, s->up, w->y, s->gate, s->up, M * n->E);
    ae_project_backward_weight(be, &g->down, d_out, s->up, &p->down, M, n->E, n->D, w->adapter);
    ae_project_backward_weight(be, &g->gate, s->gate, w->z, &p->gate, M, n->D, n->E, w->adapter);
    ae_project_backward_weight(be, &g->up, w->y, w->z, &p->up, M, n->D, n->E, w->adapter);
    ae_project_backward_input(be, w->dz, s->gate, &p->gate, false, M, n->D, n->E, w->adapter);
    ae_project_backward_input(be, w->dz, w->y, &p->up, true, M, n->D, n->E, w->adapter);
    be->rmsnorm_backward(be, d, g->norm, w->dz, kept, p->norm, s->rstd, M, n->D);
}

void ae_mlp_backward_composed(const ae_backend *be, ae_f32 *d, const ae_mlp_grads *g, ae_room saved,
                              const ae_f32 *x, const ae_mlp_params *p, const ae_block_dims *n,
                              ae_room scratch) {
    ae_arena saved_arena = ae_arena_over(saved), scratch_arena = ae_arena_over(scratch);
    const mlp_saved all = saved_in(&saved_arena, be, n);
    const mlp_scratch w = scratch_in(&scratch_arena, be, n);
    for (ptrdiff_t first = 0; first < n->B * n->T; first += ROWS) {
        const mlp_part s = part_of(be, &all, &w, n, first);
        const ae_act *kept = s.kept ? s.kept : ae_act_of(be, NULL, ae_f32_from(x, first * n->D), 0);
        backward_part(be, ae_f32_at(d, first * n->D), g, &s, kept, p, n, &w);
    }
}
