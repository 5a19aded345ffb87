#ifndef AE_OPS_COMPOSE_ROOM_H
#define AE_OPS_COMPOSE_ROOM_H
#include "core/arena.h"
#include "ops/backend.h"

/* Carving of a device blob: host arithmetic on pointers only. A NULL base counts. */
static inline ae_act *ae_take_act(ae_arena *a, const ae_backend *be, ptrdiff_t n) {
    return ae_arena_take(a, (size_t)n * be->act_bytes);
}
static inline ae_f32 *ae_take_f32(ae_arena *a, ptrdiff_t n) {
    return ae_arena_take(a, (size_t)n * sizeof(float));
}
/* Over a room of the caller's, which it must not overrun. */
static inline ae_arena ae_arena_over(ae_room r) {
    return (ae_arena){.base = r.at, .capacity = r.bytes};
}
/* Room for the rounded copy of a branch's input; none where the stream itself serves in backward. */
static inline ae_act *ae_take_kept(ae_arena *a, const ae_backend *be, const ae_block_dims *n) {
    return ae_stream_needed(be) || n->inference ? NULL : ae_take_act(a, be, n->B * n->T * n->D);
}
/* That input as backward sees it. */
static inline const ae_act *ae_kept_input(const ae_backend *be, const ae_act *kept, const ae_f32 *x) {
    return kept ? kept : ae_act_of(be, NULL, x, 0);
}

/* What the adapters of a branch need for M rows; nothing where it has none. */
static inline ae_room ae_take_adapter_room(ae_arena *a, const ae_backend *be, const ae_block_dims *n,
                                           ptrdiff_t M) {
    const ae_adapter_dims one = {.M = M, .R = n->adapter_rank};
    return n->adapter_rank > 0 ? ae_arena_room(a, be->adapter_scratch_bytes(be, one)) : (ae_room){0};
}

/* Where float32 becomes activations; nowhere if they are the same type. */
static inline ae_act *ae_conversion_in(ae_act *room, const ae_backend *be) {
    return be->act_bytes == sizeof(float) ? NULL : room;
}
static inline ae_act *ae_take_conversion(ae_arena *a, const ae_backend *be, ptrdiff_t n) {
    return be->act_bytes == sizeof(float) ? NULL : ae_take_act(a, be, n);
}

/* Gates of a batch, row by row where n->each asks for it. */
static inline void ae_project_gates(const ae_backend *be, const ae_block_dims *n, ae_act *y, const ae_act *x,
                                    const ae_weight *w, const ae_f32 *bias) {
    (n->each ? be->gates_each_forward : be->gates_forward)(be, y, x, w, bias, n->B * n->T, n->C, n->N);
}

#endif
