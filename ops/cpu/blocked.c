#include "ops/cpu/blocked.h"

#include "ops/cpu/turn.h"

enum { WIDE = 2 * VF }; /* bfloat16 elements of a vector, VF pairs */

/* Elements [i, i + 32) of a row, zeros from n on. */
static inline __m512i load(const ae_gemm_operand *x, ptrdiff_t row, ptrdiff_t i, ptrdiff_t n) {
    const ptrdiff_t at = row * x->ld + i, left = n - i;
    if (x->type == AE_ELEM_BF16) {
        const __mmask32 kept = left >= WIDE ? UINT32_MAX : (UINT32_C(1) << left) - 1;
        return _mm512_maskz_loadu_epi16(kept, (const uint16_t *)x->at + at);
    }
    const float *from = (const float *)x->at + at;
    const vf low = vf_load_n(from, left), high = left > VF ? vf_load_n(from + VF, left - VF) : vf_set(0);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* Pairs (a[i], b[i]) for the lower or upper 16 i. */
static inline __m512i pairs_of(__m512i a, __m512i b, bool upper) {
    const __m512i step = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i first = _mm512_add_epi32(step, _mm512_set1_epi32(upper ? VF : 0));
    const __m512i order =
        _mm512_or_si512(first, _mm512_slli_epi32(_mm512_add_epi32(first, _mm512_set1_epi32(WIDE)), 16));
    return _mm512_permutex2var_epi16(a, order, b);
}

/* Rows of B lie along its columns: two of them make pairs. */
static void pack_plain(uint16_t *to, const ae_gemm_operand *b, ptrdiff_t k, ptrdiff_t col, ptrdiff_t n) {
    const __m512i zero = _mm512_setzero_si512();
    for (ptrdiff_t p = 0; p < ae_blocked_depth(k); p += 2, to += 2 * AE_BLOCKED_COLS) {
        for (ptrdiff_t j = 0; j < AE_BLOCKED_COLS; j += WIDE) {
            const bool some = j < n;
            const __m512i even = some && p < k ? load(b, p, col + j, col + n) : zero;
            const __m512i odd = some && p + 1 < k ? load(b, p + 1, col + j, col + n) : zero;
            _mm512_storeu_si512(to + 2 * j, pairs_of(even, odd, false));
            _mm512_storeu_si512(to + 2 * j + WIDE, pairs_of(even, odd, true));
        }
    }
}

/* B is stored [n, k], where pairs are neighbours. */
static void pack_turned(uint16_t *to, const ae_gemm_operand *b, ptrdiff_t k, ptrdiff_t col, ptrdiff_t n) {
    for (ptrdiff_t j = 0; j < AE_BLOCKED_COLS; j += VF) {
        for (ptrdiff_t p = 0; p < ae_blocked_depth(k); p += WIDE) {
            vf r[VF];
            for (ptrdiff_t i = 0; i < VF; i++)
                r[i] = j + i < n ? _mm512_castsi512_ps(load(b, col + j + i, p, k)) : vf_set(0);
            ae_turn_block((float *)(void *)(to + p * AE_BLOCKED_COLS + 2 * j), AE_BLOCKED_COLS, r);
        }
    }
}

void ae_blocked_pack(uint16_t *panel, const ae_gemm_operand *b, ptrdiff_t k, ptrdiff_t col, ptrdiff_t n) {
    (b->trans ? pack_turned : pack_plain)(panel, b, k, col, n);
}

void ae_turn_bf16(uint16_t *to, ptrdiff_t ld, const uint16_t *from, ptrdiff_t ld_from, ptrdiff_t k,
                  ptrdiff_t n) {
    const ae_gemm_operand x = ae_operand(AE_ELEM_BF16, from, ld_from, false);
    for (ptrdiff_t p = 0; p < k; p += WIDE) {
        vf lower[VF], upper[VF];
        for (ptrdiff_t i = 0; i < VF; i++) {
            const ptrdiff_t row = p + 2 * i;
            const __m512i even = row < k ? load(&x, row, 0, n) : _mm512_setzero_si512();
            const __m512i odd = row + 1 < k ? load(&x, row + 1, 0, n) : _mm512_setzero_si512();
            lower[i] = _mm512_castsi512_ps(pairs_of(even, odd, false));
            upper[i] = _mm512_castsi512_ps(pairs_of(even, odd, true));
        }
        ae_turn_block((float *)(void *)(to + p), ld / 2, lower);
        ae_turn_block((float *)(void *)(to + VF * ld + p), ld / 2, upper);
    }
}
