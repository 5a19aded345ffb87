#ifndef AE_TESTS_MODEL_RIG_H
#define AE_TESTS_MODEL_RIG_H
#include "data/batch.h"
#include "model/pass.h"

#include <criterion/criterion.h>

/* Models of tests/fixtures on a backend, and batches for them. */

/* The backends that a test runs on, in turn. */
typedef enum {
    RIG_CPU_BEST,
    RIG_CPU_AVX2,
    RIG_STRICT,
    RIG_BACKENDS, /* float32: in every test; bfloat16: where asked for */
    RIG_BF16 = RIG_BACKENDS,
    RIG_BF16_AVX2,
    RIG_BF16_STRICT,
    RIG_BF16_PRODUCTS /* products of bfloat16 by the library, as with AMX; those of float32 where the machine has none */
} rig_backend_kind;
const ae_backend *rig_backend(rig_backend_kind kind, int threads);

/* "tiny", "window", "hawk", "attention" or "gemma". */
void rig_model(ae_model *m, const ae_backend *be, const char *fixture, bool training);
void rig_model_with(ae_model *m, const ae_backend *be, const char *fixture, const ae_model_options *options);
/* Halves all matrices, and gives values to those of adapters that are 0. Logits are small then and curves mild, so that float32 leaves 1e-7 to
 * 3e-7 of a gradient's norm, in place of 3e-7 to 1.2e-6: for tests that look closer than that. */
void rig_calm(ae_model *m);

/* A batch that owns its arrays. */
typedef struct {
    int32_t *tokens, *targets, *positions;
    float *weights;
    ptrdiff_t B, T;
} rig_batch;
/* Random tokens and targets, documents of random lengths, about a third of the targets masked. */
rig_batch rig_batch_random(ptrdiff_t B, ptrdiff_t T, ptrdiff_t V, uint64_t seed);
rig_batch rig_batch_new(ptrdiff_t B, ptrdiff_t T);
void rig_batch_free(rig_batch *b);
/* Rows [first, first + rows). */
ae_micro_batch rig_rows(const rig_batch *b, ptrdiff_t first, ptrdiff_t rows);
/* All rows of a loader's batch. */
ae_micro_batch rig_all_rows(const ae_batch *b);

double rig_train(ae_model *m, ae_pass *p, const ae_micro_batch *b, float grad_scale);
ae_pass *rig_pass(const ae_model *m, ptrdiff_t B, ptrdiff_t T, ptrdiff_t recompute, bool training);
float *rig_logits(const ae_model *m, const ae_micro_batch *b); /* caller frees */

/* All gradients after another, as the padded arena holds them (caller frees); clearing them. */
float *rig_gradients(const ae_model *m);
void rig_clear_gradients(ae_model *m);

/* Norm of the difference over the norm of `want`. */
double rig_relative(const float *got, const float *want, size_t n);
double rig_furthest(const float *got, const float *want, size_t n);

#endif
