#include "benchmark/recall.h"
#include "benchmark/run_parts.h"
#include "core/dims.h"
#include "eval/generator.h"
#include "eval/prefix.h"
#include "ops/linear.h"

#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "evaluation: out of memory");
}

/* ---- likelihoods ---- */

/* Requests that are not done, and which pairs they are. */
typedef struct {
    ae_evaluation *e;
    ae_likelihood_request *requests;
    ptrdiff_t *pairs;
    ptrdiff_t n;
} open_pairs;

static ae_status keep_pair(void *context, ptrdiff_t request, const ae_likelihood *l) {
    const open_pairs *o = context;
    return ae_run_keep_pair(o->e, o->pairs[request], l);
}

static ae_status check_pairs(void *context) {
    const open_pairs *o = context;
    const ae_evaluation_options *how = &o->e->options;
    return how->check ? how->check(how->context) : AE_OK;
}

static void collect(open_pairs *o) {
    const ae_evaluation *e = o->e;
    for (ptrdiff_t i = 0; i < e->n_pairs; i++) {
        const ae_encoded *at = &e->pairs[i].at;
        if (e->pairs[i].done) continue;
        o->pairs[o->n] = i;
        o->requests[o->n++] = (ae_likelihood_request){e->ids.ids + at->context, at->n_context,
                                                      e->ids.ids + at->continuation, at->n_continuation};
    }
}

ae_status ae_run_pairs(ae_evaluation *e) {
    const size_t n = (size_t)e->n_pairs + 1;
    open_pairs o = {.e = e, .requests = malloc(n * sizeof *o.requests), .pairs = malloc(n * sizeof *o.pairs)};
    ae_status st = o.requests && o.pairs ? AE_OK : out_of_memory();
    if (st == AE_OK) collect(&o);
    const ae_likelihood_options how = {.batch = e->options.batch,
                                       .alone = e->options.alone,
                                       .done = keep_pair,
                                       .check = check_pairs,
                                       .context = &o};
    if (st == AE_OK && o.n > 0) st = ae_likelihoods(e->options.model, o.requests, o.n, &how, &e->counts.cost);
    free(o.requests);
    free(o.pairs);
    return st;
}

/* ---- answers ---- */

/* Prompts that have no answer yet, in the order of their tokens. */
typedef struct {
    ae_evaluation *e;
    ae_prompt *prompts;
    ptrdiff_t *order; /* their numbers */
    ptrdiff_t n, next;
    ptrdiff_t longest; /* tokens of one with its answer */
    ae_decoder *decoder;
    ae_prefix_walk *walk;
    ae_decode_state state; /* behind the pages of one */
    ae_generator *generator;
    int32_t ends[AE_ENDS_MAX + 2];
    size_t n_ends;
} asking;

/* Before each page of a prompt and each token. */
static ae_status check(void *context) {
    const asking *a = context;
    const ae_evaluation_options *how = &a->e->options;
    if (a->generator) a->e->growing = ae_generator_growing(a->generator, &a->e->growing_tokens);
    ae_run_tell(a->e);
    return how->check ? how->check(how->context) : AE_OK;
}

static bool is_answered(const ae_evaluation *e, const ae_run_prompt *p) {
    for (ptrdiff_t k = 0; k < p->repeats; k++)
        if (!e->answers[p->answers + k]) return false;
    return true;
}

typedef struct {
    ae_prompt prompt;
    ptrdiff_t number;
} numbered;

static int by_tokens(const void *a, const void *b) {
    const numbered *x = a, *y = b;
    const int order = ae_prompt_compare(&x->prompt, &y->prompt);
    return order != 0 ? order : (x->number > y->number) - (x->number < y->number);
}

static ae_status sort_prompts(asking *a) {
    const ae_evaluation *e = a->e;
    const size_t room = (size_t)e->n_prompts + 1;
    numbered *sorted = malloc(room * sizeof *sorted);
    a->prompts = malloc(room * sizeof *a->prompts);
    a->order = malloc(room * sizeof *a->order);
    const bool fine = sorted && a->prompts && a->order;
    for (ptrdiff_t i = 0; fine && i < e->n_prompts; i++) {
        const ae_encoded *at = &e->prompts[i].at;
        if (is_answered(e, &e->prompts[i])) continue;
        sorted[a->n++] = (numbered){{e->ids.ids + at->context, at->n_context}, i};
    }
    if (fine) qsort(sorted, (size_t)a->n, sizeof *sorted, by_tokens);
    for (ptrdiff_t i = 0; fine && i < a->n; i++) {
        const ae_run_prompt *p = &e->prompts[sorted[i].number];
        a->prompts[i] = sorted[i].prompt;
        a->order[i] = sorted[i].number;
        a->longest = ae_max(a->longest, a->prompts[i].n + (ptrdiff_t)e->leaves[p->leaf].task->max_new);
    }
    free(sorted);
    return fine ? AE_OK : out_of_memory();
}

/* As a Hugging Face model ends: at the ids that its files name, <eos> among them, and in a dialogue at the end of a
 * turn. */
static void find_ends(asking *a) {
    const ae_evaluation_options *how = &a->e->options;
    const ae_model_config *c = &how->model->config;
    const ae_special_ids special = ae_tokenizer_special(how->encoding.tokenizer);
    for (ptrdiff_t i = 0; i < c->n_ends; i++) a->ends[a->n_ends++] = c->ends[i];
    if (special.eos >= 0) a->ends[a->n_ends++] = special.eos;
    if (how->encoding.chat && special.end_of_turn >= 0) a->ends[a->n_ends++] = special.end_of_turn;
}

static ae_status make_tools(asking *a) {
    const ae_model *m = a->e->options.model;
    const ptrdiff_t batch = a->e->options.batch > 0 ? a->e->options.batch : AE_LINEAR_FEW;
    const ae_generator_options how = {.capacity =
                                          ae_min(batch, ae_states_that_fit(m, a->longest, AE_LINEAR_EACH)),
                                      .prompt_tokens = AE_PAGE_TOKENS,
                                      .tokens = a->longest,
                                      .check = check,
                                      .context = a};
    const ae_prefix_options reading = {
        .states = a->e->options.alone ? 0 : ae_states_that_fit(m, a->longest, AE_PREFIX_STATES),
        .check = check,
        .context = a};
    ae_status st = ae_generator_new(&a->generator, m, a->e->options.encoding.tokenizer, &how);
    if (st == AE_OK) st = ae_decoder_new(&a->decoder, m, 1, AE_PAGE_TOKENS);
    if (st == AE_OK) st = ae_decode_state_init(&a->state, m, 1);
    if (st == AE_OK) st = ae_prefix_walk_new(&a->walk, m, a->decoder, a->prompts, a->n, &reading);
    return st;
}

static ae_answer_settings settings_of(const asking *a, const ae_run_prompt *p) {
    const ae_task *t = a->e->leaves[p->leaf].task;
    const uint64_t seed = a->e->options.documents.seed;
    return (ae_answer_settings){.sampling = {.temperature = t->temperature, .top_p = t->top_p},
                                .repetition_penalty = 1,
                                .seed = seed,
                                .stream = ae_rng_hash(seed, t->name) + (uint64_t)(p->document * t->repeats),
                                .max_new = t->max_new,
                                .stops = (const char *const *)t->stops,
                                .n_stops = t->n_stops,
                                .end_ids = a->ends,
                                .n_end_ids = a->n_ends};
}

static ae_status submit_next(asking *a) {
    const ae_prompt *prompt = &a->prompts[a->next];
    const ptrdiff_t number = a->order[a->next++], paged = ae_prompt_paged(prompt);
    const ae_run_prompt *p = &a->e->prompts[number];
    const ae_status st = ae_prefix_walk_next(a->walk, &a->state, 0);
    if (st != AE_OK) return st;
    a->e->worked += (int64_t)prompt->n;
    a->e->unread -= (int64_t)prompt->n;
    const ae_submission s = {.id = (uint64_t)number,
                             .prompt = prompt->ids + paged,
                             .n_prompt = prompt->n - paged,
                             .state = paged > 0 ? &a->state : NULL,
                             .answers = p->repeats,
                             .settings = settings_of(a, p)};
    return ae_generator_submit(a->generator, &s);
}

static ae_status keep_answer(asking *a, const ae_run_prompt *p, const ae_answer *x) {
    if (a->e->leaves[p->leaf].task->prompt_tokens == 0)
        return ae_run_keep_answer(a->e, p->answers + x->index, x->text, x->text_bytes);
    char *text = ae_recall_text(x->tokens.ids, x->tokens.n, x->text, x->text_bytes);
    if (!text) return out_of_memory();
    const ae_status st = ae_run_keep_answer(a->e, p->answers + x->index, text, strlen(text));
    free(text);
    return st;
}

static ae_status take_ended(asking *a) {
    ae_status st = AE_OK;
    a->e->growing = ae_generator_growing(a->generator, &a->e->growing_tokens);
    for (const ae_answer *x; st == AE_OK && (x = ae_generator_poll(a->generator, false));) {
        const ae_run_prompt *p = &a->e->prompts[x->id];
        ae_run_leaf *l = &a->e->leaves[p->leaf];
        a->e->counts.new_tokens += x->tokens.n;
        l->ended++;
        l->written += x->tokens.n;
        if (!a->e->answers[p->answers + x->index]) l->unanswered--;
        if (x->end == AE_ANSWER_OVERFLOWED)
            return AE_FAIL(AE_ERR_INPUT,
                           "answers: expected logits, found none: the numbers inside the model overflow; "
                           "are these its weights?");
        st = keep_answer(a, p, x);
    }
    return st;
}

/* As many answers wait or grow as there is room for, so that few states are held. */
static ae_status answer_all(asking *a) {
    const ptrdiff_t batch = a->e->options.batch > 0 ? a->e->options.batch : AE_LINEAR_FEW;
    ae_status st = AE_OK;
    while (st == AE_OK && (a->next < a->n || ae_generator_unfinished(a->generator) > 0)) {
        while (st == AE_OK && a->next < a->n && ae_generator_unfinished(a->generator) < batch)
            st = submit_next(a);
        if (st == AE_OK) st = ae_generator_step(a->generator);
        if (st == AE_OK) st = take_ended(a);
    }
    return st;
}

ae_status ae_run_prompts(ae_evaluation *e) {
    asking a = {.e = e};
    ae_status st = sort_prompts(&a);
    find_ends(&a);
    if (st == AE_OK && a.n > 0) st = make_tools(&a);
    if (st == AE_OK && a.n > 0) st = answer_all(&a);
    ae_prefix_walk_delete(a.walk);
    ae_decoder_delete(a.decoder);
    ae_decode_state_free(&a.state);
    ae_generator_delete(a.generator);
    free(a.prompts);
    free(a.order);
    return st;
}
