#include "exchange/adapter_merge.h"

#include "core/threads.h"

#include <stdlib.h>
#include <string.h>

struct ae_adapter_merger {
    ae_params params; /* of the base with the adapter */
    ae_tensors *tensors;
    const ae_param *a, *b; /* whose values these are; NULL: of none */
    float *a_values, *b_values;
};

/* ---- W + scale B A ---- */

static ae_status read_whole(ae_tensors *t, const ae_param *p, float **out) {
    free(*out);
    *out = malloc((size_t)p->n * sizeof **out);
    if (*out == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", p->name);
    return ae_tensors_read(t, p->name, p->rank, p->shape, *out);
}

/* A and B of the parameter, read unless they are there; *has: whether it has them. */
static ae_status find_adapter(ae_adapter_merger *m, const ae_param *p, bool *has) {
    const ae_param *a = ae_params_find_adapter(&m->params, p->name, 'A'),
                   *b = ae_params_find_adapter(&m->params, p->name, 'B');
    *has = a != NULL && b != NULL;
    if (!*has || m->a == a) return AE_OK;
    m->a = NULL;
    ae_status st = read_whole(m->tensors, a, &m->a_values);
    if (st == AE_OK) st = read_whole(m->tensors, b, &m->b_values);
    if (st != AE_OK) return st;
    m->a = a;
    m->b = b;
    return AE_OK;
}

/* Columns [from, to) of a row: w += sum_r (scale b[r]) a[r]. */
static void add_row(float *w, const float *a, const float *b, double scale, int64_t rank, int64_t cols,
                    int64_t from, int64_t to) {
    for (int64_t r = 0; r < rank; r++) {
        const float x = (float)(scale * (double)b[r]);
        const float *row = a + r * cols + from;
        for (int64_t k = 0; k < to - from; k++) w[k] += x * row[k];
    }
}

static void add_low_rank(const ae_adapter_merger *m, int64_t first, int64_t n, float *values) {
    const int64_t rank = m->a->shape[0], cols = m->a->shape[1], end = first + n;
#pragma omp parallel for schedule(static) num_threads(ae_threads())
    for (int64_t row = first / cols; row < (end + cols - 1) / cols; row++) {
        const int64_t from = row * cols > first ? row * cols : first,
                      to = (row + 1) * cols < end ? (row + 1) * cols : end;
        add_row(values + (from - first), m->a_values, m->b_values + row * rank, m->params.adapter_scale, rank,
                cols, from - row * cols, to - row * cols);
    }
}

static ae_status amend(void *context, const ae_param *p, int64_t first, int64_t n, float *values) {
    ae_adapter_merger *m = context;
    bool has = false;
    ae_status st = AE_OK;
    if (ae_tensors_find(m->tensors, p->name) >= 0)
        AE_TRY(ae_tensors_read_part(m->tensors, p->name, p->rank, p->shape, first, n, values));
    AE_TRY(find_adapter(m, p, &has));
    if (has) add_low_rank(m, first, n, values);
out:
    return st;
}

ae_status ae_adapter_merger_new(ae_adapter_merger **out, const ae_adapter_source *a,
                                const ae_model_config *c) {
    ae_adapter_merger *m = *out = calloc(1, sizeof *m);
    ae_status st = m != NULL ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", a->folder);
    if (st == AE_OK) st = ae_params_init_with(&m->params, c, &a->options);
    if (st == AE_OK) st = ae_adapter_tensors_open(&m->tensors, a);
    if (st == AE_OK) return AE_OK;
    ae_adapter_merger_delete(m);
    *out = NULL;
    return st;
}

void ae_adapter_merger_delete(ae_adapter_merger *m) {
    if (m == NULL) return;
    ae_tensors_close(m->tensors);
    ae_params_free(&m->params);
    free(m->a_values);
    free(m->b_values);
    free(m);
}

ae_model_amendment ae_adapter_merger_amendment(ae_adapter_merger *m) {
    return (ae_model_amendment){amend, m};
}

/* ---- a model of both ---- */

static bool stays_beside(const ae_model_options *o) {
    return o->weights == AE_WEIGHT_INT8 || o->weights == AE_WEIGHT_INT4;
}

ae_model_options ae_adapter_model_options(const ae_adapter_source *a, const ae_model_options *options) {
    ae_model_options o = *options;
    if (stays_beside(&o)) o.params.adapters = a->options.adapters;
    o.params.score_head = o.params.score_head || a->options.score_head;
    return o;
}

/* Values of the base, and with a merger what they become. */
static ae_status load_base(ae_model *m, const ae_model_source *base, const ae_model_amendment *amendment) {
    static const ae_params_match_options match = {.lacks_added = true};
    ae_tensors *t = NULL;
    ae_status st = ae_tensors_open(&t, base->tensors);
    if (st == AE_OK) st = ae_model_load_tensors(m, t, base->tensors, &match, amendment);
    ae_tensors_close(t);
    return st;
}

/* The head is no part of the base, so that nothing of it was there to be amended. */
static ae_status load_head(ae_model *m, ae_tensors *t, const ae_adapter_source *a) {
    const ae_param *p = ae_params_find(&m->params, "score.weight");
    if (p == NULL || !a->options.score_head) return AE_OK;
    float *values = NULL;
    const ae_status st = read_whole(t, p, &values);
    if (st == AE_OK) m->be->upload(m->be, p->value, values, (size_t)p->n * sizeof *values);
    free(values);
    return st;
}

static ae_status load_merged(ae_model *m, const ae_model_source *base, const ae_adapter_source *a) {
    ae_adapter_merger *merger = NULL;
    ae_status st = ae_adapter_merger_new(&merger, a, &base->config);
    if (st != AE_OK) return st;
    const ae_model_amendment amendment = ae_adapter_merger_amendment(merger);
    st = load_base(m, base, &amendment);
    if (st == AE_OK) st = load_head(m, merger->tensors, a);
    ae_adapter_merger_delete(merger);
    return st == AE_OK ? m->be->sync(m->be) : st;
}

static ae_status load_beside(ae_model *m, const ae_model_source *base, const ae_adapter_source *a) {
    static const ae_params_match_options match = {.lacks_any = true};
    ae_tensors *t = NULL;
    ae_status st = load_base(m, base, NULL);
    if (st == AE_OK) st = ae_adapter_tensors_open(&t, a);
    if (st == AE_OK) st = ae_model_load_tensors(m, t, a->tensors, &match, NULL);
    ae_tensors_close(t);
    return st;
}

ae_status ae_adapter_open_model(ae_model *m, const ae_backend *be, const ae_model_source *base,
                                const ae_adapter_source *a, const ae_model_options *options) {
    const ae_model_options o = ae_adapter_model_options(a, options);
    *m = (ae_model){0};
    if (stays_beside(options) && options->params.adapters.rank > 0)
        return AE_FAIL(
            AE_ERR_USAGE,
            "%s: an adapter beside integers leaves no room for another one; export the two as a model in "
            "f32 or bf16 first",
            a->folder);
    ae_status st = ae_model_init(m, be, &base->config, &o);
    if (st == AE_OK) st = ae_model_set_added_initial(m, 0);
    if (st == AE_OK) st = stays_beside(options) ? load_beside(m, base, a) : load_merged(m, base, a);
    if (st != AE_OK) ae_model_free(m);
    return st;
}
