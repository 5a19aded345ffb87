#include "tests/ops/rig.h"

#include "core/threads.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STEP 1e-30

/* More than the machine may have: shares of columns and rows come out uneven. Sizes of scratch follow it. */
enum { THREADS = 3 };

struct criterion_test_params rig_choices(void) {
    static rig_choice choices[] = {{.strict = 0}, {.avx2 = 1}, {.strict = 1}};
    return cr_make_param_array(rig_choice, choices, sizeof choices / sizeof *choices);
}

struct criterion_test_params rig_typed_choices(void) {
    static rig_choice choices[] = {
        {.strict = 0},         {.avx2 = 1}, {.strict = 1}, {.bf16 = 1}, {.bf16 = 1, .products = 1},
        {.bf16 = 1, .avx2 = 1}};
    return cr_make_param_array(rig_choice, choices, sizeof choices / sizeof *choices);
}

/* Or as the tests were started. */
static void cap_isa(bool avx2) {
    static char given[16] = "";
    static bool known;
    const char *now = getenv("AERIE_ISA");
    if (!known && now) (void)snprintf(given, sizeof given, "%s", now);
    known = true;
    const int st = avx2     ? setenv("AERIE_ISA", "avx2", 1)
                   : *given ? setenv("AERIE_ISA", given, 1)
                            : unsetenv("AERIE_ISA");
    cr_assert_eq(st, 0);
}

void rig_open(rig *r, const rig_choice *choice) {
    const ae_backend_options options = {.threads = THREADS,
                                        .dtype = choice->bf16 ? AE_DTYPE_BF16 : AE_DTYPE_F32};
    *r = (rig){.seed = 1, .bf16 = choice->bf16, .every_element = RIG_EVERY_ELEMENT, .floor = RIG_FLOOR};
    cap_isa(choice->avx2);
    cr_assert_eq(setenv("AERIE_PRODUCTS", choice->products ? "bf16" : "f32", 1), 0);
    const ae_status st =
        choice->strict ? ae_backend_strict(&r->be, &options) : ae_backend_cpu(&r->be, &options);
    cr_assert_eq(st, AE_OK, "%s", ae_error_message());
    cr_assert_eq(r->be.act_bytes, r->bf16 ? sizeof(uint16_t) : sizeof(float));
    (void)snprintf(r->label, sizeof r->label, "%s %s", r->be.name, r->be.kernels);
}

static void release_pieces(rig *r) {
    for (int i = 0; i < r->n_pieces; i++) {
        if (r->pieces[i].bytes > 0)
            r->be.release(&r->be, r->pieces[i].ptr, r->pieces[i].bytes);
        else
            free(r->pieces[i].ptr);
    }
    r->n_pieces = 0;
}

void rig_close(rig *r) {
    release_pieces(r);
    ae_backend_free(&r->be);
}

void rig_next(rig *r, const char *fmt, ...) {
    release_pieces(r);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(r->where, sizeof r->where, fmt, ap);
    va_end(ap);
}

static void keep(rig *r, void *ptr, size_t bytes) {
    cr_assert(r->n_pieces < RIG_PIECES, "too many arrays in one case");
    r->pieces[r->n_pieces].ptr = ptr;
    r->pieces[r->n_pieces++].bytes = bytes;
}

void *rig_host(rig *r, size_t bytes) {
    void *p = calloc(1, bytes + 1);
    cr_assert_not_null(p);
    keep(r, p, 0);
    return p;
}

void *rig_device(rig *r, size_t bytes) {
    void *p = NULL, *nan = malloc(bytes + 1);
    cr_assert_not_null(nan);
    memset(nan, 0xff, bytes + 1);
    cr_assert_eq(r->be.alloc(&r->be, &p, bytes + 1), AE_OK, "%s", ae_error_message());
    keep(r, p, bytes + 1);
    r->be.upload(&r->be, p, nan, bytes + 1);
    free(nan);
    return p;
}

ae_room rig_room(rig *r, size_t bytes) {
    return (ae_room){rig_device(r, bytes), bytes};
}

ae_weight *rig_pack(rig *r, const void *master, ptrdiff_t rows, ptrdiff_t cols) {
    void *room = rig_device(r, r->be.weight_bytes(&r->be, rows, cols, false));
    r->be.weight_pack(&r->be, room, master, rows, cols, false);
    return room;
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static uint16_t bf16_of(float x) {
    const uint32_t bits = bits_of(x);
    return (uint16_t)((isnan(x) ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float of_bf16(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool narrow(const rig *r, bool act) {
    return act && r->bf16;
}

static rig_array array(rig *r, ptrdiff_t n, bool act) {
    const size_t count = (size_t)n;
    return (rig_array){.n = n,
                       .act = act,
                       .x = rig_host(r, count * sizeof(float)),
                       .dev = rig_device(r, count * (act ? r->be.act_bytes : sizeof(float))),
                       .d = rig_host(r, count * sizeof(double)),
                       .c = rig_host(r, count * sizeof(double complex))};
}

void rig_write(rig *r, const rig_array *a) {
    if (!narrow(r, a->act)) {
        r->be.upload(&r->be, a->dev, a->x, (size_t)a->n * sizeof *a->x);
        return;
    }
    uint16_t *half = malloc((size_t)a->n * sizeof *half + 1);
    cr_assert_not_null(half);
    for (ptrdiff_t i = 0; i < a->n; i++) half[i] = bf16_of(a->x[i]);
    r->be.upload(&r->be, a->dev, half, (size_t)a->n * sizeof *half);
    free(half);
}

static rig_array values(rig *r, const float *x, ptrdiff_t n, bool act) {
    rig_array a = array(r, n, act);
    for (ptrdiff_t i = 0; i < n; i++) {
        a.x[i] = narrow(r, act) ? of_bf16(bf16_of(x[i])) : x[i];
        a.d[i] = (double)a.x[i];
        a.c[i] = a.d[i];
    }
    rig_write(r, &a);
    return a;
}

rig_array rig_values(rig *r, const float *x, ptrdiff_t n) {
    return values(r, x, n, false);
}

rig_array rig_act_values(rig *r, const float *x, ptrdiff_t n) {
    return values(r, x, n, true);
}

double rig_tolerance(const rig *r, double f32, double bf16) {
    return r->bf16 ? bf16 : f32;
}

/* splitmix64 */
static uint64_t next_bits(rig *r) {
    uint64_t z = (r->seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double rig_random(rig *r) {
    return (double)(next_bits(r) >> 11) * 0x1p-53;
}

static double random_normal(rig *r) {
    const double radius = sqrt(-2 * log(1 - rig_random(r)));
    return radius * cos(2 * acos(-1) * rig_random(r));
}

static float *normal_values(rig *r, double scale, ptrdiff_t n) {
    float *x = rig_host(r, (size_t)n * sizeof *x);
    for (ptrdiff_t i = 0; i < n; i++) x[i] = (float)(scale * random_normal(r));
    return x;
}

rig_array rig_normal(rig *r, double scale, ptrdiff_t n) {
    return rig_values(r, normal_values(r, scale, n), n);
}

rig_array rig_act_normal(rig *r, double scale, ptrdiff_t n) {
    return rig_act_values(r, normal_values(r, scale, n), n);
}

rig_array rig_weights(rig *r, double scale, ptrdiff_t n) {
    float *x = normal_values(r, scale, n);
    for (ptrdiff_t i = 0; r->bf16 && i < n; i++) x[i] = of_bf16(bf16_of(x[i]));
    return rig_values(r, x, n);
}

rig_array rig_zeros(rig *r, ptrdiff_t n) {
    return rig_values(r, rig_host(r, (size_t)n * sizeof(float)), n);
}

static rig_array output(rig *r, ptrdiff_t n, bool act) {
    rig_array a = array(r, n, act);
    for (ptrdiff_t i = 0; i < n; i++) a.x[i] = NAN;
    return a;
}

rig_array rig_output(rig *r, ptrdiff_t n) {
    return output(r, n, false);
}

rig_array rig_act_output(rig *r, ptrdiff_t n) {
    return output(r, n, true);
}

rig_ints rig_numbers(rig *r, const int32_t *x, ptrdiff_t n) {
    const size_t bytes = (size_t)n * sizeof *x;
    rig_ints a = {n, rig_host(r, bytes), rig_device(r, bytes)};
    memcpy(a.x, x, bytes);
    r->be.upload(&r->be, a.dev, x, bytes);
    return a;
}

static int32_t below(rig *r, ptrdiff_t limit) {
    return (int32_t)(rig_random(r) * (double)limit);
}

rig_ints rig_below(rig *r, int32_t limit, ptrdiff_t n) {
    int32_t *x = rig_host(r, (size_t)n * sizeof *x);
    for (ptrdiff_t i = 0; i < n; i++) x[i] = below(r, limit);
    return rig_numbers(r, x, n);
}

float *rig_read(rig *r, const rig_array *a) {
    float *x = rig_host(r, (size_t)a->n * sizeof *x);
    if (!narrow(r, a->act)) {
        r->be.download(&r->be, x, a->dev, (size_t)a->n * sizeof *x);
        return x;
    }
    uint16_t *half = malloc((size_t)a->n * sizeof *half + 1);
    cr_assert_not_null(half);
    r->be.download(&r->be, half, a->dev, (size_t)a->n * sizeof *half);
    for (ptrdiff_t i = 0; i < a->n; i++) x[i] = of_bf16(half[i]);
    free(half);
    return x;
}

static ptrdiff_t document_length(rig *r, rig_layout layout, ptrdiff_t T) {
    switch (layout) {
    case RIG_SINGLE:
        return 1;
    case RIG_SHORT:
        return 1 + below(r, 5);
    case RIG_LONG:
    case RIG_MIDDLE:
        return 1 + below(r, T);
    default:
        return T;
    }
}

static void forked_row(rig *r, int32_t *x, ptrdiff_t T) {
    for (ptrdiff_t t = 0; t < T;) {
        const ptrdiff_t trunk = 1 + below(r, 1 + T / 3), forks = below(r, 5);
        for (ptrdiff_t i = 0; i < trunk && t < T; i++) x[t++] = (int32_t)i;
        for (ptrdiff_t k = 0; k < forks; k++) {
            const ptrdiff_t n = 1 + below(r, 1 + T / 4);
            for (ptrdiff_t i = 0; i < n && t < T; i++) x[t++] = (int32_t)(trunk + i);
        }
    }
}

rig_ints rig_positions(rig *r, rig_layout layout, ptrdiff_t B, ptrdiff_t T) {
    int32_t *x = rig_host(r, (size_t)(B * T) * sizeof *x);
    for (ptrdiff_t b = 0; b < B && layout == RIG_FORKED; b++) forked_row(r, x + b * T, T);
    for (ptrdiff_t b = 0; b < B && layout != RIG_FORKED; b++) {
        int32_t position = layout == RIG_MIDDLE ? 1 + below(r, 2 * T) : 0;
        ptrdiff_t left = document_length(r, layout, T);
        for (ptrdiff_t t = 0; t < T; t++) {
            if (left-- == 0) {
                position = 0;
                left = document_length(r, layout, T) - 1;
            }
            x[b * T + t] = position++;
        }
    }
    return rig_numbers(r, x, B * T);
}

rig_array rig_cut(rig *r, const rig_array *a, ptrdiff_t B, ptrdiff_t whole, ptrdiff_t from, ptrdiff_t T) {
    const ptrdiff_t width = a->n / (B * whole);
    float *part = rig_host(r, (size_t)(B * T * width) * sizeof *part);
    for (ptrdiff_t b = 0; b < B; b++)
        memcpy(part + b * T * width, a->x + (b * whole + from) * width, (size_t)(T * width) * sizeof *part);
    return values(r, part, B * T * width, a->act);
}

rig_ints rig_cut_numbers(rig *r, const rig_ints *a, ptrdiff_t B, ptrdiff_t whole, ptrdiff_t from,
                         ptrdiff_t T) {
    int32_t *part = rig_host(r, (size_t)(B * T) * sizeof *part);
    for (ptrdiff_t b = 0; b < B; b++) memcpy(part + b * T, a->x + b * whole + from, (size_t)T * sizeof *part);
    return rig_numbers(r, part, B * T);
}

void rig_paste(float *rows, const float *part, ptrdiff_t B, ptrdiff_t whole, ptrdiff_t from, ptrdiff_t T,
               ptrdiff_t width) {
    for (ptrdiff_t b = 0; b < B; b++)
        memcpy(rows + (b * whole + from) * width, part + b * T * width, (size_t)(T * width) * sizeof *part);
}

static void show(const rig *r, const char *what, double error, double tolerance) {
    if (getenv("AERIE_RIG_SHOW"))
        (void)fprintf(stderr, "rig %-12s %-24s %-40s %9.2e of %9.2e\n", r->label, what, r->where, error,
                      tolerance);
}

static double root_mean_square(const double *x, ptrdiff_t n) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++) sum += x[i] * x[i];
    return n > 0 ? sqrt(sum / (double)n) : 0;
}

static void expect(const rig *r, const char *what, const float *got, const double *want, ptrdiff_t n,
                   double base, double tolerance) {
    double worst = 0;
    ptrdiff_t at = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double off = fabs((double)got[i] - want[i]);
        const double error = off / (fabs(want[i]) + base + r->floor);
        if (!(error <= worst)) worst = error, at = i;
        if (isnan(error)) break;
    }
    show(r, what, worst, tolerance);
    cr_assert(worst <= tolerance, "%s: %s (%s): [%td] is %.9g, expected %.9g: off by %.2e, allowed %.2e",
              r->label, what, r->where, at, n > 0 ? (double)got[at] : 0.0, n > 0 ? want[at] : 0.0, worst,
              tolerance);
}

void rig_expect(const rig *r, const char *what, const float *got, const double *want, ptrdiff_t n,
                double tolerance) {
    expect(r, what, got, want, n, root_mean_square(want, n), tolerance);
}

void rig_expect_bits(const rig *r, const char *what, const float *got, const float *want, ptrdiff_t n) {
    ptrdiff_t at = 0;
    while (at < n && bits_of(got[at]) == bits_of(want[at])) at++;
    cr_assert(at == n, "%s: %s (%s): [%td] of %td is %.9g, expected the bits of %.9g", r->label, what,
              r->where, at, n, (double)got[at < n ? at : 0], (double)want[at < n ? at : 0]);
}

void rig_expect_sum(rig *r, const char *what, const float *got, const float *before, const float *gradient,
                    ptrdiff_t n) {
    double *want = rig_host(r, (size_t)n * sizeof *want);
    for (ptrdiff_t i = 0; i < n; i++) want[i] = (double)before[i] + (double)gradient[i];
    rig_expect(r, what, got, want, n, 1e-5);
}

double complex rig_dot(const double *weights, const double complex *x, ptrdiff_t n) {
    double complex sum = 0;
    for (ptrdiff_t i = 0; i < n; i++) sum += weights[i] * x[i];
    return sum;
}

static double derivative_at(const rig_array *input, ptrdiff_t i, rig_loss *loss, void *context) {
    input->c[i] = ref_complex(input->d[i], STEP);
    const double g = cimag(loss(context)) / STEP;
    input->c[i] = input->d[i];
    return g;
}

static void expect_elements(rig *r, const char *what, const float *got, const rig_array *input,
                            ptrdiff_t count, rig_loss *loss, void *context, double tolerance) {
    float *some = rig_host(r, (size_t)count * sizeof *some);
    double *want = rig_host(r, (size_t)count * sizeof *want);
    double *whole = rig_host(r, (size_t)input->n * sizeof *whole);
    for (ptrdiff_t i = 0; i < input->n; i++) whole[i] = (double)got[i];
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t at = count == input->n ? i : below(r, input->n);
        some[i] = got[at];
        want[i] = derivative_at(input, at, loss, context);
    }
    expect(r, what, some, want, count, root_mean_square(whole, input->n), tolerance);
}

/* <v, gradient> with v normal is off by about the norm of the gradient's error. */
static void expect_direction(rig *r, const char *what, const float *got, const rig_array *input,
                             rig_loss *loss, void *context, double tolerance) {
    double along = 0, squares = 0;
    for (ptrdiff_t i = 0; i < input->n; i++) {
        const double v = random_normal(r);
        input->c[i] = ref_complex(input->d[i], STEP * v);
        along += v * (double)got[i];
        squares += (double)got[i] * (double)got[i];
    }
    const double want = cimag(loss(context)) / STEP;
    for (ptrdiff_t i = 0; i < input->n; i++) input->c[i] = input->d[i];
    const double off = fabs(along - want), error = off / (sqrt(squares) + fabs(want) + r->floor);
    show(r, what, error, tolerance);
    cr_assert(error <= tolerance,
              "%s: %s (%s): along a direction %.9g, expected %.9g: off by %.2e, allowed %.2e", r->label, what,
              r->where, along, want, error, tolerance);
}

void rig_expect_gradient(rig *r, const char *what, const float *got, const rig_array *input, rig_loss *loss,
                         void *context, double tolerance) {
    if (input->n <= r->every_element) {
        expect_elements(r, what, got, input, input->n, loss, context, tolerance);
        return;
    }
    expect_elements(r, what, got, input, RIG_ELEMENTS, loss, context, 10 * tolerance);
    for (int i = 0; i < RIG_DIRECTIONS; i++) expect_direction(r, what, got, input, loss, context, tolerance);
}

/* How a run goes: with so many threads; where OpenMP grants one of those asked for, since no region may be active or one is already; and
 * from a thread beside, to which OpenMP would give other threads, with fewer of them and with all. */
typedef struct {
    int threads;
    enum { HERE, NONE_ACTIVE, NESTED, BESIDE } how;
} setting;
static const setting settings[] = {{1, HERE},   {THREADS, HERE}, {THREADS, NONE_ACTIVE},
                                   {2, NESTED}, {2, BESIDE},     {THREADS, BESIDE}};

typedef struct {
    rig *r;
    rig_run *run;
    void *context;
} call;

static void run_nested(const call *c) {
#pragma omp parallel num_threads(2)
#pragma omp single
    c->run(c->r, c->context);
}

static void run_where_none_is_active(const call *c) {
    const int levels = omp_get_max_active_levels();
    omp_set_max_active_levels(0);
    c->run(c->r, c->context);
    omp_set_max_active_levels(levels);
}

static void *run_beside(void *call_) {
    const call *c = call_;
    omp_set_num_threads(THREADS + 2);
    c->run(c->r, c->context);
    return NULL;
}

static void run_with(const setting *s, call *c) {
    pthread_t thread;
    ae_backend_set_threads(&c->r->be, s->threads);
    switch (s->how) {
    case HERE:
        c->run(c->r, c->context);
        break;
    case NONE_ACTIVE:
        run_where_none_is_active(c);
        break;
    case NESTED:
        run_nested(c);
        break;
    case BESIDE:
        cr_assert_eq(pthread_create(&thread, NULL, run_beside, c), 0);
        pthread_join(thread, NULL);
        break;
    }
    ae_backend_set_threads(&c->r->be, THREADS);
}

void rig_expect_same_on_threads(rig *r, const char *what, rig_run *run, void *context,
                                const rig_array *arrays, int n) {
    float *first[16] = {NULL};
    cr_assert(n <= 16);
    for (size_t s = 0; s < COUNT(settings); s++) {
        for (int i = 0; i < n; i++) rig_write(r, &arrays[i]);
        run_with(&settings[s], &(call){r, run, context});
        for (int i = 0; i < n; i++) {
            float *now = rig_read(r, &arrays[i]);
            if (s == 0) first[i] = now;
            rig_expect_bits(r, what, now, first[i], arrays[i].n);
        }
    }
}
