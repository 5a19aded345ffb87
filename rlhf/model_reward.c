#include "rlhf/model_reward.h"

#include "core/log.h"
#include "data/best_fit.h"
#include "model/pass.h"
#include "train/run_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ALIGNED: attention takes up to so many queries together, and their keys from the first one's on (ops/attention.h). */
enum { LEAST_PLACES = 2048, ALIGNED = 64 };

typedef struct {
    char *where, *path, *adapter;
    const ae_rewards_facts *facts;
    ae_special_ids special; /* of the policy's tokenizer; -1 without one */
    ae_run_model source;
    ae_model_options form, options; /* as asked for; with what the source adds */
    ptrdiff_t places;               /* P */
    ae_model model;
    ae_pass *pass; /* over P places; NULL: not started */
} model_reward;

static void model_close(void *self) {
    model_reward *r = self;
    if (!r) return;
    ae_pass_delete(r->pass);
    ae_model_free(&r->model);
    ae_run_model_free(&r->source);
    free(r->where);
    free(r->path);
    free(r->adapter);
    free(r);
}

const char *ae_model_reward_path(const void *self) {
    const model_reward *r = self;
    return r->path;
}

/* ---- opening ---- */

static ptrdiff_t rounded_up(ptrdiff_t n) {
    return (n + ALIGNED - 1) / ALIGNED * ALIGNED;
}

static ae_status check_head(const model_reward *r) {
    if (r->source.score_head) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: %s: expected a reward model, found none: the head score.weight is missing", r->where,
                   r->adapter ? r->adapter : r->path);
}

/* Ids have to mean the same to both. */
static ae_status check_tokenizer(const model_reward *r) {
    const char *path = ae_run_model_tokenizer(&r->source);
    const ptrdiff_t V = r->source.base.config.V;
    if (path && r->facts->tokenizer) {
        bool same = true;
        const ae_status st = ae_run_model_same_tokenizer(&r->source, r->facts->tokenizer, &same);
        if (st != AE_OK || same) return st;
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected the tokenizer of the policy, found another one",
                       r->where, path);
    }
    if (r->facts->vocab_size == 0 || V == r->facts->vocab_size) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected the vocabulary of the policy, %lld, found %td", r->where,
                   r->path, (long long)r->facts->vocab_size, V);
}

static ae_status read_keys(model_reward *r, const json_t *o, int *dtype) {
    static const char *const dtypes[] = {"f32", "bf16", "int8", "int4", "auto"}; /* of ae_weight_type */
    ae_status st = AE_OK;
    AE_TRY(ae_reward_key_text(o, "path", r->where, &r->path));
    AE_TRY(ae_reward_key_text(o, "adapter", r->where, &r->adapter));
    AE_TRY(ae_reward_key_choice(o, "dtype", r->where, dtypes, 5, dtype));
    if (!r->path || !*r->path)
        st = AE_FAIL(AE_ERR_USAGE, "%s.path: expected a reward model, found %s", r->where,
                     r->path ? "no text" : "no such key");
out:
    return st;
}

static ae_status model_open(void **self, const json_t *o, const char *where, const ae_rewards_facts *facts) {
    enum { AUTO = 4 };
    int dtype = AUTO;
    model_reward *r = *self = calloc(1, sizeof *r);
    ae_status st = AE_OK;
    if (!r || !(r->where = strdup(where))) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    if (!facts->be) return AE_FAIL(AE_ERR_DEFECT, "%s: a reward model without a backend", where);
    r->facts = facts;
    r->special = (ae_special_ids){.eos = -1, .end_of_turn = -1};
    if (facts->tokenizer) r->special = ae_tokenizer_special(facts->tokenizer);
    AE_TRY(read_keys(r, o, &dtype));
    AE_TRY(ae_run_model_open(&r->source, r->path, r->adapter));
    AE_TRY(ae_run_model_verify(&r->source));
    AE_TRY(check_head(r));
    AE_TRY(check_tokenizer(r));
    const bool stored = dtype == AUTO || dtype == (int)r->source.base.weights;
    r->form = (ae_model_options){.weights = dtype == AUTO ? r->source.base.weights : (ae_weight_type)dtype,
                                 .group = stored ? r->source.base.group : 0};
    r->options = ae_run_model_options(&r->source, &r->form);
    r->places = rounded_up(facts->longest + 1 > LEAST_PLACES ? facts->longest + 1 : LEAST_PLACES);
out:
    return st;
}

/* ---- memory ---- */

static size_t pass_bytes(const model_reward *r, ptrdiff_t places) {
    const ae_pass_dims n = {.B = 1, .T = places, .adapter_rank = r->options.params.adapters.rank};
    return ae_pass_bytes(r->facts->be, &r->source.base.config, n, false) +
           (size_t)places * (2 * sizeof(int32_t) + sizeof(float));
}

static size_t model_bytes(const void *self) {
    const model_reward *r = self;
    ae_params params;
    if (ae_params_init_with(&params, &r->source.base.config, &r->options.params) != AE_OK)
        return SIZE_MAX / 4;
    const size_t bytes = ae_model_value_bytes(&params, r->facts->be, &r->options) +
                         ae_model_packed_bytes(&params, r->facts->be, &r->options);
    ae_params_free(&params);
    return bytes + pass_bytes(r, r->places);
}

static ae_status check_room(const model_reward *r, size_t needed, const char *what) {
    const size_t there = ae_memory_available_bytes();
    char need[32], have[32];
    if (needed <= there) return AE_OK;
    ae_format_bytes(need, sizeof need, needed);
    ae_format_bytes(have, sizeof have, there);
    return AE_FAIL(AE_ERR_RESOURCE, "%s: %s: %s needs %s of memory, %s are available", r->where, r->path,
                   what, need, have);
}

/* rl.beta is in units of the deviation. */
static void tell(const model_reward *r) {
    const ae_model_config *c = &r->model.config;
    char count[32];
    ae_format_count(count, sizeof count, (double)r->model.params.total);
    if (c->reward_std > 0)
        ae_log("%s: %s: %s parameters, rewards of deviation %.3g around %.3g, which is taken off", r->where,
               r->path, count, c->reward_std, c->reward_shift);
    else
        ae_log("%s: %s: %s parameters, rewards as the head gives them", r->where, r->path, count);
}

static ae_status model_start(void *self) {
    model_reward *r = self;
    ae_status st = AE_OK;
    AE_TRY(check_room(r, model_bytes(r), "a reward model"));
    AE_TRY(ae_run_model_load(&r->model, r->facts->be, &r->source, &r->form));
    AE_TRY(ae_pass_new(&r->pass, &r->model, (ae_pass_dims){.B = 1, .T = r->places}, false));
    tell(r);
out:
    return st;
}

/* ---- passes ---- */

/* Tokens of an answer as they are scored. */
static ptrdiff_t scored_tokens(const model_reward *r, const ae_rewarded_answer *a, bool *replaced,
                               bool *appended) {
    const ptrdiff_t n = a->n_prompt + a->n;
    const int32_t last = a->n > 0 ? a->tokens[n - 1] : -1;
    *replaced = r->special.end_of_turn >= 0 && !a->truncated && a->n > 0 && last == r->special.eos;
    *appended = r->special.end_of_turn >= 0 && !*replaced && (a->n == 0 || last != r->special.end_of_turn);
    return n + *appended;
}

/* A row of answers that share a pass. */
typedef struct {
    const model_reward *r;
    int32_t *tokens, *positions; /* [places] */
    float *values;
    ptrdiff_t used;
} row;

static ae_status row_init(row *w, const model_reward *r, ptrdiff_t places) {
    *w = (row){.r = r};
    w->tokens = malloc((size_t)places * sizeof *w->tokens);
    w->positions = malloc((size_t)places * sizeof *w->positions);
    w->values = malloc((size_t)places * sizeof *w->values);
    if (w->tokens && w->positions && w->values) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", r->where);
}

static void row_free(row *w) {
    free(w->tokens);
    free(w->positions);
    free(w->values);
}

/* A document of padding up to place `end`. */
static void row_pad(row *w, ptrdiff_t end) {
    for (ptrdiff_t t = w->used; t < end; t++) {
        w->tokens[t] = 0;
        w->positions[t] = (int32_t)(t - w->used);
    }
    w->used = end;
}

/* Appends an answer, up to the next place where one may begin; its reward will be the value at *place. */
static void row_add(row *w, const ae_rewarded_answer *a, ptrdiff_t *place) {
    bool replaced, appended;
    const ptrdiff_t n = scored_tokens(w->r, a, &replaced, &appended), given = a->n_prompt + a->n;
    int32_t *tokens = w->tokens + w->used, *positions = w->positions + w->used;
    memcpy(tokens, a->tokens, (size_t)given * sizeof *tokens);
    if (replaced || appended) tokens[n - 1] = w->r->special.end_of_turn;
    for (ptrdiff_t t = 0; t < n; t++) positions[t] = (int32_t)t;
    w->used += n;
    *place = w->used - 1;
    row_pad(w, rounded_up(w->used));
}

/* The values at the places that are used. */
static ae_status row_run(row *w, ae_pass *pass) {
    const ae_model *m = &w->r->model;
    const ae_micro_batch b = {.tokens = w->tokens, .positions = w->positions, .B = 1, .T = w->used};
    ae_pass_forward(pass, m, &b);
    ae_pass_values(pass, ae_params_find(&m->params, "score.weight")->value, w->values);
    return m->be->sync(m->be);
}

static ae_status take_reward(const row *w, ptrdiff_t place, double *reward) {
    *reward = (double)w->values[place] - w->r->model.config.reward_shift;
    if (isfinite(*reward)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: %s: expected a reward, found none: the numbers inside the model overflow",
                   w->r->where, w->r->path);
}

/* A pass over the places of one answer; it is made for it where that of all is too short. */
static ae_status give_alone(const model_reward *r, const ae_rewarded_answer *a, double *reward) {
    const ptrdiff_t places = rounded_up(a->n_prompt + a->n + 1);
    ae_pass *pass = NULL;
    row w = {0};
    ptrdiff_t place = 0;
    ae_status st;
    AE_TRY(row_init(&w, r, places));
    if (places > r->places) {
        AE_TRY(check_room(r, pass_bytes(r, places), "an answer that is longer than the run expects"));
        AE_TRY(ae_pass_new(&pass, &r->model, (ae_pass_dims){.B = 1, .T = places}, false));
    }
    row_add(&w, a, &place);
    AE_TRY(row_run(&w, pass ? pass : r->pass));
    AE_TRY(take_reward(&w, place, reward));
out:
    ae_pass_delete(pass);
    row_free(&w);
    return st;
}

/* ---- which answers share a row ---- */

typedef struct {
    ptrdiff_t answer, places, row; /* row -1: a pass of its own */
    ptrdiff_t place;               /* of its last token */
} packed;

static int longest_first(const void *x, const void *y) {
    const packed *a = x, *b = y;
    if (a->places != b->places) return a->places > b->places ? -1 : 1;
    return (a->answer > b->answer) - (a->answer < b->answer);
}

static int by_row(const void *x, const void *y) {
    const packed *a = x, *b = y;
    if (a->row != b->row) return a->row < b->row ? -1 : 1;
    return longest_first(x, y);
}

/* The library's AVX2 kernels give a row other bits at another place of a product in float32. */
static bool shares_passes(const ae_backend *be) {
    return strncmp(be->kernels, "avx2", 4) != 0;
}

static ae_status pack(const model_reward *r, const ae_reward_input *in, ptrdiff_t n, packed *p) {
    ptrdiff_t *room = calloc((size_t)n + 1, sizeof *room), rows = 0;
    bool replaced, appended;
    if (!room) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", r->where);
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t tokens = scored_tokens(r, in[i].given, &replaced, &appended);
        p[i] = (packed){.answer = i, .places = rounded_up(tokens), .row = -1};
    }
    qsort(p, (size_t)n, sizeof *p, longest_first);
    for (ptrdiff_t i = 0; i < n && shares_passes(r->facts->be); i++)
        if (p[i].places <= r->places) p[i].row = ae_best_fit(room, &rows, p[i].places, r->places);
    qsort(p, (size_t)n, sizeof *p, by_row);
    free(room);
    return AE_OK;
}

/* Answers p[0, n) of one row. */
static ae_status give_row(const model_reward *r, row *w, packed *p, ptrdiff_t n, const ae_reward_input *in,
                          double *rewards) {
    ae_status st = AE_OK;
    w->used = 0;
    for (ptrdiff_t i = 0; i < n; i++) row_add(w, in[p[i].answer].given, &p[i].place);
    AE_TRY(row_run(w, r->pass));
    for (ptrdiff_t i = 0; i < n; i++) AE_TRY(take_reward(w, p[i].place, &rewards[p[i].answer]));
out:
    return st;
}

static ae_status model_give(void *self, const ae_reward_input *in, ptrdiff_t n, double *rewards) {
    const model_reward *r = self;
    packed *p = malloc(((size_t)n + 1) * sizeof *p);
    row w = {0};
    ae_status st = AE_OK;
    if (!p) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", r->where));
    AE_TRY(pack(r, in, n, p));
    AE_TRY(row_init(&w, r, r->places));
    for (ptrdiff_t i = 0, k; i < n; i += k) {
        if (r->facts->check) AE_TRY(r->facts->check());
        for (k = 1; p[i].row >= 0 && i + k < n && p[i + k].row == p[i].row;) k++;
        if (p[i].row >= 0)
            AE_TRY(give_row(r, &w, p + i, k, in, rewards));
        else
            AE_TRY(give_alone(r, in[p[i].answer].given, &rewards[p[i].answer]));
    }
out:
    row_free(&w);
    free(p);
    return st;
}

static const char *const model_keys[] = {"path", "adapter", "dtype", NULL};

const ae_reward_kind ae_reward_model = {.name = "model",
                                        .keys = model_keys,
                                        .open = model_open,
                                        .start = model_start,
                                        .bytes = model_bytes,
                                        .give = model_give,
                                        .close = model_close};
