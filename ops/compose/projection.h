#ifndef AE_OPS_COMPOSE_PROJECTION_H
#define AE_OPS_COMPOSE_PROJECTION_H
#include "ops/backend.h"

/* The projections of a branch, x [M, I] to y [M, O]: the rows of ops/linear.h, and those of ops/adapter.h
 * where one has an adapter, with `room` for it (ae_take_adapter_room in ops/compose/room.h). Forward goes row
 * by row where n->each asks for it. */
void ae_project(const ae_backend *be, const ae_block_dims *n, ae_act *y, const ae_act *x,
                const ae_projection *p, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O, ae_room room);
void ae_project_residual(const ae_backend *be, const ae_block_dims *n, ae_f32 *out, const ae_f32 *residual,
                         const ae_act *x, const ae_projection *p, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O,
                         ae_room room);
void ae_project_backward_input(const ae_backend *be, ae_act *dx, const ae_act *dy, const ae_projection *p,
                               bool add, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O, ae_room room);
void ae_project_backward_weight(const ae_backend *be, const ae_projection_grads *g, const ae_act *dy,
                                const ae_act *x, const ae_projection *p, ptrdiff_t M, ptrdiff_t I,
                                ptrdiff_t O, ae_room room);

#endif
