#include "model/copy.h"
#include "tests/model/rig.h"

#include <stdlib.h>
#include <string.h>

/* Models beside one that trains adapters: they use its frozen weights where these lie. */

enum { B = 2, T = 24 };
static const char *const adapters[] = {"*.lora_A.weight", "*.lora_B.weight", NULL};
static const char *const adapters_and_conv[] = {"*.lora_A.weight", "*.lora_B.weight", "*.conv_1d.*", NULL};

static ae_model_options options_of(ae_weight_type weights, const char *const *train) {
    return (ae_model_options){.training = true,
                              .weights = weights,
                              .params = {.adapters = {.rank = 2, .alpha = 4}, .train = train}};
}

/* Values of what trains that no model starts with. */
static void change_trained(ae_model *m, float by) {
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        if (!p->grad) continue;
        const size_t bytes = (size_t)p->n * sizeof(float);
        float *x = malloc(bytes);
        cr_assert_not_null(x);
        m->be->download(m->be, x, p->value, bytes);
        for (int64_t k = 0; k < p->n; k++) x[k] += by * (float)(k % 7 - 3);
        m->be->upload(m->be, p->value, x, bytes);
        free(x);
    }
    ae_model_values_changed(m);
}

static void expect_logits(const ae_model *a, const ae_model *b, bool same, const char *what) {
    rig_batch batch = rig_batch_random(B, T, a->config.V, 3);
    const ae_micro_batch rows = rig_rows(&batch, 0, B);
    float *x = rig_logits(a, &rows), *y = rig_logits(b, &rows);
    cr_assert_eq(memcmp(x, y, (size_t)(B * T * a->config.V) * sizeof *x) == 0, same, "%s", what);
    free(x);
    free(y);
    rig_batch_free(&batch);
}

static void beside(ae_model *m, const ae_model *trained, const ae_model_options *o) {
    ae_model_options shares = *o;
    shares.training = false;
    shares.shares = trained;
    cr_assert_eq(ae_model_init(m, trained->be, &trained->config, &shares), AE_OK, "%s", ae_error_message());
}

/* Without adapters: the base itself, without memory of its own. */
static void check_reference(const ae_model *trained, ae_weight_type weights) {
    ae_model reference, alone;
    const ae_model_options plain = {.weights = weights};
    beside(&reference, trained, &plain);
    ae_model_values_changed(&reference);
    cr_assert_eq(reference.value_bytes + reference.packed_bytes, 0);
    rig_model_with(&alone, trained->be, "tiny", &plain);
    expect_logits(&reference, &alone, true, "the reference is the base");
    expect_logits(&reference, trained, false, "and not what trains");
    ae_model_free(&alone);
    ae_model_free(&reference);
}

/* With adapters of its own. */
static void check_anchor(ae_model *trained, const ae_model_options *o) {
    ae_model anchor;
    size_t own = 0;
    beside(&anchor, trained, o);
    for (ptrdiff_t i = 0; i < trained->params.n; i++)
        if (trained->params.items[i].added)
            own += ((size_t)trained->params.items[i].n * sizeof(float) + 63) / 64 * 64;
    cr_assert_eq(anchor.value_bytes, own);
    cr_assert_eq(ae_model_copy_values(&anchor, trained), AE_OK, "%s", ae_error_message());
    expect_logits(&anchor, trained, true, "a copy of the adapters");
    change_trained(trained, 0.02f);
    expect_logits(&anchor, trained, false, "what trains goes on alone");
    ae_model_free(&anchor);
}

static void check(rig_backend_kind kind, ae_weight_type weights) {
    const ae_model_options o = options_of(weights, adapters);
    ae_model trained;
    rig_model_with(&trained, rig_backend(kind, 2), "tiny", &o);
    change_trained(&trained, 0.01f);
    check_reference(&trained, weights);
    check_anchor(&trained, &o);
    ae_model_free(&trained);
}

Test(shared, weights_lie_in_memory_once) {
    static const rig_backend_kind kinds[] = {RIG_CPU_BEST, RIG_STRICT, RIG_BF16};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int weights = AE_WEIGHT_F32; weights <= AE_WEIGHT_INT4; weights++)
            check(kinds[i], (ae_weight_type)weights);
}

/* What trains beside the adapters keeps its float32 values in a copy of compact weights too. */
Test(shared, trained_tables_stay_in_float32) {
    static const char *const train[] = {"*.lora_A.weight", "*.lora_B.weight", "model.embed_tokens.weight",
                                        NULL};
    const ae_model_options o = options_of(AE_WEIGHT_INT8, train);
    ae_model trained, anchor;
    rig_model_with(&trained, rig_backend(RIG_CPU_BEST, 1), "tiny", &o);
    change_trained(&trained, 0.01f);
    beside(&anchor, &trained, &o);
    cr_assert_not_null(ae_params_find(&anchor.params, "model.embed_tokens.weight")->value);
    cr_assert_eq(ae_model_copy_values(&anchor, &trained), AE_OK, "%s", ae_error_message());
    expect_logits(&anchor, &trained, true, "the table is a copy");
    ae_model_free(&anchor);
    ae_model_free(&trained);
}

/* What trains whole is no longer the base's. */
Test(shared, trained_weights_are_not_shared) {
    const ae_model_options o = options_of(AE_WEIGHT_F32, adapters_and_conv), plain = {0};
    ae_model trained, reference, alone;
    rig_model_with(&trained, rig_backend(RIG_CPU_BEST, 1), "tiny", &o);
    beside(&reference, &trained, &plain);
    rig_model_with(&alone, trained.be, "tiny", &plain);
    cr_assert(reference.value_bytes > 0 && reference.value_bytes < alone.value_bytes / 4);
    cr_assert_eq(ae_model_copy_values(&reference, &alone), AE_OK, "%s", ae_error_message());
    change_trained(&trained, 0.02f);
    expect_logits(&reference, &alone, true, "the base has its own");
    ae_model_free(&alone);
    ae_model_free(&reference);
    ae_model_free(&trained);
}
