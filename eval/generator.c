#include "eval/generator.h"

#include "eval/draft.h"
#include "ops/linear.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What the answers to one submission share. */
typedef struct request {
    uint64_t id;
    ptrdiff_t users; /* its answers that have begun and are not deleted, and the queue */
    int64_t answers, begun;
    ae_ids prompt;
    ae_answer_settings settings; /* copies; stops is one block: the pointers, then the strings */
    /* Where there are several answers what they go on from: the state after the prompt and its logits. Before
     * the prompt is read the state that was submitted, if any. */
    ae_decode_state state;
    float *logits;
    struct request *next;
} request;

typedef struct {
    uint64_t *ids;
    size_t n, capacity;
} id_list;

struct ae_generator {
    const ae_model *model;
    const ae_tokenizer *tokenizer;
    ae_generator_options options;
    ae_decoder *decoder;
    ae_decode_state state;
    float *logits;      /* [capacity, V] */
    int32_t *tokens;    /* [capacity]: what goes in next */
    ae_draw *draws;     /* [capacity] */
    void *room;         /* of draws */
    ae_draft **growing; /* [capacity], the first n_growing of them: answer b has sequence b of the state */
    ptrdiff_t n_growing;
    request *waiting, *last_waiting;
    int64_t n_waiting;              /* answers of them that have not begun */
    ae_draft *ended, *last_ended;   /* not polled yet */
    ae_draft *polled;               /* the ended one that the last poll gave */
    ptrdiff_t cursor;               /* of polls, in growing */
    pthread_mutex_t cancelled_lock; /* guards `cancelled` */
    id_list cancelled;              /* since the last step or submission */
};

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
}

/* ---- requests ---- */

static void request_release(request *r) {
    if (!r || --r->users > 0) return;
    ae_ids_free(&r->prompt);
    ae_decode_state_free(&r->state);
    free((void *)(uintptr_t)r->settings.stops);
    free((void *)(uintptr_t)r->settings.end_ids);
    free(r->logits);
    free(r);
}

static ae_status copy_stops(ae_answer_settings *to, const ae_answer_settings *from) {
    size_t bytes = from->n_stops * sizeof(char *);
    to->stops = NULL;
    if (from->n_stops == 0) return AE_OK;
    for (size_t k = 0; k < from->n_stops; k++) bytes += strlen(from->stops[k]) + 1;
    const char **stops = malloc(bytes);
    if (!stops) return out_of_memory();
    char *text = (char *)(stops + from->n_stops);
    for (size_t k = 0; k < from->n_stops; k++) {
        stops[k] = text;
        text = stpcpy(text, from->stops[k]) + 1;
    }
    to->stops = stops;
    return AE_OK;
}

static ae_status copy_settings(ae_answer_settings *to, const ae_answer_settings *from,
                               const ae_tokenizer *t) {
    *to = *from;
    to->end_ids = NULL;
    if (t) to->sampling.ids = ae_tokenizer_size(t);
    const ae_status st = copy_stops(to, from);
    if (st != AE_OK || from->n_end_ids == 0) return st;
    int32_t *ids = malloc(from->n_end_ids * sizeof *ids);
    if (!ids) return out_of_memory();
    memcpy(ids, from->end_ids, from->n_end_ids * sizeof *ids);
    to->end_ids = ids;
    return AE_OK;
}

static ae_status request_new(request **out, const ae_generator *g, const ae_submission *s) {
    request *r = *out = calloc(1, sizeof *r);
    if (!r) return out_of_memory();
    r->users = 1;
    r->id = s->id;
    r->answers = s->answers > 0 ? s->answers : 1;
    ae_status st = ae_ids_extend(&r->prompt, s->prompt, s->n_prompt);
    if (st == AE_OK) st = copy_settings(&r->settings, &s->settings, g->tokenizer);
    if (st != AE_OK || !s->state) return st;
    st = ae_decode_state_init(&r->state, g->model, 1);
    return st == AE_OK ? ae_decode_state_copy(&r->state, 0, s->state, s->sequence) : st;
}

static void enqueue(ae_generator *g, request *r) {
    if (g->waiting)
        g->last_waiting->next = r;
    else
        g->waiting = r;
    g->last_waiting = r;
    g->n_waiting += r->answers;
}

/* Takes the request after `before` (NULL: the first) out of the queue. */
static void dequeue(ae_generator *g, request *before) {
    request *r = before ? before->next : g->waiting;
    if (before)
        before->next = r->next;
    else
        g->waiting = r->next;
    if (g->last_waiting == r) g->last_waiting = before;
    g->n_waiting -= r->answers - r->begun;
    ae_decode_state_free(&r->state);
    free(r->logits);
    r->logits = NULL;
    request_release(r);
}

/* ---- answers that begin and end ---- */

static ae_status draft_begin(ae_draft **out, ae_generator *g, request *r) {
    const ae_status st =
        ae_draft_new(out, &r->settings, g->tokenizer, g->model->config.V, &r->prompt, r->begun);
    if (st != AE_OK) return st;
    (*out)->answer.id = r->id;
    (*out)->request = r;
    r->users++;
    r->begun++;
    g->n_waiting--;
    return AE_OK;
}

static void draft_delete(ae_draft *d) {
    if (!d) return;
    request_release(d->request);
    ae_draft_delete(d);
}

static void hand_out(ae_generator *g, ae_draft *d) {
    if (g->ended)
        g->last_ended->next = d;
    else
        g->ended = d;
    g->last_ended = d;
}

/* Answer b has ended: the last one that grows takes its sequence. */
static void leave(ae_generator *g, ptrdiff_t b) {
    const ptrdiff_t last = --g->n_growing;
    g->cursor = 0;
    hand_out(g, g->growing[b]);
    if (b == last) return;
    (void)ae_decode_state_copy(&g->state, b, &g->state, last); /* within one state */
    g->growing[b] = g->growing[last];
    g->tokens[b] = g->tokens[last];
}

static void leave_ended(ae_generator *g) {
    for (ptrdiff_t b = g->n_growing - 1; b >= 0; b--)
        if (g->growing[b]->answer.end != AE_ANSWER_GROWS) leave(g, b);
}

/* ---- tokens ---- */

/* A token for each of the answers [first, n_growing) that grow, from their logits. */
static ae_status draw(ae_generator *g, ptrdiff_t first) {
    const ptrdiff_t V = g->model->config.V;
    ae_status st = AE_OK;
    for (ptrdiff_t b = first; b < g->n_growing; b++)
        g->draws[b] = ae_draft_draw(g->growing[b], g->logits + b * V);
    ae_sample_each(g->draws + first, g->n_growing - first, V, g->room, g->model->be->threads);
    for (ptrdiff_t b = first; st == AE_OK && b < g->n_growing; b++) {
        const ae_draw *x = &g->draws[b];
        g->tokens[b] = x->id;
        st = isnan(x->logits[x->id]) ? ae_draft_end(g->growing[b], AE_ANSWER_OVERFLOWED)
                                     : ae_draft_add(g->growing[b], x->id, x->logprob);
    }
    return st;
}

static ae_status check(const ae_generator *g) {
    return g->options.check ? g->options.check(g->options.context) : AE_OK;
}

static ae_status prefill(ae_generator *g, ae_decode_state *s, ptrdiff_t b, const request *r, float *logits) {
    const ae_status st = ae_decoder_prefill(g->decoder, s, b, r->prompt.ids, r->prompt.n, logits, NULL);
    return st == AE_OK ? g->model->be->sync(g->model->be) : st;
}

/* The prompt of a request for one answer goes straight into sequence b. */
static ae_status read_for_one(ae_generator *g, request *r, ptrdiff_t b) {
    ae_status st = AE_OK;
    if (r->state.model)
        st = ae_decode_state_copy(&g->state, b, &r->state, 0);
    else
        ae_decode_state_reset(&g->state, b);
    return st == AE_OK ? prefill(g, &g->state, b, r, g->logits + b * g->model->config.V) : st;
}

/* The prompt of a request for several answers is read once, into a state that they are forked from. */
static ae_status read_for_several(ae_generator *g, request *r) {
    ae_status st = r->state.model ? AE_OK : ae_decode_state_init(&r->state, g->model, 1);
    r->logits = malloc((size_t)g->model->config.V * sizeof *r->logits);
    if (st == AE_OK && !r->logits) st = out_of_memory();
    return st == AE_OK ? prefill(g, &r->state, 0, r, r->logits) : st;
}

static ae_status fork_answer(ae_generator *g, const request *r, ptrdiff_t b) {
    const ptrdiff_t V = g->model->config.V;
    memcpy(g->logits + b * V, r->logits, (size_t)V * sizeof *r->logits);
    return ae_decode_state_copy(&g->state, b, &r->state, 0);
}

static ae_status read_prompt(ae_generator *g, request *r, ptrdiff_t b) {
    if (r->begun > 0) return AE_OK;
    const ae_status st = check(g);
    if (st != AE_OK) return st;
    return r->answers > 1 ? read_for_several(g, r) : read_for_one(g, r, b);
}

/* The next answer that waits, with its first token. */
static ae_status begin(ae_generator *g) {
    request *r = g->waiting;
    const ptrdiff_t b = g->n_growing;
    ae_draft *d = NULL;
    ae_status st = read_prompt(g, r, b);
    if (st == AE_OK && r->answers > 1) st = fork_answer(g, r, b);
    if (st == AE_OK) st = draft_begin(&d, g, r);
    if (st != AE_OK) return st;
    g->growing[g->n_growing++] = d;
    if (r->begun == r->answers) dequeue(g, NULL);
    st = draw(g, b);
    if (d->answer.end != AE_ANSWER_GROWS) leave(g, b);
    return st;
}

/* How many of the first that wait are prompts of one length, short enough to be read together
 * (model/decode.h). */
static ptrdiff_t count_alike(const ae_generator *g) {
    const request *first = g->waiting;
    const ptrdiff_t room = g->options.capacity - g->n_growing;
    ptrdiff_t n = 0;
    for (const request *r = first; r && n < room; r = r->next, n++)
        if (r->answers > 1 || r->state.model || r->prompt.n != first->prompt.n ||
            r->prompt.n > AE_LINEAR_EACH / 2)
            break;
    return n;
}

static ae_status read_alike(ae_generator *g, ptrdiff_t n) {
    const ptrdiff_t each = g->waiting->prompt.n, b = g->n_growing;
    int32_t *tokens = malloc((size_t)(n * each) * sizeof *tokens);
    const request *r = g->waiting;
    if (!tokens) return out_of_memory();
    for (ptrdiff_t i = 0; i < n; i++, r = r->next) {
        ae_decode_state_reset(&g->state, b + i);
        memcpy(tokens + i * each, r->prompt.ids, (size_t)each * sizeof *tokens);
    }
    const ae_status st = ae_decoder_prefill_each(g->decoder, &g->state, b, n, tokens, each,
                                                 g->logits + b * g->model->config.V);
    free(tokens);
    return st == AE_OK ? g->model->be->sync(g->model->be) : st;
}

/* The next n answers, one to each of n prompts that are read together. */
static ae_status begin_alike(ae_generator *g, ptrdiff_t n) {
    const ptrdiff_t b = g->n_growing;
    ae_status st = check(g);
    if (st == AE_OK) st = read_alike(g, n);
    for (ptrdiff_t i = 0; st == AE_OK && i < n; i++) {
        ae_draft *d = NULL;
        st = draft_begin(&d, g, g->waiting);
        if (st != AE_OK) break;
        g->growing[g->n_growing++] = d;
        dequeue(g, NULL);
    }
    if (st == AE_OK) st = draw(g, b);
    leave_ended(g);
    return st;
}

static ae_status begin_some(ae_generator *g) {
    const ptrdiff_t alike = count_alike(g);
    return alike > 1 ? begin_alike(g, alike) : begin(g);
}

static ae_status advance(ae_generator *g) {
    if (g->n_growing == 0) return AE_OK;
    ae_status st = check(g);
    if (st != AE_OK) return st;
    st = ae_decoder_step(g->decoder, &g->state, g->tokens, g->n_growing, g->logits);
    if (st == AE_OK) st = g->model->be->sync(g->model->be);
    if (st == AE_OK) st = draw(g, 0);
    leave_ended(g);
    return st;
}

/* ---- cancelling ---- */

ae_status ae_generator_cancel(ae_generator *g, uint64_t id) {
    ae_status st = AE_OK;
    pthread_mutex_lock(&g->cancelled_lock);
    id_list *c = &g->cancelled;
    if (c->n == c->capacity) {
        const size_t capacity = 2 * c->capacity + 16;
        uint64_t *grown = realloc(c->ids, capacity * sizeof *grown);
        if (grown) {
            c->ids = grown;
            c->capacity = capacity;
        } else {
            st = out_of_memory();
        }
    }
    if (st == AE_OK) c->ids[c->n++] = id;
    pthread_mutex_unlock(&g->cancelled_lock);
    return st;
}

/* Answers of the first request after `before` that have not begun end with nothing. */
static ae_status cancel_waiting(ae_generator *g, request *before) {
    request *r = before ? before->next : g->waiting;
    ae_status st = AE_OK;
    while (st == AE_OK && r->begun < r->answers) {
        ae_draft *d = NULL;
        st = draft_begin(&d, g, r);
        if (st != AE_OK) break;
        st = ae_draft_end(d, AE_ANSWER_CANCELLED);
        hand_out(g, d);
    }
    if (st == AE_OK) dequeue(g, before);
    return st;
}

static ae_status cancel_now(ae_generator *g, uint64_t id) {
    ae_status st = AE_OK;
    for (ptrdiff_t b = 0; st == AE_OK && b < g->n_growing; b++)
        if (g->growing[b]->answer.id == id) st = ae_draft_end(g->growing[b], AE_ANSWER_CANCELLED);
    leave_ended(g);
    request *before = NULL;
    for (request *r = g->waiting; r && r->id != id; r = r->next) before = r;
    const bool waits = before ? before->next != NULL : g->waiting != NULL;
    return st == AE_OK && waits ? cancel_waiting(g, before) : st;
}

/* What other threads have asked for up to now. */
static ae_status cancel_all_asked(ae_generator *g) {
    ae_status st = AE_OK;
    pthread_mutex_lock(&g->cancelled_lock);
    id_list taken = g->cancelled;
    g->cancelled = (id_list){0};
    pthread_mutex_unlock(&g->cancelled_lock);
    for (size_t i = 0; st == AE_OK && i < taken.n; i++) st = cancel_now(g, taken.ids[i]);
    free(taken.ids);
    return st;
}

/* ---- the caller's side ---- */

ae_status ae_generator_submit(ae_generator *g, const ae_submission *s) {
    assert(s->n_prompt > 0 && (g->tokenizer || s->settings.n_stops == 0));
    request *r = NULL;
    ae_status st = cancel_all_asked(g); /* they mean earlier ones */
    if (st == AE_OK) st = request_new(&r, g, s);
    if (st == AE_OK)
        enqueue(g, r);
    else
        request_release(r);
    return st;
}

ae_status ae_generator_step(ae_generator *g) {
    g->cursor = 0;
    ae_status st = cancel_all_asked(g);
    while (st == AE_OK && g->waiting && g->n_growing < g->options.capacity) st = begin_some(g);
    return st == AE_OK ? advance(g) : st;
}

int64_t ae_generator_unfinished(const ae_generator *g) {
    return g->n_waiting + g->n_growing;
}

int64_t ae_generator_growing(const ae_generator *g, int64_t *tokens) {
    *tokens = 0;
    for (ptrdiff_t b = 0; b < g->n_growing; b++) *tokens += (int64_t)g->growing[b]->answer.tokens.n;
    return g->n_growing;
}

/* The next call finds what this one has told. */
static const ae_answer *tell(ae_draft *d) {
    ae_answer *a = &d->answer;
    a->told_tokens = d->given_tokens;
    a->told_bytes = d->given_bytes;
    d->given_tokens = a->tokens.n;
    d->given_bytes = a->text_bytes;
    return a;
}

const ae_answer *ae_generator_poll(ae_generator *g, bool growing) {
    draft_delete(g->polled);
    g->polled = g->ended;
    if (g->polled) {
        g->ended = g->polled->next;
        return tell(g->polled);
    }
    while (growing && g->cursor < g->n_growing) {
        ae_draft *d = g->growing[g->cursor++];
        if (d->answer.tokens.n > d->given_tokens) return tell(d);
    }
    return NULL;
}

/* ---- memory ---- */

static ptrdiff_t chunk_of(const ae_generator_options *o) {
    return o->prompt_tokens > 0 ? ae_min(o->prompt_tokens, AE_PREFILL_CHUNK) : AE_PREFILL_CHUNK;
}

size_t ae_generator_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t adapter_rank,
                          const ae_generator_options *o) {
    return ae_decode_state_bytes(be, c, o->capacity, o->tokens) +
           ae_decoder_bytes(be, c, adapter_rank, o->capacity, chunk_of(o)) +
           (size_t)(o->capacity * c->V) * sizeof(float) +
           ae_sample_each_room_bytes(c->V, o->capacity, be->threads);
}

static ae_status check_room(const ae_model *m, const ae_generator_options *o) {
    const size_t needed = ae_generator_bytes(m->be, &m->config, m->params.adapter_rank, o);
    const size_t there = ae_memory_available_bytes();
    if (needed <= there) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE,
                   "a batch of %td sequences needs %.1f GB of memory, %.1f GB are available%s", o->capacity,
                   (double)needed / 1e9, (double)there / 1e9,
                   o->capacity > 1 ? "; fewer at once need less" : "");
}

static ae_status init(ae_generator *g) {
    const size_t capacity = (size_t)g->options.capacity, V = (size_t)g->model->config.V;
    ae_status st = check_room(g->model, &g->options);
    if (st != AE_OK) return st;
    g->logits = malloc(capacity * V * sizeof *g->logits);
    g->room =
        malloc(ae_sample_each_room_bytes(g->model->config.V, g->options.capacity, g->model->be->threads));
    g->draws = calloc(capacity, sizeof *g->draws);
    g->tokens = calloc(capacity, sizeof *g->tokens);
    g->growing = calloc(capacity, sizeof(ae_draft *));
    if (!g->logits || !g->room || !g->draws || !g->tokens || !g->growing) return out_of_memory();
    st = ae_decode_state_init(&g->state, g->model, g->options.capacity);
    if (st != AE_OK) return st;
    return ae_decoder_new(&g->decoder, g->model, g->options.capacity, chunk_of(&g->options));
}

ae_status ae_generator_new(ae_generator **out, const ae_model *m, const ae_tokenizer *t,
                           const ae_generator_options *o) {
    assert(o->capacity >= 1);
    ae_generator *g = *out = calloc(1, sizeof *g);
    if (!g) return out_of_memory();
    g->model = m;
    g->tokenizer = t;
    g->options = *o;
    pthread_mutex_init(&g->cancelled_lock, NULL);
    const ae_status st = init(g);
    if (st != AE_OK) {
        ae_generator_delete(g);
        *out = NULL;
    }
    return st;
}

void ae_generator_delete(ae_generator *g) {
    if (!g) return;
    for (ptrdiff_t b = 0; b < g->n_growing; b++) draft_delete(g->growing[b]);
    draft_delete(g->polled);
    for (ae_draft *d = g->ended, *next; d; d = next) {
        next = d->next;
        draft_delete(d);
    }
    while (g->waiting) dequeue(g, NULL);
    ae_decode_state_free(&g->state);
    ae_decoder_delete(g->decoder);
    free(g->logits);
    free(g->room);
    free(g->draws);
    free(g->tokens);
    free(g->growing);
    free(g->cancelled.ids);
    pthread_mutex_destroy(&g->cancelled_lock);
    free(g);
}
