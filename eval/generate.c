#include "eval/generate.h"

#include <stdlib.h>
#include <string.h>

enum { AHEAD = 64 }; /* answers that may wait for an earlier one, times the batch */

typedef struct {
    const ae_generation *how;
    const ae_generate_io *io;
    ae_generator *generator;
    /* [ahead]: answer i at i mod ahead, from `delivered` up to `taken`; `end` says whether it is there */
    ae_answer *kept;
    int64_t ahead, delivered, taken;
    bool more;
    ae_status ended; /* what the input that failed said; the answers before it come first */
    char *reason;
} desk;

/* ---- answers ---- */

static void answer_free(ae_answer *a) {
    ae_ids_free(&a->tokens);
    free(a->logprobs);
    free((void *)(uintptr_t)a->text);
    *a = (ae_answer){0};
}

static void *copy_of(const void *from, size_t bytes, bool *ok) {
    void *copy = from ? malloc(bytes) : NULL;
    if (copy) memcpy(copy, from, bytes);
    *ok = *ok && (copy || !from);
    return copy;
}

/* An answer waits for those before it. */
static ae_status keep(desk *d, const ae_answer *a) {
    ae_answer *to = &d->kept[(int64_t)a->id % d->ahead];
    const size_t n = (size_t)a->tokens.n;
    bool ok = true;
    *to = *a;
    to->tokens.ids = copy_of(a->tokens.ids, n * sizeof *a->tokens.ids, &ok);
    to->logprobs = copy_of(a->logprobs, n * sizeof *a->logprobs, &ok);
    to->text = copy_of(a->text, a->text_bytes + 1, &ok);
    return ok ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
}

static ae_status deliver(desk *d) {
    ae_status st = AE_OK;
    while (st == AE_OK && d->delivered < d->taken) {
        ae_answer *a = &d->kept[d->delivered % d->ahead];
        if (a->end == AE_ANSWER_GROWS) break;
        st = d->io->done(d->io->context, a);
        answer_free(a);
        d->delivered++;
    }
    return st;
}

static ae_status show(const desk *d, const ae_answer *a) {
    if (!d->io->piece || a->text_bytes <= a->told_bytes) return AE_OK;
    return d->io->piece(d->io->context, a->text + a->told_bytes, a->text_bytes - a->told_bytes);
}

static ae_status collect(desk *d) {
    const ae_answer *a;
    ae_status st = AE_OK;
    while (st == AE_OK && (a = ae_generator_poll(d->generator, d->io->piece != NULL))) {
        if (a->end == AE_ANSWER_OVERFLOWED)
            return AE_FAIL(AE_ERR_INPUT,
                           "answers: the numbers inside the model overflow: its logits are NaN; "
                           "are these its weights?");
        st = show(d, a);
        if (st == AE_OK && a->end != AE_ANSWER_GROWS) st = keep(d, a);
    }
    return st == AE_OK ? deliver(d) : st;
}

/* ---- prompts ---- */

/* The next prompt. A bad one is the last: its status waits until those before it are answered. */
static ae_status next_prompt(desk *d, ae_ids *prompt) {
    prompt->n = 0;
    const ae_status st = d->io->next(d->io->context, prompt, &d->more);
    if (st != AE_ERR_INPUT) return st;
    d->ended = st;
    d->reason = strdup(ae_error_message());
    d->more = false;
    return AE_OK;
}

static ae_status submit(desk *d, const ae_ids *prompt) {
    ae_submission s = {.id = (uint64_t)d->taken, .prompt = prompt->ids, .n_prompt = prompt->n};
    s.settings = d->how->each;
    s.settings.stream += (uint64_t)d->taken;
    d->kept[d->taken++ % d->ahead] = (ae_answer){0};
    return ae_generator_submit(d->generator, &s);
}

static ae_status refill(desk *d) {
    ae_ids prompt = {0};
    ae_status st = AE_OK;
    while (st == AE_OK && d->more && ae_generator_unfinished(d->generator) < d->how->batch &&
           d->taken - d->delivered < d->ahead) {
        st = d->io->check(d->io->context);
        if (st == AE_OK) st = next_prompt(d, &prompt);
        if (st == AE_OK && d->more) st = submit(d, &prompt);
    }
    ae_ids_free(&prompt);
    return st;
}

/* ---- all of it ---- */

/* Of a prompt and its answer, where that is known. */
static ptrdiff_t tokens_of(ptrdiff_t prompt_tokens, int64_t max_new) {
    return prompt_tokens > 0 ? prompt_tokens + (ptrdiff_t)max_new : 0;
}

static ae_generator_options options_of(const ae_generation *how, const ae_generate_io *io) {
    return (ae_generator_options){.capacity = how->batch,
                                  .prompt_tokens = how->prompt_tokens,
                                  .tokens = tokens_of(how->prompt_tokens, how->each.max_new),
                                  .check = io->check,
                                  .context = io->context};
}

size_t ae_generate_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t adapter_rank,
                         ptrdiff_t batch, ptrdiff_t prompt_tokens, int64_t max_new) {
    return ae_generator_bytes(be, c, adapter_rank,
                              &(ae_generator_options){.capacity = batch,
                                                      .prompt_tokens = prompt_tokens,
                                                      .tokens = tokens_of(prompt_tokens, max_new)});
}

static ae_status desk_init(desk *d, const ae_model *m, const ae_tokenizer *t) {
    const ae_generator_options options = options_of(d->how, d->io);
    d->ahead = AHEAD * d->how->batch;
    d->more = true;
    d->kept = calloc((size_t)d->ahead, sizeof *d->kept);
    if (!d->kept) return AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
    return ae_generator_new(&d->generator, m, t, &options);
}

static void desk_free(desk *d) {
    for (int64_t i = 0; d->kept && i < d->ahead; i++) answer_free(&d->kept[i]);
    ae_generator_delete(d->generator);
    free(d->kept);
    free(d->reason);
}

ae_status ae_generate(const ae_model *m, const ae_tokenizer *t, const ae_generation *how,
                      const ae_generate_io *io) {
    desk d = {.how = how, .io = io};
    ae_status st = desk_init(&d, m, t);
    while (st == AE_OK) {
        st = refill(&d);
        if (st != AE_OK || ae_generator_unfinished(d.generator) == 0) break;
        st = ae_generator_step(d.generator);
        if (st == AE_OK) st = collect(&d);
    }
    if (st == AE_OK && d.ended != AE_OK) {
        st = d.ended;
        if (d.reason) ae_fail_at(__FILE__, __LINE__, "%s", d.reason);
    }
    desk_free(&d);
    return st;
}
