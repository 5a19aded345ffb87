#include "model/pass_memory.h"

#include <assert.h>

/* What happens between forward and backward: readings of the hidden states, and gradients of terms with respect to them. */

static ptrdiff_t places(const ae_pass *p) {
    assert(p->model != NULL);
    return p->B * p->T;
}

static ae_head_dims dims_of(const ae_pass *p) {
    return ae_pass_head_dims(&p->model->config, places(p));
}

static ae_head_side side_of(const ae_pass *p) {
    const ae_model_config *c = &p->model->config;
    return (ae_head_side){
        .z = p->z, .table = p->model->views->table->packed, .D = c->D, .cap = (float)c->soft_cap};
}

/* Results of every place, between the device and the host. */
static void fetch(const ae_pass *p, float *to, const ae_f32 *from) {
    p->be->download(p->be, to, from, (size_t)places(p) * sizeof *to);
}
static void give(const ae_pass *p, ae_f32 *to, const float *from) {
    p->be->upload(p->be, to, from, (size_t)places(p) * sizeof *from);
}

const ae_act *ae_pass_hidden(const ae_pass *p) {
    assert(p->model != NULL);
    return p->z;
}

/* ---- readings ---- */

void ae_pass_logprobs(ae_pass *p, float temperature, float *logprobs, float *entropies) {
    p->be->head_logprobs(p->be, p->results, entropies != NULL ? p->entropies : NULL, p->z,
                         p->model->views->table->packed, p->targets, p->weights, temperature, dims_of(p),
                         p->head_scratch);
    fetch(p, logprobs, p->results);
    if (entropies != NULL) fetch(p, entropies, p->entropies);
}

/* The results, which are nll, and the sum of weights * nll; each may be NULL. */
static void fetch_nll(const ae_pass *p, double *sum, float *nll) {
    const ae_backend *be = p->be;
    if (nll != NULL) fetch(p, nll, p->results);
    if (sum == NULL) return;
    be->zero(be, p->sum, sizeof *sum);
    be->sum_weighted(be, p->sum, p->results, p->weights, places(p));
    be->download(be, sum, p->sum, sizeof *sum);
}

/* The likeliest ids of places [first, first + count) travel through the device's room for them. */
static void score_places(ae_pass *p, ptrdiff_t first, ptrdiff_t count, ptrdiff_t top, int32_t *ids,
                         float *logprobs) {
    const ae_backend *be = p->be;
    const ae_model_config *c = &p->model->config;
    const ae_i32 *targets =
        (const ae_i32 *)(const void *)((const char *)p->targets + (size_t)first * sizeof(int32_t));
    be->head_score(be, ae_f32_at(p->results, first), top > 0 ? p->top_ids : NULL,
                   top > 0 ? p->top_logprobs : NULL, top, ae_act_at(be, p->z, first * c->D),
                   p->model->views->table->packed, targets, ae_f32_at(p->weights, first),
                   ae_pass_head_dims(c, count), p->head_scratch);
    if (top == 0) return;
    const size_t n = (size_t)(count * top);
    be->download(be, ids + first * top, p->top_ids, n * sizeof *ids);
    be->download(be, logprobs + first * top, p->top_logprobs, n * sizeof *logprobs);
}

void ae_pass_score(ae_pass *p, double *nll_sum, float *nll, ptrdiff_t top, int32_t *top_ids,
                   float *top_logprobs) {
    const ptrdiff_t M = places(p), most = top > 0 ? ae_min(M, p->top_room / top) : M;
    assert(top >= 0 && top <= p->model->config.V && (top == 0 || !p->training));
    for (ptrdiff_t first = 0; first < M; first += most)
        score_places(p, first, ae_min(most, M - first), top, top_ids, top_logprobs);
    fetch_nll(p, nll_sum, nll);
}

static void check_other(const ae_pass *p, const ae_pass *other) {
    assert(other->model != NULL && other->B == p->B && other->T == p->T);
    assert(other->model->config.V == p->model->config.V && other->model->config.D <= p->dims.kl_width);
    assert(other->be->act_bytes == p->be->act_bytes);
    (void)p, (void)other;
}

void ae_pass_kl(ae_pass *p, const ae_pass *other, ae_kl_direction direction, float temperature, float *kl) {
    check_other(p, other);
    const ae_head_side own = side_of(p), theirs = side_of(other);
    p->be->head_kl(p->be, p->results, direction, &own, &theirs, p->weights, temperature, places(p),
                   p->model->config.V, p->head_scratch);
    fetch(p, kl, p->results);
}

void ae_pass_values(ae_pass *p, const ae_f32 *w, float *values) {
    p->be->head_scalar_forward(p->be, p->results, p->z, w, places(p), p->model->config.D);
    fetch(p, values, p->results);
}

ae_status ae_pass_logits(ae_pass *p, float *logits) {
    enum { ROWS = 64 };
    const ae_backend *be = p->be;
    const ae_model_config *c = &p->model->config;
    const ptrdiff_t M = places(p);
    const size_t bytes = (size_t)(ae_min(M, ROWS) * c->V) * sizeof(float);
    void *room = NULL;
    const ae_status st = be->alloc(be, &room, bytes);
    if (st != AE_OK) return st;
    for (ptrdiff_t at = 0; at < M; at += ROWS) {
        const ptrdiff_t rows = ae_min(ROWS, M - at);
        be->head_logits(be, room, ae_act_at(be, p->z, at * c->D), p->model->views->table->packed,
                        ae_pass_head_dims(c, rows));
        be->download(be, logits + at * c->V, room, (size_t)(rows * c->V) * sizeof(float));
    }
    be->release(be, room, bytes);
    return AE_OK;
}

/* ---- gradients ---- */

/* Whether dz holds a gradient already; it will. */
static bool begin_term(ae_pass *p) {
    const bool add = p->has_gradient;
    assert(p->model != NULL && p->training);
    p->has_gradient = true;
    return add;
}

void ae_pass_add_loss(ae_pass *p, float grad_scale, double *nll_sum, float *nll) {
    const ae_param *table = p->model->views->table;
    const bool add = begin_term(p);
    assert(!add);
    (void)add;
    p->be->head_loss(p->be, p->results, p->dz, table->grad, p->z, table->packed, p->targets, p->weights,
                     grad_scale, dims_of(p), p->head_scratch);
    fetch_nll(p, nll_sum, nll);
}

void ae_pass_add_targets(ae_pass *p, const float *weights, const float *entropy_weights, float temperature) {
    const ae_param *table = p->model->views->table;
    const bool add = begin_term(p);
    give(p, p->factors, weights);
    if (entropy_weights != NULL) give(p, p->entropies, entropy_weights);
    p->be->head_backward(p->be, p->dz, table->grad, add, p->z, table->packed, p->targets, p->factors,
                         entropy_weights != NULL ? p->entropies : NULL, temperature, dims_of(p),
                         p->head_scratch);
}

void ae_pass_add_kl(ae_pass *p, const ae_pass *other, ae_kl_direction direction, const float *weights,
                    float temperature) {
    check_other(p, other);
    const ae_head_side own = side_of(p), theirs = side_of(other);
    const bool add = begin_term(p);
    give(p, p->factors, weights);
    p->be->head_kl_backward(p->be, p->dz, p->model->views->table->grad, add, direction, &own, &theirs,
                            p->factors, temperature, places(p), p->model->config.V, p->head_scratch);
}

void ae_pass_add_values(ae_pass *p, const ae_f32 *w, ae_f32 *dw, const float *dvalues) {
    const bool add = begin_term(p);
    give(p, p->factors, dvalues);
    p->be->head_scalar_backward(p->be, p->dz, dw, add, p->factors, p->z, w, places(p), p->model->config.D);
}

void ae_pass_add_hidden(ae_pass *p, const ae_f32 *dhidden) {
    const bool add = begin_term(p);
    const ptrdiff_t n = places(p) * p->model->config.D;
    (add ? p->be->act_add_f32 : p->be->act_from_f32)(p->be, p->dz, dhidden, n);
}

/* ---- several stages in one call ---- */

void ae_model_train_pass(ae_model *m, ae_pass *p, const ae_micro_batch *b, float grad_scale, double *nll_sum,
                         float *nll) {
    ae_pass_forward(p, m, b);
    ae_pass_add_loss(p, grad_scale, nll_sum, nll);
    ae_pass_backward(p);
}

void ae_model_score_pass(const ae_model *m, ae_pass *p, const ae_micro_batch *b, double *nll_sum, float *nll,
                         ptrdiff_t top, int32_t *top_ids, float *top_logprobs) {
    ae_pass_forward(p, m, b);
    ae_pass_score(p, nll_sum, nll, top, top_ids, top_logprobs);
}

ae_status ae_model_logits(const ae_model *m, ae_pass *p, const ae_micro_batch *b, float *logits) {
    ae_pass_forward(p, m, b);
    return ae_pass_logits(p, logits);
}
