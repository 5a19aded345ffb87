#include "eval/generate.h"

#include "eval/text_stream.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 64 }; /* answers that may wait for an earlier one, times the batch */

/* An answer in the making, or waiting for its turn. */
typedef struct {
    bool finished, cut; /* cut: a stop string ended its text */
    ae_answer answer;
    ae_text_stream stream;
    size_t shown; /* bytes handed to `piece` */
    ptrdiff_t logprob_capacity;
    ae_rng rng;
} job;

typedef struct {
    const ae_model *model;
    const ae_tokenizer *tokenizer;
    const ae_generation *how;
    const ae_generate_io *io;
    ae_sampling sampling; /* over the ids that have a piece */
    ae_decoder *decoder;
    ae_decode_state state;
    float *logits, *room; /* [batch, V], [V] */
    int32_t *tokens;      /* [batch]: what goes in next */
    job **active;         /* [batch], the first n_active of them */
    ptrdiff_t n_active;
    job **jobs; /* [ahead], owned: answer i at i mod ahead, from `delivered` up to `taken` */
    int64_t ahead, delivered, taken;
    bool more;
    ae_status ended; /* what the input that failed said; the answers before it come first */
    char *reason;
} engine;

static void job_delete(job *j) {
    if (!j) return;
    ae_ids_free(&j->answer.tokens);
    free(j->answer.logprobs);
    ae_text_stream_free(&j->stream);
    free(j);
}

static ae_status job_new(job **out, const engine *e, const ae_ids *prompt) {
    job *j = *out = calloc(1, sizeof *j);
    if (!j) return AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
    j->rng = ae_rng_make(e->how->seed, (uint64_t)e->taken);
    ae_text_stream_init(&j->stream, e->tokenizer);
    if (e->tokenizer) ae_text_stream_follow(&j->stream, prompt->ids, prompt->n);
    return AE_OK;
}

static ae_status keep_logprob(job *j, double logprob) {
    const ptrdiff_t n = j->answer.tokens.n; /* already with the new token */
    if (n > j->logprob_capacity) {
        float *grown = realloc(j->answer.logprobs, (size_t)(2 * n) * sizeof *grown);
        if (!grown) return AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
        j->answer.logprobs = grown;
        j->logprob_capacity = 2 * n;
    }
    j->answer.logprobs[n - 1] = (float)logprob;
    return AE_OK;
}

/* Text grows by one token, or by what waited for more (`id` < 0). A stop string cuts it and ends the answer. */
static ae_status grow_text(const engine *e, job *j, int32_t id) {
    const ae_generation *how = e->how;
    const size_t old = j->stream.n;
    const ae_status st = id >= 0 ? ae_text_stream_push(&j->stream, id) : ae_text_stream_finish(&j->stream);
    if (st != AE_OK) return st;
    size_t from = old; /* it may have begun in the text before */
    for (size_t k = 0; k < how->n_stops; k++) {
        const size_t back = strlen(how->stops[k]) - 1;
        from = old < back ? 0 : from > old - back ? old - back : from;
    }
    const size_t at = ae_text_find_stop(j->stream.text, j->stream.n, from, how->stops, how->n_stops);
    if (at == SIZE_MAX) return AE_OK;
    j->stream.text[at] = '\0';
    j->stream.n = at;
    j->cut = j->answer.stopped = true;
    return AE_OK;
}

/* Hands out what can no longer become part of a stop string. */
static ae_status show(const engine *e, job *j) {
    if (!e->io->piece) return AE_OK;
    const ae_text_stream *s = &j->stream;
    const size_t doubtful =
        j->finished ? 0 : ae_text_maybe_stop(s->text, s->n, e->how->stops, e->how->n_stops);
    const size_t n = s->n - doubtful;
    if (n <= j->shown) return AE_OK;
    const ae_status st = e->io->piece(e->io->context, s->text + j->shown, n - j->shown);
    j->shown = n;
    return st;
}

static bool ends(const ae_generation *how, int32_t id) {
    for (size_t i = 0; i < how->n_end_ids; i++)
        if (how->end_ids[i] == id) return true;
    return false;
}

static ae_status accept_text(const engine *e, job *j, int32_t id, bool is_last) {
    ae_status st = j->answer.stopped ? AE_OK : grow_text(e, j, id);
    j->finished = is_last || j->answer.stopped;
    if (st == AE_OK && j->finished && !j->cut) st = grow_text(e, j, -1);
    if (st == AE_OK) st = show(e, j);
    j->answer.text = j->stream.text;
    j->answer.text_bytes = j->stream.n;
    return st;
}

/* Draws the next token of a job from its logits. */
static ae_status draw(engine *e, job *j, const float *logits, int32_t *id) {
    double logprob = 0;
    *id = ae_sample(logits, e->model->config.V, &e->sampling, &j->rng, &logprob, e->room);
    if (isnan(logits[*id]))
        return AE_FAIL(
            AE_ERR_INPUT,
            "answers: the numbers inside the model overflow: its logits are NaN; are these its weights?");
    ae_ids_append(&j->answer.tokens, *id);
    ae_status st = e->how->want_logprobs ? keep_logprob(j, logprob) : AE_OK;
    j->answer.stopped = ends(e->how, *id);
    const bool is_last = j->answer.tokens.n >= e->how->max_new;
    j->finished = is_last || j->answer.stopped;
    if (st == AE_OK && e->tokenizer) st = accept_text(e, j, *id, is_last);
    return st;
}

static ae_status deliver(engine *e) {
    ae_status st = AE_OK;
    while (st == AE_OK && e->delivered < e->taken) {
        job **j = &e->jobs[e->delivered % e->ahead];
        if (!(*j)->finished) break;
        st = e->io->done(e->io->context, &(*j)->answer);
        job_delete(*j);
        *j = NULL;
        e->delivered++;
    }
    return st;
}

/* Reads the prompt into the free place behind the active ones, and draws its first token. */
static ae_status start(engine *e, const ae_ids *prompt) {
    job *j;
    ae_status st = job_new(&j, e, prompt);
    if (st != AE_OK) return st;
    e->jobs[e->taken++ % e->ahead] = j;
    const ptrdiff_t b = e->n_active;
    ae_decode_state_reset(&e->state, b);
    ae_decoder_prefill(e->decoder, &e->state, b, prompt->ids, prompt->n, e->logits, NULL);
    st = e->model->be->failure();
    if (st != AE_OK) return st;
    st = draw(e, j, e->logits, &e->tokens[b]);
    if (st == AE_OK && !j->finished) e->active[e->n_active++] = j;
    return st;
}

/* The next prompt. A bad one is the last: its status waits until those before it are answered. */
static ae_status next_prompt(engine *e, ae_ids *prompt) {
    prompt->n = 0;
    const ae_status st = e->io->next(e->io->context, prompt, &e->more);
    if (st != AE_ERR_INPUT) return st;
    e->ended = st;
    e->reason = strdup(ae_error_message());
    e->more = false;
    return AE_OK;
}

static ae_status refill(engine *e) {
    ae_ids prompt = {0};
    ae_status st = AE_OK;
    while (st == AE_OK && e->more && e->n_active < e->how->batch && e->taken - e->delivered < e->ahead) {
        st = e->io->check(e->io->context);
        if (st == AE_OK) st = next_prompt(e, &prompt);
        if (st == AE_OK && e->more) st = start(e, &prompt);
        if (st == AE_OK) st = deliver(e);
    }
    ae_ids_free(&prompt);
    return st;
}

/* The last active sequence moves to the place of one that ended. */
static void leave(engine *e, ptrdiff_t b) {
    const ptrdiff_t last = --e->n_active;
    if (b == last) return;
    ae_decode_state_copy(&e->state, b, &e->state, last);
    e->active[b] = e->active[last];
    e->tokens[b] = e->tokens[last];
}

static ae_status step(engine *e) {
    ae_status st = e->io->check(e->io->context);
    if (st != AE_OK) return st;
    ae_decoder_step(e->decoder, &e->state, e->tokens, e->n_active, e->logits);
    st = e->model->be->failure();
    for (ptrdiff_t b = 0; st == AE_OK && b < e->n_active; b++)
        st = draw(e, e->active[b], e->logits + b * e->model->config.V, &e->tokens[b]);
    for (ptrdiff_t b = e->n_active - 1; b >= 0; b--)
        if (e->active[b]->finished) leave(e, b);
    return st == AE_OK ? deliver(e) : st;
}

static ptrdiff_t prefill_chunk(ptrdiff_t prompt_tokens) {
    return prompt_tokens > 0 ? ae_min(prompt_tokens, AE_PREFILL_CHUNK) : AE_PREFILL_CHUNK;
}

size_t ae_generate_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t batch,
                         ptrdiff_t prompt_tokens) {
    return ae_decode_state_bytes(be, c, batch) +
           ae_decoder_bytes(be, c, batch, prefill_chunk(prompt_tokens)) +
           (size_t)(batch + 1) * (size_t)c->V * sizeof(float);
}

static ae_status check_room(const ae_model *m, const ae_generation *how) {
    const ptrdiff_t batch = how->batch;
    const size_t needed = ae_generate_bytes(m->be, &m->config, batch, how->prompt_tokens);
    const size_t there = ae_memory_available_bytes();
    if (needed <= there) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE,
                   "a batch of %td sequences needs %.1f GB of memory, %.1f GB are available%s", batch,
                   (double)needed / 1e9, (double)there / 1e9, batch > 1 ? "; lower --batch" : "");
}

static ae_status engine_init(engine *e) {
    const size_t batch = (size_t)e->how->batch, V = (size_t)e->model->config.V;
    e->ahead = AHEAD * e->how->batch;
    e->more = true;
    ae_status st = check_room(e->model, e->how);
    if (st != AE_OK) return st;
    e->logits = malloc(batch * V * sizeof *e->logits);
    e->room = malloc(V * sizeof *e->room);
    e->tokens = calloc(batch, sizeof *e->tokens);
    e->active = calloc(batch, sizeof(job *));
    e->jobs = calloc((size_t)e->ahead, sizeof(job *));
    if (!e->logits || !e->room || !e->tokens || !e->active || !e->jobs)
        return AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
    st = ae_decode_state_init(&e->state, e->model, e->how->batch);
    if (st != AE_OK) return st;
    return ae_decoder_new(&e->decoder, e->model, e->how->batch, prefill_chunk(e->how->prompt_tokens));
}

static void engine_free(engine *e) {
    for (int64_t i = 0; e->jobs && i < e->ahead; i++) job_delete(e->jobs[i]);
    ae_decode_state_free(&e->state);
    ae_decoder_delete(e->decoder);
    free(e->logits);
    free(e->room);
    free(e->tokens);
    free(e->active);
    free(e->jobs);
    free(e->reason);
}

ae_status ae_generate(const ae_model *m, const ae_tokenizer *t, const ae_generation *how,
                      const ae_generate_io *io) {
    engine e = {.model = m, .tokenizer = t, .how = how, .io = io, .sampling = how->sampling};
    if (t) e.sampling.ids = ae_tokenizer_size(t);
    ae_status st = engine_init(&e);
    while (st == AE_OK) {
        st = refill(&e);
        if (st != AE_OK || e.n_active == 0) break;
        st = step(&e);
    }
    if (st == AE_OK && e.ended != AE_OK) {
        st = e.ended;
        if (e.reason) ae_fail_at(__FILE__, __LINE__, "%s", e.reason);
    }
    engine_free(&e);
    return st;
}
