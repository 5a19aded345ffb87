#include "ops/backend.h"
#include "ops/compose/compose.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* All memory of this backend lies in one reserved region that no code may touch. A row opens it, runs the CPU row, and closes it;
 * between rows a read or write by the host faults, as it would on a device with memory of its own. Composite rows are composed, so
 * they run with the region closed and prove that composition never looks at an element. One thread calls the rows. */

enum { ALIGNMENT = 64, PAGE = 4096 };
static const size_t region_bytes = (size_t)1 << 30;

/* Spans cover the region from its start, in order, used and free; neighbours that are free are one. */
typedef struct span {
    size_t offset, bytes;
    bool used;
    struct span *next;
} span;

static struct {
    char *base;
    span *spans;
    size_t opened_bytes; /* from the start: as far as memory is in use */
    bool open;
} region;

static ae_backend cpu;

static void protect(int protection) {
    if (region.opened_bytes > 0 && mprotect(region.base, region.opened_bytes, protection) != 0) abort();
}

static void open_region(void) {
    assert(!region.open);
    region.open = true;
    protect(PROT_READ | PROT_WRITE);
}

static void close_region(void) {
    protect(PROT_NONE);
    region.open = false;
}

static ae_status reserve_region(void) {
    if (region.base) return AE_OK;
    void *base = mmap(NULL, region_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    span *all = malloc(sizeof *all);
    if (base == MAP_FAILED || !all) {
        if (base != MAP_FAILED) (void)munmap(base, region_bytes);
        free(all);
        return AE_FAIL(AE_ERR_RESOURCE,
                       "strict backend: expected %zu bytes of address space; found none free", region_bytes);
    }
    *all = (span){.bytes = region_bytes};
    region.base = base;
    region.spans = all;
    return AE_OK;
}

static span *first_fit(size_t bytes) {
    span *s = region.spans;
    while (s && (s->used || s->bytes < bytes)) s = s->next;
    return s;
}

/* Cuts s so that it holds `bytes`; false when there is no memory for the rest's entry. */
static bool trim(span *s, size_t bytes) {
    if (s->bytes == bytes) return true;
    span *rest = malloc(sizeof *rest);
    if (!rest) return false;
    *rest = (span){.offset = s->offset + bytes, .bytes = s->bytes - bytes, .next = s->next};
    s->bytes = bytes;
    s->next = rest;
    return true;
}

static size_t page_end(size_t offset) {
    return (offset + PAGE - 1) / PAGE * PAGE;
}

static void poison(const span *s) {
    const size_t end = page_end(s->offset + s->bytes);
    if (end > region.opened_bytes) region.opened_bytes = end;
    open_region();
    memset(region.base + s->offset, 0xff, s->bytes);
    close_region();
}

static ae_status strict_alloc(void **ptr, size_t bytes) {
    const size_t rounded = bytes > region_bytes ? bytes : (bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    *ptr = NULL;
    span *s = first_fit(rounded);
    if (!s || !trim(s, rounded))
        return AE_FAIL(AE_ERR_RESOURCE,
                       "strict backend: expected room for %zu bytes, found none in its region of %zu", bytes,
                       region_bytes);
    s->used = true;
    poison(s);
    *ptr = region.base + s->offset;
    return AE_OK;
}

static void join_with_next(span *s) {
    span *next = s->next;
    if (s->used || !next || next->used) return;
    s->bytes += next->bytes;
    s->next = next->next;
    free(next);
}

/* Opening costs time for every page: not those past the last span in use. */
static void shrink_opened(void) {
    size_t end = 0;
    for (const span *s = region.spans; s; s = s->next)
        if (s->used) end = s->offset + s->bytes;
    region.opened_bytes = page_end(end);
}

static void strict_release(void *ptr, size_t bytes) {
    if (!ptr) return;
    span *before = NULL, *s = region.spans;
    while (s && region.base + s->offset != (char *)ptr) before = s, s = s->next;
    if (!s || !s->used || bytes > s->bytes) abort(); /* not ours, or given back twice */
    poison(s);
    s->used = false;
    join_with_next(s);
    if (before) join_with_next(before);
    shrink_opened();
}

#define ROW(row, parameters, arguments)                                                                      \
    static void strict_##row parameters {                                                                    \
        open_region();                                                                                       \
        cpu.row arguments;                                                                                   \
        close_region();                                                                                      \
    }

#define ROW_OF(type, row, parameters, arguments)                                                             \
    static type strict_##row parameters {                                                                    \
        open_region();                                                                                       \
        type result = cpu.row arguments;                                                                     \
        close_region();                                                                                      \
        return result;                                                                                       \
    }

ROW(upload, (void *device, const void *host, size_t bytes), (device, host, bytes))
ROW(download, (void *host, const void *device, size_t bytes), (host, device, bytes))
ROW(zero, (void *device, size_t bytes), (device, bytes))
ROW(copy, (void *to, const void *from, size_t bytes), (to, from, bytes))
ROW_OF(ae_act *, act_from_f32, (ae_act * room, const ae_f32 *x, ptrdiff_t n), (room, x, n))
ROW_OF(ae_weight *, weight_pack,
       (const ae_backend *be, void *room, const ae_f32 *master, ptrdiff_t rows, ptrdiff_t cols, bool often),
       (be, room, master, rows, cols, often))
ROW_OF(ae_weight *, compact_init, (void *room, const ae_weight_shape *s), (room, s))
ROW(compact_put, (ae_weight * w, ptrdiff_t first, ptrdiff_t n, const float *values, const uint16_t *scales),
    (w, first, n, values, scales))

ROW(embedding_forward,
    (ae_f32 * x, const ae_weight *table, const ae_i32 *tokens, float scale, ptrdiff_t M, ptrdiff_t D),
    (x, table, tokens, scale, M, D))
ROW(embedding_backward,
    (ae_f32 * dtable, const ae_f32 *dx, const ae_i32 *tokens, float scale, ptrdiff_t M, ptrdiff_t D),
    (dtable, dx, tokens, scale, M, D))

ROW(rmsnorm_forward,
    (ae_act * z, ae_act *kept, ae_f32 *rstd, const ae_f32 *x, const ae_f32 *w, float eps, ptrdiff_t M,
     ptrdiff_t D),
    (z, kept, rstd, x, w, eps, M, D))
ROW(rmsnorm_again,
    (ae_act * z, const ae_act *kept, const ae_f32 *rstd, const ae_f32 *w, ptrdiff_t M, ptrdiff_t D),
    (z, kept, rstd, w, M, D))
ROW(rmsnorm_backward,
    (ae_f32 * dx, ae_f32 *dw, const ae_act *dz, const ae_act *kept, const ae_f32 *w, const ae_f32 *rstd,
     ptrdiff_t M, ptrdiff_t D),
    (dx, dw, dz, kept, w, rstd, M, D))

ROW(linear_forward,
    (ae_act * y, const ae_act *x, const ae_weight *w, const ae_f32 *bias, ptrdiff_t M, ptrdiff_t I,
     ptrdiff_t O),
    (y, x, w, bias, M, I, O))
ROW(linear_residual,
    (ae_f32 * out, const ae_f32 *residual, const ae_act *x, const ae_weight *w, const ae_f32 *bias,
     ptrdiff_t M, ptrdiff_t I, ptrdiff_t O),
    (out, residual, x, w, bias, M, I, O))
ROW(linear_backward_input,
    (ae_act * dx, const ae_act *dy, const ae_weight *w, bool add, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O),
    (dx, dy, w, add, M, I, O))
ROW(linear_backward_weight,
    (ae_f32 * dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O),
    (dw, dbias, dy, x, M, I, O))

ROW(gates_forward,
    (ae_act * y, const ae_act *x, const ae_weight *w, const ae_f32 *bias, ptrdiff_t M, ptrdiff_t C,
     ptrdiff_t N),
    (y, x, w, bias, M, C, N))
ROW(gates_backward_input,
    (ae_act * dx, const ae_act *dy, const ae_weight *w, bool add, ptrdiff_t M, ptrdiff_t C, ptrdiff_t N),
    (dx, dy, w, add, M, C, N))
ROW(gates_backward_weight,
    (ae_f32 * dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x, ptrdiff_t M, ptrdiff_t C, ptrdiff_t N),
    (dw, dbias, dy, x, M, C, N))

ROW(conv_forward,
    (ae_act * y, ae_f32 *state, const ae_act *x, const ae_f32 *w, const ae_f32 *bias, const ae_i32 *positions,
     ae_conv_dims n),
    (y, state, x, w, bias, positions, n))
ROW(conv_backward,
    (ae_act * dx, ae_f32 *dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x, const ae_f32 *state,
     const ae_f32 *w, const ae_i32 *positions, ae_conv_dims n),
    (dx, dw, dbias, dy, x, state, w, positions, n))

ROW(rglru_forward,
    (ae_act * h, ae_f32 *state, const ae_act *u, const ae_act *gate_i, const ae_act *gate_r, const ae_f32 *p,
     const ae_i32 *positions, ae_rglru_dims n),
    (h, state, u, gate_i, gate_r, p, positions, n))
ROW(rglru_backward,
    (ae_act * du, ae_act *dgate_i, ae_act *dgate_r, ae_f32 *dp, const ae_act *dh, const ae_act *u,
     const ae_act *gate_i, const ae_act *gate_r, const ae_act *h, const ae_f32 *state, const ae_f32 *p,
     const ae_i32 *positions, ae_rglru_dims n),
    (du, dgate_i, dgate_r, dp, dh, u, gate_i, gate_r, h, state, p, positions, n))

ROW(geglu_forward, (ae_act * y, const ae_act *gate, const ae_act *up, ptrdiff_t n), (y, gate, up, n))
ROW(geglu_backward,
    (ae_act * dgate, ae_act *dup, ae_act *y, const ae_act *dy, const ae_act *gate, const ae_act *up,
     ptrdiff_t n),
    (dgate, dup, y, dy, gate, up, n))

ROW(rope_table,
    (ae_f32 * cosines, ae_f32 *sines, const ae_i32 *positions, double theta, ptrdiff_t M, ptrdiff_t R),
    (cosines, sines, positions, theta, M, R))
ROW(rope_apply,
    (ae_act * x, const ae_f32 *cosines, const ae_f32 *sines, bool inverse, ptrdiff_t M, ptrdiff_t heads,
     ptrdiff_t H, ptrdiff_t R),
    (x, cosines, sines, inverse, M, heads, H, R))

ROW(attention_forward,
    (ae_act * o, ae_f32 *lse, ae_act *k_ring, ae_act *v_ring, const ae_act *q, const ae_act *k,
     const ae_act *v, const ae_i32 *positions, ae_attention_dims n, void *scratch),
    (o, lse, k_ring, v_ring, q, k, v, positions, n, scratch))
ROW(attention_backward,
    (ae_act * dq, ae_act *dk, ae_act *dv, const ae_act *d_o, const ae_act *q, const ae_act *k,
     const ae_act *v, const ae_act *k_ring, const ae_act *v_ring, const ae_act *o, const ae_f32 *lse,
     const ae_i32 *positions, ae_attention_dims n, void *scratch),
    (dq, dk, dv, d_o, q, k, v, k_ring, v_ring, o, lse, positions, n, scratch))

ROW(head_loss,
    (ae_f32 * nll, ae_act *dz, ae_f32 *dtable, const ae_act *z, const ae_weight *table, const ae_i32 *targets,
     const ae_f32 *weights, float grad_scale, ae_head_dims n, void *scratch),
    (nll, dz, dtable, z, table, targets, weights, grad_scale, n, scratch))
ROW(head_score,
    (ae_f32 * nll, ae_i32 *top_ids, ae_f32 *top_logprobs, ptrdiff_t top, const ae_act *z,
     const ae_weight *table, const ae_i32 *targets, const ae_f32 *weights, ae_head_dims n, void *scratch),
    (nll, top_ids, top_logprobs, top, z, table, targets, weights, n, scratch))
ROW(head_logits, (ae_f32 * logits, const ae_act *z, const ae_weight *table, ae_head_dims n),
    (logits, z, table, n))

ROW(adamw, (ae_f32 * w, ae_f32 *m, ae_f32 *v, ae_f32 *g, ae_adamw_step s, ptrdiff_t n), (w, m, v, g, s, n))
ROW(adamw_weight,
    (ae_weight * packed, ae_f32 *w, ae_f32 *m, ae_f32 *v, ae_f32 *g, ae_adamw_step s, ptrdiff_t rows,
     ptrdiff_t cols),
    (packed, w, m, v, g, s, rows, cols))
ROW_OF(double, sum_squares, (const ae_f32 *x, ptrdiff_t n), (x, n))

/* The rows that only compute sizes stay those of the CPU. */
static void set_rows(ae_backend *be) {
#define SET(row) be->row = strict_##row
    SET(alloc), SET(release), SET(upload), SET(download), SET(zero), SET(copy);
    SET(act_from_f32), SET(weight_pack), SET(compact_init), SET(compact_put);
    SET(embedding_forward), SET(embedding_backward), SET(rmsnorm_forward);
    SET(rmsnorm_again), SET(rmsnorm_backward);
    SET(linear_forward), SET(linear_residual), SET(linear_backward_input), SET(linear_backward_weight);
    SET(gates_forward), SET(gates_backward_input), SET(gates_backward_weight);
    SET(conv_forward), SET(conv_backward), SET(rglru_forward), SET(rglru_backward);
    SET(geglu_forward), SET(geglu_backward), SET(rope_table), SET(rope_apply);
    SET(attention_forward), SET(attention_backward);
    SET(head_loss), SET(head_score), SET(head_logits), SET(adamw), SET(adamw_weight), SET(sum_squares);
#undef SET
}

ae_status ae_backend_strict(ae_backend *be, const ae_backend_options *options) {
    ae_status st = AE_OK;
    AE_TRY(ae_backend_cpu(&cpu, options));
    AE_TRY(reserve_region());
    *be = cpu;
    be->name = "strict";
    set_rows(be);
    ae_compose_fill(be);
out:
    return st;
}
