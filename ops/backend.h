#ifndef AE_OPS_BACKEND_H
#define AE_OPS_BACKEND_H
#include "core/machine.h"
#include "core/status.h"
#include "ops/rows.h"

/* A device and an element type: memory, and one row an op. The contract of a row is in the op's own header.
 * An object: several may be alive, each with its threads, its memory and its failures. One thread at a time
 * calls the rows of one, alloc and release; a second thread may `download` at the same time what they neither
 * write nor release. The element type of activations and the place of memory are the backend's business;
 * nobody above reads an element. */
struct ae_backend {
    void *self;        /* what its maker keeps */
    ae_backend *inner; /* of one that only watches another (strict, profile): the other; else NULL */
    const char *name;  /* "cpu", "strict" */
    /* "avx512", "avx2", "avx512 bf16": stored in checkpoints, since bits are equal for one choice only */
    const char *kernels;
    ae_dtype dtype; /* of activations */
    /* what products take in place of float32 values: F32, the values themselves, or BF16 */
    ae_weight_type packed;
    int threads;      /* at work in an op at most; scratch that each has a part of is sized for so many */
    size_t act_bytes; /* of one activation */

    /* Memory aligned to 64 bytes; its contents are undefined until written. */
    ae_status (*alloc)(const ae_backend *be, void **ptr, size_t bytes);
    void (*release)(const ae_backend *be, void *ptr, size_t bytes); /* NULL is fine */

    /* Waits until all rows called before are done. Ops return nothing: one without scratch leaves its results
     * undefined, and sync gives the first such failure of this backend since the last call, AE_ERR_RESOURCE.
     * Ask before a result leaves the device: an update, a score, an answer. */
    ae_status (*sync)(const ae_backend *be);
    void (*destroy)(ae_backend *be); /* ae_backend_free */

#define AE_MEMBER(name, parameters, ...)      void(*name) parameters;
#define AE_SIZE_MEMBER(name, parameters, ...) size_t(*name) parameters;
    AE_ROWS(AE_MEMBER)
    AE_SIZES(AE_SIZE_MEMBER)
#undef AE_MEMBER
#undef AE_SIZE_MEMBER
};

typedef struct {
    int threads;    /* 0: the process's (core/threads.h) */
    ae_dtype dtype; /* of activations */
} ae_backend_options;

/* bfloat16 where the processor has instructions for it, else float32. */
ae_dtype ae_dtype_auto(void);
/* Activations for inference with weights of this type: bfloat16 beside compact ones where products take it,
 * else float32. */
ae_dtype ae_dtype_beside(ae_weight_type weights);

/* The CPU; kernels compiled for AVX2 and AVX-512 and for either type of activations, chosen here once by
 * ae_isa_pick(). */
ae_status ae_backend_cpu(ae_backend *be, const ae_backend_options *options);

/* The CPU backend behind memory that faults when the host touches it outside an op; fresh memory is NaN. For
 * tests: it keeps the code above the backend honest on machines without a GPU. */
ae_status ae_backend_strict(ae_backend *be, const ae_backend_options *options);

/* Where activations are float32, backward of the composite rows reads the stream itself; else the rounded
 * copy that forward saved. */
static inline bool ae_stream_needed(const ae_backend *be) {
    return be->dtype == AE_DTYPE_F32;
}

/* Gives back what it holds; memory taken from it is released before. A zeroed one is fine, and is left. */
static inline void ae_backend_free(ae_backend *be) {
    if (be->destroy) be->destroy(be);
    *be = (ae_backend){0};
}

/* Another number of threads from now on, for this backend alone and while none of its rows runs: no more than
 * when scratch was sized. */
static inline void ae_backend_set_threads(ae_backend *be, int threads) {
    for (; be; be = be->inner) be->threads = threads;
}

/* x as activations: x itself where both types are the same, else converted into `room`. */
static inline const ae_act *ae_act_of(const ae_backend *be, ae_act *room, const ae_f32 *x, ptrdiff_t n) {
    if (be->dtype == AE_DTYPE_F32) return (const ae_act *)(const void *)x;
    be->act_from_f32(be, room, x, n);
    return room;
}

/* n elements further. */
static inline ae_act *ae_act_at(const ae_backend *be, ae_act *x, ptrdiff_t n) {
    return (ae_act *)((char *)x + (size_t)n * be->act_bytes);
}
static inline ae_f32 *ae_f32_at(ae_f32 *x, ptrdiff_t n) {
    return (ae_f32 *)((char *)x + (size_t)n * sizeof(float));
}
static inline const ae_f32 *ae_f32_from(const ae_f32 *x, ptrdiff_t n) {
    return (const ae_f32 *)((const char *)x + (size_t)n * sizeof(float));
}

#endif
