#include "exchange/hf_config.h"
#include "exchange/quantize.h"
#include "exchange/source.h"
#include "formats/tensors.h"
#include "model/decode.h"
#include "tests/core/scratch.h"
#include "tests/model/rig.h"

#include <math.h>

TestSuite(quantize, .init = scratch_make, .fini = scratch_remove);

static const struct {
    ae_weight_type type;
    ptrdiff_t group;
} forms[] = {{AE_WEIGHT_BF16, 0},
             {AE_WEIGHT_INT8, 0},
             {AE_WEIGHT_INT8, 32},
             {AE_WEIGHT_INT4, 0},
             {AE_WEIGHT_INT4, 32}};
enum { N_FORMS = sizeof forms / sizeof *forms, SEED = 5, TOKENS = 24 };

static ae_model_config shape(void) {
    ae_model m;
    rig_model(&m, rig_backend(RIG_CPU_BEST, 2), "tiny", false);
    const ae_model_config c = m.config;
    ae_model_free(&m);
    return c;
}

/* The backend that suits weights of a form, and the options of a model in that form. */
static ae_model_options backend(ae_backend *be, ae_weight_type type, ptrdiff_t group) {
    const ae_backend_options options = {.threads = 2, .dtype = ae_dtype_beside(type)};
    cr_assert_eq(ae_backend_cpu(be, &options), AE_OK);
    return (ae_model_options){.weights = type, .group = group};
}

/* Logits after a few tokens, the last of them one by one. */
static float *logits_of(const ae_model *m) {
    ae_decode_state s;
    ae_decoder *d;
    int32_t tokens[TOKENS];
    float *logits = calloc((size_t)m->config.V, sizeof *logits);
    for (int i = 0; i < TOKENS; i++) tokens[i] = i * 7 % (int)m->config.V;
    cr_assert_eq(ae_decode_state_init(&s, m, 1), AE_OK);
    cr_assert_eq(ae_decoder_new(&d, m, 1, TOKENS), AE_OK);
    ae_decoder_prefill(d, &s, 0, tokens, TOKENS - 4, NULL, NULL);
    for (int i = TOKENS - 4; i < TOKENS; i++) ae_decoder_step(d, &s, tokens + i, 1, logits);
    ae_decoder_delete(d);
    ae_decode_state_free(&s);
    return logits;
}

static const char *write_folder(const ae_model_config *c, ae_weight_type type, ptrdiff_t group) {
    const ae_quantize_request r = {.config = c, .type = type, .group = group, .seed = SEED};
    char *text = NULL;
    cr_assert_eq(ae_folder_remove(scratch_path("q")), AE_OK);
    cr_assert_eq(ae_folder_make(scratch_path("q")), AE_OK);
    cr_assert_eq(ae_model_config_to_hf(c, type, ae_weight_group(type, group), &text), AE_OK);
    cr_assert_eq(ae_file_write(scratch_path("q/config.json"), text, strlen(text)), AE_OK);
    cr_assert_eq(ae_model_quantize(scratch_path("q/model.safetensors"), &r), AE_OK, "%s", ae_error_message());
    free(text);
    return scratch_path("q");
}

Test(quantize, what_is_stored_is_what_loading_makes) {
    const ae_model_config c = shape();
    for (int f = 0; f < N_FORMS; f++) {
        ae_backend be;
        ae_model loaded, made;
        ae_model_source source;
        const char *folder = write_folder(&c, forms[f].type, forms[f].group);
        cr_assert_eq(ae_model_source_open(&source, folder), AE_OK, "%s", ae_error_message());
        cr_assert_eq(source.weights, forms[f].type == AE_WEIGHT_BF16 ? AE_WEIGHT_F32 : forms[f].type);
        const ae_model_options o = backend(&be, forms[f].type, forms[f].group);
        cr_assert_eq(ae_model_open(&loaded, &be, folder, &o), AE_OK, "%s", ae_error_message());
        cr_assert_eq(ae_model_init(&made, &be, &c, &o), AE_OK);
        cr_assert_eq(ae_model_set_initial(&made, SEED), AE_OK);
        float *got = logits_of(&loaded), *want = logits_of(&made);
        cr_assert_arr_eq(got, want, (size_t)c.V * sizeof *got, "form %d", f);
        free(got);
        free(want);
        ae_model_free(&loaded);
        ae_model_free(&made);
        ae_model_source_free(&source);
        ae_backend_free(&be);
    }
}

/* The same integers as float32 masters: only the rounding of activations lies between, to 16-bit integers by group, or to bfloat16 where
 * products take that. */
Test(quantize, folders_open_in_float32_too) {
    const ae_model_config c = shape();
    for (int f = 0; f < N_FORMS; f++) {
        ae_backend be, plain;
        ae_model compact, wide;
        const char *folder = write_folder(&c, forms[f].type, forms[f].group);
        const ae_model_options o = backend(&be, forms[f].type, forms[f].group),
                               full = backend(&plain, AE_WEIGHT_F32, 0);
        cr_assert_eq(ae_model_open(&compact, &be, folder, &o), AE_OK);
        cr_assert_eq(ae_model_open(&wide, &plain, folder, &full), AE_OK, "%s", ae_error_message());
        cr_assert_lt(compact.value_bytes, wide.value_bytes);
        cr_assert_eq(compact.value_bytes, ae_model_value_bytes(&compact.params, &be, &o));
        float *got = logits_of(&compact), *want = logits_of(&wide);
        const double apart = rig_relative(got, want, (size_t)c.V);
        cr_assert_lt(apart, be.dtype == AE_DTYPE_BF16 ? 1e-2 : 3e-4, "form %d: %g", f, apart);
        free(got);
        free(want);
        ae_model_free(&compact);
        ae_model_free(&wide);
        ae_backend_free(&be);
        ae_backend_free(&plain);
    }
}

/* Parts of a matrix in integers may begin and end inside a row. */
Test(quantize, parts_are_those_of_the_whole) {
    const ae_model_config c = shape();
    const int64_t D = c.D, sizes[] = {c.V, c.D}, n = c.V * c.D, each = 3 * D + 7;
    for (int f = 1; f < N_FORMS; f++) {
        ae_tensors *t;
        float *whole = malloc((size_t)n * sizeof *whole), *parts = calloc((size_t)n, sizeof *parts);
        write_folder(&c, forms[f].type, forms[f].group);
        cr_assert_eq(ae_tensors_open(&t, scratch_path("q")), AE_OK, "%s", ae_error_message());
        cr_assert_eq(ae_tensors_read(t, "model.embed_tokens.weight", 2, sizes, whole), AE_OK);
        for (int64_t at = 0; at < n; at += each)
            cr_assert_eq(ae_tensors_read_part(t, "model.embed_tokens.weight", 2, sizes, at,
                                              n - at < each ? n - at : each, parts + at),
                         AE_OK);
        cr_assert_arr_eq(parts, whole, (size_t)n * sizeof *whole, "form %d", f);
        ae_tensors_close(t);
        free(whole);
        free(parts);
    }
}

/* A batch changes no sequence's bits. */
Test(quantize, decoding_is_the_same_in_any_batch) {
    const ae_model_config c = shape();
    for (int f = 0; f < N_FORMS; f++) {
        enum { B = 5 };
        ae_backend be;
        ae_model m;
        ae_decode_state s;
        ae_decoder *d;
        const int32_t tokens[B] = {3, 9, 27, 4, 12};
        float *all = calloc((size_t)(B * c.V), sizeof *all), *one = calloc((size_t)c.V, sizeof *one);
        const ae_model_options o = backend(&be, forms[f].type, forms[f].group);
        cr_assert_eq(ae_model_init(&m, &be, &c, &o), AE_OK);
        cr_assert_eq(ae_model_set_initial(&m, SEED), AE_OK);
        cr_assert_eq(ae_decode_state_init(&s, &m, B), AE_OK);
        cr_assert_eq(ae_decoder_new(&d, &m, B, 1), AE_OK);
        ae_decoder_step(d, &s, tokens, B, all);
        ae_decode_state_reset(&s, 0);
        ae_decoder_step(d, &s, tokens, 1, one);
        cr_assert_arr_eq(one, all, (size_t)c.V * sizeof *one, "form %d", f);
        ae_decoder_delete(d);
        ae_decode_state_free(&s);
        ae_model_free(&m);
        ae_backend_free(&be);
        free(all);
        free(one);
    }
}

/* A model in training, and the gradients of a batch. */
typedef struct {
    ae_model m;
    ae_pass *pass;
    rig_batch rows;
} learner;

static learner learner_new(const ae_backend *be) {
    learner l = {.rows = rig_batch_random(2, TOKENS, 64, SEED)};
    rig_model(&l.m, be, "tiny", true);
    l.pass = rig_pass(&l.m, l.rows.B, l.rows.T, 0, true);
    return l;
}

static void learn(learner *l) {
    const ae_micro_batch b = rig_rows(&l->rows, 0, l->rows.B);
    cr_assert(isfinite(rig_train(&l->m, l->pass, &b, 1)));
}

static float *learner_free(learner *l) {
    float *g = rig_gradients(&l->m);
    ae_pass_delete(l->pass);
    rig_batch_free(&l->rows);
    ae_model_free(&l->m);
    return g;
}

/* A policy in training and its reference in integers: each has the bits that it has alone. */
Test(quantize, models_with_settings_of_their_own_live_on_one_backend) {
    ae_backend be;
    ae_model reference;
    (void)backend(&be, AE_WEIGHT_F32, 0);
    const ae_model_options int8 = {.weights = AE_WEIGHT_INT8, .group = 32};
    learner alone = learner_new(&be);
    const size_t bytes = alone.m.grad_bytes;
    learn(&alone);
    learn(&alone);
    float *want = learner_free(&alone);
    rig_model_with(&reference, &be, "tiny", &int8);
    float *want_logits = logits_of(&reference);

    learner beside = learner_new(&be);
    learn(&beside);
    float *logits = logits_of(&reference);
    learn(&beside);
    cr_assert_lt(reference.value_bytes, beside.m.value_bytes / 2);
    cr_assert_arr_eq(logits, want_logits, (size_t)reference.config.V * sizeof *logits);
    float *got = learner_free(&beside);
    cr_assert_arr_eq(got, want, bytes);
    free(got);
    free(want);
    free(logits);
    free(want_logits);
    ae_model_free(&reference);
    ae_backend_free(&be);
}

Test(quantize, refusals_name_the_field) {
    ae_weight_type type;
    ptrdiff_t group;
    static const char *const bad[] = {
        "{\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 64}}",
        "{\"quantization_config\": {\"quant_method\": \"aerie\", \"bits\": 3, \"group_size\": 64}}",
        "{\"quantization_config\": {\"quant_method\": \"aerie\", \"bits\": 4, \"group_size\": 60}}",
        "{\"quantization_config\": {\"quant_method\": \"aerie\", \"group_size\": 64}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *path = scratch_write("config.json", bad[i], strlen(bad[i]));
        cr_assert_eq(ae_quantization_from_hf(&type, &group, path), AE_ERR_INPUT, "%s", bad[i]);
    }
    ae_model_config c = shape();
    char *text;
    c.soft_cap = 0;
    cr_assert_eq(ae_model_config_to_hf(&c, AE_WEIGHT_INT8, 64, &text), AE_ERR_INPUT);
    cr_assert_not_null(strstr(ae_error_message(), "soft_cap"));
}
