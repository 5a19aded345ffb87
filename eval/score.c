#include "eval/score.h"

#include "model/pass.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ae_scorer {
    const ae_model *model;
    ae_pass *pass;
    ptrdiff_t top, capacity; /* places the buffers hold */
    int32_t *targets, *top_ids;
    float *weights, *nll, *top_logprobs;
};

enum { FIRST_CAPACITY = 256 };

ae_status ae_scorer_new(ae_scorer **s, const ae_model *m, ptrdiff_t top) {
    *s = calloc(1, sizeof **s);
    if (!*s) return AE_FAIL(AE_ERR_RESOURCE, "scores: out of memory");
    (*s)->model = m;
    (*s)->top = top;
    return AE_OK;
}

static void drop_buffers(ae_scorer *s) {
    ae_pass_delete(s->pass);
    free(s->targets);
    free(s->top_ids);
    free(s->weights);
    free(s->nll);
    free(s->top_logprobs);
    *s = (ae_scorer){.model = s->model, .top = s->top};
}

void ae_scorer_delete(ae_scorer *s) {
    if (!s) return;
    drop_buffers(s);
    free(s);
}

static ae_status check_room(const ae_scorer *s, ptrdiff_t T) {
    const size_t host = (size_t)T * (3 + 2 * (size_t)s->top) * sizeof(float);
    const size_t needed =
        ae_pass_bytes(s->model->be, &s->model->config,
                      (ae_pass_dims){.B = 1, .T = T, .adapter_rank = s->model->params.adapter_rank}, false) +
        host;
    const size_t there = ae_memory_available_bytes();
    if (needed <= there) return AE_OK;
    return AE_FAIL(
        AE_ERR_RESOURCE,
        "a sequence of %td tokens needs %.1f GB of memory, %.1f GB are available; cut it into shorter ones",
        T + 1, (double)needed / 1e9, (double)there / 1e9);
}

/* Powers of two while that fits, so that a file of growing lines makes few passes; else just what is
 * needed. */
static ae_status grow(ae_scorer *s, ptrdiff_t T) {
    ptrdiff_t capacity = FIRST_CAPACITY;
    while (capacity < T) capacity *= 2;
    drop_buffers(s);
    if (check_room(s, capacity) != AE_OK) capacity = T;
    ae_status st = check_room(s, capacity);
    if (st != AE_OK) return st;
    const size_t n = (size_t)capacity, tops = n * (size_t)s->top + 1;
    s->targets = malloc(n * sizeof *s->targets);
    s->weights = malloc(n * sizeof *s->weights);
    s->nll = malloc(n * sizeof *s->nll);
    s->top_ids = malloc(tops * sizeof *s->top_ids);
    s->top_logprobs = malloc(tops * sizeof *s->top_logprobs);
    if (!s->targets || !s->weights || !s->nll || !s->top_ids || !s->top_logprobs)
        return AE_FAIL(AE_ERR_RESOURCE, "scores of %td tokens: out of memory", T);
    st = ae_pass_new(&s->pass, s->model, (ae_pass_dims){.B = 1, .T = capacity}, false);
    if (st == AE_OK) s->capacity = capacity;
    return st;
}

ae_status ae_scorer_run(ae_scorer *s, const int32_t *tokens, const int32_t *positions, ptrdiff_t T,
                        ae_scores *out) {
    const ptrdiff_t n = T - 1; /* the last token is a target only */
    *out = (ae_scores){0};
    if (n <= 0) return AE_OK;
    const ae_status st = n > s->capacity ? grow(s, n) : AE_OK;
    if (st != AE_OK) return st;
    for (ptrdiff_t t = 0; t < n; t++) {
        s->targets[t] = tokens[t + 1];
        s->weights[t] = 1; /* where a document starts too: `top` is about every place */
    }
    const ae_micro_batch batch = {tokens, s->targets, positions, s->weights, 1, n, NULL};
    double sum = 0;
    ae_model_score_pass(s->model, s->pass, &batch, &sum, s->nll, s->top, s->top ? s->top_ids : NULL,
                        s->top ? s->top_logprobs : NULL);
    const ae_status done = s->model->be->sync(s->model->be);
    if (done != AE_OK) return done;
    for (ptrdiff_t t = 0; t < n; t++) {
        if (!isfinite(s->nll[t]))
            return AE_FAIL(AE_ERR_INPUT,
                           "token %td: expected a log-probability, found none: the numbers inside the model "
                           "overflow; are these its "
                           "weights?",
                           t + 1);
        s->nll[t] = positions[t + 1] != 0 ? 0 - s->nll[t] : NAN;
    }
    *out = (ae_scores){n, s->nll, s->top_ids, s->top_logprobs};
    return AE_OK;
}

ae_status ae_scorer_reward(ae_scorer *s, const int32_t *tokens, ptrdiff_t T, double *reward) {
    const ae_status st = T > s->capacity ? grow(s, T) : AE_OK;
    if (st != AE_OK) return st;
    int32_t *positions = s->targets; /* which nothing reads here */
    for (ptrdiff_t t = 0; t < T; t++) positions[t] = (int32_t)t;
    const ae_micro_batch batch = {.tokens = tokens, .positions = positions, .B = 1, .T = T};
    const ae_backend *be = s->model->be;
    ae_pass_forward(s->pass, s->model, &batch);
    ae_pass_values(s->pass, ae_params_find(&s->model->params, "score.weight")->value, s->nll);
    const ae_status done = be->sync(be);
    if (done != AE_OK) return done;
    *reward = (double)s->nll[T - 1] - s->model->config.reward_shift;
    if (isfinite(*reward)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "expected a reward, found none: the numbers inside the model overflow; are "
                                 "these its weights?");
}

/* The request of one line as arrays. */
typedef struct {
    ae_ids tokens;
    int32_t *positions;
    uint8_t *mask;
} sequence;

static void sequence_free(sequence *q) {
    ae_ids_free(&q->tokens);
    free(q->positions);
    free(q->mask);
}

static ae_status sequence_read(sequence *q, const json_t *request, const ae_request_rules *rules,
                               const char *where) {
    ae_status st = ae_request_ids(request, "text", rules, where, &q->tokens);
    if (st != AE_OK) return st;
    const ptrdiff_t n = q->tokens.n;
    q->positions = malloc((size_t)n * sizeof *q->positions);
    q->mask = malloc((size_t)n * sizeof *q->mask);
    if (!q->positions || !q->mask) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    st = ae_request_positions(request, where, n, q->positions);
    return st == AE_OK ? ae_request_mask(request, where, n, q->mask) : st;
}

static json_t *top_list(const ae_scores *scores, ptrdiff_t top) {
    json_t *places = json_array();
    for (ptrdiff_t t = 0; t < scores->n; t++) {
        json_t *place = json_array();
        for (ptrdiff_t k = t * top; k < (t + 1) * top; k++)
            json_array_append_new(place, json_pack("[i, o]", (int)scores->top_ids[k],
                                                   ae_json_number((double)scores->top_logprobs[k])));
        json_array_append_new(places, place);
    }
    return places;
}

static json_t *answer_of(const ae_scores *scores, const sequence *q, ptrdiff_t top) {
    json_t *logprobs = json_array();
    double sum = 0;
    int64_t count = 0;
    for (ptrdiff_t t = 0; t < scores->n; t++) {
        json_array_append_new(logprobs, ae_json_number((double)scores->logprobs[t]));
        if (q->positions[t + 1] == 0 || !q->mask[t + 1]) continue;
        sum += (double)scores->logprobs[t];
        count++;
    }
    json_t *answer = json_pack("{s:o, s:o, s:I}", "logprobs", logprobs, "sum", ae_json_number(sum), "count",
                               (json_int_t)count);
    if (top > 0) json_object_set_new(answer, "top", top_list(scores, top));
    return answer;
}

ae_status ae_score_line(ae_scorer *s, const json_t *request, const ae_request_rules *rules, const char *where,
                        json_t **answer) {
    sequence q = {0};
    ae_scores scores;
    *answer = NULL;
    ae_status st = sequence_read(&q, request, rules, where);
    if (st == AE_OK) {
        st = ae_scorer_run(s, q.tokens.ids, q.positions, q.tokens.n, &scores);
        if (st != AE_OK) ae_fail_prefix("%s", where);
    }
    if (st == AE_OK) *answer = answer_of(&scores, &q, s->top);
    if (st == AE_OK && !*answer) st = AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    sequence_free(&q);
    return st;
}
