#include "ops/backend.h"

#include "core/threads.h"
#include "ops/compose/compose.h"
#include "ops/cpu/gemm.h"
#include "ops/cpu/memory.h"
#include "ops/cpu/object.h"
#include "ops/cpu/panels.h"
#include "ops/cpu/table.h"
#include "ops/cpu/team.h"

#include <dnnl.h>
#include <malloc.h>
#include <stdlib.h>

static size_t ae_cpu_weight_bytes(const ae_backend *be, ptrdiff_t rows, ptrdiff_t cols, bool at_use) {
    return ae_cpu_packed_bytes(be->packed, rows, cols, at_use);
}

static void ae_cpu_weight_pack(const ae_backend *be, void *room, const ae_f32 *master, ptrdiff_t rows,
                               ptrdiff_t cols, bool at_use) {
    ae_cpu_pack(be, room, be->packed, ae_cf(master), rows, cols, at_use);
}

/* The product library takes its packing buffers from malloc at every call; handed back to the system in between, their pages
 * would be cleared anew each time (6 % of a step). */
static void keep_buffers(void) {
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the largest it takes */
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
    (void)mallopt(M_TOP_PAD, 16 << 20);
}

/* Estimates of reciprocals (AVX-512) are not the same bits on all makers' processors, so the maker is part of the name; and so are
 * the type of activations and of products, and tiles (AMX), which sum in an order of their own. */
static const char *kernels_name(ae_isa isa, ae_dtype dtype, ae_products products) {
    static const char *const names[3][2][2] = {
        {{"avx2 (own products, even tiles)", "avx2 (own products, even tiles)"},
         {"avx2 bf16", "avx2 bf16, products bf16"}},
        {{"avx512", "avx512"}, {"avx512 bf16", "avx512 bf16, products bf16"}},
        {{"avx512 (not Intel)", "avx512 (not Intel)"},
         {"avx512 (not Intel) bf16", "avx512 (not Intel) bf16, products bf16"}}};
    const int row = isa < AE_ISA_AVX512 ? 0 : __builtin_cpu_is("intel") ? 1 : 2;
    if (isa == AE_ISA_AMX && dtype == AE_DTYPE_BF16 && products == AE_PRODUCTS_BF16)
        return row == 1 ? "avx512 bf16, all products amx" : "avx512 (not Intel) bf16, all products amx";
    return names[row][dtype == AE_DTYPE_BF16][products == AE_PRODUCTS_BF16];
}

static void fill_rows(ae_backend *be, ae_isa isa) {
    const bool wide = isa >= AE_ISA_AVX512;
    if (be->dtype == AE_DTYPE_F32)
        (wide ? ae_cpu_fill_avx512_f32 : ae_cpu_fill_avx2_f32)(be);
    else if (!wide)
        ae_cpu_fill_avx2_bf16(be);
    else
        (ae_machine_has_bf16() ? ae_cpu_fill_avx512_bf16_native : ae_cpu_fill_avx512_bf16)(be);
#define FILL(name, ...) be->name = ae_cpu_##name;
    AE_MEMORY_ROWS(FILL)
    AE_MEMORY_SIZES(FILL)
#undef FILL
    ae_compose_fill(be);
}

ae_dtype ae_dtype_auto(void) {
    const bool has = ae_machine_has_bf16() || ae_machine_has_amx();
    return has && ae_isa_pick() >= AE_ISA_AVX512 ? AE_DTYPE_BF16 : AE_DTYPE_F32;
}

ae_dtype ae_dtype_beside(ae_weight_type weights) {
    const bool compact = weights != AE_WEIGHT_F32;
    return compact && ae_products_pick() == AE_PRODUCTS_BF16 ? AE_DTYPE_BF16 : AE_DTYPE_F32;
}

/* Products of bfloat16 want their weights in it, beside the float32 masters. */
static ae_weight_type packed_of(ae_dtype dtype) {
    const bool bf16 = dtype == AE_DTYPE_BF16 && ae_products_pick() == AE_PRODUCTS_BF16;
    return bf16 ? AE_WEIGHT_BF16 : AE_WEIGHT_F32;
}

/* The library's kernels follow the same cap as ours (AERIE_ISA); refused, and harmless, once it has started. */
static void cap_library(ae_isa isa) {
    static const dnnl_cpu_isa_t caps[] = {
        [AE_ISA_AVX2] = dnnl_cpu_isa_avx2,
        [AE_ISA_AVX512] = dnnl_cpu_isa_avx512_core_bf16,
        [AE_ISA_AMX] = dnnl_cpu_isa_all,
    };
    (void)dnnl_set_max_cpu_isa(caps[isa]);
}

static void destroy(ae_backend *be) {
    free(be->self);
}

static ae_status make_self(ae_backend *be, ae_isa isa) {
    ae_cpu *self = calloc(1, sizeof *self);
    if (!self) return AE_FAIL(AE_ERR_RESOURCE, "out of memory for a backend");
    self->products = ae_products_pick();
    self->tiles = isa == AE_ISA_AMX;
    self->kernels = isa >= AE_ISA_AVX512 ? &ae_product_avx512 : &ae_product_avx2;
    be->self = self;
    return AE_OK;
}

ae_status ae_backend_cpu(ae_backend *be, const ae_backend_options *o) {
    const ae_isa isa = ae_isa_pick();
    const ae_dtype dtype = o->dtype;
    keep_buffers();
    *be = (ae_backend){.name = "cpu",
                       .kernels = kernels_name(isa, dtype, ae_products_pick()),
                       .dtype = dtype,
                       .packed = packed_of(dtype),
                       .threads = o->threads > 0 ? ae_threads_granted(o->threads) : ae_threads(),
                       .act_bytes = dtype == AE_DTYPE_BF16 ? sizeof(uint16_t) : sizeof(float),
                       .alloc = ae_cpu_alloc,
                       .release = ae_cpu_release,
                       .sync = ae_cpu_sync,
                       .destroy = destroy};
    fill_rows(be, isa);
    (void)ae_team(be); /* this thread, too, takes denormal numbers for 0 from now on */
    cap_library(isa);
    return make_self(be, isa);
}
