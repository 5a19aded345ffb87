#include "core/machine.h"
#include "ops/backend.h"
#include "ops/cpu/gemm.h"

#include <criterion/criterion.h>
#include <dnnl.h>
#include <stdlib.h>
#include <string.h>

/* A cap is the process's, and the library takes its own once: every test is a process. */

static ae_backend backend(const char *isa, const char *products, ae_dtype dtype) {
    ae_backend be;
    cr_assert_eq(setenv("AERIE_ISA", isa, 1), 0);
    cr_assert_eq(setenv("AERIE_PRODUCTS", products, 1), 0);
    cr_assert_eq(ae_backend_cpu(&be, &(ae_backend_options){.threads = 1, .dtype = dtype}), AE_OK);
    return be;
}

static void expect_library_within(dnnl_cpu_isa_t cap) {
    const unsigned int found = (unsigned int)dnnl_get_effective_cpu_isa();
    cr_assert_eq(found & ~(unsigned int)cap, 0, "%#x is more than %#x", found, (unsigned int)cap);
}

Test(backend, a_cap_at_avx2_holds_for_everything) {
    ae_backend be = backend("avx2", "", AE_DTYPE_F32);
    cr_assert_str_eq(be.kernels, "avx2 (own products, even tiles)");
    expect_library_within(dnnl_cpu_isa_avx2);
    cr_assert_eq(ae_dtype_auto(), AE_DTYPE_F32, "without bfloat16 instructions");
    ae_backend_free(&be);
}

Test(backend, a_cap_at_avx512_keeps_the_library_from_tiles) {
    ae_backend be = backend("avx512", "", AE_DTYPE_BF16);
    cr_assert_null(strstr(be.kernels, "amx"), "%s", be.kernels);
    expect_library_within(dnnl_cpu_isa_avx512_core_bf16);
    cr_assert_eq(ae_products_pick(), ae_machine_has_fast_bf16() ? AE_PRODUCTS_BF16 : AE_PRODUCTS_F32);
    ae_backend_free(&be);
}

/* What a checkpoint stores tells every choice that changes bits. */
Test(backend, kernels_are_named_by_what_changes_bits) {
    ae_backend plain = backend("amx", "f32", AE_DTYPE_F32), wide = backend("amx", "bf16", AE_DTYPE_F32);
    ae_backend half = backend("amx", "f32", AE_DTYPE_BF16), products = backend("amx", "bf16", AE_DTYPE_BF16);
    cr_assert_str_eq(plain.kernels, wide.kernels, "float32 has products of its own kind only");
    cr_assert_str_neq(plain.kernels, half.kernels);
    cr_assert_eq(strcmp(half.kernels, products.kernels) != 0, ae_machine_has_bf16(), "%s", products.kernels);
    cr_assert_eq(strstr(products.kernels, "products amx") != NULL, ae_machine_has_amx(), "%s",
                 products.kernels);
    ae_backend_free(&plain);
    ae_backend_free(&wide);
    ae_backend_free(&half);
    ae_backend_free(&products);
}

Test(backend, products_of_bf16_need_instructions_under_the_cap) {
    ae_backend be = backend("avx2", "bf16", AE_DTYPE_BF16);
    cr_assert_eq(ae_products_pick(), AE_PRODUCTS_F32);
    cr_assert_str_eq(be.kernels, "avx2 bf16");
    cr_assert_eq(be.packed, AE_WEIGHT_F32);
    ae_backend_free(&be);
}
