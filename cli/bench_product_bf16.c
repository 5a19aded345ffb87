#include "cli/bench_products.h"
#include "cli/library_team.h"
#include "core/arena.h"
#include "core/clock.h"

#include <dnnl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t product;
    dnnl_memory_t memory[3];
} matmul;

static void matmul_free(matmul *m) {
    for (int i = 0; i < 3; i++)
        if (m->memory[i]) dnnl_memory_destroy(m->memory[i]);
    if (m->product) dnnl_primitive_destroy(m->product);
    if (m->stream) dnnl_stream_destroy(m->stream);
    if (m->engine) dnnl_engine_destroy(m->engine);
}

static bool made(dnnl_status_t st) {
    return st == dnnl_success;
}

/* c = a b, all bfloat16, n x n, row-major. */
static bool matmul_init(matmul *m, ptrdiff_t n, uint16_t *arrays) {
    dnnl_memory_desc_t shape;
    dnnl_matmul_desc_t op;
    dnnl_primitive_desc_t chosen = NULL;
    if (!made(dnnl_engine_create(&m->engine, dnnl_cpu, 0)) ||
        !made(dnnl_stream_create(&m->stream, m->engine, dnnl_stream_default_flags)) ||
        !made(dnnl_memory_desc_init_by_tag(&shape, 2, (dnnl_dims_t){n, n}, dnnl_bf16, dnnl_ab)) ||
        !made(dnnl_matmul_desc_init(&op, &shape, &shape, NULL, &shape)) ||
        !made(dnnl_primitive_desc_create(&chosen, &op, NULL, m->engine, NULL)))
        return false;
    const bool done = made(dnnl_primitive_create(&m->product, chosen));
    dnnl_primitive_desc_destroy(chosen);
    for (ptrdiff_t i = 0; i < 3; i++)
        if (!made(dnnl_memory_create(&m->memory[i], &shape, m->engine, arrays + i * n * n))) return false;
    return done;
}

static bool multiply(const matmul *m) {
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, m->memory[0]}, {DNNL_ARG_WEIGHTS, m->memory[1]}, {DNNL_ARG_DST, m->memory[2]}};
    return made(dnnl_primitive_execute(m->product, m->stream, 3, args)) && made(dnnl_stream_wait(m->stream));
}

ae_status ae_measure_bf16_product(ptrdiff_t n, ptrdiff_t rounds, double *seconds) {
    matmul m = {0};
    const size_t elements = 3 * (size_t)n * (size_t)n;
    uint16_t *x =
        aligned_alloc(AE_ARENA_ALIGN, (2 * elements + AE_ARENA_ALIGN - 1) / AE_ARENA_ALIGN * AE_ARENA_ALIGN);
    if (!x) return AE_FAIL(AE_ERR_RESOURCE, "product of %td x %td: out of memory", n, n);
    for (size_t i = 0; i < elements; i++) x[i] = (uint16_t)(0x3f00 + i % 61); /* 0.5 and a little more */
    const ae_library_team before = ae_library_team_begin();
    bool ok = matmul_init(&m, n, x) && multiply(&m);
    for (ptrdiff_t r = 0; ok && r < rounds; r++) {
        const double start = ae_now_s();
        ok = multiply(&m);
        seconds[r] = ae_now_s() - start;
    }
    ae_library_team_end(before);
    matmul_free(&m);
    free(x);
    return ok ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "bfloat16 product of %td x %td: oneDNN refused it", n, n);
}
