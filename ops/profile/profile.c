#include "ops/profile/profile.h"

#include "ops/compose/compose.h"
#include "ops/profile/work.h"

#include <stdlib.h>

#define NAME(name, ...) #name,
static const char *const names[] = {AE_ROWS(NAME)};
#undef NAME
_Static_assert((int)AE_PROFILE_N_OPS <= (int)AE_PROBE_OPS_MAX, "every row has a probe");

const char *ae_profile_name(int op) {
    return names[op];
}

bool ae_profile_sweeps_parameters(int op) {
    return op == AE_OP_adamw || op == AE_OP_adamw_weight || op == AE_OP_sum_squares ||
           op == AE_OP_weight_pack;
}

typedef struct {
    double pairs, ring_keys;
} keys_seen;

/* A query at position p sees itself and at most W keys before it; those before the row's first token come from the ring, where there
 * is one. Positions are downloaded a piece at a time. */
static keys_seen count_keys(const ae_backend *be, const ae_i32 *positions, ae_attention_dims n,
                            bool has_ring) {
    enum { PIECE = 2048 };
    int32_t host[PIECE];
    keys_seen seen = {0, 0};
    for (ptrdiff_t first = 0; first < n.B * n.T; first += PIECE) {
        const ptrdiff_t count = ae_min(PIECE, n.B * n.T - first);
        be->download(be, host, (const char *)(const void *)positions + (size_t)first * sizeof *host,
                     (size_t)count * sizeof *host);
        for (ptrdiff_t i = 0; i < count; i++) {
            const ptrdiff_t t = (first + i) % n.T, before = has_ring ? host[i] : ae_min(host[i], t);
            seen.pairs += 1 + (double)(n.W < 0 ? before : ae_min(before, n.W));
            if (t == 0 && has_ring) seen.ring_keys += (double)ae_min(before, ae_max(n.W, 0));
        }
    }
    return seen;
}

static ae_work ae_work_attention_of(const ae_backend *be, ae_work_types t, const ae_i32 *positions,
                                    ae_attention_dims n, bool has_ring, bool backward) {
    const keys_seen seen = count_keys(be, positions, n, has_ring);
    return ae_work_attention(t, n, seen.pairs, seen.ring_keys, backward);
}

/* Runs the inner row between probes, as `called`; its work is worked out after the clock has stopped. */
#define PROBED(called, name, parameters, arguments, ...)                                                     \
    static void profiled_##name parameters {                                                                 \
        const ae_work_types t = *(const ae_work_types *)be->self;                                            \
        void(*const run) parameters = be->inner->name;                                                       \
        be = called;                                                                                         \
        const ae_probe probe = ae_probe_begin(AE_OP_##name);                                                 \
        run arguments;                                                                                       \
        ae_probe_end(&probe, NULL);                                                                          \
        (void)t;                                                                                             \
        if (!ae_probe_on) return;                                                                            \
        const ae_work work = __VA_ARGS__;                                                                    \
        ae_probe_count(AE_OP_##name, &work);                                                                 \
    }
#define ROW(...) PROBED(be->inner, __VA_ARGS__)
AE_MEMORY_ROWS(ROW)
AE_OP_ROWS(ROW)
#undef ROW
/* Those that are composed call the probed rows. */
#define ROW(name, ...) PROBED(be->inner->name == ae_##name##_composed ? be : be->inner, name, __VA_ARGS__)
AE_COMPOSITE_ROWS(ROW)
#undef ROW

/* Bytes of an element of a compact weight, with the groups that are usual. */
static double compact_element_bytes(const ae_backend *of, ae_weight_type type, ptrdiff_t side) {
    const ae_weight_shape shape = {
        .type = type, .rows = side, .cols = side, .group = ae_weight_group(type, 0)};
    return (double)of->compact_bytes(of, &shape) / (double)(side * side);
}

static double packed_element_bytes(const ae_backend *of, ptrdiff_t side) {
    return (double)of->weight_bytes(of, side, side, false) / (double)(side * side);
}

static ae_work_types types_of(const ae_backend *of, ae_weight_type weights) {
    const ptrdiff_t side = 1024;
    const bool integers = weights > AE_WEIGHT_BF16;
    const double bytes =
        weights == AE_WEIGHT_F32 ? packed_element_bytes(of, side) : compact_element_bytes(of, weights, side);
    const bool packs = bytes > 0.25; /* less is a header over the master */
    /* of the copies of a bfloat16 weight an op reads one */
    const double half = (double)sizeof(uint16_t), kept = packs ? half : (double)sizeof(float);
    return (ae_work_types){
        .act = (double)of->act_bytes, .weight = integers ? bytes : kept, .gate = kept, .packs = packs};
}

static ae_status profiled_alloc(const ae_backend *be, void **ptr, size_t bytes) {
    return be->inner->alloc(be->inner, ptr, bytes);
}

static void profiled_release(const ae_backend *be, void *ptr, size_t bytes) {
    be->inner->release(be->inner, ptr, bytes);
}

static ae_status profiled_sync(const ae_backend *be) {
    return be->inner->sync(be->inner);
}

static void destroy(ae_backend *be) {
    free(be->self);
}

#define SIZE(name, parameters, arguments)                                                                    \
    static size_t profiled_##name parameters {                                                               \
        be = be->inner;                                                                                      \
        return be->name arguments;                                                                           \
    }
AE_SIZES(SIZE)
#undef SIZE

ae_status ae_backend_profile(ae_backend *be, ae_backend *of, ae_weight_type weights) {
    ae_work_types *t = malloc(sizeof *t);
    *be = (ae_backend){0};
    if (!t) return AE_FAIL(AE_ERR_RESOURCE, "out of memory for a backend");
    *t = types_of(of, weights);
    *be = *of;
    be->self = t;
    be->inner = of;
    be->alloc = profiled_alloc;
    be->release = profiled_release;
    be->sync = profiled_sync;
    be->destroy = destroy;
#define SET(name, ...) be->name = profiled_##name;
    AE_ROWS(SET)
    AE_SIZES(SET)
#undef SET
    return AE_OK;
}
