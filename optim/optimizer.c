#include "optim/optimizer.h"

#include "core/arena.h"
#include "core/h5.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 256 };

/* ---- storage of the moments: a new type has its size, its way to and from the file, and its kernels in ops/adamw.h ---- */

static ae_status check_type(ae_moment_type type) {
    static const char *const names[] = {"float32", "bfloat16", "8 bits"};
    if (type == AE_MOMENTS_F32) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "optimiser: moments: expected float32, found %s, which has no kernels yet",
                   names[type]);
}

/* Bytes of m or v of n elements. */
static size_t moment_bytes(ae_moment_type type, int64_t n) {
    assert(type == AE_MOMENTS_F32);
    (void)type;
    return (size_t)n * sizeof(float);
}

/* The file has float32, flat, whatever the type. */
static ae_status write_moment(const ae_optimizer *o, hid_t file, const char *path, const char *key,
                              const ae_moment *from, int64_t n, float *room) {
    o->be->download(o->be, room, from, moment_bytes(o->options.moments, n));
    return ae_h5_write(file, path, key, H5T_NATIVE_FLOAT, 1, &n, room);
}

static ae_status read_moment(const ae_optimizer *o, hid_t file, const char *path, const char *key,
                             ae_moment *to, int64_t n, float *room) {
    const ae_status st = ae_h5_read(file, path, key, H5T_NATIVE_FLOAT, 1, &n, room);
    if (st == AE_OK) o->be->upload(o->be, to, room, moment_bytes(o->options.moments, n));
    return st;
}

/* ---- memory: the same walk counts and places ---- */

static size_t place(ae_moments *moments, void *memory, size_t bytes, ae_moment_type type,
                    const ae_optim_param *params, ptrdiff_t n) {
    ae_arena a = {.base = memory, .capacity = bytes};
    for (ptrdiff_t i = 0; i < n; i++) {
        const size_t each = moment_bytes(type, params[i].n);
        void *m = ae_arena_take(&a, each), *v = ae_arena_take(&a, each);
        if (moments) moments[i] = (ae_moments){m, v};
    }
    return a.high;
}

size_t ae_optimizer_bytes(ae_moment_type type, const ae_optim_param *params, ptrdiff_t n) {
    return place(NULL, NULL, 0, type, params, n);
}

/* Each on its own: cut as the updates cut it, so that its parts lie near the threads that sweep over them. */
static void zero_moments(const ae_optimizer *o) {
    for (ptrdiff_t i = 0; i < o->n; i++) {
        const size_t bytes = moment_bytes(o->options.moments, o->params[i].n);
        o->be->zero(o->be, o->moments[i].m, bytes);
        o->be->zero(o->be, o->moments[i].v, bytes);
    }
}

ae_status ae_optimizer_init(ae_optimizer *o, const ae_backend *be, const ae_adamw_options *options,
                            const ae_optim_param *params, ptrdiff_t n) {
    ae_status st = AE_OK;
    size_t count = (size_t)n;
    *o = (ae_optimizer){.be = be, .options = *options, .n = n};
    AE_TRY(check_type(options->moments));
    o->bytes = ae_optimizer_bytes(options->moments, params, n);
    o->params = malloc(count * sizeof *o->params);
    o->moments = malloc(count * sizeof *o->moments);
    if (!o->params || !o->moments) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "optimiser: out of memory"));
    memcpy(o->params, params, count * sizeof *params);
    AE_TRY(be->alloc(be, &o->memory, o->bytes));
    AE_TRY(be->alloc(be, &o->squares, sizeof(double)));
    place(o->moments, o->memory, o->bytes, options->moments, params, n);
    zero_moments(o);
out:
    if (st != AE_OK) ae_optimizer_free(o);
    return st;
}

void ae_optimizer_free(ae_optimizer *o) {
    if (o->be) o->be->release(o->be, o->memory, o->bytes);
    if (o->be) o->be->release(o->be, o->squares, sizeof(double));
    free(o->params);
    free(o->moments);
    *o = (ae_optimizer){0};
}

static void tell(ae_optimizer_call c, ptrdiff_t i) {
    if (c.call) c.call(c.context, i);
}

double ae_optimizer_grad_norm(const ae_optimizer *o) {
    double sum = 0;
    o->be->zero(o->be, o->squares, sizeof sum);
    for (ptrdiff_t i = 0; i < o->n; i++)
        o->be->sum_squares(o->be, o->squares, o->params[i].grad, o->params[i].n);
    o->be->download(o->be, &sum, o->squares, sizeof sum);
    return sqrt(sum);
}

void ae_optimizer_update(ae_optimizer *o, double lr, double norm) {
    const ae_adamw_options *a = &o->options;
    double u = (double)++o->updates, scale = 1;
    if (a->clip_norm > 0) scale = fmin(1, a->clip_norm / (norm + 1e-6));
    ae_adamw_step s = {
        .lr = (float)lr,
        .beta1 = (float)a->beta1,
        .beta2 = (float)a->beta2,
        .eps = (float)a->eps,
        .correction1 = (float)(1 - pow(a->beta1, u)),
        .correction2 = (float)(1 - pow(a->beta2, u)),
        .grad_scale = (float)scale,
        .moments = a->moments,
    };
    for (ptrdiff_t i = 0; i < o->n; i++) {
        const ae_optim_param *p = &o->params[i];
        tell(o->before, i);
        s.decay = p->decays ? (float)a->weight_decay : 0;
        if (p->packed)
            o->be->adamw_weight(o->be, p->packed, p->value, o->moments[i].m, o->moments[i].v, p->grad, s,
                                (ptrdiff_t)p->rows, (ptrdiff_t)p->cols);
        else
            o->be->adamw(o->be, p->value, o->moments[i].m, o->moments[i].v, p->grad, s, p->n);
    }
}

void ae_optimizer_drop(ae_optimizer *o) {
    for (ptrdiff_t i = 0; i < o->n; i++)
        o->be->zero(o->be, o->params[i].grad, (size_t)o->params[i].n * sizeof(float));
}

/* A host buffer for the largest parameter. */
static ae_status make_room(const ae_optimizer *o, float **room) {
    int64_t most = 1;
    for (ptrdiff_t i = 0; i < o->n; i++) most = ae_max(most, o->params[i].n);
    *room = malloc((size_t)most * sizeof **room);
    return *room ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "optimiser: out of memory for its largest tensor");
}

static void key_of(char *key, char which, const char *name) {
    snprintf(key, KEY_BYTES, "%c.%s", which, name);
}

static ae_status save_one(const ae_optimizer *o, hid_t file, const char *path, char which, ptrdiff_t i,
                          float *room) {
    char key[KEY_BYTES];
    key_of(key, which, o->params[i].name);
    return write_moment(o, file, path, key, which == 'm' ? o->moments[i].m : o->moments[i].v, o->params[i].n,
                        room);
}

ae_status ae_optimizer_save(const ae_optimizer *o, const char *path, ae_optimizer_call written) {
    ae_status st = AE_OK;
    hid_t file = -1;
    float *room = NULL;
    AE_TRY(make_room(o, &room));
    AE_TRY(ae_h5_create(&file, path));
    AE_TRY(ae_h5_set_attr_int(file, path, "updates", o->updates));
    for (ptrdiff_t i = 0; i < o->n; i++) {
        AE_TRY(save_one(o, file, path, 'm', i, room));
        AE_TRY(save_one(o, file, path, 'v', i, room));
        tell(written, i);
    }
out:
    if (file >= 0) {
        ae_status closed = ae_h5_close(file, path);
        if (st == AE_OK) st = closed;
    }
    free(room);
    return st;
}

static ae_status load_one(ae_optimizer *o, hid_t file, const char *path, char which, ptrdiff_t i,
                          float *room) {
    char key[KEY_BYTES];
    key_of(key, which, o->params[i].name);
    return read_moment(o, file, path, key, which == 'm' ? o->moments[i].m : o->moments[i].v, o->params[i].n,
                       room);
}

ae_status ae_optimizer_load(ae_optimizer *o, const char *path) {
    ae_status st = AE_OK;
    hid_t file = -1;
    float *room = NULL;
    AE_TRY(make_room(o, &room));
    AE_TRY(ae_h5_open(&file, path));
    AE_TRY(ae_h5_attr_int(file, path, "updates", &o->updates));
    for (ptrdiff_t i = 0; i < o->n; i++) {
        AE_TRY(load_one(o, file, path, 'm', i, room));
        AE_TRY(load_one(o, file, path, 'v', i, room));
    }
out:
    if (file >= 0) ae_h5_close(file, path);
    free(room);
    return st;
}
