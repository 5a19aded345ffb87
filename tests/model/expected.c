#include "tests/model/expected.h"

#include <math.h>
#include <stdlib.h>

static void read_set(const rig_expected *e, const char *name, hid_t type, int rank, const int64_t *shape,
                     void *out) {
    cr_assert_eq(ae_h5_read(e->file, e->path, name, type, rank, shape, out), AE_OK, "%s", ae_error_message());
}

rig_expected rig_expected_read(const char *fixture, ptrdiff_t V) {
    rig_expected e = {.loss = NAN};
    int64_t shape[3];
    snprintf(e.path, sizeof e.path, "%s/%s/expected.h5", AERIE_FIXTURES, fixture);
    cr_assert_eq(ae_h5_open(&e.file, e.path), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_h5_shape(e.file, e.path, "tokens", 2, shape), AE_OK, "%s", ae_error_message());
    e.batch = rig_batch_new((ptrdiff_t)shape[0], (ptrdiff_t)shape[1]);
    read_set(&e, "tokens", H5T_NATIVE_INT32, 2, shape, e.batch.tokens);
    read_set(&e, "targets", H5T_NATIVE_INT32, 2, shape, e.batch.targets);
    read_set(&e, "positions", H5T_NATIVE_INT32, 2, shape, e.batch.positions);
    read_set(&e, "loss_mask", H5T_NATIVE_FLOAT, 2, shape, e.batch.weights);
    read_set(&e, "loss", H5T_NATIVE_DOUBLE, 0, shape, &e.loss);
    shape[2] = V;
    e.logits = malloc((size_t)(shape[0] * shape[1] * V) * sizeof *e.logits);
    cr_assert_not_null(e.logits);
    read_set(&e, "logits", H5T_NATIVE_DOUBLE, 3, shape, e.logits);
    for (int64_t i = 0; i < shape[0] * shape[1]; i++) e.weight_sum += (double)e.batch.weights[i];
    return e;
}

void rig_expected_free(rig_expected *e) {
    rig_batch_free(&e->batch);
    free(e->logits);
    cr_assert_eq(ae_h5_close(e->file, e->path), AE_OK);
}

void rig_expected_gradient(const rig_expected *e, const ae_param *p, float *out) {
    char name[128];
    snprintf(name, sizeof name, "grads/%s", p->name);
    read_set(e, name, H5T_NATIVE_FLOAT, p->rank, p->shape, out);
}

double rig_log_denominator(const double *x, ptrdiff_t V) {
    double top = x[0], sum = 0;
    for (ptrdiff_t v = 1; v < V; v++) top = fmax(top, x[v]);
    for (ptrdiff_t v = 0; v < V; v++) sum += exp(x[v] - top);
    return top + log(sum);
}
