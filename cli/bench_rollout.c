#include "cli/bench_open.h"
#include "cli/bench_profile.h"
#include "cli/dtype.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/rng.h"
#include "eval/generator.h"

#include <math.h>
#include <stdlib.h>

enum { BATCHES_MAX = 16, BATCH_MAX = 4096, SGEMM_ROUNDS = 3, DRAWS = 7 };

/* Answers as RLHF has them written: drawn from the whole law at temperature 1, with log-probabilities; they never
 * end. */
static const ae_sampling whole_law = {.temperature = 1, .top_p = 1};

/* ---- tokens that go through the model, counted where they enter it ---- */

typedef void embedding_fn(const ae_backend *, ae_f32 *, const ae_weight *, const ae_i32 *, float, ptrdiff_t,
                          ptrdiff_t);
static struct {
    int64_t tokens;
    embedding_fn *inner;
} entered;

static void count_and_embed(const ae_backend *be, ae_f32 *x, const ae_weight *table, const ae_i32 *tokens,
                            float scale, ptrdiff_t M, ptrdiff_t D) {
    entered.tokens += M;
    entered.inner(be, x, table, tokens, scale, M, D);
}

static void count_from_here(ae_bench *b) {
    entered.inner = b->be.embedding_forward;
    b->be.embedding_forward = count_and_embed;
}

/* ---- what all batches share ---- */

typedef struct {
    ae_model model;
    ae_decode_state read; /* one sequence that has read b->after tokens */
    int32_t *tokens;      /* [longest of prompt and after], random */
} scene;

static ae_status read_long(const ae_bench *b, scene *s) {
    ae_decoder *decoder = NULL;
    ae_status st;
    AE_TRY(ae_decode_state_init(&s->read, &s->model, 1));
    AE_TRY(ae_decoder_new(&decoder, &s->model, 1, AE_PREFILL_CHUNK));
    AE_TRY(ae_decoder_prefill(decoder, &s->read, 0, s->tokens, b->after, NULL, NULL));
    st = b->be.sync(&b->be);
out:
    ae_decoder_delete(decoder);
    return st;
}

static ae_status scene_init(scene *s, ae_bench *b, int64_t largest_batch) {
    const int64_t longest = b->prompt > b->after ? b->prompt : b->after;
    const ae_generator_options o = {.capacity = (ptrdiff_t)largest_batch,
                                    .prompt_tokens = (ptrdiff_t)b->prompt,
                                    .tokens = (ptrdiff_t)(longest + 3 * b->tokens)};
    ae_status st;
    count_from_here(b);
    AE_TRY(ae_bench_open_model(&s->model, b, 2 * ae_generator_bytes(&b->be, &b->config, 0, &o)));
    s->tokens = malloc((size_t)longest * sizeof *s->tokens);
    if (!s->tokens) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "bench: out of memory"));
    ae_rng rng = ae_rng_make(1, 0);
    for (int64_t i = 0; i < longest; i++) s->tokens[i] = (int32_t)ae_rng_below(&rng, (uint64_t)b->config.V);
    AE_TRY(read_long(b, s));
out:
    return st;
}

static void scene_free(scene *s) {
    ae_decode_state_free(&s->read);
    ae_model_free(&s->model);
    free(s->tokens);
}

/* ---- one batch ---- */

typedef struct {
    int64_t batch, prompts,
        read; /* answers at once; their prompts; tokens read before the first were drawn */
    double read_s, step_s, after_s, blocks_s, head_s, drawing_s;
} result;

/* `batch` answers, b->answers to a prompt. */
static ae_status submit_prompts(const ae_bench *b, const scene *s, ae_generator *g, result *r) {
    ae_status st = AE_OK;
    for (int64_t left = r->batch; st == AE_OK && left > 0; left -= b->answers, r->prompts++)
        st = ae_generator_submit(g, &(ae_submission){.id = (uint64_t)r->prompts,
                                                     .prompt = s->tokens,
                                                     .n_prompt = (ptrdiff_t)b->prompt,
                                                     .answers = left < b->answers ? left : b->answers,
                                                     .settings = {.sampling = whole_law,
                                                                  .stream = (uint64_t)r->prompts << 32,
                                                                  .max_new = INT32_MAX,
                                                                  .want_logprobs = true,
                                                                  .tempered_logprobs = true}});
    return st;
}

/* `batch` answers that go on from b->after tokens. */
static ae_status submit_long(const scene *s, ae_generator *g, int64_t batch) {
    return ae_generator_submit(g, &(ae_submission){.prompt = s->tokens,
                                                   .n_prompt = 1,
                                                   .state = &s->read,
                                                   .answers = batch,
                                                   .settings = {.sampling = whole_law,
                                                                .max_new = INT32_MAX,
                                                                .want_logprobs = true,
                                                                .tempered_logprobs = true}});
}

static ae_status timed_step(ae_generator *g, double *seconds) {
    const double start = ae_now_s();
    const ae_status st = ae_generator_step(g);
    *seconds = ae_now_s() - start;
    return st;
}

/* Shares of a step with probes. */
static ae_status probed_step(ae_bench *b, ae_generator *g, ae_bench_profile *p, double *blocks,
                             double *head) {
    double seconds;
    *blocks = *head = 0;
    ae_bench_profile_begin(p, b);
    const ae_status st = timed_step(g, &seconds);
    ae_bench_profile_end(p, b, seconds);
    for (int op = 0; op < AE_PROFILE_N_OPS; op++)
        *(op == AE_OP_head_logits || op == AE_OP_download ? head : blocks) +=
            ae_probe_read(op).self_s / seconds;
    p->n = 0;
    return st;
}

/* Draws from normal logits by themselves: the generator keeps its own. */
static ae_status time_drawing(const ae_bench *b, result *r) {
    const ptrdiff_t B = (ptrdiff_t)r->batch, V = b->config.V;
    float *logits = malloc((size_t)(B * V) * sizeof *logits);
    ae_draw *draws = calloc((size_t)B, sizeof *draws);
    ae_rng *rngs = calloc((size_t)B, sizeof *rngs);
    void *room = malloc(ae_sample_each_room_bytes(V, B, b->be.threads));
    double seconds[DRAWS];
    ae_status st = logits && draws && rngs && room ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "bench: out of memory");
    ae_rng rng = ae_rng_make(2, 0);
    for (ptrdiff_t i = 0; st == AE_OK && i < B * V; i++) logits[i] = (float)ae_rng_normal(&rng);
    for (ptrdiff_t i = 0; st == AE_OK && i < B; i++)
        draws[i] = (ae_draw){.logits = logits + i * V,
                             .how = &whole_law,
                             .rng = &rngs[i],
                             .wants_logprob = true,
                             .tempered = true};
    for (int k = 0; st == AE_OK && k < DRAWS; k++) {
        const double start = ae_now_s();
        ae_sample_each(draws, B, V, room, b->be.threads);
        seconds[k] = ae_now_s() - start;
    }
    if (st == AE_OK) r->drawing_s = ae_median(seconds, DRAWS);
    free(logits);
    free(draws);
    free(rngs);
    free(room);
    return st;
}

/* [4][tokens]: plain steps, plain steps far on, shares of blocks and head in steps with probes. Before each plain step goes one that is
 * not timed, so that both find the same of their state in the caches. */
static ae_status time_steps(ae_bench *b, ae_generator *start, ae_generator *far, ae_bench_profile *p,
                            double *seconds, result *r) {
    const int64_t n = b->tokens;
    double unused;
    ae_status st = AE_OK;
    for (int64_t k = 0; st == AE_OK && k < n; k++) {
        st = probed_step(b, start, p, &seconds[2 * n + k], &seconds[3 * n + k]);
        if (st == AE_OK) st = timed_step(start, &seconds[k]);
        if (st == AE_OK) st = timed_step(far, &unused);
        if (st == AE_OK) st = timed_step(far, &seconds[n + k]);
    }
    r->step_s = ae_median(seconds, n);
    r->after_s = ae_median(seconds + n, n);
    r->blocks_s = r->step_s * ae_median(seconds + 2 * n, n);
    r->head_s = r->step_s * ae_median(seconds + 3 * n, n);
    return st;
}

/* The first step reads the prompts, each once, draws a token of every answer and adds another. */
static ae_status measure_batch(ae_bench *b, const scene *s, result *r) {
    const ae_generator_options o = {.capacity = (ptrdiff_t)r->batch, .prompt_tokens = (ptrdiff_t)b->prompt};
    ae_generator *start = NULL, *far = NULL;
    ae_bench_profile profile = {0};
    double *seconds = calloc((size_t)(4 * b->tokens), sizeof *seconds), unused;
    ae_status st = seconds ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "bench: out of memory");
    if (st != AE_OK) goto out;
    AE_TRY(ae_bench_profile_init(&profile, b, 1));
    AE_TRY(ae_generator_new(&start, &s->model, NULL, &o));
    AE_TRY(ae_generator_new(&far, &s->model, NULL, &o));
    AE_TRY(submit_prompts(b, s, start, r));
    AE_TRY(submit_long(s, far, r->batch));
    AE_TRY(timed_step(far, &unused));
    entered.tokens = 0;
    AE_TRY(timed_step(start, &r->read_s));
    r->read = entered.tokens - r->batch;
    AE_TRY(time_steps(b, start, far, &profile, seconds, r));
    AE_TRY(time_drawing(b, r));
out:
    ae_generator_delete(start);
    ae_generator_delete(far);
    ae_bench_profile_free(&profile);
    free(seconds);
    return st;
}

/* ---- the report ---- */

static json_t *tell_batch(const ae_bench *b, const result *r, double flops_per_token, double product) {
    const double rate = (double)r->batch / r->step_s, share = rate * flops_per_token / product;
    const double far_rate = (double)r->batch / r->after_s, per = 100 / r->step_s;
    const double other = fmax(0, r->step_s - r->blocks_s - r->head_s - r->drawing_s);
    ae_bench_say(
        b,
        "batch %-4lld %8.1f tok/s, %.2f ms a step, %.1f %% of products; blocks %.1f %%, head %.1f %%, "
        "drawing %.1f %%, other %.1f %%",
        (long long)r->batch, rate, 1e3 * r->step_s, 100 * share, per * r->blocks_s, per * r->head_s,
        per * r->drawing_s, per * other);
    ae_bench_say(
        b,
        "           %lld tokens read for %lld answers to %lld prompts of %lld, in %.2f s; after %lld "
        "tokens %.1f tok/s (%.0f %%)",
        (long long)r->read, (long long)r->batch, (long long)r->prompts, (long long)b->prompt, r->read_s,
        (long long)b->after, far_rate, 100 * far_rate / rate);
    return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "batch",
                     (json_int_t)r->batch, "prompts", (json_int_t)r->prompts, "tokens_read",
                     (json_int_t)r->read, "read_s", ae_json_number(r->read_s), "tokens_per_s",
                     ae_json_number(rate), "step_s", ae_json_number(r->step_s), "share_of_product",
                     ae_json_number(share), "blocks_s", ae_json_number(r->blocks_s), "head_s",
                     ae_json_number(r->head_s), "drawing_s", ae_json_number(r->drawing_s), "other_s",
                     ae_json_number(other), "after_tokens_per_s", ae_json_number(far_rate));
}

/* Products of the better library, measured before, between and after the batches. */
static double tell_product(ae_bench *b, ae_bench_sgemm *sgemm) {
    double openblas, onednn;
    ae_bench_rates rates = {0};
    ae_bench_sgemm_tell(b, sgemm, &openblas, &onednn);
    ae_bench_rates_set_product(&rates, b, fmax(openblas, onednn));
    return rates.product;
}

static void tell_scene(ae_bench *b, const scene *s, double flops_per_token) {
    char count[32];
    ae_format_count(count, sizeof count, (double)s->model.params.total);
    ae_bench_say(
        b,
        "rollouts   %s, %s parameters in %s, %lld answers to each prompt of %lld tokens, %.4g FLOPs a "
        "token",
        b->shape, count, ae_weight_type_name(b->weights.weights), (long long)b->answers, (long long)b->prompt,
        flops_per_token);
    ae_bench_put_text(b, "shape", b->shape);
    ae_bench_put(b, "prompt", (double)b->prompt);
    ae_bench_put(b, "answers", (double)b->answers);
    ae_bench_put(b, "after", (double)b->after);
    ae_bench_put(b, "flops_per_token", flops_per_token);
}

static ae_status measure_all(ae_bench *b, const scene *s, ae_bench_sgemm *sgemm, result *results, size_t n) {
    ae_status st = ae_bench_sgemm_add(sgemm, SGEMM_ROUNDS);
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        st = measure_batch(b, s, &results[i]);
        if (st == AE_OK) st = ae_bench_sgemm_add(sgemm, SGEMM_ROUNDS);
    }
    return st;
}

ae_status ae_bench_rollout_check(ae_bench *b) {
    int64_t batches[BATCHES_MAX];
    size_t n;
    return ae_bench_read_list("batch", b->batches, BATCH_MAX, batches, BATCHES_MAX, &n);
}

ae_status ae_bench_rollout(ae_bench *b) {
    int64_t batches[BATCHES_MAX], largest = 0;
    result results[BATCHES_MAX] = {0};
    ae_bench_sgemm sgemm = {0};
    scene s = {0};
    size_t n = 0;
    ae_status st;
    AE_TRY(ae_bench_read_list("batch", b->batches, BATCH_MAX, batches, BATCHES_MAX, &n));
    for (size_t i = 0; i < n; i++) {
        results[i].batch = batches[i];
        if (batches[i] > largest) largest = batches[i];
    }
    AE_TRY(scene_init(&s, b, largest));
    const double flops = ae_model_flops_per_token(&b->config, (ptrdiff_t)b->prompt, true);
    tell_scene(b, &s, flops);
    AE_TRY(measure_all(b, &s, &sgemm, results, n));
    const double product = tell_product(b, &sgemm);
    json_t *list = json_array();
    ae_bench_put(b, "product_gflops", product / 1e9);
    ae_bench_put_json(b, "rounds", list);
    for (size_t i = 0; i < n; i++) json_array_append_new(list, tell_batch(b, &results[i], flops, product));
out:
    scene_free(&s);
    return st;
}
