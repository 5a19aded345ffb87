#include "formats/half.h"

#include <math.h>
#include <string.h>

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Added to 0.5, a number below 2^-14 is rounded to multiples of 2^-24; else exponents 127 apart in bias become
 * 15 apart, and 13 bits go. */
static uint16_t half_of(float x) {
    const uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude < 113u << 23) return (uint16_t)(sign | (bits_of(fabsf(x) + 0.5f) - bits_of(0.5f)));
    return (uint16_t)(sign | ((magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13));
}

void ae_round_to_half(uint16_t *out, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) out[i] = half_of(x[i]);
}

/* Exponents 15 apart in bias become 127 apart; a subnormal is the difference of two normals. */
float ae_float_of_half(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h & 0x7c00u,
                   rest = (uint32_t)(h & 0x7fffu) << 13;
    if (exponent == 0) {
        const float x = from_bits(rest | 113u << 23) - from_bits(113u << 23);
        return sign != 0 ? -x : x;
    }
    return from_bits(sign | (rest + ((exponent == 0x7c00u ? 224u : 112u) << 23)));
}
