#include "cli/bench_open.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/rng.h"
#include "model/decode.h"
#include "model/sampler.h"
#include "ops/limits/limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MODELS_MAX = 4, LENGTHS_MAX = 16, BATCHES_MAX = 8, BATCH_MAX = 1024, ROUNDS = 8 };

typedef struct {
    double read_s;              /* from the length before to this one */
    double step_s[BATCHES_MAX]; /* a token of each sequence, the middle one; NaN: there was no memory */
    size_t state_bytes;         /* of one sequence */
} measured;

/* One model; a sequence of it reads on from length to length. */
typedef struct {
    char *name;
    ae_model model;
    ae_decoder *decoder;
    ae_decode_state reader, writer;    /* writer: of one batch at a time */
    int32_t *next;                     /* [largest_batch] */
    ae_decode_state kept[LENGTHS_MAX]; /* the reader's behind each length */
    double *seconds;                   /* [lengths, batches, tokens] */
    measured at[LENGTHS_MAX];
} contender;

typedef struct {
    ae_bench *b;
    contender models[MODELS_MAX];
    int64_t lengths[LENGTHS_MAX], batches[BATCHES_MAX];
    size_t n, n_lengths, n_batches;
    size_t done; /* lengths that were measured */
    int64_t largest_batch;
    int32_t *tokens; /* [longest], random */
    float *logits;   /* [largest_batch, V] */
    ae_draw *draws;  /* [largest_batch] */
    ae_rng *rngs;    /* [largest_batch] */
    void *draw_room;
} race;

static const ae_sampling sampled = {.temperature = 1, .top_p = 1};

/* ---- models ---- */

/* A contender's shape or folder; --dtype counts, whatever a folder holds. */
static ae_status find_contender(ae_bench *b, const char *name) {
    const ae_model_options weights = b->weights;
    b->model = NULL;
    const ae_status st = ae_bench_find(b, name);
    b->weights = weights;
    return st;
}

static ae_status open_contender(race *r, contender *c) {
    ae_bench *b = r->b;
    ae_status st;
    AE_TRY(find_contender(b, c->name));
    AE_TRY(ae_bench_open_model(&c->model, b,
                               ae_decoder_bytes(&b->be, &b->config, 0, r->largest_batch, AE_PREFILL_CHUNK)));
    AE_TRY(ae_decoder_new(&c->decoder, &c->model, r->largest_batch, AE_PREFILL_CHUNK));
    AE_TRY(ae_decode_state_init(&c->reader, &c->model, 1));
    c->next = calloc((size_t)r->largest_batch, sizeof *c->next);
    c->seconds = calloc(r->n_lengths * r->n_batches * (size_t)b->tokens, sizeof *c->seconds);
    if (!c->next || !c->seconds) st = AE_FAIL(AE_ERR_RESOURCE, "bench: out of memory");
out:
    return st;
}

static ae_status read_names(race *r, const char *list) {
    const char *at = list;
    for (size_t n = strcspn(at, ","); n > 0; n = strcspn(at, ",")) {
        if (r->n == MODELS_MAX)
            return AE_FAIL(AE_ERR_USAGE, "--shape: expected at most %d models, found more in '%s'",
                           MODELS_MAX, list);
        r->models[r->n].name = strndup(at, n);
        if (!r->models[r->n++].name) return AE_FAIL(AE_ERR_RESOURCE, "bench: out of memory");
        at += n + (at[n] == ',');
    }
    if (*at || r->n == 0 || at[-1] == ',')
        return AE_FAIL(AE_ERR_USAGE, "--shape: expected names like small-25m,baseline-25m, found '%s'", list);
    return AE_OK;
}

static ae_status read_lists(race *r) {
    const ae_bench *b = r->b;
    ae_status st;
    AE_TRY(read_names(r, b->shape));
    AE_TRY(ae_bench_read_list("lengths", b->lengths, INT32_MAX / 2, r->lengths, LENGTHS_MAX, &r->n_lengths));
    AE_TRY(ae_bench_read_list("batch", b->batches, BATCH_MAX, r->batches, BATCHES_MAX, &r->n_batches));
    for (size_t i = 1; i < r->n_lengths; i++)
        if (r->lengths[i] <= r->lengths[i - 1])
            return AE_FAIL(AE_ERR_USAGE, "--lengths: expected rising numbers, found '%s'", b->lengths);
    for (size_t i = 0; i < r->n_batches; i++)
        if (r->batches[i] > r->largest_batch) r->largest_batch = r->batches[i];
out:
    return st;
}

static ae_status take_room(race *r) {
    const size_t batch = (size_t)r->largest_batch, longest = (size_t)r->lengths[r->n_lengths - 1];
    ptrdiff_t V = 0, least = PTRDIFF_MAX;
    for (size_t i = 0; i < r->n; i++) {
        V = ae_max(V, r->models[i].model.config.V);
        least = ae_min(least, r->models[i].model.config.V);
    }
    r->tokens = malloc(longest * sizeof *r->tokens);
    r->logits = malloc(batch * (size_t)V * sizeof *r->logits);
    r->draws = calloc(batch, sizeof *r->draws);
    r->rngs = calloc(batch, sizeof *r->rngs);
    r->draw_room = malloc(ae_sample_each_room_bytes(V, (ptrdiff_t)batch, r->b->be.threads));
    if (!r->tokens || !r->logits || !r->draws || !r->rngs || !r->draw_room)
        return AE_FAIL(AE_ERR_RESOURCE, "bench: out of memory");
    ae_rng rng = ae_rng_make(1, 0);
    for (size_t i = 0; i < longest; i++) r->tokens[i] = (int32_t)ae_rng_below(&rng, (uint64_t)least);
    for (size_t i = 0; i < batch; i++) r->rngs[i] = ae_rng_make(2, i);
    return AE_OK;
}

static void race_free(race *r) {
    for (size_t i = 0; i < r->n; i++) {
        contender *c = &r->models[i];
        ae_decode_state_free(&c->reader);
        for (size_t k = 0; k < LENGTHS_MAX; k++) ae_decode_state_free(&c->kept[k]);
        ae_decoder_delete(c->decoder);
        ae_model_free(&c->model);
        free(c->next);
        free(c->seconds);
        free(c->name);
    }
    free(r->tokens);
    free(r->logits);
    free(r->draws);
    free(r->rngs);
    free(r->draw_room);
}

/* ---- measuring ---- */

static ae_status read_on(race *r, contender *c, size_t k) {
    const int64_t from = c->reader.positions[0];
    const double start = ae_now_s();
    ae_status st = ae_decoder_prefill(c->decoder, &c->reader, 0, r->tokens + from,
                                      (ptrdiff_t)(r->lengths[k] - from), r->logits, NULL);
    if (st == AE_OK) st = r->b->be.sync(&r->b->be);
    c->at[k].read_s = ae_now_s() - start;
    c->at[k].state_bytes = ae_decode_state_bytes_now(&c->reader);
    if (st == AE_OK) st = ae_decode_state_init(&c->kept[k], &c->model, 1);
    return st == AE_OK ? ae_decode_state_copy(&c->kept[k], 0, &c->reader, 0) : st;
}

/* A token of each sequence, drawn from the whole law. */
static ae_status step(race *r, contender *c, double *seconds) {
    const ptrdiff_t B = c->writer.B, V = c->model.config.V;
    const double start = ae_now_s();
    ae_status st = ae_decoder_step(c->decoder, &c->writer, c->next, B, r->logits);
    if (st == AE_OK) st = r->b->be.sync(&r->b->be);
    for (ptrdiff_t i = 0; i < B; i++)
        r->draws[i] = (ae_draw){.logits = r->logits + i * V, .how = &sampled, .rng = &r->rngs[i]};
    ae_sample_each(r->draws, B, V, r->draw_room, r->b->be.threads);
    for (ptrdiff_t i = 0; i < B; i++) c->next[i] = r->draws[i].id;
    *seconds = ae_now_s() - start;
    return st;
}

static bool fits(const race *r, const contender *c, int64_t batch, int64_t tokens) {
    return ae_decode_state_bytes(&r->b->be, &c->model.config, (ptrdiff_t)batch, (ptrdiff_t)tokens) <=
           ae_memory_available_bytes() / 10 * 9;
}

/* Copies of what was read up to a length, with room for what will be written. A model that there is no memory for sits the batch out. */
static ae_status begin_writing(race *r, contender *c, size_t k, int64_t batch) {
    const int64_t tokens = r->lengths[k] + r->b->tokens;
    ae_status st = AE_OK;
    if (!fits(r, c, batch, tokens)) return AE_OK;
    AE_TRY(ae_decode_state_init(&c->writer, &c->model, (ptrdiff_t)batch));
    AE_TRY(ae_decode_state_reserve(&c->writer, (ptrdiff_t)tokens));
    for (ptrdiff_t i = 0; i < c->writer.B; i++) {
        AE_TRY(ae_decode_state_copy(&c->writer, i, &c->kept[k], 0));
        c->next[i] = r->tokens[i % r->lengths[k]];
    }
out:
    return st;
}

/* Where the times of the steps behind a length are, by batch. */
static double *seconds_of(const race *r, const contender *c, size_t k, size_t which) {
    return c->seconds + (k * r->n_batches + which) * (size_t)r->b->tokens;
}

/* The tokens [first, last), the models in turn. */
static ae_status write_some(race *r, size_t k, size_t which, int64_t first, int64_t last) {
    ae_status st = AE_OK;
    for (size_t i = 0; i < r->n; i++) AE_TRY(begin_writing(r, &r->models[i], k, r->batches[which]));
    for (int64_t t = first; t < last; t++)
        for (size_t i = 0; i < r->n; i++) {
            contender *c = &r->models[i];
            double *seconds = seconds_of(r, c, k, which) + t;
            *seconds = (double)NAN;
            if (c->writer.model) AE_TRY(step(r, c, seconds));
        }
out:
    for (size_t i = 0; i < r->n; i++) ae_decode_state_free(&r->models[i].writer);
    return st;
}

static double middle(double *seconds, int64_t n) {
    for (int64_t t = 0; t < n; t++)
        if (!isfinite(seconds[t])) return (double)NAN;
    return ae_median(seconds, n);
}

/* Models, batches and lengths in turn, a few tokens each, so that what else runs on the machine meets them alike. */
static ae_status write_all(race *r) {
    const int64_t tokens = r->b->tokens;
    ae_status st = AE_OK;
    for (int64_t round = 0; round < ROUNDS; round++) {
        const int64_t first = round * tokens / ROUNDS, last = (round + 1) * tokens / ROUNDS;
        for (size_t k = 0; k < r->done && first < last; k++)
            for (size_t which = 0; which < r->n_batches; which++)
                AE_TRY(write_some(r, k, which, first, last));
    }
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < r->done; k++)
            for (size_t which = 0; which < r->n_batches; which++)
                r->models[i].at[k].step_s[which] = middle(seconds_of(r, &r->models[i], k, which), tokens);
out:
    return st;
}

/* A length that would take the time past --limit-s, by what the one before took for each token, ends it. */
static ae_status read_all(race *r) {
    const double limit = (double)r->b->limit_s, start = ae_now_s();
    ae_status st = AE_OK;
    for (double before = start, per_token = 0; r->done < r->n_lengths; r->done++) {
        const double longer = (double)(r->lengths[r->done] - (r->done > 0 ? r->lengths[r->done - 1] : 0));
        if (limit > 0 && ae_now_s() - start + per_token * longer > limit) break;
        for (size_t i = 0; i < r->n; i++) AE_TRY(read_on(r, &r->models[i], r->done));
        per_token = (ae_now_s() - before) / longer;
        before = ae_now_s();
    }
    if (r->done < r->n_lengths)
        ae_bench_say(r->b, "            lengths from %lld on are left out: --limit-s %lld",
                     (long long)r->lengths[r->done], (long long)r->b->limit_s);
out:
    return st;
}

/* ---- the report ---- */

/* Tokens a second of all that was read up to a length. */
static double reading_rate(const race *r, const contender *c, size_t k) {
    double seconds = 0;
    for (size_t i = 0; i <= k; i++) seconds += c->at[i].read_s;
    return (double)r->lengths[k] / seconds;
}

static double writing_rate(const race *r, const contender *c, size_t k, size_t which) {
    return (double)r->batches[which] / c->at[k].step_s[which];
}

static void say_head(const race *r) {
    char line[512], size[32];
    int n = snprintf(line, sizeof line, "throughput ");
    for (size_t i = 0; i < r->n; i++) {
        ae_format_count(size, sizeof size, (double)r->models[i].model.params.total);
        n += snprintf(line + n, sizeof line - (size_t)n, "%s%.64s (%s parameters)", i ? ", " : " ",
                      r->models[i].name, size);
    }
    ae_bench_say(r->b, "%s in %s", line, ae_weight_type_name(r->b->weights.weights));
    n = snprintf(line, sizeof line, "%8s  %-20s %12s %12s", "length", "model", "read tok/s", "state MB");
    for (size_t w = 0; w < r->n_batches; w++)
        n += snprintf(line + n, sizeof line - (size_t)n, "   written by %-4lld", (long long)r->batches[w]);
    ae_bench_say(r->b, "%s", line);
}

static void say_row(const race *r, const contender *c, size_t k) {
    char line[512];
    int n = snprintf(line, sizeof line, "%8lld  %-20.64s %12.0f %12.2f", (long long)r->lengths[k], c->name,
                     reading_rate(r, c, k), (double)c->at[k].state_bytes / 1e6);
    for (size_t w = 0; w < r->n_batches; w++)
        n += isfinite(c->at[k].step_s[w])
                 ? snprintf(line + n, sizeof line - (size_t)n, "   %10.1f tok/s", writing_rate(r, c, k, w))
                 : snprintf(line + n, sizeof line - (size_t)n, "   %16s", "no memory");
    ae_bench_say(r->b, "%s", line);
}

static json_t *batches_json(const race *r, const contender *c, size_t k) {
    json_t *list = json_array();
    for (size_t w = 0; w < r->n_batches; w++)
        json_array_append_new(list, json_pack("{s:I, s:o, s:o}", "batch", (json_int_t)r->batches[w], "step_s",
                                              ae_json_number(c->at[k].step_s[w]), "tokens_per_s",
                                              ae_json_number(writing_rate(r, c, k, w))));
    return list;
}

static json_t *model_json(const race *r, const contender *c) {
    json_t *rounds = json_array();
    for (size_t k = 0; k < r->done; k++)
        json_array_append_new(rounds,
                              json_pack("{s:I, s:o, s:o, s:I, s:o}", "length", (json_int_t)r->lengths[k],
                                        "read_s", ae_json_number(c->at[k].read_s), "read_tokens_per_s",
                                        ae_json_number(reading_rate(r, c, k)), "state_bytes",
                                        (json_int_t)c->at[k].state_bytes, "writing", batches_json(r, c, k)));
    return json_pack("{s:s, s:I, s:o}", "name", c->name, "parameters", (json_int_t)c->model.params.total,
                     "rounds", rounds);
}

static void tell(const race *r) {
    json_t *list = json_array();
    for (size_t k = 0; k < r->done; k++)
        for (size_t i = 0; i < r->n; i++) say_row(r, &r->models[i], k);
    for (size_t i = 0; i < r->n; i++) json_array_append_new(list, model_json(r, &r->models[i]));
    ae_bench_put_json(r->b, "models", list);
}

ae_status ae_bench_throughput_check(ae_bench *b) {
    race r = {.b = b};
    ae_status st;
    AE_TRY(read_lists(&r));
    for (size_t i = 0; i < r.n; i++) AE_TRY(find_contender(b, r.models[i].name));
out:
    b->model = NULL;
    race_free(&r);
    return st;
}

ae_status ae_bench_throughput(ae_bench *b) {
    race r = {.b = b};
    ae_status st;
    AE_TRY(read_lists(&r));
    for (size_t i = 0; i < r.n; i++) AE_TRY(open_contender(&r, &r.models[i]));
    AE_TRY(take_room(&r));
    say_head(&r);
    AE_TRY(read_all(&r));
    AE_TRY(write_all(&r));
    tell(&r);
out:
    race_free(&r);
    return st;
}
