#include "core/file.h"
#include "core/rng.h"
#include "exchange/source.h"
#include "tests/train/rig.h"
#include "train/checkpoint.h"
#include "train/run_folder.h"
#include "train/step.h"

#include <stdlib.h>
#include <string.h>

/* What a checkpoint holds of parameters that change the moment its writer says that they may. */

static struct {
    train_rig folder;
    ae_backend be;
    ae_model model;
    ae_optimizer optimizer;
    ptrdiff_t calls;
} r;

static void fill(void *to, int64_t n, uint64_t stream) {
    float *x = malloc((size_t)n * sizeof *x);
    ae_rng rng = ae_rng_make(5, stream);
    for (int64_t k = 0; k < n; k++) x[k] = (float)ae_rng_normal(&rng);
    r.be.upload(&r.be, to, x, (size_t)n * sizeof *x);
    free(x);
}

static void fill_parameter(ptrdiff_t i, uint64_t stream) {
    const ae_optim_param *p = &r.optimizer.params[i];
    fill(p->value, p->n, stream);
    fill(r.optimizer.moments[i].m, p->n, stream + 1);
    fill(r.optimizer.moments[i].v, p->n, stream + 2);
}

static void open_it(void) {
    ae_optim_param *params;
    ptrdiff_t n;
    train_rig_open(&r.folder);
    ASSERT_OK(ae_backend_cpu(&r.be, &(ae_backend_options){.threads = 1}));
    ASSERT_OK(ae_model_init(&r.model, &r.be, &train_rig_shape, &(ae_model_options){.training = true}));
    ASSERT_OK(ae_model_set_initial(&r.model, 3));
    ASSERT_OK(ae_step_optim_params(&r.model, &params, &n));
    ASSERT_OK(ae_optimizer_init(&r.optimizer, &r.be, &(ae_adamw_options){.beta1 = 0.9}, params, n));
    free(params);
    for (ptrdiff_t i = 0; i < n; i++) fill_parameter(i, 3 * (uint64_t)i);
}

static void close_it(void) {
    ae_optimizer_free(&r.optimizer);
    ae_model_free(&r.model);
    ae_backend_free(&r.be);
    train_rig_close(&r.folder);
}

TestSuite(written, .init = open_it, .fini = close_it);

static ae_status write_weights(void *model, const char *path) {
    return ae_model_save(model, path);
}

/* Tensors alone: what else belongs to a checkpoint is written before. */
static void save(const char *name, ae_optimizer_call written) {
    ae_checkpoint_job job;
    ASSERT_OK(ae_checkpoint_begin(&job, train_rig_path(&r.folder, name), 1, &(ae_checkpoint_keep){0}));
    ASSERT_OK(ae_checkpoint_add_later(&job, "weights.h5", write_weights, &r.model));
    job.optimizer = r.optimizer;
    ASSERT_OK(ae_checkpoint_write(&job, written));
    ae_checkpoint_job_free(&job);
}

/* An update as early as is allowed. */
static void spoil(void *context, ptrdiff_t i) {
    (void)context;
    cr_assert_eq(i, r.calls++, "told of %td", i);
    fill_parameter(i, 7000 + 3 * (uint64_t)i);
}

/* Told of each parameter, in order, when its value, m and v stand in the files, and not before. */
Test(written, a_change_that_waited_is_not_in_the_files) {
    save("calm", (ae_optimizer_call){0});
    save("hasty", (ae_optimizer_call){spoil, NULL});
    cr_assert_eq(r.calls, r.optimizer.n);
    train_rig_same_checkpoint(&r.folder, "calm", "hasty", 1);
}
