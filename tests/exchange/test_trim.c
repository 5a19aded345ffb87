#include "exchange/hf_config.h"
#include "exchange/source.h"
#include "exchange/trim.h"
#include "formats/safetensors.h"
#include "formats/tensors.h"
#include "tests/core/scratch.h"
#include "tests/model/rig.h"

#include <math.h>

TestSuite(model_trim, .init = scratch_make, .fini = scratch_remove);

enum { KEPT = 19, TOKENS = 40 };

/* Every third id and a run of neighbours. */
static void choose(int32_t *old_id) {
    for (int i = 0; i < KEPT; i++) old_id[i] = i < 10 ? 3 * i : 21 + i;
}

static void write_trimmed(const ae_model_config *c, const char *tensors, const int32_t *old_id) {
    ae_model_config less = *c;
    char *text = NULL;
    less.V = KEPT;
    cr_assert_eq(ae_model_config_to_hf(&less, AE_WEIGHT_F32, 0, &text), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_file_write(scratch_path("config.json"), text, strlen(text)), AE_OK);
    free(text);
    const ae_model_trim_request r = {.config = c, .tensors = tensors, .old_id = old_id, .n = KEPT};
    cr_assert_eq(ae_model_trim(scratch_folder, &r), AE_OK, "%s", ae_error_message());
}

static float *logits_of(const ae_model *m, const int32_t *tokens) {
    rig_batch b = rig_batch_new(1, TOKENS);
    for (int i = 0; i < TOKENS; i++) {
        b.tokens[i] = tokens[i];
        b.targets[i] = tokens[i];
        b.positions[i] = i;
        b.weights[i] = 1;
    }
    const ae_micro_batch rows = rig_rows(&b, 0, 1);
    float *logits = rig_logits(m, &rows);
    rig_batch_free(&b);
    return logits;
}

static double log_sum(const float *logits, ptrdiff_t n) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++) sum += exp((double)logits[i]);
    return log(sum);
}

/* log p(a) - log p(b) within the kept set is the same; what changes is the normalisation, by the share that the kept rows had. */
static void check_differences(const float *before, const float *after, ptrdiff_t V, const int32_t *old_id) {
    const double all = log_sum(before, V), kept = log_sum(after, KEPT);
    double share = 0;
    for (int i = 0; i < KEPT; i++) share += exp((double)before[old_id[i]] - all);
    for (int i = 0; i < KEPT; i++) {
        const double was = (double)before[old_id[i]] - all, is = (double)after[i] - kept;
        cr_assert_float_eq(is, was - log(share), 2e-5);
        cr_assert_float_eq((double)(after[i] - after[0]), (double)(before[old_id[i]] - before[old_id[0]]),
                           1e-5);
    }
}

static void check_scores(const char *fixture, const char *source) {
    const ae_backend *be = rig_backend(RIG_CPU_BEST, 1);
    ae_model whole, less;
    int32_t old_id[KEPT], before_tokens[TOKENS], after_tokens[TOKENS];
    choose(old_id);
    rig_model(&whole, be, fixture, false);
    write_trimmed(&whole.config, source, old_id);
    cr_assert_eq(ae_model_open(&less, be, scratch_folder, &(ae_model_options){0}), AE_OK, "%s",
                 ae_error_message());
    cr_assert_eq(less.config.V, KEPT);
    for (int i = 0; i < TOKENS; i++) {
        after_tokens[i] = i * 7 % KEPT;
        before_tokens[i] = old_id[after_tokens[i]];
    }
    float *before = logits_of(&whole, before_tokens), *after = logits_of(&less, after_tokens);
    for (int i = 0; i < TOKENS; i++)
        check_differences(before + i * whole.config.V, after + i * KEPT, whole.config.V, old_id);
    free(before);
    free(after);
    ae_model_free(&whole);
    ae_model_free(&less);
}

Test(model_trim, scores_differ_by_the_normalisation_alone) {
    check_scores("tiny", AERIE_FIXTURES "/tiny");
    scratch_remove();
    scratch_make();
    check_scores("window", AERIE_FIXTURES "/window");
}

/* A checkpoint's HDF5 gives the same file as the folder whose values it holds. */
Test(model_trim, reads_native_files) {
    const ae_backend *be = rig_backend(RIG_CPU_BEST, 1);
    ae_model m;
    int32_t old_id[KEPT];
    char *a = NULL, *b = NULL;
    size_t n = 0, k = 0;
    choose(old_id);
    rig_model(&m, be, "tiny", false);
    write_trimmed(&m.config, AERIE_FIXTURES "/tiny", old_id);
    cr_assert_eq(ae_file_read(scratch_path("model.safetensors"), &a, &n), AE_OK);
    cr_assert_eq(ae_model_save(&m, scratch_path("weights.h5")), AE_OK);
    write_trimmed(&m.config, scratch_path("weights.h5"), old_id);
    cr_assert_eq(ae_file_read(scratch_path("model.safetensors"), &b, &k), AE_OK);
    cr_assert_eq(n, k);
    cr_assert_arr_eq(a, b, n);
    free(a);
    free(b);
    ae_model_free(&m);
}

/* A tensor that the configuration does not know is not dropped in silence. */
Test(model_trim, refuses_what_has_no_place) {
    const ae_backend *be = rig_backend(RIG_CPU_BEST, 1);
    ae_model m;
    int32_t old_id[KEPT];
    choose(old_id);
    rig_model(&m, be, "tiny", false);
    ae_model_config c = m.config;
    c.blocks--;
    const ae_model_trim_request r = {
        .config = &c, .tensors = AERIE_FIXTURES "/tiny", .old_id = old_id, .n = KEPT};
    cr_assert_eq(ae_model_trim(scratch_folder, &r), AE_ERR_INPUT);
    cr_assert_message("a tensor that this model has no place for");
    cr_assert_not(ae_path_exists(scratch_path("model.safetensors")));
    ae_model_free(&m);
}
