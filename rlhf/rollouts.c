#include "rlhf/rollouts.h"

#include "core/dims.h"
#include "eval/generator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One writer at work. */
typedef struct {
    const ae_rollouts *r;
    const ae_rollout_prompt *prompts;
    ptrdiff_t n;
    ae_rl_writer writer;
    ae_written *items; /* its first answer to the first prompt */
    ptrdiff_t each;    /* answers of all writers to a prompt */
    int32_t ends[AE_ENDS_MAX + 2];
    size_t n_ends;
    uint64_t seed;
} writing;

static ae_status check(void *context) {
    const ae_rollouts *r = context;
    if (!r->stop || !*r->stop) return AE_OK;
    return AE_FAIL(AE_ERR_INTERRUPTED, "answers: interrupted");
}

/* Streams of a prompt's answers lie 2^32 apart from those of the next. */
static ae_answer_settings settings_of(const writing *w, ptrdiff_t place) {
    const ae_rollouts *r = w->r;
    return (ae_answer_settings){.sampling = {.temperature = r->temperature, .top_p = 1},
                                .seed = w->seed,
                                .stream = (uint64_t)place << 32,
                                .max_new = r->max_new,
                                .end_ids = w->ends,
                                .n_end_ids = w->n_ends,
                                .want_logprobs = r->want_drawn && w->writer == AE_RL_POLICY,
                                .tempered_logprobs = true};
}

static ae_status submit(const writing *w, ae_generator *g) {
    ae_status st = AE_OK;
    for (ptrdiff_t i = 0; st == AE_OK && i < w->n; i++)
        st = ae_generator_submit(g, &(ae_submission){.id = (uint64_t)i,
                                                     .prompt = w->prompts[i].tokens,
                                                     .n_prompt = w->prompts[i].n,
                                                     .answers = w->r->counts[w->writer],
                                                     .settings = settings_of(w, w->prompts[i].place)});
    return st;
}

/* *copy: n bytes of `from`, and a NUL after them. */
static ae_status copy_bytes(void *copy, const void *from, size_t n) {
    char *to = malloc(n + 1);
    if (!to) return AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
    memcpy(to, from, n);
    to[n] = '\0';
    memcpy(copy, &to, sizeof to);
    return AE_OK;
}

static ae_status take_tokens(ae_written *to, const ae_rollout_prompt *p, const ae_answer *a) {
    const size_t each = sizeof *to->tokens;
    to->tokens = malloc((size_t)(p->n + a->tokens.n) * each);
    if (!to->tokens) return AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
    memcpy(to->tokens, p->tokens, (size_t)p->n * each);
    memcpy(to->tokens + p->n, a->tokens.ids, (size_t)a->tokens.n * each);
    return AE_OK;
}

/* A policy that learns, or an anchor that follows it, has gone too far; a model that stays was never good. */
static ae_status overflowed(ae_rl_writer writer) {
    if (writer == AE_RL_REFERENCE)
        return AE_FAIL(AE_ERR_INPUT,
                       "answers: expected numbers as the model's logits, found NaN; take another model");
    return AE_FAIL(AE_ERR_GUARD,
                   "answers: the policy's logits are NaN; go on from an earlier checkpoint with "
                   "a lower optim.lr");
}

static ae_status take(const writing *w, const ae_answer *a) {
    const ptrdiff_t i = (ptrdiff_t)a->id;
    ae_written *to = &w->items[i * w->each + (ptrdiff_t)a->index];
    ae_status st = AE_OK;
    if (a->end == AE_ANSWER_OVERFLOWED) return overflowed(w->writer);
    *to = (ae_written){.document = w->prompts[i].document, .n_prompt = w->prompts[i].n, .place = -1};
    to->seen = (ae_rl_answer){.prompt = i,
                              .writer = w->writer,
                              .n = a->tokens.n,
                              .truncated = a->end != AE_ANSWER_STOPPED,
                              .counts = true};
    AE_TRY(take_tokens(to, &w->prompts[i], a));
    if (a->logprobs) AE_TRY(copy_bytes(&to->drawn, a->logprobs, (size_t)a->tokens.n * sizeof(float)));
    if (!a->text) goto out;
    to->text_bytes = a->text_bytes;
    AE_TRY(copy_bytes(&to->text, a->text, a->text_bytes));
out:
    return st;
}

static ae_status write_all(const writing *w, ae_generator *g) {
    ae_status st = submit(w, g);
    while (st == AE_OK && ae_generator_unfinished(g) > 0) {
        const ae_answer *a;
        st = ae_generator_step(g);
        while (st == AE_OK && (a = ae_generator_poll(g, false)) != NULL) st = take(w, a);
    }
    return st;
}

/* A writer has a seed of its own, and so has each round. */
static uint64_t seed_of(const ae_rollouts *r, ae_rl_writer writer) {
    char name[96];
    snprintf(name, sizeof name, "%s.%lld.%d", r->name, (long long)r->round, (int)writer);
    return ae_rng_hash(r->seed, name);
}

static ae_status write_one(const ae_rollouts *r, ae_rl_writer writer, const ae_rollout_prompt *prompts,
                           ptrdiff_t n, ae_written *items, ptrdiff_t each) {
    writing w = {.r = r, .prompts = prompts, .n = n, .writer = writer, .items = items, .each = each};
    const ae_model *m = r->writers[writer];
    ae_generator *g = NULL;
    const ptrdiff_t all = n * (ptrdiff_t)r->counts[writer];
    const ae_generator_options o = {.capacity = ae_min(all, r->capacity),
                                    .prompt_tokens = r->longest,
                                    .tokens = r->longest + (ptrdiff_t)r->max_new,
                                    .check = check,
                                    .context = (void *)(uintptr_t)r};
    w.n_ends = ae_answer_end_ids(&m->config, r->tokenizer, w.ends);
    w.seed = seed_of(r, writer);
    ae_status st = ae_generator_new(&g, m, r->tokenizer, &o);
    if (st == AE_OK) st = write_all(&w, g);
    ae_generator_delete(g);
    return st;
}

ae_status ae_rollouts_write(const ae_rollouts *r, const ae_rollout_prompt *prompts, ptrdiff_t n,
                            ae_written_set *s) {
    ptrdiff_t each = 0, first = 0;
    for (int writer = 0; writer < AE_RL_WRITERS; writer++) each += (ptrdiff_t)r->counts[writer];
    ae_status st = ae_written_set_init(s, n * each, n);
    for (int writer = 0; st == AE_OK && writer < AE_RL_WRITERS; writer++) {
        if (r->counts[writer] > 0)
            st = write_one(r, (ae_rl_writer)writer, prompts, n, s->items + first, each);
        first += (ptrdiff_t)r->counts[writer];
    }
    if (st != AE_OK) ae_written_set_free(s);
    return st;
}

size_t ae_rollouts_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t adapter_rank,
                         ptrdiff_t capacity, ptrdiff_t longest, int64_t max_new) {
    const ae_generator_options o = {
        .capacity = capacity, .prompt_tokens = longest, .tokens = longest + (ptrdiff_t)max_new};
    return ae_generator_bytes(be, c, adapter_rank, &o) + ae_decode_state_bytes(be, c, 1, longest);
}
