#ifndef AE_MODEL_MODEL_H
#define AE_MODEL_MODEL_H
#include "model/config.h"
#include "model/params.h"
#include "model/params_match.h"
#include "ops/backend.h"

/* A model on a backend: its parameters (the passes over a batch: model/pass.h). Source: docs/model.md. */

/* How a model keeps its parameters. Zeroed: in float32, for inference. Models on one backend may differ. */
typedef struct {
    bool training;            /* gradients of what trains exist */
    ae_params_options params; /* what the table has beyond the shape, and what of it trains */
    /* Products that do not train, among them all of a model for inference, are kept in this form alone unless it is F32. */
    ae_weight_type weights;
    ptrdiff_t group; /* of compact integers: inputs that share a scale; 0: ae_weight_group */
    /* Where products take a packed copy of float32 weights: each product makes its own, that of the embeddings apart. */
    bool pack_at_use;
    /* A model on the same backend, of the same shape, whose frozen weights this one uses in their place and form: parameters of the shape
     * that train in neither. It holds its values first and is freed last. NULL: none. What trains there has float32 values here too.
     * `weights`, `group` and `pack_at_use` are the same. */
    const struct ae_model *shares;
} ae_model_options;

typedef struct ae_model {
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
/* Of the packed copies; those of the table alone with pack_at_use. */
size_t ae_model_packed_bytes(const ae_params *p, const ae_backend *be, const ae_model_options *options);
/* Whether a parameter has a compact form and no values. */
bool ae_model_is_compact(const ae_model_options *options, const ae_param *p);
/* Whether a parameter lies in the memory of options->shares. */
bool ae_model_is_shared(const ae_model_options *options, const ae_param *p);
ae_status ae_model_set_initial(ae_model *m, uint64_t seed);
/* The same of adapters and heads alone; nothing to do where there are none. */
ae_status ae_model_set_added_initial(ae_model *m, uint64_t seed);
/* Values from a file of tensors, which ae_params_match takes with these options (NULL: the whole table). What the file lacks keeps its
 * values. */
ae_status ae_model_load(ae_model *m, const char *path, const ae_params_match_options *o);
/* What happens to float32 values on their way from a file into a model, before they are rounded to its form:
 * elements [first, first + n) of one parameter. */
typedef struct {
    ae_status (*amend)(void *context, const ae_param *p, int64_t first, int64_t n, float *values);
    void *context;
} ae_model_amendment;
/* The same of tensors that are open; `path` is for messages. `a` may be NULL. */
ae_status ae_model_load_tensors(ae_model *m, ae_tensors *t, const char *path,
                                const ae_params_match_options *o, const ae_model_amendment *a);
/* The values of what trains as native HDF5, one data set a parameter: the whole model, or a part that is loaded beside its base.
 * AE_ERR_DEFECT where one of them is in a compact form, as it may be in inference. */
ae_status ae_model_save(const ae_model *m, const char *path);
/* To be called after the values changed: makes the packed forms again. */
void ae_model_values_changed(ae_model *m);

#endif
