#include "core/machine.h"
#include "ops/cpu/table.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* One float in so many is tried; the sanitizers are slow. */
#ifdef __SANITIZE_ADDRESS__
enum { STRIDE = 40009 };
#else
enum { STRIDE = 1009 };
#endif
enum { BATCH = 1000 };

typedef void fill_fn(ae_backend *be);

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* To the nearer of two neighbours, to the even one from the middle; NaN stays NaN with its leading bits. */
static uint16_t rounded(uint32_t bits) {
    if (isnan(float_of(bits))) return (uint16_t)(bits >> 16 | 0x40);
    const uint32_t below = bits >> 16, rest = bits & 0xffff;
    return (uint16_t)(below + (rest > 0x8000 || (rest == 0x8000 && (below & 1))));
}

/* What backward keeps of a row is the row rounded, and nothing else. */
static void expect_batch(const ae_backend *be, const uint32_t *bits, ptrdiff_t n) {
    float x[BATCH], w[BATCH] = {0}, rstd;
    uint16_t z[BATCH], kept[BATCH + 1];
    memcpy(x, bits, (size_t)n * sizeof *x);
    kept[n] = 77;
    be->rmsnorm_forward(be, (ae_act *)(void *)z, (ae_act *)(void *)kept, (ae_f32 *)(void *)&rstd,
                        (const ae_f32 *)(const void *)x, (const ae_f32 *)(const void *)w, 1, 1, n);
    for (ptrdiff_t i = 0; i < n; i++)
        cr_assert(kept[i] == rounded(bits[i]), "%08x (%g) rounds to %04x, expected %04x", bits[i],
                  (double)x[i], kept[i], rounded(bits[i]));
    cr_assert(kept[n] == 77, "written past the end");
    be->act_from_f32(be, (ae_act *)(void *)z, (const ae_f32 *)(const void *)x, n);
    cr_assert(memcmp(z, kept, (size_t)n * sizeof *z) == 0, "a conversion and what rmsnorm keeps differ");
}

/* Every kind of float but the denormal, which count as 0; the last batch is of an odd length. */
static void expect_rounding(fill_fn *fill) {
    ae_backend be = {0};
    uint32_t bits[BATCH];
    ptrdiff_t n = 0;
    fill(&be);
    for (uint64_t b = 0x00800000; b <= 0x7fffffff; b += STRIDE)
        for (uint32_t sign = 0; sign < 2; sign++) {
            bits[n++] = (uint32_t)b | sign << 31;
            if (n == BATCH) expect_batch(&be, bits, n), n = 0;
        }
    for (uint32_t high = 0x0080; high < 0x7fff; high += 0x101) { /* middles and their neighbours */
        const uint32_t middle = high << 16 | 0x8000;
        const uint32_t five[] = {middle - 1, middle, middle + 1, middle | 1u << 31, high << 16};
        expect_batch(&be, five, 5);
    }
    expect_batch(&be, (const uint32_t[]){0, 1u << 31, 0x7f800000, 0xff800000, 0x7f800001, 0x7fffffff}, 6);
    expect_batch(&be, bits, n);
}

Test(act, rounding_by_integers_avx2) {
    expect_rounding(ae_cpu_fill_avx2_bf16);
}

Test(act, rounding_by_integers_avx512) {
    if (ae_isa_pick() < AE_ISA_AVX512) cr_skip_test("this machine has no AVX-512");
    expect_rounding(ae_cpu_fill_avx512_bf16);
}

Test(act, rounding_by_the_instruction) {
    if (ae_isa_pick() < AE_ISA_AVX512 || !ae_machine_has_bf16())
        cr_skip_test("this machine has no AVX512-BF16");
    expect_rounding(ae_cpu_fill_avx512_bf16_native);
}
