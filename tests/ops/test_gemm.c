#include "core/machine.h"
#include "ops/backend.h"
#include "ops/cpu/blocked.h"
#include "ops/cpu/gemm.h"
#include "ops/cpu/gemm_bf16.h"
#include "ops/cpu/panels.h"

#include <criterion/criterion.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static ae_backend team;

/* Products on every instruction set and engine that this machine has: every test is a process. */
static void choose(const char *isa, ae_isa least, const char *products) {
    setenv("AERIE_ISA", isa, 1);
    setenv("AERIE_PRODUCTS", products, 1);
    if (ae_isa_pick() < least) cr_skip_test("no %s on this machine", isa);
    if (strcmp(ae_products_name(ae_products_pick()), products) != 0)
        cr_skip_test("no products of %s on this machine", products);
    cr_assert_eq(ae_backend_cpu(&team, &(ae_backend_options){.threads = 3}), AE_OK);
}

#define ON_EVERY_ENGINE(name)                                                                                \
    static void name(void);                                                                                  \
    Test(gemm, name##_avx2) {                                                                                \
        choose("avx2", AE_ISA_AVX2, "f32");                                                                  \
        name();                                                                                              \
    }                                                                                                        \
    Test(gemm, name##_avx512) {                                                                              \
        choose("avx512", AE_ISA_AVX512, "f32");                                                              \
        name();                                                                                              \
    }                                                                                                        \
    Test(gemm, name##_bf16) {                                                                                \
        choose("amx", AE_ISA_AVX512, "bf16");                                                                \
        name();                                                                                              \
    }                                                                                                        \
    static void name(void)

/* ---- matrices ---- */

static float wide(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint16_t narrow(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static uint64_t seed = 1;
static float next(void) {
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (float)(int32_t)(seed >> 32) * 0x1p-31f;
}

typedef struct {
    ae_elem_type type;
    ptrdiff_t n;
    float *x; /* the values */
    void *at; /* as they are stored */
} array;

static array random_array(ae_elem_type type, ptrdiff_t n) {
    array a = {type, n, malloc((size_t)n * sizeof(float)), malloc((size_t)n * sizeof(float))};
    for (ptrdiff_t i = 0; i < n; i++) {
        a.x[i] = wide(narrow(next()));
        if (type == AE_ELEM_BF16)
            ((uint16_t *)a.at)[i] = narrow(a.x[i]);
        else
            ((float *)a.at)[i] = a.x[i];
    }
    return a;
}

static void array_free(array *a) {
    free(a->x);
    free(a->at);
}

static float value(ae_elem_type type, const void *at, ptrdiff_t i) {
    return type == AE_ELEM_BF16 ? wide(((const uint16_t *)at)[i]) : ((const float *)at)[i];
}

/* ---- one product ---- */

typedef struct {
    ptrdiff_t m, n, k;
    ae_elem_type a_type, b_type, c_type;
    bool trans_a, trans_b, bias, residual, in_place, dense;
    float alpha, beta;
} product;

typedef struct {
    product p;
    array a, b, c, bias, residual;
    ae_gemm_args g;
} made;

/* Leading dimensions are wider than the matrices unless `dense`. */
static made make(const product *p) {
    made d = {.p = *p};
    const ptrdiff_t a_rows = p->trans_a ? p->k : p->m, b_rows = p->trans_b ? p->n : p->k, gap = !p->dense;
    const ptrdiff_t lda = (p->trans_a ? p->m : p->k) + 3 * gap, ldb = (p->trans_b ? p->k : p->n) + 2 * gap,
                    ldc = p->n + gap;
    d.a = random_array(p->a_type, a_rows * lda);
    d.b = random_array(p->b_type, b_rows * ldb);
    d.c = random_array(p->c_type, p->m * ldc);
    d.bias = random_array(AE_ELEM_F32, p->n);
    d.residual = random_array(AE_ELEM_F32, p->m * ldc);
    d.g = (ae_gemm_args){.m = p->m,
                         .n = p->n,
                         .k = p->k,
                         .alpha = p->alpha,
                         .beta = p->beta,
                         .a = ae_operand(p->a_type, d.a.at, lda, p->trans_a),
                         .b = ae_operand(p->b_type, d.b.at, ldb, p->trans_b),
                         .c_type = p->c_type,
                         .ldc = ldc,
                         .c = d.c.at,
                         .bias = p->bias ? d.bias.at : NULL,
                         .residual = !p->residual  ? NULL
                                     : p->in_place ? d.c.at
                                                   : d.residual.at};
    return d;
}

static void made_free(made *d) {
    array_free(&d->a);
    array_free(&d->b);
    array_free(&d->c);
    array_free(&d->bias);
    array_free(&d->residual);
}

static double expected(const made *d, ptrdiff_t i, ptrdiff_t j, double *size) {
    const ae_gemm_args *g = &d->g;
    double sum = 0, total = 0;
    for (ptrdiff_t k = 0; k < g->k; k++) {
        const double term = (double)d->a.x[g->a.trans ? k * g->a.ld + i : i * g->a.ld + k] *
                            (double)d->b.x[g->b.trans ? j * g->b.ld + k : k * g->b.ld + j];
        sum += term;
        total += fabs(term);
    }
    const double before = (double)d->c.x[i * g->ldc + j];
    double y = (double)g->alpha * sum;
    if (d->p.bias) y += (double)d->bias.x[j];
    if (d->p.residual)
        y += d->p.in_place ? before : (double)d->residual.x[i * g->ldc + j];
    else if (!d->p.bias)
        y += (double)g->beta * before;
    *size = total + fabs(y) + 1;
    return y;
}

/* The reference takes the time. Of a large product diagonals are looked at: SKIP shares no factor with the sizes of tiles and blocks, so that
 * they cross every row and column of each and meet every place in one of the tiles. */
#ifdef __SANITIZE_ADDRESS__
enum { SKIP = 31 };
#else
enum { SKIP = 7 };
#endif
enum { LARGE_PRODUCT = 50000 };

/* Rounding of each sum to float32, and of what is stored to its type. */
static void expect_product(const made *d) {
    const ae_gemm_args *g = &d->g;
    const bool large = g->m * g->n * g->k > LARGE_PRODUCT;
    for (ptrdiff_t i = 0; i < g->m; i++) {
        for (ptrdiff_t j = 0; j < g->ldc && (j <= g->n || i + 1 < g->m); j++) {
            if (j >= g->n) {
                cr_assert_eq(value(g->c_type, g->c, i * g->ldc + j), d->c.x[i * g->ldc + j],
                             "beyond the columns");
                continue;
            }
            if (large && (i + j) % SKIP != 0) continue;
            double size;
            const double y = expected(d, i, j, &size), got = (double)value(g->c_type, g->c, i * g->ldc + j);
            const double bound = 5e-7 * size + (g->c_type == AE_ELEM_BF16 ? fabs(y) * 0x1p-8 : 0);
            cr_assert(fabs(got - y) <= bound, "%td x %td x %td at %td %td: %.9g, expected %.9g", g->m, g->n,
                      g->k, i, j, got, y);
        }
    }
}

static void try(const product *p) {
    for (int serial = 0; serial < 2; serial++) {
        made d = make(p);
        if (serial)
            ae_gemm_serial(&team, &d.g);
        else
            ae_gemm(&team, &d.g);
        expect_product(&d);
        made_free(&d);
    }
}

static const ptrdiff_t sizes[][3] = {{1, 1, 1},     {2, 17, 9},   {15, 31, 33},  {43, 65, 100}, {6, 20, 385},
                                     {70, 96, 800}, {29, 300, 5}, {530, 40, 50}, {9, 7, 0}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static product with_size(product p, int size) {
    p.m = sizes[size][0];
    p.n = sizes[size][1];
    p.k = sizes[size][2];
    return p;
}

ON_EVERY_ENGINE(types_and_layouts) {
    for (int size = 0; size < SIZES; size++)
        for (unsigned bits = 0; bits < 32; bits++) {
            const product p = {.alpha = 1,
                               .a_type = bits & 1 ? AE_ELEM_BF16 : AE_ELEM_F32,
                               .b_type = bits & 2 ? AE_ELEM_BF16 : AE_ELEM_F32,
                               .c_type = bits & 4 ? AE_ELEM_BF16 : AE_ELEM_F32,
                               .trans_a = bits & 8,
                               .trans_b = bits & 16};
            const product sized = with_size(p, size);
            try(&sized);
        }
}

ON_EVERY_ENGINE(what_is_added) {
    static const product ways[] = {
        {.alpha = 1, .beta = 1},
        {.alpha = -0.5f, .beta = 0.25f},
        {.alpha = 0.5f},
        {.alpha = 1, .bias = true, .beta = 3},
        {.alpha = 1, .residual = true, .beta = 3},
        {.alpha = 1, .residual = true, .in_place = true},
        {.alpha = 1, .bias = true, .residual = true},
        {.alpha = 2, .bias = true, .residual = true, .in_place = true},
    };
    for (int size = 0; size < SIZES; size++)
        for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
            for (unsigned bits = 0; bits < 8; bits++) {
                product p = with_size(ways[way], size);
                p.a_type = p.b_type = bits & 1 ? AE_ELEM_BF16 : AE_ELEM_F32;
                p.c_type = bits & 2 && !(p.residual && p.in_place) ? AE_ELEM_BF16 : AE_ELEM_F32;
                p.trans_a = bits & 4;
                p.trans_b = !p.trans_a;
                try(&p);
            }
}

/* ---- bits ---- */

static void expect_same_bits(const made *x, const made *y) {
    const size_t bytes =
        (size_t)(x->g.m * x->g.ldc) * (x->p.c_type == AE_ELEM_BF16 ? sizeof(uint16_t) : sizeof(float));
    cr_assert(memcmp(x->g.c, y->g.c, bytes) == 0);
}

static void expect_bits(const product *p, const made *one,
                        void run(const ae_backend *, const ae_gemm_args *)) {
    seed = 7;
    made more = make(p);
    run(&team, &more.g);
    expect_same_bits(one, &more);
    made_free(&more);
}

/* Where no region may be active OpenMP grants one thread, while a library still counts those asked for. */
static void expect_threads_do_not_matter(product p) {
    const int levels = omp_get_max_active_levels();
    ae_backend_set_threads(&team, 1);
    seed = 7;
    made one = make(&p);
    ae_gemm(&team, &one.g);
    for (int threads = 2; threads <= 3; threads++) {
        ae_backend_set_threads(&team, threads);
        omp_set_num_threads(threads);
        expect_bits(&p, &one, ae_gemm);
    }
    omp_set_max_active_levels(0);
    expect_bits(&p, &one, ae_gemm);
    omp_set_max_active_levels(levels);
    made_free(&one);
}

static void expect_calling_thread_suffices(product p) {
    const int levels = omp_get_max_active_levels();
    omp_set_num_threads(1);
    seed = 7;
    made one = make(&p);
    ae_gemm_serial(&team, &one.g);
    omp_set_num_threads(3);
    expect_bits(&p, &one, ae_gemm_serial);
    omp_set_max_active_levels(0);
    expect_bits(&p, &one, ae_gemm_serial);
    omp_set_max_active_levels(levels);
    made_free(&one);
}

ON_EVERY_ENGINE(serial_products_take_one_thread) {
    for (unsigned bits = 0; bits < 4; bits++) {
        product p = {.m = 200, .n = 300, .k = 1000, .alpha = 1, .trans_a = bits & 1, .trans_b = bits & 1};
        p.a_type = p.b_type = bits & 2 ? AE_ELEM_BF16 : AE_ELEM_F32;
        expect_calling_thread_suffices(p);
    }
}

ON_EVERY_ENGINE(bits_do_not_depend_on_threads) {
    for (unsigned bits = 0; bits < 8; bits++) {
        product p = {.m = 1050, .n = 300, .k = 500, .alpha = 1, .beta = 1};
        p.a_type = bits & 1 ? AE_ELEM_BF16 : AE_ELEM_F32;
        p.b_type = bits & 2 ? AE_ELEM_BF16 : AE_ELEM_F32;
        p.trans_a = bits & 4;
        p.trans_b = !p.trans_a;
        expect_threads_do_not_matter(p);
        p.c_type = AE_ELEM_BF16;
        p.m = 200;
        p.n = 1100;
        expect_threads_do_not_matter(p);
    }
}

/* Our own kernels sum an element in an order that depends on k alone. */
static void expect_rows_alone_have_the_same_bits(void) {
    const product p = {.m = 600, .n = 70, .k = 800, .alpha = 1, .a_type = AE_ELEM_BF16, .trans_b = true};
    made all = make(&p);
    ae_gemm(&team, &all.g);
    float *few = malloc((size_t)all.g.ldc * 17 * sizeof *few);
    for (ptrdiff_t i = 0; i + 17 <= p.m; i += 100) {
        ae_gemm_args g = all.g;
        g.m = 17;
        g.a.at = (const uint16_t *)all.g.a.at + i * g.a.ld;
        g.c = few;
        ae_gemm(&team, &g);
        for (ptrdiff_t r = 0; r < g.m; r++)
            cr_assert(
                memcmp(few + r * g.ldc, (float *)all.g.c + (i + r) * g.ldc, (size_t)p.n * sizeof *few) == 0);
    }
    free(few);
    made_free(&all);
}

ON_EVERY_ENGINE(rows_alone_have_the_same_bits) {
    expect_rows_alone_have_the_same_bits();
}

ON_EVERY_ENGINE(many_at_once_are_each_alone) {
    product p[3] = {{.m = 600, .n = 64, .k = 500, .alpha = 1, .a_type = AE_ELEM_BF16, .trans_b = true},
                    {.m = 40, .n = 200, .k = 30, .alpha = 1, .b_type = AE_ELEM_BF16},
                    {.m = 300,
                     .n = 1100,
                     .k = 70,
                     .alpha = 1,
                     .bias = true,
                     .a_type = AE_ELEM_BF16,
                     .c_type = AE_ELEM_BF16}};
    made d[3];
    ae_gemm_args g[3];
    for (int i = 0; i < 3; i++) {
        d[i] = make(&p[i]);
        g[i] = d[i].g;
    }
    ae_gemm_many(&team, g, 3);
    for (int i = 0; i < 3; i++) {
        expect_product(&d[i]);
        made_free(&d[i]);
    }
}

/* The values of w as the engine at hand takes them beside activations of bfloat16: float32, or blocked in `panels`. */
static ae_gemm_operand unpacked(float *rows, uint16_t *panels, const ae_cpu_weight *w) {
    const ptrdiff_t k = w->cols, n = w->rows;
    for (ptrdiff_t j = 0; j < n; j++) ae_cpu_panels_row(rows + j * k, w, j, 1);
    const ae_gemm_operand b = ae_operand(AE_ELEM_F32, rows, k, true);
    if (ae_products_pick() != AE_PRODUCTS_BF16 || !ae_gemm_bf16_takes_blocked()) return b;
    for (ptrdiff_t j = 0; j < n; j += AE_BLOCKED_COLS)
        ae_blocked_pack(panels + j * ae_blocked_depth(k), &b, k, j, ae_min(AE_BLOCKED_COLS, n - j));
    return ae_blocked_operand(panels, k);
}

static void try_panels(product p, ae_weight_type type) {
    made d = make(&p);
    const ae_weight_shape shape = {.type = type, .rows = p.n, .cols = p.k, .group = 32};
    ae_weight *w = aligned_alloc(64, (ae_cpu_compact_bytes(&team, &shape) + 63) / 64 * 64);
    ae_cpu_compact_init(&team, w, &shape);
    float *rows = malloc((size_t)(p.n * p.k) * sizeof *rows), *c = calloc((size_t)(p.m * d.g.ldc), sizeof *c);
    uint16_t *panels = aligned_alloc(64, (size_t)ae_blocked_elements(p.k, p.n) * sizeof *panels);
    for (ptrdiff_t j = 0; j < p.n; j++)
        memcpy(rows + j * p.k, d.b.x + j * d.g.b.ld, (size_t)p.k * sizeof *rows);
    ae_cpu_compact_put(&team, w, 0, p.n, rows, NULL);
    d.g.b = unpacked(rows, panels, ae_cpu_weight_of(w));
    ae_gemm(&team, &d.g);
    ae_gemm_args g = d.g;
    g.b = ae_weight_operand(ae_cpu_weight_of(w), true);
    g.c = c;
    ae_gemm(&team, &g);
    for (ptrdiff_t r = 0; r < p.m; r++)
        cr_assert(memcmp(c + r * g.ldc, (float *)d.g.c + r * g.ldc, (size_t)p.n * sizeof *c) == 0);
    free(w);
    free(rows);
    free(c);
    free(panels);
    made_free(&d);
}

/* Compact weights are unpacked where they are packed: the bits of the same product with the values they stand for. */
ON_EVERY_ENGINE(panels_are_what_they_stand_for) {
    const product p = {
        .m = 530, .n = 100, .k = 416, .alpha = 1, .a_type = AE_ELEM_BF16, .trans_b = true, .bias = true};
    try_panels(p, AE_WEIGHT_BF16);
    try_panels(p, AE_WEIGHT_INT8);
    try_panels(p, AE_WEIGHT_INT4);
}

/* B in the library's layout, from every form that it is packed from; every engine reads it. */
static void try_blocked(product p, void (*multiply)(const ae_backend *be, const ae_gemm_args *g)) {
    made d = make(&p);
    const ae_gemm_operand b = d.g.b;
    const ptrdiff_t k = p.k, n = p.n, depth = ae_blocked_depth(k);
    uint16_t *panels = aligned_alloc(64, (size_t)ae_blocked_elements(k, n) * sizeof *panels);
    memset(panels, 0xff, (size_t)ae_blocked_elements(k, n) * sizeof *panels);
    for (ptrdiff_t j = 0; j < n; j += AE_BLOCKED_COLS)
        ae_blocked_pack(panels + j * depth, &d.g.b, k, j, ae_min(AE_BLOCKED_COLS, n - j));
    d.g.b = ae_blocked_operand(panels, k);
    multiply(&team, &d.g);
    d.g.b = b;
    expect_product(&d);
    free(panels);
    made_free(&d);
}

ON_EVERY_ENGINE(blocked_right_factors) {
    if (!ae_machine_has_bf16()) cr_skip_test("no AVX512-BF16 on this machine");
    static const ptrdiff_t more[][3] = {{300, 1100, 70}, {530, 65, 33}, {140, 600, 450}};
    for (int size = 0; size < SIZES + 3; size++)
        for (unsigned bits = 0; bits < 16; bits++) {
            const ptrdiff_t *of = size < SIZES ? sizes[size] : more[size - SIZES];
            if (of[2] == 0) continue;
            try_blocked((product){.m = of[0],
                                  .n = of[1],
                                  .k = of[2],
                                  .alpha = 1,
                                  .bias = size % 2,
                                  .a_type = bits & 8 ? AE_ELEM_F32 : AE_ELEM_BF16,
                                  .b_type = bits & 1 ? AE_ELEM_BF16 : AE_ELEM_F32,
                                  .c_type = bits & 2 ? AE_ELEM_BF16 : AE_ELEM_F32,
                                  .trans_b = bits & 4},
                        ae_gemm);
        }
}

static void multiply_by_library(const ae_backend *be, const ae_gemm_args *g) {
    cr_assert(ae_gemm_bf16(be, g), "%td x %td x %td: left to slower kernels", g->m, g->n, g->k);
}

/* The library has kernels only for some layouts, and what it refuses is a correct product at half the speed or less. */
ON_EVERY_ENGINE(blocked_products_are_the_librarys) {
    if (ae_products_pick() == AE_PRODUCTS_BF16) cr_assert(ae_gemm_bf16_takes_blocked());
    if (!ae_gemm_bf16_takes_blocked()) cr_skip_test("the library has no blocked products here");
    static const product ways[] = {{.alpha = 1, .beta = 1},
                                   {.alpha = 1, .bias = true},
                                   {.alpha = 1, .bias = true, .residual = true},
                                   {.alpha = 1, .residual = true, .in_place = true}};
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
        for (unsigned bits = 0; bits < 4; bits++)
            for (int size = 0; size < SIZES - 1; size++) {
                product p = with_size(ways[way], size);
                p.a_type = p.b_type = AE_ELEM_BF16;
                p.dense = bits & 1;
                p.c_type = bits & 2 && !p.residual ? AE_ELEM_BF16 : AE_ELEM_F32;
                try_blocked(p, multiply_by_library);
            }
}

/* A float32 weight that is rounded for one product gives the bits of one that was packed before, whatever of both is cut. */
static void try_rounded(product p) {
    seed = 9;
    made d = make(&p);
    seed = 9;
    made e = make(&p);
    uint16_t *panels = aligned_alloc(64, (size_t)ae_blocked_elements(p.k, p.n) * sizeof *panels);
    for (ptrdiff_t j = 0; j < p.n; j += AE_BLOCKED_COLS)
        ae_blocked_pack(panels + j * ae_blocked_depth(p.k), &d.g.b, p.k, j, ae_min(AE_BLOCKED_COLS, p.n - j));
    d.g.b = ae_blocked_operand(panels, p.k);
    e.g.b.rounded = true;
    ae_gemm(&team, &d.g);
    ae_gemm_many(&team, (ae_gemm_args[]){e.g}, 1);
    expect_same_bits(&d, &e);
    free(panels);
    made_free(&d);
    made_free(&e);
}

ON_EVERY_ENGINE(weights_rounded_at_use) {
    if (!ae_machine_has_bf16()) cr_skip_test("no AVX512-BF16 on this machine");
    static const ptrdiff_t more[][3] = {{20, 2000, 70}, {1030, 65, 33}, {300, 600, 1100}};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        for (unsigned bits = 0; bits < 4; bits++)
            try_rounded((product){.m = more[i][0],
                                  .n = more[i][1],
                                  .k = more[i][2],
                                  .alpha = 1,
                                  .bias = true,
                                  .a_type = AE_ELEM_BF16,
                                  .c_type = bits & 1 ? AE_ELEM_BF16 : AE_ELEM_F32,
                                  .trans_b = bits & 2});
}

/* More rows and a greater depth than are turned at once; looked at here and there. */
ON_EVERY_ENGINE(large_gradients_of_weights) {
    const product p = {.m = 4200,
                       .n = 40,
                       .k = 2100,
                       .alpha = 1,
                       .beta = 1,
                       .a_type = AE_ELEM_BF16,
                       .b_type = AE_ELEM_BF16,
                       .trans_a = true};
    made d = make(&p);
    ae_gemm(&team, &d.g);
    for (ptrdiff_t i = 0; i < p.m; i += 19)
        for (ptrdiff_t j = i % 7; j < p.n; j += 7) {
            double size;
            const double y = expected(&d, i, j, &size), got = (double)((float *)d.g.c)[i * d.g.ldc + j];
            cr_assert(fabs(got - y) <= 5e-7 * size, "at %td %td: %.9g, expected %.9g", i, j, got, y);
        }
    made_free(&d);
}
