#include "cli/bench_open.h"
#include "cli/bench_profile.h"
#include "cli/dtype.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/rng.h"
#include "model/decode.h"
#include "model/sampler.h"

#include <math.h>
#include <stdlib.h>

enum { PREFILLS_MAX = 16, PROFILED_PREFILL_MAX = 8192, SGEMM_ROUNDS = 7 };

typedef struct {
    ae_model model;
    ae_decoder *decoder;
    ae_decode_state state;
    int32_t *tokens; /* [longest prefill], random */
    int32_t *next;   /* [batch] */
    float *logits;   /* [batch, V] */
    double *seconds; /* [tokens] */
    ae_draw *draws;  /* [batch] */
    ae_rng *rngs;    /* [batch] */
    void *draw_room;
} speaker;

/* The ways to draw a token that are timed. */
enum { WAYS = 3 };
static const struct {
    const char *name, *key;
    ae_sampling how;
} ways[WAYS] = {{"greedy", "greedy_s", {0, 0, 1, 0}},
                {"top_k 40", "top_k_s", {0.8, 40, 1, 0}},
                {"top_p 0.95", "top_p_s", {0.8, 0, 0.95, 0}}};

static ae_status speaker_init(speaker *s, const ae_bench *b, int64_t longest) {
    const size_t beside = ae_decode_state_bytes(&b->be, &b->config, b->batch, longest + 2 * b->tokens) +
                          ae_decoder_bytes(&b->be, &b->config, 0, b->batch, AE_PREFILL_CHUNK);
    ae_status st;
    AE_TRY(ae_bench_open_model(&s->model, b, beside));
    AE_TRY(ae_decode_state_init(&s->state, &s->model, b->batch));
    AE_TRY(
        ae_decode_state_reserve(&s->state, longest + 2 * b->tokens)); /* with a profile twice as many steps */
    AE_TRY(ae_decoder_new(&s->decoder, &s->model, b->batch, AE_PREFILL_CHUNK));
    s->tokens = malloc((size_t)longest * sizeof *s->tokens);
    s->next = calloc((size_t)b->batch, sizeof *s->next);
    s->logits = malloc((size_t)(b->batch * b->config.V) * sizeof *s->logits);
    s->seconds = calloc((size_t)b->tokens, sizeof *s->seconds);
    s->draws = calloc((size_t)b->batch, sizeof *s->draws);
    s->rngs = calloc((size_t)b->batch, sizeof *s->rngs);
    s->draw_room = malloc(ae_sample_each_room_bytes(b->config.V, b->batch, b->be.threads));
    if (!s->tokens || !s->next || !s->logits || !s->seconds || !s->draws || !s->rngs || !s->draw_room)
        st = AE_FAIL(AE_ERR_RESOURCE, "bench: out of memory");
    ae_rng rng = ae_rng_make(1, 0);
    for (int64_t i = 0; st == AE_OK && i < longest; i++)
        s->tokens[i] = (int32_t)ae_rng_below(&rng, (uint64_t)b->config.V);
out:
    return st;
}

static void speaker_free(speaker *s) {
    ae_decoder_delete(s->decoder);
    ae_decode_state_free(&s->state);
    ae_model_free(&s->model);
    free(s->tokens);
    free(s->next);
    free(s->logits);
    free(s->seconds);
    free(s->draws);
    free(s->rngs);
    free(s->draw_room);
}

/* A token for each of n sequences from their logits. */
static void draw(const ae_bench *b, speaker *s, ptrdiff_t n, const ae_sampling *how) {
    for (ptrdiff_t i = 0; i < n; i++)
        s->draws[i] = (ae_draw){.logits = s->logits + i * b->config.V, .how = how, .rng = &s->rngs[i]};
    ae_sample_each(s->draws, n, b->config.V, s->draw_room, b->be.threads);
}

/* The middle one of several times, in seconds. */
static double time_draws(const ae_bench *b, speaker *s, const ae_sampling *how) {
    enum { ROUNDS = 7 };
    double seconds[ROUNDS];
    for (int k = 0; k < ROUNDS; k++) {
        const double start = ae_now_s();
        draw(b, s, b->batch, how);
        seconds[k] = ae_now_s() - start;
    }
    return ae_median(seconds, ROUNDS);
}

/* The first sequence reads the prefill, the others get a copy of its state. Seconds of the prefill. */
static double read_in(const ae_bench *b, speaker *s, int64_t n) {
    ae_decode_state_reset(&s->state, 0);
    const double start = ae_now_s();
    (void)ae_decoder_prefill(s->decoder, &s->state, 0, s->tokens, n, s->logits, NULL);
    const double seconds = ae_now_s() - start;
    for (ptrdiff_t i = 1; i < b->batch; i++) (void)ae_decode_state_copy(&s->state, i, &s->state, 0);
    draw(b, s, 1, &ways[0].how);
    for (ptrdiff_t i = 0; i < b->batch; i++) s->next[i] = s->draws[0].id;
    return seconds;
}

/* A token of each sequence, greedy. Seconds. */
static double one_step(const ae_bench *b, speaker *s) {
    const double start = ae_now_s();
    (void)ae_decoder_step(s->decoder, &s->state, s->next, b->batch, s->logits);
    draw(b, s, b->batch, &ways[0].how);
    for (ptrdiff_t i = 0; i < b->batch; i++) s->next[i] = s->draws[i].id;
    return ae_now_s() - start;
}

/* The middle one of the steps in seconds; with a profile as many with probes, in turns. */
static double speak(ae_bench *b, speaker *s, ae_bench_profile *profile) {
    for (int64_t k = 0; k < b->tokens; k++) {
        s->seconds[k] = one_step(b, s);
        if (!profile) continue;
        ae_bench_profile_begin(profile, b);
        const double seconds = one_step(b, s);
        ae_bench_profile_end(profile, b, seconds);
    }
    return ae_median(s->seconds, b->tokens);
}

typedef struct {
    int64_t prefill;
    double prefill_s, step_s, draw_s[WAYS];
    ae_bench_profile step, reading; /* with --profile */
} round_result;

static ae_status profile_init(round_result *r, const ae_bench *b) {
    const ae_status st = ae_bench_profile_init(&r->step, b, b->tokens);
    return st == AE_OK ? ae_bench_profile_init(&r->reading, b, 1) : st;
}

/* The prefill, which the others get too; with probes once more where it is not long. */
static void measure_round(ae_bench *b, speaker *s, round_result *r) {
    r->prefill_s = read_in(b, s, r->prefill);
    if (b->profile && r->prefill > 1 && r->prefill <= PROFILED_PREFILL_MAX) {
        ae_bench_profile_begin(&r->reading, b);
        const double seconds = read_in(b, s, r->prefill);
        ae_bench_profile_end(&r->reading, b, seconds);
    }
    r->step_s = speak(b, s, b->profile ? &r->step : NULL);
    for (int i = 0; i < WAYS; i++) r->draw_s[i] = time_draws(b, s, &ways[i].how);
}

static void tell_profiles(ae_bench *b, json_t *entry, round_result *r, const ae_bench_rates *rates) {
    if (r->reading.n > 0) {
        const ae_bench_profile_view view = {.unit = "prefill", .plain_s = r->prefill_s};
        json_object_set_new(entry, "prefill_profile", ae_bench_profile_tell(&r->reading, b, rates, &view));
    }
    const ae_bench_profile_view view = {.unit = "token", .plain_s = r->step_s, .sweeps_model = true};
    json_object_set_new(entry, "profile", ae_bench_profile_tell(&r->step, b, rates, &view));
}

static void tell_draws(const ae_bench *b, json_t *entry, const round_result *r) {
    char line[256];
    int n = 0;
    for (int i = 0; i < WAYS; i++) {
        n += snprintf(line + n, sizeof line - (size_t)n, "%s %s %.2f ms (%.1f %%)", i ? "," : "",
                      ways[i].name, 1e3 * r->draw_s[i], 100 * r->draw_s[i] / r->step_s);
        json_object_set_new(entry, ways[i].key, ae_json_number(r->draw_s[i]));
    }
    ae_bench_say(b, "drawing %s of a step", line);
}

/* The entry of the round in the report. */
static json_t *tell_round(ae_bench *b, const round_result *r, double weight_bytes, double bandwidth) {
    const double rate = weight_bytes / r->step_s, tokens = (double)b->batch / r->step_s;
    ae_bench_say(b,
                 "after %-8lld %8.1f tok/s, %6.2f ms a step, %.1f GB/s of weights, %.1f %% of memory "
                 "(prefill %.0f tok/s)",
                 (long long)r->prefill, tokens, 1e3 * r->step_s, rate / 1e9, 100 * rate / bandwidth,
                 (double)r->prefill / r->prefill_s);
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "prefill", (json_int_t)r->prefill, "tokens_per_s",
                     ae_json_number(tokens), "step_s", ae_json_number(r->step_s), "weights_gbs",
                     ae_json_number(rate / 1e9), "share_of_read", ae_json_number(rate / bandwidth),
                     "prefill_tokens_per_s", ae_json_number((double)r->prefill / r->prefill_s));
}

/* Of the better library, for the profile of a prefill. */
static ae_status measure_rates(ae_bench *b, ae_bench_rates *rates, const round_result *rounds, size_t n) {
    ae_bench_sgemm sgemm = {0};
    double openblas, onednn, largest = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, ae_bench_profile_largest(&rounds[i].step, true));
        largest = fmax(largest, ae_bench_profile_largest(&rounds[i].reading, false));
    }
    const ae_status st = ae_bench_sgemm_add(&sgemm, SGEMM_ROUNDS);
    if (st != AE_OK) return st;
    ae_bench_sgemm_tell(b, &sgemm, &openblas, &onednn);
    ae_bench_rates_set_product(rates, b, openblas > onednn ? openblas : onednn);
    ae_bench_rates_measure(rates, largest);
    ae_bench_rates_tell_memory(b, rates);
    ae_bench_rates_tell_functions(b, rates);
    return AE_OK;
}

static void tell_model(const ae_bench *b, int64_t parameters, double weight_bytes) {
    char count[32], size[32];
    ae_format_count(count, sizeof count, (double)parameters);
    ae_format_bytes(size, sizeof size, (size_t)weight_bytes);
    ae_bench_say(b, "decoding   %s, %s parameters in %s (%s), %td at once, %lld tokens each", b->shape, count,
                 ae_weight_type_name(b->weights.weights), size, (ptrdiff_t)b->batch, (long long)b->tokens);
}

ae_status ae_bench_decode_check(ae_bench *b) {
    int64_t prefills[PREFILLS_MAX];
    size_t n;
    return ae_bench_read_list("prefill", b->prefill, INT32_MAX / 2, prefills, PREFILLS_MAX, &n);
}

/* Bandwidth is measured before and after, and the better one counts. */
ae_status ae_bench_decode(ae_bench *b) {
    speaker s = {0};
    int64_t prefills[PREFILLS_MAX], longest = 0;
    round_result results[PREFILLS_MAX] = {0};
    ae_bench_rates rates = {0};
    double bandwidth = 0;
    size_t n = 0;
    ae_status st;
    AE_TRY(ae_bench_read_list("prefill", b->prefill, INT32_MAX / 2, prefills, PREFILLS_MAX, &n));
    for (size_t i = 0; i < n; i++) longest = prefills[i] > longest ? prefills[i] : longest;
    AE_TRY(speaker_init(&s, b, longest));
    const double weight_bytes = (double)ae_model_value_bytes(&s.model.params, &b->be, &b->weights);
    tell_model(b, s.model.params.total, weight_bytes);
    const double before = ae_measure_read_bandwidth((size_t)1 << 30);
    for (size_t i = 0; i < n; i++) {
        results[i].prefill = prefills[i];
        if (b->profile) AE_TRY(profile_init(&results[i], b));
        measure_round(b, &s, &results[i]);
    }
    AE_TRY(ae_bench_read_bandwidth(b, before, &bandwidth));
    if (b->profile) AE_TRY(measure_rates(b, &rates, results, n));
    json_t *list = json_array();
    ae_bench_put_json(b, "rounds", list);
    for (size_t i = 0; i < n; i++) {
        json_t *entry = tell_round(b, &results[i], weight_bytes, bandwidth);
        tell_draws(b, entry, &results[i]);
        if (b->profile) tell_profiles(b, entry, &results[i], &rates);
        json_array_append_new(list, entry);
    }
    ae_bench_put_text(b, "shape", b->shape);
    ae_bench_put(b, "batch", (double)b->batch);
    ae_bench_put(b, "weight_bytes", weight_bytes);
out:
    for (size_t i = 0; i < PREFILLS_MAX; i++) {
        ae_bench_profile_free(&results[i].step);
        ae_bench_profile_free(&results[i].reading);
    }
    speaker_free(&s);
    return st;
}
