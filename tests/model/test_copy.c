#include "model/copy.h"
#include "model/decode.h"
#include "tests/model/rig.h"

#include <stdlib.h>
#include <string.h>

/* A copy that decodes beside the model that trains, in a form of its own. */

enum { PROMPT = 20, STEPS = 9, V = 64 };

/* Logits of a prompt and some steps. */
static void decode(const ae_model *m, float logits[STEPS][V]) {
    int32_t tokens[PROMPT];
    ae_decode_state s;
    ae_decoder *d = NULL;
    cr_assert_eq(m->config.V, V);
    cr_assert_eq(ae_decode_state_init(&s, m, 1), AE_OK);
    cr_assert_eq(ae_decoder_new(&d, m, 1, PROMPT), AE_OK);
    for (int32_t t = 0; t < PROMPT; t++) tokens[t] = (t * 7 + 3) % V;
    ae_decoder_prefill(d, &s, 0, tokens, PROMPT, logits[0], NULL);
    for (int t = 1; t < STEPS; t++) ae_decoder_step(d, &s, &tokens[t], 1, logits[t]);
    ae_decoder_delete(d);
    ae_decode_state_free(&s);
}

static void expect_same(const ae_model *a, const ae_model *b, bool same, const char *what) {
    static float x[STEPS][V], y[STEPS][V];
    decode(a, x);
    decode(b, y);
    cr_assert_eq(memcmp(x, y, sizeof x) == 0, same, "%s", what);
}

static void copy_of(ae_model *copy, const ae_model *m, ae_weight_type weights) {
    cr_assert_eq(ae_model_init(copy, m->be, &m->config, &(ae_model_options){.weights = weights}), AE_OK);
    cr_assert_eq(ae_model_copy_values(copy, m), AE_OK, "%s", ae_error_message());
}

/* As an update would. */
static void change(ae_model *m) {
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        const size_t bytes = (size_t)p->n * sizeof(float);
        float *x = malloc(bytes);
        m->be->download(m->be, x, p->value, bytes);
        for (int64_t k = 0; k < p->n; k++) x[k] = 0.9f * x[k] + 0.01f;
        m->be->upload(m->be, p->value, x, bytes);
        free(x);
    }
    ae_model_values_changed(m);
}

static void check(rig_backend_kind kind, ae_weight_type weights) {
    const ae_backend *be = rig_backend(kind, 1);
    ae_model trained, copy, loaded, fresh;
    rig_model(&trained, be, "tiny", true);
    rig_model_with(&loaded, be, "tiny", &(ae_model_options){.weights = weights});
    copy_of(&copy, &trained, weights);
    expect_same(&copy, &loaded, true, "a copy is the model loaded in that form");
    change(&trained);
    expect_same(&copy, &loaded, true, "an update does not reach the copy");
    cr_assert_eq(ae_model_copy_values(&copy, &trained), AE_OK);
    copy_of(&fresh, &trained, weights);
    expect_same(&copy, &fresh, true, "copying again is copying anew");
    expect_same(&copy, &loaded, false, "copying again takes the update");
    ae_model_free(&fresh);
    ae_model_free(&copy);
    ae_model_free(&loaded);
    ae_model_free(&trained);
}

Test(copy, decodes_beside_the_model_that_trains) {
    static const rig_backend_kind kinds[] = {RIG_CPU_BEST, RIG_STRICT, RIG_BF16};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int weights = AE_WEIGHT_F32; weights <= AE_WEIGHT_INT4; weights++)
            check(kinds[i], (ae_weight_type)weights);
}

Test(copy, values_that_are_not_there_are_a_defect) {
    const ae_backend *be = rig_backend(RIG_CPU_BEST, 1);
    ae_model compact, copy;
    rig_model_with(&compact, be, "tiny", &(ae_model_options){.weights = AE_WEIGHT_INT8});
    cr_assert_eq(ae_model_init(&copy, be, &compact.config, &(ae_model_options){0}), AE_OK);
    cr_assert_eq(ae_model_copy_values(&copy, &compact), AE_ERR_DEFECT);
    cr_assert_not_null(strstr(ae_error_message(), "float32"), "%s", ae_error_message());
    ae_model_free(&copy);
    ae_model_free(&compact);
}
