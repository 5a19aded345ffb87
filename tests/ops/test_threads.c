#include "tests/ops/rig.h"

#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

/* The rows whose own tests do not run them on other threads: any of these gives the same bits. */
enum { M = 70, D = 72, V = 130, H = 24, N = 4, W = 40, BIG = 400000 };

typedef struct {
    ae_weight *packed, *compact;
    rig_ints tokens, positions;
    rig_array x, acts, table, norm, rstd, z, y, logits, converted; /* of M tokens */
    rig_array w, m, v, g;                                          /* [V, D] */
    rig_array q, k, o, lse, k_ring, v_ring;                        /* of M sequences with one token each */
    rig_array big[2], squares;                                     /* a float64 */
    ae_room scratch;
    ae_attention_dims decoding;
} kit;

static ae_weight *room_for_weight(rig *r) {
    return rig_device(r, r->be.weight_bytes(&r->be, V, D, false) + 1);
}

static kit make(rig *r) {
    rig_next(r, "M %d D %d V %d", M, D, V);
    const ae_weight_shape shape = {.type = AE_WEIGHT_INT8, .rows = V, .cols = D, .group = 24};
    kit k = {.packed = room_for_weight(r),
             .compact = rig_device(r, r->be.compact_bytes(&r->be, &shape)),
             .tokens = rig_below(r, V, M),
             .positions = rig_below(r, 3 * W, M),
             .x = rig_normal(r, 1, M * D),
             .acts = rig_act_normal(r, 1, M * D),
             .table = rig_weights(r, 1, V * D),
             .norm = rig_normal(r, 1, D),
             .rstd = rig_normal(r, 1, M),
             .z = rig_act_output(r, M * D),
             .y = rig_act_output(r, M * V),
             .logits = rig_output(r, M * V),
             .converted = rig_act_output(r, M * D),
             .w = rig_normal(r, 1, V * D),
             .m = rig_normal(r, 1, V * D),
             .v = rig_values(r, rig_normal(r, 0, V * D).x, V * D),
             .g = rig_normal(r, 1, V * D),
             .q = rig_act_normal(r, 1, M * N * H),
             .k = rig_act_normal(r, 1, M * H),
             .o = rig_act_output(r, M * N * H),
             .lse = rig_output(r, M * N),
             .k_ring = rig_act_normal(r, 1, M * W * H),
             .v_ring = rig_act_normal(r, 1, M * W * H),
             .big = {rig_output(r, BIG), rig_output(r, BIG)},
             .squares = rig_output(r, 2),
             .decoding = {M, 1, N, 1, H, W, r->be.threads}};
    k.scratch = rig_room(r, r->be.attention_scratch_bytes(&r->be, k.decoding, 1));
    return k;
}

static void embedding_forward(rig *r, void *kit_) {
    kit *k = kit_;
    r->be.weight_pack(&r->be, k->packed, k->table.dev, V, D, false);
    r->be.embedding_forward(&r->be, k->x.dev, k->packed, k->tokens.dev, 2, M, D);
}

static void rmsnorm_again(rig *r, void *kit_) {
    kit *k = kit_;
    r->be.rmsnorm_again(&r->be, k->z.dev, k->acts.dev, k->rstd.dev, k->norm.dev, M, D);
}

static void head_logits(rig *r, void *kit_) {
    kit *k = kit_;
    r->be.weight_pack(&r->be, k->packed, k->table.dev, V, D, false);
    r->be.head_logits(&r->be, k->logits.dev, k->acts.dev, k->packed, (ae_head_dims){M, D, V, 30});
}

/* What was packed shows in a product. */
static void update_and_multiply(rig *r, void *kit_) {
    kit *k = kit_;
    const ae_adamw_step s = {.lr = 1e-2f,
                             .beta1 = 0.9f,
                             .beta2 = 0.99f,
                             .eps = 1e-8f,
                             .correction1 = 1,
                             .correction2 = 1,
                             .grad_scale = 1};
    r->be.weight_pack(&r->be, k->packed, k->w.dev, V, D, false);
    r->be.adamw_weight(&r->be, k->packed, k->w.dev, k->m.dev, k->v.dev, k->g.dev, s, V, D);
    r->be.linear_forward(&r->be, k->y.dev, k->acts.dev, k->packed, NULL, M, D, V);
}

static void put_and_multiply(rig *r, void *kit_) {
    kit *k = kit_;
    const ae_weight_shape shape = {.type = AE_WEIGHT_INT8, .rows = V, .cols = D, .group = 24};
    r->be.compact_init(&r->be, k->compact, &shape);
    r->be.compact_put(&r->be, k->compact, 0, V, k->table.x, NULL);
    r->be.linear_forward(&r->be, k->y.dev, k->acts.dev, k->compact, NULL, M, D, V);
}

static void act_from_f32(rig *r, void *kit_) {
    kit *k = kit_;
    r->be.act_from_f32(&r->be, k->converted.dev, k->x.dev, M * D);
}

static void decode(rig *r, void *kit_) {
    kit *k = kit_;
    r->be.attention_forward(&r->be, k->o.dev, k->lse.dev, k->k_ring.dev, k->v_ring.dev, k->q.dev, k->k.dev,
                            k->k.dev, k->positions.dev, k->decoding, k->scratch);
}

static void zero_copy_and_sum(rig *r, void *kit_) {
    kit *k = kit_;
    const size_t half = BIG / 2 * sizeof(float);
    r->be.copy(&r->be, k->big[1].dev, k->big[0].dev, BIG * sizeof(float));
    r->be.zero(&r->be, k->big[1].dev, half + 3 * sizeof(float));
    r->be.zero(&r->be, k->squares.dev, sizeof(double));
    r->be.sum_squares(&r->be, k->squares.dev, k->big[0].dev, BIG);
}

ON_EVERY_TYPE(threads, rows_have_the_same_bits_on_any) {
    kit k = make(r);
    for (ptrdiff_t i = 0; i < BIG; i++) k.big[0].x[i] = (float)(i % 1013) - 500;
    rig_expect_same_on_threads(r, "embedding_forward", embedding_forward, &k, &k.x, 1);
    rig_expect_same_on_threads(r, "rmsnorm_again", rmsnorm_again, &k, &k.z, 1);
    rig_expect_same_on_threads(r, "head_logits", head_logits, &k, &k.logits, 1);
    rig_expect_same_on_threads(r, "adamw_weight", update_and_multiply, &k,
                               (rig_array[]){k.w, k.m, k.v, k.g, k.y}, 5);
    rig_expect_same_on_threads(r, "compact_put", put_and_multiply, &k, &k.y, 1);
    rig_expect_same_on_threads(r, "act_from_f32", act_from_f32, &k, &k.converted, 1);
    rig_expect_same_on_threads(r, "decoding", decode, &k, (rig_array[]){k.o, k.lse, k.k_ring, k.v_ring}, 4);
    rig_expect_same_on_threads(r, "zero, copy, sum_squares", zero_copy_and_sum, &k,
                               (rig_array[]){k.big[0], k.big[1], k.squares}, 3);
}

/* ---- a thread that was there before the backend ---- */

enum { SMALL = 4096 };

typedef struct {
    pthread_mutex_t gate;
    ae_backend be;
    float table[SMALL], x[SMALL];
} early;

static void *look_up_denormals(void *early_) {
    early *e = early_;
    const int32_t tokens[SMALL] = {0};
    pthread_mutex_lock(&e->gate);
    ae_weight *w = aligned_alloc(64, (e->be.weight_bytes(&e->be, SMALL, 1, false) / 64 + 1) * 64);
    e->be.weight_pack(&e->be, w, (const ae_f32 *)(const void *)e->table, SMALL, 1, false);
    e->be.embedding_forward(&e->be, (ae_f32 *)(void *)e->x, w, (const ae_i32 *)(const void *)tokens, 1, SMALL,
                            1);
    free(w);
    pthread_mutex_unlock(&e->gate);
    return NULL;
}

Test(threads, one_from_before_the_backend_flushes_denormals) {
    static early e = {.gate = PTHREAD_MUTEX_INITIALIZER};
    pthread_t thread;
    for (int i = 0; i < SMALL; i++) e.table[i] = 1e-41f;
    pthread_mutex_lock(&e.gate);
    cr_assert_eq(pthread_create(&thread, NULL, look_up_denormals, &e), 0);
    cr_assert_eq(ae_backend_cpu(&e.be, &(ae_backend_options){.threads = 3}), AE_OK);
    pthread_mutex_unlock(&e.gate);
    pthread_join(thread, NULL);
    for (int i = 0; i < SMALL; i++)
        cr_assert(memcmp(&e.x[i], &(float){0}, sizeof(float)) == 0, "element %d", i);
    ae_backend_free(&e.be);
}

/* ---- who touches memory first ---- */

static long faults_of_this_thread(void) {
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_minflt : 0;
}

static void read_faults(long *faults, int threads) {
#pragma omp parallel num_threads(threads)
    faults[omp_get_thread_num()] = faults_of_this_thread();
}

/* Each of the threads takes the first faults of its part of a fresh block. */
static void expect_parts_are_touched_by_all(const ae_backend *be, const char *what, const void *from) {
    enum { BYTES = 64 << 20, THREADS = 2 };
    long before[THREADS] = {0}, after[THREADS] = {0};
    void *block;
    cr_assert_eq(be->alloc(be, &block, BYTES), AE_OK);
    read_faults(before, THREADS);
    if (from)
        be->copy(be, block, from, BYTES);
    else
        be->zero(be, block, BYTES);
    read_faults(after, THREADS);
    for (int i = 0; i < THREADS; i++)
        cr_assert_gt(after[i] - before[i], 8, "%s: thread %d took %ld faults", what, i, after[i] - before[i]);
    be->release(be, block, BYTES);
}

Test(threads, big_blocks_are_touched_by_all) {
    ae_backend be;
    cr_assert_eq(ae_backend_cpu(&be, &(ae_backend_options){.threads = 2}), AE_OK);
    if (be.threads < 2 || omp_get_dynamic()) cr_skip_test("OpenMP grants one thread");
    char *from = calloc(1, 64 << 20);
    expect_parts_are_touched_by_all(&be, "zero", NULL);
    expect_parts_are_touched_by_all(&be, "copy", from);
    free(from);
    ae_backend_free(&be);
}
