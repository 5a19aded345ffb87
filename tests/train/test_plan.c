#include "eval/generate.h"
#include "model/pass.h"
#include "tests/train/rig.h"
#include "train/plan.h"

#include <stdlib.h>
#include <string.h>

static ae_backend be;
static ae_model_config shape;

static ae_plan_request request_for(const char *preset) {
    ae_model_keys keys = {.preset = (char *)preset, .soft_cap = -1, .rope_theta = -1};
    ae_backend_free(&be);
    ASSERT_OK(ae_backend_cpu(&be, &(ae_backend_options){.threads = 2}));
    ASSERT_OK(ae_model_config_resolve(&shape, &keys, 0));
    return (ae_plan_request){.be = &be,
                             .model = &shape,
                             .row_tokens = 2048,
                             .batch_rows = 16,
                             .recompute_blocks = -1,
                             .recompute_mlps = -1,
                             .heldout_rows = 100,
                             .available_bytes = (size_t)1 << 40};
}

Test(plan, with_much_memory_takes_large_micro_batches_and_recomputes_nothing) {
    ae_plan_request r = request_for("s23");
    ae_plan p;
    ASSERT_OK(ae_plan_make(&p, &r));
    cr_assert_eq(p.micro_rows, 8);
    cr_assert_eq(p.recompute_blocks, 0);
    r.batch_rows = 9;
    ASSERT_OK(ae_plan_make(&p, &r));
    cr_assert_eq(p.micro_rows, 5, "two nearly equal halves");
    r.row_tokens = 65536;
    ASSERT_OK(ae_plan_make(&p, &r));
    cr_assert_eq(p.micro_rows, 1);
}

Test(plan, its_parts_are_those_of_the_model) {
    ae_plan_request r = request_for("s23");
    ae_plan p;
    ae_model m;
    ASSERT_OK(ae_plan_make(&p, &r));
    ASSERT_OK(ae_model_init(&m, &be, &shape, &(ae_model_options){.training = true}));
    cr_assert_eq(p.parameters, m.params.total);
    cr_assert_eq(p.values_bytes, m.value_bytes + m.packed_bytes);
    cr_assert_eq(p.gradients_bytes, m.grad_bytes);
    ae_model_free(&m);
    cr_assert_eq(p.flops_per_token, ae_model_flops_per_token(&shape, 2048, false));
    size_t sum = p.program_bytes + p.values_bytes + p.gradients_bytes + p.optimizer_bytes + p.pass_bytes +
                 p.loader_bytes;
    cr_assert_eq(p.peak_bytes, sum + p.checkpoint_bytes + p.evaluation_bytes);
}

/* Beside a frozen base: nothing of it has gradients or moments, and its form counts. */
static void expect_adapted(ae_weight_type weights) {
    static const char *const train[] = {"*.lora_?.weight", "*norm.weight", NULL};
    ae_plan_request r = request_for("s23");
    ae_plan p;
    ae_model m;
    r.options = (ae_model_options){.params = {.adapters = {.rank = 8}, .score_head = true, .train = train},
                                   .weights = weights};
    ASSERT_OK(ae_plan_make(&p, &r));
    ae_model_options o = r.options;
    o.training = true;
    ASSERT_OK(ae_model_init(&m, &be, &shape, &o));
    cr_assert_eq(p.parameters, m.params.total);
    cr_assert_eq(p.values_bytes, m.value_bytes + m.packed_bytes);
    cr_assert_eq(p.gradients_bytes, m.grad_bytes);
    cr_assert_eq(p.optimizer_bytes, 2 * m.grad_bytes);
    cr_assert_eq(p.pass_bytes, ae_pass_bytes(&be, &shape,
                                             (ae_pass_dims){.B = p.micro_rows,
                                                            .T = r.row_tokens,
                                                            .recompute_blocks = p.recompute_blocks,
                                                            .recompute_mlps = p.recompute_mlps,
                                                            .adapter_rank = 8},
                                             true));
    cr_assert_lt(p.checkpoint_bytes, (size_t)(shape.V * shape.D) * sizeof(float));
    ae_model_free(&m);
}

Test(plan, counts_adapters_beside_a_frozen_base) {
    static const ae_weight_type types[] = {AE_WEIGHT_F32, AE_WEIGHT_BF16, AE_WEIGHT_INT8, AE_WEIGHT_INT4};
    for (int i = 0; i < 4; i++) expect_adapted(types[i]);
}

Test(plan, gives_up_rows_first_and_then_recomputes) {
    ae_plan_request r = request_for("s23");
    ae_plan p, full;
    ASSERT_OK(ae_plan_make(&full, &r));
    ptrdiff_t rows = full.micro_rows, blocks = 0;
    for (size_t room = full.peak_bytes; room > full.peak_bytes / 20; room -= full.peak_bytes / 50) {
        r.available_bytes = room;
        if (ae_plan_make(&p, &r) != AE_OK) break;
        cr_assert_leq(p.peak_bytes, room);
        cr_assert_leq(p.micro_rows, rows);
        cr_assert_geq(p.recompute_blocks, blocks);
        cr_assert(p.recompute_mlps == 0 || p.micro_rows == 1);
        cr_assert(p.recompute_blocks == 0 || p.recompute_mlps == r.model->blocks, "the cheaper way first");
        rows = p.micro_rows;
        blocks = p.recompute_blocks;
    }
    cr_assert_eq(rows, 1);
    cr_assert_gt(blocks, 0);
}

Test(plan, keeps_what_was_asked_for) {
    ae_plan_request r = request_for("s23");
    ae_plan p;
    r.micro_rows = 3;
    r.recompute_blocks = 2;
    r.recompute_mlps = 1;
    ASSERT_OK(ae_plan_make(&p, &r));
    cr_assert_eq(p.micro_rows, 3);
    cr_assert_eq(p.recompute_blocks, 2);
    cr_assert_eq(p.recompute_mlps, 1);
}

/* A copy of the weights in bfloat16 is the first that a run can do without. */
Test(plan, packs_at_use_before_it_computes_twice) {
    ae_plan_request r = request_for("s100");
    ae_plan p;
    setenv("AERIE_PRODUCTS", "bf16", 1);
    ae_backend_free(&be);
    ASSERT_OK(ae_backend_cpu(&be, &(ae_backend_options){.threads = 2, .dtype = AE_DTYPE_BF16}));
    r.batch_rows = 1;
    ASSERT_OK(ae_plan_make(&p, &r));
    cr_assert(!p.pack_at_use);
    if (be.packed != AE_WEIGHT_BF16) cr_skip_test("no products of bfloat16 on this machine");
    const size_t all = p.peak_bytes, values = p.values_bytes;
    r.available_bytes = all;
    ASSERT_OK(ae_plan_make(&p, &r));
    cr_assert(p.pack_at_use);
    cr_assert_eq(p.recompute_mlps, 0);
    ae_model m;
    ASSERT_OK(ae_model_init(&m, &be, &shape, &(ae_model_options){.training = true, .pack_at_use = true}));
    const size_t largest = 2304 * 768 * sizeof(uint16_t), needed = m.value_bytes + m.packed_bytes;
    ae_model_free(&m);
    cr_assert_lt(p.values_bytes, values * 3 / 4);
    cr_assert(p.values_bytes >= needed + largest && p.values_bytes <= needed + largest + 4096,
              "one room for the largest beside what the model has");
}

/* Short rows of a large model: reading the prompt of a sample takes more than scoring a row. */
Test(plan, counts_a_sample_as_it_is_generated) {
    ae_plan_request r = request_for("s100");
    ae_plan p;
    r.row_tokens = 64;
    r.batch_rows = r.heldout_rows = 1;
    ASSERT_OK(ae_plan_make(&p, &r));
    const size_t rows_alone = p.evaluation_bytes;
    r.sample_tokens = 1000;
    ASSERT_OK(ae_plan_make(&p, &r));
    cr_assert_eq(p.evaluation_bytes, ae_generate_bytes(&be, &shape, 0, 1, 1000, 0));
    cr_assert_gt(p.evaluation_bytes, 2 * rows_alone);
}

/* Where the tokens of a step alone are too many, shorter rows at the same step would not do. */
Test(plan, refuses_a_step_that_is_too_big_with_one_that_fits) {
    ae_plan_request r = request_for("s23");
    ae_plan p;
    r.row_tokens = 1000000000;
    r.available_bytes = (size_t)4 << 30;
    ASSERT_FAILS(AE_ERR_RESOURCE, ae_plan_make(&p, &r));
    ASSERT_SAYS("would fit, with fewer tokens a step");
    r.row_tokens = atol(strchr(strstr(ae_error_message(), "train.row_tokens="), '=') + 1);
    ASSERT_OK(ae_plan_make(&p, &r));
}

/* The settings that a refusal names do fit. */
Test(plan, refuses_with_what_would_fit) {
    ae_plan_request r = request_for("s23");
    ae_plan p;
    r.micro_rows = 16;
    r.recompute_blocks = r.recompute_mlps = 0;
    ASSERT_OK(ae_plan_make(&p, &r));
    r.available_bytes = p.peak_bytes / 2;
    ASSERT_FAILS(AE_ERR_RESOURCE, ae_plan_make(&p, &r));
    ASSERT_SAYS("would fit");
    const char *rows = strstr(ae_error_message(), "train.micro_rows="),
               *blocks = strstr(ae_error_message(), "train.recompute="),
               *mlps = strstr(ae_error_message(), "train.recompute_mlps=");
    if (rows) r.micro_rows = atol(strchr(rows, '=') + 1);
    cr_assert(blocks && mlps);
    r.recompute_blocks = atol(strchr(blocks, '=') + 1);
    r.recompute_mlps = atol(strchr(mlps, '=') + 1);
    ASSERT_OK(ae_plan_make(&p, &r));
}

Test(plan, refuses_a_model_that_no_setting_fits) {
    ae_plan_request r = request_for("recurrentgemma-9b");
    ae_plan p;
    r.available_bytes = (size_t)16 << 30;
    ASSERT_FAILS(AE_ERR_RESOURCE, ae_plan_make(&p, &r));
    ASSERT_SAYS("smaller model");
    cr_assert_float_eq((double)p.parameters, 8.58e9, 0.005e9);
    cr_assert_gt(p.peak_bytes, (size_t)100 << 30, "and tells what it would take");
}
