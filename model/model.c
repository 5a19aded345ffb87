#include "model/model.h"

#include "core/arena.h"
#include "model/params_match.h"
#include "model/views.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

enum { PIECE = 1 << 20 }; /* elements that are loaded at once */

static bool trains(const ae_model_options *o, const ae_param *p) {
    return o->training && p->trainable;
}

/* The parameter whose memory p uses. */
static const ae_param *owner_of(const ae_model_options *o, const ae_param *p) {
    return ae_params_find(&o->shares->params, p->name);
}

bool ae_model_is_shared(const ae_model_options *o, const ae_param *p) {
    if (o->shares == NULL || p->added || trains(o, p)) return false;
    const ae_param *q = owner_of(o, p);
    return q != NULL && q->n == p->n && !trains(&o->shares->options, q);
}

/* Compact products have a form of their own and no values beside it. */
bool ae_model_is_compact(const ae_model_options *o, const ae_param *p) {
    if (o->weights == AE_WEIGHT_F32 || !p->product || p->added || trains(o, p)) return false;
    const ae_param *q = o->shares != NULL ? owner_of(o, p) : NULL;
    return q == NULL || ae_model_is_compact(&o->shares->options, q);
}

static size_t value_bytes(const ae_param *p, const ae_backend *be, const ae_model_options *o) {
    if (ae_model_is_shared(o, p)) return 0;
    const ae_weight_shape s = ae_param_compact_shape(p, o->weights, o->group);
    return ae_model_is_compact(o, p) ? be->compact_bytes(be, &s) : (size_t)p->n * sizeof(float);
}

size_t ae_model_value_bytes(const ae_params *p, const ae_backend *be, const ae_model_options *o) {
    ae_arena counting = {0};
    for (ptrdiff_t i = 0; i < p->n; i++) ae_arena_take(&counting, value_bytes(&p->items[i], be, o));
    return counting.high;
}

static void place_values(ae_model *m) {
    ae_arena a = {.base = m->value_memory, .capacity = m->value_bytes};
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        ae_param *p = &m->params.items[i];
        if (ae_model_is_shared(&m->options, p)) {
            p->value = owner_of(&m->options, p)->value;
            continue;
        }
        const ae_weight_shape s = ae_param_compact_shape(p, m->options.weights, m->options.group);
        void *room = ae_arena_take(&a, value_bytes(p, m->be, &m->options));
        if (ae_model_is_compact(&m->options, p)) {
            p->packed = room;
            m->be->compact_init(m->be, room, &s);
        } else {
            p->value = room;
        }
    }
}

static void place_gradients(ae_model *m) {
    ae_arena a = {.base = m->grad_memory, .capacity = m->grad_bytes};
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        ae_param *p = &m->params.items[i];
        if (trains(&m->options, p)) p->grad = ae_arena_take(&a, (size_t)p->n * sizeof(float));
    }
}

/* Each on its own: cut as the updates cut it, so that its parts lie near the threads that sweep over them. */
static void zero_gradients(const ae_model *m) {
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        if (p->grad != NULL) m->be->zero(m->be, p->grad, (size_t)p->n * sizeof(float));
    }
}

static size_t packed_bytes(const ae_param *p, const ae_backend *be, const ae_model_options *o) {
    if (!p->product || ae_model_is_shared(o, p) || ae_model_is_compact(o, p)) return 0;
    return be->weight_bytes(be, (ptrdiff_t)p->rows, (ptrdiff_t)p->cols, o->pack_at_use && !p->often);
}

size_t ae_model_packed_bytes(const ae_params *p, const ae_backend *be, const ae_model_options *o) {
    ae_arena counting = {0};
    for (ptrdiff_t i = 0; i < p->n; i++) ae_arena_take(&counting, packed_bytes(&p->items[i], be, o));
    return counting.high;
}

static void pack(ae_model *m) {
    ae_arena a = {.base = m->packed_memory, .capacity = m->packed_bytes};
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        ae_param *p = &m->params.items[i];
        if (ae_model_is_shared(&m->options, p)) p->packed = owner_of(&m->options, p)->packed;
        if (!p->product || ae_model_is_shared(&m->options, p) || ae_model_is_compact(&m->options, p))
            continue;
        const size_t bytes = packed_bytes(p, m->be, &m->options);
        p->packed = bytes > 0 ? ae_arena_take(&a, bytes) : NULL;
        m->be->weight_pack(m->be, p->packed, p->value, (ptrdiff_t)p->rows, (ptrdiff_t)p->cols,
                           m->options.pack_at_use && !p->often);
    }
}

static ae_status take_memory(ae_model *m) {
    const ae_backend *be = m->be;
    ae_status st = AE_OK;
    m->packed_bytes = ae_model_packed_bytes(&m->params, be, &m->options);
    m->value_bytes = ae_model_value_bytes(&m->params, be, &m->options);
    if (m->value_bytes > 0) AE_TRY(be->alloc(be, &m->value_memory, m->value_bytes));
    if (m->packed_bytes > 0) AE_TRY(be->alloc(be, &m->packed_memory, m->packed_bytes));
    if (m->options.training) {
        m->grad_bytes = (size_t)ae_params_padded_elements(&m->params, true) * sizeof(float);
        AE_TRY(be->alloc(be, &m->grad_memory, m->grad_bytes));
    }
out:
    return st;
}

/* For ae_model_make_views, later. */
static ae_status take_views(ae_model *m) {
    m->views = calloc(1, sizeof *m->views);
    if (m->views != NULL) m->views->blocks = calloc((size_t)m->config.blocks, sizeof *m->views->blocks);
    return m->views != NULL && m->views->blocks != NULL
               ? AE_OK
               : AE_FAIL(AE_ERR_RESOURCE, "the model's parameters: out of memory");
}

ae_status ae_model_init(ae_model *m, const ae_backend *be, const ae_model_config *c,
                        const ae_model_options *options) {
    ae_status st;
    *m = (ae_model){.be = be, .config = *c, .options = *options};
    AE_TRY(ae_params_init_with(&m->params, c, &options->params));
    AE_TRY(take_memory(m));
    AE_TRY(take_views(m));
    place_values(m);
    place_gradients(m);
    zero_gradients(m);
out:
    if (st != AE_OK) ae_model_free(m);
    return st;
}

void ae_model_free(ae_model *m) {
    if (m->be != NULL) {
        m->be->release(m->be, m->value_memory, m->value_bytes);
        m->be->release(m->be, m->grad_memory, m->grad_bytes);
        m->be->release(m->be, m->packed_memory, m->packed_bytes);
    }
    if (m->views != NULL) free(m->views->blocks);
    free(m->views);
    ae_params_free(&m->params);
    *m = (ae_model){0};
}

/* Packing again leaves everything where it is: the views are made once, when there is something to look at. */
void ae_model_values_changed(ae_model *m) {
    pack(m);
    if (m->views->table == NULL) ae_model_make_views(m);
}

/* ---- values ---- */

/* Where the values of a parameter come from: elements [first, first + n), and scales of whole rows where integers come with them. */
typedef struct {
    bool (*has)(void *context, const ae_param *p); /* others keep their values */
    ae_status (*values)(void *context, const ae_param *p, int64_t first, int64_t n, float *out);
    ae_status (*has_integers)(void *context, const ae_model *m, const ae_param *p, bool *has); /* or NULL */
    ae_status (*scales)(void *context, const ae_param *p, int64_t first_row, int64_t rows, uint16_t *out);
    void *context;
} supply;

/* The most elements that one piece of a parameter has. */
static int64_t most_elements(const ae_model *m) {
    int64_t most = 1;
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        const int64_t n = ae_model_is_compact(&m->options, p) ? ae_param_piece_rows(p) * p->cols
                          : p->n < PIECE                      ? p->n
                                                              : PIECE;
        most = n > most ? n : most;
    }
    return most;
}

static ae_status fill_values(const ae_model *m, const ae_param *p, const supply *from, float *room) {
    ae_status st = AE_OK;
    for (int64_t at = 0; st == AE_OK && at < p->n; at += PIECE) {
        const int64_t n = p->n - at < PIECE ? p->n - at : PIECE;
        st = from->values(from->context, p, at, n, room);
        if (st == AE_OK)
            m->be->upload(m->be, ae_f32_at(p->value, (ptrdiff_t)at), room, (size_t)n * sizeof *room);
    }
    return st;
}

static ae_status fill_compact(const ae_model *m, const ae_param *p, const supply *from, float *room,
                              uint16_t *scales) {
    const int64_t each = ae_param_piece_rows(p);
    bool given = false;
    ae_status st = AE_OK;
    if (from->has_integers != NULL) AE_TRY(from->has_integers(from->context, m, p, &given));
    for (int64_t row = 0; row < p->rows; row += each) {
        const int64_t rows = p->rows - row < each ? p->rows - row : each;
        AE_TRY(from->values(from->context, p, row * p->cols, rows * p->cols, room));
        if (given) AE_TRY(from->scales(from->context, p, row, rows, scales));
        m->be->compact_put(m->be, p->packed, (ptrdiff_t)row, (ptrdiff_t)rows, room, given ? scales : NULL);
    }
out:
    return st;
}

static ae_status fill_model(ae_model *m, const supply *from) {
    const size_t n = (size_t)most_elements(m);
    float *room = malloc(n * sizeof *room);
    uint16_t *scales = malloc(n * sizeof *scales); /* at most one an element */
    ae_status st =
        room != NULL && scales != NULL ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "parameters: out of memory");
    for (ptrdiff_t i = 0; st == AE_OK && i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        if (ae_model_is_shared(&m->options, p) || !from->has(from->context, p)) continue;
        st = ae_model_is_compact(&m->options, p) ? fill_compact(m, p, from, room, scales)
                                                 : fill_values(m, p, from, room);
    }
    free(scales);
    free(room);
    if (st == AE_OK) ae_model_values_changed(m);
    return st == AE_OK ? m->be->sync(m->be) : st;
}

static bool any(void *context, const ae_param *p) {
    (void)context;
    (void)p;
    return true;
}

static bool is_added(void *context, const ae_param *p) {
    (void)context;
    return p->added;
}

static ae_status initial_values(void *context, const ae_param *p, int64_t first, int64_t n, float *out) {
    ae_param_initial_part(p, *(const uint64_t *)context, first, n, out);
    return AE_OK;
}

ae_status ae_model_set_initial(ae_model *m, uint64_t seed) {
    return fill_model(m, &(supply){any, initial_values, NULL, NULL, &seed});
}

ae_status ae_model_set_added_initial(ae_model *m, uint64_t seed) {
    ptrdiff_t i = 0;
    while (i < m->params.n && !m->params.items[i].added) i++;
    if (i == m->params.n) return AE_OK;
    return fill_model(m, &(supply){is_added, initial_values, NULL, NULL, &seed});
}

typedef struct {
    ae_tensors *tensors;
    const ae_model_amendment *amendment; /* or NULL */
} stored;

static bool is_there(void *context, const ae_param *p) {
    return ae_tensors_find(((const stored *)context)->tensors, p->name) >= 0;
}

static ae_status read_values(void *context, const ae_param *p, int64_t first, int64_t n, float *out) {
    const stored *s = context;
    const ae_model_amendment *a = s->amendment;
    const ae_status st = ae_tensors_read_part(s->tensors, p->name, p->rank, p->shape, first, n, out);
    return st == AE_OK && a != NULL ? a->amend(a->context, p, first, n, out) : st;
}

static ae_status read_scales(void *context, const ae_param *p, int64_t first, int64_t n, uint16_t *out) {
    return ae_tensors_scales(((const stored *)context)->tensors, p->name, p->shape, first, n, out);
}

/* Whether the file holds the integers that the model wants: then they are taken as they are. */
static ae_status same_integers(void *context, const ae_model *m, const ae_param *p, bool *same) {
    const stored *s = context;
    const ae_weight_type type = m->options.weights;
    const int wanted = type == AE_WEIGHT_INT8 ? 8 : type == AE_WEIGHT_INT4 ? 4 : 0;
    int bits = 0;
    int64_t group = 0;
    *same = false;
    if (wanted == 0 || p->parts > 0 || s->amendment != NULL) return AE_OK;
    const ae_status st = ae_tensors_integers(s->tensors, p->name, p->rank, p->shape, &bits, &group);
    if (st != AE_OK || bits != wanted) return st;
    *same = ae_ceil_div((ptrdiff_t)p->cols, (ptrdiff_t)group) ==
            ae_ceil_div((ptrdiff_t)p->cols, ae_weight_group(type, m->options.group));
    return AE_OK;
}

ae_status ae_model_load_tensors(ae_model *m, ae_tensors *t, const char *path,
                                const ae_params_match_options *o, const ae_model_amendment *a) {
    stored s = {t, a};
    const ae_status st = ae_params_match(&m->params, t, path, o);
    if (st != AE_OK) return st;
    return fill_model(m, &(supply){is_there, read_values, same_integers, read_scales, &s});
}

ae_status ae_model_load(ae_model *m, const char *path, const ae_params_match_options *o) {
    ae_tensors *t = NULL;
    ae_status st = ae_tensors_open(&t, path);
    if (st == AE_OK) st = ae_model_load_tensors(m, t, path, o, NULL);
    ae_tensors_close(t);
    return st;
}

/* ---- saving ---- */

/* The parameters that are written, and what a file wants to know of them. */
typedef struct {
    const ae_model *model;
    ptrdiff_t n;
    const ae_param **params;
    const char **names;
    int *ranks;
    int64_t (*shapes)[3];
    float *values; /* of the biggest */
} saving;

static ae_status fetch_param(void *context, ptrdiff_t i, const float **values) {
    const saving *s = context;
    s->model->be->download(s->model->be, s->values, s->params[i]->value,
                           (size_t)s->params[i]->n * sizeof(float));
    *values = s->values;
    return AE_OK;
}

static void saving_free(saving *s) {
    free(s->values);
    free(s->shapes);
    free(s->ranks);
    free(s->names);
    free(s->params);
}

static ae_status saving_init(saving *s, const ae_model *m, const char *path) {
    const size_t n = (size_t)m->params.n;
    int64_t most = 1;
    for (size_t i = 0; i < n; i++) {
        const ae_param *p = &m->params.items[i];
        if (p->trainable && p->n > most) most = p->n;
    }
    *s = (saving){.model = m,
                  .params = calloc(n, sizeof *s->params),
                  .names = calloc(n, sizeof *s->names),
                  .ranks = calloc(n, sizeof *s->ranks),
                  .shapes = calloc(n, sizeof *s->shapes),
                  .values = malloc((size_t)most * sizeof *s->values)};
    if (s->params == NULL || s->names == NULL || s->ranks == NULL || s->shapes == NULL || s->values == NULL)
        return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    return AE_OK;
}

static ae_status add_trainable(saving *s, const ae_param *p, const char *path) {
    if (!p->trainable) return AE_OK;
    if (p->value == NULL)
        return AE_FAIL(AE_ERR_DEFECT, "%s: %s: expected float32 values, found the compact form", path,
                       p->name);
    s->params[s->n] = p;
    s->names[s->n] = p->name;
    s->ranks[s->n] = p->rank;
    memcpy(s->shapes[s->n], p->shape, sizeof p->shape);
    s->n++;
    return AE_OK;
}

ae_status ae_model_save(const ae_model *m, const char *path) {
    saving s;
    ae_status st;
    AE_TRY(saving_init(&s, m, path));
    for (ptrdiff_t i = 0; i < m->params.n; i++) AE_TRY(add_trainable(&s, &m->params.items[i], path));
    AE_TRY(ae_tensors_write_h5(path, s.n, s.names, s.ranks, (const int64_t(*)[3])s.shapes, fetch_param, &s));
out:
    saving_free(&s);
    return st;
}
