#include "ops/compose/projection.h"

static ae_adapter_dims dims_of(const ae_adapter *a, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O) {
    return (ae_adapter_dims){M, I, O, a->rank, a->scale};
}

void ae_project(const ae_backend *be, const ae_block_dims *n, ae_act *y, const ae_act *x,
                const ae_projection *p, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O, ae_room room) {
    const ae_adapter *a = &p->adapter;
    (n->each ? be->linear_each_forward : be->linear_forward)(be, y, x, p->w, p->bias, M, I, O);
    if (a->rank > 0) be->adapter_forward(be, y, x, a->a, a->b, dims_of(a, M, I, O), room);
}

void ae_project_residual(const ae_backend *be, const ae_block_dims *n, ae_f32 *out, const ae_f32 *residual,
                         const ae_act *x, const ae_projection *p, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O,
                         ae_room room) {
    const ae_adapter *a = &p->adapter;
    (n->each ? be->linear_each_residual : be->linear_residual)(be, out, residual, x, p->w, p->bias, M, I, O);
    if (a->rank > 0) be->adapter_residual(be, out, x, a->a, a->b, dims_of(a, M, I, O), room);
}

void ae_project_backward_input(const ae_backend *be, ae_act *dx, const ae_act *dy, const ae_projection *p,
                               bool add, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O, ae_room room) {
    const ae_adapter *a = &p->adapter;
    be->linear_backward_input(be, dx, dy, p->w, add, M, I, O);
    if (a->rank > 0) be->adapter_backward_input(be, dx, dy, a->a, a->b, dims_of(a, M, I, O), room);
}

void ae_project_backward_weight(const ae_backend *be, const ae_projection_grads *g, const ae_act *dy,
                                const ae_act *x, const ae_projection *p, ptrdiff_t M, ptrdiff_t I,
                                ptrdiff_t O, ae_room room) {
    const ae_adapter *a = &p->adapter;
    be->linear_backward_weight(be, g->w, g->bias, dy, x, M, I, O);
    if (a->rank > 0)
        be->adapter_backward_weight(be, g->a, g->b, dy, x, a->a, a->b, dims_of(a, M, I, O), room);
}
