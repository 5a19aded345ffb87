#include "ops/profile/profile.h"
#include "ops/profile/work.h"
#include "tests/ops/rig.h"

#include <string.h>

enum { M = 10, D = 16, E = 24, N_WEIGHTS = 3 };

typedef struct {
    rig_array x, norm, weights[N_WEIGHTS], bias_e, bias_d, out, d;
    ae_room saved, scratch;
    ae_block_dims n;
    ae_mlp_params p;
    ae_mlp_grads g;
    rig_array grads[N_WEIGHTS], dnorm, dbias_e, dbias_up, dbias_d;
} mlp_case;

static const ae_weight *packed(rig *r, const rig_array *w, ptrdiff_t rows, ptrdiff_t cols) {
    return rig_pack(r, w->dev, rows, cols);
}

static mlp_case mlp_of(rig *r) {
    mlp_case c = {.n = {.B = 1,
                        .T = M,
                        .D = D,
                        .C = D,
                        .E = E,
                        .N = 1,
                        .G = 1,
                        .H = D,
                        .W = 4,
                        .K = 4,
                        .norm_eps = 1e-6f}};
    c.x = rig_normal(r, 1, M * D);
    c.norm = rig_normal(r, 0.1, D);
    for (int i = 0; i < N_WEIGHTS; i++) {
        c.weights[i] = rig_normal(r, 0.3, E * D);
        c.grads[i] = rig_zeros(r, E * D);
    }
    c.bias_e = rig_normal(r, 0.1, E);
    c.bias_d = rig_normal(r, 0.1, D);
    c.dnorm = rig_zeros(r, D);
    c.dbias_e = rig_zeros(r, E);
    c.dbias_up = rig_zeros(r, E);
    c.dbias_d = rig_zeros(r, D);
    c.out = rig_output(r, M * D);
    c.d = rig_normal(r, 1, M * D);
    c.saved = rig_room(r, r->be.mlp_saved_bytes(&r->be, &c.n));
    c.scratch = rig_room(r, r->be.mlp_scratch_bytes(&r->be, &c.n));
    c.p = (ae_mlp_params){.norm = c.norm.dev,
                          .gate = {.w = packed(r, &c.weights[0], E, D), .bias = c.bias_e.dev},
                          .up = {.w = packed(r, &c.weights[1], E, D), .bias = c.bias_e.dev},
                          .down = {.w = packed(r, &c.weights[2], D, E), .bias = c.bias_d.dev}};
    c.g = (ae_mlp_grads){.norm = c.dnorm.dev,
                         .gate = {.w = c.grads[0].dev, .bias = c.dbias_e.dev},
                         .up = {.w = c.grads[1].dev, .bias = c.dbias_up.dev},
                         .down = {.w = c.grads[2].dev, .bias = c.dbias_d.dev}};
    return c;
}

static void run_mlp(const ae_backend *be, const mlp_case *c) {
    be->mlp_forward(be, c->out.dev, c->saved, c->x.dev, &c->p, &c->n, c->scratch);
    be->mlp_backward(be, c->d.dev, &c->g, c->saved, c->x.dev, &c->p, &c->n, c->scratch);
}

ON_EVERY_BACKEND(profile, changes_no_bit) {
    rig_next(r, "an MLP");
    ae_backend probed;
    cr_assert_eq(ae_backend_profile(&probed, &r->be, AE_WEIGHT_F32), AE_OK);
    mlp_case plain = mlp_of(r);
    r->seed = 1;
    mlp_case watched = plain;
    run_mlp(&r->be, &plain);
    const float *out = rig_read(r, &plain.out), *d = rig_read(r, &plain.d), *g = rig_read(r, &plain.grads[1]);
    rig_write(r, &plain.d);
    rig_write(r, &plain.grads[1]);
    ae_probe_start();
    run_mlp(&probed, &watched);
    ae_probe_stop();
    rig_expect_bits(r, "out", rig_read(r, &watched.out), out, M * D);
    rig_expect_bits(r, "d", rig_read(r, &watched.d), d, M * D);
    rig_expect_bits(r, "gradient of up", rig_read(r, &watched.grads[1]), g, E * D);
    ae_backend_free(&probed);
}

ON_EVERY_BACKEND(profile, sees_the_rows_inside_a_composite_row) {
    rig_next(r, "an MLP");
    ae_backend probed;
    cr_assert_eq(ae_backend_profile(&probed, &r->be, AE_WEIGHT_F32), AE_OK);
    const mlp_case c = mlp_of(r);
    ae_probe_start();
    run_mlp(&probed, &c);
    ae_probe_stop();
    run_mlp(&probed, &c); /* not counted */
    const double product = 2.0 * M * D * E;
    const ae_probe_sum forward = ae_probe_read(AE_OP_linear_forward), mlp = ae_probe_read(AE_OP_mlp_forward);
    const ae_probe_sum input = ae_probe_read(AE_OP_linear_backward_input),
                       weight = ae_probe_read(AE_OP_linear_backward_weight);
    cr_assert_eq(forward.calls, 2);
    cr_assert_eq(ae_probe_read(AE_OP_linear_residual).calls, 1);
    cr_assert_eq(input.calls, 3);
    cr_assert_eq(weight.calls, 3);
    cr_assert_eq(forward.work.flops, 2 * product);
    cr_assert_eq(weight.work.flops, 3 * product);
    cr_assert_eq(ae_probe_read(AE_OP_geglu_forward).work.sigmoids, M * E);
    cr_assert_eq(mlp.calls, 1);
    cr_assert_eq(mlp.work.flops, 0, "its rows say what they did");
    cr_assert(mlp.self_s < mlp.total_s && mlp.total_s >= forward.total_s);
    cr_assert_eq(ae_probe_read(AE_OP_recurrent_forward).calls, 0);
    ae_backend_free(&probed);
}

static void nothing(const ae_backend *be, ae_f32 *x, const ae_weight *table, const ae_i32 *tokens,
                    float scale, ptrdiff_t rows, ptrdiff_t width) {
    (void)be, (void)x, (void)table, (void)tokens, (void)scale, (void)rows, (void)width;
}

/* The pairs of a query and a key that are really seen: through documents, the window, and the ring. */
ON_EVERY_BACKEND(profile, counts_the_keys_that_attention_sees) {
    enum { T = 6, N = 2, H = 8, W = 3 };
    static const int32_t one[T] = {0, 1, 2, 3, 4, 5}, two[T] = {0, 1, 0, 1, 2, 3},
                         on[T] = {9, 10, 11, 12, 0, 1}, forked[T] = {0, 1, 2, 1, 2, 3};
    static const struct {
        const int32_t *positions;
        bool ring;
        double pairs;
    } cases[] = {{one, false, 1 + 2 + 3 + 4 + 4 + 4},
                 {two, false, 1 + 2 + 1 + 2 + 3 + 4},
                 {on, false, 1 + 2 + 3 + 4 + 1 + 2},
                 {on, true, 4 + 4 + 4 + 4 + 1 + 2},
                 {forked, false, 1 + 2 + 3 + 2 + 3 + 4}};
    const ae_attention_dims n = {1, T, N, 1, H, W, r->be.threads};
    ae_backend probed;
    cr_assert_eq(ae_backend_profile(&probed, &r->be, AE_WEIGHT_F32), AE_OK);
    for (size_t i = 0; i < COUNT(cases); i++) {
        rig_next(r, "case %zu", i);
        const rig_array q = rig_normal(r, 1, T * N * H), k = rig_normal(r, 1, T * H),
                        v = rig_normal(r, 1, T * H), ring = rig_zeros(r, 2 * W * H),
                        o = rig_output(r, T * N * H), lse = rig_output(r, T * N);
        const rig_ints positions = rig_numbers(r, cases[i].positions, T);
        const ae_room scratch = rig_room(r, r->be.attention_scratch_bytes(&r->be, n, 1));
        ae_act *rings[2] = {ring.dev, ae_act_at(&r->be, ring.dev, W * H)};
        ae_probe_start();
        probed.attention_forward(&probed, o.dev, lse.dev, cases[i].ring ? rings[0] : NULL,
                                 cases[i].ring ? rings[1] : NULL, q.dev, k.dev, v.dev, positions.dev, n,
                                 scratch);
        ae_probe_stop();
        const ae_work w = ae_probe_read(AE_OP_attention_forward).work;
        cr_assert_eq(w.flops, 4 * cases[i].pairs * N * H, "%s, %s: %g FLOPs", r->label, r->where, w.flops);
        cr_assert_eq(w.exps, cases[i].pairs * N, "%s, %s: %g exponentials", r->label, r->where, w.exps);
    }
    ae_backend_free(&probed);
}

Test(profile, every_row_that_takes_time_is_probed) {
    ae_backend cpu, probed;
    cr_assert_eq(ae_backend_cpu(&cpu, &(ae_backend_options){.threads = 1}), AE_OK);
    cr_assert_eq(ae_backend_profile(&probed, &cpu, AE_WEIGHT_F32), AE_OK);
#define IS_PROBED(row, ...) cr_assert(probed.row != cpu.row, #row);
    AE_ROWS(IS_PROBED)
#undef IS_PROBED
    cr_assert_str_eq(ae_profile_name(AE_OP_adamw), "adamw");
    cr_assert_str_eq(ae_profile_name(AE_PROFILE_N_OPS - 1), "mlp_backward");
    cr_assert(ae_profile_sweeps_parameters(AE_OP_adamw) && !ae_profile_sweeps_parameters(AE_OP_conv_forward));
    ae_backend_free(&probed);
    ae_backend_free(&cpu);
}

/* A product of one row with a matrix reads little beside the weight: the bytes tell its type. */
Test(profile, compact_weights_are_counted_as_they_are) {
    enum { SIDE = 64 };
    static const struct {
        ae_weight_type type;
        double least, most;
    } cases[] = {{AE_WEIGHT_F32, 4, 4},
                 {AE_WEIGHT_BF16, 2, 2.01},
                 {AE_WEIGHT_INT8, 1.01, 1.05},
                 {AE_WEIGHT_INT4, 0.51, 0.58}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        ae_backend be, probed;
        void *x = NULL, *table = NULL;
        cr_assert_eq(ae_backend_cpu(&be, &(ae_backend_options){.threads = 1}), AE_OK);
        be.embedding_forward = nothing;
        cr_assert_eq(ae_backend_profile(&probed, &be, cases[i].type), AE_OK);
        ae_probe_start();
        probed.embedding_forward(&probed, x, table, NULL, 1, SIDE, SIDE);
        ae_probe_stop();
        const double bytes = ae_probe_read(AE_OP_embedding_forward).work.read_bytes / (SIDE * SIDE);
        cr_assert(bytes >= cases[i].least && bytes <= cases[i].most, "type %d: %g", (int)cases[i].type,
                  bytes);
        ae_backend_free(&probed);
        ae_backend_free(&be);
    }
}

/* Bytes and FLOPs by hand, for two bytes an activation and one and an eighth an element of a weight. */
Test(profile, work_is_what_the_sizes_say) {
    const ae_work_types t = {.act = 2, .weight = 1.125, .gate = 2};
    const ae_work linear = ae_work_linear(t, 3, 8, 16, false), residual = ae_work_linear(t, 3, 8, 16, true);
    cr_assert_eq(linear.flops, 2 * 3 * 8 * 16);
    cr_assert_eq(linear.read_bytes, 2 * 3 * 8 + 1.125 * 8 * 16);
    cr_assert_eq(linear.written_bytes, 2 * 3 * 16);
    cr_assert_eq(residual.read_bytes - linear.read_bytes, 4 * 3 * 16);
    const ae_work gates = ae_work_gates(t, 3, 8, 2, AE_GATES_FORWARD);
    cr_assert_eq(gates.flops, 2 * 3 * 8 * 4);
    cr_assert_eq(gates.read_bytes, 2 * 3 * 8 + 2 * 8 * 4);
    const ae_work loss = ae_work_head(t, (ae_head_dims){3, 8, 32, 30}, AE_HEAD_LOSS);
    cr_assert_eq(loss.flops, 3 * 2 * 3 * 8 * 32);
    cr_assert_eq(loss.tanhs, 3 * 32);
    cr_assert_eq(ae_work_head(t, (ae_head_dims){3, 8, 32, 0}, AE_HEAD_LOGITS).tanhs, 0, "no cap");
    const ae_work back = ae_work_attention(t, (ae_attention_dims){1, 4, 2, 1, 8, 4, 1}, 10, 0, true);
    cr_assert_eq(back.flops, 10 * 10 * 2 * 8);
    cr_assert_eq(ae_work_adamw(100).read_bytes + ae_work_adamw(100).written_bytes, 3200);
}
