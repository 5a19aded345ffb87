#include "core/file.h"
#include "core/rng.h"
#include "optim/optimizer.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARAMS = 4, LARGEST = 5000 };
static const int64_t sizes[PARAMS] = {1, 17, 64, LARGEST};
static const bool decays[PARAMS] = {true, false, true, true};
static const char *const names[PARAMS] = {"a.weight", "b.bias", "c", "model.layers.0.x.weight"};
static const ae_adamw_options options = {
    .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip_norm = 1};

typedef struct {
    ae_backend be;
    ae_optim_param params[PARAMS];
    ae_optimizer o;
    double w[PARAMS][LARGEST], m[PARAMS][LARGEST], v[PARAMS][LARGEST]; /* the reference */
} rig;

static void upload(rig *r, ae_f32 *to, int64_t n, uint64_t stream, double scale, double *copy) {
    float *x = malloc((size_t)n * sizeof *x);
    ae_rng rng = ae_rng_make(7, stream);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)(scale * ae_rng_normal(&rng));
        if (copy) copy[i] = (double)x[i];
    }
    r->be.upload(&r->be, to, x, (size_t)n * sizeof *x);
    free(x);
}

static rig *open_rig(bool strict) {
    rig *r = calloc(1, sizeof *r);
    cr_assert_not_null(r);
    cr_assert_eq(strict ? ae_backend_strict(&r->be, &(ae_backend_options){.threads = 2})
                        : ae_backend_cpu(&r->be, &(ae_backend_options){.threads = 2}),
                 AE_OK);
    for (int i = 0; i < PARAMS; i++) {
        void *value, *grad;
        cr_assert_eq(r->be.alloc(&r->be, &value, (size_t)sizes[i] * 4), AE_OK);
        cr_assert_eq(r->be.alloc(&r->be, &grad, (size_t)sizes[i] * 4), AE_OK);
        upload(r, value, sizes[i], (uint64_t)i, 1, r->w[i]);
        r->be.zero(&r->be, grad, (size_t)sizes[i] * 4);
        r->params[i] = (ae_optim_param){
            .name = names[i], .value = value, .grad = grad, .n = sizes[i], .decays = decays[i]};
    }
    cr_assert_eq(ae_optimizer_init(&r->o, &r->be, &options, r->params, PARAMS), AE_OK);
    return r;
}

static void close_rig(rig *r) {
    ae_optimizer_free(&r->o);
    for (int i = 0; i < PARAMS; i++) {
        r->be.release(&r->be, r->params[i].value, (size_t)sizes[i] * 4);
        r->be.release(&r->be, r->params[i].grad, (size_t)sizes[i] * 4);
    }
    ae_backend_free(&r->be);
    free(r);
}

/* Gradients of one step, on the device and in `g`; returns their norm. */
static double set_gradients(rig *r, uint64_t step, double scale, double g[PARAMS][LARGEST]) {
    double sum = 0;
    for (int i = 0; i < PARAMS; i++) {
        upload(r, r->params[i].grad, sizes[i], 100 * step + (uint64_t)i, scale, g[i]);
        for (int64_t k = 0; k < sizes[i]; k++) sum += g[i][k] * g[i][k];
    }
    return sqrt(sum);
}

static void reference_step(rig *r, double g[PARAMS][LARGEST], double lr, double norm, double u) {
    double clip = fmin(1, options.clip_norm / (norm + 1e-6));
    for (int i = 0; i < PARAMS; i++) {
        for (int64_t k = 0; k < sizes[i]; k++) {
            double x = clip * g[i][k], *m = &r->m[i][k], *v = &r->v[i][k], *w = &r->w[i][k];
            *m = options.beta1 * *m + (1 - options.beta1) * x;
            *v = options.beta2 * *v + (1 - options.beta2) * x * x;
            double mean = *m / (1 - pow(options.beta1, u)), square = *v / (1 - pow(options.beta2, u));
            *w -= lr * (mean / (sqrt(square) + options.eps) + (decays[i] ? options.weight_decay * *w : 0));
        }
    }
}

static double largest_error(rig *r) {
    double most = 0;
    float *x = malloc(LARGEST * sizeof *x);
    for (int i = 0; i < PARAMS; i++) {
        r->be.download(&r->be, x, r->params[i].value, (size_t)sizes[i] * 4);
        for (int64_t k = 0; k < sizes[i]; k++) most = fmax(most, fabs((double)x[k] - r->w[i][k]));
    }
    free(x);
    return most;
}

static int backends[] = {0, 1};
ParameterizedTestParameters(optimizer, follows_the_formula) {
    return cr_make_param_array(int, backends, 2);
}
ParameterizedTest(const int *strict, optimizer, follows_the_formula) {
    rig *r = open_rig(*strict);
    double(*g)[LARGEST] = calloc(PARAMS, sizeof *g);
    for (uint64_t step = 1; step <= 8; step++) {
        double norm = set_gradients(r, step, step % 2 ? 1.0 : 1e-4, g); /* clipped, and not */
        double found = ae_optimizer_grad_norm(&r->o), lr = 1e-2 / (double)step;
        cr_assert_float_eq(found, norm, 1e-6 * norm);
        ae_optimizer_update(&r->o, lr, found);
        reference_step(r, g, lr, norm, (double)step);
        cr_assert_eq(ae_optimizer_grad_norm(&r->o), 0.0, "gradients are cleared");
    }
    cr_assert_lt(largest_error(r), 2e-6);
    free(g);
    close_rig(r);
}

ParameterizedTestParameters(optimizer, dropped_gradients_change_nothing) {
    return cr_make_param_array(int, backends, 2);
}
ParameterizedTest(const int *strict, optimizer, dropped_gradients_change_nothing) {
    rig *r = open_rig(*strict);
    float bad = NAN;
    double(*g)[LARGEST] = calloc(PARAMS, sizeof *g);
    set_gradients(r, 1, 1, g);
    r->be.upload(&r->be, r->params[1].grad, &bad, sizeof bad);
    cr_assert_not(isfinite(ae_optimizer_grad_norm(&r->o)));
    ae_optimizer_drop(&r->o);
    cr_assert_eq(ae_optimizer_grad_norm(&r->o), 0.0);
    cr_assert_eq(largest_error(r), 0.0);
    cr_assert_eq(r->o.updates, 0);
    free(g);
    close_rig(r);
}

Test(optimizer, memory_is_what_was_foretold) {
    rig *r = open_rig(false);
    cr_assert_eq(ae_optimizer_bytes(AE_MOMENTS_F32, r->params, PARAMS), r->o.bytes);
    cr_assert_geq(r->o.bytes, 2 * 4 * (size_t)(1 + 17 + 64 + LARGEST));
    close_rig(r);
}

static void step_both(rig *a, rig *b, uint64_t step) {
    double(*g)[LARGEST] = calloc(PARAMS, sizeof *g);
    rig *both[] = {a, b};
    for (int i = 0; i < 2; i++) {
        set_gradients(both[i], step, 1, g);
        ae_optimizer_update(&both[i]->o, 1e-2, ae_optimizer_grad_norm(&both[i]->o));
    }
    free(g);
}

Test(optimizer, a_saved_state_goes_on_bit_for_bit) {
    char folder[] = "/tmp/aerie-test-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/o.h5", folder);
    rig *a = open_rig(false), *b = open_rig(false);
    for (uint64_t step = 1; step <= 3; step++) step_both(a, b, step);
    cr_assert_eq(ae_optimizer_save(&a->o, path, (ae_optimizer_call){0}), AE_OK, "%s", ae_error_message());
    a->be.zero(&a->be, a->o.memory, a->o.bytes);
    a->o.updates = 0;
    cr_assert_eq(ae_optimizer_load(&a->o, path), AE_OK, "%s", ae_error_message());
    cr_assert_eq(a->o.updates, 3);
    step_both(a, b, 4);
    float *x = malloc(LARGEST * sizeof *x), *y = malloc(LARGEST * sizeof *y);
    for (int i = 0; i < PARAMS; i++) {
        a->be.download(&a->be, x, a->params[i].value, (size_t)sizes[i] * 4);
        b->be.download(&b->be, y, b->params[i].value, (size_t)sizes[i] * 4);
        cr_assert_eq(memcmp(x, y, (size_t)sizes[i] * 4), 0, "%s", names[i]);
    }
    free(x);
    free(y);
    close_rig(a);
    close_rig(b);
    cr_assert_eq(ae_folder_remove(folder), AE_OK);
}

Test(optimizer, a_state_of_other_sizes_is_refused) {
    char folder[] = "/tmp/aerie-test-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/o.h5", folder);
    rig *r = open_rig(false);
    cr_assert_eq(ae_optimizer_save(&r->o, path, (ae_optimizer_call){0}), AE_OK);
    r->o.params[2].n = 32;
    cr_assert_eq(ae_optimizer_load(&r->o, path), AE_ERR_INPUT);
    cr_assert_not_null(strstr(ae_error_message(), "m.c"), "%s", ae_error_message());
    r->o.params[2].n = 64;
    close_rig(r);
    cr_assert_eq(ae_folder_remove(folder), AE_OK);
}

Test(optimizer, other_types_of_moments_are_refused_by_name) {
    static const struct {
        ae_moment_type type;
        const char *name;
    } others[] = {{AE_MOMENTS_BF16, "bfloat16"}, {AE_MOMENTS_INT8, "8 bits"}};
    rig *r = open_rig(false);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ae_optimizer o;
        ae_adamw_options with = options;
        with.moments = others[i].type;
        cr_assert_eq(ae_optimizer_init(&o, &r->be, &with, r->params, PARAMS), AE_ERR_USAGE);
        cr_assert_not_null(strstr(ae_error_message(), others[i].name), "%s", ae_error_message());
    }
    close_rig(r);
}

/* ---- who is told ---- */

typedef struct {
    rig *r;
    int calls;
    float seen[PARAMS]; /* the first value of parameter i when it was told of */
} watcher;

static void watch(void *context, ptrdiff_t i) {
    watcher *w = context;
    cr_assert_eq(i, w->calls++, "parameters come in order");
    w->r->be.download(&w->r->be, &w->seen[i], w->r->params[i].value, sizeof(float));
}

Test(optimizer, tells_of_each_parameter_before_it_changes) {
    rig *r = open_rig(false);
    double(*g)[LARGEST] = calloc(PARAMS, sizeof *g);
    float before[PARAMS], after[PARAMS];
    set_gradients(r, 1, 1, g);
    watcher w = {.r = r};
    r->o.before = (ae_optimizer_call){watch, &w};
    for (int i = 0; i < PARAMS; i++) r->be.download(&r->be, &before[i], r->params[i].value, sizeof(float));
    ae_optimizer_update(&r->o, 1e-2, ae_optimizer_grad_norm(&r->o));
    for (int i = 0; i < PARAMS; i++) {
        r->be.download(&r->be, &after[i], r->params[i].value, sizeof(float));
        cr_assert(w.seen[i] == before[i] && after[i] != before[i], "%s", names[i]);
    }
    free(g);
    cr_assert_eq(w.calls, PARAMS);
    ae_optimizer_drop(&r->o);
    cr_assert_eq(w.calls, PARAMS, "dropping changes none");
    close_rig(r);
}
