#ifndef AE_OPS_CPU_TURN_H
#define AE_OPS_CPU_TURN_H
#include "core/simd.h"

#include <stdbool.h>

/* to[c * pitch + i] = r[i][c] for a block of VF x VF: pairs, quads, then lanes of 128 bits. Nothing is
 * computed, so the elements may be anything of 32 bits; r is overwritten. */
#ifdef __AVX512F__
static inline vf ae_turn_quad(vf a, vf b, bool high) {
    const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    return _mm512_castpd_ps(high ? _mm512_unpackhi_pd(x, y) : _mm512_unpacklo_pd(x, y));
}

static inline void ae_turn_block(float *to, ptrdiff_t pitch, vf *r) {
    vf t[VF];
    for (int i = 0; i < VF; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < VF; i += 4)
        for (int c = 0; c < 4; c++) r[i + c] = ae_turn_quad(t[i + c / 2], t[i + 2 + c / 2], c % 2);
    for (int c = 0; c < 4; c++) {
        const vf a = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88),
                 b = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xdd);
        const vf d = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88),
                 e = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xdd);
        vf_store(to + c * pitch, _mm512_shuffle_f32x4(a, d, 0x88));
        vf_store(to + (4 + c) * pitch, _mm512_shuffle_f32x4(b, e, 0x88));
        vf_store(to + (8 + c) * pitch, _mm512_shuffle_f32x4(a, d, 0xdd));
        vf_store(to + (12 + c) * pitch, _mm512_shuffle_f32x4(b, e, 0xdd));
    }
}
#else
static inline void ae_turn_block(float *to, ptrdiff_t pitch, vf *r) {
    vf t[VF];
    for (int i = 0; i < VF; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < VF; i += 4) {
        for (int c = 0; c < 2; c++) {
            r[i + 2 * c] = _mm256_shuffle_ps(t[i + c], t[i + 2 + c], 0x44);
            r[i + 2 * c + 1] = _mm256_shuffle_ps(t[i + c], t[i + 2 + c], 0xee);
        }
    }
    for (int c = 0; c < 4; c++) {
        vf_store(to + c * pitch, _mm256_permute2f128_ps(r[c], r[4 + c], 0x20));
        vf_store(to + (4 + c) * pitch, _mm256_permute2f128_ps(r[c], r[4 + c], 0x31));
    }
}
#endif

/* Lane j: the sum of r[j], lower half and upper half added, then halves of that, as vf_sum adds them; r is overwritten. */
#ifdef __AVX512F__
static inline vf ae_sum_block(vf *r) {
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 2; k++) {
            const vf a = r[i + 8 * k], b = r[i + 8 * k + 4];
            r[i + 8 * k] = _mm512_shuffle_f32x4(a, b, 0x44) + _mm512_shuffle_f32x4(a, b, 0xee);
        }
    for (int i = 0; i < 4; i++)
        r[i] = _mm512_shuffle_f32x4(r[i], r[i + 8], 0x88) + _mm512_shuffle_f32x4(r[i], r[i + 8], 0xdd);
    for (int i = 0; i < 4; i += 2)
        r[i] = _mm512_shuffle_ps(r[i], r[i + 1], 0x44) + _mm512_shuffle_ps(r[i], r[i + 1], 0xee);
    return _mm512_shuffle_ps(r[0], r[2], 0x88) + _mm512_shuffle_ps(r[0], r[2], 0xdd);
}
#else
static inline vf ae_sum_block(vf *r) {
    for (int i = 0; i < 4; i++)
        r[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20) + _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    for (int i = 0; i < 4; i += 2)
        r[i] = _mm256_shuffle_ps(r[i], r[i + 1], 0x44) + _mm256_shuffle_ps(r[i], r[i + 1], 0xee);
    return _mm256_shuffle_ps(r[0], r[2], 0x88) + _mm256_shuffle_ps(r[0], r[2], 0xdd);
}
#endif

#endif
