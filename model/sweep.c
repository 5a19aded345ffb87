#include "model/sweep.h"

#include "core/simd.h"
#include "model/logits.h"

#include <string.h>

#define EACH(j, n) _Pragma("GCC unroll 8") for (int j = 0; j < (n); j++)

/* Memory gives half as much again when it is asked well ahead. */
static inline void fetch(const float *x, ptrdiff_t n) {
    enum { LINE = 16 };
    EACH(j, n / LINE) _mm_prefetch((const char *)(x + j * LINE), _MM_HINT_T0);
}

/* ---- the largest ---- */

static inline float top_of(const float *x, ptrdiff_t n) {
    vf top[4];
    EACH(j, 4) top[j] = vf_set(-FLT_MAX);
    ptrdiff_t v = 0;
    for (; v + 4 * VF <= n; v += 4 * VF) EACH(j, 4) top[j] = vf_max(vf_load(x + v + j * VF), top[j]);
    const vf most = vf_max(vf_max(top[0], top[1]), vf_max(top[2], top[3]));
    float all = vf_max_of(vf_min(most, vf_set(FLT_MAX)));
    for (; v < n; v++) all = ae_logit_usable(x[v]) > all ? ae_logit_usable(x[v]) : all;
    return all;
}

float AE_ISA_NAME(ae_sweep_top)(const float *x, ptrdiff_t n) {
    return top_of(x, n);
}

enum { GROUP = AE_LOGIT_GROUP, FOUR = 4 };

static inline float sample_of(const float *x, ptrdiff_t n, ptrdiff_t g) {
    return ae_logit_usable(x[(ptrdiff_t)((uint32_t)g * 2654435761u >> 16) % n]);
}

/* The largest element of each of four vectors. */
static inline __m128 largest_of(const vf *x) {
#ifdef __AVX512F__
    const vf ab = vf_max(_mm512_unpacklo_ps(x[0], x[1]), _mm512_unpackhi_ps(x[0], x[1])),
             cd = vf_max(_mm512_unpacklo_ps(x[2], x[3]), _mm512_unpackhi_ps(x[2], x[3])),
             wide = vf_max(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    const __m256 all = _mm256_max_ps(_mm512_castps512_ps256(wide), _mm512_extractf32x8_ps(wide, 1));
#else
    const vf ab = vf_max(_mm256_unpacklo_ps(x[0], x[1]), _mm256_unpackhi_ps(x[0], x[1])),
             cd = vf_max(_mm256_unpacklo_ps(x[2], x[3]), _mm256_unpackhi_ps(x[2], x[3])),
             all = vf_max(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
#endif
    return _mm_max_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

/* Whole groups from g on. */
static inline void take_four(const ae_logit_groups *of, ptrdiff_t g) {
    const float *x = of->x + g * GROUP;
    vf top[FOUR];
    EACH(i, FOUR) top[i] = vf_set(-FLT_MAX);
    EACH(i, FOUR) EACH(j, GROUP / VF) top[i] = vf_max(vf_load(x + i * GROUP + j * VF), top[i]);
    _mm_storeu_ps(of->tops + g, _mm_min_ps(largest_of(top), _mm_set1_ps(FLT_MAX)));
    EACH(i, FOUR) of->sample[g + i] = sample_of(x + i * GROUP, GROUP, g + i);
}

static inline void fetch_groups(const ae_logit_groups *of, ptrdiff_t g, int count) {
    enum { AHEAD = 12 };
    if ((g + AHEAD + count) * GROUP <= of->n) fetch(of->x + (g + AHEAD) * GROUP, count * GROUP);
}

/* The groups from g to before `end`, the last of which may be less than whole. */
static void take_groups(const ae_logit_groups *of, ptrdiff_t g, ptrdiff_t end) {
    for (; g + FOUR <= end && (g + FOUR) * GROUP <= of->n; g += FOUR) {
        fetch_groups(of, g, FOUR);
        take_four(of, g);
    }
    for (; g < end; g++) {
        const float *x = of->x + g * GROUP;
        const ptrdiff_t left = of->n - g * GROUP, n = left < GROUP ? left : GROUP;
        of->tops[g] = top_of(x, n);
        of->sample[g] = sample_of(x, n, g);
    }
}

void AE_ISA_NAME(ae_sweep_tops)(const ae_logit_groups *of, ptrdiff_t first, ptrdiff_t end) {
    take_groups(of, first, end);
}

/* ---- those between two bounds ---- */

#ifdef __AVX512F__
/* A NaN is below. */
static inline vmask is_above(vf x, vf high) {
    return _mm512_cmp_ps_mask(x, high, _CMP_GT_OQ);
}
static inline vmask is_below(vf x, vf low) {
    return _mm512_cmp_ps_mask(x, low, _CMP_NGE_UQ);
}
/* a b where m, else 0. */
static inline vf vf_mul_where(vmask m, vf a, vf b) {
    return _mm512_maskz_mul_ps(m, a, b);
}
/* c + a b where m, else c. */
static inline vf vf_fma_where(vmask m, vf a, vf b, vf c) {
    return _mm512_mask3_fmadd_ps(a, b, c, m);
}
#else
static inline vmask is_above(vf x, vf high) {
    return _mm256_cmp_ps(x, high, _CMP_GT_OQ);
}
static inline vmask is_below(vf x, vf low) {
    return _mm256_cmp_ps(x, low, _CMP_NGE_UQ);
}
static inline vf vf_mul_where(vmask m, vf a, vf b) {
    return _mm256_mul_ps(_mm256_and_ps(m, a), b);
}
static inline vf vf_fma_where(vmask m, vf a, vf b, vf c) {
    return vf_fma(_mm256_and_ps(m, a), b, c);
}
#endif

/* Writes those of x that are neither above nor below to `out`; how many they are. */
static inline ptrdiff_t pick(float *out, vf x, vmask above, vmask below) {
#ifdef __AVX512F__
    const vmask mask = _kxnor_mask16(above, below);
    vf_store(out, _mm512_maskz_compress_ps(mask, x));
    return __builtin_popcount(mask);
#else
    const unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_or_ps(above, below)) ^ 0xff;
    /* the places of the mask's bits, lowest first */
    const uint64_t bytes = _pdep_u64(mask, 0x0101010101010101u) * 0xff;
    const uint64_t places = _pext_u64(0x0706050403020100u, bytes);
    vf_store(out, _mm256_permutevar8x32_ps(x, _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)places))));
    return __builtin_popcount(mask);
#endif
}

ptrdiff_t AE_ISA_NAME(ae_sweep_pick)(float *out, const float *x, ptrdiff_t n, float low, float high) {
    ptrdiff_t picked = 0, v = 0;
    for (; v + VF <= n; v += VF) {
        const vf some = vf_load(x + v);
        picked += pick(out + picked, some, is_above(some, vf_set(high)), is_below(some, vf_set(low)));
    }
    for (; v < n; v++) {
        if (x[v] >= low && x[v] <= high) out[picked++] = x[v];
    }
    return picked;
}

/* ---- vectors of doubles ---- */

#ifdef __AVX512F__
typedef __m512d vd;
enum { VD = 8 };
static inline vd vd_set(double x) {
    return _mm512_set1_pd(x);
}
static inline vd vd_max(vd a, vd b) {
    return _mm512_max_pd(a, b);
} /* b where a is NaN */
static inline vd vd_fma(vd a, vd b, vd c) {
    return _mm512_fmadd_pd(a, b, c);
}
/* c + a b where x > bound, else c. */
static inline vd vd_fma_above(vd a, vd b, vd c, vd x, vd bound) {
    return _mm512_mask3_fmadd_pd(a, b, c, _mm512_cmp_pd_mask(x, bound, _CMP_GT_OQ));
}
static inline void vd_store(double *p, vd x) {
    _mm512_storeu_pd(p, x);
}
static inline vd vd_load(const float *x) {
    return _mm512_cvtps_pd(_mm256_loadu_ps(x));
}
/* Adds the elements of x to 16 sums, the first of them to the first. */
static inline void vd_add(vd *sums, vf x) {
    sums[0] = _mm512_add_pd(sums[0], _mm512_cvtps_pd(_mm512_castps512_ps256(x)));
    sums[1] = _mm512_add_pd(sums[1], _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)));
}
/* 2^k for the k + 1023 in the low bits of `shifted`. */
static inline vd vd_power(vd shifted) {
    return _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(shifted), 52));
}
/* Of 16 sums, to four. */
static inline __m256d vd_fold(const vd *x) {
    const __m256d a = _mm256_add_pd(_mm512_castpd512_pd256(x[0]), _mm512_extractf64x4_pd(x[0], 1));
    return _mm256_add_pd(a, _mm256_add_pd(_mm512_castpd512_pd256(x[1]), _mm512_extractf64x4_pd(x[1], 1)));
}
#else
typedef __m256d vd;
enum { VD = 4 };
static inline vd vd_set(double x) {
    return _mm256_set1_pd(x);
}
static inline vd vd_max(vd a, vd b) {
    return _mm256_max_pd(a, b);
}
static inline vd vd_fma(vd a, vd b, vd c) {
    return _mm256_fmadd_pd(a, b, c);
}
static inline vd vd_fma_above(vd a, vd b, vd c, vd x, vd bound) {
    return _mm256_fmadd_pd(_mm256_and_pd(a, _mm256_cmp_pd(x, bound, _CMP_GT_OQ)), b, c);
}
static inline void vd_store(double *p, vd x) {
    _mm256_storeu_pd(p, x);
}
static inline vd vd_load(const float *x) {
    return _mm256_cvtps_pd(_mm_loadu_ps(x));
}
static inline void vd_add(vd *sums, vf x) {
    sums[0] = _mm256_add_pd(sums[0], _mm256_cvtps_pd(_mm256_castps256_ps128(x)));
    sums[1] = _mm256_add_pd(sums[1], _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)));
}
static inline vd vd_power(vd shifted) {
    return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(shifted), 52));
}
static inline __m256d vd_fold(const vd *x) {
    return _mm256_add_pd(_mm256_add_pd(x[0], x[1]), _mm256_add_pd(x[2], x[3]));
}
#endif

/* ---- exp ---- */

enum { STEP = 16, CHAINS = STEP / VD };

typedef struct {
    vd least, scale, shift, coefficients[AE_LOGIT_DEGREE + 1];
} law;

static inline law spread(const ae_logit_law *from) {
    law w = {vd_set(from->least), vd_set(from->scale), vd_set(from->shift), {{0}}};
    EACH(i, AE_LOGIT_DEGREE + 1) w.coefficients[i] = vd_set(from->coefficients[i]);
    return w;
}

/* The weights of x as p times power. */
static inline void weights_of(vd *p, vd *power, const vd *x, const law *w) {
    vd r[CHAINS];
    EACH(j, CHAINS) power[j] = vd_fma(x[j], w->scale, w->shift); /* whole, in the low bits */
    EACH(j, CHAINS) r[j] = vd_fma(x[j], w->scale, w->shift - power[j]);
    EACH(j, CHAINS) p[j] = w->coefficients[0];
    EACH(i, AE_LOGIT_DEGREE) EACH(j, CHAINS) p[j] = vd_fma(p[j], r[j], w->coefficients[i + 1]);
    EACH(j, CHAINS) power[j] = vd_power(power[j]);
}

static inline void clear(vd *sums) {
    EACH(j, CHAINS) sums[j] = vd_set(0);
}

static inline void add_step(vd *sums, double *each, const float *logits, const law *w) {
    vd x[CHAINS], p[CHAINS], power[CHAINS];
    EACH(j, CHAINS) x[j] = vd_max(vd_load(logits + j * VD), w->least);
    weights_of(p, power, x, w);
    EACH(j, CHAINS) sums[j] = vd_fma(p[j], power[j], sums[j]);
    if (each) EACH(j, CHAINS) vd_store(each + j * VD, p[j] * power[j]);
}

/* x [n] up to a whole step of m; what lacks weighs next to nothing. */
static inline void pad(float *out, const float *x, ptrdiff_t n, ptrdiff_t m) {
    for (ptrdiff_t i = 0; i < m; i++) out[i] = i < n ? x[i] : -FLT_MAX;
}

static inline void add_rest(vd *sums, double *each, const float *x, ptrdiff_t n, const law *w) {
    float padded[STEP];
    double terms[STEP];
    pad(padded, x, n, STEP);
    add_step(sums, each ? terms : NULL, padded, w);
    if (each) memcpy(each, terms, (size_t)n * sizeof *each);
}

static double sum_of(const vd *x) {
    double parts[4];
    _mm256_storeu_pd(parts, vd_fold(x));
    return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

static inline double add_up(double *each, const float *x, ptrdiff_t n, const law *w) {
    vd sums[CHAINS];
    ptrdiff_t v = 0;
    clear(sums);
    for (; v + STEP <= n; v += STEP) add_step(sums, each ? each + v : NULL, x + v, w);
    if (v < n) add_rest(sums, each ? each + v : NULL, x + v, n - v, w);
    return sum_of(sums);
}

double AE_ISA_NAME(ae_sweep_exp_sum)(double *each, const float *x, ptrdiff_t n, const ae_logit_law *by) {
    const law w = spread(by);
    return each ? add_up(each, x, n, &w) : add_up(NULL, x, n, &w);
}

/* ---- splits ---- */

typedef struct {
    vd above[CHAINS], below[CHAINS];
} split_sums;

static inline void split_step(split_sums *s, const float *logits, const law *w, vd low, vd high) {
    vd x[CHAINS], p[CHAINS], power[CHAINS];
    EACH(j, CHAINS) x[j] = vd_max(vd_load(logits + j * VD), w->least);
    weights_of(p, power, x, w);
    EACH(j, CHAINS) s->above[j] = vd_fma_above(p[j], power[j], s->above[j], x[j], high);
    EACH(j, CHAINS) s->below[j] = vd_fma_above(p[j], power[j], s->below[j], low, x[j]);
}

ae_logit_split AE_ISA_NAME(ae_sweep_split)(float *between, const float *x, ptrdiff_t n,
                                           const ae_logit_law *by, float low, float high) {
    const law w = spread(by);
    const vd least = vd_set((double)low), most = vd_set((double)high);
    float padded[STEP];
    split_sums s;
    ptrdiff_t v = 0;
    clear(s.above);
    clear(s.below);
    for (; v + STEP <= n; v += STEP) split_step(&s, x + v, &w, least, most);
    pad(padded, x + v, n - v, STEP);
    split_step(&s, padded, &w, least, most);
    const ptrdiff_t picked = AE_ISA_NAME(ae_sweep_pick)(between, x, n, low, high);
    return (ae_logit_split){sum_of(s.above), sum_of(s.below), picked};
}

/* ---- splits in single precision ---- */

enum { ROUGH_STEP = 128, PARTS = 4, HALVES = 16 / VF };

typedef struct {
    vf least, scale, rest, shift, low, high, coefficients[AE_LOGIT_ROUGH_DEGREE + 1];
} rough_law;

static inline rough_law spread_rough(const ae_logit_rough_law *from, float low, float high) {
    rough_law w = {.least = vf_set(from->least),
                   .scale = vf_set(from->scale),
                   .rest = vf_set(from->rest),
                   .shift = vf_set(from->shift),
                   .low = vf_set(low),
                   .high = vf_set(high)};
    EACH(i, AE_LOGIT_ROUGH_DEGREE + 1) w.coefficients[i] = vf_set(ae_logit_rough_exp2[i]);
    return w;
}

/* 2^k for the k + 127 in the low bits of `shifted`. */
static inline vf vf_power(vf shifted) {
#ifdef __AVX512F__
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(shifted), 23));
#else
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23));
#endif
}

/* The weights as p times power. */
static inline void rough_weights(vf *p, vf *power, const vf *logits, const rough_law *w) {
    vf x[PARTS], r[PARTS];
    EACH(j, PARTS) x[j] = vf_max(logits[j], w->least);
    EACH(j, PARTS) power[j] = vf_fma(x[j], w->scale, w->shift);
    EACH(j, PARTS) r[j] = vf_fma(x[j], w->scale, w->shift - power[j]);
    EACH(j, PARTS) r[j] = vf_fma(x[j], w->rest, r[j]);
    EACH(j, PARTS) p[j] = w->coefficients[0];
    EACH(i, AE_LOGIT_ROUGH_DEGREE) EACH(j, PARTS) p[j] = vf_fma(p[j], r[j], w->coefficients[i + 1]);
    EACH(j, PARTS) power[j] = vf_power(power[j]);
}

/* Of 16 elements each. */
typedef struct {
    vf above[HALVES], below[HALVES];
} rough_sums;

static inline vf sum_where(const vmask *m, const vf *p, const vf *power) {
    vf sum[2];
    EACH(j, 2) sum[j] = vf_mul_where(m[j], p[j], power[j]);
    EACH(j, 2) sum[j] = vf_fma_where(m[j + 2], p[j + 2], power[j + 2], sum[j]);
    return sum[0] + sum[1];
}

/* Half a step: a weight is rounded twice at most on its way into the sums. */
static inline ptrdiff_t rough_half(rough_sums *s, float *between, const float *x, const rough_law *w) {
    vmask above[HALVES][PARTS], below[HALVES][PARTS];
    ptrdiff_t picked = 0;
    EACH(h, HALVES) {
        vf logits[PARTS], p[PARTS], power[PARTS];
        EACH(j, PARTS) {
            logits[j] = vf_load(x + (j * HALVES + h) * VF);
            above[h][j] = is_above(logits[j], w->high);
            below[h][j] = is_below(logits[j], w->low);
        }
        rough_weights(p, power, logits, w);
        s->above[h] = sum_where(above[h], p, power);
        s->below[h] = sum_where(below[h], p, power);
    }
    EACH(j, PARTS)
    EACH(h, HALVES)
    picked += pick(between + picked, vf_load(x + (j * HALVES + h) * VF), above[h][j], below[h][j]);
    return picked;
}

static inline ptrdiff_t rough_step(split_sums *s, float *between, const float *x, const rough_law *w) {
    rough_sums a, b;
    ptrdiff_t picked = rough_half(&a, between, x, w);
    picked += rough_half(&b, between + picked, x + ROUGH_STEP / 2, w);
    EACH(h, HALVES) vd_add(s->above + h * VF / VD, a.above[h] + b.above[h]);
    EACH(h, HALVES) vd_add(s->below + h * VF / VD, a.below[h] + b.below[h]);
    return picked;
}

ae_logit_split AE_ISA_NAME(ae_sweep_rough_split)(float *between, const float *x, ptrdiff_t n,
                                                 const ae_logit_rough_law *by, float low, float high,
                                                 const ae_logit_groups *also, ptrdiff_t group) {
    const rough_law w = spread_rough(by, low, high);
    split_sums s;
    ptrdiff_t v = 0, picked = 0;
    clear(s.above);
    clear(s.below);
    for (; v + ROUGH_STEP <= n; v += ROUGH_STEP) {
        if (also) {
            const ptrdiff_t g = group + v / GROUP;
            fetch_groups(also, g, ROUGH_STEP / GROUP);
            if (v % (FOUR * GROUP) == 0 && v + FOUR * GROUP <= n) take_four(also, g);
        }
        picked += rough_step(&s, between + picked, x + v, &w);
    }
    if (v < n) {
        float padded[ROUGH_STEP], unused[ROUGH_STEP + AE_LOGIT_SPARE];
        pad(padded, x + v, n - v, ROUGH_STEP);
        (void)rough_step(&s, unused, padded, &w);
        picked += AE_ISA_NAME(ae_sweep_pick)(between + picked, x + v, n - v, low, high);
    }
    if (also) take_groups(also, group + n / (FOUR * GROUP) * FOUR, group + (n + GROUP - 1) / GROUP);
    return (ae_logit_split){sum_of(s.above) * by->factor, sum_of(s.below) * by->factor, picked};
}
