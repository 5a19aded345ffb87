#include "core/threads.h"
#include "ops/cpu/memory.h"
#include "tests/ops/rig.h"

#include <pthread.h>
#include <signal.h>

/* Several backends in one process: each gives the bits that it gives alone, whatever the others do meanwhile. */

enum {
    B = 2,
    T = 37,
    M = B * T,
    D = 48,
    C = 64,
    E = 96,
    N = 2,
    G = 1,
    H = 24,
    W = 16,
    K = 4,
    R = 12,
    V = 130,
    RANK = 3
};
enum { OUTPUTS_MAX = 80 };

static const ae_block_dims dims = {B,   T, D, C, E, N, G, H, W, K, R, 1e-6f, false, false, AE_RECOMPUTE_MLP,
                                   RANK};
static const ae_head_dims head = {M, D, V, 30};

/* A model of one block of each kind on a backend. */
typedef struct {
    rig r;
    rig_array outputs[OUTPUTS_MAX];
    int n;
    rig_ints tokens, targets, positions;
    ae_weight *table, *compact;
    rig_array master, m, v, weights;
    ae_recurrent_params recurrent;
    ae_recurrent_grads d_recurrent;
    ae_attention_params attention;
    ae_attention_grads d_attention;
    ae_mlp_params mlp;
    ae_mlp_grads d_mlp;
    ae_block_batch batch;
    ae_room saved[3], scratch[3], head_scratch;
    ae_f32 *x[4], *d, *rstd, *norm, *d_norm, *d_table, *nll, *score, *logits;
    ae_act *z, *kept, *dz, *few;
    ae_i32 *top_ids;
    ae_f32 *top;
    ae_f64 *squares;
} kit;

static rig_array kept(kit *k, rig_array a) {
    cr_assert(k->n < OUTPUTS_MAX);
    k->outputs[k->n++] = a;
    return a;
}
static ae_f32 *output(kit *k, ptrdiff_t n) {
    return kept(k, rig_zeros(&k->r, n)).dev;
}
static ae_f32 *vector(kit *k, ptrdiff_t n) {
    return rig_normal(&k->r, 0.3, n).dev;
}
static ae_weight *matrix(kit *k, ptrdiff_t rows, ptrdiff_t cols) {
    const rig_array a = rig_weights(&k->r, 1 / sqrt((double)cols), rows * cols);
    return rig_pack(&k->r, a.dev, rows, cols);
}

static ae_projection projection(kit *k, ptrdiff_t rows, ptrdiff_t cols) {
    return (ae_projection){.w = matrix(k, rows, cols),
                           .bias = vector(k, rows),
                           .adapter = {matrix(k, RANK, cols), matrix(k, rows, RANK), RANK, 0.5f}};
}
static ae_projection_grads gradients(kit *k, ptrdiff_t rows, ptrdiff_t cols) {
    return (ae_projection_grads){.w = output(k, rows * cols),
                                 .bias = output(k, rows),
                                 .a = output(k, RANK * cols),
                                 .b = output(k, rows * RANK)};
}

static void make_recurrent(kit *k) {
    k->recurrent = (ae_recurrent_params){.norm = vector(k, D),
                                         .linear_x = projection(k, C, D),
                                         .linear_y = projection(k, C, D),
                                         .conv = vector(k, C * K),
                                         .conv_bias = vector(k, C),
                                         .input_gate = matrix(k, C, C / N),
                                         .recurrent_gate = matrix(k, C, C / N),
                                         .input_gate_bias = vector(k, C),
                                         .recurrent_gate_bias = vector(k, C),
                                         .recurrent_param = vector(k, C),
                                         .linear_out = projection(k, D, C)};
    k->d_recurrent = (ae_recurrent_grads){.norm = output(k, D),
                                          .linear_x = gradients(k, C, D),
                                          .linear_y = gradients(k, C, D),
                                          .conv = output(k, C * K),
                                          .conv_bias = output(k, C),
                                          .input_gate = output(k, C * C / N),
                                          .recurrent_gate = output(k, C * C / N),
                                          .input_gate_bias = output(k, C),
                                          .recurrent_gate_bias = output(k, C),
                                          .recurrent_param = output(k, C),
                                          .linear_out = gradients(k, D, C)};
}

static void make_others(kit *k) {
    const ptrdiff_t Q = N * H, S = G * H;
    k->attention = (ae_attention_params){.norm = vector(k, D),
                                         .q = projection(k, Q, D),
                                         .k = projection(k, S, D),
                                         .v = projection(k, S, D),
                                         .o = projection(k, D, Q)};
    k->d_attention = (ae_attention_grads){.norm = output(k, D),
                                          .q = gradients(k, Q, D),
                                          .k = gradients(k, S, D),
                                          .v = gradients(k, S, D),
                                          .o = gradients(k, D, Q)};
    k->mlp = (ae_mlp_params){.norm = vector(k, D),
                             .gate = projection(k, E, D),
                             .up = projection(k, E, D),
                             .down = projection(k, D, E)};
    k->d_mlp = (ae_mlp_grads){.norm = output(k, D),
                              .gate = gradients(k, E, D),
                              .up = gradients(k, E, D),
                              .down = gradients(k, D, E)};
}

static void make_rooms(kit *k) {
    const ae_backend *be = &k->r.be;
    k->saved[0] = rig_room(&k->r, be->recurrent_saved_bytes(be, &dims));
    k->saved[1] = rig_room(&k->r, be->attention_block_saved_bytes(be, &dims));
    k->saved[2] = rig_room(&k->r, be->mlp_saved_bytes(be, &dims));
    k->scratch[0] = rig_room(&k->r, be->recurrent_scratch_bytes(be, &dims));
    k->scratch[1] = rig_room(&k->r, be->attention_block_scratch_bytes(be, &dims));
    k->scratch[2] = rig_room(&k->r, be->mlp_scratch_bytes(be, &dims));
    k->head_scratch = rig_room(&k->r, be->head_scratch_bytes(be, head));
}

static void make_head(kit *k) {
    const ae_weight_shape shape = {.type = AE_WEIGHT_INT8, .rows = V, .cols = D, .group = 24};
    k->master = kept(k, rig_weights(&k->r, 0.2, V * D));
    k->m = kept(k, rig_zeros(&k->r, V * D));
    k->v = kept(k, rig_zeros(&k->r, V * D));
    k->table = rig_pack(&k->r, k->master.dev, V, D);
    k->compact = rig_device(&k->r, k->r.be.compact_bytes(&k->r.be, &shape));
    k->r.be.compact_init(&k->r.be, k->compact, &shape);
    k->weights = rig_values(&k->r, rig_normal(&k->r, 1, M).x, M);
    k->norm = vector(k, D);
    k->d_norm = output(k, D);
    k->d_table = output(k, V * D);
    k->nll = output(k, M);
    k->score = output(k, M);
    k->logits = output(k, M * V);
    k->top = output(k, 2 * M);
    k->top_ids = (ae_i32 *)(void *)output(k, 2 * M);
    k->squares = (ae_f64 *)(void *)output(k, 2);
}

/* The same values on every backend of a type. */
static void open_kit(kit *k, const rig_choice *choice, int threads) {
    *k = (kit){0};
    rig_open(&k->r, choice);
    ae_backend_set_threads(&k->r.be, threads);
    rig_next(&k->r, "with %d threads", threads);
    k->tokens = rig_below(&k->r, V, M);
    k->targets = rig_below(&k->r, V, M);
    k->positions = rig_positions(&k->r, RIG_LONG, B, T);
    make_recurrent(k);
    make_others(k);
    make_head(k);
    make_rooms(k);
    for (int i = 0; i < 4; i++) k->x[i] = output(k, M * D);
    k->d = output(k, M * D);
    k->rstd = output(k, M);
    k->z = kept(k, rig_act_output(&k->r, M * D)).dev;
    k->kept = rig_act_output(&k->r, M * D).dev;
    k->dz = kept(k, rig_act_output(&k->r, M * D)).dev;
    k->few = kept(k, rig_act_output(&k->r, 3 * V)).dev;
    k->batch = (ae_block_batch){k->positions.dev, vector(k, M * R / 2), vector(k, M * R / 2)};
}

/* ---- the steps: every op at least once ---- */

static void embed(kit *k) {
    const ae_backend *be = &k->r.be;
    be->embedding_forward(be, k->x[0], k->table, k->tokens.dev, 2, M, D);
    be->rope_table(be, (ae_f32 *)(uintptr_t)k->batch.cosines, (ae_f32 *)(uintptr_t)k->batch.sines,
                   k->positions.dev, 10000, M, R);
}
static void recurrent_forward(kit *k) {
    const ae_backend *be = &k->r.be;
    be->recurrent_forward(be, k->x[1], k->saved[0], k->x[0], &k->recurrent, NULL, &k->batch, &dims,
                          k->scratch[0]);
}
static void attention_forward(kit *k) {
    const ae_backend *be = &k->r.be;
    be->attention_block_forward(be, k->x[2], k->saved[1], k->x[1], &k->attention, NULL, &k->batch, &dims,
                                k->scratch[1]);
}
static void mlp_forward(kit *k) {
    const ae_backend *be = &k->r.be;
    be->mlp_forward(be, k->x[3], k->saved[2], k->x[2], &k->mlp, &dims, k->scratch[2]);
}
static void score(kit *k) {
    const ae_backend *be = &k->r.be;
    be->rmsnorm_forward(be, k->z, k->kept, k->rstd, k->x[3], k->norm, 1e-6f, M, D);
    be->head_score(be, k->score, k->top_ids, k->top, 2, k->z, k->table, k->targets.dev, k->weights.dev, head,
                   k->head_scratch);
    be->head_logits(be, k->logits, k->z, k->table, head);
}
static void loss(kit *k) {
    const ae_backend *be = &k->r.be;
    be->head_loss(be, k->nll, k->dz, k->d_table, k->z, k->table, k->targets.dev, k->weights.dev, 0.1f, head,
                  k->head_scratch);
    be->zero(be, k->d, M * D * sizeof(float));
    be->rmsnorm_backward(be, k->d, k->d_norm, k->dz, k->kept, k->norm, k->rstd, M, D);
    be->rmsnorm_again(be, k->z, k->kept, k->rstd, k->norm, M, D);
}
static void mlp_backward(kit *k) {
    const ae_backend *be = &k->r.be;
    be->mlp_backward(be, k->d, &k->d_mlp, k->saved[2], k->x[2], &k->mlp, &dims, k->scratch[2]);
}
static void attention_backward(kit *k) {
    const ae_backend *be = &k->r.be;
    be->attention_block_backward(be, k->d, &k->d_attention, k->saved[1], k->x[1], &k->attention, NULL,
                                 &k->batch, &dims, k->scratch[1]);
}
static void recurrent_backward(kit *k) {
    const ae_backend *be = &k->r.be;
    be->recurrent_backward(be, k->d, &k->d_recurrent, k->saved[0], k->x[0], &k->recurrent, NULL, &k->batch,
                           &dims, k->scratch[0]);
    be->embedding_backward(be, k->d_table, k->d, k->tokens.dev, 2, M, D);
}
static void update(kit *k) {
    const ae_backend *be = &k->r.be;
    const ae_adamw_step s = {1e-2f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.1f, 0.05f, 1, AE_MOMENTS_F32};
    be->sum_squares(be, k->squares, k->d_table, V * D);
    be->sum_weighted(be, k->squares, k->nll, k->weights.dev, M);
    be->adamw(be, k->master.dev, k->m.dev, k->v.dev, k->d_table, s, V * D);
    be->adamw_weight(be, k->table, k->master.dev, k->m.dev, k->v.dev, k->d_table, s, V, D);
}
static void quantise(kit *k) {
    const ae_backend *be = &k->r.be;
    be->compact_put(be, k->compact, 0, V, k->master.x, NULL);
    be->linear_forward(be, k->few, k->z, k->compact, NULL, 3, D, V);
}

static void (*const steps[])(kit *k) = {
    embed,        recurrent_forward,  attention_forward,  mlp_forward, score,   loss,
    mlp_backward, attention_backward, recurrent_backward, update,      quantise};

static void *run_all(void *kit_) {
    for (size_t s = 0; s < COUNT(steps); s++) steps[s](kit_);
    return NULL;
}

/* ---- together ---- */

static void run_by_turns(kit *k) {
    for (size_t s = 0; s < COUNT(steps); s++)
        for (int i = 0; i < 2; i++) steps[s](&k[i]);
}

static void run_at_once(kit *k) {
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) cr_assert_eq(ae_thread_start(&threads[i], run_all, &k[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

static void expect_as_alone(const rig_choice *choices, void run(kit *k)) {
    static kit alone, together[2];
    for (int i = 0; i < 2; i++) open_kit(&together[i], &choices[i], 2 + i);
    run(together);
    for (int i = 0; i < 2; i++) {
        kit *k = &together[i];
        open_kit(&alone, &choices[i], 1);
        run_all(&alone);
        cr_assert_eq(k->r.be.sync(&k->r.be), AE_OK);
        for (int j = 0; j < k->n; j++)
            rig_expect_bits(&k->r, "beside another backend", rig_read(&k->r, &k->outputs[j]),
                            rig_read(&alone.r, &alone.outputs[j]), k->outputs[j].n);
        rig_close(&alone.r);
    }
    for (int i = 0; i < 2; i++) rig_close(&together[i].r);
}

static const rig_choice pairs[][2] = {{{.strict = 0}, {.bf16 = 1}},
                                      {{.strict = 0}, {.bf16 = 1, .products = 1}},
                                      {{.bf16 = 1}, {.bf16 = 1, .products = 1}},
                                      {{.strict = 0}, {.strict = 1}},
                                      {{.strict = 1}, {.strict = 1, .bf16 = 1}},
                                      {{.strict = 0}, {.avx2 = 1}}};

Test(side_by_side, steps_taken_by_turns) {
    for (size_t i = 0; i < COUNT(pairs); i++) expect_as_alone(pairs[i], run_by_turns);
}

Test(side_by_side, each_on_a_thread_of_its_own) {
    for (size_t i = 0; i < COUNT(pairs); i++) expect_as_alone(pairs[i], run_at_once);
}

/* ---- what belongs to one backend ---- */

Test(side_by_side, a_failure_is_told_by_its_own_backend_once) {
    static kit k[2];
    for (int i = 0; i < 2; i++) open_kit(&k[i], &(rig_choice){.strict = i}, 2);
    const ae_backend *one = &k[0].r.be, *other = &k[1].r.be;
    run_by_turns(k);
    ae_cpu_rooms_left = 0;
    loss(&k[1]);
    ae_cpu_rooms_left = -1;
    cr_assert_eq(one->sync(one), AE_OK);
    cr_assert_eq(other->sync(other), AE_ERR_RESOURCE);
    cr_assert_eq(other->sync(other), AE_OK);
    for (int i = 0; i < 2; i++) rig_close(&k[i].r);
}

Test(side_by_side, threads_are_its_own_or_begin_with_those_of_the_process) {
    ae_backend own, shared;
    const int process = ae_threads_start(1), granted = ae_threads_granted(2);
    cr_assert_eq(ae_backend_cpu(&own, &(ae_backend_options){.threads = 2}), AE_OK);
    cr_assert_eq(ae_backend_cpu(&shared, &(ae_backend_options){0}), AE_OK);
    cr_assert_eq(own.threads, granted);
    cr_assert_eq(shared.threads, process);
    cr_assert_eq(ae_threads(), process, "a backend's number is not the process's");
    ae_backend_free(&own);
    ae_backend_free(&shared);
}

/* ---- rooms ---- */

static void shrink(ae_room *r) {
    r->bytes -= AE_ARENA_ALIGN;
}

Test(side_by_side, saved_that_is_too_small_ends_the_program, .signal = SIGABRT) {
    static kit k;
    open_kit(&k, &(rig_choice){.strict = 0}, 1);
    shrink(&k.saved[2]);
    mlp_forward(&k);
}

Test(side_by_side, scratch_of_a_composite_that_is_too_small_ends_the_program, .signal = SIGABRT) {
    static kit k;
    open_kit(&k, &(rig_choice){.strict = 0}, 1);
    shrink(&k.scratch[1]);
    attention_forward(&k);
}

Test(side_by_side, scratch_of_an_op_that_is_too_small_ends_the_program, .signal = SIGABRT) {
    static kit k;
    open_kit(&k, &(rig_choice){.strict = 0}, 1);
    shrink(&k.head_scratch);
    score(&k);
}
