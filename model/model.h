#ifndef AE_MODEL_MODEL_H
#define AE_MODEL_MODEL_H
#include "model/config.h"
#include "model/params.h"
#include "ops/backend.h"

/* A model on a backend: its parameters (the passes over a batch: model/pass.h). Source: docs/model.md. */

/* How a model keeps its parameters. Zeroed: in float32, for inference. Models on one backend may differ. */
typedef struct {
    bool training; /* gradients exist */
    ae_weight_type
        weights;     /* of products that do not train: not F32: they are kept in this compact form alone */
    ptrdiff_t group; /* of compact integers: inputs that share a scale; 0: ae_weight_group */
    bool
        pack_at_use; /* where products take a packed copy of float32 weights: make it for every product, but keep the
                             * embeddings' */
} ae_model_options;

typedef struct {
    const ae_backend *be; /* borrowed */
    ae_model_config config;
    ae_model_options options;
    ae_params params;
    void *value_memory, *grad_memory, *packed_memory;
    size_t value_bytes, grad_bytes, packed_bytes;
    struct ae_model_views *views; /* the parameter structs of ops/blocks.h, one a block */
} ae_model;

/* Memory for parameters, and for gradients when training. Values are undefined until initialised or loaded; gradients are 0. */
ae_status ae_model_init(ae_model *m, const ae_backend *be, const ae_model_config *c,
                        const ae_model_options *options);
void ae_model_free(ae_model *m);
/* Bytes of the values of a model: what loading takes, and in inference what decoding a token reads. Packed copies are not counted. */
size_t ae_model_value_bytes(const ae_params *p, const ae_backend *be, const ae_model_options *options);
ae_status ae_model_set_initial(ae_model *m, uint64_t seed);
/* Values from a file of tensors; every parameter must be there with its shape, lm_head.weight may repeat the embedding. */
ae_status ae_model_load(ae_model *m, const char *path);
/* The values as native HDF5: one data set a parameter. */
ae_status ae_model_save(const ae_model *m, const char *path);
/* To be called after the values changed: makes the packed forms again. */
void ae_model_values_changed(ae_model *m);

#endif
