#include "core/machine.h"
#include "ops/cpu/panels.h"
#include "tests/ops/rig.h"

#include <math.h>
#include <string.h>

static const struct {
    ae_weight_type type;
    ptrdiff_t group;
    const char *name;
    double tolerance;
} forms[] = {{AE_WEIGHT_BF16, 0, "bf16", 2e-6},
             {AE_WEIGHT_INT8, 64, "int8", 1.5e-4},
             {AE_WEIGHT_INT8, 128, "int8 by 128", 1.5e-4},
             {AE_WEIGHT_INT4, 32, "int4 by 32", 1.5e-4},
             {AE_WEIGHT_INT4, 64, "int4", 1.5e-4}};

static const struct {
    ptrdiff_t I, O;
} sizes[] = {{1, 1}, {7, 5}, {64, 16}, {65, 33}, {100, 170}, {257, 64}, {520, 129}};

static uint16_t bf16_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float value_of(uint16_t h) {
    const uint32_t bits = (uint32_t)h << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

typedef struct {
    ptrdiff_t M, I, O;
    rig_array x, w, bias, residual, y;
    float *rounded; /* what the compact form stands for */
    uint16_t *scales;
    ae_weight_shape shape;
    ae_weight *packed;
} product;

static void round_values(rig *r, product *k) {
    const ptrdiff_t n = k->w.n, groups = k->shape.group > 0 ? ae_ceil_div(k->I, k->shape.group) : 0;
    k->rounded = rig_host(r, (size_t)n * sizeof *k->rounded);
    k->scales = rig_host(r, (size_t)(k->O * groups) * sizeof *k->scales + 1);
    int8_t *q = rig_host(r, (size_t)k->I);
    for (ptrdiff_t o = 0; o < k->O; o++) {
        if (groups > 0)
            ae_quantize_row(q, k->scales + o * groups, k->w.x + o * k->I, k->I, k->shape.group,
                            k->shape.type);
        for (ptrdiff_t i = 0; i < k->I; i++)
            k->rounded[o * k->I + i] =
                groups > 0 ? (float)q[i] * value_of(k->scales[o * groups + i / k->shape.group])
                           : value_of(bf16_of(k->w.x[o * k->I + i]));
    }
    for (ptrdiff_t i = 0; i < n; i++) k->w.d[i] = (double)k->rounded[i];
}

static ae_weight *compact(rig *r, const ae_weight_shape *s, const float *values, const uint16_t *scales) {
    ae_weight *w = rig_device(r, r->be.compact_bytes(&r->be, s));
    r->be.compact_init(&r->be, w, s);
    const ptrdiff_t piece = s->parts > 0 ? s->rows : 48,
                    groups = s->group > 0 ? ae_ceil_div(s->cols, s->group) : 0;
    for (ptrdiff_t first = 0; first < s->rows; first += piece)
        r->be.compact_put(&r->be, w, first, ae_min(piece, s->rows - first), values + first * s->cols,
                          scales ? scales + first * groups : NULL);
    return w;
}

static product make(rig *r, size_t form, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O) {
    rig_next(r, "%s M %td I %td O %td", forms[form].name, M, I, O);
    product k = {.M = M,
                 .I = I,
                 .O = O,
                 .x = rig_normal(r, 1, M * I),
                 .w = rig_normal(r, 0.1, O * I),
                 .bias = rig_normal(r, 1, O),
                 .residual = rig_normal(r, 1, M * O),
                 .y = rig_output(r, M * O),
                 .shape = {forms[form].type, O, I, 0, forms[form].group}};
    round_values(r, &k);
    k.packed = compact(r, &k.shape, k.w.x, NULL);
    return k;
}

static void forward(rig *r, void *context) {
    product *k = context;
    r->be.linear_forward(&r->be, k->y.dev, k->x.dev, k->packed, k->bias.dev, k->M, k->I, k->O);
}

ON_EVERY_BACKEND(panels, product_is_that_of_the_rounded_weights) {
    static const ptrdiff_t rows[] = {1, 2, 3, 4, 5, 8, 9, 16, 17, 40};
    for (size_t f = 0; f < COUNT(forms); f++)
        for (size_t i = 0; i < COUNT(sizes); i++)
            for (size_t m = 0; m < COUNT(rows); m++) {
                /* the forms of one type differ in their groups alone */
                if (f > 0 && forms[f].type == forms[f - 1].type && m % 3 > 0) continue;
                product k = make(r, f, rows[m], sizes[i].I, sizes[i].O);
                forward(r, &k);
                ref_linear(k.y.d, NULL, k.x.d, k.w.d, k.bias.d, k.M, k.I, k.O);
                rig_expect(r, "y", rig_read(r, &k.y), k.y.d, k.y.n, forms[f].tolerance);
                r->be.linear_residual(&r->be, k.y.dev, k.residual.dev, k.x.dev, k.packed, NULL, k.M, k.I,
                                      k.O);
                ref_linear(k.y.d, k.residual.d, k.x.d, k.w.d, NULL, k.M, k.I, k.O);
                rig_expect(r, "out", rig_read(r, &k.y), k.y.d, k.y.n, forms[f].tolerance);
            }
}

ON_EVERY_BACKEND(panels, a_row_has_the_same_bits_in_any_batch) {
    enum { I = 200, O = 150 };
    for (size_t f = 0; f < COUNT(forms); f++) {
        product k = make(r, f, AE_LINEAR_FEW, I, O);
        forward(r, &k);
        const float *all = rig_read(r, &k.y);
        for (ptrdiff_t M = 1; M < AE_LINEAR_FEW; M++) {
            k.M = M;
            forward(r, &k);
            rig_expect_bits(r, "y of fewer rows", rig_read(r, &k.y), all, M * O);
        }
    }
}

static void forward_each(rig *r, void *context) {
    product *k = context;
    r->be.linear_each_forward(&r->be, k->y.dev, k->x.dev, k->packed, k->bias.dev, k->M, k->I, k->O);
}

ON_EVERY_BACKEND(panels, each_row_has_the_bits_that_it_has_alone) {
    static const ptrdiff_t rows[] = {1, 3, 16, 17, 25, 40, AE_LINEAR_EACH};
    enum { I = 200, O = 150 };
    for (size_t f = 0; f < COUNT(forms); f++) {
        product k = make(r, f, AE_LINEAR_EACH, I, O);
        forward_each(r, &k);
        const float *all = rig_read(r, &k.y);
        ref_linear(k.y.d, NULL, k.x.d, k.w.d, k.bias.d, k.M, k.I, k.O);
        rig_expect(r, "y", all, k.y.d, k.y.n, forms[f].tolerance);
        for (size_t m = 0; m < COUNT(rows); m++) {
            k.M = rows[m];
            (k.M <= AE_LINEAR_FEW ? forward : forward_each)(r, &k);
            rig_expect_bits(r, "y of fewer rows", rig_read(r, &k.y), all, k.M * O);
        }
    }
}

ON_EVERY_BACKEND(panels, any_number_of_threads_gives_the_same_bits) {
    static const ptrdiff_t rows[] = {1, 16, 70};
    for (size_t f = 0; f < COUNT(forms); f++)
        for (size_t m = 0; m < COUNT(rows); m++) {
            product k = make(r, f, rows[m], 130, 300);
            rig_expect_same_on_threads(r, "linear_forward", forward, &k, &k.y, 1);
        }
}

/* What a file of integers holds comes back as it was. */
ON_EVERY_BACKEND(panels, scales_given_recover_the_integers) {
    for (size_t f = 1; f < COUNT(forms); f++) {
        product k = make(r, f, 3, 200, 50);
        forward(r, &k);
        const float *want = rig_read(r, &k.y);
        k.packed = compact(r, &k.shape, k.rounded, k.scales);
        forward(r, &k);
        rig_expect_bits(r, "y", rig_read(r, &k.y), want, k.y.n);
    }
}

ON_EVERY_BACKEND(panels, gates_are_those_of_the_rounded_weights) {
    static const struct { ptrdiff_t M, N, S; } cases[] = {{1, 2, 16}, {5, 3, 20}, {16, 1, 70}, {33, 2, 40}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const ptrdiff_t M = cases[i].M, N = cases[i].N, S = cases[i].S, C = N * S;
        rig_next(r, "M %td N %td S %td", M, N, S);
        rig_array x = rig_normal(r, 1, M * C), w = rig_normal(r, 0.1, N * S * S), bias = rig_normal(r, 1, C),
                  y = rig_output(r, M * C);
        const ae_weight_shape shape = {AE_WEIGHT_BF16, C, S, N, 0};
        const ae_weight *packed = compact(r, &shape, w.x, NULL);
        for (ptrdiff_t j = 0; j < w.n; j++) w.d[j] = (double)value_of(bf16_of(w.x[j]));
        r->be.gates_forward(&r->be, y.dev, x.dev, packed, bias.dev, M, C, N);
        ref_gates(y.d, x.d, w.d, bias.d, M, C, N);
        rig_expect(r, "y", rig_read(r, &y), y.d, y.n, 2e-6);
    }
}

/* dx = dy w of the values that the compact form stands for, and twice that where it adds to itself. */
static void expect_input_gradient(rig *r, size_t form, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O) {
    const product k = make(r, form, M, I, O);
    const rig_array dy = rig_act_normal(r, 1, M * O), dx = rig_act_output(r, M * I),
                    turned = rig_zeros(r, I * O);
    const double tolerance = rig_tolerance(r, 2e-6, 0.02);
    for (ptrdiff_t j = 0; j < I * O; j++) turned.d[j] = k.w.d[j % O * I + j / O];
    ref_linear(dx.d, NULL, dy.d, turned.d, NULL, M, O, I);
    r->be.linear_backward_input(&r->be, dx.dev, dy.dev, k.packed, false, M, I, O);
    rig_expect(r, "dx", rig_read(r, &dx), dx.d, dx.n, tolerance);
    r->be.linear_backward_input(&r->be, dx.dev, dy.dev, k.packed, true, M, I, O);
    for (ptrdiff_t j = 0; j < dx.n; j++) dx.d[j] *= 2;
    rig_expect(r, "dx added", rig_read(r, &dx), dx.d, dx.n, tolerance);
}

ON_EVERY_TYPE(panels, gradient_of_the_input_is_that_of_the_rounded_weights) {
    static const ptrdiff_t rows[] = {1, 3, 40, 600};
    for (size_t f = 0; f < COUNT(forms); f++)
        for (size_t i = 0; i < COUNT(sizes); i++)
            for (size_t m = 0; m < COUNT(rows); m++) {
                if (rows[m] * sizes[i].I * sizes[i].O > 12000000)
                    continue; /* several blocks of rows: of less wide ones */
                expect_input_gradient(r, f, rows[m], sizes[i].I, sizes[i].O);
            }
}

/* A weight above 4 M values, which is unpacked some columns at a time: wide or tall. */
ON_EVERY_TYPE(panels, gradient_of_the_input_through_a_large_weight) {
    if (r->bf16)
        expect_input_gradient(r, 3, 17, 1100, 3850);
    else
        expect_input_gradient(r, 0, 17, 100, 42500);
}

static void backward_input(rig *r, void *context) {
    product *k = context;
    r->be.linear_backward_input(&r->be, k->x.dev, k->y.dev, k->packed, false, k->M, k->I, k->O);
}

ON_EVERY_BACKEND(panels, gradient_of_the_input_does_not_depend_on_threads) {
    for (size_t f = 0; f < COUNT(forms); f++) {
        product k = make(r, f, 70, 300, 130);
        k.y = rig_normal(r, 1, k.y.n);
        rig_expect_same_on_threads(r, "linear_backward_input", backward_input, &k, &k.x, 1);
    }
}

ON_EVERY_TYPE(panels, gradient_of_the_gates_input_is_that_of_the_rounded_weights) {
    static const struct { ptrdiff_t M, N, S; } cases[] = {{1, 2, 16}, {5, 3, 20}, {33, 2, 40}, {300, 1, 400}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const ptrdiff_t M = cases[i].M, N = cases[i].N, S = cases[i].S, C = N * S;
        rig_next(r, "M %td N %td S %td", M, N, S);
        rig_array dy = rig_act_normal(r, 1, M * C), w = rig_normal(r, 0.1, N * S * S), none = rig_zeros(r, C),
                  dx = rig_act_output(r, M * C), turned = rig_zeros(r, N * S * S);
        const ae_weight_shape shape = {AE_WEIGHT_BF16, C, S, N, 0};
        const ae_weight *packed = compact(r, &shape, w.x, NULL);
        for (ptrdiff_t j = 0; j < w.n; j++)
            turned.d[j / S / S * S * S + j % S * S + j / S % S] = (double)value_of(bf16_of(w.x[j]));
        r->be.gates_backward_input(&r->be, dx.dev, dy.dev, packed, false, M, C, N);
        ref_gates(dx.d, dy.d, turned.d, none.d, M, C, N);
        rig_expect(r, "dx", rig_read(r, &dx), dx.d, dx.n, rig_tolerance(r, 2e-6, 0.02));
    }
}

/* Loss and gradient of z through a frozen table. */
ON_EVERY_BACKEND(panels, head_gradient_is_that_of_the_rounded_table) {
    for (size_t f = 0; f < COUNT(forms); f++) {
        enum { M = 20, D = 72, V = 90 };
        product k = make(r, f, M, D, V);
        const ae_head_dims n = {.M = M, .D = D, .V = V, .cap = 30};
        rig_array dz = rig_output(r, M * D), want = rig_output(r, M * D), nll = rig_output(r, M),
                  weights = rig_normal(r, 1, M), table = rig_values(r, k.rounded, V * D);
        const rig_ints targets = rig_below(r, V, M);
        const ae_room scratch = rig_room(r, r->be.head_scratch_bytes(&r->be, n));
        ae_weight *plain = rig_device(r, r->be.weight_bytes(&r->be, V, D, false));
        r->be.weight_pack(&r->be, plain, table.dev, V, D, false);
        r->be.head_loss(&r->be, nll.dev, want.dev, NULL, k.x.dev, plain, targets.dev, weights.dev, 1, n,
                        scratch);
        const float *loss = rig_read(r, &nll), *gradient = rig_read(r, &want);
        r->be.head_loss(&r->be, nll.dev, dz.dev, NULL, k.x.dev, k.packed, targets.dev, weights.dev, 1, n,
                        scratch);
        for (ptrdiff_t j = 0; j < nll.n; j++) nll.d[j] = (double)loss[j];
        for (ptrdiff_t j = 0; j < dz.n; j++) dz.d[j] = (double)gradient[j];
        rig_expect(r, "nll", rig_read(r, &nll), nll.d, nll.n, 2e-6);
        rig_expect(r, "dz", rig_read(r, &dz), dz.d, dz.n, 4e-6);
    }
}

ON_EVERY_BACKEND(panels, embedding_rows_are_the_rounded_weights) {
    for (size_t f = 0; f < COUNT(forms); f++) {
        product k = make(r, f, 1, 100, 50);
        static const int32_t tokens[] = {0, 49, 17, 17, 16, 15};
        const ptrdiff_t n = COUNT(tokens);
        const rig_ints ids = rig_numbers(r, tokens, n);
        rig_array x = rig_output(r, n * k.I);
        r->be.embedding_forward(&r->be, x.dev, k.packed, ids.dev, 2.0f, n, k.I);
        for (ptrdiff_t m = 0; m < n; m++)
            for (ptrdiff_t i = 0; i < k.I; i++) x.d[m * k.I + i] = 2.0 * k.w.d[tokens[m] * k.I + i];
        rig_expect(r, "x", rig_read(r, &x), x.d, x.n, 1e-6);
    }
}

ON_EVERY_BACKEND(panels, logits_are_those_of_the_rounded_table) {
    for (size_t f = 0; f < COUNT(forms); f++) {
        product k = make(r, f, 20, 72, 90);
        r->be.head_logits(&r->be, k.y.dev, k.x.dev, k.packed, (ae_head_dims){.M = k.M, .D = k.I, .V = k.O});
        ref_linear(k.y.d, NULL, k.x.d, k.w.d, NULL, k.M, k.I, k.O);
        rig_expect(r, "logits", rig_read(r, &k.y), k.y.d, k.y.n, forms[f].tolerance);
    }
}

static double error_of(const product *k) {
    double error = 0, size = 0;
    for (ptrdiff_t i = 0; i < k->w.n; i++) {
        error += pow((double)k->w.x[i] - (double)k->rounded[i], 2);
        size += pow((double)k->w.x[i], 2);
    }
    return sqrt(error / size);
}

/* Relative errors of normal numbers, root mean square: 2^-9 / sqrt(3) and so on, measured and rounded up. */
ON_EVERY_BACKEND(panels, integers_stay_close) {
    static const double most[] = {0.002, 0.0065, 0.0075, 0.085, 0.095};
    for (size_t f = 0; f < COUNT(forms); f++) {
        const product k = make(r, f, 1, 512, 64);
        cr_assert_lt(error_of(&k), most[f], "%s: %s: relative error %g", r->label, r->where, error_of(&k));
    }
}

ON_EVERY_BACKEND(panels, zeros_and_a_not_a_number) {
    for (size_t f = 0; f < COUNT(forms); f++) {
        product k = make(r, f, 2, 64, 16);
        memset(k.x.x, 0, (size_t)k.I * sizeof *k.x.x);
        k.x.x[k.I + 3] = NAN;
        rig_write(r, &k.x);
        forward(r, &k);
        const float *y = rig_read(r, &k.y);
        rig_expect_bits(r, "y of zeros", y, k.bias.x, k.O);
        for (ptrdiff_t o = 0; o < k.O; o++) cr_assert(isnan(y[k.O + o]), "%s: %td", r->where, o);
    }
}

/* ---- kernels of bfloat16 products, on every processor that has them ---- */

static float *bf16_values(rig *r, double scale, ptrdiff_t n) {
    const rig_array a = rig_normal(r, scale, n);
    for (ptrdiff_t i = 0; i < n; i++) a.x[i] = value_of(bf16_of(a.x[i]));
    return a.x;
}

/* Element [p][o] of the sum over inputs, of a plain matrix (parts 0) or of square blocks that are stored [in, out]. */
static double dot_of(const ae_weight_shape *s, const float *x, const float *w, ptrdiff_t p, ptrdiff_t o) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < s->cols; i++)
        sum += (double)x[p * s->cols + i] *
               (double)(s->parts > 0 ? w[(p * s->cols + i) * s->cols + o] : w[o * s->cols + i]);
    return sum;
}

static void expect_dots(rig *r, ae_panels_few *kernel, const ae_weight_shape *s, ptrdiff_t M) {
    const ptrdiff_t parts = ae_max(s->parts, 1), outputs = s->rows / parts, inputs = parts * s->cols;
    rig_next(r, "M %td rows %td cols %td parts %td", M, s->rows, s->cols, s->parts);
    const float *x = bf16_values(r, 1, M * inputs), *w = bf16_values(r, 0.1, s->rows * s->cols);
    const rig_array y = rig_output(r, M * s->rows), bias = rig_normal(r, 1, s->rows);
    ae_weight *packed = compact(r, s, w, NULL);
    float *got = rig_host(r, (size_t)y.n * sizeof *got);
    kernel(&r->be, &(ae_panel_product){.M = M, .x = x, .out = got, .bias = bias.x}, ae_cpu_weight_of(packed));
    for (ptrdiff_t j = 0; j < y.n; j++) {
        const ptrdiff_t m = j / s->rows, row = j % s->rows;
        y.d[j] = (double)bias.x[row] + dot_of(s, x + m * inputs, w, row / outputs, row % outputs);
    }
    rig_expect(r, "y", got, y.d, y.n, 2e-6);
}

static void expect_all_dots(ae_panels_few *kernel) {
    static rig r;
    rig_open(&r, &(rig_choice){.bf16 = 1});
    for (ptrdiff_t M = 1; M <= AE_LINEAR_EACH; M += M < AE_LINEAR_FEW + 1 ? 1 : 16) {
        for (size_t i = 0; i < COUNT(sizes); i++)
            expect_dots(&r, kernel, &(ae_weight_shape){AE_WEIGHT_BF16, sizes[i].O, sizes[i].I, 0, 0}, M);
        expect_dots(&r, kernel, &(ae_weight_shape){AE_WEIGHT_BF16, 60, 20, 3, 0}, M);
    }
    rig_close(&r);
}

Test(panels, dot_products_of_bfloat16) {
    if (!ae_machine_has_bf16() || !__builtin_cpu_supports("avx512vnni"))
        cr_skip_test("no AVX512-BF16 and VNNI on this machine");
    expect_all_dots(ae_cpu_panels_few_avx512_bf16);
}

Test(panels, tiles_of_bfloat16) {
    if (!ae_machine_has_amx()) cr_skip_test("no AMX on this machine");
    expect_all_dots(ae_cpu_panels_few_amx);
}

/* ---- results in bfloat16 are those in float32, rounded ---- */

static void expect_rounded(rig *r, ae_panels_few *kernel, size_t f, ptrdiff_t M) {
    enum { ROWS = 33, COLS = 100 };
    const ae_weight_shape s = {forms[f].type, ROWS, COLS, 0, forms[f].group};
    rig_next(r, "M %td %s", M, forms[f].name);
    const rig_array x = rig_normal(r, 1, M * COLS), w = rig_normal(r, 0.1, ROWS * COLS),
                    bias = rig_normal(r, 1, ROWS);
    const ae_cpu_weight *packed = ae_cpu_weight_of(compact(r, &s, w.x, NULL));
    float *wide = rig_host(r, (size_t)(M * ROWS) * sizeof *wide);
    uint16_t *half = rig_host(r, (size_t)(M * ROWS) * sizeof *half);
    kernel(&r->be, &(ae_panel_product){.M = M, .x = x.x, .out = wide, .bias = bias.x}, packed);
    kernel(&r->be,
           &(ae_panel_product){.M = M, .x = x.x, .out = half, .out_type = AE_ELEM_BF16, .bias = bias.x},
           packed);
    for (ptrdiff_t j = 0; j < M * ROWS; j++)
        cr_assert_eq(half[j], bf16_of(wide[j]), "%s: %td is %g, expected %g", r->where, j,
                     (double)value_of(half[j]), (double)wide[j]);
}

Test(panels, results_of_either_type) {
    const bool wide = ae_isa_pick() >= AE_ISA_AVX512;
    static rig r;
    rig_open(&r, &(rig_choice){.bf16 = 1});
    for (size_t f = 0; f < COUNT(forms); f++)
        for (ptrdiff_t M = 1; M <= AE_LINEAR_EACH; M = 3 * M + 1) {
            expect_rounded(&r, ae_cpu_panels_few_avx2, f, M);
            if (wide) expect_rounded(&r, ae_cpu_panels_few_avx512, f, M);
            if (ae_machine_has_amx())
                expect_rounded(&r,
                               forms[f].type == AE_WEIGHT_BF16 ? ae_cpu_panels_few_amx
                                                               : ae_cpu_panels_few_amx_integers,
                               f, M);
        }
    rig_close(&r);
}

/* The same integers in another way, of x in either type: the same bits. */
static void expect_bits_of_tiles(rig *r, const ae_weight_shape *s, ptrdiff_t M) {
    const ptrdiff_t n = M * s->rows;
    rig_next(r, "M %td rows %td cols %td group %td", M, s->rows, s->cols, s->group);
    const rig_array x = rig_normal(r, 1, M * s->cols), w = rig_normal(r, 0.1, s->rows * s->cols),
                    bias = rig_normal(r, 1, s->rows), residual = rig_normal(r, 1, n);
    const ae_cpu_weight *packed = ae_cpu_weight_of(compact(r, s, w.x, NULL));
    float *want = rig_host(r, (size_t)n * sizeof *want), *got = rig_host(r, (size_t)n * sizeof *got);
    uint16_t *half = rig_host(r, (size_t)x.n * sizeof *half);
    for (ptrdiff_t i = 0; i < x.n; i++) half[i] = bf16_of(x.x[i]);
    ae_panel_product p = {.M = M, .x = x.x, .residual = residual.x, .bias = bias.x};
    for (int type = AE_ELEM_F32; type <= AE_ELEM_BF16; type++) {
        p.x_type = (ae_elem_type)type;
        if (p.x_type == AE_ELEM_BF16) p.x = half;
        p.out = want;
        ae_cpu_panels_few_avx512(&r->be, &p, packed);
        p.out = got;
        ae_cpu_panels_few_amx_integers(&r->be, &p, packed);
        rig_expect_bits(r, type == AE_ELEM_F32 ? "y" : "y of bfloat16", got, want, n);
    }
}

Test(panels, tiles_of_integers) {
    static const ptrdiff_t groups[] = {8, 32, 64, 96, 128, 256}, rows[] = {1, 5, 16, 17, 32, 48, 64};
    if (!ae_machine_has_amx()) cr_skip_test("no AMX on this machine");
    static rig r;
    rig_open(&r, &(rig_choice){.bf16 = 1});
    for (size_t t = 0; t < 2; t++)
        for (size_t g = 0; g < COUNT(groups); g++)
            for (size_t m = 0; m < COUNT(rows); m++) {
                const ae_weight_type type = t == 0 ? AE_WEIGHT_INT8 : AE_WEIGHT_INT4;
                for (size_t i = 0; i < COUNT(sizes); i++)
                    expect_bits_of_tiles(&r, &(ae_weight_shape){type, sizes[i].O, sizes[i].I, 0, groups[g]},
                                         rows[m]);
            }
    rig_close(&r);
}
