#include "formats/half.h"

#include <criterion/criterion.h>
#include <math.h>

static uint16_t rounded(float x) {
    uint16_t h;
    ae_round_to_half(&h, &x, 1);
    return h;
}

Test(half, every_finite_half_comes_back) {
    for (uint32_t h = 0; h < 0x7c00; h++) {
        cr_assert_eq(rounded(ae_float_of_half((uint16_t)h)), h, "%x", h);
        cr_assert_eq(rounded(-ae_float_of_half((uint16_t)h)), h | 0x8000u, "%x", h);
    }
    cr_assert_eq(ae_float_of_half(0x7bff), AE_HALF_MAX);
    cr_assert_eq(ae_float_of_half(0x3c00), 1.0f);
    cr_assert_eq(ae_float_of_half(0x0001), 0x1p-24f);
}

/* Between two halves the middle goes to the even one, what lies beside it to the nearer one. */
Test(half, ties_go_to_even) {
    for (uint32_t h = 0; h < 0x7bff; h++) {
        const float low = ae_float_of_half((uint16_t)h), high = ae_float_of_half((uint16_t)(h + 1)),
                    middle = low + (high - low) / 2;
        cr_assert_eq(rounded(middle), h + (h & 1), "%x", h);
        cr_assert_eq(rounded(nextafterf(middle, low)), h, "%x", h);
        cr_assert_eq(rounded(nextafterf(middle, high)), h + 1, "%x", h);
    }
}
