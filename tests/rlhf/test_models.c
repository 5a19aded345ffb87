#include "rlhf/models.h"
#include "tests/model/rig.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ASSERT_OK(expr) cr_assert_eq((expr), AE_OK, "%s", ae_error_message())

static float *values_of(const ae_model *m, ptrdiff_t i) {
    const ae_param *p = &m->params.items[i];
    float *x = malloc((size_t)p->n * sizeof *x);
    cr_assert_not_null(x);
    m->be->download(m->be, x, p->value, (size_t)p->n * sizeof *x);
    return x;
}

static void fill(ae_model *m, float scale) {
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        float *x = values_of(m, i);
        for (int64_t k = 0; k < p->n; k++) x[k] += scale * (float)(k % 13 - 6);
        m->be->upload(m->be, p->value, x, (size_t)p->n * sizeof *x);
        free(x);
    }
    ae_model_values_changed(m);
}

/* What does not train stays; what the products take is packed anew. */
Test(models, move_what_trains) {
    static const char *const train[] = {"*.q_proj.weight", "*norm*", NULL};
    static const double etas[] = {0, 0.25, 1};
    const ae_model_options o = {.training = true, .params.train = train};
    for (int e = 0; e < 3; e++) {
        ae_model from, to, still;
        ptrdiff_t moved = 0;
        rig_model_with(&from, rig_backend(RIG_CPU_BEST, 1), "tiny", &o);
        rig_model(&to, from.be, "tiny", false);
        rig_model(&still, from.be, "tiny", false);
        fill(&from, 0.01f);
        ASSERT_OK(ae_model_move(&to, &from, etas[e]));
        for (ptrdiff_t i = 0; i < to.params.n; i++) {
            float *was = values_of(&still, i), *is = values_of(&to, i), *other = values_of(&from, i);
            const bool trains = from.params.items[i].trainable;
            moved += trains;
            for (int64_t k = 0; k < to.params.items[i].n; k++) {
                const double a = (double)was[k], b = (double)other[k];
                cr_assert_float_eq(is[k], trains ? a + etas[e] * (b - a) : a, 1e-7);
            }
            free(was);
            free(is);
            free(other);
        }
        cr_assert(moved > 0 && moved < to.params.n);
        rig_batch b = rig_batch_random(1, 12, to.config.V, 1);
        const ae_micro_batch rows = rig_rows(&b, 0, 1);
        float *x = rig_logits(&to, &rows), *y = rig_logits(&still, &rows);
        cr_assert_eq(memcmp(x, y, (size_t)(12 * to.config.V) * sizeof *x) == 0, etas[e] == 0);
        free(x);
        free(y);
        rig_batch_free(&b);
        ae_model_free(&still);
        ae_model_free(&to);
        ae_model_free(&from);
    }
}

/* Answers that are drawn anew in a round come from the same copy; the next round has the policy's new values. */
Test(models, the_copy_is_made_once_a_round) {
    ae_rlhf_config config = {.keys.rl.rollout_dtype = AE_WEIGHT_INT8};
    ae_tuned policy = {.config = &config.tune};
    ae_rl_models m = {.config = &config, .policy = &policy};
    const ae_model_options o = {.training = true}, compact = {.weights = AE_WEIGHT_INT8};
    const ae_model *writers[AE_RL_WRITERS];
    rig_model_with(&policy.model, rig_backend(RIG_CPU_BEST, 1), "tiny", &o);
    ASSERT_OK(ae_model_init(&m.copy, policy.model.be, &policy.model.config, &compact));
    rig_batch b = rig_batch_random(1, 12, policy.model.config.V, 1);
    const ae_micro_batch rows = rig_rows(&b, 0, 1);
    const size_t bytes = (size_t)(12 * policy.model.config.V) * sizeof(float);
    float *logits[3];
    ASSERT_OK(ae_rl_models_update_copy(&m));
    for (int i = 0; i < 3; i++) {
        if (i == 1) fill(&policy.model, 0.01f);
        if (i == 2) ASSERT_OK(ae_rl_models_update_copy(&m));
        ae_rl_models_writers(&m, writers);
        cr_assert_eq(writers[AE_RL_POLICY], &m.copy);
        logits[i] = rig_logits(&m.copy, &rows);
    }
    cr_assert(memcmp(logits[0], logits[1], bytes) == 0);
    cr_assert(memcmp(logits[0], logits[2], bytes) != 0);
    for (int i = 0; i < 3; i++) free(logits[i]);
    rig_batch_free(&b);
    ae_model_free(&m.copy);
    ae_model_free(&policy.model);
}
