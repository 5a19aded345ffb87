#include "ops/cpu/gemm_bf16.h"

#include "core/machine.h"
#include "ops/cpu/alone.h"
#include "ops/cpu/memory.h"

#include <dnnl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Making a primitive takes the library 0.3 ms, running it half a microsecond: every thread keeps those it has met, by what they compute.
 * Looking one up needs no lock. */

typedef struct {
    ptrdiff_t m, n, k, lda, ldb, ldc;
    float alpha, beta;
    bool trans_a, trans_b, blocked, bias;
    ae_elem_type c_type;
} shape;

enum { A, B, C, BIAS, SCRATCH, ARGS };
static const int arg_names[ARGS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS,
                                    DNNL_ARG_SCRATCHPAD};

typedef struct {
    shape shape;
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[ARGS];
    size_t scratch_bytes;
} entry;

enum { SLOTS = 256, PROBES = 8, ALIGN = 64 };

typedef struct {
    void *at;
    size_t bytes;
} room;

typedef struct {
    dnnl_stream_t stream;
    room scratch, dense_a, dense_c;
    entry slots[SLOTS];
} cache;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static dnnl_engine_t engine;

static void entry_free(entry *e) {
    for (int i = 0; i < ARGS; i++)
        if (e->memory[i]) dnnl_memory_destroy(e->memory[i]);
    if (e->primitive) dnnl_primitive_destroy(e->primitive);
    *e = (entry){0};
}

static void cache_delete(void *x) {
    cache *c = x;
    for (int i = 0; i < SLOTS; i++) entry_free(&c->slots[i]);
    if (c->stream) dnnl_stream_destroy(c->stream);
    free(c->scratch.at);
    free(c->dense_a.at);
    free(c->dense_c.at);
    free(c);
}

static void start(void) {
    if (pthread_key_create(&key, cache_delete) != 0 ||
        dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success)
        engine = NULL;
}

/* This thread's; NULL without memory. */
static cache *own_cache(void) {
    (void)pthread_once(&once, start);
    if (!engine) return NULL;
    cache *c = pthread_getspecific(key);
    if (c) return c;
    c = calloc(1, sizeof *c);
    if (c && dnnl_stream_create(&c->stream, engine, dnnl_stream_default_flags) == dnnl_success &&
        pthread_setspecific(key, c) == 0)
        return c;
    if (c) cache_delete(c);
    return NULL;
}

/* ---- making a primitive ---- */

static dnnl_status_t matrix(dnnl_memory_desc_t *d, ptrdiff_t rows, ptrdiff_t cols, dnnl_data_type_t type,
                            ptrdiff_t row_step, ptrdiff_t col_step) {
    const dnnl_dims_t dims = {rows, cols}, steps = {row_step, col_step};
    return dnnl_memory_desc_init_by_strides(d, 2, dims, type, steps);
}

static dnnl_status_t right_factor(const shape *s, dnnl_memory_desc_t *d) {
    const dnnl_dims_t dims = {s->k, s->n};
    if (s->blocked) return dnnl_memory_desc_init_by_tag(d, 2, dims, dnnl_bf16, dnnl_BA16a64b2a);
    return matrix(d, s->k, s->n, dnnl_bf16, s->trans_b ? 1 : s->ldb, s->trans_b ? s->ldb : 1);
}

static dnnl_status_t describe(const shape *s, dnnl_memory_desc_t d[ARGS], dnnl_matmul_desc_t *product) {
    const dnnl_data_type_t c = s->c_type == AE_ELEM_BF16 ? dnnl_bf16 : dnnl_f32;
    dnnl_status_t st = matrix(&d[A], s->m, s->k, dnnl_bf16, s->trans_a ? 1 : s->lda, s->trans_a ? s->lda : 1);
    if (!st) st = right_factor(s, &d[B]);
    if (!st) st = matrix(&d[C], s->m, s->n, c, s->ldc, 1);
    if (!st) st = matrix(&d[BIAS], 1, s->n, dnnl_f32, s->n, 1);
    return st ? st : dnnl_matmul_desc_init(product, &d[A], &d[B], s->bias ? &d[BIAS] : NULL, &d[C]);
}

/* C = alpha A B + beta C. */
static dnnl_status_t describe_sum(const shape *s, dnnl_primitive_attr_t attr) {
    dnnl_status_t st = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (!st && s->alpha != 1.0f) st = dnnl_primitive_attr_set_output_scales(attr, 1, 0, &s->alpha);
    if (st || s->beta == 0.0f) return st;
    dnnl_post_ops_t after = NULL;
    st = dnnl_post_ops_create(&after);
    if (!st) st = dnnl_post_ops_append_sum(after, s->beta);
    if (!st) st = dnnl_primitive_attr_set_post_ops(attr, after);
    if (after) dnnl_post_ops_destroy(after);
    return st;
}

static dnnl_status_t entry_fill(entry *e, dnnl_primitive_desc_t made, dnnl_memory_desc_t d[ARGS]) {
    d[SCRATCH] = *dnnl_primitive_desc_query_md(made, dnnl_query_scratchpad_md, 0);
    e->scratch_bytes = dnnl_memory_desc_get_size(&d[SCRATCH]);
    dnnl_status_t st = dnnl_primitive_create(&e->primitive, made);
    for (int i = 0; i < ARGS && !st; i++)
        st = dnnl_memory_create(&e->memory[i], &d[i], engine, DNNL_MEMORY_NONE);
    return st;
}

/* Its reference kernel takes all that the others do not, a thousand times slower. */
static dnnl_status_t refuse_reference(dnnl_primitive_desc_t made) {
    const char *name = NULL;
    const dnnl_status_t st = dnnl_primitive_desc_query(made, dnnl_query_impl_info_str, 0, (void *)&name);
    return !st && strncmp(name, "ref", 3) == 0 ? dnnl_unimplemented : st;
}

static bool entry_make(entry *e, const shape *s) {
    dnnl_memory_desc_t d[ARGS];
    dnnl_matmul_desc_t product;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t made = NULL;
    e->shape = *s;
    dnnl_status_t st = describe(s, d, &product);
    if (!st) st = dnnl_primitive_attr_create(&attr);
    if (!st) st = describe_sum(s, attr);
    if (!st) st = dnnl_primitive_desc_create(&made, &product, attr, engine, NULL);
    if (!st) st = refuse_reference(made);
    if (!st) st = entry_fill(e, made, d);
    if (made) dnnl_primitive_desc_destroy(made);
    if (attr) dnnl_primitive_attr_destroy(attr);
    if (st) entry_free(e);
    return !st;
}

/* ---- finding it ---- */

static size_t hash(const shape *s) {
    const ptrdiff_t parts[] = {s->m,
                               s->n,
                               s->k,
                               s->lda,
                               s->ldb,
                               s->ldc,
                               s->trans_a,
                               s->trans_b,
                               s->blocked,
                               s->bias,
                               (ptrdiff_t)s->c_type};
    uint64_t h = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        h = (h ^ (uint64_t)parts[i]) * UINT64_C(0x9e3779b97f4a7c15), h ^= h >> 29;
    return (size_t)h;
}

static bool same(const shape *a, const shape *b) {
    return a->m == b->m && a->n == b->n && a->k == b->k && a->lda == b->lda && a->ldb == b->ldb &&
           a->ldc == b->ldc && a->alpha == b->alpha && a->beta == b->beta && a->trans_a == b->trans_a &&
           a->trans_b == b->trans_b && a->blocked == b->blocked && a->bias == b->bias &&
           a->c_type == b->c_type;
}

/* Where all probed slots are taken the first gives way. */
static entry *find(cache *c, const shape *s) {
    const size_t home = hash(s);
    for (size_t i = 0; i < PROBES; i++) {
        entry *e = &c->slots[(home + i) % SLOTS];
        if (!e->primitive) return entry_make(e, s) ? e : NULL;
        if (same(&e->shape, s)) return e;
    }
    entry *e = &c->slots[home % SLOTS];
    entry_free(e);
    return entry_make(e, s) ? e : NULL;
}

/* ---- running it ---- */

static bool reserve(const ae_backend *be, room *r, size_t bytes) {
    if (bytes <= r->bytes) return true;
    free(r->at);
    r->bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    r->at = ae_cpu_room(be, ALIGN, r->bytes);
    if (!r->at) r->bytes = 0;
    return r->at != NULL;
}

static void copy_rows(void *to, ptrdiff_t to_bytes, const void *from, ptrdiff_t from_bytes, ptrdiff_t rows,
                      size_t row_bytes) {
    for (ptrdiff_t i = 0; i < rows; i++)
        memcpy((char *)to + i * to_bytes, (const char *)from + i * from_bytes, row_bytes);
}

static ptrdiff_t c_bytes(const ae_gemm_args *g) {
    return (ptrdiff_t)(g->c_type == AE_ELEM_BF16 ? sizeof(uint16_t) : sizeof(float));
}

/* The library takes matrices as they may be written; operands are only read. */
static void *writable(const void *x) {
    return (void *)(uintptr_t)x;
}

static bool run(cache *c, const entry *e, const ae_gemm_args *g) {
    void *const data[ARGS] = {writable(g->a.at), writable(g->b.at), g->c, writable(g->bias), c->scratch.at};
    dnnl_exec_arg_t args[ARGS];
    int n = 0;
    for (int i = 0; i < ARGS; i++) {
        if (!data[i]) continue;
        if (dnnl_memory_set_data_handle(e->memory[i], data[i]) != dnnl_success) return false;
        args[n++] = (dnnl_exec_arg_t){arg_names[i], e->memory[i]};
    }
    return dnnl_primitive_execute(e->primitive, c->stream, n, args) == dnnl_success;
}

static bool servable(const ae_gemm_args *g) {
    return g->a.type == AE_ELEM_BF16 && g->b.type == AE_ELEM_BF16 && !g->b.weight && g->m > 0 && g->n > 0 &&
           g->k > 0 && !(g->bias && g->alpha != 1.0f) && !(g->residual && g->c_type != AE_ELEM_F32);
}

static shape shape_of(const ae_gemm_args *g) {
    return (shape){.m = g->m,
                   .n = g->n,
                   .k = g->k,
                   .lda = g->a.ld,
                   .ldb = g->b.ld,
                   .ldc = g->ldc,
                   .alpha = g->alpha,
                   .beta = g->residual ? 1.0f
                           : g->bias   ? 0.0f
                                       : g->beta,
                   .trans_a = g->a.trans,
                   .trans_b = g->b.trans,
                   .blocked = g->b.blocked,
                   .bias = g->bias != NULL,
                   .c_type = g->c_type};
}

/* The product of operands that the library takes as they lie. */
static bool multiply(const ae_backend *be, cache *c, const ae_gemm_args *g) {
    const shape s = shape_of(g);
    entry *e = find(c, &s);
    if (!e || !reserve(be, &c->scratch, e->scratch_bytes)) return false;
    if (g->residual && g->residual != g->c)
        copy_rows(g->c, g->ldc * c_bytes(g), g->residual, g->ldc * c_bytes(g), g->m,
                  (size_t)(g->n * c_bytes(g)));
    return run(c, e, g);
}

/* Beside a blocked B its fast kernels want A and C without gaps between the rows, and leave others to its reference: what has gaps goes
 * through a copy. */
static bool multiply_dense(const ae_backend *be, cache *c, const ae_gemm_args *g) {
    ae_gemm_args s = *g;
    const bool gaps_a = g->a.ld != g->k, gaps_c = g->ldc != g->n;
    const size_t a_row = (size_t)g->k * sizeof(uint16_t), c_row = (size_t)(g->n * c_bytes(g));
    if ((gaps_a && !reserve(be, &c->dense_a, a_row * (size_t)g->m)) ||
        (gaps_c && !reserve(be, &c->dense_c, c_row * (size_t)g->m)))
        return false;
    if (gaps_a) {
        copy_rows(c->dense_a.at, (ptrdiff_t)a_row, g->a.at, g->a.ld * (ptrdiff_t)sizeof(uint16_t), g->m,
                  a_row);
        s.a = ae_operand(AE_ELEM_BF16, c->dense_a.at, g->k, false);
    }
    if (gaps_c) {
        const void *before = g->residual ? g->residual : g->c;
        if (g->residual || (g->beta != 0.0f && !g->bias))
            copy_rows(c->dense_c.at, (ptrdiff_t)c_row, before, g->ldc * c_bytes(g), g->m, c_row);
        s.c = c->dense_c.at;
        s.ldc = g->n;
        if (g->residual) s.residual = c->dense_c.at;
    }
    if (!multiply(be, c, &s)) return false;
    if (gaps_c) copy_rows(g->c, g->ldc * c_bytes(g), s.c, (ptrdiff_t)c_row, g->m, c_row);
    return true;
}

bool ae_gemm_bf16(const ae_backend *be, const ae_gemm_args *g) {
    cache *c = servable(g) ? own_cache() : NULL;
    if (!c) return false;
    const int before = ae_alone_begin();
    const bool done = g->b.blocked && !g->a.trans ? multiply_dense(be, c, g) : multiply(be, c, g);
    ae_alone_end(before);
    return done;
}

/* ---- blocked right factors ---- */

static pthread_once_t asked_once = PTHREAD_ONCE_INIT;
static bool takes_blocked;

static void ask(void) {
    enum { M = 256, N = 512, K = 512 };
    const shape s = {.m = M, .n = N, .k = K, .lda = K, .ldc = N, .alpha = 1, .blocked = true};
    entry e = {0};
    const int before = ae_alone_begin();
    takes_blocked = ae_machine_has_bf16() && own_cache() && entry_make(&e, &s);
    ae_alone_end(before);
    entry_free(&e);
}

bool ae_gemm_bf16_takes_blocked(void) {
    (void)pthread_once(&asked_once, ask);
    return takes_blocked;
}
