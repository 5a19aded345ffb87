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

static inline void fetch_later(const float *x) {
    _mm_prefetch((const char *)x, _MM_HINT_T1);
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

static inline void top_and_sample(float *top, float *sample, const float *x, ptrdiff_t n, ptrdiff_t g) {
    *top = top_of(x, n);
    *sample = ae_logit_usable(x[(ptrdiff_t)((uint32_t)g * 2654435761u >> 16) % n]);
}

void AE_ISA_NAME(ae_sweep_tops)(float *tops, float *sample, const float *x, ptrdiff_t n, ptrdiff_t first) {
    enum { AHEAD = 12, GROUP = AE_LOGIT_GROUP };
    const ptrdiff_t whole = n / GROUP;
    for (ptrdiff_t g = 0; g < whole; g++) {
        if (g + AHEAD < whole) fetch(x + (g + AHEAD) * GROUP, GROUP);
        top_and_sample(&tops[g], &sample[g], x + g * GROUP, GROUP, first + g);
    }
    if (whole * GROUP < n)
        top_and_sample(&tops[whole], &sample[whole], x + whole * GROUP, n - whole * GROUP, first + whole);
}

/* ---- those between two bounds ---- */

/* Writes those of x from low to high to `out`; how many they are. */
static inline ptrdiff_t pick(float *out, vf x, vf low, vf high) {
#ifdef __AVX512F__
    const vmask mask = _mm512_cmp_ps_mask(x, low, _CMP_GE_OQ) & _mm512_cmp_ps_mask(x, high, _CMP_LE_OQ);
    vf_store(out, _mm512_maskz_compress_ps(mask, x));
    return __builtin_popcount(mask);
#else
    const vf within = _mm256_and_ps(_mm256_cmp_ps(x, low, _CMP_GE_OQ), _mm256_cmp_ps(x, high, _CMP_LE_OQ));
    const unsigned mask = (unsigned)_mm256_movemask_ps(within);
    /* the places of the mask's bits, lowest first */
    const uint64_t bytes = _pdep_u64(mask, 0x0101010101010101u) * 0xff;
    const uint64_t places = _pext_u64(0x0706050403020100u, bytes);
    vf_store(out, _mm256_permutevar8x32_ps(x, _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)places))));
    return __builtin_popcount(mask);
#endif
}

ptrdiff_t AE_ISA_NAME(ae_sweep_pick)(float *out, const float *x, ptrdiff_t n, float low, float high) {
    ptrdiff_t picked = 0, v = 0;
    for (; v + VF <= n; v += VF) picked += pick(out + picked, vf_load(x + v), vf_set(low), vf_set(high));
    for (; v < n; v++) {
        if (x[v] >= low && x[v] <= high) out[picked++] = x[v];
    }
    return picked;
}

/* ---- vectors of doubles: exp in single precision would leave the drawn token in doubt too often (model/sampler.c) ---- */

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

typedef struct {
    vd all[CHAINS], above[CHAINS];
} sums;

static inline sums no_sums(void) {
    sums s;
    EACH(j, CHAINS) s.all[j] = s.above[j] = vd_set(0);
    return s;
}

static inline void add_step(sums *s, double *each, const float *logits, const law *w, const vd *bound) {
    vd x[CHAINS], p[CHAINS], power[CHAINS];
    EACH(j, CHAINS) x[j] = vd_max(vd_load(logits + j * VD), w->least);
    weights_of(p, power, x, w);
    EACH(j, CHAINS) s->all[j] = vd_fma(p[j], power[j], s->all[j]);
    if (bound) EACH(j, CHAINS) s->above[j] = vd_fma_above(p[j], power[j], s->above[j], x[j], *bound);
    if (each) EACH(j, CHAINS) vd_store(each + j * VD, p[j] * power[j]);
}

/* What lacks to a whole step weighs next to nothing. */
static inline void add_rest(sums *s, double *each, const float *x, ptrdiff_t n, const law *w,
                            const vd *bound) {
    float padded[STEP];
    double terms[STEP];
    for (ptrdiff_t i = 0; i < STEP; i++) padded[i] = i < n ? x[i] : -FLT_MAX;
    add_step(s, each ? terms : NULL, padded, w, bound);
    if (each) memcpy(each, terms, (size_t)n * sizeof *each);
}

static double sum_of(const vd *x) {
    double parts[4];
    _mm256_storeu_pd(parts, vd_fold(x));
    return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

static inline double add_up(double *each, const float *x, ptrdiff_t n, const law *w) {
    sums s = no_sums();
    ptrdiff_t v = 0;
    for (; v + STEP <= n; v += STEP) add_step(&s, each ? each + v : NULL, x + v, w, NULL);
    if (v < n) add_rest(&s, each ? each + v : NULL, x + v, n - v, w, NULL);
    return sum_of(s.all);
}

double AE_ISA_NAME(ae_sweep_exp_sum)(double *each, const float *x, ptrdiff_t n, const ae_logit_law *by) {
    const law w = spread(by);
    return each ? add_up(each, x, n, &w) : add_up(NULL, x, n, &w);
}

ae_logit_split AE_ISA_NAME(ae_sweep_split)(float *between, const float *x, const float *next, ptrdiff_t n,
                                           const ae_logit_law *by, float low, float high) {
    const law w = spread(by);
    const vd bound = vd_set((double)high);
    sums s = no_sums();
    ptrdiff_t v = 0, picked = 0;
    for (; v + STEP <= n; v += STEP) {
        if (next) fetch_later(next + v);
        add_step(&s, NULL, x + v, &w, &bound);
        EACH(j, STEP / VF)
        picked += pick(between + picked, vf_load(x + v + j * VF), vf_set(low), vf_set(high));
    }
    if (v < n) add_rest(&s, NULL, x + v, n - v, &w, &bound);
    picked += AE_ISA_NAME(ae_sweep_pick)(between + picked, x + v, n - v, low, high);
    return (ae_logit_split){sum_of(s.all), sum_of(s.above), picked};
}
