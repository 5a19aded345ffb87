#include "core/rng.h"
#include "exchange/hf_config.h"
#include "exchange/merge.h"
#include "exchange/source.h"
#include "formats/safetensors_write.h"
#include "formats/tensors.h"
#include "model/params.h"
#include "tests/core/scratch.h"

#include <float.h>
#include <math.h>

TestSuite(merge, .init = scratch_make, .fini = scratch_remove, .timeout = 120);

enum { MODELS = 5 };

static ae_model_config config_of(const char *fixture) {
    char path[512];
    ae_model_config c;
    snprintf(path, sizeof path, "%s/%s/config.json", AERIE_FIXTURES, fixture);
    cr_assert_eq(ae_model_config_from_hf(&c, path), AE_OK, "%s", ae_error_message());
    return c;
}

/* ---- models in memory: all parameters one after the other ---- */

typedef struct {
    ae_model_config config;
    ae_params params;
    float *of[MODELS]; /* [total] each */
    char paths[MODELS][512];
} models;

static void write_model(const models *m, const float *values, const char *path) {
    ae_safetensors_writer *w;
    ae_safetensor_entry *entries = calloc((size_t)m->params.n, sizeof *entries);
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        entries[i] = (ae_safetensor_entry){.dtype = "F32", .rank = p->rank};
        snprintf(entries[i].name, sizeof entries[i].name, "%s", p->name);
        memcpy(entries[i].shape, p->shape, sizeof p->shape);
    }
    cr_assert_eq(ae_safetensors_create(&w, path, entries, (size_t)m->params.n), AE_OK);
    cr_assert_eq(ae_safetensors_write(w, values, (size_t)m->params.total * sizeof *values), AE_OK);
    cr_assert_eq(ae_safetensors_finish(w), AE_OK);
    free(entries);
}

/* Random numbers of all sizes; zeros of both signs, and the smallest number, among them. */
static void models_open(models *m) {
    ae_rng rng = ae_rng_make(3, 4);
    m->config = config_of("tiny");
    cr_assert_eq(ae_params_init(&m->params, &m->config), AE_OK);
    for (int k = 0; k < MODELS; k++) {
        float *x = m->of[k] = malloc((size_t)m->params.total * sizeof *x);
        for (int64_t i = 0; i < m->params.total; i++) x[i] = (float)ae_rng_normal(&rng) * (k == 0 ? 1 : 0.3f);
        for (int64_t i = 0; k > 0 && i < m->params.total; i++) x[i] += m->of[0][i];
        x[17] = -0.0f;
        x[18] = FLT_TRUE_MIN;
        x[19] = FLT_MAX;
        snprintf(m->paths[k], sizeof m->paths[k], "%s/m%d.safetensors", scratch_folder, k);
        write_model(m, x, m->paths[k]);
    }
}

static void models_close(models *m) {
    ae_params_free(&m->params);
    for (int k = 0; k < MODELS; k++) free(m->of[k]);
}

/* Writes the models again, without what is beyond bfloat16. */
static void fit_bf16(const models *m) {
    for (int k = 0; k < MODELS; k++) {
        m->of[k][19] = 0x1.fep127f;
        write_model(m, m->of[k], m->paths[k]);
    }
}

/* ---- merging them ---- */

static float *merged(const models *m, ae_merge_request r) {
    const char *path = scratch_path("out");
    ae_tensors *t = NULL;
    r.config = &m->config;
    cr_assert_eq(ae_folder_make(path), AE_OK);
    cr_assert_eq(ae_model_merge(path, &r), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tensors_open(&t, path), AE_OK, "%s", ae_error_message());
    float *out = malloc((size_t)m->params.total * sizeof *out), *at = out;
    for (ptrdiff_t i = 0; i < m->params.n; at += m->params.items[i++].n) {
        const ae_param *p = &m->params.items[i];
        cr_assert_eq(ae_tensors_read(t, p->name, p->rank, p->shape, at), AE_OK, "%s", ae_error_message());
    }
    ae_tensors_close(t);
    return out;
}

static void expect_bits(const models *m, const float *got, const float *want, const char *what) {
    cr_assert_eq(memcmp(got, want, (size_t)m->params.total * sizeof *got), 0, "%s", what);
}

/* Within half a unit in the last place of the reference, and what rounding double adds to that. */
static void expect_close(const float *got, const long double *want, int64_t n, const char *what) {
    for (int64_t i = 0; i < n; i++) {
        const long double unit = fabsl(want[i]) * 0x1p-24L + 0x1p-150L;
        cr_assert_leq(fabsl((long double)got[i] - want[i]), unit * 1.01L + 1e-13L,
                      "%s: %lld: %.9g, not %.9Lg", what, (long long)i, (double)got[i], want[i]);
    }
}

#define EACH(m, i) for (int64_t i = 0; i < (m)->params.total; i++)

Test(merge, the_mean_of_a_model_with_itself_is_itself_to_the_bit) {
    models m;
    models_open(&m);
    for (size_t n = 1; n <= 7; n++) {
        const char *paths[7];
        const double weights[7] = {0.1, 3, 0.7, 1e-3, 11, 0.3, 2};
        for (size_t k = 0; k < n; k++) paths[k] = m.paths[1];
        float *plain = merged(&m, (ae_merge_request){.method = AE_MERGE_MEAN, .models = paths, .n = n});
        float *weighted = merged(
            &m, (ae_merge_request){.method = AE_MERGE_MEAN, .models = paths, .n = n, .weights = weights});
        float *moving =
            merged(&m, (ae_merge_request){.method = AE_MERGE_EMA, .models = paths, .n = n, .decay = 0.93});
        expect_bits(&m, plain, m.of[1], "mean");
        expect_bits(&m, weighted, m.of[1], "weighted mean");
        expect_bits(&m, moving, m.of[1], "moving average");
        free(plain);
        free(weighted);
        free(moving);
    }
    models_close(&m);
}

Test(merge, averages_are_those_of_the_formulas) {
    models m;
    models_open(&m);
    const char *paths[] = {m.paths[1], m.paths[2], m.paths[3]};
    const double w[] = {1, 2.5, 0.25};
    const long double decay = 0.75, eta = 0.3L;
    long double *want = malloc((size_t)m.params.total * sizeof *want);
    ae_merge_request r = {.method = AE_MERGE_MEAN, .models = paths, .n = 3};

    float *got = merged(&m, r);
    EACH(&m, i) want[i] = ((long double)m.of[1][i] + m.of[2][i] + m.of[3][i]) / 3;
    expect_close(got, want, m.params.total, "mean");
    free(got);

    r.weights = w;
    got = merged(&m, r);
    EACH(&m, i) want[i] = ((long double)m.of[1][i] + 2.5L * m.of[2][i] + 0.25L * m.of[3][i]) / 3.75L;
    expect_close(got, want, m.params.total, "weighted mean");
    free(got);

    r = (ae_merge_request){.method = AE_MERGE_EMA, .models = paths, .n = 3, .decay = (double)decay};
    got = merged(&m, r);
    EACH(&m, i) {
        want[i] = m.of[1][i];
        for (int k = 2; k <= 3; k++) want[i] = decay * want[i] + (1 - decay) * m.of[k][i];
    }
    expect_close(got, want, m.params.total, "moving average");
    free(got);

    r = (ae_merge_request){
        .method = AE_MERGE_LERP, .models = paths, .n = 3, .base = m.paths[0], .amount = (double)eta};
    got = merged(&m, r);
    EACH(&m, i) {
        const long double mean = ((long double)m.of[1][i] + m.of[2][i] + m.of[3][i]) / 3;
        want[i] = m.of[0][i] + (long double)r.amount * (mean - m.of[0][i]);
    }
    expect_close(got, want, m.params.total, "lerp");
    free(got);
    free(want);
    models_close(&m);
}

Test(merge, lerp_ends_at_the_base_and_at_the_mean) {
    models m;
    models_open(&m);
    const char *paths[] = {m.paths[1], m.paths[2]};
    ae_merge_request r = {.method = AE_MERGE_LERP, .models = paths, .n = 2, .base = m.paths[0], .amount = 0};
    float *start = merged(&m, r);
    expect_bits(&m, start, m.of[0], "amount 0");
    r.amount = 1;
    float *end = merged(&m, r);
    float *mean = merged(&m, (ae_merge_request){.method = AE_MERGE_MEAN, .models = paths, .n = 2});
    expect_bits(&m, end, mean, "amount 1");
    free(start);
    free(end);
    free(mean);
    models_close(&m);
}

/* ---- SLERP, as written down: vectors folded one after the other ---- */

static long double dot(const long double *x, const long double *y, int64_t n) {
    long double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

static void naive_slerp(long double *s, const long double *d, int64_t n, long double t) {
    const long double angle = acosl(dot(s, d, n) / sqrtl(dot(s, s, n)) / sqrtl(dot(d, d, n)));
    const bool flat = !(angle >= 1e-4L && angle <= acosl(-1) - 1e-2L);
    for (int64_t i = 0; i < n; i++)
        s[i] = flat ? (1 - t) * s[i] + t * d[i]
                    : sinl((1 - t) * angle) / sinl(angle) * s[i] + sinl(t * angle) / sinl(angle) * d[i];
}

static void naive_merge(long double *out, const models *m, const int *which, int n, long double t) {
    for (int64_t p = 0, at = 0; p < m->params.n; at += m->params.items[p++].n) {
        const int64_t size = m->params.items[p].n;
        long double *s = malloc((size_t)size * sizeof *s), *d = malloc((size_t)size * sizeof *d);
        for (int k = 0; k < n; k++) {
            for (int64_t i = 0; i < size; i++)
                (k ? d : s)[i] = (long double)m->of[which[k]][at + i] - m->of[0][at + i];
            if (k) naive_slerp(s, d, size, t >= 0 ? t : 1 / (k + 1.0L));
        }
        for (int64_t i = 0; i < size; i++) out[at + i] = m->of[0][at + i] + s[i];
        free(s);
        free(d);
    }
}

Test(merge, slerp_is_folding_vector_by_vector) {
    static const int which[4] = {1, 2, 3, 4};
    models m;
    models_open(&m);
    const char *paths[4] = {m.paths[1], m.paths[2], m.paths[3], m.paths[4]};
    long double *want = malloc((size_t)m.params.total * sizeof *want);
    for (size_t n = 2; n <= 4; n++) {
        float *got = merged(
            &m, (ae_merge_request){
                    .method = AE_MERGE_SLERP, .models = paths, .n = n, .base = m.paths[0], .amount = -1});
        naive_merge(want, &m, which, (int)n, -1);
        expect_close(got, want, m.params.total, "slerp");
        free(got);
    }
    const ae_merge_request r = {
        .method = AE_MERGE_SLERP, .models = paths, .n = 2, .base = m.paths[0], .amount = 0.25};
    float *got = merged(&m, r);
    naive_merge(want, &m, which, 2, 0.25L);
    expect_close(got, want, m.params.total, "slerp, a quarter");
    free(got);
    free(want);
    models_close(&m);
}

Test(merge, slerp_ends_at_its_models) {
    models m;
    models_open(&m);
    const char *paths[] = {m.paths[1], m.paths[2]}, *same[] = {m.paths[1], m.paths[1], m.paths[1]};
    ae_merge_request r = {.method = AE_MERGE_SLERP, .models = paths, .n = 2, .base = m.paths[0], .amount = 0};
    float *start = merged(&m, r);
    r.amount = 1;
    float *end = merged(&m, r);
    expect_bits(&m, start, m.of[1], "t 0");
    expect_bits(&m, end, m.of[2], "t 1");
    r = (ae_merge_request){
        .method = AE_MERGE_SLERP, .models = same, .n = 3, .base = m.paths[0], .amount = -1};
    float *all = merged(&m, r);
    long double *want = malloc((size_t)m.params.total * sizeof *want);
    EACH(&m, i) want[i] = m.of[1][i];
    expect_close(all, want, m.params.total, "one model three times");
    free(want);
    r = (ae_merge_request){
        .method = AE_MERGE_SLERP, .models = same, .n = 2, .base = m.paths[1], .amount = 0.5};
    float *none = merged(&m, r);
    expect_bits(&m, none, m.of[1], "no task vector at all");
    free(start);
    free(end);
    free(all);
    free(none);
    models_close(&m);
}

/* |s|^2 of the sum of task vectors that the factors stand for. */
static double length2(const double *c, const double *gram, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) sum += c[1 + i] * c[1 + j] * gram[i * n + j];
    return sum;
}

Test(merge, slerp_keeps_the_length_of_equal_ones) {
    const double right[] = {4, 0, 0, 4};
    double c[4];
    for (double t = 0; t <= 1; t += 0.125) {
        ae_merge_slerp_factors(c, right, 2, t);
        cr_assert_float_eq(length2(c, right, 2), 4, 1e-12);
        cr_assert_float_eq(c[1], cos(t * acos(-1.0) / 2), 1e-12);
        cr_assert_float_eq(c[0], 1 - c[1] - c[2], 1e-12);
    }
    const double three[] = {9, 0, 0, 0, 9, 0, 0, 0, 9};
    ae_merge_slerp_factors(c, three, 3, -1);
    cr_assert_float_eq(length2(c, three, 3), 9, 1e-12);
    cr_assert_float_eq(c[1], c[2], 1e-12, "the first two count alike");
    const double turned[] = {9, 4, 4, 9};
    ae_merge_slerp_factors(c, turned, 2, 0.3);
    cr_assert_float_eq(length2(c, turned, 2), 9, 1e-12);
}

/* Where the form changes nothing jumps, and nothing is divided by a sine that vanishes. */
Test(merge, slerp_is_linear_where_an_angle_says_nothing) {
    double c[3], near[3];
    const double parallel[] = {1, 2, 2, 4}, opposite[] = {1, -2, -2, 4}, none[] = {0, 0, 0, 4};
    const double *const flat[] = {parallel, opposite, none};
    for (int i = 0; i < 3; i++) {
        ae_merge_slerp_factors(c, flat[i], 2, 0.25);
        cr_assert_float_eq(c[1], 0.75, 0);
        cr_assert_float_eq(c[2], 0.25, 0);
    }
    const double below[] = {1, cos(0.99e-4), cos(0.99e-4), 1}, above[] = {1, cos(1.01e-4), cos(1.01e-4), 1};
    ae_merge_slerp_factors(c, below, 2, 0.25);
    ae_merge_slerp_factors(near, above, 2, 0.25);
    cr_assert_float_eq(c[1], 0.75, 0);
    cr_assert_neq(near[1], 0.75);
    for (int k = 0; k < 3; k++) cr_assert_float_eq(c[k], near[k], 1e-8);
    const double apart[] = {1, cos(3.1316) * 2, cos(3.1316) * 2, 4};
    ae_merge_slerp_factors(c, apart, 2, 0.25);
    for (int k = 0; k < 3; k++) cr_assert(fabs(c[k]) < 200);
}

/* ---- many, mixed and unfit models ---- */

/* More than stay open at once, and pieces cut into as many parts. */
Test(merge, any_number_of_models) {
    enum { N = 40 };
    models m;
    const char *paths[N];
    models_open(&m);
    for (int k = 0; k < N; k++) paths[k] = m.paths[1 + k % 2];
    long double *want = malloc((size_t)m.params.total * sizeof *want);
    EACH(&m, i) want[i] = ((long double)m.of[1][i] + m.of[2][i]) / 2;
    float *mean = merged(&m, (ae_merge_request){.method = AE_MERGE_MEAN, .models = paths, .n = N});
    expect_close(mean, want, m.params.total, "mean of 40");
    for (int k = 0; k < N; k++) paths[k] = m.paths[3];
    float *all =
        merged(&m, (ae_merge_request){
                       .method = AE_MERGE_SLERP, .models = paths, .n = N, .base = m.paths[0], .amount = -1});
    EACH(&m, i) want[i] = m.of[3][i];
    expect_close(all, want, m.params.total, "slerp of 40");
    free(mean);
    free(all);
    free(want);
    models_close(&m);
}

static ae_status fetch(void *context, ptrdiff_t i, const float **values) {
    const models *m = context;
    *values = m->of[2];
    for (ptrdiff_t k = 0; k < i; k++) *values += m->params.items[k].n;
    return AE_OK;
}

/* A checkpoint's HDF5 counts as the same numbers in safetensors do. */
Test(merge, native_files_count_alike) {
    models m;
    models_open(&m);
    const size_t n = (size_t)m.params.n;
    const char **names = calloc(n, sizeof *names);
    int *ranks = calloc(n, sizeof *ranks);
    int64_t(*shapes)[3] = calloc(n, sizeof *shapes);
    for (size_t i = 0; i < n; i++) {
        names[i] = m.params.items[i].name;
        ranks[i] = m.params.items[i].rank;
        memcpy(shapes[i], m.params.items[i].shape, sizeof shapes[i]);
    }
    char native[512];
    snprintf(native, sizeof native, "%s/weights.h5", scratch_folder);
    cr_assert_eq(
        ae_tensors_write_h5(native, m.params.n, names, ranks, (const int64_t(*)[3])shapes, fetch, &m), AE_OK,
        "%s", ae_error_message());
    const char *mixed[] = {m.paths[1], native}, *plain[] = {m.paths[1], m.paths[2]};
    ae_merge_request r = {
        .method = AE_MERGE_SLERP, .models = mixed, .n = 2, .base = m.paths[0], .amount = -1};
    float *a = merged(&m, r);
    r.models = plain;
    float *b = merged(&m, r);
    expect_bits(&m, a, b, "HDF5");
    free(a);
    free(b);
    free(names);
    free(ranks);
    free(shapes);
    models_close(&m);
}

Test(merge, bfloat16_is_the_rounded_result) {
    models m;
    models_open(&m);
    fit_bf16(&m);
    const char *paths[] = {m.paths[1]};
    float *got =
        merged(&m, (ae_merge_request){.method = AE_MERGE_MEAN, .models = paths, .n = 1, .bf16 = true});
    EACH(&m, i) {
        uint32_t bits, of_got;
        memcpy(&bits, &m.of[1][i], sizeof bits);
        memcpy(&of_got, &got[i], sizeof of_got);
        bits += 0x7fff + (bits >> 16 & 1);
        cr_assert_eq(of_got, bits & 0xffff0000, "%lld", (long long)i);
    }
    free(got);
    models_close(&m);
}

/* 1 + 2^-8 is the middle of two bfloat16 numbers, which goes to the even one, 1; a bit more goes up, even where float32 cannot hold the bit. */
Test(merge, bf16_is_rounded_once) {
    models m;
    models_open(&m);
    const char *paths[] = {m.paths[1], m.paths[2]};
    for (int k = 1; k <= 2; k++) {
        m.of[k][0] = 1 + 0x1p-8f;
        m.of[k][1] = -(1 + 0x1p-8f);
    }
    m.of[2][2] = 0x1p-40f * 3;
    m.of[1][2] = (1 + 0x1p-8f) * 2 - 0x1p-40f; /* rounds to float32 as 2 + 2^-7 */
    m.of[2][3] = m.of[1][3] = 1 + 0x1p-8f;
    m.of[2][4] = 0x1p-40f;
    m.of[1][4] = (1 + 0x1p-8f) * 2;
    fit_bf16(&m);
    float *got =
        merged(&m, (ae_merge_request){.method = AE_MERGE_MEAN, .models = paths, .n = 2, .bf16 = true});
    cr_assert_eq(got[0], 1.0f);
    cr_assert_eq(got[1], -1.0f);
    cr_assert_eq(got[2], 1 + 0x1p-7f);
    cr_assert_eq(got[3], 1.0f);
    cr_assert_eq(got[4], 1 + 0x1p-7f);
    free(got);
    models_close(&m);
}

Test(merge, what_is_not_finite_is_refused_by_its_tensor) {
    models m;
    models_open(&m);
    const char *paths[] = {m.paths[1], m.paths[2]}, *out = scratch_path("out");
    ae_merge_request r = {.method = AE_MERGE_MEAN, .config = &m.config, .models = paths, .n = 2};
    cr_assert_eq(ae_folder_make(out), AE_OK);
    r.bf16 = true; /* FLT_MAX, which all have, is beyond bfloat16 */
    cr_assert_eq(ae_model_merge(out, &r), AE_ERR_INPUT);
    cr_assert_message("model.embed_tokens.weight: expected finite numbers");
    m.of[1][19] = m.of[2][19] = 0x1.ff1p127f; /* half a unit beyond the largest bfloat16 */
    for (int k = 1; k <= 2; k++) write_model(&m, m.of[k], m.paths[k]);
    cr_assert_eq(ae_model_merge(out, &r), AE_ERR_INPUT);
    ae_merge_request far = r; /* FLT_MAX + 0.5 (FLT_MAX + FLT_MAX) */
    far.method = AE_MERGE_LERP;
    far.base = m.paths[0];
    far.amount = 1.5;
    far.bf16 = false;
    m.of[0][19] = -FLT_MAX;
    write_model(&m, m.of[0], m.paths[0]);
    cr_assert_eq(ae_model_merge(out, &far), AE_ERR_INPUT);
    m.of[2][m.params.total - 1] = NAN;
    write_model(&m, m.of[2], m.paths[2]);
    r.bf16 = false;
    cr_assert_eq(ae_model_merge(out, &r), AE_ERR_INPUT);
    cr_assert_message(m.params.items[m.params.n - 1].name);
    cr_assert_not(ae_path_exists(scratch_path("out/model.safetensors")));
    models_close(&m);
}

Test(merge, shards_hold_the_same) {
    models m;
    models_open(&m);
    const char *paths[] = {m.paths[1], m.paths[2], m.paths[3]};
    ae_merge_request r = {.method = AE_MERGE_MEAN, .models = paths, .n = 3};
    float *one = merged(&m, r);
    cr_assert_eq(ae_folder_remove(scratch_path("out")), AE_OK);
    r.shard_bytes = 20000;
    float *many = merged(&m, r);
    cr_assert(ae_path_exists(scratch_path("out/model.safetensors.index.json")));
    expect_bits(&m, many, one, "shards");
    free(one);
    free(many);
    models_close(&m);
}

static int64_t pieces_left;

static ae_status stop_after_some(void *context, int64_t done, int64_t all) {
    (void)context;
    cr_assert_leq(done, all);
    return pieces_left-- > 0 ? AE_OK : AE_FAIL(AE_ERR_INTERRUPTED, "interrupted");
}

Test(merge, an_interrupted_merge_leaves_nothing) {
    models m;
    models_open(&m);
    const char *paths[] = {m.paths[1], m.paths[2]};
    const ae_merge_request r = {.method = AE_MERGE_MEAN,
                                .config = &m.config,
                                .models = paths,
                                .n = 2,
                                .watch = {.ask = stop_after_some}};
    cr_assert_eq(ae_folder_make(scratch_path("out")), AE_OK);
    for (int64_t after = 0; after < 2 * m.params.n; after += 19) {
        pieces_left = after;
        cr_assert_eq(ae_model_merge(scratch_path("out"), &r), AE_ERR_INTERRUPTED);
        cr_assert_not(ae_path_exists(scratch_path("out/model.safetensors")));
        cr_assert_not(ae_path_exists(scratch_path("out/model.safetensors.part")));
    }
    models_close(&m);
}

Test(merge, unfit_models_are_refused) {
    char window[512];
    models m;
    models_open(&m);
    snprintf(window, sizeof window, "%s/hawk", AERIE_FIXTURES);
    const char *paths[] = {m.paths[1], window}, *out = scratch_path("out");
    cr_assert_eq(ae_folder_make(out), AE_OK);
    ae_merge_request r = {.method = AE_MERGE_MEAN, .config = &m.config, .models = paths, .n = 2};
    cr_assert_eq(ae_model_merge(out, &r), AE_ERR_INPUT);
    cr_assert_message("hawk");
    cr_assert_not(ae_path_exists(scratch_path("out/model.safetensors")));
    r = (ae_merge_request){.method = AE_MERGE_SLERP,
                           .config = &m.config,
                           .models = paths,
                           .n = 1,
                           .base = m.paths[0],
                           .amount = -1};
    cr_assert_eq(ae_model_merge(out, &r), AE_ERR_USAGE);
    models_close(&m);
}

Test(merge, shapes_agree_or_are_told_apart_by_a_field) {
    const ae_model_config a = config_of("tiny");
    ae_model_config b = a;
    cr_assert_eq(ae_model_config_agree(&b, "b", &a, "a"), AE_OK);
    b.C++;
    cr_assert_eq(ae_model_config_agree(&b, "b", &a, "a"), AE_ERR_INPUT);
    cr_assert_message("b: recurrent_width: expected 48 as in a, found 49");
    b = a;
    b.rope_theta = 20000;
    cr_assert_eq(ae_model_config_agree(&b, "b", &a, "a"), AE_ERR_INPUT);
    cr_assert_message("b: rope_theta: expected 10000 as in a, found 20000");
    b = a;
    b.pattern[1] = AE_ATTENTION;
    cr_assert_eq(ae_model_config_agree(&b, "b", &a, "a"), AE_ERR_INPUT);
    cr_assert_message("b: pattern: expected rrarr as in a, found raarr");
    b = a;
    b.scale_embeddings = !a.scale_embeddings;
    cr_assert_eq(ae_model_config_agree(&b, "b", &a, "a"), AE_ERR_INPUT);
    cr_assert_message("scale_embeddings");
}
