#ifndef AE_OPS_CPU_ACT_H
#define AE_OPS_CPU_ACT_H
#include "ops/cpu/gemm.h"
#include "ops/cpu/rows.h"

#include <string.h>

/* Activations as the CPU stores them: float32, or bfloat16 in files compiled with AE_ACT_BF16. Kernels
 * compute in float32 and convert where they load and store, rounding to nearest even. AE_ROW_NAME(f) names a
 * function after its instruction set and this type. */
#ifdef AE_ACT_BF16
typedef uint16_t ae_elem;
#ifdef __AVX512BF16__
#define AE_ROW_NAME(f) AE_JOIN(AE_ISA_NAME(f), bf16_native)
#else
#define AE_ROW_NAME(f) AE_JOIN(AE_ISA_NAME(f), bf16)
#endif
#define AE_ELEM_TYPE AE_ELEM_BF16

static inline float ae_elem_value(ae_elem x) {
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline vf va_load(const ae_elem *p) {
    return vf_load_bf16(p);
}
static inline vf va_load_n(const ae_elem *p, ptrdiff_t n) {
    return vf_load_bf16_n(p, n);
}
static inline void va_store(ae_elem *p, vf x) {
    vf_store_bf16(p, x);
}
static inline void va_store_n(ae_elem *p, vf x, ptrdiff_t n) {
    vf_store_bf16_n(p, x, n);
}
#else
typedef float ae_elem;
#define AE_ROW_NAME(f) AE_JOIN(AE_ISA_NAME(f), f32)
#define AE_ELEM_TYPE   AE_ELEM_F32

static inline float ae_elem_value(ae_elem x) {
    return x;
}
static inline vf va_load(const ae_elem *p) {
    return vf_load(p);
}
static inline vf va_load_n(const ae_elem *p, ptrdiff_t n) {
    return vf_load_n(p, n);
}
static inline void va_store(ae_elem *p, vf x) {
    vf_store(p, x);
}
static inline void va_store_n(ae_elem *p, vf x, ptrdiff_t n) {
    vf_store_n(p, x, n);
}
#endif

/* How these files see activations in device memory. */
static inline ae_elem *ae_ma(ae_act *x) {
    return (ae_elem *)(void *)x;
}
static inline const ae_elem *ae_ca(const ae_act *x) {
    return (const ae_elem *)(const void *)x;
}
static inline ae_gemm_operand ae_act_operand(const ae_elem *x, ptrdiff_t ld, bool trans) {
    return ae_operand(AE_ELEM_TYPE, x, ld, trans);
}

#endif
