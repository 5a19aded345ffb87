#include "cli/bench_profile.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/rng.h"
#include "train/plan.h"
#include "train/step.h"

#include <math.h>
#include <stdlib.h>

enum { WARM_UP_STEPS = 2, SGEMM_ROUNDS = 2, TARGETS_SEED = 7 };

/* A model under training on one batch of random tokens. */
typedef struct {
    ae_model model;
    ae_pass *pass;
    ae_optimizer optimizer;
    ae_batch batch;
    double *seconds;
} trainee;

static ae_status fill_batch(ae_batch *batch, ptrdiff_t B, ptrdiff_t T, ptrdiff_t V) {
    const ae_status st = ae_batch_init(batch, B, T);
    if (st != AE_OK) return st;
    ae_rng rng = ae_rng_make(TARGETS_SEED, 0);
    for (ptrdiff_t i = 0; i < B * T; i++) {
        batch->tokens[i] = (int32_t)ae_rng_below(&rng, (uint64_t)V);
        batch->targets[i] = (int32_t)ae_rng_below(&rng, (uint64_t)V);
        batch->positions[i] = (int32_t)(i % T);
        batch->weights[i] = 1;
    }
    batch->n_tokens = batch->n_targets = B * T;
    return AE_OK;
}

static ae_status optimizer_of(ae_optimizer *o, const ae_model *m) {
    const ae_adamw_options options = {0.9, 0.95, 1e-8, 0.1, 1, AE_MOMENTS_F32};
    ae_optim_param *params = NULL;
    ptrdiff_t n = 0;
    ae_status st = ae_step_optim_params(m, &params, &n);
    if (st == AE_OK) st = ae_optimizer_init(o, m->be, &options, params, n);
    free(params);
    return st;
}

static ae_status trainee_init(trainee *t, const ae_bench *b, const ae_plan *plan) {
    const ae_pass_dims dims = {.B = plan->micro_rows,
                               .T = b->row_tokens,
                               .recompute_blocks = plan->recompute_blocks,
                               .recompute_mlps = plan->recompute_mlps};
    const ae_model_options options = {.training = true, .pack_at_use = plan->pack_at_use};
    ae_status st;
    AE_TRY(ae_model_init(&t->model, &b->be, &b->config, &options));
    AE_TRY(ae_model_set_initial(&t->model, 1));
    AE_TRY(optimizer_of(&t->optimizer, &t->model));
    AE_TRY(ae_pass_new(&t->pass, &t->model, dims, true));
    AE_TRY(fill_batch(&t->batch, b->batch, b->row_tokens, b->config.V));
    t->seconds = calloc((size_t)b->steps, sizeof *t->seconds);
    if (!t->seconds) st = AE_FAIL(AE_ERR_RESOURCE, "bench: out of memory");
out:
    return st;
}

static void trainee_free(trainee *t) {
    ae_pass_delete(t->pass);
    ae_optimizer_free(&t->optimizer);
    ae_model_free(&t->model);
    ae_batch_free(&t->batch);
    free(t->seconds);
}

static double step_of(trainee *t, const ae_plan *plan, double *loss) {
    const double start = ae_now_s();
    *loss = ae_step_gradients(&t->model, t->pass, &t->batch, plan->micro_rows, NULL);
    const ae_step_result r = ae_step_judge(&t->optimizer, isfinite(*loss), 1e-4);
    ae_step_finish(&t->optimizer, &r);
    return ae_now_s() - start;
}

static void probed_step(ae_bench *b, trainee *t, const ae_plan *plan, ae_bench_profile *profile) {
    double loss = 0;
    ae_bench_profile_begin(profile, b);
    const double seconds = step_of(t, plan, &loss);
    ae_bench_profile_end(profile, b, seconds);
}

/* Steps, steps with probes and products take turns, so that all see the same minutes of a shared machine. The
 * memory's peak is read before the products' arrays can add to it; the median of the steps comes out. */
static ae_status time_steps(ae_bench *b, trainee *t, const ae_plan *plan, ae_bench_sgemm *sgemm,
                            ae_bench_profile *profile, size_t *peak_bytes, double *step_s) {
    double loss = 0;
    ae_status st = AE_OK;
    for (int64_t s = 0; s < WARM_UP_STEPS; s++) step_of(t, plan, &loss);
    *peak_bytes = ae_peak_rss_bytes();
    for (int64_t s = 0; st == AE_OK && s < b->steps; s++) {
        t->seconds[s] = step_of(t, plan, &loss);
        if (b->profile) probed_step(b, t, plan, profile);
        st = ae_bench_sgemm_add(sgemm, SGEMM_ROUNDS);
    }
    ae_bench_put(b, "loss", loss);
    *step_s = ae_median(t->seconds, b->steps);
    return st;
}

static ae_status make_plan(const ae_bench *b, ae_plan *plan) {
    ae_plan_request request = {.be = &b->be,
                               .model = &b->config,
                               .row_tokens = b->row_tokens,
                               .batch_rows = b->batch,
                               .micro_rows = b->micro_rows,
                               .recompute_blocks = b->recompute,
                               .recompute_mlps = b->recompute_mlps};
    ae_plan_limit(&request, "--memory-gb", b->memory_gb);
    return ae_plan_make(plan, &request);
}

static void tell_speed(ae_bench *b, const ae_plan *plan, double step_s) {
    const double tokens_per_s = (double)(b->batch * b->row_tokens) / step_s;
    const double per_token = ae_model_flops_per_token(&b->config, b->row_tokens, false);
    ae_bench_say(b, "step       %.3f s, %.0f tok/s, %.1f GFLOP/s (%.4g model FLOPs a token)", step_s,
                 tokens_per_s, tokens_per_s * per_token / 1e9, per_token);
    ae_bench_put(b, "parameters", (double)plan->parameters);
    ae_bench_put(b, "step_s", step_s);
    ae_bench_put(b, "tokens_per_s", tokens_per_s);
    ae_bench_put(b, "flops_per_token", per_token);
    ae_bench_put(b, "gflops", tokens_per_s * per_token / 1e9);
}

static void tell_memory(ae_bench *b, const ae_plan *plan, size_t peak_bytes) {
    char peak[32], planned[32];
    ae_format_bytes(peak, sizeof peak, peak_bytes);
    ae_format_bytes(planned, sizeof planned, plan->peak_bytes);
    ae_bench_say(b, "memory     %s at the peak; the plan said %s (%+.1f %%)", peak, planned,
                 100 * ((double)plan->peak_bytes / (double)peak_bytes - 1));
    ae_bench_put(b, "peak_rss_bytes", (double)peak_bytes);
    ae_bench_put(b, "plan_peak_bytes", (double)plan->peak_bytes);
}

/* FLOP/s of the better library's product come out. */
static double tell_shares(ae_bench *b, ae_bench_sgemm *sgemm, double flops) {
    double openblas, onednn;
    ae_bench_sgemm_tell(b, sgemm, &openblas, &onednn);
    const double peak = ae_bench_peak(b), better = openblas > onednn ? openblas : onednn;
    ae_bench_say(b, "share      %.1f %% of OpenBLAS sgemm, %.1f %% of the better sgemm, %.1f %% of the peak",
                 100 * flops / openblas, 100 * flops / better, 100 * flops / peak);
    ae_bench_put(b, "share_of_openblas", flops / openblas);
    ae_bench_put(b, "share_of_better_sgemm", flops / better);
    ae_bench_put(b, "share_of_fma_peak", flops / peak);
    return better;
}

static void tell_profile(ae_bench *b, ae_bench_profile *profile, double product, double step_s) {
    const ae_bench_profile_view view = {.unit = "step", .plain_s = step_s};
    ae_bench_rates rates = {0};
    ae_bench_rates_set_product(&rates, b, product);
    ae_bench_rates_measure(&rates, ae_bench_profile_largest(profile, false));
    ae_bench_rates_tell_memory(b, &rates);
    ae_bench_rates_tell_functions(b, &rates);
    ae_bench_put_json(b, "profile", ae_bench_profile_tell(profile, b, &rates, &view));
}

ae_status ae_bench_train(ae_bench *b) {
    trainee t = {0};
    ae_plan plan;
    ae_bench_sgemm sgemm = {0};
    ae_bench_profile profile = {0};
    size_t peak_bytes = 0;
    double step_s = 0, product;
    ae_status st;
    AE_TRY(make_plan(b, &plan));
    AE_TRY(trainee_init(&t, b, &plan));
    ae_bench_say(
        b,
        "training   %s, %td rows of %td tokens, micro-batches of %td, %td MLPs and %td blocks recomputed%s",
        b->shape, (ptrdiff_t)b->batch, (ptrdiff_t)b->row_tokens, plan.micro_rows, plan.recompute_mlps,
        plan.recompute_blocks, plan.pack_at_use ? ", weights packed at each use" : "");
    ae_bench_put(b, "pack_at_use", plan.pack_at_use);
    ae_bench_put(b, "recompute_mlps", (double)plan.recompute_mlps);
    ae_bench_put(b, "recompute_blocks", (double)plan.recompute_blocks);
    ae_bench_put_text(b, "shape", b->shape);
    ae_bench_put(b, "row_tokens", (double)b->row_tokens);
    ae_bench_put(b, "batch_rows", (double)b->batch);
    AE_TRY(ae_bench_profile_init(&profile, b, b->steps));
    AE_TRY(time_steps(b, &t, &plan, &sgemm, &profile, &peak_bytes, &step_s));
    tell_speed(b, &plan, step_s);
    tell_memory(b, &plan, peak_bytes);
    product = tell_shares(b, &sgemm, (double)(b->batch * b->row_tokens) * plan.flops_per_token / step_s);
    if (b->profile) tell_profile(b, &profile, product, step_s);
out:
    ae_bench_profile_free(&profile);
    trainee_free(&t);
    return st;
}
